"""The server for tests itself: what it promises to the tests that use it."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
import time
import urllib.error
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.support.llm_faults import SPOILT, Script
from tests.support.llm_server import ROOT, Server, start_server

Json: TypeAlias = dict[str, Any]  # Any: JSON

SCHEMA = {
    "type": "object",
    "properties": {
        "query": {"type": "string", "minLength": 60, "maxLength": 80},
        "kind": {"enum": ["question", "claim"]},
        "score": {"type": "integer", "minimum": 3, "maximum": 5},
        "spans": {"type": "array", "items": {"$ref": "#/$defs/Span"}, "minItems": 2, "maxItems": 2},
        "note": {"anyOf": [{"type": "null"}, {"type": "string"}]},
    },
    "required": ["query", "kind", "score", "spans", "note"],
    "additionalProperties": False,
    "$defs": {"Span": {"type": "object", "properties": {"text": {"type": "string"}, "sure": {"type": "boolean"}}}},
}


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with start_server() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    running.set_script({})
    running.reset()
    return running


def _body(prompt: str, schema: Json | None = None, **more: object) -> Json:
    shape = {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}
    return {"model": "m", "messages": [{"role": "user", "content": prompt}], **(shape if schema else {}), **more}


def _post(server: Server, body: Json, key: str = "") -> tuple[int, Json]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Authorization": f"Bearer {key}"})
        answer = connection.getresponse()
        return answer.status, {**json.loads(answer.read()), "headers": dict(answer.headers)}


def _content(server: Server, body: Json) -> str:
    text: str = _post(server, body)[1]["choices"][0]["message"]["content"]
    return text


def test_answer_follows_the_schema(server: Server) -> None:
    parsed = json.loads(_content(server, _body("a passage", SCHEMA)))
    assert parsed.keys() == SCHEMA["properties"].keys()  # type: ignore[attr-defined]
    assert 60 <= len(parsed["query"]) <= 80
    assert parsed["kind"] in ("question", "claim")
    assert parsed["score"] in (3, 4, 5)
    assert [type(span["sure"]) for span in parsed["spans"]] == [bool, bool]
    assert isinstance(parsed["note"], str)


def test_answer_is_the_same_for_the_same_prompt_and_seed_alone(server: Server) -> None:
    answers = [_content(server, body) for body in (_body("a"), _body("a"), _body("b"), _body("a", seed=1))]
    assert answers[0] == answers[1]
    assert len(set(answers)) == 3


@pytest.mark.parametrize("kind", sorted(SPOILT))
def test_spoilt_answer_is_not_the_good_one(server: Server, kind: str) -> None:
    good = _post(server, _body("a", SCHEMA))[1]["choices"][0]
    server.set_script({"faults": [{"kind": kind}]})
    spoilt = _post(server, _body("a", SCHEMA))[1]["choices"][0]
    assert spoilt != good
    assert server.stats()["kinds"] == {kind: 1}


def test_share_of_arrivals_fails_and_the_same_ones_again(server: Server) -> None:
    server.set_script({"faults": [{"kind": "429", "share": 0.3}, {"kind": "500", "share": 0.3}]})
    with ThreadPoolExecutor(8) as threads:
        first, again = (list(threads.map(lambda n: _post(server, _body(f"p{n}"))[0], range(200))) for _ in range(2))
        assert first != again, "another arrival is another draw"
        server.reset()
        server.set_script({"faults": [{"kind": "429", "share": 0.3}, {"kind": "500", "share": 0.3}]})
        assert list(threads.map(lambda n: _post(server, _body(f"p{n}"))[0], range(200))) == first
    assert 40 < first.count(429) < 80
    assert 40 < first.count(500) < 80


def test_fault_ends_after_so_many_times_and_meets_its_rows_alone(server: Server) -> None:
    server.set_script({"faults": [{"kind": "503", "rows": "bad", "times": 2}]})
    assert [_post(server, _body("a bad row"))[0] for _ in range(3)] == [503, 503, 200]
    assert _post(server, _body("a good row"))[0] == 200


def test_spoiling_with_times_counts_the_conversation(server: Server) -> None:
    server.set_script({"faults": [{"kind": "empty", "times": 1}]})
    asked = _body("a passage")
    assert _content(server, asked) == ""
    more = [{"role": "assistant", "content": ""}, {"role": "user", "content": "JSON please"}]
    assert _content(server, {**asked, "messages": asked["messages"] + more}) != ""


def test_never_good_row_stays_bad_whatever_is_said(server: Server) -> None:
    server.set_script({"faults": [{"kind": "never_good", "share": 0.5}]})
    for row in range(10):
        asked = _body(f"passage {row}", SCHEMA)
        again = {**asked, "messages": [*asked["messages"], {"role": "user", "content": "once more"}]}
        assert _content(server, asked).startswith("{") == _content(server, again).startswith("{")
    assert server.stats()["kinds"]["never_good"] in range(2, 20)


def test_wrong_key_is_told_back(server: Server) -> None:
    server.set_script({"key": "right"})
    status, body = _post(server, _body("a"), key="wrong")
    assert status == 401
    assert "wrong" in body["error"]["message"]
    assert _post(server, _body("a"), key="right")[0] == 200


@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        ({"models": ["other"]}, 404, "model_not_found"),
        ({"schema_support": "json_object"}, 400, "invalid_parameter"),
        ({"refused_parameters": ["max_tokens"]}, 400, "unsupported_parameter"),
        ({"faults": [{"kind": "402_quota"}]}, 429, "insufficient_quota"),
    ],
)
def test_refusal_has_openais_shape(server: Server, script: Json, status: int, code: str) -> None:
    server.set_script(script)
    found, body = _post(server, _body("a", SCHEMA, max_tokens=5))
    assert (found, body["error"]["code"]) == (status, code)


def test_too_many_requests_a_second_are_refused_with_the_servers_word(server: Server) -> None:
    server.set_script({"requests_per_second": 0.001, "burst": 2, "retry_after": 1.5})
    answers = [_post(server, _body(f"p{n}")) for n in range(3)]
    assert [status for status, _ in answers] == [200, 200, 429]
    assert answers[-1][1]["headers"]["Retry-After"] == "1.5"


def test_more_open_requests_than_allowed_are_refused(server: Server) -> None:
    server.set_script({"max_concurrent": 1, "faults": [{"kind": "hang", "rows": "slow"}]})
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("POST", "/v1/chat/completions", json.dumps(_body("slow")))
    while not server.stats()["open"]:
        pass
    assert _post(server, _body("quick"))[0] == 429
    connection.close()
    while server.stats()["open"]:
        pass
    assert _post(server, _body("quick"))[0] == 200


def test_open_requests_wait_for_their_turn(server: Server) -> None:
    server.set_script({"queue_concurrent": 1, "latency_seconds": 0.05})
    started = time.monotonic()
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda n: _post(server, _body(f"p{n}"))[0], range(4))) == [200] * 4
    assert time.monotonic() - started >= 0.2


@pytest.mark.parametrize("kind", ["reset", "hang"])
def test_answer_never_comes(server: Server, kind: str) -> None:
    server.set_script({"faults": [{"kind": kind}]})
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=0.3)
    connection.request("POST", "/v1/chat/completions", json.dumps(_body("a")))
    with pytest.raises((ConnectionResetError, TimeoutError)):
        connection.getresponse().read()
    connection.close()
    while server.stats()["open"]:
        pass
    assert server.stats()["status"] == {}


def test_answered_prompt_that_comes_again_is_repeated(server: Server) -> None:
    server.set_script({"faults": [{"kind": "500", "times": 1}]})
    for prompt in ("a", "a", "a", "b"):
        _post(server, _body(prompt))
    stats = server.stats(full=True)
    assert (stats["prompts"], stats["resent"], stats["repeated"]) == (2, 2, 1)
    assert sorted(stats["arrivals"].values()) == [1, 3]


def test_first_tiny_call_is_no_prompt_and_meets_no_fault(server: Server) -> None:
    server.set_script({"faults": [{"kind": "500"}]})
    assert _post(server, _body(Script().probe))[0] == 200
    assert (server.stats()["probes"], server.stats()["prompts"]) == (1, 0)


def test_server_runs_by_hand(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tests/support/llm_server.py")]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=str(tmp_path)) as process:
        assert process.stdout is not None
        server = Server(json.loads(process.stdout.readline())["port"])
        try:
            assert _post(server, _body("a"))[0] == 200
        finally:
            process.terminate()


def test_unknown_word_in_a_script_is_refused(server: Server) -> None:
    with pytest.raises(urllib.error.HTTPError, match="400") as caught:
        server.set_script({"latency": 1})
    caught.value.close()
    with pytest.raises(ValueError, match="unknown kind of fault 'nap'"):
        Script.from_json({"faults": [{"kind": "nap"}]})
