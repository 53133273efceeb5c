"""PyLate's distillation: three tables, of scored documents for each query, of queries and of documents.

Its contrastive training takes what sentence-transformers takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from datagen.formats.catalog import Facts, Format, Table
from datagen.formats.dataset import add_texts, build_rows, explode_lists
from datagen.formats.files import Look, find_tables, iterate_table, read_table


def _shape_train(rows: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    """One row for each positive, which stands first, with all negatives: all lists are of one length."""
    every = rows.explode("positives").select("query_id", documents=pl.concat_list("positives", "negatives"))
    field = pl.element().struct.field
    ids = pl.col("documents").list.eval(field("doc_id")).alias("document_ids")
    scores = pl.col("documents").list.eval(field("score")).cast(pl.List(pl.Float32)).alias("scores")
    return every.select("query_id", ids, scores)


def _shape_queries(rows: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    return rows.select("query_id", text="query")


def _shape_documents(documents: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    return documents.select(pl.col("doc_id").alias("document_id"), "text")


def _read(path: Path) -> Iterator[pl.DataFrame]:
    queries = read_table(find_tables(path / "queries"), "queries/", path)
    queries = queries.select(pl.col("query_id").cast(pl.String), query="text")
    corpus = read_table(find_tables(path / "documents"), "documents/", path).rename({"document_id": "doc_id"})
    for frame in iterate_table(find_tables(path / "train")):
        own = frame.select(pl.col("query_id").cast(pl.String)).join(queries, "query_id", "left", maintain_order="left")
        every = add_texts(explode_lists(frame, {"doc_id": "document_ids", "score": "scores"}), corpus)
        first = pl.col("row").is_first_distinct()
        yield build_rows(own, every.filter(first), every.filter(~first))


def _matches(look: Look) -> bool:
    return {"train", "queries", "documents"} <= look.names


FORMATS = (
    Format(
        name="pylate-distillation",
        description="PyLate Distillation: three tables, train (query_id, document_ids, scores), queries, documents",
        load='train = datasets.load_dataset("OUT", "train", split="train"); '
        'train.set_transform(pylate.utils.KDProcessing(queries=datasets.load_dataset("OUT", "queries", split="train"), '
        'documents=datasets.load_dataset("OUT", "documents", split="train")).transform)',
        tables=(
            Table("train/{split}-{number:05d}.parquet", _shape_train, config="train"),
            Table("queries/train-{number:05d}.parquet", _shape_queries, config="queries"),
            Table("documents/train-{number:05d}.parquet", _shape_documents, of="documents", config="documents"),
        ),
        read=_read,
        matches=_matches,
        fixed=True,
        scores="required",
    ),
)
