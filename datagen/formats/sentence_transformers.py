"""sentence-transformers, and PyLate's contrastive training: texts in columns, told apart by their order.

Names of columns count for nothing but `label`, `labels`, `score` and `scores`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from datagen.formats.catalog import Facts, Format, Table
from datagen.formats.dataset import build_rows, explode_lists, no_documents
from datagen.formats.files import Look, find_tables, iterate_table
from datagen.formats.ordering import without_batches
from datagen.formats.shapes import flatten, triples_of, with_all_documents

_LABELS = ("label", "labels", "score", "scores")
_PARQUET = "{split}-{number:05d}.parquet"
_LOAD = 'datasets.load_dataset("parquet", data_dir="OUT", split="train")'


def _shape_pairs(rows: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    positives = flatten(rows, "positives")
    return pl.DataFrame({"anchor": rows["query"].gather(positives["row"]), "positive": positives["text"]})


def _shape_triplets(rows: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    """One row for each positive with each negative of a query."""
    triples, positives, negatives = triples_of(rows), flatten(rows, "positives"), flatten(rows, "negatives")
    columns = {
        "anchor": rows["query"].gather(triples["row"]),
        "positive": positives["text"].gather(triples["positive"]),
        "negative": negatives["text"].gather(triples["negative"]),
    }
    if facts.scored:
        scores = [positives["score"].gather(triples["positive"]), negatives["score"].gather(triples["negative"])]
        columns["scores"] = _as_scores(scores)
    return pl.DataFrame(columns)


def _shape_tuples(rows: pl.DataFrame, facts: Facts, anchor: str = "anchor") -> pl.DataFrame:
    """One row for each positive of a query, with all negatives, of which every query has the same number."""
    positives, negatives = flatten(rows, "positives"), flatten(rows, "negatives")
    width = len(negatives) // max(1, len(rows))
    owner = positives["row"].to_numpy()
    places = [owner * width + place for place in range(width)]
    columns = {anchor: rows["query"].gather(owner), "positive": positives["text"]}
    columns |= {f"negative_{n}": negatives["text"].gather(place) for n, place in enumerate(places, start=1)}
    if facts.scored:
        columns["scores"] = _as_scores([positives["score"], *(negatives["score"].gather(place) for place in places)])
    return pl.DataFrame(columns)


def _as_scores(columns: list[pl.Series]) -> pl.Series:
    """One list of 32-bit scores a row."""
    frame = pl.DataFrame([column.alias(str(place)) for place, column in enumerate(columns)])
    return frame.select(pl.concat_list(pl.all().cast(pl.Float32)).alias("scores"))["scores"]


def _shape_labeled_pairs(rows: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    """One row for each document of a query; positives first."""
    every = with_all_documents(rows).select("query", "documents", "labels").explode("documents", "labels")
    text = pl.col("documents").struct.field("text").alias("text")
    label = _from_0_to_1(facts).alias("score") if facts.scored else pl.col("labels").alias("label")
    return every.select(pl.col("query").alias("anchor"), text, label)


def _shape_labeled_lists(rows: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    """One row a query, with all its documents; positives first."""
    every = with_all_documents(rows)
    docs = pl.col("documents").list.eval(pl.element().struct.field("text")).alias("docs")
    scores = pl.col("documents").list.eval(pl.element().struct.field("score")).cast(pl.List(pl.Float32)).alias("scores")
    return every.select("query", docs, scores if facts.scored else pl.col("labels").cast(pl.List(pl.Int8)))


def _from_0_to_1(facts: Facts) -> pl.Expr:
    """Scores of pairs as losses want them: cosines below 0 become 0, logits of a reranker go through a sigmoid."""
    score = pl.col("documents").struct.field("score").cast(pl.Float32)
    return 1 / (1 + (-score).exp()) if facts.scores == "reranker" else score.clip(0, 1)


def _read(path: Path) -> Iterator[pl.DataFrame]:
    for frame in map(without_batches, iterate_table(find_tables(path))):
        yield _read_lists(frame) if _is_labeled_list(frame) else _read_columns(frame)


def _read_columns(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows of an anchor, a positive, and any number of negatives; or of an anchor, a text and a label."""
    texts = [name for name in frame.columns if name not in _LABELS]
    label = next((name for name in frame.columns if name in _LABELS), None)
    queries = frame.select(pl.col(texts[0]).alias("query"))
    if label is not None and not isinstance(frame.schema[label], pl.List) and len(texts) == 2:
        return _read_labeled_pairs(queries, frame.select(text=texts[1], label=label).with_row_index("row"))
    scores = frame[label] if label is not None and isinstance(frame.schema[label], pl.List) else None
    sides = [_columns_as_documents(frame, texts[1:], place, scores) for place in (slice(0, 1), slice(1, None))]
    return build_rows(queries, *sides)


