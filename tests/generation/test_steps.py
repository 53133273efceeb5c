"""One row with more than one question: what is asked in which order, and what all of it comes to."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from datagen.backends.protocols import LLMReply, LLMRequest, Usage
from datagen.generation.conversation import Generator
from datagen.generation.outcome import NOT_ASKED, Outcome, PlannedRow, Source
from datagen.generation.recipes.load import load_recipe
from datagen.generation.rows import RowWriter
from datagen.generation.runtime.prices import Price
from datagen.settings.generate import GenerateConfig, RetryRule

TEXT = "Gout is a kind of arthritis that hurts. Crystals of uric acid grow in the joints."
ROW = PlannedRow("g-1", Source("d1", "Gout", TEXT, "en"), 0)
CHOICE = json.dumps({"query_type": "A", "difficulty": "hard", "persona": "B"})
GOOD = json.dumps({"query": "why do my joints hurt at night", "span": None})
CAP = LLMReply("g-1", error=NOT_ASKED)
JUNK = "I like trains."


def _verdict(word: str) -> str:
    return json.dumps({"reason": "because it is so", "verdict": word})


@dataclass
class Asked:
    """Answers each kind of question with its own answers in turn, the last one for ever."""

    answers: dict[str, list[LLMReply | str]]
    requests: list[LLMRequest] = field(default_factory=list)

    async def __call__(self, request: LLMRequest) -> LLMReply:
        self.requests.append(request)
        mine = self.answers[request.step]
        answer = mine.pop(0) if len(mine) > 1 else mine[0]
        return LLMReply(request.row_id, answer, usage=Usage(100, 10)) if isinstance(answer, str) else answer

    @property
    def steps(self) -> list[str]:
        return [request.step or "write" for request in self.requests]


def _asked(**answers: list[LLMReply | str]) -> Asked:
    good: dict[str, list[LLMReply | str]] = {"choose": [CHOICE], "": [GOOD], "judge": [_verdict("yes")]}
    return Asked(
        {**good, "judge_negative": [_verdict("no")], **{"" if k == "write" else k: v for k, v in answers.items()}}
    )


def _writer(asked: Asked, **values: Any) -> tuple[RowWriter, Generator]:  # Any: settings
    settings = GenerateConfig(llm="openai:m", **{"two_step": True, "judge": "openai:court", **values})
    writer, court = Price(input=1.0, output=2.0), Price(input=10.0, output=20.0)
    judge = Generator("openai:court", asked, court) if settings.judge else None
    return RowWriter(load_recipe("corpus"), settings, 42, judge=judge), Generator("openai:m", asked, writer)


def _write(asked: Asked, **values: Any) -> Outcome:  # Any: settings
    writer, generator = _writer(asked, **values)
    return asyncio.run(writer.write(ROW, generator))


def test_a_row_is_chosen_written_and_judged_in_this_order() -> None:
    asked = _asked()
    outcome = _write(asked)
    assert asked.steps == ["choose", "write", "judge"]
    assert (outcome.reason, outcome.tried) == ("", {})
    assert outcome.lineage is not None
    assert [step.generator for step in outcome.lineage.steps] == ["openai:m", "openai:court"]
    assert (outcome.lineage.prompt_tokens, outcome.lineage.completion_tokens) == (300, 30)
    assert outcome.lineage.cost == pytest.approx(2 * 120e-6 + 1200e-6)
    assert outcome.lineage.asks == 1
    assert [request.row_id for request in asked.requests] == ["g-1/choose", "g-1", "g-1/judge"]


def test_the_slots_chosen_are_those_of_the_row() -> None:
    asked = _asked()
    outcome = _write(asked)
    assert outcome.lineage is not None
    said = outcome.lineage.steps[0].said
    assert outcome.slots["query_type"] == said["query_type"]
    assert outcome.kind == said["query_type"]
    offered = asked.requests[0].messages[-1]["content"]
    letters = dict(line.split(": ", 1) for line in offered.splitlines() if ": " in line)
    assert letters["hard"].startswith("two or more statements")


@pytest.mark.parametrize(
    ("answers", "reason", "steps"),
    [
        pytest.param({"choose": [CAP]}, NOT_ASKED, ["choose"], id="choice-not-asked"),
        pytest.param({"choose": [JUNK, CAP]}, NOT_ASKED, ["choose", "choose"], id="second-choice-not-asked"),
        pytest.param({"choose": [LLMReply("g", error="timed_out")]}, "timed_out", ["choose"], id="choice-timed-out"),
        pytest.param({"write": [CAP]}, NOT_ASKED, ["choose", "write"], id="writing-not-asked"),
        pytest.param({"write": [JUNK, CAP]}, "no_json", ["choose", "write", "write"], id="second-writing-not-asked"),
        pytest.param({"judge": [CAP]}, NOT_ASKED, ["choose", "write", "judge"], id="judge-not-asked"),
        pytest.param({"judge": [JUNK, CAP]}, NOT_ASKED, ["choose", "write", "judge", "judge"], id="judge-cut-short"),
        pytest.param({"judge": [JUNK]}, "judge_failed", ["choose", "write", "judge", "judge"], id="judge-unreadable"),
        pytest.param(
            {"judge": [LLMReply("g", error="content_filter")]},
            "judge_failed",
            ["choose", "write", "judge"],
            id="judge-held-back",
        ),
        pytest.param({"judge": [_verdict("no")]}, "judged_unanswerable", ["choose", "write", "judge"], id="judge-no"),
        pytest.param({"judge": [_verdict("partly")]}, "", ["choose", "write", "judge"], id="judge-partly"),
        pytest.param({"judge": ['{"verdict": "yes"}']}, "", ["choose", "write", "judge"], id="judge-gives-no-reason"),
        pytest.param(
            {"judge": ['{"reason": "yes"}']}, "judge_failed", ["choose", "write", "judge", "judge"], id="none"
        ),
    ],
)
def test_what_a_row_comes_to(answers: dict[str, list[LLMReply | str]], reason: str, steps: list[str]) -> None:
    asked = _asked(**answers)
    outcome = _write(asked)
    assert (outcome.reason, asked.steps) == (reason, steps)
    assert (outcome.written is not None) == (reason in ("", "judged_unanswerable", "judge_failed"))


def test_an_unusable_choice_gives_way_to_the_slots_drawn() -> None:
    outcome, plain = _write(_asked(choose=[JUNK])), _write(_asked(), two_step=False)
    assert outcome.slots == plain.slots
    assert outcome.tried == {"choose": "no_json"}
    assert outcome.lineage is not None
    assert (outcome.lineage.steps[0].asks, outcome.lineage.steps[0].reason) == (2, "no_json")


def test_the_second_choice_is_told_what_was_wrong_with_the_first() -> None:
    asked = _asked(choose=[CHOICE.replace('"A"', '"Z"'), CHOICE])
    outcome = _write(asked)
    assert outcome.tried == {}
    assert "`query_type`: it must be one of A, B, C, D, E" in asked.requests[1].messages[-1]["content"]


def test_a_retry_rule_whose_answer_is_missing_does_not_overrule_the_judge() -> None:
    asked = _asked(judge=[_verdict("no")], write=[GOOD, CAP])
    outcome = _write(asked, retries=(RetryRule(reason="judged_unanswerable"),))
    assert asked.steps == ["choose", "write", "judge", "write"]
    assert outcome.reason == "judged_unanswerable"


def test_a_retry_rule_writes_and_judges_anew() -> None:
    asked = _asked(judge=[_verdict("no"), _verdict("yes")])
    outcome = _write(asked, retries=(RetryRule(reason="judged_unanswerable"),))
    assert asked.steps == ["choose", "write", "judge", "write", "judge"]
    assert [request.sample for request in asked.requests] == [0, 0, 0, 1, 1]
    assert outcome.reason == ""


def test_a_row_asked_for_once_more_keeps_its_choice_and_pays_for_all() -> None:
    asked = _asked()
    writer, generator = _writer(asked)
    first = asyncio.run(writer.write(ROW, generator))
    other = asyncio.run(writer.write_other(first, generator, ["what is there"]))
    assert asked.steps == ["choose", "write", "judge", "write", "judge"]
    assert {**other.slots} == {**first.slots}
    assert other.tried == {"near_duplicate": "why do my joints hurt at night"}
    assert other.lineage is not None
    assert other.lineage.prompt_tokens == 500
    assert [step.step for step in other.lineage.steps] == ["choose", "judge", "judge"]


def test_a_step_is_part_of_the_request_and_the_first_one_is_what_is_shown() -> None:
    asked = _asked()
    writer, generator = _writer(asked)
    asyncio.run(writer.write(ROW, generator))
    assert writer.request(ROW) == asked.requests[0]
    assert [request.sampling.temperature for request in asked.requests] == [0.8, 0.8, 0.0]
    assert len({request.sampling.seed for request in asked.requests}) == 3
