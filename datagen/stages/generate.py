"""Generate: queries for the passages of the corpus, each with its passage as the known positive.

With the recipe `extractive` the passages go through in batches and a generator cuts queries out of them. Any other
recipe is asked of a language model, row by row: `generation.session`. Which LLM answers, this stage does not know.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datagen.backends.protocols import LLM, Backends, CorpusReader, Float32, LLMReply, LLMRequest
from datagen.config import RunConfig, StageName
from datagen.errors import ConfigError, InputError, RunFolderError
from datagen.generation.committing import EARLIER_RUN, Committer
from datagen.generation.extractive.plan import Plan, check_kinds, write_queries
from datagen.generation.novelty.collapse import CollapseWatch
from datagen.generation.novelty.gate import Novelty
from datagen.generation.offers import Offers
from datagen.generation.outcome import PlannedRow
from datagen.generation.output import GROWING, Output
from datagen.generation.passages import count_passages, read_batches, read_queries
from datagen.generation.recipes.load import Recipe, load_recipe
from datagen.generation.row_sources import RowSources
from datagen.generation.runtime import loop
from datagen.generation.runtime.journal import Journal, open_journal
from datagen.generation.session import Session, Settings
from datagen.generation.tally import Tally
from datagen.generation.tasks import read_tasks
from datagen.nearest import open_nearest
from datagen.progress import Advance
from datagen.run_folder import Counts
from datagen.settings.generate import EXTRACTIVE, GenerateConfig
from datagen.stages.base import Work

log = logging.getLogger(__name__)

ROWS_BETWEEN_NEWS = 16
OBJECTS_BETWEEN_COLLECTIONS = 20_000


class Generate:
    """Reads the corpus; writes queries, pairs, shortened passages, what was rejected, and how each row came about."""

    name: StageName = "generate"
    reads = ("corpus", "queries", "pairs", "tasks")
    writes = ("corpus", "queries", "pairs", "dropped", "generations")

    def settings(self, config: RunConfig, backends: Backends) -> Mapping[str, Any]:  # Any: JSON settings
        """The settings of the section, the name of the LLM among them, the seed, and what the recipe holds.

        Raises:
            ConfigError: the mix names an unknown kind of query, or the recipe cannot be used.
        """
        generate = config.generate
        values = {**generate.model_dump(mode="json"), "recipe": generate.resolved_recipe, "seed": config.seed}
        if generate.resolved_recipe == EXTRACTIVE:
            check_kinds(generate.mix)
            return values
        recipe = load_recipe(generate.resolved_recipe, generate.prompts)
        return {**values, "prompts": recipe.fingerprint(), **_step_prompts(recipe, generate)}

    def run(self, work: Work) -> Counts:
        """Ask, check and write; asked, accepted, rejected per reason, kinds, lexical overlap, tokens and money.

        Raises:
            InputError: there is nothing to write for, or no row could be kept.
            BackendError: the server is down or refuses the run; answers are kept, the same command goes on.
        """
        generate = work.config.generate
        earlier = {name: _earlier_parts(work, name) for name in GROWING}
        output = Output(work.partial, earlier, generate.resolved_recipe)
        write = _extract if generate.resolved_recipe == EXTRACTIVE else _prompt
        more = write(work, output)
        output.close()
        _check_any(output.tally)
        return {**output.tally.counts(), **more}


def _extract(work: Work, output: Output) -> Counts:
    corpus, llm = work.source("corpus"), work.backends.llm()
    total = output.tally.passages = count_passages(corpus)
    if not total:
        raise InputError("the corpus holds no passage to write queries for: look at `dropped` for what was left out")
    if isinstance(llm, CorpusReader):
        llm.read_corpus(_shown(work, corpus, total))
    plan = Plan(work.config.generate, work.config.seed)
    with work.progress.step("write queries", total, "passages") as advance:
        for batch in read_batches(corpus):
            for sample in write_queries(batch, plan, lambda requests: loop.run(_answers(llm, requests))):
                output.add(sample.outcome(work.config.generate.llm))
            advance(len(batch))
    return {}


def _shown(work: Work, corpus: Path, total: int) -> Iterator[str]:
    """All passages for a generator that wants to see them first."""
    with work.progress.step("read the corpus", total, "passages") as advance:
        for batch in read_batches(corpus):
            yield from (f"{source.title or ''} {source.text}" for source in batch)
            advance(len(batch))


async def _answers(llm: LLM, requests: Sequence[LLMRequest]) -> dict[str, LLMReply]:
    replies = await asyncio.gather(*map(llm.complete, requests))
    return {reply.row_id: reply for reply in replies}


def _prompt(work: Work, output: Output) -> Counts:
    config, generate = work.config, work.config.generate
    recipe = load_recipe(generate.resolved_recipe, generate.prompts)
    sources = RowSources(recipe, generate, config.seed, work.source)
    output.tally.passages = sources.count()
    tasks = read_tasks(work.source("tasks")) if recipe.brainstorm else None
    llms = {name: None if work.journal_only else work.backends.llm(name) for name in generate.models}
    with open_journal(work.around.folder.path) as journal, contextlib.closing(work.backends):
        session = Session(Settings(generate, config.llm, config.seed), recipe, journal, llms, tasks)
        committer = Committer(session, output, _novelty(work), CollapseWatch(generate.novelty), generate.num)
        rows = _offered(work, recipe, sources, journal)
        with work.progress.step("write rows", sources.expected(), "rows") as advance, _rare_collections():
            loop.run(_write_rows(session, rows, committer, _News(session, output, generate.num, advance)))
        return {**session.counts(), **_ending(session, output, committer.collapse, generate)}


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """Look for cycles less often: a row makes thousands of objects and hardly a cycle."""
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], OBJECTS_BETWEEN_COLLECTIONS) if before[0] else 0, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _offered(work: Work, recipe: Recipe, sources: RowSources, journal: Journal) -> Iterator[PlannedRow]:
    """The rows, each with what it is offered; for those surely asked that is found before the first one is."""
    if not work.config.generate.two_step:
        return sources.rows()
    nearest = None if work.journal_only else open_nearest(work.config, work.backends, recipe, journal)
    offers = Offers(recipe, work.config.seed, journal, nearest)
    if nearest:
        with work.progress.step("find what suits the passages", sources.expected(), "rows") as advance:
            for _ in offers.attach(itertools.islice(sources.rows(), sources.expected())):
                advance(1)
    return offers.attach(sources.rows())


def _step_prompts(recipe: Recipe, generate: GenerateConfig) -> dict[str, str]:
    """Hashes of the prompts that are asked on request; those not asked for change no row.

    Raises:
        ConfigError: the recipe lets nothing be chosen, or a prompt cannot be used.
    """
    choosers = [asker.chooser.aside.hashed for asker in recipe.askers if asker.chooser]
    if generate.two_step and not choosers:
        raise ConfigError(
            f"two_step needs a recipe that says what is chosen, and {recipe.name!r} has no section `choose`: leave it "
            "out, or take the recipe 'corpus' for an example"
        )
    chosen = {"choose_prompts": " ".join(choosers)} if generate.two_step else {}
    judged = {"judge_prompts": " ".join(asker.judge.hashed for asker in recipe.askers)} if generate.judge else {}
    return {**chosen, **judged}


def _novelty(work: Work) -> Novelty:
    """The gate for repeated queries, which knows the queries of the runs that are to be avoided."""
    novelty = Novelty(work.config.generate.novelty, _encoder(work))
    for run in work.config.generate.avoid:
        novelty.load(read_queries(run), EARLIER_RUN)
    return novelty


def _encoder(work: Work) -> Callable[[Sequence[str]], Float32] | None:
    if not work.config.generate.novelty_by_teacher:
        return None
    teacher = work.backends.teacher()
    return lambda texts: teacher.encode(texts, "query")


async def _write_rows(session: Session, rows: Iterator[PlannedRow], committer: Committer, news: _News) -> None:
    has_more = True
    while has_more:  # a group that was rejected calls for more rows
        has_more = False
        async for outcome in session.outcomes(rows, committer.wanted, lambda: committer.taken):
            has_more = True
            await committer.take(outcome)
            news.tell()
        await committer.flush()
    news.tell(last=True)


class _News:
    """Tells how far the rows are, now and then."""

    def __init__(self, session: Session, output: Output, num: int | None, advance: Advance) -> None:
        self._session, self._output, self._num, self._advance = session, output, num, advance
        self._shown = 0

    def tell(self, last: bool = False) -> None:
        done = self._output.accepted if self._num else self._output.tally.asked
        if done - self._shown >= ROWS_BETWEEN_NEWS or last:
            self._advance(done - self._shown, self._session.price_of_one(self._output.accepted))
            self._shown = done


def _ending(session: Session, output: Output, collapse: str, settings: GenerateConfig) -> Counts:
    """Why the stage asked no more, said once more in the log when it was before the end."""
    accepted, cap, num = output.accepted, session.spending.stopped_by, settings.num
    if collapse:
        log.warning("stopped after %s rows, because the writer repeats itself: %s", f"{accepted:,}", collapse)
        return {"ended_by": "collapse"}
    if cap:
        log.warning(
            "stopped at %s after %s queries: raise it and run the same command to go on; what was answered is kept",
            cap,
            f"{accepted:,}",
        )
        return {"ended_by": cap}
    if num and accepted < num:
        log.warning(
            "%s of the %s queries wanted were accepted in %s rows, the most allowed: look at the reasons in `dropped`, "
            "or raise --max-attempts",
            f"{accepted:,}",
            f"{num:,}",
            f"{output.tally.asked:,}",
        )
        return {"ended_by": "max_attempts"}
    return {"ended_by": "num" if num else "all rows"}


def _earlier_parts(work: Work, table: str) -> list[Path]:
    try:
        return sorted(work.source(table).glob("*.parquet"))
    except RunFolderError:  # no stage before has written such a table
        return []


def _check_any(tally: Tally) -> None:
    if tally.all_kinds.queries:
        return
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in tally.rejected.most_common())
    if tally.has_lineage or tally.not_asked:
        raise InputError(
            f"no query could be kept of {tally.asked:,} asked and {tally.not_asked:,} not asked "
            f"({reasons or 'no answer'}): `datagen why RUN ROW_ID` shows what was asked and answered; "
            "caps such as --max-requests may be too low"
        )
    raise InputError(
        f"no query could be written for any of the {tally.passages:,} passages ({reasons}): give passages of some "
        "whole sentences, give other kinds weight in generate.mix, or widen generate.min_query_words and "
        "generate.max_query_words"
    )
