"""`datagen probe`: each arm trained for the same steps on the same queries in the same order, and evaluated."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import polars as pl

from datagen import storage
from datagen.backends.models import find_model, hash_model
from datagen.config import fingerprint
from datagen.documents import take_documents
from datagen.errors import BackendMissingError, ConfigError
from datagen.probe.arms import Arm, Questions, build_arm, other_arm, take_questions
from datagen.probe.judged import JudgedSet, load_judged
from datagen.probe.measures import RECALL_DEPTH, measure, rank
from datagen.probe.plan import Plan, plan_rows
from datagen.probe.results import ArmResult, compare, compare_slices, keep_result, kept_result
from datagen.progress import Progress, SilentProgress
from datagen.runs import Run, load_run
from datagen.settings.probe import OWN, UNTRAINED, ProbeConfig
from datagen.version import __version__

log = logging.getLogger(__name__)

_PACKAGES = ("accelerate", "datasets", "sentence_transformers")


@dataclass(frozen=True)
class ProbeResult:
    """What a probe found."""

    arms: pl.DataFrame
    """See `results.compare`."""
    slices: pl.DataFrame
    """See `results.compare_slices`; no rows where the queries have no columns to tell them apart."""
    queries: int
    """Queries evaluated."""
    trained_on: int
    """Queries left out of the evaluation because the run trains on them."""


def probe(
    run: Path, judged: Path, config: ProbeConfig, others: Mapping[str, Path], progress: Progress | None = None
) -> ProbeResult:
    """Train and evaluate every arm that an earlier call has not, and compare them; kept in RUN/probe.

    Args:
        run: the folder of a run with training rows.
        judged: BEIR folder to evaluate on.
        config: student, budget and baselines.
        others: further arms: runs over the same input, by the name of the arm.
        progress: shows long steps; silent when None.

    Raises:
        DatagenError: what is wrong and what to do; arms that are done are kept.
    """
    session = _open(load_run(run), judged, config, others, progress or SilentProgress())
    results = [session.result(UNTRAINED, config.seeds[0], None)]
    for seed in config.seeds:
        plan = plan_rows(session.questions, session.arms, config, seed)
        results += [session.result(name, seed, plan) for name in session.arms]
    found = ProbeResult(
        compare(results, config.confidence),
        compare_slices(results, session.judged.slices, config.confidence),
        len(session.judged.queries),
        session.judged.trained_on,
    )
    _write_summary(session.folder / "probe.json", found, config)
    return found


@dataclass(frozen=True)
class _Session:
    questions: Questions
    arms: Mapping[str, Arm]
    judged: JudgedSet
    config: ProbeConfig
    template: str
    model: Path
    common: str
    progress: Progress

    @property
    def folder(self) -> Path:
        """Where results are kept."""
        return self.questions.run.path / "probe"

    def result(self, arm: str, seed: int, plan: Plan | None) -> ArmResult:
        """What was kept of an arm, or what training and evaluating it now gives; no plan, no training."""
        ids = [plan.queries, *plan.columns(arm)] if plan else []
        print_ = fingerprint(self.common, ids, seed if plan else 0)
        kept = kept_result(self.folder, arm, seed, print_)
        if kept:
            log.info("%s, seed %d: done before, kept", arm, seed)
            return kept
        result = self._make(arm, seed, plan, print_)
        keep_result(self.folder, result)
        return result

    def _make(self, arm: str, seed: int, plan: Plan | None, print_: str) -> ArmResult:
        from datagen.backends.student_st import load_student

        started = time.monotonic()
        student, loss = load_student(self.model, self.config), None
        if plan:
            columns = self._texts(plan, arm)
            with self.progress.step(f"train {arm}", self.config.steps, "steps") as advance:
                loss = student.train(plan.queries, columns, self.config, seed, advance)
        encoder = student.encoder()
        documents = encoder.encode(self.judged.documents.to_list(), "document")
        queries = encoder.encode(self.judged.queries.to_list(), "query")
        ndcg, recall = measure(rank(queries, documents, RECALL_DEPTH), self.judged.judgements)
        filled = self.arms[arm].filled if plan else 0
        seconds = round(time.monotonic() - started, 1)
        return ArmResult(arm, seed, print_, ndcg.tolist(), recall.tolist(), loss, filled, seconds)

    def _texts(self, plan: Plan, arm: str) -> list[list[str]]:
        """The texts that an arm reads, column by column."""
        columns = plan.columns(arm)
        ids = pl.Series("doc_id", [doc_id for column in columns for doc_id in column], pl.String)
        found = take_documents(self.questions.run.path / "corpus", self.template, ids)
        texts = dict(found.select("doc_id", "text").iter_rows())
        return [[texts[doc_id] for doc_id in column] for column in columns]


def _open(run: Run, judged: Path, config: ProbeConfig, others: Mapping[str, Path], progress: Progress) -> _Session:
    _check_packages()
    model = find_model(config.student, config.revision)
    questions = take_questions(run, config)
    template = str(run.settings["teacher"]["document_template"])
    evaluated = load_judged(judged, template, run.scan("train").select("query").collect()["query"])
    if evaluated.trained_on:
        log.warning("%d queries of %s are left out: the run trains on them", evaluated.trained_on, judged)
    names = (OWN, *config.baselines)
    if taken := {UNTRAINED, *names} & set(others):
        raise ConfigError(f"an arm is called {min(taken)!r} already: give the run that is compared another name")
    arms = {name: build_arm(name, questions, config, progress) for name in names}
    arms |= {name: other_arm(load_run(path), questions, config) for name, path in others.items()}
    budget = config.model_dump(mode="json", exclude={"baselines", "seeds", "confidence"})
    common = fingerprint(__version__, budget, hash_model(model), evaluated.identity)
    return _Session(questions, arms, evaluated, config, template, model, common, progress)


def _check_packages() -> None:
    if any(find_spec(name) is None for name in _PACKAGES):
        raise BackendMissingError("datagen probe", "st,hub,train")


def _write_summary(file: Path, found: ProbeResult, config: ProbeConfig) -> None:
    summary = {
        "settings": config.model_dump(mode="json"),
        "queries": found.queries,
        "trained_on": found.trained_on,
        "arms": found.arms.to_dicts(),
        "slices": found.slices.to_dicts(),
    }
    storage.write_text(file, json.dumps(summary, indent=1, ensure_ascii=False))
