"""`datagen generate --dry-run`: three prompts to look at, and twenty rows asked to say what the whole run would cost.

The answers of the pilot are kept in the journal of the run, so the run itself does not ask those rows again.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass

import numpy as np

from datagen import pipeline
from datagen.backends.protocols import Backends
from datagen.backends.registry import Registry
from datagen.config import RunConfig, StageName
from datagen.errors import ConfigError
from datagen.generation.conversation import as_text
from datagen.generation.offers import Offers
from datagen.generation.outcome import Outcome, PlannedRow
from datagen.generation.recipes.load import load_recipe
from datagen.generation.row_sources import RowSources
from datagen.generation.runtime import loop
from datagen.generation.runtime.journal import open_journal
from datagen.generation.session import Session, Settings
from datagen.generation.tasks import read_tasks
from datagen.nearest import open_nearest
from datagen.run_folder import open_run
from datagen.settings.generate import EXTRACTIVE

PILOT_ROWS = 20
SHOWN_PROMPTS = 3
STUDENT_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
             2.120, 2.110, 2.101, 2.093)  # fmt: skip
"""The 97.5 % quantiles of Student's t for 1 to 19 degrees of freedom."""


@dataclass(frozen=True)
class Estimate:
    """A total with its 95 % interval."""

    total: float
    low: float
    high: float


@dataclass(frozen=True)
class Pilot:
    """What a few rows say about the whole run."""

    prompts: tuple[str, ...]
    asked: int
    accepted: int
    reasons: dict[str, int]
    rows: int
    """Rows that the whole run is expected to ask."""
    tokens: Estimate
    cost: Estimate | None
    """None when the model's price is not known."""
    currency: str


def ask_pilot(config: RunConfig, backends: Backends | None = None) -> Pilot:
    """Clean the input, then ask a few rows of the plan, spread over the corpus.

    Raises:
        ConfigError: the recipe asks no language model.
        DatagenError: as a run would.
    """
    if config.generate.resolved_recipe == EXTRACTIVE:
        raise ConfigError("--dry-run prices a language model, and the extractive writer asks none: run it, it is free")
    backends = backends or Registry(config)
    pipeline.run(config, backends=backends, until=_last_before(config))
    backends.check("generate")
    generate = config.generate
    few = generate.model_copy(update={"num": PILOT_ROWS, "max_attempts": PILOT_ROWS})
    recipe = load_recipe(generate.resolved_recipe, generate.prompts)
    with open_run(config.out) as folder, open_journal(config.out) as journal, contextlib.closing(backends):
        done = [name for name in ("clean", "brainstorm") if folder.record(name)]
        sources = RowSources(recipe, few, config.seed, lambda table: folder.table(table, done))
        tasks = read_tasks(folder.table("tasks", done)) if recipe.brainstorm else None
        llms = {name: backends.llm(name) for name in generate.models}
        session = Session(Settings(generate, config.llm, config.seed), recipe, journal, llms, tasks)
        nearest = open_nearest(config, backends, recipe, journal)
        rows = list(Offers(recipe, config.seed, journal, nearest).attach(sources.rows()))
        return _judge(config, session, loop.run(_ask(session, rows)), sources.count())


def _last_before(config: RunConfig) -> StageName:
    return "brainstorm" if "brainstorm" in config.resolved_stages else "clean"


async def _ask(session: Session, rows: list[PlannedRow]) -> list[Outcome]:
    return [outcome async for outcome in session.outcomes(rows, lambda: PILOT_ROWS, lambda: 0)]


def _judge(config: RunConfig, session: Session, outcomes: list[Outcome], n_passages: int) -> Pilot:
    known = [outcome.lineage for outcome in outcomes if outcome.lineage]
    accepted = sum(outcome.written is not None and not outcome.reason for outcome in outcomes)
    planned = _planned_rows(config, n_passages, accepted, len(outcomes))
    reasons: dict[str, int] = {}
    for outcome in outcomes:
        if outcome.reason:
            reasons[outcome.reason] = reasons.get(outcome.reason, 0) + 1
    tokens = [line.prompt_tokens + line.completion_tokens for line in known]
    costs = [line.cost for line in known if line.cost is not None]
    return Pilot(
        tuple(_prompt(session, outcome) for outcome in outcomes[:SHOWN_PROMPTS]),
        len(outcomes),
        accepted,
        reasons,
        planned,
        estimate_total(tokens, planned),
        estimate_total(costs, planned) if session.spending.price_known else None,
        session.currency,
    )


def _prompt(session: Session, outcome: Outcome) -> str:
    """The first question of a row, and the one that writes it where that is another."""
    first, lineage = as_text(session.writer.request(outcome.row).messages), outcome.lineage
    if lineage is None or lineage.prompt == first:
        return first
    return f"{first}\n\n… and with what was chosen:\n\n{lineage.prompt}"


def _planned_rows(config: RunConfig, n_passages: int, accepted: int, asked: int) -> int:
    generate = config.generate
    if generate.num is None:
        return n_passages * generate.queries_per_passage
    needed = math.ceil(generate.num * asked / accepted) if accepted else math.inf
    return int(min(needed, generate.resolved_attempts or needed))


def estimate_total(values: list[float] | list[int], rows: int) -> Estimate:
    """The total over so many rows, with Student's 95 % interval of the mean of those seen; never below 0."""
    seen = np.asarray(values, dtype=np.float64)
    mean = float(seen.mean()) if len(seen) else 0.0
    half = 0.0
    if len(seen) > 1:
        quantile = STUDENT_T[min(len(seen) - 1, len(STUDENT_T)) - 1]
        half = quantile * float(seen.std(ddof=1)) / math.sqrt(len(seen))
    return Estimate(mean * rows, max(0.0, mean - half) * rows, (mean + half) * rows)


def describe_pilot(pilot: Pilot) -> str:
    """The pilot in words, for a person to decide on."""
    shown = [f"prompt {number}\n\n{text}" for number, text in enumerate(pilot.prompts, start=1)]
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(pilot.reasons.items()))
    tokens = pilot.tokens
    lines = [
        f"{pilot.accepted} of {pilot.asked} rows were accepted" + (f"; not: {reasons}" if reasons else ""),
        f"the run would ask {pilot.rows:,} rows and take {tokens.total:,.0f} tokens (95 % interval "
        f"{tokens.low:,.0f} to {tokens.high:,.0f})",
    ]
    if pilot.cost is None:
        lines.append("its price is not known: give --set llm.prices=FILE to have it in money")
    else:
        cost = pilot.cost
        lines.append(
            f"it would cost {cost.total:,.2f} {pilot.currency} (95 % interval {cost.low:,.2f} to {cost.high:,.2f})"
        )
    lines.append("nothing but these rows was asked; their answers are kept and will not be asked again")
    return "\n\n".join([*shown, "\n".join(lines)])
