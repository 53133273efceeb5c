"""Asked once, kept before it is read, and never asked again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from datagen.backends.protocols import LLMReply, LLMRequest, Usage
from datagen.errors import BackendError, StorageError, ThrottledError
from datagen.generation.outcome import NOT_ASKED
from datagen.generation.runtime.asking import Asker, JournalOnly
from datagen.generation.runtime.flow import Flow
from datagen.generation.runtime.journal import Journal, request_key
from datagen.generation.runtime.spending import Spending
from datagen.settings.generate import GenerateConfig, LLMConfig

REQUEST = LLMRequest("r1", {}, ({"role": "user", "content": "Write."},))


@dataclass
class Scripted:
    """Answers with each of these in turn, raising those that are errors; then with the last one for ever."""

    script: list[LLMReply | BackendError]
    name: str = "scripted"
    asked: list[LLMRequest] = field(default_factory=list)

    async def complete(self, request: LLMRequest) -> LLMReply:
        self.asked.append(request)
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(answer, BackendError):
            raise answer
        return answer


GOOD = LLMReply("r1", "fine", usage=Usage(3, 4))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path) as opened:
        yield opened


def _ask(journal: Journal, llm: Scripted, request: LLMRequest = REQUEST, **caps: int) -> tuple[LLMReply, Spending]:
    async def ask() -> tuple[LLMReply, Spending]:
        spending = Spending(GenerateConfig(llm="openai:m", **caps), {"openai:m": None})  # type: ignore[arg-type]  # all caps are ints
        flow = Flow(LLMConfig(max_failures=2))
        return await Asker(llm, "openai:m", journal, flow, spending)(request), spending

    return asyncio.run(ask())


def test_an_answer_is_kept_and_not_asked_again(journal: Journal) -> None:
    llm = Scripted([GOOD])
    reply, spending = _ask(journal, llm)
    again, spending_again = _ask(journal, llm)
    assert reply == again == GOOD
    assert len(llm.asked) == 1
    assert (spending.spent.from_journal, spending_again.spent.from_journal) == (0, 1)
    assert spending.spent.tokens == spending_again.spent.tokens == 7


def test_an_error_of_the_row_is_an_answer_too(journal: Journal) -> None:
    llm = Scripted([LLMReply("r1", error="bad_request", detail="too long")])
    assert _ask(journal, llm)[0] == _ask(journal, llm)[0] == llm.script[0]
    assert len(llm.asked) == 1


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(ThrottledError("slow down", 0.01), id="throttled"),
        pytest.param(BackendError("reset", retryable=True), id="reset"),
    ],
)
def test_trouble_is_not_kept_and_the_row_is_asked_until_it_is_answered(journal: Journal, trouble: BackendError) -> None:
    llm = Scripted([trouble, GOOD])
    assert _ask(journal, llm)[0] == GOOD
    assert len(llm.asked) == 2
    assert journal.count() == 1


def test_a_row_whose_server_always_fails_is_left_out_and_asked_again_another_time(journal: Journal) -> None:
    llm = Scripted([BackendError("reset", retryable=True)])
    assert _ask(journal, llm)[0].error
    assert len(llm.asked) == 2
    assert journal.count() == 0
    assert _ask(journal, Scripted([GOOD]))[0] == GOOD


def test_what_stops_the_run_is_raised(journal: Journal) -> None:
    with pytest.raises(BackendError, match="wrong key"):
        _ask(journal, Scripted([BackendError("wrong key")]))


def test_a_cap_leaves_the_row_unasked(journal: Journal) -> None:
    _ask(journal, Scripted([GOOD]))
    llm = Scripted([GOOD])
    other = LLMRequest("r2", {}, ({"role": "user", "content": "Another."},))
    reply, spending = _ask(journal, llm, other, max_tokens=20)
    assert reply.error == NOT_ASKED
    assert spending.stopped_by == "max_tokens"
    assert llm.asked == []


def test_an_answer_that_cannot_be_kept_stops_the_run(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> None:
        raise StorageError("disk full")

    monkeypatch.setattr(journal, "keep", refuse)
    with pytest.raises(StorageError, match="disk full"):
        _ask(journal, Scripted([GOOD]))


def test_journal_only_reads_and_never_asks(journal: Journal) -> None:
    asyncio.run(journal.keep(request_key("openai:m", REQUEST), "openai:m", GOOD))

    async def ask(request: LLMRequest) -> LLMReply:
        return await JournalOnly("openai:m", journal, Spending(GenerateConfig(), {"openai:m": None}))(request)

    assert asyncio.run(ask(REQUEST)) == GOOD
    assert asyncio.run(ask(LLMRequest("r3", {}))).error == NOT_ASKED
