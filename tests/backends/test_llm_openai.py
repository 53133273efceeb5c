"""The online lane against a real server that misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from datagen.backends.llm_openai import OpenAIChat, load_openai
from datagen.backends.openai_http import PROBE, find_proxy
from datagen.backends.protocols import Closing, LLMReply, LLMRequest, Preflight, Sampling
from datagen.errors import BackendError, ConfigError, DatagenError, ThrottledError
from datagen.settings.generate import LLMConfig
from tests.support.llm_faults import Script
from tests.support.llm_server import Server, start_server

Json: TypeAlias = dict[str, Any]  # Any: JSON

KEY = "sk-canary-1234567890abcdef"
SCHEMA = {
    "type": "object",
    "properties": {"query": {"type": "string"}},
    "required": ["query"],
    "additionalProperties": False,
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key and no proxy but the test's own."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with start_server() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    running.set_script({})
    running.reset()
    return running


def _request(text: str = "a passage", **more: Any) -> LLMRequest:  # Any: fields of a request
    return LLMRequest("r1", {}, ({"role": "user", "content": text},), schema=SCHEMA, **more)


@contextlib.asynccontextmanager
async def _opened(url: str, **settings: Any) -> AsyncIterator[OpenAIChat]:  # Any: fields of the settings
    llm = load_openai("tiny-model", LLMConfig(base_url=url, **settings))
    try:
        yield llm
    finally:
        await llm.close()


def _ask(url: str, *requests: LLMRequest, prepare: bool = False, **settings: Any) -> list[LLMReply]:  # Any: see above
    async def ask() -> list[LLMReply]:
        async with _opened(url, **settings) as llm:
            if prepare:
                await llm.prepare()
            return await asyncio.gather(*map(llm.complete, requests))

    return asyncio.run(ask())


def _failure(call: Callable[[], object]) -> DatagenError:
    """What a call raises, and that neither it nor its traceback shows the key."""
    with pytest.raises(DatagenError) as caught:
        call()
    assert KEY not in "".join(traceback.format_exception(caught.value)) + repr(caught.value.__cause__)
    return caught.value


def test_it_can_do_what_the_runtime_asks_for() -> None:
    llm = load_openai("tiny-model", LLMConfig())
    assert llm.name == "openai:tiny-model"
    assert isinstance(llm, Preflight)
    assert isinstance(llm, Closing)


def test_many_requests_at_once_get_their_own_answers(server: Server) -> None:
    replies = _ask(server.url, *(_request(f"passage {n}") for n in range(100)))
    assert len({json.loads(reply.text)["query"] for reply in replies}) == 100
    assert all(reply.usage.prompt_tokens > 0 < reply.usage.completion_tokens for reply in replies)
    assert all(0 < reply.latency_seconds < 60 for reply in replies)


def test_surrogates_and_emoji_come_through(server: Server) -> None:
    server.set_script({"faults": [{"kind": "lone_surrogate"}]})
    assert "\\ud83d" in _ask(server.url, _request("half \ud83d of \N{GRINNING FACE}"))[0].text


@pytest.mark.parametrize(
    ("kind", "error", "finish"),
    [
        ("400", "bad_request", "stop"),
        ("refusal", "refused", "stop"),
        ("content_filter", "content_filter", "content_filter"),
        ("length", None, "length"),
        ("empty", None, "stop"),
    ],
)
def test_what_is_wrong_with_one_row_is_its_reply(server: Server, kind: str, error: str | None, finish: str) -> None:
    server.set_script({"faults": [{"kind": kind, "rows": "bad"}]})
    bad, good = _ask(server.url, _request("bad"), _request("good"))
    assert (bad.error, bad.finish_reason) == (error, finish)
    assert json.loads(good.text)["query"]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("500", r"server failed \(500\)"),
        ("reset", "connection broke"),
        ("html_body", "no JSON"),
        ("bad_json_body", "no JSON"),
        ("hang", "timed out: no answer within 0.3 seconds"),
    ],
)
def test_failure_may_be_tried_again(server: Server, kind: str, words: str) -> None:
    server.set_script({"faults": [{"kind": kind, "times": 1}]})
    with pytest.raises(BackendError, match=words) as caught:
        _ask(server.url, _request(), timeout_seconds=0.3)
    assert caught.value.retryable
    assert _ask(server.url, _request())[0].text
    assert server.stats()["requests"] == 2, "each attempt is one request"


@pytest.mark.parametrize(("kind", "seconds"), [("429", None), ("429_retry_after", 1.5), ("503", None), ("529", None)])
def test_throttling_is_told_with_the_servers_word(server: Server, kind: str, seconds: float | None) -> None:
    server.set_script({"faults": [{"kind": kind, "seconds": seconds}]})
    with pytest.raises(ThrottledError) as caught:
        _ask(server.url, _request())
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize(("kind", "words"), [("401", "refuses the key"), ("402_quota", "no credit left")])
def test_what_stops_the_run_is_final_and_without_the_key(server: Server, kind: str, words: str) -> None:
    server.set_script({"faults": [{"kind": kind}]})
    failure = _failure(lambda: _ask(server.url, _request()))
    assert words in str(failure)
    assert "[key]" in str(failure), "the server has put the key into its words"
    assert isinstance(failure, BackendError)
    assert not failure.retryable


def test_error_of_a_row_does_not_hold_the_key(server: Server) -> None:
    server.set_script({"faults": [{"kind": "400"}]})
    reply = _ask(server.url, _request())[0]
    assert "[key]" in reply.detail
    assert KEY not in repr(reply)


def test_key_is_sent_when_there_is_one(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.set_script({"key": KEY})
    assert _ask(server.url, _request())[0].text
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(BackendError, match="No API key"):
        _ask(server.url, _request())


@pytest.mark.parametrize(
    ("script", "bodies"),
    [
        ({}, 1),
        ({"schema_support": "json_object"}, 3),
        ({"schema_support": "none"}, 4),
        ({"refused_parameters": ["max_tokens", "temperature", "top_p"]}, 4),
    ],
    ids=["all", "json_object", "none", "o-model"],
)
def test_first_tiny_call_finds_out_what_the_server_takes(
    server: Server, script: Json, bodies: int, caplog: pytest.LogCaptureFixture
) -> None:
    server.set_script(script)
    with caplog.at_level(logging.WARNING):
        replies = _ask(server.url, *(_request(f"p{n}, as JSON") for n in range(20)), prepare=True)
    assert all(json.loads(reply.text)["query"] for reply in replies)
    stats = server.stats()
    assert (stats["probes"], stats["prompts"], stats["resent"]) == (bodies, 20, 0)
    assert len(caplog.messages) == bodies - 1, "told once"


def test_parameter_refused_in_the_middle_costs_no_row(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    server.set_script({"refused_parameters": ["seed"]})
    with caplog.at_level(logging.WARNING):
        requests = [_request(f"p{n}", sampling=Sampling(seed=n)) for n in range(30)]
        assert all(reply.text for reply in _ask(server.url, *requests))
    assert len(caplog.messages) == 1


def test_structured_output_can_be_switched_off(server: Server) -> None:
    server.set_script({"schema_support": "none"})
    reply = _ask(server.url, _request(), prepare=True, structured_output=False)[0]
    assert reply.text
    assert server.stats()["status"] == {"200": 2}


def _prepare(url: str) -> BackendError:
    started = time.monotonic()
    failure = _failure(lambda: _ask(url, prepare=True))
    assert time.monotonic() - started < 60  # at once, not after retries
    assert "\n" not in str(failure)
    assert url in str(failure)
    assert isinstance(failure, BackendError)
    return failure


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ({"key": "another"}, "refuses the key in OPENAI_API_KEY"),
        (
            {"models": ["big-model", "tiny-models"]},
            r"has no such model \(404: .*`tiny-model`.*\): it has 'tiny-models', 'big-model'",
        ),
        ({"faults": [{"kind": "html_body", "probes": True}]}, "does not answer like one .*page titled 'Welcome'"),
        ({"faults": [{"kind": "500", "probes": True}]}, r"failed at the first tiny call \(500"),
        ({"faults": [{"kind": "402_quota", "probes": True}]}, "no credit left"),
        ({"faults": [{"kind": "400", "probes": True}]}, r"does not take the first tiny call \(400"),
        ({"faults": [{"kind": "reset", "probes": True}]}, "connection broke: .* is llm.base_url right"),
    ],
    ids=["key", "model", "html", "500", "credit", "400", "reset"],
)
def test_preparing_says_what_is_wrong(server: Server, script: Json, words: str) -> None:
    server.set_script(script)
    failure = _prepare(server.url)
    assert "openai:tiny-model" in str(failure)
    with pytest.raises(BackendError, match=words):
        raise failure


def test_missing_key_is_told_as_such(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.set_script({"key": "another"})
    monkeypatch.delenv("OPENAI_API_KEY")
    assert "wants a key (401: No API key.): put a valid key into OPENAI_API_KEY" in str(_prepare(server.url))


def test_wrong_path_is_told(server: Server) -> None:
    assert "nothing answers at chat/completions (404: an HTML page" in str(_prepare(f"{server.root}/api"))


def test_refused_connection_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert "nobody answers there" in str(_prepare(f"http://127.0.0.1:{port}/v1"))


def test_unknown_host_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_address(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_address)
    assert "there is no host of this name" in str(_prepare("http://nowhere.example/v1"))


def test_wrong_scheme_is_told(server: Server) -> None:
    assert "perhaps the server speaks plain http" in str(_prepare(server.url.replace("http:", "https:")))


def test_silent_server_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert "has answered nothing" in str(_prepare(f"http://127.0.0.1:{port}/v1"))


def test_slow_first_answer_stops_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("datagen.backends.openai_http._PROBE_SECONDS", 0.2)
    server.set_script({"faults": [{"kind": "hang", "rows": Script().probe, "probes": True}]})
    with caplog.at_level(logging.WARNING):
        assert _ask(server.url, _request(), prepare=True)[0].text
    assert "is slow: its first tiny answer" in caplog.text


@pytest.mark.parametrize("kind", ["429", "503"])
def test_busy_server_stops_nothing(server: Server, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    server.set_script({"faults": [{"kind": kind, "probes": True, "rows": Script().probe}]})
    with caplog.at_level(logging.WARNING):
        assert _ask(server.url, _request(), prepare=True)[0].text
    assert "is busy" in caplog.text


def test_one_failure_of_the_first_call_is_forgiven(server: Server) -> None:
    server.set_script({"faults": [{"kind": "reset", "probes": True, "times": 1, "rows": Script().probe}]})
    assert _ask(server.url, _request(), prepare=True)[0].text


def test_probe_of_the_server_for_tests_is_the_one_that_is_sent() -> None:
    assert Script().probe in PROBE.messages[0]["content"]


def test_key_is_in_no_log(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    server.set_script({"schema_support": "none", "faults": [{"kind": "401", "rows": "x"}]})
    with caplog.at_level(logging.DEBUG):
        _failure(lambda: _ask(server.url, _request("x"), prepare=True))
    assert KEY not in caplog.text


def test_proxy_of_the_environment_is_used_with_its_password(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://user:secret@127.0.0.1:{server.port}")
    assert _ask("http://nowhere.example/v1", _request())[0].text
    monkeypatch.setenv("no_proxy", "nowhere.example")
    assert find_proxy("http://nowhere.example/v1") is None


@pytest.mark.parametrize(
    ("variable", "value", "proxy"),
    [
        ("https_proxy", "http://p:1", "http://p:1"),
        ("https_proxy", "p:1", "http://p:1"),
        ("all_proxy", "http://p:2", "http://p:2"),
        ("http_proxy", "http://p:3", None),
    ],
)
def test_proxy_is_the_one_for_the_address(
    variable: str, value: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    assert find_proxy("https://api.openai.com/v1") == proxy


def test_proxy_that_is_no_http_proxy_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "socks5://user:secret@p:1")
    with pytest.raises(ConfigError, match="names a socks5 proxy") as caught:
        find_proxy("https://api.openai.com/v1")
    assert "secret" not in str(caught.value)


def test_password_file_of_the_user_does_not_get_in_the_way(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("default login somebody password secret\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server.set_script({"key": KEY})
    assert _ask(server.url, _request())[0].text
