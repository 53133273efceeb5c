"""NeMo Automodel: one JSON file of questions with the ids of documents in a corpus, or JSON lines with their texts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from datagen.errors import InputError
from datagen.formats.catalog import Facts, Format, Table
from datagen.formats.dataset import SIDES, add_texts, build_rows, explode_lists, explode_objects
from datagen.formats.files import Look, find_tables, iterate_table, read_table
from datagen.storage import write_text

_CORPUS = "corpus"
_DOCS = ("pos_doc", "neg_doc")


def _shape_ids(rows: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    lists = _documents({"id": "doc_id"} | ({"score": "score"} if facts.scored else {}))
    corpus = pl.lit(_CORPUS).alias("corpus_id")
    return rows.select(pl.col("query_id").alias("question_id"), pl.col("query").alias("question"), corpus, **lists)


def _shape_corpus(documents: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    return documents.select(pl.col("doc_id").alias("id"), "text")


def _shape_inline(rows: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    lists = _documents({"text": "text"} | ({"score": "score"} if facts.scored else {}))
    return rows.select(pl.col("query_id").alias("question_id"), "query", **lists)


def _documents(fields: dict[str, str]) -> dict[str, pl.Expr]:
    document = pl.struct(pl.element().struct.field(field).alias(name) for name, field in fields.items())
    return {name: pl.col(side).list.eval(document) for side, name in zip(SIDES, _DOCS, strict=True)}


def _describe_corpus(folder: Path, out: Path, splits: tuple[str, ...]) -> None:
    text = json.dumps({"class": "TextQADataset", "corpus_id": _CORPUS})
    write_text(folder / _CORPUS / "merlin_metadata.json", text + "\n")


def _read_ids(path: Path) -> Iterator[pl.DataFrame]:
    for file in find_tables(path):
        content = _load(file)
        folders = [file.parent / entry["path"] for entry in content["corpus"]]
        corpus = pl.concat([read_table(_corpus_files(folder), "corpus", folder) for folder in folders], how="diagonal")
        corpus = corpus.select(doc_id=pl.col("id").cast(pl.String), text="text")
        rows = [row | {name: [_as_object(item) for item in row[name]] for name in _DOCS} for row in content["data"]]
        frame = pl.DataFrame(rows, infer_schema_length=None)
        sides = [explode_objects(frame, name) for name in _DOCS]
        sides = [add_texts(side.rename({"id": "doc_id"}, strict=False), corpus) for side in sides]
        yield build_rows(
            frame.select(pl.col("question_id").cast(pl.String).alias("query_id"), query="question"), *sides
        )


def _corpus_files(folder: Path) -> list[Path]:
    return [file for file in find_tables(folder) if file.name != "merlin_metadata.json"]


def _as_object(item: object) -> dict[str, object]:
    """A document may be an object with its id, or the id alone."""
    return item if isinstance(item, dict) else {"id": str(item)}


def _load(file: Path) -> dict[str, Any]:  # Any: the user's JSON
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return {name: list(content[name]) for name in ("corpus", "data")}
    except (ValueError, KeyError, TypeError) as exc:
        raise InputError(f"{str(file)!r} is not a JSON object with the lists corpus and data: {exc!r}") from exc


def _read_inline(path: Path) -> Iterator[pl.DataFrame]:
    for frame in iterate_table(find_tables(path)):
        named = {"query": "query" if "query" in frame.columns else "question"}
        if "question_id" in frame.columns:
            named["query_id"] = "question_id"
        sides = [_inline_documents(frame, name) for name in _DOCS]
        yield build_rows(
            frame.select(pl.col(column).cast(pl.String).alias(name) for name, column in named.items()), *sides
        )


def _inline_documents(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """A document may be a text, or an object with its text; one alone, or a list."""
    kind = frame.schema[name]
    is_object = isinstance(kind.inner if isinstance(kind, pl.List) else kind, pl.Struct)
    return explode_objects(frame, name) if is_object else explode_lists(frame, {"text": name})


def _is_by_id(look: Look) -> bool:
    file = look.path if look.path.is_file() else next(iter(find_tables(look.path)), None)
    if file is None or file.suffix != ".json":
        return False
    with file.open("rb") as start:
        return b'"corpus":[' in start.read(4096).replace(b" ", b"")


def _is_inline(look: Look) -> bool:
    return set(_DOCS) <= look.columns and bool({"query", "question"} & look.columns) and "corpus_id" not in look.columns


FORMATS = (
    Format(
        name="nemo-automodel",
        description="NeMo Automodel JSON of questions with ids of documents, and the corpus",
        load='nemo_automodel.components.datasets.llm.retrieval_dataset.load_datasets(["OUT/train.json"])',
        tables=(
            Table(
                "{split}.json",
                _shape_ids,
                around=(f'{{"corpus": [{{"path": "{_CORPUS}"}}], "data": [', "]}"),
                config=None,
            ),
            Table(f"{_CORPUS}/train-{{number:05d}}.parquet", _shape_corpus, of="documents", config="corpus"),
        ),
        read=_read_ids,
        matches=_is_by_id,
        scores="optional",
        finish=_describe_corpus,
    ),
    Format(
        name="nemo-automodel-inline",
        description="NeMo Automodel JSON lines with the texts of documents",
        load='nemo_automodel.components.datasets.llm.retrieval_dataset_inline.load_datasets(["OUT/train-00000.jsonl"])',
        tables=(Table("{split}-{number:05d}.jsonl", _shape_inline),),
        read=_read_inline,
        matches=_is_inline,
        scores="optional",
    ),
)
