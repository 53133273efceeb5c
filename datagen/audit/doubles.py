"""What stands twice in a data set or is not there at all: rows, queries, passages, blank texts, queries as passages."""

from __future__ import annotations

import numpy as np
import polars as pl

from datagen.audit.findings import EMPTY_TEXT, QUERY_TEXT, REPEATED_PASSAGE, REPEATED_ROW, report_rows, report_uses
from datagen.audit.material import Material, pairs_of
from datagen.selection.arrays import Bool


def find_doubles(material: Material) -> pl.DataFrame:
    """Rows that repeat an earlier one, passages that stand twice in one list, blank texts, queries as passages.

    A row repeats another when query, positives and negatives say the same after normalisation, in whatever order.
    """
    uses, groups = material.uses, pl.Series(material.groups[0])
    blank = _is_blank(material.passages["text"])
    rows, passages = pairs_of(uses)
    grouped = uses.with_columns(group=groups.gather(uses["passage"]))
    later = grouped.select(pl.struct("row", "role", "group").is_first_distinct().not_()).to_series()
    as_query = material.groups[0][passages] == material.groups[1][rows]
    empty = blank[passages]
    return pl.concat(
        [
            report_rows(material.queries, _is_blank(material.queries["query"]), EMPTY_TEXT),
            report_uses(uses.filter(pl.Series(empty)), EMPTY_TEXT),
            report_uses(uses.filter(pl.Series(as_query & ~empty)), QUERY_TEXT),
            report_uses(uses.filter(later & pl.Series(~empty)), REPEATED_PASSAGE),
            report_rows(material.queries, _repeats_row(material, grouped), REPEATED_ROW),
        ]
    )


def count_doubles(material: Material) -> dict[str, int]:
    """Queries that another row has too, texts under several ids, ids with several texts, passages of both roles."""
    used = material.uses.lazy().with_columns(group=pl.Series(material.groups[0]).gather(material.uses["passage"]))
    several = {
        "texts_with_several_ids": ("group", "doc_id"),
        "ids_with_several_texts": ("doc_id", "group"),
        "texts_positive_and_negative": ("group", "role"),
    }
    counts = {
        name: int(used.group_by(key).agg(pl.col(value).n_unique() > 1).select(pl.col(value).sum()).collect().item())
        for name, (key, value) in several.items()
    }
    queries = material.groups[1]
    return {"rows_with_a_repeated_query": len(queries) - len(np.unique(queries)), **counts}


def _is_blank(texts: pl.Series) -> Bool:
    return np.asarray((texts.fill_null("").str.strip_chars().str.len_bytes() == 0).to_numpy(), bool)


def _repeats_row(material: Material, grouped: pl.DataFrame) -> Bool:
    """Whether an earlier row has the same query and the same passages in the same roles."""
    use = pl.struct("role", "group").hash()
    seen = grouped.select("row", use).unique(maintain_order=False)
    per_row = seen.group_by("row").agg(pl.col("role").sort().alias("uses"))
    rows = pl.DataFrame({"row": np.arange(len(material.queries)), "query": material.groups[1]})
    joined = rows.join(per_row, on="row", how="left", maintain_order="left")
    same = joined.select("query", print=pl.col("uses").hash())
    return np.asarray(same.select(pl.struct("query", "print").is_first_distinct().not_()).to_series().to_numpy(), bool)
