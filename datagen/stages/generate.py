"""Generate: queries for the passages of the corpus, each with its passage as the known positive.

With the recipe `extractive` the passages go through in batches and a generator cuts queries out of them. Any other
recipe is asked of a language model, row by row: `generation.session`. Which LLM answers, this stage does not know.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datagen.backends.protocols import LLM, Backends, CorpusReader, LLMReply, LLMRequest
from datagen.config import RunConfig, StageName
from datagen.config_generate import EXTRACTIVE, GenerateConfig
from datagen.errors import InputError, RunFolderError
from datagen.generation import loop
from datagen.generation.journal import open_journal
from datagen.generation.output import GROWING, Output
from datagen.generation.passages import count_passages, read_batches, read_passages
from datagen.generation.plan import Plan, check_kinds, write_queries
from datagen.generation.recipes import load_recipe
from datagen.generation.row_plan import PlannedRow, plan_rows
from datagen.generation.session import Session, Settings
from datagen.generation.tally import Tally
from datagen.progress import Advance
from datagen.run_folder import Counts
from datagen.stages.base import Work

log = logging.getLogger(__name__)

ROWS_BETWEEN_NEWS = 16


class Generate:
    """Reads the corpus; writes queries, pairs, shortened passages, what was rejected, and how each row came about."""

    name: StageName = "generate"
    reads = ("corpus", "queries", "pairs")
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
        return {**values, "prompts": load_recipe(generate.resolved_recipe, generate.prompts).fingerprint()}

    def run(self, work: Work) -> Counts:
        """Ask, check and write; asked, accepted, rejected per reason, kinds, lexical overlap, tokens and money.

        Raises:
            InputError: there is no passage, or no query could be kept.
            BackendError: the server is down or refuses the run; answers are kept, the same command goes on.
        """
        corpus, generate = work.source("corpus"), work.config.generate
        earlier = {name: _earlier_parts(work, name) for name in GROWING}
        output = Output(work.partial, earlier, generate.llm, generate.resolved_recipe)
        output.tally.passages = count_passages(corpus)
        more = (
            _extract(work, corpus, output) if generate.resolved_recipe == EXTRACTIVE else _prompt(work, corpus, output)
        )
        output.close()
        _check_any(output.tally)
        return {**output.tally.counts(), **more}


def _extract(work: Work, corpus: Path, output: Output) -> Counts:
    llm, total = work.backends.llm(), output.tally.passages
    if isinstance(llm, CorpusReader):
        llm.read_corpus(_shown(work, corpus, total))
    plan = Plan(work.config.generate, work.config.seed)
    with work.progress.step("write queries", total, "passages") as advance:
        for batch in read_batches(corpus):
            for sample in write_queries(batch, plan, lambda requests: loop.run(_answers(llm, requests))):
                output.add(sample.outcome())
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


def _prompt(work: Work, corpus: Path, output: Output) -> Counts:
    config, n_passages = work.config, output.tally.passages
    llm = None if work.journal_only else work.backends.llm()
    settings = Settings(config.generate, config.llm, config.seed)
    expected = config.generate.num or n_passages * config.generate.queries_per_passage
    with open_journal(work.around.folder.path) as journal, contextlib.closing(work.backends):
        session = Session(settings, journal, llm)
        rows = plan_rows(lambda: read_passages(corpus), n_passages, config.generate, config.seed)
        with work.progress.step("write queries", expected, "queries") as advance:
            loop.run(_write_rows(session, rows, output, config.generate.num, advance))
        return {**session.counts(), **_ending(session, output, config.generate)}


async def _write_rows(
    session: Session, rows: Iterator[PlannedRow], output: Output, num: int | None, advance: Advance
) -> None:
    wanted = (lambda: num - output.accepted) if num else None
    shown = 0
    async for outcome in session.outcomes(rows, wanted):
        output.add(outcome)
        done = output.accepted if num else output.tally.asked
        if done - shown >= ROWS_BETWEEN_NEWS:
            advance(done - shown, session.price_of_one(output.accepted))
            shown = done
    advance((output.accepted if num else output.tally.asked) - shown, session.price_of_one(output.accepted))


def _ending(session: Session, output: Output, settings: GenerateConfig) -> Counts:
    """Why the stage asked no more, said once more in the log when it was before the end."""
    accepted, cap, num = output.accepted, session.spending.stopped_by, settings.num
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
    if tally.passages == 0:
        raise InputError("the corpus holds no passage to write queries for: look at `dropped` for what was left out")
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
