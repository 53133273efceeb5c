"""The negatives of each arm: those of the run, and what simpler ways to choose would have given its queries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from datagen import shards
from datagen.backends.protocols import Backends, Role
from datagen.config import RunConfig, build_config
from datagen.documents import render_documents
from datagen.errors import InputError
from datagen.progress import Progress
from datagen.report.ledger import IS_POSITIVE
from datagen.runs import Run
from datagen.settings.probe import OWN, ProbeConfig
from datagen.vectors import open_vectors

SPARE = 2
"""Queries looked at for each that is trained on: some cannot stand in one batch."""
PEER_MARGIN = 0.05
"""The relative margin of sentence-transformers: a negative has at most 95 % of the positive's score."""
_OPEN_REASONS = ("selected", "surplus", "margin", "near_positive", "reranker", "judge", "judge_disagreement")
"""What the ledger says of candidates against which the closure has nothing."""


@dataclass(frozen=True)
class Questions:
    """Queries of a run to train on; a row each."""

    run: Run
    rows: pl.DataFrame
    """query_id, query, positives (list of doc_id, never empty)."""
    wanted: int
    """Negatives of a query in an arm, at most: the most that the run itself has."""

    @property
    def ids(self) -> pl.LazyFrame:
        """The ids alone, in order."""
        return self.rows.lazy().select("query_id")


@dataclass(frozen=True)
class Arm:
    """What one way to choose negatives gives."""

    negatives: pl.Series | None
    """Documents by id, a list for each question in order, never empty; None where there are none at all."""
    filled: int = 0
    """Questions for which it found none: their negatives are drawn at random."""


def take_questions(run: Run, config: ProbeConfig) -> Questions:
    """Queries of the training rows, drawn by the first seed, enough for all steps or all that there are.

    Raises:
        RunFolderError: the run has no training rows yet.
        InputError: none of them has a positive, or none a negative.
    """
    train = run.scan("train").select(
        "query_id", "query", positives=_ids_of("positives"), n=pl.col("negatives").list.len()
    )
    rows = train.filter(pl.col("positives").list.len() > 0).collect()
    most = int(rows["n"].max() or 0)  # type: ignore[arg-type]  # a number, as the column is
    if not most:
        raise InputError(f"{run.path} has no training row with a positive and a negative: there is nothing to train on")
    wanted = min(len(rows), SPARE * config.steps * config.batch_size)
    chosen = np.sort(np.random.default_rng(config.seeds[0]).choice(len(rows), wanted, replace=False))
    return Questions(run, rows[chosen].drop("n"), most)


def build_arm(name: str, questions: Questions, config: ProbeConfig, progress: Progress) -> Arm:
    """The negatives of the run itself or of a baseline.

    Raises:
        DatagenError: the teacher of the run cannot be loaded, where vectors are missing.
    """
    if name == "in-batch":
        return Arm(None)
    builders: dict[str, Callable[[], pl.DataFrame]] = {
        OWN: lambda: _own(questions.run, questions),
        "random": lambda: _random(questions, config.seeds[0]),
        "top-k": lambda: _first(questions, pl.lit(True)),
        "closed-top-k": lambda: _first(questions, pl.col("reason").is_in(_OPEN_REASONS)),
        "st-mined": lambda: _peer(questions, progress),
    }
    return _filled(builders[name](), questions, config)


def other_arm(other: Run, questions: Questions, config: ProbeConfig) -> Arm:
    """The negatives that another run of the same queries and documents has for the questions.

    Raises:
        InputError: it lacks a query.
        RunFolderError: it has no training rows.
    """
    found = _own(other, questions)
    if missing := len(questions.rows) - len(found):
        raise InputError(
            f"{other.path} lacks {missing:,} of {len(questions.rows):,} queries of {questions.run.path}: compare runs "
            "over the same input"
        )
    return _filled(found, questions, config)


def _own(run: Run, questions: Questions) -> pl.DataFrame:
    rows = run.scan("train").select("query_id", negatives=_ids_of("negatives"))
    return rows.join(questions.ids, on="query_id", how="semi").collect()


