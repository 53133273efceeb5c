"""FAISS indexes of a part of the documents each: how the two approximate kinds are trained, filled and searched.

`ivf` is an inverted file (documents sorted into lists by nearest centroid, a query looks into some lists), `hnsw` a
graph of neighbours (Malkov and Yashunin, arXiv 1603.09320). Both hold 8 bits a dimension.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import faiss
import numpy as np

from datagen.backends.protocols import Float32, Int64
from datagen.storage import replacing

Wrapped: TypeAlias = Any  # Any: FAISS gives its classes other methods at run time than its types say
TRAINING = 64
"""Documents a centroid that the lists are trained on; FAISS warns below 39."""

_LEAST_TRAINING = 39
_NEIGHBOURS = 32
_CONSTRUCTION = 80
_RANGE_SAMPLE = 65_536
_PROBED = 0.25
_MOST_VISITED = 8192


class Parts(Protocol):
    """One kind of index over parts of the documents."""

    name: str

    @property
    def bytes_per_document(self) -> int:
        """What a document takes in a part, about."""
        ...

    @property
    def n_training(self) -> int:
        """How many documents to train on."""
        ...

    def train(self, sample: Float32, path: Path) -> None:
        """Write what all parts start from."""
        ...

    def fill(self, trained: Path, blocks: Iterable[Float32], path: Path) -> None:
        """Write one part."""
        ...

    def load(self, path: Path) -> faiss.Index:
        """A part in memory, on all GPUs where FAISS has them and the kind can use them."""
        ...

    def efforts(self, k: int) -> list[int]:
        """What to try, least effort first, up to the most that is worth it, to find k documents."""
        ...

    def assign(self, trained: Wrapped, queries: Float32, effort: int) -> tuple[Int64, Float32] | None:
        """What is the same for all parts."""
        ...

    def search(
        self, part: faiss.Index, queries: Float32, k: int, effort: int, assigned: tuple[Int64, Float32] | None
    ) -> tuple[Float32, Int64]:
        """Rough scores and positions in the part, both (n, k), -1 where fewer were found."""
        ...


class IvfParts:
    """Inverted lists, 8 bits a dimension; the effort is how many lists a query looks into."""

    name = "ivf"

    def __init__(self, dim: int, n_documents: int) -> None:
        """Choose the number of lists: twice the square root of the documents, where these suffice to train them."""
        self._dim = dim
        self._n_lists = max(1, min(int(2 * n_documents**0.5), n_documents // _LEAST_TRAINING))
        self.n_training = min(n_documents, TRAINING * self._n_lists)

    @property
    def bytes_per_document(self) -> int:
        """What a document takes in a part, about."""
        return self._dim + 8

    def train(self, sample: Float32, path: Path) -> None:
        """Write what all parts start from: the centroids and the range of each dimension."""
        index = faiss.IndexIVFScalarQuantizer(
            faiss.IndexFlatIP(self._dim),
            self._dim,
            self._n_lists,
            faiss.ScalarQuantizer.QT_8bit,
            faiss.METRIC_INNER_PRODUCT,
        )
        index.train(sample)
        _write(index, path)

    def fill(self, trained: Path, blocks: Iterable[Float32], path: Path) -> None:
        """Write one part."""
        _fill(trained, blocks, path)

    def load(self, path: Path) -> faiss.Index:
        """A part in memory, on all GPUs where FAISS has them."""
        return to_gpus(faiss.read_index(str(path)))

    def efforts(self, k: int) -> list[int]:
        """Powers of two, up to a quarter of the lists."""
        most = max(1, int(_PROBED * self._n_lists))
        return _doubling(min(4, most), most)

    def assign(self, trained: Wrapped, queries: Float32, effort: int) -> tuple[Int64, Float32] | None:
        """The lists of each query and their scores, both (n, effort)."""
        scores, lists = trained.quantizer.search(queries, effort)
        return lists, scores

    def search(
        self, part: faiss.Index, queries: Float32, k: int, effort: int, assigned: tuple[Int64, Float32] | None
    ) -> tuple[Float32, Int64]:
        """Rough scores and positions in the part, both (n, k), -1 where fewer were found."""
        if isinstance(part, faiss.IndexIVF) and assigned is not None:
            inverted: Wrapped = part
            inverted.nprobe = effort
            scores, positions = inverted.search_preassigned(queries, k, *assigned)
        else:  # on GPUs
            faiss.GpuParameterSpace().set_index_parameter(part, "nprobe", effort)
            scores, positions = part.search(queries, k)
        return scores, positions


class HnswParts:
    """Graphs of neighbours, 8 bits a dimension; the effort is how many documents a query keeps in view."""

    name = "hnsw"

    def __init__(self, dim: int, n_documents: int) -> None:
        """Keep the length of a vector."""
        self._dim = dim
        self.n_training = min(n_documents, _RANGE_SAMPLE)

    @property
    def bytes_per_document(self) -> int:
        """What a document takes in a part, about."""
        return self._dim + 9 * _NEIGHBOURS

    def train(self, sample: Float32, path: Path) -> None:
        """Write what all parts start from: the range of each dimension."""
        make: Wrapped = faiss.IndexHNSWSQ
        index = make(self._dim, faiss.ScalarQuantizer.QT_8bit, _NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = _CONSTRUCTION
        index.train(sample)
        _write(index, path)

    def fill(self, trained: Path, blocks: Iterable[Float32], path: Path) -> None:
        """Write one part."""
        _fill(trained, blocks, path)

    def load(self, path: Path) -> faiss.Index:
        """A part in memory; FAISS searches graphs on the processor."""
        return faiss.read_index(str(path))

    def efforts(self, k: int) -> list[int]:
        """From k documents kept in view, doubling, to some thousand."""
        return _doubling(max(k, 32), max(2 * k, _MOST_VISITED))

    def assign(self, trained: Wrapped, queries: Float32, effort: int) -> tuple[Int64, Float32] | None:
        """Nothing: each part has its own way in."""
        return None

    def search(
        self, part: faiss.Index, queries: Float32, k: int, effort: int, assigned: tuple[Int64, Float32] | None
    ) -> tuple[Float32, Int64]:
        """Rough scores and positions in the part, both (n, k), -1 where fewer were found."""
        graph: Wrapped = part
        graph.hnsw.efSearch = effort
        scores, positions = graph.search(queries, k)
        return scores, positions


KINDS: dict[str, type[IvfParts | HnswParts]] = {"ivf": IvfParts, "hnsw": HnswParts}


def to_gpus(index: faiss.Index) -> faiss.Index:
    """The index on all GPUs, by cuVS where FAISS was built with it; the index itself where there are none."""
    if not getattr(faiss, "get_num_gpus", lambda: 0)():
        return index
    options = faiss.GpuMultipleClonerOptions()
    if hasattr(options, "use_cuvs"):
        options.use_cuvs = "CUVS" in faiss.get_compile_options()
    return faiss.index_cpu_to_all_gpus(index, co=options)


def _fill(trained: Path, blocks: Iterable[Float32], path: Path) -> None:
    index = faiss.read_index(str(trained))
    for vectors in blocks:
        index.add(np.ascontiguousarray(vectors))
    _write(index, path)


def _write(index: faiss.Index, path: Path) -> None:
    with replacing(path) as temporary:
        faiss.write_index(index, str(temporary))


def _doubling(first: int, last: int) -> list[int]:
    efforts = [first]
    while efforts[-1] < last:
        efforts.append(min(2 * efforts[-1], last))
    return efforts
