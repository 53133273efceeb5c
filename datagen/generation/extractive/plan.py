"""Which kind of query each sample of a passage is to be, what a request for it holds, and what its answer becomes.

A passage deals its kinds like a deck: one after the other in an order drawn by weight, then the same order again for
a second query of each kind. Each sample takes the next card; a sample whose card fails takes another. So the samples
of a passage differ in kind where they can, and all of it follows from (run seed, document, text) alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from datagen.backends.protocols import LLMReply, LLMRequest
from datagen.errors import unknown_choice
from datagen.generation.extractive.parsing import Unparsable, Written, parse_reply
from datagen.generation.extractive.writers import KINDS
from datagen.generation.outcome import Outcome, PlannedRow, Source
from datagen.generation.row_plan import row_id
from datagen.generation.slots import digest, uniform, weighted_order
from datagen.generation.words import count_query_words, normalise
from datagen.settings.generate import GenerateConfig

Ask: TypeAlias = Callable[[Sequence[LLMRequest]], Mapping[str, LLMReply]]
"""Sends requests; the replies by row id."""

NO_REPLY = "no_reply"


@dataclass(slots=True, eq=False)
class Sample:
    """One query to be written for a passage, and what became of it."""

    source: Source
    number: int
    query_id: str
    kind: str = ""
    take: int = 0
    tried: dict[str, str] = field(default_factory=dict)
    """Kinds that failed before, and why."""
    written: Written | None = None

    @property
    def reason(self) -> str:
        """Why nothing could be written: what the kind first drawn failed with; empty before anything failed."""
        return next(iter(self.tried.values()), "")

    def outcome(self, generator: str) -> Outcome:
        """The sample as the tables take it, written by this generator."""
        slots = {"kind": self.kind, "doc_id": self.source.doc_id, "sample": self.number, "take": self.take}
        reason = "" if self.written else self.reason
        return Outcome(
            PlannedRow(self.query_id, self.source, self.number),
            self.kind,
            slots,
            self.written,
            reason,
            self.tried,
            generator=generator,
            positives=(self.source.doc_id,),
            derived=True,
            languages=(self.source.language, self.source.language),
        )


@dataclass(frozen=True)
class Plan:
    """The settings that requests follow from."""

    settings: GenerateConfig
    seed: int

    def samples(self, source: Source) -> list[Sample]:
        """The samples of a passage, nothing drawn yet."""
        numbers = range(self.settings.queries_per_passage)
        return [Sample(source, number, row_id(source.doc_id, number, self.seed)) for number in numbers]

    def order(self, doc_id: str) -> tuple[str, ...]:
        """The kinds of a passage in the order in which they are dealt."""
        return weighted_order(self.settings.mix, self.seed, "kind", doc_id)

    def request(self, sample: Sample) -> LLMRequest:
        """What the generator is asked for a sample."""
        doc_id = sample.source.doc_id
        keep = uniform(self.seed, "cloze_keep", doc_id, sample.number) < self.settings.cloze_keep
        slots = {
            "kind": sample.kind,
            "title": sample.source.title or "",
            "text": sample.source.text,
            "seed": digest(self.seed, "text", doc_id).hex(),
            "take": str(sample.take),
            "keep_sentence": "yes" if keep else "no",
        }
        return LLMRequest(sample.query_id, slots)


def check_kinds(mix: Mapping[str, float]) -> None:
    """Refuse a mix that names a kind of query nobody can write.

    Raises:
        ConfigError: naming the kinds there are.
    """
    for kind in mix:
        if kind not in KINDS:
            raise unknown_choice("query kind in generate.mix", kind, KINDS)


def write_queries(sources: Iterable[Source], plan: Plan, ask: Ask) -> list[Sample]:
    """Every sample of the passages, in their order, written or failed; it does not depend on the order of replies."""
    samples, decks = [], {}
    for source in sources:
        decks[source.doc_id] = _Deck(plan.order(source.doc_id), plan.settings.queries_per_passage)
        samples += plan.samples(source)
    waiting = samples
    while waiting := [sample for sample in waiting if decks[sample.source.doc_id].deal(sample)]:
        replies = ask([plan.request(sample) for sample in waiting])
        for sample in waiting:
            _settle(sample, replies.get(sample.query_id), decks[sample.source.doc_id], plan.settings)
        waiting = [sample for sample in waiting if sample.written is None]
    return samples


class _Deck:
    """The kinds of one passage as they are dealt, and the queries it has already."""

    def __init__(self, order: Sequence[str], samples: int) -> None:
        self._cards = [(kind, take) for take in range(samples + 1) for kind in order]
        self._position = 0
        self._deals_left = samples + 2 * len(order)
        self._spent: set[str] = set()
        self.queries: set[str] = set()

    def deal(self, sample: Sample) -> bool:
        """Give a sample the next kind that is not spent; whether there was one."""
        while self._position < len(self._cards) and self._deals_left:
            kind, take = self._cards[self._position]
            self._position += 1
            if kind not in self._spent:
                self._deals_left -= 1
                sample.kind, sample.take = kind, take
                return True
        return False

    def spend(self, kind: str) -> None:
        """Deal this kind no more."""
        self._spent.add(kind)


def _settle(sample: Sample, reply: LLMReply | None, deck: _Deck, settings: GenerateConfig) -> None:
    if reply is None or reply.error is not None:
        deck.spend(sample.kind)
        sample.tried.setdefault(sample.kind, NO_REPLY if reply is None else reply.error or NO_REPLY)
        return
    written = parse_reply(reply.text)
    fault = written.reason if isinstance(written, Unparsable) else _fault(written, sample.source, deck, settings)
    if fault:
        sample.tried.setdefault(sample.kind, fault)
    elif isinstance(written, Written):
        sample.written = written
        deck.queries.add(normalise(written.query))


def _fault(written: Written, source: Source, deck: _Deck, settings: GenerateConfig) -> str | None:
    repeats = normalise(written.query) in deck.queries
    return fault_of_query(written.query, source, settings) or ("repeats_own_query" if repeats else None)


def fault_of_query(query: str, source: Source, settings: GenerateConfig) -> str | None:
    """Why a query of this passage is none: too short, too long, or the whole passage again; None for a good one."""
    n_words, plain = count_query_words(query), normalise(query)
    if n_words < settings.min_query_words:
        return "too_few_words"
    if n_words > settings.max_query_words:
        return "too_many_words"
    copies = plain in (source.plain_text, f"{normalise(source.title or '')} {source.plain_text}")
    return "copies_passage" if copies else None
