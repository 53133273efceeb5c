from __future__ import annotations

import polars as pl

from datagen.audit.findings import KNOWN_POSITIVE
from datagen.audit.labels import find_labelled
from tests.support.audits import found, material_of


def test_negatives_that_are_labelled_relevant_are_found() -> None:
    labels = pl.DataFrame(
        {
            "query_id": ["q0", "q0", "q0", "q1", "q1"],
            "doc_id": ["b", "c", "c", "b", "a"],
            "relevance": [2.0, 0.0, 0.0, 0.0, 1.0],
        }
    )
    findings, figures = find_labelled(material_of(("q", ["a"], ["b", "c"]), ("r", ["a"], ["b", "d"])), labels)
    assert found(findings, KNOWN_POSITIVE) == [(0, "negative", 0)]
    assert findings["score"].to_list() == [2.0]
    assert figures == {"labelled_negatives": 3, "labelled_relevant_share": 1 / 3}
