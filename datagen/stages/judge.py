"""Judge: a language model grades the candidates for which an answer changes most, as far as the budget goes.

Relevant candidates are never negatives, what a scorer had doubted without need may be one after all, and where two
scorers agree a candidate becomes a positive. A judge fails closed: no valid answer leaves a candidate ignored.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from datagen import shards
from datagen.backends.protocols import Backends
from datagen.config import RunConfig, StageName
from datagen.documents import take_documents
from datagen.generation.askers import Askers
from datagen.generation.runtime import loop
from datagen.generation.runtime.journal import open_journal
from datagen.judging.court import Court, Row
from datagen.judging.docket import DOUBTED, Docket
from datagen.judging.evidence import compare_judges, grade_rows
from datagen.judging.questions import Question, Questioner, make_questions
from datagen.mining.lineup import number_queries, open_lining, order_settings
from datagen.progress import Advance
from datagen.report.ledger import count_candidates
from datagen.run_folder import Counts
from datagen.selection.arrays import Bool, Float64, Int8, Int64, quantile_per_row, starts_of
from datagen.selection.verdicts import (
    JudgeRule,
    Outcome,
    Verdict,
    decide_outcomes,
    find_agreement,
    find_replaced,
    settle_verdicts,
)
from datagen.settings.generate import GenerateConfig
from datagen.stages.base import Work
from datagen.storage import make_folder
from datagen.tables import DECISION_POSITIVE, GENERATED, SCHEMAS

log = logging.getLogger(__name__)

_REASONS = {
    Outcome.FAILED: "judge_failed",
    Outcome.SPLIT: "judge_disagreement",
    Outcome.RELEVANT: "judge",
    Outcome.CLEARED: "surplus",
    Outcome.PROMOTED: "promoted",
}
REPLACED = "replaced_positive"
_QUESTIONS_AT_ONCE = 8192
"""Questions whose passages are in memory at once."""


class Judge:
    """Reads ledger, margins and texts; writes the ledger with what judges decided, and all that they said."""

    name: StageName = "judge"
    reads = ("candidates", "margins", "corpus", "queries")
    writes = ("candidates", "judgements", "dropped")

    def settings(self, config: RunConfig, backends: Backends) -> Mapping[str, Any]:  # Any: JSON settings
        """The settings of the section, who judges, the prompts, and the order in which candidates are taken.

        Raises:
            ConfigError: the prompts cannot be used.
        """
        return {
            **config.judge.model_dump(mode="json"),
            "judges": list(config.judges),
            "prompts": Questioner(config.judge, config.seed).aside.hashed,
            **{f"choice_{name}": value for name, value in order_settings(config).items()},
        }

    def run(self, work: Work) -> Counts:
        """Ask, decide, write; questions, answers, what they changed, agreement, tokens and money.

        Raises:
            BackendError: the server is down or refuses the run; answers are kept, the same command goes on.
        """
        docket = _draw(work)
        judgements, asked = _hear(work, docket)
        work.write("judgements", [judgements])
        tally = _decide(work, docket, judgements)
        numbers = count_candidates(work.partial / "candidates", shards.count_rows(work.source("queries")))
        return {**_tell(work.config, docket, judgements), **tally, **asked, **numbers}


def _draw(work: Work) -> pl.DataFrame:
    config = work.config
    lining = open_lining(config, work.backends, work.progress, work.source)
    margins = work.read("margins", ["query_id", "spread", "limit"])
    generated = _generated(work)
    folder = work.source("candidates")
    return Docket(config.judge, len(config.judges), lining, "denoise" in work.before, margins, generated, folder).draw()


def _generated(work: Work) -> pl.DataFrame:
    """The queries whose positives may be replaced."""
    queries = work.read("queries", ["query_id", "origin"])
    return queries.filter(pl.col("origin") == GENERATED, pl.lit(work.config.judge.replace_positives))


def _hear(work: Work, docket: pl.DataFrame) -> tuple[pl.DataFrame, Counts]:
    """All that the judges say, and what it cost."""
    config = work.config
    caps = GenerateConfig(max_cost=config.judge.max_cost)
    llms = {name: None if work.journal_only else work.backends.llm(name) for name in config.judges}
    total = docket["question"].n_unique() + docket.filter("both")["question"].n_unique()
    rows: list[Row] = []
    with open_journal(work.around.folder.path) as journal, contextlib.closing(work.backends):
        askers = Askers(config.llm, caps, journal, llms)
        court = Court(config.judge, Questioner(config.judge, config.seed), askers)
        with work.progress.step("judge", total, "questions") as advance:
            for questions in _questions(work, docket):
                loop.run(_listen(court, questions, work, rows, advance))
        if askers.spending.stopped_by:
            log.warning("the judge was stopped at judge.max_cost %s: raise it to go on", config.judge.max_cost)
    schema = pl.DataFrame(pl.from_arrow(SCHEMAS["judgements"].empty_table())).schema
    return pl.DataFrame(rows, schema=schema), askers.counts()


async def _listen(
    court: Court,
    questions: list[tuple[Question, bool]],
    work: Work,
    rows: list[Row],
    advance: Advance,
) -> None:
    async for said in court.hear(questions, work.config.judges):
        rows += said
        advance(1)


def _questions(work: Work, docket: pl.DataFrame) -> Iterator[list[tuple[Question, bool]]]:
    """The questions in their order, with their texts, some at a time."""
    queries = work.read("queries", ["query_id", "query", "instruction"])
    most = int(docket["question"].max() or 0) + 1 if len(docket) else 0  # type: ignore[arg-type]
    for begin in range(0, most, _QUESTIONS_AT_ONCE):
        part = docket.filter(pl.col("question").is_between(begin, begin + _QUESTIONS_AT_ONCE, closed="left"))
        texts = take_documents(work.source("corpus"), work.config.teacher.document_template, part["doc_id"])
        full = part.join(queries, on="query_id", how="left").join(texts, on="doc_id", how="left")
        both = part.group_by("question").agg(pl.col("both").first()).sort("question")["both"]
        yield list(zip(make_questions(full, work.config.judge.passage_characters), both, strict=True))


@dataclass(frozen=True)
class _Decided:
    """What becomes of the rows of a part of the ledger."""

    verdicts: Int8
    outcomes: Int8
    replaced: Bool
    grades: Float64
    """The mean of the judges' grades, NaN where there is none, (n,)."""


