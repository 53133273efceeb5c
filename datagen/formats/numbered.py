"""Formats that name documents (and queries) by numbers: ColBERT's triples, Arctic-Embed and SimLM.

The numbers are places in the tables of texts; `doc_ids.tsv` and `query_ids.tsv` beside them keep the ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from datagen.formats.catalog import Facts, Format, Table
from datagen.formats.dataset import SIDES, build_rows, explode_lists
from datagen.formats.files import Look, find_tables, iterate_table, read_table
from datagen.formats.shapes import flatten, number_documents, on_one_line, shape_ids, triples_of

_DOC_IDS = Table("doc_ids.tsv", shape_ids, of="documents", separator="\t", config=None)
_POSITIVE, _NEGATIVE = 1, -1


def _shape_query_ids(rows: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    return rows.select("number", "query_id")


_QUERY_IDS = Table("query_ids.tsv", _shape_query_ids, separator="\t", config=None)


def _shape_colbert_queries(rows: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    return rows.select("number", on_one_line(pl.col("query")))


def _shape_colbert_collection(documents: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    return documents.select("number", on_one_line(pl.col("text")))


def _shape_colbert_triples(rows: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    """Lines such as `[0,3,7]`: a query, a positive, a negative."""
    triples = triples_of(rows)
    sides = [number_documents(flatten(rows, side), facts).gather(triples[side[:-1]]) for side in SIDES]
    columns = pl.DataFrame([rows["number"].gather(triples["row"]).alias("q"), sides[0].alias("p"), sides[1].alias("n")])
    return columns.select(pl.format("[{}", "q"), "p", pl.format("{}]", "n").alias("end"))


def _shape_arctic_queries(rows: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    return rows.select(pl.col("number").cast(pl.UInt64).alias("QUERY_ID"), pl.col("query").alias("QUERY_TEXT"))


def _shape_arctic_documents(documents: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    number = pl.col("number").cast(pl.UInt64).alias("DOCUMENT_ID")
    return documents.select(number, pl.col("text").alias("DOCUMENT_TEXT"))


def _shape_arctic_labels(rows: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    parts = []
    for side, relevance in zip(SIDES, (_POSITIVE, _NEGATIVE), strict=True):
        flat = flatten(rows, side)
        numbers = {"QUERY_ID": rows["number"].gather(flat["row"]), "DOCUMENT_ID": number_documents(flat, facts)}
        part = pl.DataFrame({"row": flat["row"], **numbers}).with_columns(pl.lit(relevance, pl.Int8).alias("RELEVANCE"))
        score = [flat["score"].cast(pl.Float32).alias("SCORE")] if facts.scored else []
        parts.append(part.with_columns(pl.col("QUERY_ID", "DOCUMENT_ID").cast(pl.UInt64), *score))
    return pl.concat(parts).sort("row", maintain_order=True).drop("row")


def _shape_simlm(rows: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    lists = []
    for side in SIDES:
        flat = flatten(rows, side).with_columns(pl.col("score").cast(pl.Float32))
        flat = flat.with_columns(number_documents(flat, facts).cast(pl.String).alias("doc_id"))
        grouped = flat.group_by("row", maintain_order=True).agg("doc_id", "score")
        lists.append(grouped.select(pl.struct("doc_id", "score").alias(side))[side])
    return rows.select("query_id", "query").with_columns(lists)


def _shape_simlm_passages(documents: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    title = pl.col("title").fill_null("")
    return documents.select(pl.col("number").cast(pl.String).alias("id"), title, contents="body")


def _read_colbert(path: Path) -> Iterator[pl.DataFrame]:
    lines = pl.concat(
        _read_cells(file, ",", ["query", "positive", "negative"]) for file in sorted(path.glob("triples*.jsonl"))
    )
    numbers = lines.select(pl.all().str.strip_chars("[] ").str.strip_chars('"').cast(pl.Int64))
    queries = _read_cells(path / "queries.tsv", "\t", ["number", "query"])
    texts = _read_cells(path / "collection.tsv", "\t", ["number", "text"])
    sides = {side: numbers.select("query", document=side[:-1]).unique(maintain_order=True) for side in SIDES}
    yield _join_numbers(path, queries, texts, sides)


def _read_arctic(path: Path) -> Iterator[pl.DataFrame]:
    labels = read_table(sorted(path.glob("labels*.parquet")), "labels.parquet", path)
    relevance = pl.col("RELEVANCE") if "RELEVANCE" in labels.columns else pl.lit(_POSITIVE)
    score = [pl.col("SCORE").alias("score")] if "SCORE" in labels.columns else []
    pairs = labels.select(
        pl.col("QUERY_ID").alias("query"), pl.col("DOCUMENT_ID").alias("document"), *score, relevance=relevance
    )
    queries = read_table([path / "queries.parquet"], "queries.parquet", path).select(
        number="QUERY_ID", query="QUERY_TEXT"
    )
    texts = read_table([path / "documents.parquet"], "documents.parquet", path)
    texts = texts.select(number="DOCUMENT_ID", text="DOCUMENT_TEXT")
    is_positive = pl.col("relevance") > 0
    sides = {"positives": pairs.filter(is_positive), "negatives": pairs.filter(~is_positive)}
    yield _join_numbers(path, queries, texts, sides)


def _join_numbers(
    path: Path, queries: pl.DataFrame, texts: pl.DataFrame, sides: dict[str, pl.DataFrame]
) -> pl.DataFrame:
    """Rows of the queries that have a positive or a negative, in the order of the queries.

    Args:
        path: the folder, in which ids may stand.
        queries: `number` and `query`.
        texts: `number` and `text` of the documents.
        sides: numbers of `query` and `document`, and `score` where there is one.
    """
    wanted = pl.concat([side.select(pl.col("query").cast(pl.Int64)) for side in sides.values()]).unique()
    own = _with_ids(queries, path / "query_ids.tsv", "query_id")
    own = own.join(wanted.rename({"query": "number"}), on="number", how="semi", maintain_order="left").with_row_index(
        "row"
    )
    known = _with_ids(texts, path / "doc_ids.tsv", "doc_id").rename({"number": "document"})
    parts = []
    for side in SIDES:
        numbers = sides[side].with_columns(pl.col("query", "document").cast(pl.Int64))
        rows = numbers.join(own.select("row", query="number"), on="query", maintain_order="left")
        parts.append(rows.join(known, on="document", how="left", maintain_order="left").drop("query", "document"))
    return build_rows(own.select("query_id", "query"), *parts)


def _with_ids(frame: pl.DataFrame, file: Path, name: str) -> pl.DataFrame:
    """A table with the ids of its numbers; without a file of ids, the numbers themselves."""
    numbered = frame.with_columns(pl.col("number").cast(pl.Int64))
    if not file.is_file():
        return numbered.with_columns(pl.col("number").cast(pl.String).alias(name))
    ids = _read_cells(file, "\t", ["number", name]).with_columns(pl.col("number").cast(pl.Int64))
    return numbered.join(ids, on="number", how="left", maintain_order="left")


def _read_cells(file: Path, separator: str, names: list[str]) -> pl.DataFrame:
    kinds = dict.fromkeys(names, pl.String)
    return pl.read_csv(
        file, separator=separator, has_header=False, schema=kinds, quote_char=None, truncate_ragged_lines=True
    )


def _read_simlm(path: Path) -> Iterator[pl.DataFrame]:
    passages = read_table(find_tables(path, "passages"), "passages.jsonl.gz", path).with_row_index("number")
    texts = _with_ids(passages.select("number", "title", text="contents"), path / "doc_ids.tsv", "doc_id")
    texts = texts.with_columns(pl.col("number").cast(pl.String)).rename({"number": "place"})
    for frame in iterate_table(
        [file for file in find_tables(path) if not file.name.startswith(("passages", "doc_ids"))]
    ):
        sides = []
        for side in SIDES:
            lists = frame.select(side).unnest(side)
            every = explode_lists(lists, {"place": "doc_id", "score": "score"}).with_columns(
                pl.col("place").cast(pl.String)
            )
            sides.append(every.join(texts, on="place", how="left", maintain_order="left"))
        yield build_rows(frame.select(pl.col("query_id").cast(pl.String), "query"), *sides)


def _is_simlm(look: Look) -> bool:
    return "passages.jsonl.gz" in look.names


FORMATS = (
    Format(
        name="colbert",
        description="ColBERT triples.jsonl, queries.tsv and collection.tsv, named by their places",
        load="colbert.Trainer(triples='OUT/triples.jsonl', queries='OUT/queries.tsv', "
        "collection='OUT/collection.tsv').train()",
        tables=(
            Table("collection.tsv", _shape_colbert_collection, of="documents", separator="\t", config=None),
            _DOC_IDS,
            Table("queries.tsv", _shape_colbert_queries, separator="\t", config=None),
            _QUERY_IDS,
            Table("triples{suffix}.jsonl", _shape_colbert_triples, separator=",", config=None),
        ),
        read=_read_colbert,
        matches=lambda look: {"collection.tsv", "queries.tsv"} <= look.names,
        numbered=True,
    ),
    Format(
        name="arctic",
        description="Arctic-Embed queries, documents and labels (+1, -1) in parquet, named by numbers",
        load="python pretokenize.py  # of ArcticTraining's arctic_embed, over OUT/*.parquet",
        tables=(
            Table("documents.parquet", _shape_arctic_documents, of="documents", config="documents"),
            _DOC_IDS,
            Table("queries.parquet", _shape_arctic_queries, config="queries"),
            _QUERY_IDS,
            Table("labels{suffix}.parquet", _shape_arctic_labels, config="labels"),
        ),
        read=_read_arctic,
        matches=lambda look: {"queries.parquet", "documents.parquet"} <= look.names,
        scores="optional",
        numbered=True,
    ),
    Format(
        name="simlm",
        description="SimLM JSON lines with scored places of passages.jsonl.gz",
        load="python src/train_biencoder.py --data_dir OUT --train_file OUT/train.jsonl …  # of SimLM",
        tables=(
            Table("passages.jsonl.gz", _shape_simlm_passages, of="documents", config="passages"),
            _DOC_IDS,
            Table("{split}.jsonl", _shape_simlm, config="default"),
        ),
        read=_read_simlm,
        matches=_is_simlm,
        scores="required",
        numbered=True,
    ),
)
