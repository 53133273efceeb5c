"""BEIR folders, what GPL makes of them, and TREC files: ids in one table, texts in others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from datagen.errors import InputError
from datagen.formats.catalog import Facts, Format, Table
from datagen.formats.dataset import SIDES, add_texts, build_rows, explode_lists
from datagen.formats.files import Look, read_table
from datagen.formats.shapes import (
    check_ids,
    fields_of,
    flatten,
    shape_beir_corpus,
    shape_beir_queries,
    triples_of,
    with_all_documents,
)
from datagen.settings.input import InputConfig
from datagen.sources import load_input, load_labels

_RETRIEVER = "datagen"
_CORPUS = Table("corpus.jsonl", shape_beir_corpus, of="documents", config="corpus")
_QUERIES = Table("queries.jsonl", shape_beir_queries, config="queries")


def _shape_qrels(rows: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    positives = flatten(rows, "positives")
    columns = {"query-id": rows["query_id"].gather(positives["row"]), "corpus-id": positives["doc_id"]}
    return pl.DataFrame(columns).with_columns(score=pl.lit(1))


def _shape_hard_negatives(rows: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    negatives = pl.struct(fields_of("negatives", "doc_id").alias(_RETRIEVER)).alias("neg")
    return rows.select(pl.col("query_id").alias("qid"), fields_of("positives", "doc_id").alias("pos"), negatives)


def _shape_margins(rows: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    """One row for each positive with each negative of a query: how much higher the positive scores."""
    triples = triples_of(rows)
    positives = flatten(rows, "positives")[triples["positive"]]
    negatives = flatten(rows, "negatives")[triples["negative"]]
    margin = positives["score"].cast(pl.Float64) - negatives["score"].cast(pl.Float64)
    ids = {"qid": rows["query_id"].gather(triples["row"]), "pos": positives["doc_id"], "neg": negatives["doc_id"]}
    return pl.DataFrame(ids | {"margin": margin})


def _shape_trec_run(rows: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    """All documents of a query, best first; without scores, positives first and 1/rank as the score."""
    every = with_all_documents(rows).select("query_id", "documents").explode("documents").unnest("documents")
    if facts.scored:
        every = every.with_row_index("place").sort("query_id", "score", "place", descending=[False, True, False])
        every = rows.select("query_id").join(every, on="query_id", maintain_order="left_right")
    rank = pl.int_range(1, pl.len() + 1).over("query_id")
    score = pl.col("score") if facts.scored else 1 / rank
    check_ids(rows["query_id"]), check_ids(every["doc_id"])
    return every.select("query_id", zero=pl.lit("Q0"), doc_id="doc_id", rank=rank, score=score, tag=pl.lit(_RETRIEVER))


def _shape_trec_qrels(rows: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    qrels = _shape_qrels(rows, facts)
    return qrels.select("query-id", pl.lit(0).alias("zero"), "corpus-id", "score")


def _read_beir(path: Path) -> Iterator[pl.DataFrame]:
    """Judgements above 0 are positives, the others negatives; queries without any are left out."""
    raw = load_input(InputConfig(beir=str(path)))
    judged = raw.pairs.filter(pl.col("relevance").is_finite())
    queries = raw.queries.select("query_id", "query", "instruction").unique(
        "query_id", keep="first", maintain_order=True
    )
    queries = queries.join(judged, on="query_id", how="semi", maintain_order="left")
    corpus = pl.concat(frame.select("doc_id", "title", "text") for frame in raw.corpus)
    documents = (
        queries.with_row_index("row").select("row", "query_id").join(judged, on="query_id", maintain_order="left")
    )
    texts = add_texts(documents.select("row", "doc_id", "relevance"), corpus)
    is_positive = pl.col("relevance") > 0
    yield build_rows(queries, texts.filter(is_positive), texts.filter(~is_positive))


def _read_gpl(path: Path) -> Iterator[pl.DataFrame]:
    frame = read_table(sorted(path.glob("hard-negatives*.jsonl")), "hard-negatives.jsonl", path)
    queries = read_table([path / "qgen-queries.jsonl"], "qgen-queries.jsonl", path)
    retrievers = [pl.col("neg").struct.field(name) for name in frame.schema["neg"].to_schema()]  # type: ignore[attr-defined]  # a struct has one
    frame = frame.with_columns(neg=pl.concat_list(name.fill_null([]) for name in retrievers))
    yield _with_texts(frame, path, queries, {"positives": "pos", "negatives": "neg"}, "qid")


def _with_texts(
    frame: pl.DataFrame, path: Path, queries: pl.DataFrame, lists: dict[str, str], query_id: str
) -> pl.DataFrame:
    """Rows out of ids, with the texts of a BEIR folder."""
    corpus = _read_corpus(path)
    texts = queries.select(pl.col("_id").cast(pl.String).alias("query_id"), query="text").unique(
        "query_id", keep="first"
    )
    own = frame.select(pl.col(query_id).cast(pl.String).alias("query_id"))
    own = own.join(texts, on="query_id", how="left", maintain_order="left")
    sides = [add_texts(explode_lists(frame, {"doc_id": lists[side]}), corpus) for side in SIDES]
    return build_rows(own, *sides)


def _read_corpus(path: Path) -> pl.DataFrame:
    file = next((path / name for name in ("corpus.jsonl", "corpus.jsonl.gz") if (path / name).is_file()), None)
    corpus = read_table([] if file is None else [file], "corpus.jsonl", path)
    title = pl.col("title") if "title" in corpus.columns else pl.lit(None, pl.String).alias("title")
    return corpus.select(pl.col("_id").cast(pl.String).alias("doc_id"), title, "text")


def _read_trec(path: Path) -> Iterator[pl.DataFrame]:
    """What the qrels call relevant is a positive, all else in the run a negative."""
    files = sorted(path.glob("run*.trec"))
    if not files:
        raise InputError(f"{str(path)!r} holds no run.trec")
    names = ["query_id", "zero", "doc_id", "rank", "score", "tag"]
    kinds = {"query_id": pl.String, "doc_id": pl.String}
    ranked = pl.concat(
        pl.read_csv(file, separator=" ", has_header=False, new_columns=names, schema_overrides=kinds, quote_char=None)
        for file in files
    )
    judged = pl.concat(load_labels(str(file)) for file in sorted(path.glob("qrels*.trec")))
    relevant = judged.filter(pl.col("relevance") > 0).select("query_id", "doc_id", positive=pl.lit(value=True))
    every = ranked.join(relevant, on=["query_id", "doc_id"], how="left", maintain_order="left")
    queries = read_table([path / "queries.jsonl"], "queries.jsonl", path)
    texts = queries.select(pl.col("_id").cast(pl.String).alias("query_id"), query="text")
    own = every.select("query_id").unique(maintain_order=True)
    own = own.join(texts, on="query_id", how="left", maintain_order="left").with_row_index("row")
    every = every.join(own.select("row", "query_id"), on="query_id", maintain_order="left")
    every = add_texts(every.select("row", "doc_id", "score", "positive"), _read_corpus(path))
    is_positive = pl.col("positive").fill_null(value=False)
    yield build_rows(own.drop("row"), every.filter(is_positive), every.filter(~is_positive))


def _is_beir(look: Look) -> bool:
    has = {name.removesuffix(".gz") for name in look.names}
    return {"corpus.jsonl", "queries.jsonl"} <= has and bool({"qrels", "qrels.tsv"} & has)


FORMATS = (
    Format(
        name="gpl",
        description="GPL folder: BEIR files, hard-negatives.jsonl and, with --scores, gpl-training-data.tsv of margins",
        load="gpl.train(path_to_generated_data='OUT', base_ckpt='…', gpl_score_function='dot', …)",
        tables=(
            _CORPUS,
            Table("qgen-queries.jsonl", shape_beir_queries, config="queries"),
            Table("qgen-qrels/{split}.tsv", _shape_qrels, separator="\t", header=True, config=None),
            Table("hard-negatives{suffix}.jsonl", _shape_hard_negatives, config="hard-negatives"),
            Table("gpl-training-data{suffix}.tsv", _shape_margins, separator="\t", config=None, needs_scores=True),
        ),
        read=_read_gpl,
        matches=lambda look: {"qgen-queries.jsonl", "hard-negatives.jsonl"} <= look.names,
        scores="optional",
        whole=True,
    ),
    Format(
        name="trec-run",
        description="TREC run and qrels, with the queries and the documents that they name as BEIR has them",
        load="ranx.Run.from_file('OUT/run.trec', kind='trec')",
        tables=(
            Table("run{suffix}.trec", _shape_trec_run, separator=" ", config=None),
            Table("qrels{suffix}.trec", _shape_trec_qrels, separator=" ", config=None),
            _QUERIES,
            _CORPUS,
        ),
        read=_read_trec,
        matches=lambda look: "run.trec" in look.names,
        negatives=False,
        scores="optional",
    ),
    Format(
        name="beir",
        description="BEIR folder for evaluation: corpus, queries and qrels; negatives have no place in it",
        load="beir.datasets.data_loader.GenericDataLoader('OUT').load(split='train')",
        tables=(
            _CORPUS,
            _QUERIES,
            Table("qrels/{split}.tsv", _shape_qrels, separator="\t", header=True, config=None),
        ),
        read=_read_beir,
        matches=_is_beir,
        negatives=False,
        whole=True,
    ),
)
