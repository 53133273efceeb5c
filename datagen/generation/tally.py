"""What must be counted of written queries: how many, of which kind, and how much they copy from their passages."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from datagen.generation.extractive.english import FUNCTION_WORDS
from datagen.generation.outcome import Lineage, Outcome, Step
from datagen.generation.words import normalise

_MILLION = 1_000_000


@dataclass
class _KindTally:
    queries: int = 0
    overlap: float = 0.0
    copied: int = 0

    def add(self, overlap: float, copied: bool) -> None:
        self.queries += 1
        self.overlap += overlap
        self.copied += copied

    @property
    def shares(self) -> dict[str, float]:
        number = max(1, self.queries)
        return {"overlap": round(self.overlap / number, 4), "copied": round(self.copied / number, 4)}


@dataclass
class _StepTally:
    generators: set[str] = field(default_factory=set)
    outcomes: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    cost: int = 0
    """In millionths."""

    def add(self, step: Step) -> None:
        self.generators.add(step.generator)
        self.outcomes[str(step.said.get("verdict") or step.reason or "taken")] += 1
        self.tokens += step.prompt_tokens + step.completion_tokens
        self.cost += _millionths(step.cost)

    def counts(self) -> dict[str, Any]:  # Any: as in `Tally.counts`
        told = {"asked": self.outcomes.total(), "outcomes": dict(sorted(self.outcomes.items()))}
        return {**told, "tokens": self.tokens, "cost": self.cost / _MILLION, "generators": sorted(self.generators)}


@dataclass
class Tally:
    """Adds up outcomes; the totals in `counts`."""

    passages: int = 0
    asked: int = 0
    fallbacks: int = 0
    new_passages: int = 0
    all_kinds: _KindTally = field(default_factory=_KindTally)
    by_kind: dict[str, _KindTally] = field(default_factory=lambda: defaultdict(_KindTally))
    rejected: Counter[str] = field(default_factory=Counter)
    not_possible: Counter[str] = field(default_factory=Counter)
    rungs: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    generators: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Of each language model: rows asked and accepted, tokens, and money in millionths."""
    steps: dict[str, _StepTally] = field(default_factory=lambda: defaultdict(_StepTally))
    """By the kind of question that rows ask beside their own."""
    reasks: int = 0
    not_asked: int = 0
    has_lineage: bool = False

    def accept(self, outcome: Outcome) -> None:
        """Count a query that was kept."""
        if outcome.written is None:
            raise ValueError(f"row {outcome.row_id} has no query to accept")
        self._count(outcome)
        self.fallbacks += bool(outcome.tried)
        if outcome.lineage:
            self.generators[outcome.generator]["accepted"] += 1
        self.new_passages += outcome.written.passage is not None
        shares = lexical_overlap(normalise(outcome.written.query), outcome.plain_positive)
        for tally in (self.all_kinds, self.by_kind[outcome.kind]):
            tally.add(*shares)

    def reject(self, outcome: Outcome, reason: str) -> None:
        """Count a row that gave no query."""
        self._count(outcome)
        self.rejected[reason] += 1

    def counts(self) -> dict[str, Any]:  # Any: JSON numbers and small tables of them
        """Totals; `overlap` is the mean share of a query's content words in its positive, `copied` of whole queries."""
        return {
            "passages": self.passages,
            "asked": self.asked,
            "accepted": self.all_kinds.queries,
            "rejected": self.rejected.total(),
            "fallbacks": self.fallbacks,
            "new_passages": self.new_passages,
            **self.all_kinds.shares,
            "kinds": {kind: {"queries": t.queries, **t.shares} for kind, t in sorted(self.by_kind.items())},
            "rejected_by_reason": dict(sorted(self.rejected.items())),
            "not_possible_by_reason": dict(sorted(self.not_possible.items())),
            **(self._lineage_counts() if self.has_lineage else {}),
        }

    def _lineage_counts(self) -> dict[str, Any]:  # Any: as in `counts`
        tables = {"rungs": self.rungs, "fields_left_out": self.left_out}
        sorted_tables = {name: dict(sorted(table.items())) for name, table in tables.items()}
        by_model = {name: _of_generator(counts) for name, counts in sorted(self.generators.items())}
        told = {"not_asked": self.not_asked, "reasks": self.reasks, **sorted_tables, "generators": by_model}
        steps = {kind: of_kind.counts() for kind, of_kind in sorted(self.steps.items())}
        return {**told, **({"steps": steps} if steps else {})}

    def _count(self, outcome: Outcome) -> None:
        self.asked += 1
        self.not_possible.update(outcome.tried.values())
        if outcome.lineage:
            self._trace(outcome.lineage, self.generators[outcome.generator])

    def _trace(self, lineage: Lineage, of_generator: Counter[str]) -> None:
        self.has_lineage = True
        of_generator["asked"] += 1
        of_generator["tokens"] += lineage.prompt_tokens + lineage.completion_tokens
        of_generator["cost"] += _millionths(lineage.cost)
        for step in lineage.steps:
            self.steps[step.step].add(step)
            if step.is_judge:  # paid under its own name
                of_generator["tokens"] -= step.prompt_tokens + step.completion_tokens
                of_generator["cost"] -= _millionths(step.cost)
        self.reasks += lineage.asks - 1
        self.rungs[lineage.rung or "none"] += 1
        self.left_out.update(lineage.left_out)


def _millionths(cost: float | None) -> int:
    return round((cost or 0) * _MILLION)


def _of_generator(counts: Counter[str]) -> dict[str, float]:
    cost = counts["cost"] / _MILLION
    accepted = max(1, counts["accepted"])
    return {
        "asked": counts["asked"],
        "accepted": counts["accepted"],
        "tokens": counts["tokens"],
        "cost": cost,
        "cost_of_one": round(cost / accepted, 8),
    }


def lexical_overlap(query: str, positive: str) -> tuple[float, bool]:
    """Share of the query's content words that stand in the positive, 0 to 1, and whether all of it does, word for word.

    Both are normalised texts. A query of function words alone is measured by those.
    """
    vocabulary = set(positive.split())
    content = [word for word in query.split() if word not in FUNCTION_WORDS] or query.split()
    overlap = sum(word in vocabulary for word in content) / max(1, len(content))
    return overlap, f" {query} " in f" {positive} "
