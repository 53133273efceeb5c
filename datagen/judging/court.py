"""The court: puts questions to one or two judges through flow control and journal, and reads what they say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from datagen.backends.protocols import Usage
from datagen.generation.askers import Askers
from datagen.generation.conversation import Turn, converse
from datagen.generation.outcome import NOT_ASKED
from datagen.generation.runtime.stream import in_order
from datagen.judging.questions import OK, Question, Questioner, Said
from datagen.settings.judge import JudgeConfig

Row: TypeAlias = dict[str, Any]  # Any: cells of a table

_AHEAD = 4096
"""Answers that may wait behind a slow one."""


class Case(NamedTuple):
    """A question and who answers it."""

    question: Question
    judge: str


class Court:
    """Has questions answered."""

    def __init__(self, config: JudgeConfig, questioner: Questioner, askers: Askers) -> None:
        """Take the settings, the form of the questions, and the models, each named as a judge."""
        self._config, self._questioner, self._askers = config, questioner, askers

    def hear(self, questions: Iterable[tuple[Question, bool]], judges: Sequence[str]) -> AsyncIterator[list[Row]]:
        """Rows of the table `judgements` in the order of the questions, a list for each question and judge.

        Args:
            questions: each with whether the second judge answers it, too.
            judges: their names, the first of which answers everything.

        Raises:
            BackendError: the server is down, or refuses the whole run; all answers so far are in the journal.
        """
        cases = (Case(question, judge) for question, both in questions for judge in judges[: 1 + both])
        active = self._askers.active
        return in_order(cases, self._ask, active=active, ahead=active + _AHEAD)

    async def _ask(self, case: Case) -> list[Row]:
        question, asker = case.question, self._askers.generators[case.judge]
        read = self._questioner.reader(question)
        turns = await converse(self._questioner.request(question), asker.ask, read, self._config.reasks)
        said = self._questioner.interpret(question, turns[-1])
        return list(self._rows(case, said, turns))

    def _rows(self, case: Case, said: Sequence[Said], turns: Sequence[Turn]) -> Iterator[Row]:
        """One row a candidate; what the question cost is shared out among them."""
        usages = [turn.reply.usage for turn in turns]
        usage = Usage(sum(u.prompt_tokens for u in usages), sum(u.completion_tokens for u in usages))
        cost = self._askers.spending.cost(case.judge, usage)
        for doc_id, verdict in zip(case.question.doc_ids, said, strict=True):
            if verdict.status != NOT_ASKED:
                relevant = verdict.grade is not None and verdict.grade >= self._config.min_grade
                yield {
                    "query_id": case.question.query_id,
                    "doc_id": doc_id,
                    "judge": case.judge,
                    "mode": self._config.mode,
                    "grade": verdict.grade,
                    "span": verdict.span,
                    "label": int(relevant) if verdict.status == OK else None,
                    "status": verdict.status,
                    "words": verdict.words,
                    "cost": None if cost is None else cost / len(said),
                }
