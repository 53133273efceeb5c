"""Exact nearest neighbours, the documents read from disk block by block: memory does not grow with the corpus.

Documents are the outer loop and queries the inner one, so that a call of `search` reads the corpus once, however many
queries it brings. Products are made in the number type in which the device multiplies fastest (bfloat16 on
processors with AMX or AVX512-BF16, float16 on GPUs, else float32), and what such a product may be wrong by is known:
with |q - q'| and |d - d'| the lengths of what rounding took from both vectors,

    |<q', d'> - <q, d>|  <=  |q - q'| |d| + |q'| |d - d'|  =: e     (Cauchy-Schwarz; and the rounding of the sum)

The k best documents by rounded products all have exact products of at least (the k-th rounded one) - e, so a document
whose rounded product is below (the k-th rounded one) - 2 e is none of the k best. All others are kept and scored
again in float32 from the stored vectors: the result is that of an exact search, ties apart.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from datagen.backends.devices import choose_device, processor_has_bf16
from datagen.backends.exact import best_of_each, exact_scores, n_workers
from datagen.backends.protocols import Float32, Int64, VectorSource
from datagen.backends.survivors import Integers, Survivors, ordered

_TILES = {"cpu": (512, 4096), "cuda": (8192, 32_768)}
"""Queries and documents of one product: on a processor the result stays in its cache."""
_LEAST_HEIGHT = 64
_LEAST_ROWS, _MOST_ROWS = 1024, 65_536
_INTEGERS = {torch.bfloat16: torch.int16, torch.float16: torch.int16, torch.float32: torch.int32}


class BlockedIndex:
    """All documents of a source, searched exactly."""

    def __init__(self, documents: VectorSource, memory: int, device: str = "auto") -> None:
        """Take the documents.

        Args:
            documents: where the vectors are read from, in every search anew.
            memory: bytes that blocks of documents may take. What a search keeps for its queries comes on top: their
                rounded vectors, 8 bytes for each candidate (two or three for each of the k wanted), and the results.
            device: auto, cpu, cuda, cuda:1 …
        """
        self._documents = documents
        chosen = choose_device(device)
        self._device = chosen if chosen.type in _TILES else torch.device("cpu")
        self._dtype = _fastest_dtype(self._device)
        # A block is there as read, as float32, and rounded; and once more in float32 while its errors are measured.
        self._rows = max(_LEAST_ROWS, min(_MOST_ROWS, memory // (12 * max(1, documents.dim))))

    @property
    def facts(self) -> Mapping[str, int | float | str]:
        """What a report says of the search."""
        return {"index": "blocked", "dtype": str(self._dtype).removeprefix("torch.")}

    def search(self, vectors: Float32, k: int) -> tuple[Float32, Int64]:
        """Scores and positions of the k best, both (n, k), best first, ties by position; k at most the size.

        The score of a pair is the same whatever else is searched with it.
        """
        workers = 1 if self._device.type == "cuda" else n_workers()
        height = max(_LEAST_HEIGHT, min(_TILES[self._device.type][0], -(-len(vectors) // workers)))
        with _single_threaded(workers) as pool, whole_sums(self._device):
            queries = [_Rounded(vectors[i : i + height], self._like) for i in range(0, len(vectors), height)]
            tiles = [_Tile(part, k, self._documents, self._rows) for part in queries]
            for numbers, block in self._documents.blocks(self._rows):
                documents = _Rounded(block, self._like)
                list(pool.map(lambda tile, d=documents, n=numbers: tile.look_at(d, n), tiles))
        return self._best(tiles, vectors, k)

    @property
    def _like(self) -> torch.Tensor:
        return torch.empty(0, dtype=self._dtype, device=self._device)

    def _best(self, tiles: list[_Tile], vectors: Float32, k: int) -> tuple[Float32, Int64]:
        found = [tile.survivors.close() for tile in tiles]
        heights = np.cumsum([0, *(len(tile.queries.exact) for tile in tiles)])
        edges = np.cumsum([0, *(len(rows) for rows, _ in found)])
        numbers = np.concatenate([np.empty(0, np.uint32), *(part for _, part in found)])
        rows = np.concatenate([np.empty(0, np.uint32), *(part.astype(np.uint32) for part, _ in found)])
        rows += np.repeat(heights[:-1], np.diff(edges)).astype(np.uint32)
        scores = exact_scores(self._documents, vectors, rows, numbers, self._rows)
        best = np.empty((len(vectors), k), np.float32), np.empty((len(vectors), k), np.int64)
        for i in range(len(tiles)):
            chosen, place = slice(edges[i], edges[i + 1]), slice(heights[i], heights[i + 1])
            best[0][place], best[1][place] = best_of_each(found[i][0], numbers[chosen], scores[chosen], k)
        return best


@contextlib.contextmanager
def whole_sums(device: torch.device) -> Iterator[None]:
    """Products on a GPU with sums in float32, as the error bound has it: torch may sum float16 in float16."""
    flags = torch.backends.cuda.matmul
    before = flags.allow_fp16_reduced_precision_reduction
    flags.allow_fp16_reduced_precision_reduction = before and device.type != "cuda"
    try:
        yield
    finally:
        flags.allow_fp16_reduced_precision_reduction = before


class _Rounded:
    """Vectors in the number type of the product, and what rounding took from them."""

    def __init__(self, exact: Float32, like: torch.Tensor) -> None:
        given = torch.from_numpy(np.ascontiguousarray(exact)).to(like.device)
        self.exact = exact
        self.vectors = given.to(like.dtype)
        wide = self.vectors.float()
        self.lengths: Float32 = torch.linalg.vector_norm(wide, dim=1).cpu().numpy()
        self.lost: Float32 = torch.linalg.vector_norm(given - wide, dim=1).cpu().numpy()


@dataclass
class _Worst:
    """The longest document so far, and the most that rounding took from one."""

    length: float = 0.0
    lost: float = 0.0


class _Tile:
    """Some queries and what is left for each of them."""

    def __init__(self, queries: _Rounded, k: int, documents: VectorSource, most: int) -> None:
        self.queries, self._k, self._documents, self._most = queries, k, documents, most
        self.survivors = Survivors(len(queries.exact), k, queries.vectors.dtype)
        self._worst = _Worst()

    def look_at(self, block: _Rounded, numbers: Int64) -> None:
        """Keep what may be among the k best."""
        self.survivors.errors = self._errors(block)
        width = _TILES[block.vectors.device.type][1]
        for begin in range(0, len(numbers), width):
            scores = self.queries.vectors @ block.vectors[begin : begin + width].T
            self._filter(scores.view(_INTEGERS[scores.dtype]), numbers[begin : begin + width])
        if self.survivors.is_overfull:
            self._thin_out()

    def _errors(self, block: _Rounded) -> Float32:
        """What a product may be off by before its sum is rounded, for each query, (n,)."""
        worst, queries = self._worst, self.queries
        worst.lost = max(worst.lost, float(block.lost.max()))
        worst.length = max(worst.length, float((block.lengths + block.lost).max()))
        summed = 2.0**-22 * queries.exact.shape[1] * queries.lengths * worst.length
        errors: Float32 = (queries.lost * worst.length + queries.lengths * worst.lost + summed).astype(np.float32)
        return errors

    def _filter(self, scores: torch.Tensor, numbers: Int64) -> None:
        survivors = self.survivors
        if survivors.has_negative_limits:  # as long as nothing is known, too
            scores = ordered(scores)
        if survivors.is_empty and scores.shape[1] >= 2 * self._k:
            survivors.start(_kth_highest(scores.cpu().numpy(), self._k))
        places, values = _not_below(scores, survivors.limits)
        rows, columns = np.divmod(places, scores.shape[1])
        survivors.add(rows, values, numbers[columns])

    def _thin_out(self) -> None:
        """Where very many documents score almost alike, exact scores tell early which of them may go."""
        rows, numbers = self.survivors.close()
        full = self.survivors.full_rows(rows)
        scores = exact_scores(
            self._documents, self.queries.exact, rows[full].astype(np.uint32), numbers[full], self._most
        )
        self.survivors.replace(full, scores)


@contextlib.contextmanager
def _single_threaded(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Workers whose products run in one thread each: tiles need not wait for each other."""
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)  # what a thread sets is what later threads start with


def _not_below(scores: torch.Tensor, limits: Integers) -> tuple[Int64, Integers]:
    """Places in the flattened scores, and the scores, that reach the limit of their row."""
    if scores.device.type == "cpu":
        array = scores.numpy()  # whose comparisons are several times faster
        places = np.flatnonzero(array >= limits[:, None])
        return places, array.ravel()[places]
    chosen = (scores >= torch.from_numpy(limits).to(scores.device)[:, None]).flatten().nonzero().flatten()
    return chosen.cpu().numpy(), scores.flatten()[chosen].cpu().numpy()


def _kth_highest(scores: Integers, k: int) -> Integers:
    kth: Integers = np.partition(scores, scores.shape[1] - k, axis=1)[:, scores.shape[1] - k]
    return kth


def _fastest_dtype(device: torch.device) -> torch.dtype:
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if processor_has_bf16() else torch.float32
