"""The batch lane against a real server that keeps files and batches."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import Iterator
from typing import Any, TypeAlias

import pytest

from datagen.backends.llm_batch import load_batch
from datagen.backends.llm_openai import load_openai
from datagen.backends.openai_api import Dialect
from datagen.backends.openai_gatherer import BatchLimits, Gatherer, Line
from datagen.backends.protocols import Closing, LLMReply, LLMRequest, NoteTaker, Preflight, Steady
from datagen.errors import BackendError, ThrottledError
from tests.support.batch_lane import (
    CANARY,
    KEY,
    QUICK,
    SCHEMA,
    KeptNotes,
    ask_all,
    batch_settings,
    many,
    open_batch,
    replies_of,
    requests_for,
)
from tests.support.llm_server import Server, start_server

Json: TypeAlias = dict[str, Any]  # Any: JSON


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, and the test's own key."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with start_server() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    running.set_script(CANARY)
    running.reset()
    return running


@pytest.fixture
def notes() -> KeptNotes:
    return KeptNotes()


def test_it_can_do_what_the_runtime_asks_for(server: Server) -> None:
    llm = load_batch("tiny-model", batch_settings(server))
    for ability in (Preflight, Closing, Steady, NoteTaker):
        assert isinstance(llm, ability)
    assert llm.in_flight == 50_000
    assert llm.name == load_openai("tiny-model", batch_settings(server)).name, "both lanes share a journal"


def test_requests_go_in_one_batch_and_get_their_own_answers(server: Server, notes: KeptNotes) -> None:
    requests = many(200)
    replies = replies_of(open_batch(server, notes), requests)
    assert [reply.row_id for reply in replies] == [request.row_id for request in requests]
    assert len({json.loads(reply.text)["query"] for reply in replies}) == 200
    assert all(reply.usage.completion_tokens for reply in replies)
    stats = server.stats()
    assert (stats["batches"], stats["batch_lines"], stats["requests"]) == (1, 200, 0)
    assert notes.kept == {}, "all handed out, nothing to remember"


def test_answers_are_those_of_the_online_lane(server: Server, notes: KeptNotes) -> None:
    async def ask_online() -> list[LLMReply]:
        llm = load_openai("tiny-model", batch_settings(server))
        replies = await asyncio.gather(*map(llm.complete, requests))
        await llm.close()
        return replies

    requests = many(3)
    batched = replies_of(open_batch(server, notes), requests)
    online = asyncio.run(ask_online())
    assert [(reply.text, reply.usage) for reply in batched] == [(reply.text, reply.usage) for reply in online]


def test_same_question_of_two_rows_is_submitted_once(server: Server, notes: KeptNotes) -> None:
    first, second = (
        requests_for("same")[0],
        LLMRequest("other row", {}, requests_for("same")[0].messages, schema=SCHEMA),
    )
    replies = replies_of(open_batch(server, notes), [first, second])
    assert [reply.row_id for reply in replies] == ["same", "other row"]
    assert server.stats()["batch_lines"] == 1


@pytest.mark.parametrize(
    ("limits", "script"),
    [
        (BatchLimits(most_lines=8, quiet_seconds=0.05), {"batch_max_lines": 8}),
        (BatchLimits(most_bytes=3_500, quiet_seconds=0.05), {"batch_max_bytes": 3_500}),
    ],
    ids=["lines", "bytes"],
)
def test_batches_stay_under_the_limits(server: Server, notes: KeptNotes, limits: BatchLimits, script: Json) -> None:
    server.set_script({**CANARY, **script})
    assert len(replies_of(open_batch(server, notes, limits), many(30))) == 30
    stats = server.stats()
    assert stats["batches"] in (4, 5)
    assert stats["files_refused"] == 0


@pytest.mark.parametrize("status", [413, 400])
def test_file_that_is_refused_for_its_size_is_split(server: Server, notes: KeptNotes, status: int) -> None:
    server.set_script({**CANARY, "batch_max_lines": 10, "batch_size_status": status})
    assert len({reply.text for reply in replies_of(open_batch(server, notes), many(30))}) == 30
    stats = server.stats()
    assert (stats["batches"], stats["files_refused"], stats["batch_lines"]) == (4, 3, 30)


def test_single_request_that_is_too_large_is_that_rows_reply(server: Server, notes: KeptNotes) -> None:
    server.set_script({**CANARY, "batch_max_bytes": 2_000})
    long, short = replies_of(open_batch(server, notes), requests_for("x" * 3_000, "short"))
    assert (long.error, short.error) == ("bad_request", None)


def test_full_queue_of_the_provider_is_waited_for_in_halves(server: Server, notes: KeptNotes) -> None:
    server.set_script({**CANARY, "batch_queue_lines": 8})
    assert len({reply.text for reply in replies_of(open_batch(server, notes), many(30))}) == 30
    assert server.stats()["batch_lines"] == 30 + 15 + 15 + 30, "30 refused, 15 refused twice, then fours of 7 or 8"
    assert notes.kept == {}


def test_what_is_wrong_with_one_line_is_its_own(server: Server, notes: KeptNotes) -> None:
    faults = [{"kind": kind, "rows": f"<{kind}>"} for kind in ("400", "refusal", "500", "429", "length")]
    server.set_script({**CANARY, "faults": faults})
    bad, refused, failed, throttled, cut, good = ask_all(
        open_batch(server, notes), requests_for("<400>", "<refusal>", "<500>", "<429>", "<length>", "good")
    )
    assert isinstance(bad, LLMReply)
    assert bad.error == "bad_request"
    assert isinstance(refused, LLMReply)
    assert refused.error == "refused"
    assert isinstance(failed, BackendError)
    assert failed.retryable
    assert isinstance(throttled, ThrottledError)
    assert isinstance(cut, LLMReply)
    assert cut.finish_reason == "length"
    assert isinstance(good, LLMReply)
    assert json.loads(good.text)["query"]


@pytest.mark.parametrize(("end", "retryable"), [("expired", True), ("cancelled", False)])
def test_lines_that_were_not_reached_go_into_the_next_batch(
    server: Server, notes: KeptNotes, end: str, retryable: bool
) -> None:
    async def ask() -> tuple[list[LLMReply | BaseException], list[LLMReply]]:
        llm = open_batch(server, notes)
        first = await asyncio.gather(*map(llm.complete, requests), return_exceptions=True)
        await asyncio.to_thread(server.set_script, CANARY)
        again = [request for request, reply in zip(requests, first, strict=True) if isinstance(reply, BackendError)]
        second = await asyncio.gather(*map(llm.complete, again))
        await llm.close()
        return first, second

    requests = many(40)
    server.set_script({**CANARY, "batch_end": end})
    first, second = asyncio.run(ask())
    failures = [reply for reply in first if isinstance(reply, BackendError)]
    assert 10 < len(failures) == len(second) < 30
    assert all(failure.retryable is retryable and end in str(failure) for failure in failures)
    assert server.stats()["batch_lines"] == 40 + len(second)
    assert server.stats()["repeated"] == 0
    assert notes.kept == {}


def test_batch_that_fails_its_validation_stops_the_run_in_the_providers_words(server: Server, notes: KeptNotes) -> None:
    server.set_script({**CANARY, "batch_end": "failed"})
    first, second = ask_all(open_batch(server, notes), many(2))
    assert isinstance(first, BackendError)
    assert first is not second
    assert not first.retryable
    assert "Line 1 is not what it should be." in str(first)
    assert notes.kept == {}


@pytest.mark.parametrize("script", [{"schema_support": "json_object"}, {"refused_parameters": ["max_tokens"]}])
def test_first_tiny_call_keeps_a_batch_from_failing_as_a_whole(server: Server, notes: KeptNotes, script: Json) -> None:
    async def ask() -> list[LLMReply]:
        llm = open_batch(server, notes)
        await llm.prepare()
        replies = await asyncio.gather(*map(llm.complete, many(10)))
        await llm.close()
        return replies

    server.set_script({**CANARY, **script})
    assert [reply.error for reply in asyncio.run(ask())] == [None] * 10
    assert server.stats()["batch_lines"] == 10


def test_complaint_in_the_results_changes_how_the_next_are_put(
    server: Server, notes: KeptNotes, caplog: pytest.LogCaptureFixture
) -> None:
    async def ask() -> list[LLMReply]:
        llm = open_batch(server, notes)
        first = await asyncio.gather(*map(llm.complete, many(10)), return_exceptions=True)
        assert all(isinstance(reply, BackendError) and reply.retryable for reply in first)
        replies = await asyncio.gather(*map(llm.complete, many(10)))
        await llm.close()
        return replies

    server.set_script({**CANARY, "refused_parameters": ["top_p"]})
    with caplog.at_level(logging.WARNING):
        assert [reply.error for reply in asyncio.run(ask())] == [None] * 10
    assert len(caplog.messages) == 1


@pytest.mark.parametrize(
    ("script", "words"),
    [({"key": "another"}, "refuses the key"), ({"batch_api": False}, "has no Batch API: use the online lane")],
)
def test_preparing_says_what_is_wrong(server: Server, notes: KeptNotes, script: Json, words: str) -> None:
    async def prepare() -> None:
        llm = open_batch(server, notes)
        try:
            await llm.prepare()
        finally:
            await llm.close()

    server.set_script({**CANARY, **script})
    with pytest.raises(BackendError, match=words):
        asyncio.run(prepare())


def test_refusal_for_lack_of_credit_is_not_taken_for_one_of_size(server: Server, notes: KeptNotes) -> None:
    reason = "billing_hard_limit_reached: Billing hard limit exceeds what it should."
    server.set_script({**CANARY, "batch_end": "failed", "batch_failure": reason})
    failure = ask_all(open_batch(server, notes), many(4))[0]
    assert isinstance(failure, BackendError)
    assert not failure.retryable
    assert "Billing hard limit" in str(failure)
    assert server.stats()["batches"] == 1


def test_results_are_read_again_when_a_line_is_broken(server: Server, notes: KeptNotes) -> None:
    server.set_script({**CANARY, "batch_broken_downloads": 1})
    assert len({reply.text for reply in replies_of(open_batch(server, notes), many(10))}) == 10
    assert server.stats()["batch_lines"] == 10


def test_cancelled_requests_are_not_submitted(server: Server, notes: KeptNotes) -> None:
    async def ask() -> LLMReply:
        llm = open_batch(server, notes)
        dropped, kept = (asyncio.create_task(llm.complete(request)) for request in many(2))
        await asyncio.sleep(0)
        dropped.cancel()
        reply = await kept
        await llm.close()
        return reply

    assert asyncio.run(ask()).text
    assert server.stats()["batch_lines"] == 1


def test_key_is_in_no_error_and_no_log(server: Server, notes: KeptNotes, caplog: pytest.LogCaptureFixture) -> None:
    server.set_script({"key": f"not {KEY}"})
    with caplog.at_level(logging.DEBUG):
        failure = ask_all(open_batch(server, notes), many(1))[0]
    assert isinstance(failure, BackendError)
    assert "[key]" in str(failure), "the server has put the key into its words"
    assert KEY not in "".join(traceback.format_exception(failure)) + caplog.text


def test_gatherer_flushes_for_another_dialect() -> None:
    async def gather() -> list[tuple[int, Dialect]]:
        flushed: list[tuple[int, Dialect]] = []
        gatherer = Gatherer(QUICK, lambda lines, sent: flushed.append((len(lines), sent)))
        for number, dialect in enumerate([Dialect(), Dialect(), Dialect(shape="none")]):
            gatherer.add(Line(str(number), b"{}\n"), dialect)
        while len(flushed) < 2:
            await asyncio.sleep(0.01)
        return flushed

    assert asyncio.run(gather()) == [(2, Dialect()), (1, Dialect(shape="none"))]
