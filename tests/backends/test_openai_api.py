"""Bodies and answers of OpenAI-compatible servers, without any server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from pydantic import TypeAdapter

from datagen.backends.openai_api import (
    Answer,
    Dialect,
    Endpoint,
    ServerError,
    Shape,
    build_body,
    encode_body,
    is_strict,
    open_endpoint,
    read_answer,
    read_error,
    read_retry_after,
)
from datagen.backends.protocols import LLMReply, LLMRequest, Sampling, Usage
from datagen.errors import BackendError, ConfigError, ThrottledError
from datagen.settings.generate import LLMConfig

Json: TypeAlias = dict[str, Any]  # Any: JSON

OPEN = {"type": "object", "properties": {"query": {"type": "string"}}}
CLOSED = {**OPEN, "required": ["query"], "additionalProperties": False}
MESSAGES = ({"role": "system", "content": "Write."}, {"role": "user", "content": "passage"})
REQUEST = LLMRequest("r1", {}, MESSAGES, Sampling(0.5, 0.9, 300, 7), CLOSED)
KEY = "sk-canary/4f9d8e7c6b5a"


def _choice(content: object = "text", finish: object = "stop", **more: object) -> Json:
    return {"index": 0, "message": {"role": "assistant", "content": content, **more}, "finish_reason": finish}


def _read(status: int, body: object, headers: Mapping[str, str] | None = None) -> LLMReply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_answer(Answer(status, raw, headers or {}, 0.25), "r1")


def _error(code: str, message: str = "words") -> Json:
    return {"error": {"message": message, "type": "x", "param": None, "code": code}}


@pytest.mark.parametrize("shape", ["strict", "json_schema", "json_object", "none"])
def test_body_is_one_that_openais_own_types_know(shape: str) -> None:
    body = build_body("m", REQUEST, Dialect(shape))  # type: ignore[arg-type]  # one of the shapes
    assert TypeAdapter(CompletionCreateParamsNonStreaming).validate_python(body)


def test_body_says_all_that_the_request_asks_for() -> None:
    assert json.loads(encode_body("m", REQUEST, Dialect())) == {
        "model": "m",
        "messages": list(MESSAGES),
        "max_tokens": 300,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 7,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": CLOSED, "strict": True},
        },
    }


@pytest.mark.parametrize("shape", ["strict", "json_schema"])
def test_schema_is_sent_without_limits_which_openai_refuses(shape: Shape) -> None:
    limited = {**CLOSED, "properties": {"query": {"type": "string", "minLength": 2, "maxLength": 601}}}
    request = LLMRequest("r1", {}, MESSAGES, schema=limited)
    wanted = build_body("m", request, Dialect(shape))["response_format"]
    assert wanted["json_schema"]["schema"] == {  # type: ignore[typeddict-item]  # of type json_schema
        **CLOSED,
        "properties": {"query": {"type": "string"}},
    }


def test_body_leaves_out_what_the_server_does_not_take() -> None:
    dialect = Dialect("none", "max_completion_tokens", frozenset({"temperature", "top_p"}))
    assert build_body("m", REQUEST, dialect) == {
        "model": "m",
        "messages": MESSAGES,
        "max_completion_tokens": 300,
        "seed": 7,
    }


def test_body_without_schema_or_seed_has_neither() -> None:
    body = build_body("m", LLMRequest("r1", {}, MESSAGES), Dialect())
    assert "seed" not in body
    assert "response_format" not in body


def test_body_holds_half_a_surrogate_pair() -> None:
    request = LLMRequest("r1", {}, ({"role": "user", "content": "half \ud83d and \N{GRINNING FACE}"},))
    assert json.loads(encode_body("m", request, Dialect()))["messages"][0]["content"] == request.messages[0]["content"]


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (CLOSED, True),
        (OPEN, False),
        ({**CLOSED, "required": []}, False),
        ({**CLOSED, "properties": {"query": {"type": "array", "items": OPEN}}}, False),
        ({**CLOSED, "properties": {"query": {"anyOf": [{"type": "null"}, OPEN]}}}, False),
        ({**CLOSED, "properties": {"query": {"anyOf": [{"type": "null"}, CLOSED]}}}, True),
        ({**CLOSED, "$defs": {"Open": OPEN}}, False),
    ],
    ids=["closed", "open", "optional", "open items", "open choice", "closed choice", "open definition"],
)
def test_strict_is_a_schema_whose_objects_are_all_closed(schema: Json, strict: bool) -> None:
    assert is_strict(schema) is strict
    wanted = build_body("m", LLMRequest("r", {}, MESSAGES, schema=schema), Dialect())["response_format"]
    assert ("strict" in wanted["json_schema"]) is strict  # type: ignore[typeddict-item]  # of type json_schema


UNSUPPORTED = "Unsupported parameter: '{}' is not supported with this model."


@pytest.mark.parametrize(
    ("error", "lowered"),
    [
        (ServerError("Invalid parameter: 'response_format' …"), Dialect("json_schema")),
        (ServerError("Invalid schema for response_format 'answer'"), Dialect("json_schema")),
        (ServerError("words", "unsupported_parameter", "response_format"), Dialect("json_schema")),
        (ServerError(UNSUPPORTED.format("max_tokens")), Dialect(tokens_field="max_completion_tokens")),
        (ServerError(UNSUPPORTED.format("temperature")), Dialect(dropped=frozenset({"temperature"}))),
        (ServerError("('body', 'seed'): Extra inputs are not permitted"), Dialect(dropped=frozenset({"seed"}))),
        (ServerError("max_tokens is too large: 1024. This model's maximum context length is 512"), None),
        (ServerError("top_p must be above 0", "invalid_value", "top_p"), None),
        (ServerError("This model's maximum context length is 8192 tokens."), None),
        (ServerError("The passage is rude."), None),
    ],
    ids=["shape", "schema", "by parameter", "max_tokens", "temperature", "seed", "too large", "range", "long", "row"],
)
def test_dialect_gives_up_what_the_server_complains_about(error: ServerError, lowered: Dialect | None) -> None:
    assert Dialect().without(error) == lowered


def test_dialect_gives_up_each_thing_once() -> None:
    dialect = Dialect()
    errors = [ServerError("bad response_format"), *(ServerError(UNSUPPORTED.format(n)) for n in ("max_tokens", "seed"))]
    steps = 0
    while lowered := next(filter(None, map(dialect.without, errors)), None):
        dialect, steps = lowered, steps + 1
    assert steps == 5
    assert dialect == Dialect("none", "max_completion_tokens", frozenset({"seed"}))


def test_answer_is_read_with_its_tokens() -> None:
    usage = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}
    reply = _read(200, {"choices": [_choice("text", reasoning_content="hm")], "usage": usage})
    assert reply == LLMReply("r1", "text", None, "", "stop", Usage(11, 5), 0.25)


@pytest.mark.parametrize(
    ("choice", "reply"),
    [
        (_choice(None), LLMReply("r1", "")),
        (_choice([{"type": "text", "text": "a"}, {"type": "image"}, "b", 5]), LLMReply("r1", "ab")),
        (_choice("cut", "length"), LLMReply("r1", "cut", finish_reason="length")),
        (_choice(None, "length"), LLMReply("r1", "", finish_reason="length")),
        (_choice("text", None), LLMReply("r1", "text")),
        (_choice(None, refusal="I cannot."), LLMReply("r1", "", "refused", "I cannot.")),
        (_choice("part", "content_filter"), LLMReply("r1", "", "content_filter", finish_reason="content_filter")),
        (_choice("half \ud83d"), LLMReply("r1", "half \ud83d")),
        ({"message": None}, LLMReply("r1", "")),
    ],
    ids=["null", "parts", "length", "only thought", "no finish", "refusal", "filter", "surrogate", "no message"],
)
def test_choice_is_read(choice: Json, reply: LLMReply) -> None:
    found = _read(200, {"choices": [choice], "usage": {"prompt_tokens": None}})
    expected = LLMReply("r1", reply.text, reply.error, reply.detail, reply.finish_reason, Usage(), 0.25)
    assert found == expected


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (400, "invalid_request", "bad_request"),
        (403, "forbidden", "bad_request"),
        (413, "too_long", "bad_request"),
        (422, "", "bad_request"),
        (400, "content_filter", "content_filter"),
        (403, "flagged by moderation", "content_filter"),
    ],
)
def test_refused_row_is_a_reply(status: int, code: str, reason: str) -> None:
    assert _read(status, _error(code)) == LLMReply("r1", "", reason, "words", latency_seconds=0.25)


def test_request_that_never_fits_the_limit_is_no_throttling() -> None:
    assert _read(429, _error("rate_limit_exceeded", "Request too large for m: limit 10")).error == "bad_request"


@pytest.mark.parametrize("status", [429, 503, 529])
def test_throttling_carries_the_servers_word(status: int) -> None:
    with pytest.raises(ThrottledError, match=f"{status}.*words") as caught:
        _read(status, _error("rate_limit_exceeded"), {"Retry-After": "7"})
    assert caught.value.retry_after == 7


@pytest.mark.parametrize(
    ("status", "body", "retryable", "words"),
    [
        (401, _error("invalid_api_key"), False, "refuses the key"),
        (402, _error(""), False, "no credit"),
        (429, _error("insufficient_quota"), False, "no credit"),
        (404, _error("model_not_found"), False, "no such model"),
        (301, b"", False, "correct llm.base_url"),
        (408, b"", True, "408"),
        (500, b"<html><title>Oops</title>", True, "titled 'Oops'"),
        (502, b"", True, "502"),
        (521, b"", True, "521"),
        (200, b"<html><title>Welcome</title>", True, "no JSON"),
        (200, b"\xff\xfe\x00", True, "no JSON"),
        (200, {"choices": []}, True, "no choice"),
        (200, ["x"], True, "no choice"),
        (200, {"error": {"code": 502, "message": "upstream"}}, True, r"\(502\): upstream"),
    ],
)
def test_failure_of_the_server_is_raised(status: int, body: object, retryable: bool, words: str) -> None:
    with pytest.raises(BackendError, match=words) as caught:
        _read(status, body)
    assert caught.value.retryable is retryable
    assert not isinstance(caught.value, ThrottledError)


def test_throttling_inside_a_200_is_throttling() -> None:
    with pytest.raises(ThrottledError):
        _read(200, {"error": {"code": 429, "message": "upstream is busy"}})


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (_error("c", "a\n b"), ServerError("a b", "c")),
        ({"error": "words"}, ServerError("words")),
        ({"object": "error", "message": "m", "type": "T", "param": "p"}, ServerError("m", "T", "p")),
        ({"detail": "Not Found"}, ServerError("Not Found")),
        ({"detail": [{"loc": ["body", "seed"], "msg": "no"}]}, ServerError("['body', 'seed']: no")),
        (["x"], ServerError("['x']")),
    ],
)
def test_error_is_read_in_every_shape(body: object, error: ServerError) -> None:
    assert read_error(json.dumps(body).encode()) == error


def test_long_error_is_shortened() -> None:
    assert len(read_error(b"x" * 100_000).message) < 500


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "2"}, 2.0),
        ({"Retry-After": "0.25"}, 0.25),
        ({"Retry-After": "9", "retry-after-ms": "150"}, 0.15),
        ({"Retry-After": "Thu, 01 Jan 1970 00:16:50 GMT"}, 10.0),
        ({"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
    ],
)
def test_retry_after_is_read(headers: Json, seconds: float | None) -> None:
    assert read_retry_after(headers, now=1000.0) == seconds


def test_key_comes_from_the_environment_and_is_in_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", f" {KEY}\n")
    endpoint = open_endpoint("m", LLMConfig(api_key_env="MY_KEY"))
    assert endpoint.headers()["Authorization"] == f"Bearer {KEY}"
    assert KEY not in repr(endpoint)
    assert KEY not in endpoint.redact(f"what about {KEY}?")


@pytest.mark.parametrize(
    ("key", "status", "body", "redacted"),
    [
        (KEY, 200, f"x {KEY} y", "x [key] y"),
        (KEY, 401, f"x {KEY} y", "x [key] y"),
        (KEY, 401, json.dumps(KEY).replace("/", "\\/"), '"[key]"'),
        ("EMPTY", 200, "EMPTY room", "EMPTY room"),
        ("EMPTY", 401, "key EMPTY", "key [key]"),
        ("", 401, "no key", "no key"),
    ],
)
def test_key_is_taken_out_of_a_body(key: str, status: int, body: str, redacted: str) -> None:
    assert Endpoint("m", "http://x", "K", key).redact_body(status, body.encode()) == redacted.encode()


def test_missing_key_for_openai_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="openai:m needs a key in the environment variable OPENAI_API_KEY"):
        open_endpoint("m", LLMConfig())
    assert "Authorization" not in open_endpoint("m", LLMConfig(base_url="http://localhost:1/v1")).headers()


def test_key_that_no_header_can_hold_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1\n23é")
    with pytest.raises(ConfigError, match="OPENAI_API_KEY cannot be a key") as caught:
        open_endpoint("m", LLMConfig())
    assert "23" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    ["localhost:8000", "ftp://x/v1", "", "http://", "http://[::1", "http://x:99999", "http://x..y", "http://x/v1?a=1",
     "http://a b/v1", f"http://{'x' * 64}/v1"],
)  # fmt: skip
def test_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="llm.base_url must be an address"):
        open_endpoint("m", LLMConfig(base_url=address))
