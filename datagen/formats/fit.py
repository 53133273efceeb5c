"""Rows made to fit a format: documents without a score, and queries with too few negatives, by stated rules."""

from __future__ import annotations

import logging
from collections import Counter

import polars as pl

from datagen.errors import InputError, some_of
from datagen.formats.catalog import Format
from datagen.formats.dataset import SIDES
from datagen.formats.options import Short

log = logging.getLogger(__name__)


class Fitting:
    """Fits rows to a format, and counts what did not fit.

    A query that has negatives, but fewer than are wanted, is padded with its own, from the first on again, or left
    out, or an error. One without any negative, in a format that cannot do without, cannot be padded: it is left out
    or an error. So is a query without a positive. `counts` holds what happened, by reason.
    """

    def __init__(self, form: Format, wanted: int | None, short: Short, *, scored: bool) -> None:
        """Take the rules.

        Args:
            form: the format.
            wanted: negatives of each row; None for as many as there are.
            short: what becomes of a query with fewer.
            scored: whether every document must have a score.
        """
        self.form, self.wanted, self.short, self.scored = form, wanted, short, scored
        self.counts: Counter[str] = Counter()

    def fit(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows that fit, in their order.

        Raises:
            InputError: a row does not fit, and that is to be an error.
        """
        if self.scored:
            rows = self._drop_unscored(rows)
        rows = self._leave_out(rows, pl.col("positives").list.len() == 0, "without_positive")
        if not self.form.negatives:
            return rows
        rows = self._leave_out(rows, pl.col("negatives").list.len() == 0, "without_negative")
        return rows if self.wanted is None else self._fill(rows, self.wanted)

    def _drop_unscored(self, rows: pl.DataFrame) -> pl.DataFrame:
        scored = pl.element().filter(pl.element().struct.field("score").is_not_null())
        fitted = rows.with_columns(pl.col(side).list.eval(scored) for side in SIDES)
        lost = sum(int(rows[side].list.len().sum()) - int(fitted[side].list.len().sum()) for side in SIDES)
        self._count("documents_without_score", lost)
        return fitted

    def _leave_out(self, rows: pl.DataFrame, lacking: pl.Expr, reason: str) -> pl.DataFrame:
        left = rows.filter(lacking)
        if left.is_empty():
            return rows
        if self.short == "error":
            raise InputError(
                f"the query {left['query_id'][0]!r} is {reason.replace('_', ' ')}: --short pad repeats what negatives "
                "a query has, --short drop leaves it out"
            )
        log.info("left out, %s: %s", reason.replace("_", " "), some_of(left["query_id"]))
        self._count(f"left_out_{reason}", len(left))
        return rows.filter(~lacking)

    def _fill(self, rows: pl.DataFrame, wanted: int) -> pl.DataFrame:
        size = pl.col("negatives").list.len()
        if self.short != "pad":
            rows = self._leave_out(rows, size < wanted, "short_of_negatives")
            return rows.with_columns(pl.col("negatives").list.head(wanted))
        self._count("padded", int(rows.select((size < wanted).sum()).item()))
        places = pl.int_ranges(0, pl.lit(wanted), dtype=pl.Int64) % size.cast(pl.Int64)
        padded = pl.when(size < wanted).then(pl.col("negatives").list.gather(places))
        if rows.select((size == wanted).all()).item():
            return rows
        return rows.with_columns(padded.otherwise(pl.col("negatives").list.head(wanted)))

    def _count(self, what: str, number: int) -> None:
        if number:
            self.counts[what] += number
