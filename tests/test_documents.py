"""How a corpus row becomes one text."""

from __future__ import annotations

import polars as pl
import pytest

from datagen.documents import cut_from_same, join_parents, render_documents, text_groups

CORPUS = pl.DataFrame({"title": ["Liver", None, ""], "text": ["makes bile ", "alone", "{braces} stay"]})


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{title} {text}", ["Liver makes bile", "alone", "{braces} stay"]),
        ("{text}", ["makes bile", "alone", "{braces} stay"]),
        (
            "passage: {text} ({title})",
            ["passage: makes bile  (Liver)", "passage: alone ()", "passage: {braces} stay ()"],
        ),
    ],
)
def test_render_documents_fills_the_template(template: str, expected: list[str]) -> None:
    assert render_documents(CORPUS, template).to_list() == expected


def test_text_groups_are_equal_exactly_for_texts_equal_after_normalisation() -> None:
    documents = pl.Series(["The Liver!", "the  liver", "kidney", "?"])
    queries = pl.Series(["the liver", "heart", "?"])
    d, q = text_groups([documents[:1], documents[1:]], queries)
    assert d[0] == d[1] == q[0]
    assert d[3] == q[2]
    assert len({d[0], d[2], d[3], q[1]}) == 4


def test_a_generated_passage_joins_the_group_of_its_parent_and_a_users_does_not() -> None:
    corpus = pl.DataFrame(
        {
            "doc_id": ["a", "a#cloze", "b", "c"],
            "origin": ["x", "generate:inverse_cloze", "x", "x"],
            "meta": [None, '{"parent": "a"}', '{"parent": "a"}', None],
        }
    )
    assert join_parents(pl.Series([1, 2, 3, 4]), corpus).to_list() == [1, 1, 3, 4]


def test_passages_of_one_document_are_kin_and_a_users_own_numbering_is_not() -> None:
    corpus = pl.DataFrame(
        {
            "doc_id": ["a#0", "a#1", "b", "c#0", "mine#1", "a#1#cloze-1"],
            "origin": ["file", "file", "file", "file", "file", "generate:inverse_cloze"],
            "meta": [
                '{"parent": "a", "chunk": 0}',
                '{"parent": "a", "chunk": 1}',
                None,
                '{"parent": "c", "chunk": 0}',
                '{"parent": "other", "chunk": 1}',
                '{"parent": "a#1"}',
            ],
        }
    )
    found = cut_from_same(pl.Series([0, 2, 3, 4, 0]), corpus)
    assert found.rows() == [(0, 0, 0), (0, 1, 1), (0, 5, 1), (3, 3, 0)]
