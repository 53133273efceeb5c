"""A data set without the faults that an audit found: what goes, what moves, and each change with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from datagen.audit.findings import CERTAIN, KNOWN_POSITIVE
from datagen.audit.material import LISTS, NEGATIVE, POSITIVE
from datagen.settings.audit import RepairConfig

DROPPED_QUERY = "dropped_query"
DROPPED_POSITIVE = "dropped_positive"
DROPPED_NEGATIVE = "dropped_negative"
MOVED = "moved"
SHORT = "short"
NO_POSITIVE = "no_positive"
FEW_NEGATIVES = "few_negatives"

CHANGES: Mapping[str, pl.DataType] = {
    "row": pl.Int64(),
    "query_id": pl.String(),
    "change": pl.String(),
    "place": pl.Int64(),
    "doc_id": pl.String(),
    "reason": pl.String(),
    "score": pl.Float64(),
    "detail": pl.String(),
}
"""`row` and `place` count in the data set as it was; `short` changes nothing: it says what the repair left short."""

_USE = ["row", "role", "place"]


@dataclass(frozen=True)
class Repaired:
    """The rows that stay, cleaned, in their order; and what was changed."""

    rows: pl.DataFrame
    changes: pl.DataFrame
    """With the columns of `CHANGES`, ordered by row. What has several faults stands once, for the first of them."""


def repair(
    rows: pl.DataFrame, findings: pl.DataFrame, config: RepairConfig, *, needs_negatives: bool = False
) -> Repaired:
    """Remove the faults that the settings name.

    A row with a fault of its own goes. A negative or positive with one goes from its list; a negative that is labelled
    relevant moves to the positives, if nothing else is wrong with it. A row that loses its last positive goes. One that
    loses negatives and has too few left is named in the changes, or goes, as the settings say.

    Args:
        rows: query_id, and the lists `positives` and `negatives` of structs.
        findings: of an audit of these rows.
        config: which faults, and what to do with short rows.
        needs_negatives: whether a row without any negative cannot be written: if the repair took the last, it goes.
    """
    wanted = findings.filter(pl.col("fault").is_in(config.faults or CERTAIN))
    whole = wanted.filter(pl.col("role") == "query").unique("row", keep="first", maintain_order=True)
    uses = wanted.filter(pl.col("role") != "query").join(whole, on="row", how="anti", maintain_order="left")
    uses = _first_reasons(uses)
    numbered = rows.with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias("row"))
    kept = numbered.join(whole, on="row", how="anti", maintain_order="left")
    cleaned = _clean(kept, uses)
    lost = _lost(cleaned, uses, config, needs_negatives)
    staying = cleaned.join(lost.filter(pl.col("change") == DROPPED_QUERY), on="row", how="anti", maintain_order="left")
    changed = pl.concat([_changes(whole, DROPPED_QUERY), _changes(uses), lost]).sort("row", maintain_order=True)
    return Repaired(staying.drop("row"), changed)


def count_changes(changes: pl.DataFrame) -> dict[str, dict[str, int]]:
    """How many changes of each kind there are for each reason."""
    counts = changes.group_by("change", "reason", maintain_order=True).len()
    out: dict[str, dict[str, int]] = {}
    for change, reason, number in counts.sort("len", descending=True, maintain_order=True).iter_rows():
        out.setdefault(change, {})[reason] = number
    return out


def _first_reasons(uses: pl.DataFrame) -> pl.DataFrame:
    """Each use once, with what becomes of it: it moves only where being labelled relevant is all that it has."""
    moves = (pl.col("fault") == KNOWN_POSITIVE).all().over(_USE) & (pl.col("role") == NEGATIVE)
    gone = pl.lit("dropped_") + pl.col("role")
    marked = uses.with_columns(change=pl.when(moves).then(pl.lit(MOVED)).otherwise(gone))
    return marked.unique(_USE, keep="first", maintain_order=True)


def _clean(rows: pl.DataFrame, uses: pl.DataFrame) -> pl.DataFrame:
    """The rows with the given uses gone from their lists; only rows with such uses are taken apart."""
    touched = rows.join(uses, on="row", how="semi", maintain_order="left")
    if touched.is_empty():
        return rows
    parts = pl.concat(_unfold(touched, role) for role in LISTS)
    marked = parts.join(uses.select(*_USE, "change"), on=_USE, how="left", maintain_order="left")
    stays = marked.filter(pl.col("change").is_null() | (pl.col("change") == MOVED))
    moved = pl.col("change") == MOVED
    stays = stays.with_columns(role=pl.when(moved).then(pl.lit(POSITIVE)).otherwise("role"))
    for role, column in LISTS.items():
        ours = (
            stays.filter(pl.col("role") == role).group_by("row", maintain_order=True).agg(pl.col("use").alias(column))
        )
        touched = touched.drop(column).join(ours, on="row", how="left", maintain_order="left")
        touched = touched.with_columns(pl.col(column).fill_null([]))
    untouched = rows.join(uses, on="row", how="anti", maintain_order="left")
    return pl.concat([untouched, touched.select(rows.columns)]).sort("row")


def _unfold(rows: pl.DataFrame, role: str) -> pl.DataFrame:
    column = LISTS[POSITIVE if role == POSITIVE else NEGATIVE]
    some = rows.select("row", use=column).filter(pl.col("use").list.len() > 0).explode("use")
    place = pl.int_range(pl.len(), dtype=pl.Int64).over("row")
    return some.select("row", role=pl.lit(role), place=place, use="use")


def _lost(cleaned: pl.DataFrame, uses: pl.DataFrame, config: RepairConfig, needs_negatives: bool) -> pl.DataFrame:
    """Rows that the repair left without a positive, or with too few negatives."""
    sizes = cleaned.select("row", "query_id", *(pl.col(column).list.len() for column in LISTS.values()))
    took = uses.group_by("row").agg(taken=pl.col("role").unique())
    touched = sizes.join(took, on="row", how="inner", maintain_order="left")
    bare = (pl.col("positives") == 0) & pl.col("taken").list.contains(POSITIVE)
    least = max(config.min_negatives, int(needs_negatives))
    few = (pl.col("negatives") < least) & pl.col("taken").list.contains(NEGATIVE)
    goes = bare | pl.lit(config.short == "drop") | (pl.lit(needs_negatives) & (pl.col("negatives") == 0))
    judged = touched.filter(bare | few).with_columns(
        change=pl.when(goes).then(pl.lit(DROPPED_QUERY)).otherwise(pl.lit(SHORT)),
        fault=pl.when(bare).then(pl.lit(NO_POSITIVE)).otherwise(pl.lit(FEW_NEGATIVES)),
        detail=pl.format("{} negatives left", "negatives"),
    )
    return _changes(judged)


def _changes(frame: pl.DataFrame, change: str | None = None) -> pl.DataFrame:
    named = frame.with_columns(reason="fault", **({} if change is None else {"change": pl.lit(change)}))
    missing = [pl.lit(None).alias(name) for name in CHANGES if name not in named.columns]
    return named.with_columns(missing).select(pl.col(name).cast(kind) for name, kind in CHANGES.items())
