"""What is measured of a candidate, beside the definitions of `selection.doubt.FEATURES` computed in a plain way."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.backends.protocols import Float32
from datagen.mining import evidence
from datagen.mining.evidence import Asked, Evidence
from datagen.selection.arrays import Float64, Lists
from datagen.selection.doubt import FEATURES
from datagen.selection.near import Neighbours
from datagen.selection.select import Candidates, from_search
from datagen.selection.sparse import SparseRows

N_QUERIES, N_DOCUMENTS, DEPTH = 5, 80, 30
KNOWN = {0: [3], 1: [4, 40], 3: [7, 8, 9], 4: [11]}  # query 2 has no positive


def _unit(n: int, seed: int) -> Float32:
    vectors = np.random.default_rng(seed).standard_normal((n, 16)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


QUERIES, DOCUMENTS = _unit(N_QUERIES, 0), _unit(N_DOCUMENTS, 1)
WORDS = np.abs(_unit(N_DOCUMENTS, 2)) * (_unit(N_DOCUMENTS, 3) > 0)
QUERY_WORDS = np.abs(_unit(N_QUERIES, 4)) * (_unit(N_QUERIES, 5) > 0)


def _rows(dense: Float32) -> SparseRows:
    row, column = np.nonzero(dense)
    return SparseRows(np.searchsorted(row, np.arange(len(dense) + 1)), column, dense[row, column])


def _candidates() -> Candidates:
    scores = QUERIES @ DOCUMENTS.T
    order = np.argsort(-scores, axis=1)[:, :DEPTH]
    return from_search(np.take_along_axis(scores, order, 1), order, np.arange(N_QUERIES))


def _asked(neighbours: Neighbours | None = None, *, words: bool = True) -> Asked:
    pairs = [(row, document) for row, documents in KNOWN.items() for document in documents]
    rows, documents = (np.array(column) for column in zip(*pairs, strict=True))
    positives = Lists.from_pairs(rows, documents, N_QUERIES)
    scores = (QUERIES @ DOCUMENTS.T)[positives.rows, positives.values].astype(np.float64)
    return Asked(QUERIES, _rows(QUERY_WORDS) if words else None, positives, scores, neighbours)


def _evidence(sample: int = N_DOCUMENTS) -> Evidence:
    of_sample = _rows(WORDS[:sample])
    return Evidence(
        lambda n: DOCUMENTS[n], DOCUMENTS[:sample], N_DOCUMENTS, lambda n: _rows(WORDS[n]), of_sample, unmarked=1.5
    )


def _z(scores: Float64, value: float) -> float:
    middle = np.median(scores)
    return float((value - middle) / np.median(np.abs(scores - middle)))


def _expected(row: int, document: int) -> dict[str, float]:
    own, known = (QUERIES[row] @ DOCUMENTS.T).astype(np.float64), KNOWN[row]
    around = {p: (DOCUMENTS[p] @ DOCUMENTS.T).astype(np.float64) for p in known}
    wording, z = QUERY_WORDS[row] @ WORDS.T, _z(own, own[document])
    positive = _z(own, float(np.median(own[known])))
    return {
        "gap": positive - z,
        "score": z,
        "positive_score": positive,
        "top_gap": _z(own, own.max()) - z,
        "rank": float(np.log2((own > own[document]).sum() + 1)),
        "document_score": max(_z(around[p], around[p][document]) for p in known),
        "document_rank": float(np.log2(min(max(1, (around[p] > around[p][document] + 1e-6).sum()) for p in known))),
        "word_gap": float(np.mean(wording[known]) - wording[document]),
        "word_share": float(np.log10(((wording > wording[document] + 1e-6).sum() + 0.5) / (N_DOCUMENTS + 1))),
        "document_words": max(float(WORDS[p] @ WORDS[document]) for p in known),
        "unmarked": 1.5,
    }


def _neighbours() -> Neighbours:
    asked = _asked()
    searched, place = np.unique(asked.positives.values, return_inverse=True)
    scores = DOCUMENTS[searched] @ DOCUMENTS.T
    order = np.argsort(-scores, axis=1)
    own = np.ones(len(searched), np.float32)
    return Neighbours(place, asked.positives.starts, order, np.take_along_axis(scores, order, 1), own)


@pytest.mark.parametrize("cells", [1 << 14, 40], ids=["one block", "a query a block"])
def test_each_feature_is_what_its_description_says(monkeypatch: pytest.MonkeyPatch, cells: int) -> None:
    monkeypatch.setattr(evidence, "_CELLS", cells)
    candidates = _candidates()
    measured = _evidence().measure(_asked(_neighbours()), candidates, candidates.ranks.astype(np.int64))
    assert measured.shape == (N_QUERIES * DEPTH, len(FEATURES))
    for place in range(0, len(measured), 7):
        row, document = int(candidates.rows[place]), int(candidates.documents[place])
        if row in KNOWN:
            expected = _expected(row, document)
            assert dict(zip(FEATURES, measured[place], strict=True)) == pytest.approx(expected, abs=2e-3)
    assert np.isnan(measured[candidates.rows == 2]).all()


def test_without_neighbours_the_sample_tells_the_rank() -> None:
    candidates = _candidates()
    ranks = candidates.ranks.astype(np.int64)
    exact, told = (_evidence().measure(_asked(around), candidates, ranks) for around in (_neighbours(), None))
    column = FEATURES.index("document_rank")
    known = ~np.isnan(exact[:, column])
    np.testing.assert_allclose(2 ** told[known, column], 2 ** exact[known, column], atol=1.5)


def test_features_of_words_are_not_known_without_words() -> None:
    candidates = _candidates()
    measured = _evidence().measure(_asked(words=False), candidates, candidates.ranks.astype(np.int64))
    without = np.isnan(measured[candidates.rows == 0]).all(axis=0)
    assert [name for name, missing in zip(FEATURES, without, strict=True) if missing] == [
        "word_gap",
        "word_share",
        "document_words",
    ]


def test_a_candidate_that_the_search_did_not_reach_has_the_rank_that_the_sample_tells() -> None:
    scores = QUERIES @ DOCUMENTS.T
    farthest = scores.argmin(axis=1)
    rows = np.repeat(np.arange(N_QUERIES), 2)
    both = np.stack([scores.argmax(axis=1), farthest], axis=1).ravel()
    candidates = Candidates(rows, both, np.ones(len(rows), np.int32), scores[rows, both])
    measured = _evidence(40).measure(_asked(), candidates, np.tile([1, 0], N_QUERIES))
    ranks = 2 ** measured[:, FEATURES.index("rank")].reshape(-1, 2)
    known = [row for row in range(N_QUERIES) if row in KNOWN]
    assert ranks[known, 0].tolist() == [1.0] * len(known)
    assert (ranks[known, 1] > N_DOCUMENTS * 0.9).all()


def test_no_candidates_have_no_features() -> None:
    nothing = _candidates().take(np.empty(0, np.int64))
    assert _evidence().measure(_asked(), nothing, np.empty(0, np.int64)).shape == (0, len(FEATURES))
