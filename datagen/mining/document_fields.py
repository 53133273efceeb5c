"""What is known of the documents beside their text, as numbers that rules can compare."""

from __future__ import annotations

import json

import polars as pl

from datagen.backends.protocols import Int64
from datagen.errors import ConfigError
from datagen.selection.fields import NO_VALUE

_COLUMNS = ("language", "origin", "title")
_LOOKED_AT = 1000
"""Different `meta` that a message about a wrong name is made from."""


def code_field(corpus: pl.DataFrame, name: str) -> Int64:
    """A number for the value of a field of each document, the same for equal values, -1 for none, int64 (n_documents,).

    Args:
        corpus: with language, origin, title and meta.
        name: one of the first three, or a key of the JSON object in meta; a key wins over a column of the same name.

    Raises:
        ConfigError: no document has such a field; the message lists those that exist.
    """
    values = corpus["meta"].str.json_path_match(f"$[{json.dumps(name)}]")
    if not values.count() and name in _COLUMNS:
        values = corpus[name].replace("", None)
    if not values.count():
        raise ConfigError(f"no document has a field {name!r}: choose one of {', '.join(_fields(corpus)) or 'none'}")
    return (values.rank("dense").cast(pl.Int64) - 1).fill_null(NO_VALUE).to_numpy()


def _fields(corpus: pl.DataFrame) -> list[str]:
    """The fields that some document has."""
    found = {name for name in _COLUMNS if corpus[name].replace("", None).count()}
    for meta in corpus["meta"].drop_nulls().unique(maintain_order=True).head(_LOOKED_AT):
        known = json.loads(meta)
        found |= {key for key, value in known.items() if value is not None}
    return sorted(found)