def _decide(work: Work, docket: pl.DataFrame, judgements: pl.DataFrame) -> Counts:
    """Write the ledger part by part with what the judges decide, and the positives that were replaced."""
    config, tally = work.config, Counter[str]()
    folder = work.partial / "candidates"
    make_folder(folder)
    generated, losses = _generated(work)["query_id"], []
    chosen = docket.filter("chosen").select("query_id", "doc_id", would_be=pl.lit(value=True))
    for path in sorted(work.source("candidates").glob("*.parquet")):
        ledger = pl.read_parquet(path, glob=False)
        seeds = ledger["reason"].eq("known_positive") & ledger["query_id"].is_in(generated.implode())
        decided = decide(config, ledger, judgements, seeds.to_numpy())
        after = _written(ledger, decided)
        shards.write_part(folder / path.name, "candidates", after)
        would_be = ledger.join(chosen, on=["query_id", "doc_id"], how="left", maintain_order="left")["would_be"]
        tally.update(_changes(decided, would_be.fill_null(value=False).to_numpy()))
        losses.append(_losses(after))
    if config.judge.replace_positives:
        work.write("dropped", [pl.concat(losses)])
    return dict(tally)


def judge_rule(config: RunConfig) -> JudgeRule:
    """What grades decide under these settings."""
    judge = config.judge
    return JudgeRule(judge.min_grade, judge.promote_grade, judge.clear_doubts, judge.promote)