def _columns_as_documents(
    frame: pl.DataFrame, texts: list[str], places: slice, scores: pl.Series | None
) -> pl.DataFrame:
    """The documents in some of the text columns, with the scores that stand at the same places of their lists."""
    parts = [no_documents()]
    for place in range(len(texts))[places]:
        part = frame.select(text=pl.col(texts[place]).cast(pl.String)).with_row_index("row")
        given = scores is not None and (scores.list.len() == len(texts)).all()
        parts.append(part.with_columns(score=scores.list.get(place)) if given and scores is not None else part)
    return pl.concat(parts, how="diagonal_relaxed").sort("row", maintain_order=True)


def _read_labeled_pairs(queries: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    label = pairs["label"].cast(pl.Float64)
    is_positive = label > _cut(label)
    pairs = pairs.with_columns(score=None if _is_whole(label) else label)
    return build_rows(queries, pairs.filter(is_positive), pairs.filter(~is_positive))


def _read_lists(frame: pl.DataFrame) -> pl.DataFrame:
    query, docs, label = frame.columns
    every = explode_lists(frame, {"text": docs, "score": label}).with_columns(pl.col("score").cast(pl.Float64))
    is_positive = every["score"] > _cut(every["score"])
    if _is_whole(every["score"]):
        every = every.drop("score")
    queries = frame.select(pl.col(query).alias("query"))
    return build_rows(queries, every.filter(is_positive), every.filter(~is_positive))


def _is_whole(labels: pl.Series) -> bool:
    """Whether labels are classes or grades, not scores."""
    return bool((labels % 1 == 0).all())


def _cut(labels: pl.Series) -> float:
    """What a positive is above: one half for scores from 0 to 1, else 0, as for classes and logits."""
    return 0.5 if not _is_whole(labels) and labels.is_between(0, 1).all() else 0.0


def _is_labeled_list(frame: pl.DataFrame) -> bool:
    kinds = frame.dtypes
    lists = [isinstance(kind, pl.List) for kind in kinds]
    return lists == [False, True, True] and kinds[1] == pl.List(pl.String) and frame.columns[2] in _LABELS


def _count_texts(look: Look) -> int:
    """How many columns of texts there are, when there is nothing else but a label at the end; else 0."""
    first = without_batches(look.first)
    texts = [name for name in first.columns if name not in _LABELS]
    is_text = [first.schema[name] == pl.String for name in texts]
    return len(texts) if all(is_text) and len(first.columns) - len(texts) <= 1 else 0


def _is_pair(look: Look) -> bool:
    return _count_texts(look) == 2 == len(without_batches(look.first).columns)


def _is_triplet(look: Look) -> bool:
    return _count_texts(look) == 3


def _is_tuple(look: Look) -> bool:
    return _count_texts(look) > 3


def _is_labeled_pair(look: Look) -> bool:
    return _count_texts(look) == 2 and len(look.columns) == 3 and look.first.dtypes[2].is_numeric()


def _is_query_tuple(look: Look) -> bool:
    return {"query", "positive", "negative_1"} <= look.columns and _count_texts(look) > 2


FORMATS = (
    Format(
        name="pylate-contrastive",
        description="PyLate Contrastive: query, positive, negative_1 … negative_n",
        load=_LOAD,
        tables=(Table(_PARQUET, functools.partial(_shape_tuples, anchor="query")),),
        read=_read,
        matches=_is_query_tuple,
        unit="positive",
        fixed=True,
    ),
    Format(
        name="st-pair",
        description="sentence-transformers anchor, positive: MultipleNegativesRanking, GIST",
        load=_LOAD,
        tables=(Table(_PARQUET, _shape_pairs),),
        read=_read,
        matches=_is_pair,
        unit="positive",
        negatives=False,
    ),
    Format(
        name="st-triplet",
        description="sentence-transformers anchor, positive, negative: MultipleNegativesRanking, GIST; with --scores "
        "MarginMSE",
        load=_LOAD,
        tables=(Table(_PARQUET, _shape_triplets),),
        read=_read,
        matches=_is_triplet,
        unit="pair",
        scores="optional",
    ),
    Format(
        name="st-n-tuple",
        description="sentence-transformers anchor, positive, negative_1 … negative_n: MultipleNegativesRanking; with "
        "--scores MarginMSE, DistillKLDiv",
        load=_LOAD,
        tables=(Table(_PARQUET, _shape_tuples),),
        read=_read,
        matches=_is_tuple,
        unit="positive",
        fixed=True,
        scores="optional",
    ),
    Format(
        name="st-labeled-pair",
        description="sentence-transformers anchor, text, label (with --scores, score): BinaryCrossEntropy, CoSENT",
        load=_LOAD,
        tables=(Table(_PARQUET, _shape_labeled_pairs),),
        read=_read,
        matches=_is_labeled_pair,
        scores="optional",
    ),
    Format(
        name="st-labeled-list",
        description="sentence-transformers query, docs, labels (with --scores, scores), all positives of a query in "
        "one list: Lambda, ListNet, RankNet",
        load=_LOAD,
        tables=(Table(_PARQUET, _shape_labeled_lists),),
        read=_read,
        matches=lambda look: _is_labeled_list(look.first),
        scores="optional",
    ),
)
