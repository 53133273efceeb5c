"""One row: what is asked, asked again, and what becomes of it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from datagen.backends.protocols import LLMReply, LLMRequest, Usage
from datagen.generation.conversation import Generator, Turn
from datagen.generation.outcome import NOT_ASKED, Outcome, PlannedRow, Source
from datagen.generation.recipes.load import load_recipe
from datagen.generation.rows import RowWriter
from datagen.generation.runtime.prices import Price
from datagen.settings.generate import GenerateConfig, RetryRule

SOURCE = Source("d1", "Gout", "Gout is a kind of arthritis that hurts. Crystals of uric acid grow in the joints.", "en")
ROW = PlannedRow("g-1", SOURCE, 0)
GOOD = json.dumps({"query": "why do my joints hurt at night", "span": "Crystals of uric acid grow in the joints."})


@dataclass
class Asked:
    """Answers with each of these in turn, then with the last one for ever."""

    answers: list[LLMReply | str]
    requests: list[LLMRequest] = field(default_factory=list)

    async def __call__(self, request: LLMRequest) -> LLMReply:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return LLMReply(request.row_id, answer, usage=Usage(100, 10)) if isinstance(answer, str) else answer


def _write(
    *answers: LLMReply | str,
    turns: list[Turn] | None = None,
    seed: int = 42,
    **values: Any,  # Any: settings
) -> tuple[Outcome, list[LLMRequest]]:
    settings = GenerateConfig(llm="openai:m", **values)
    writer = RowWriter(load_recipe("corpus"), settings, seed)
    asked = Asked(list(answers))
    generator = Generator("openai:m", asked, Price(input=1.0, output=2.0))
    return asyncio.run(writer.write(ROW, generator, turns)), asked.requests


def test_a_good_answer_is_written_with_its_lineage() -> None:
    outcome, requests = _write(GOOD)
    assert len(requests) == 1
    assert outcome.written is not None
    assert outcome.written.query == "why do my joints hurt at night"
    assert outcome.written.span == "Crystals of uric acid grow in the joints."
    assert outcome.reason == ""
    assert outcome.kind == requests[0].slots["query_type"]
    assert outcome.slots["doc_id"] == "d1"
    assert outcome.lineage is not None
    assert (outcome.lineage.rung, outcome.lineage.asks) == ("strict", 1)
    assert outcome.lineage.cost == pytest.approx(120e-6)
    assert SOURCE.text in outcome.lineage.prompt


def test_request_depends_on_seed_and_row_alone() -> None:
    one, again, other = (_write(GOOD, seed=seed)[1][0] for seed in (1, 1, 2))
    assert one == again
    assert one.sampling.seed != other.sampling.seed


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        pytest.param("I like trains.", "no_json", id="no-json"),
        pytest.param('{"question": "why"}', "wrong_fields", id="wrong-fields"),
        pytest.param('{"query": 7}', "wrong_types", id="wrong-types"),
        pytest.param('{"query": "gout"}', "too_few_words", id="too-few-words"),
        pytest.param(json.dumps({"query": SOURCE.text}), "copies_passage", id="copies-passage"),
        pytest.param("", "empty", id="empty"),
    ],
)
def test_a_bad_answer_is_asked_again_with_what_is_wrong_and_then_dropped(bad: str, reason: str) -> None:
    mended, requests = _write(bad, GOOD)
    assert mended.written is not None
    assert mended.tried == {"ask 1": reason}
    assert mended.lineage is not None
    assert (mended.lineage.asks, mended.lineage.prompt_tokens) == (2, 200)
    first, again = (request.messages for request in requests)
    assert again[: len(first)] == first
    assert [message["role"] for message in again[len(first) :]] == ["assistant", "user"]
    dropped, _ = _write(bad)
    assert (dropped.written, dropped.reason) == (None, reason)
    assert dropped.lineage is not None
    assert (dropped.lineage.asks, dropped.lineage.rung) == (2, None)


@pytest.mark.parametrize("reasks", [0, 1, 3])
def test_an_answer_is_asked_again_so_often_as_the_settings_say(reasks: int) -> None:
    assert len(_write("nothing", reasks=reasks)[1]) == 1 + reasks


def test_an_error_of_the_row_is_final_at_once() -> None:
    outcome, requests = _write(LLMReply("g-1", error="bad_request", detail="too long"))
    assert (outcome.reason, outcome.written, len(requests)) == ("bad_request", None, 1)


def test_a_retry_rule_asks_the_rows_of_its_reason_again_as_a_new_sample() -> None:
    cut = LLMReply("g-1", '{"query": "why do', finish_reason="length")
    rules = (RetryRule(reason="truncated", max_tokens=2.0), RetryRule(reason="refused"))
    outcome, requests = _write(cut, cut, GOOD, retries=rules, answer_tokens=100)
    assert outcome.written is not None
    assert [(request.sampling.max_tokens, request.sample) for request in requests] == [(100, 0), (100, 0), (200, 1)]
    assert requests[2].messages == requests[0].messages
    assert len(_write("nothing", retries=rules)[1]) == 2


def test_a_row_that_a_cap_forbids_is_not_asked_and_no_drop() -> None:
    assert _write(LLMReply("g-1", error=NOT_ASKED))[0].reason == NOT_ASKED


def test_a_row_whose_second_ask_a_cap_forbids_keeps_the_reason_of_the_first() -> None:
    outcome, _ = _write("nothing", LLMReply("g-1", error=NOT_ASKED))
    assert outcome.reason == "no_json"
    assert outcome.lineage is not None
    assert outcome.lineage.asks == 1


def test_turns_tell_the_whole_conversation() -> None:
    turns: list[Turn] = []
    _write("nothing", GOOD, turns=turns)
    assert [turn.reason for turn in turns] == ["no_json", ""]
    assert turns[0].complaint in turns[1].request.messages[-1]["content"]
