"""Outcomes are taken in plan order, a group at a time: what repeats the run is asked for once more, then decided.

All of it follows from the plan and the answers, never from the order in which answers came. The re-asks of a group run
side by side, while rows further on are being asked.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

from datagen.generation.novelty.collapse import CollapseWatch
from datagen.generation.novelty.gate import Near, Novelty
from datagen.generation.outcome import NOT_ASKED, Outcome
from datagen.generation.output import DUPLICATE_QUERY, Output
from datagen.generation.session import Session

GROUP = 64
TRIES_IN_ALARM = 16
"""Rows of a group that are asked otherwise while the run repeats itself: enough to see whether it helps."""
EARLIER_RUN = "an earlier run"
"""The key of queries that are to be avoided."""
NO_LIMIT = 1 << 40


class Committer:
    """Decides on outcomes and hands them to the tables."""

    def __init__(
        self, session: Session, output: Output, novelty: Novelty, watch: CollapseWatch, num: int | None
    ) -> None:
        """Take the parts; `num` rows are wanted, None for all that come."""
        self._session, self._output = session, output
        self._novelty, self._watch, self._num = novelty, watch, num
        self._group: list[Outcome] = []
        self.taken = 0
        """Outcomes looked at so far."""
        self.collapse = ""
        """Why the run has collapsed, in words, once it has."""

    def wanted(self) -> int:
        """How many rows may be unsettled now, beside those that are waiting here."""
        if self.collapse:
            return 0
        return NO_LIMIT if self._num is None else self._num - self._output.accepted - len(self._group)

    async def take(self, outcome: Outcome) -> None:
        """Take in the next outcome of the plan."""
        self._group.append(outcome)
        self.taken += 1
        if len(self._group) >= GROUP:
            await self.flush()

    async def flush(self) -> None:
        """Decide on all that was taken in."""
        group, self._group = self._group, []
        near = self._find_near(group)
        for outcome in await self._others(group, near) if near else group:
            self._commit(outcome, is_new=not near)

    def _find_near(self, group: Sequence[Outcome]) -> dict[str, Near]:
        """Rows of a group that say what the run, or an earlier row of the group, has said already, by row id."""
        if not self._novelty.settings.enabled:
            return {}
        asking = [outcome for outcome in group if _query(outcome)]
        found = self._novelty.check(
            [_query(outcome) for outcome in asking], [outcome.source.doc_id for outcome in asking]
        )
        return {outcome.row_id: said for outcome, said in zip(asking, found, strict=True) if said}

    async def _others(self, group: Sequence[Outcome], near: Mapping[str, Near]) -> list[Outcome]:
        """The group, with another outcome in the place of each that says what the run has already."""
        most = {"fine": GROUP, "rotate": TRIES_IN_ALARM, "stop": 0}[self._watch.state()]
        tried = dict(itertools.islice(near.items(), most))
        return list(await asyncio.gather(*(self._other(outcome, tried.get(outcome.row_id)) for outcome in group)))

    async def _other(self, outcome: Outcome, near: Near | None) -> Outcome:
        if near is None:
            return outcome
        covered = list(dict.fromkeys([near.of_text, *self._novelty.covered(near.of_key, _query(outcome))]))
        other = await self._session.write_other(outcome, covered)
        return outcome if other.reason == NOT_ASKED else other

    def _commit(self, outcome: Outcome, *, is_new: bool) -> None:
        text, before = _query(outcome), self._output.accepted
        near = self._novelty.check([text], [outcome.source.doc_id])[0] if text and not is_new else None
        if near and (near.reason != DUPLICATE_QUERY or near.of_key == EARLIER_RUN):
            outcome = replace(outcome, reason=near.reason)
        self._output.add(outcome)
        if self._novelty.settings.enabled:
            self._remember(outcome, text, near, accepted=self._output.accepted > before)

    def _remember(self, outcome: Outcome, text: str, near: Near | None, *, accepted: bool) -> None:
        if accepted and text:
            self._novelty.add(text, outcome.source.doc_id)
        if text:
            self._watch.add(text, accepted, near.reason if near else outcome.reason)
        if self._watch.state() == "stop":
            self.collapse = self.collapse or self._watch.words()


def _query(outcome: Outcome) -> str:
    return outcome.written.query if outcome.written and not outcome.reason else ""
