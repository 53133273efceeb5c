"""Approximate nearest neighbours: FAISS finds candidates, the stored vectors give their exact scores.

Documents are cut into parts, each an index file of its own in the cache, built one after the other and searched one
after the other: a kill costs at most one part, and memory holds as many parts as it may, at least one. How hard to
search is measured: the effort doubles until the recall of a sample of the run's own queries, against exact search,
reaches what was asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import faiss
import numpy as np

from datagen.backends.exact import best_of_each, exact_scores
from datagen.backends.faiss_parts import KINDS, Parts
from datagen.backends.index_blocked import BlockedIndex
from datagen.backends.protocols import Float32, Int64, SearchDemand, VectorSource
from datagen.config import fingerprint
from datagen.progress import Progress

log = logging.getLogger(__name__)

PART_BYTES = 2**27
"""About the size of a part on disk: it may not depend on the memory of a run, or each would build its own."""

_LEAST_ROWS, _MOST_ROWS = 1024, 32_768
_SAMPLE_SEED = 42


class ApproximateIndex:
    """The documents of a source in parts on disk, searched approximately, scored exactly."""

    def __init__(
        self,
        kind: str,
        documents: VectorSource,
        demand: SearchDemand,
        min_recall: float,
        cache: Path,
    ) -> None:
        """Name the parts; `build` makes those that are not there.

        Args:
            kind: `ivf` or `hnsw`.
            documents: the vectors.
            demand: what will be asked; recall is measured at its depth on its sample. Half of its memory is for parts,
                a quarter for vectors of documents, a quarter for what is found of some of the queries.
            min_recall: the recall to reach, 0 to 1.
            cache: where indexes are kept, under the identity of the documents.
        """
        self._parts: Parts = KINDS[kind](documents.dim, len(documents))
        self._documents, self._demand, self._min_recall = documents, demand, min_recall
        affordable = demand.memory // 4 // (6 * max(1, documents.dim))
        self._block = max(_LEAST_ROWS, min(_MOST_ROWS, affordable))
        self._rows = max(1, PART_BYTES // self._parts.bytes_per_document)
        settings = fingerprint(kind, self._rows, self._parts.n_training, documents.dim, faiss.__version__)
        self._folder = cache / "indexes" / f"{documents.identity}-{settings}"
        self._exact = BlockedIndex(documents, demand.memory // 4, "cpu")
        self._loaded: dict[Path, faiss.Index] = {}
        self._tuned: dict[int, tuple[int, float]] = {}

    @property
    def facts(self) -> Mapping[str, int | float | str]:
        """Kind, the lowest recall measured and at which depth, and what was asked for."""
        told: dict[str, int | float | str] = {"index": self._parts.name, "min_recall": self._min_recall}
        if self._tuned:
            depth, (effort, recall) = min(self._tuned.items(), key=lambda item: item[1][1])
            told |= {"recall": round(recall, 4), "depth": depth, "effort": effort, "sample": len(self._demand.sample)}
        return told

    @property
    def is_short_of_recall(self) -> bool:
        """Whether a measured recall stayed below what was asked for."""
        return any(recall < self._min_recall for _, recall in self._tuned.values())

    def build(self, progress: Progress) -> None:
        """Train, and write the parts that are not there; then measure the recall at the depth that was announced."""
        paths = self._paths
        missing = [number for number, path in enumerate(paths) if not path.exists()]
        if missing:
            with progress.step("index", len(self._documents), "documents") as advance:
                advance(sum(len(self._numbers(number)) for number in range(len(paths)) if number not in missing))
                if not self._trained.exists():
                    self._parts.train(self._training_sample(), self._trained)
                for number in missing:
                    self._parts.fill(self._trained, self._blocks(self._numbers(number)), paths[number])
                    advance(len(self._numbers(number)))
        self._effort(min(self._demand.depth, len(self._documents)))

    def search(self, vectors: Float32, k: int) -> tuple[Float32, Int64]:
        """Scores and positions of the k best that were found, both (n, k), best first, ties by position.

        Queries for which fewer than k documents were found are searched exactly.
        """
        if self._wanted(k) >= len(self._documents):
            return self._exact.search(vectors, k)
        return self._search(np.ascontiguousarray(vectors), k, self._effort(k))

    def _effort(self, k: int) -> int:
        """The effort for k documents: measured once at the announced depth, and again for every doubling of it."""
        depth = self._demand.depth
        while depth < k:
            depth *= 2
        depth = min(depth, len(self._documents))
        if self._wanted(depth) >= len(self._documents) or not len(self._demand.sample):
            return self._parts.efforts(self._wanted(depth))[-1]
        if depth not in self._tuned:
            self._tuned[depth] = self._tune(depth)
        return self._tuned[depth][0]

    def _tune(self, depth: int) -> tuple[int, float]:
        sample = np.ascontiguousarray(self._demand.sample)
        last = self._exact.search(sample, depth)[0][:, -1:]
        effort, recall = 0, 0.0
        for effort in self._parts.efforts(self._wanted(depth)):
            recall = float((self._search(sample, depth, effort)[0] >= last).mean())
            if recall >= self._min_recall:
                break
        found = f"{self._parts.name}: recall {recall:.4f} of the {depth} nearest, on {len(sample)} queries"
        if recall < self._min_recall:
            log.warning("%s, below min_recall %s at the most effort: try --index blocked", found, self._min_recall)
        else:
            log.info("%s (effort %d)", found, effort)
        return effort, recall

    def _search(self, queries: Float32, k: int, effort: int) -> tuple[Float32, Int64]:
        trained = faiss.read_index(str(self._trained))
        at_once = max(1024, self._demand.memory // 4 // (12 * effort + 48 * self._wanted(k)))
        best = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
        for begin in range(0, len(queries), at_once):
            some = slice(begin, begin + at_once)
            positions = self._candidates(trained, queries[some], self._wanted(k), effort)
            best[0][some], best[1][some] = self._scored(queries[some], positions, k)
        return best

    def _candidates(self, trained: faiss.Index, queries: Float32, wanted: int, effort: int) -> Int64:
        """The best by rough scores among all parts, (n, wanted), -1 where there are fewer."""
        assigned = self._parts.assign(trained, queries, effort)
        scores = np.full((len(queries), wanted), -np.inf, np.float32)
        positions = np.full((len(queries), wanted), -1, np.int64)
        for number, path in enumerate(self._paths):
            more, found = self._parts.search(self._load(path), queries, wanted, effort, assigned)
            more[found < 0] = -np.inf
            found[found >= 0] += number * self._rows
            both = np.concatenate([scores, more], axis=1), np.concatenate([positions, found], axis=1)
            chosen = np.argpartition(-both[0], wanted - 1, axis=1)[:, :wanted]
            scores, positions = (np.take_along_axis(array, chosen, axis=1) for array in both)
        return positions

    def _scored(self, queries: Float32, positions: Int64, k: int) -> tuple[Float32, Int64]:
        enough = (positions >= 0).sum(axis=1) >= k
        best = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
        if not enough.all():
            best[0][~enough], best[1][~enough] = self._exact.search(queries[~enough], k)
        rows, columns = np.nonzero(positions[enough] >= 0)
        numbers = positions[enough][rows, columns].astype(np.uint32)
        own = np.ascontiguousarray(queries[enough])
        scores = exact_scores(self._documents, own, rows.astype(np.uint32), numbers, self._block)
        if len(own):
            best[0][enough], best[1][enough] = best_of_each(rows.astype(np.uint32), numbers, scores, k)
        return best

    def _wanted(self, k: int) -> int:
        """Candidates for k results: rough scores do not order them quite as exact ones do."""
        return min(k + k // 2 + 16, len(self._documents))

    def _load(self, path: Path) -> faiss.Index:
        """A part, kept while all kept ones fit into the share of memory that is theirs."""
        if path not in self._loaded:
            held = sum(kept.stat().st_size for kept in self._loaded)
            if held + path.stat().st_size > self._demand.memory // 2:
                self._loaded.clear()
            self._loaded[path] = self._parts.load(path)
        return self._loaded[path]

    @property
    def _trained(self) -> Path:
        return self._folder / "trained.faiss"

    @property
    def _paths(self) -> list[Path]:
        count = -(-len(self._documents) // self._rows)
        return [self._folder / f"part-{number:05d}.faiss" for number in range(count)]

    def _numbers(self, part: int) -> Int64:
        return np.arange(part * self._rows, min((part + 1) * self._rows, len(self._documents)))

    def _blocks(self, numbers: Int64) -> Iterator[Float32]:
        for begin in range(0, len(numbers), self._block):
            yield self._documents.take(numbers[begin : begin + self._block])

    def _training_sample(self) -> Float32:
        affordable = max(1, self._demand.memory // 4 // (4 * max(1, self._documents.dim)))
        size = min(self._parts.n_training, affordable)
        chosen = np.random.default_rng(_SAMPLE_SEED).choice(len(self._documents), size, replace=False)
        return self._documents.take(np.sort(chosen))