def _first(questions: Questions, wanted: pl.Expr) -> pl.DataFrame:
    """The candidates of the ledger that the teacher puts first, but for positives."""
    ledger = questions.run.scan("candidates").join(questions.ids, on="query_id", how="semi")
    ordered = ledger.filter(~IS_POSITIVE & wanted).sort(
        "query_id", "teacher_score", "doc_id", descending=[False, True, False]
    )
    lists = ordered.group_by("query_id", maintain_order=True).agg(negatives=pl.col("doc_id").head(questions.wanted))
    return lists.collect()


def _random(questions: Questions, seed: int) -> pl.DataFrame:
    """Documents drawn evenly from the corpus, but for positives."""
    ids = shards.read(questions.run.path / "corpus", ["doc_id"])["doc_id"]
    random = np.random.default_rng([seed, 1])
    some = 2 * (questions.wanted + _most_positives(questions))  # some are drawn twice, or are positives
    drawn = random.integers(0, len(ids), (len(questions.rows), some))
    pairs = pl.DataFrame({"query_id": questions.rows["query_id"].repeat_by(drawn.shape[1]).explode()}).with_columns(
        doc_id=ids.gather(drawn.ravel())
    )
    known = questions.rows.select("query_id", doc_id="positives").explode("doc_id")
    others = pairs.unique(maintain_order=True).join(known, on=["query_id", "doc_id"], how="anti", maintain_order="left")
    return others.group_by("query_id", maintain_order=True).agg(negatives=pl.col("doc_id").head(questions.wanted))


def _peer(questions: Questions, progress: Progress) -> pl.DataFrame:
    """What `mine_hard_negatives` finds with the same pairs and the teacher vectors of the run."""
    from datagen.backends.peer_st import mine_with_vectors
    from datagen.backends.registry import Registry

    settings = build_config(dict(questions.run.settings))
    backends = Registry(settings)
    corpus = shards.read(questions.run.path / "corpus", ["doc_id", "title", "text"])
    documents = render_documents(corpus, settings.teacher.document_template)
    pairs = questions.rows.select("query_id", doc_id="positives").explode("doc_id")
    return mine_with_vectors(
        pairs,
        _vectors(settings, backends, "query", questions.rows["query_id"], questions.rows["query"], progress),
        _vectors(settings, backends, "document", corpus["doc_id"], documents, progress),
        questions.wanted,
        PEER_MARGIN,
    )


def _vectors(
    config: RunConfig, backends: Backends, role: Role, ids: pl.Series, texts: pl.Series, progress: Progress
) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float32]]]:
    store = open_vectors(config, backends, role)
    places, _ = store.ensure(texts, backends.teacher, progress)
    return dict(zip(ids.to_list(), store.take(places), strict=True))


def _filled(found: pl.DataFrame, questions: Questions, config: ProbeConfig) -> Arm:
    """The lists in the order of the questions; a question without one gets documents drawn at random.

    Raises:
        InputError: the corpus has hardly any document but its positives.
    """
    lists = questions.rows.select("query_id").join(found, on="query_id", how="left", maintain_order="left")
    empty = lists["negatives"].list.len().fill_null(0) == 0
    if not empty.any():
        return Arm(lists["negatives"])
    drawn = _random(questions, config.seeds[0]).rename({"negatives": "drawn"})
    both = lists.join(drawn, on="query_id", how="left", maintain_order="left").with_columns(empty=empty)
    chosen = both.select(pl.when("empty").then("drawn").otherwise("negatives").alias("negatives"))["negatives"]
    if (chosen.list.len().fill_null(0) == 0).any():
        raise InputError(f"{questions.run.path} has hardly any document but positives: no negatives can be drawn")
    return Arm(chosen, int(empty.sum()))


def _most_positives(questions: Questions) -> int:
    return int(questions.rows["positives"].list.len().max() or 0)  # type: ignore[arg-type]  # a number


def _ids_of(column: str) -> pl.Expr:
    return pl.col(column).list.eval(pl.element().struct.field("doc_id"))
