"""Tevatron: JSON lines with passages in them, or with the ids of passages that stand in a corpus."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from datagen.formats.catalog import Facts, Format, Table
from datagen.formats.dataset import SIDES, add_texts, build_rows, explode_lists, explode_objects
from datagen.formats.files import Look, find_tables, iterate_table, read_table
from datagen.formats.shapes import fields_of

_PASSAGES = ("positive_passages", "negative_passages")
_IDS = ("positive_document_ids", "negative_document_ids")


def _shape_inline(rows: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    """Passages have no title, which stands in their text already."""
    fields = {"docid": "doc_id", "text": "text"} | ({"score": "score"} if facts.scored else {})
    passage = pl.struct(pl.element().struct.field(field).alias(name) for name, field in fields.items())
    lists = [pl.col(side).list.eval(passage).alias(name) for side, name in zip(SIDES, _PASSAGES, strict=True)]
    return rows.select("query_id", "query", *lists)


def _shape_ids(rows: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    lists = [fields_of(side, "doc_id").alias(name) for side, name in zip(SIDES, _IDS, strict=True)]
    return rows.select("query_id", pl.col("query").alias("query_text"), *lists)


def _shape_corpus(documents: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    """The text holds the title: the loader of training data reads `text` alone, that of corpora both."""
    return documents.select(pl.col("doc_id").alias("docid"), "text")


def _read_inline(path: Path) -> Iterator[pl.DataFrame]:
    for frame in iterate_table(find_tables(path)):
        sides = [explode_objects(frame, name) for name in _PASSAGES]
        sides = [side.rename({"docid": "doc_id"}, strict=False) for side in sides]
        yield build_rows(frame.select(pl.col("query_id").cast(pl.String), "query"), *sides)


def _read_ids(path: Path) -> Iterator[pl.DataFrame]:
    corpus = read_table(find_tables(path / "corpus"), "corpus/", path).rename({"docid": "doc_id"})
    for frame in iterate_table(find_tables(path)):
        sides = [add_texts(explode_lists(frame, {"doc_id": name}), corpus) for name in _IDS]
        yield build_rows(frame.select(pl.col("query_id").cast(pl.String), query="query_text"), *sides)


def _is_inline(look: Look) -> bool:
    return {"query", *_PASSAGES} <= look.columns


def _is_by_id(look: Look) -> bool:
    return {"query_text", *_IDS} <= look.columns


FORMATS = (
    Format(
        name="tevatron",
        description="Tevatron JSON lines with positive_passages and negative_passages; with --scores for distillation",
        load="python -m tevatron.retriever.driver.train --dataset_name json --dataset_path 'OUT/train-*.jsonl' …",
        tables=(Table("{split}-{number:05d}.jsonl", _shape_inline),),
        read=_read_inline,
        matches=_is_inline,
        scores="optional",
    ),
    Format(
        name="tevatron-ids",
        description="Tevatron JSON lines with positive_document_ids and negative_document_ids, and their corpus",
        load="python -m tevatron.retriever.driver.train --dataset_name json --dataset_path 'OUT/train-*.jsonl' "
        "--corpus_name json --corpus_path 'OUT/corpus/*.jsonl' …",
        tables=(
            Table("{split}-{number:05d}.jsonl", _shape_ids),
            Table("corpus/train-{number:05d}.jsonl", _shape_corpus, of="documents", config="corpus"),
        ),
        read=_read_ids,
        matches=_is_by_id,
    ),
)