def decide(config: RunConfig, ledger: pl.DataFrame, judgements: pl.DataFrame, seeds: Bool) -> _Decided:
    """What the judgements make of a part of the ledger.

    Args:
        config: of the run.
        ledger: ordered by query.
        judgements: of the whole run.
        seeds: the positives that may be replaced, (n,).
    """
    rule, rows = judge_rule(config), number_queries(ledger)
    grades, asked = grade_rows(ledger, judgements, config.judges)
    verdicts = settle_verdicts(rule, grades, asked)
    scores = ledger["reranker_score"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    known = ledger["reason"].eq("known_positive").to_numpy()
    agreed = find_agreement(rule, grades, scores, _middles(rows, scores, known)[rows])
    doubted = ledger["reason"].is_in(DOUBTED).to_numpy()
    outcomes = decide_outcomes(rule, verdicts, doubted, agreed)
    outcomes[known] = Outcome.KEPT
    given = (~np.isnan(grades)).sum(axis=1)
    mean = np.where(given > 0, np.nansum(grades, axis=1) / np.maximum(given, 1), np.nan)
    return _Decided(verdicts, outcomes, find_replaced(rows, verdicts, outcomes, seeds), mean)


def _middles(rows: Int64, scores: Float64, known: Bool) -> Float64:
    """The reranker's score of the median positive of each query; NaN where there is none."""
    scored = known & ~np.isnan(scores)
    n_rows = int(rows[-1]) + 1 if len(rows) else 0
    return quantile_per_row(scores[scored], starts_of(rows[scored], n_rows), 0.5)


def _written(ledger: pl.DataFrame, decided: _Decided) -> pl.DataFrame:
    """The ledger with new reasons and decisions."""
    words = pl.Series([_REASONS.get(outcome) for outcome in Outcome], dtype=pl.String)
    reasons = words.gather(decided.outcomes.astype(np.int64))
    promoted = pl.Series(decided.outcomes == Outcome.PROMOTED)
    replaced = pl.Series(decided.replaced)
    return ledger.with_columns(
        pl.Series("judge_grade", decided.grades, dtype=pl.Float32, nan_to_null=True),
        decision=pl.when(promoted).then(pl.lit(DECISION_POSITIVE)).otherwise("decision"),
        reason=pl.when(replaced).then(pl.lit(REPLACED)).otherwise(pl.coalesce(reasons, "reason")),
    )


def _losses(after: pl.DataFrame) -> pl.DataFrame:
    """A row for each positive that was replaced, with the passages that took its place."""
    promoted = after.filter(pl.col("reason") == "promoted").group_by("query_id").agg(replaced_by=pl.col("doc_id"))
    lost = after.filter(pl.col("reason") == REPLACED).join(promoted, on="query_id", how="left", maintain_order="left")
    return lost.select(
        stage=pl.lit(Judge.name),
        key=pl.concat_str("query_id", "doc_id", separator="\t"),
        reason=pl.lit(REPLACED),
        payload=pl.struct("query_id", "doc_id", "judge_grade", "replaced_by").struct.json_encode(),
    )


def _changes(decided: _Decided, would_be: Bool) -> dict[str, int]:
    outcomes = decided.outcomes
    changed = outcomes != Outcome.KEPT
    flags = {
        "decisions_changed": changed | decided.replaced,
        "negatives_removed": changed & would_be,
        "cleared": outcomes == Outcome.CLEARED,
        "promoted": outcomes == Outcome.PROMOTED,
        "positives_replaced": decided.replaced,
        "relevant": decided.verdicts == Verdict.RELEVANT,
        "not_relevant": decided.verdicts == Verdict.CLEAR,
        "judges_disagree": decided.verdicts == Verdict.SPLIT,
        "no_valid_answer": decided.verdicts == Verdict.FAILED,
    }
    return {name: int(found.sum()) for name, found in flags.items()}


def _tell(config: RunConfig, docket: pl.DataFrame, judgements: pl.DataFrame) -> Counts:
    """Questions, statuses, grades and agreement."""
    counts: Counts = {
        "questions": docket["question"].n_unique(),
        "candidates_judged": docket.height,
        "statuses": dict(judgements["status"].value_counts(sort=True).sort("status").iter_rows()),
        "grades": {
            str(grade): n for grade, n in judgements["grade"].drop_nulls().value_counts().sort("grade").iter_rows()
        },
    }
    kappa = compare_judges(judgements, config.judges, config.seed)
    if kappa is not None and kappa.count:
        figures = {"kappa": kappa.value, "kappa_low": kappa.low, "kappa_high": kappa.high}
        counts |= {name: None if np.isnan(value) else round(value, 4) for name, value in figures.items()}
        counts["judged_by_both"] = kappa.count
    return counts
