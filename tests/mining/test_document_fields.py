"""Fields of documents as numbers."""

from __future__ import annotations

import polars as pl
import pytest

from datagen.errors import ConfigError
from datagen.mining.document_fields import code_field

CORPUS = pl.DataFrame(
    {
        "language": ["en", "de", None, "en"],
        "origin": ["file"] * 4,
        "title": [None, "", None, None],
        "meta": ['{"url": "b", "the kind": 2, "none": null}', '{"url": "a"}', None, '{"url": "b", "the kind": 3}'],
    },
    schema_overrides={"title": pl.String},
)


@pytest.mark.parametrize(
    ("name", "codes"),
    [("url", [1, 0, -1, 1]), ("the kind", [0, -1, -1, 1]), ("language", [1, 0, -1, 1]), ("origin", [0, 0, 0, 0])],
)
def test_equal_values_have_one_number_and_none_has_minus_one(name: str, codes: list[int]) -> None:
    assert code_field(CORPUS, name).tolist() == codes


@pytest.mark.parametrize("name", ["tenant", "title", "none", 'u"rl'])
def test_a_field_that_no_document_has_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(ConfigError, match="choose one of language, origin, the kind, url") as caught:
        code_field(CORPUS, name)
    assert repr(name) in str(caught.value)


def test_a_corpus_without_any_field_says_so() -> None:
    bare = CORPUS.with_columns(pl.lit(None, pl.String).alias(name) for name in ("language", "origin", "meta"))
    with pytest.raises(ConfigError, match="choose one of none"):
        code_field(bare, "url")
