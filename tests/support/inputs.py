"""An input read as a whole."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from datagen.settings.input import InputConfig
from datagen.sources import load_input


class Loaded(NamedTuple):
    """The three tables of an input."""

    corpus: pl.DataFrame
    queries: pl.DataFrame
    pairs: pl.DataFrame


def load(config: InputConfig) -> Loaded:
    """All rows of an input, its slices put together."""
    raw = load_input(config)
    return Loaded(pl.concat(raw.corpus), raw.queries, raw.pairs)
