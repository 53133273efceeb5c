"""What is said to an OpenAI-compatible server and how its answers are read; no connection is made here.

Used by the online lane (`llm_openai`) and the batch lane (`llm_batch`).
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast
from urllib.parse import urlsplit

from datagen.backends.protocols import LLMReply, LLMRequest, Usage
from datagen.errors import BackendError, ConfigError, ThrottledError
from datagen.json_text import drop_limits, dump_json
from datagen.settings.generate import LLMConfig

if TYPE_CHECKING:
    from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming as Body
    from openai.types.chat.completion_create_params import ResponseFormat

Json: TypeAlias = Any  # Any: JSON as it came
Schema: TypeAlias = Mapping[str, Any]  # Any: a JSON schema
Shape = Literal["strict", "json_schema", "json_object", "none"]

BAD_REQUEST, CONTENT_FILTER, REFUSED = "bad_request", "content_filter", "refused"
HIDDEN_KEY = "[key]"
TOO_MANY = frozenset({429, 503, 529})
NO_CREDIT = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})

_OPENAI_HOST = "api.openai.com"
_SHAPES: tuple[Shape, ...] = ("strict", "json_schema", "json_object", "none")
_LONGEST_DETAIL = 400
_SECRET_FROM = 16
"""Keys at least so long are secrets; shorter ones, such as EMPTY, may be plain words of an answer."""
_TRY_AGAIN = frozenset({408, 409, 425})
_FILTERED = re.compile(r"content_filter|content_policy|content management policy|moderation|flagged", re.I)
_UNSUPPORTED = re.compile(
    r"unsupported|not support|unrecogni[sz]ed|unknown|not permitted|not allowed|unexpected|only the default"
    r"|deprecated|unavailable",
    re.I,
)
_ABOUT_SHAPE = re.compile(r"response_format|json[_ ]schema|json_object|structured output|guided|grammar", re.I)
_NEVER_FITS = re.compile(r"request too large", re.I)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model on a server, and the key to it, which no text of this object holds."""

    model: str
    base_url: str
    key_name: str
    key: str = field(repr=False)

    @property
    def name(self) -> str:
        """What the model is called in journals, on whichever server and lane."""
        return f"openai:{self.model}"

    def url(self, path: str) -> str:
        """The address of a route such as `chat/completions`."""
        return f"{self.base_url}/{path}"

    def headers(self) -> dict[str, str]:
        """The headers of every request; the key only where there is one."""
        kind = {"Content-Type": "application/json"}
        return {**kind, "Authorization": f"Bearer {self.key}"} if self.key else kind

    def redact(self, text: str) -> str:
        """The text without the key, should somebody have put it there."""
        return text.replace(self.key, HIDDEN_KEY) if len(self.key) > 1 else text

    def redact_body(self, status: int, body: bytes) -> bytes:
        """The body without the key; in a good answer a key that is too short to be a secret stays: it is a word."""
        key = self.key.encode()
        if status != 200 and len(key) > 1:
            body = body.replace(key.replace(b"/", rb"\/"), HIDDEN_KEY.encode())
        elif len(key) < _SECRET_FROM:
            return body
        return body.replace(key, HIDDEN_KEY.encode()) if key in body else body


def open_endpoint(model: str, settings: LLMConfig) -> Endpoint:
    """The model as these settings reach it, with the key from the environment.

    Raises:
        ConfigError: the address cannot be one, or the key is missing where one is needed, or cannot be sent.
    """
    base_url, host = settings.base_url.rstrip("/"), _host(settings.base_url)
    key, name = os.environ.get(settings.api_key_env, "").strip(), settings.api_key_env
    if not key and host == _OPENAI_HOST:
        raise ConfigError(
            f"openai:{model} needs a key in the environment variable {name}, which is not set: export {name}=… , name "
            "another variable as llm.api_key_env, or your own server as llm.base_url"
        )
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(f"the value of {name} cannot be a key: it holds characters that are not printable ASCII")
    return Endpoint(model, base_url, name, key)


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a server was found to take; a new one takes all."""

    shape: Shape = "strict"
    tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    dropped: frozenset[str] = frozenset()
    """Sampling parameters that the server refuses."""

    def without(self, error: ServerError) -> Dialect | None:
        """The dialect that avoids what a 400 complains about; None when it is about something else."""
        said = f"{error.parameter or ''} {error.message}"
        if _ABOUT_SHAPE.search(said) and self.shape != "none":
            return replace(self, shape=_SHAPES[_SHAPES.index(self.shape) + 1])
        if not (_UNSUPPORTED.search(said) or error.code == "unsupported_parameter"):
            return None
        if "max_tokens" in said and self.tokens_field == "max_tokens":
            return replace(self, tokens_field="max_completion_tokens")
        for name in ("temperature", "top_p", "seed"):
            if name not in self.dropped and re.search(rf"\b{name}\b", said):
                return replace(self, dropped=self.dropped | {name})
        return None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back over the wire."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    latency_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ServerError:
    """A server's own words for what is wrong, in one line."""

    message: str
    code: str = ""
    parameter: str | None = None


def build_body(model: str, request: LLMRequest, dialect: Dialect) -> Body:
    """The body of a chat request."""
    drawn = request.sampling
    body: dict[str, object] = {"model": model, "messages": request.messages, dialect.tokens_field: drawn.max_tokens}
    sampling = {"temperature": drawn.temperature, "top_p": drawn.top_p, "seed": drawn.seed}
    body |= {name: value for name, value in sampling.items() if value is not None and name not in dialect.dropped}
    if request.schema is not None and dialect.shape != "none":
        body["response_format"] = _response_format(request.schema, dialect.shape)
    return cast("Body", body)


def encode_body(model: str, request: LLMRequest, dialect: Dialect) -> bytes:
    """The body as JSON."""
    return dump_json(build_body(model, request, dialect))


def read_answer(answer: Answer, row_id: str) -> LLMReply:
    """The reply in an answer of the server.

    Raises:
        ThrottledError: the server asks for fewer requests.
        BackendError: the server failed, or there is no credit or no such model.
    """
    if answer.status != 200:
        return _read_refusal(answer, row_id)
    try:
        parsed = json.loads(answer.body)
    except ValueError as exc:
        raise BackendError(f"the answer is no JSON: {shorten(_decode(answer.body))!r}", retryable=True) from exc
    choices = parsed.get("choices") if isinstance(parsed, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return _read_without_choice(answer, parsed, row_id)
    return _read_choice(choices[0], parsed.get("usage"), row_id, answer.latency_seconds)


def read_error(body: bytes) -> ServerError:
    """What a server says is wrong, in whichever shape it says it."""
    text = _decode(body)
    try:
        parsed = json.loads(text)
    except ValueError:
        return ServerError(shorten(_page_words(text)) or "no reason given")
    found = parsed.get("error", parsed) if isinstance(parsed, dict) else parsed
    if not isinstance(found, dict):
        return ServerError(shorten(str(found)))
    said = found.get("message", found.get("detail", ""))
    if isinstance(said, list):  # a list of complaints, each with the place of what is wrong
        said = "; ".join(f"{part.get('loc')}: {part.get('msg')}" for part in said if isinstance(part, dict))
    parameter = found.get("param")
    code = str(found.get("code") or found.get("type") or "")
    return ServerError(shorten(str(said or found)), code, parameter if isinstance(parameter, str) else None)


def read_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that the server wants to be left alone: `retry-after-ms`, seconds or a date; None when it says nothing.

    Args:
        headers: of the answer, found by name in any case.
        now: the time of day, seconds since 1970.
    """
    for name, seconds in (("retry-after-ms", 0.001), ("Retry-After", 1.0)):
        value = headers.get(name, "").strip()
        if re.fullmatch(r"\d+(\.\d+)?", value):
            return float(value) * seconds
    value = headers.get("Retry-After", "")
    if not value:
        return None
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except ValueError:
        return None


def shorten(text: str) -> str:
    """A text in one line of a bearable length."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_DETAIL else line[:_LONGEST_DETAIL] + " …"


def is_strict(schema: Schema) -> bool:
    """Whether strict structured output takes the schema: every object closed, every property required."""
    parts = [schema]
    while parts:
        part = parts.pop()
        properties = part.get("properties", {})
        if part.get("type") == "object" or properties:
            closed = part.get("additionalProperties") is False
            if not closed or set(part.get("required", ())) != set(properties):
                return False
        parts += [value for value in properties.values() if isinstance(value, Mapping)]
        parts += [value for value in part.get("$defs", {}).values() if isinstance(value, Mapping)]
        parts += [value for name in ("anyOf", "oneOf", "allOf") for value in part.get(name, ())]
        parts += [part["items"]] if isinstance(part.get("items"), Mapping) else []
    return True


_FORMATS: dict[tuple[int, Shape], tuple[Schema, ResponseFormat]] = {}
_FORMATS_KEPT = 64


def _response_format(schema: Schema, shape: Shape) -> ResponseFormat:
    """A run has one schema for thousands of requests: looked through once for each object."""
    known = _FORMATS.get((id(schema), shape))
    if known is not None and known[0] is schema:
        return known[1]
    if len(_FORMATS) >= _FORMATS_KEPT:
        _FORMATS.clear()
    made = _make_format(schema, shape)
    _FORMATS[id(schema), shape] = schema, made
    return made


def _make_format(schema: Schema, shape: Shape) -> ResponseFormat:
    """The schema goes without limits of length.

    OpenAI refuses them, and xgrammar, which vLLM's server decodes with, is many times slower with them: `llm_vllm`.
    """
    if shape == "json_object":
        return {"type": "json_object"}
    strict = {"strict": True} if shape == "strict" and is_strict(schema) else {}
    named = {"name": "answer", "schema": drop_limits(schema), **strict}
    return cast("ResponseFormat", {"type": "json_schema", "json_schema": named})


def _read_refusal(answer: Answer, row_id: str) -> LLMReply:
    status, error = answer.status, read_error(answer.body)
    if status == 401:
        raise BackendError(f"the server refuses the key (401): {error.message}")
    if status == 402 or error.code in NO_CREDIT:
        raise BackendError(f"the account has no credit left ({status}): {error.message}")
    if error.code == "model_not_found":
        raise BackendError(f"the server has no such model ({status}): {error.message}")
    if status in TOO_MANY and not _NEVER_FITS.search(error.message):
        raise ThrottledError(
            f"the server asks for fewer requests ({status}): {error.message}",
            read_retry_after(answer.headers, time.time()),
        )
    if status in _TRY_AGAIN or status >= 500:
        raise BackendError(f"the server failed ({status}): {error.message}", retryable=True)
    if status < 400:
        raise BackendError(f"the server sends requests elsewhere ({status}): correct llm.base_url")
    filtered = _FILTERED.search(f"{error.code} {error.message}")
    reason = CONTENT_FILTER if filtered else BAD_REQUEST
    return LLMReply(row_id, error=reason, detail=error.message, latency_seconds=answer.latency_seconds)


def _read_without_choice(answer: Answer, parsed: Json, row_id: str) -> LLMReply:
    """Some servers put an error into a 200, with the true status as its code."""
    code = parsed["error"].get("code") if isinstance(parsed, dict) and isinstance(parsed.get("error"), dict) else None
    if isinstance(code, int) and 400 <= code < 600:
        return _read_refusal(replace(answer, status=code), row_id)
    raise BackendError(f"the answer holds no choice: {read_error(answer.body).message}", retryable=True)


def _read_choice(choice: Json, usage: Json, row_id: str, latency: float) -> LLMReply:
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    finish = choice.get("finish_reason")
    finish = finish if isinstance(finish, str) and finish else "stop"
    text, refusal = _content(message.get("content")), message.get("refusal")
    error = CONTENT_FILTER if finish == "content_filter" else None
    if isinstance(refusal, str) and refusal and not text:
        error = error or REFUSED
    detail = shorten(refusal) if error and isinstance(refusal, str) else ""
    return LLMReply(row_id, "" if error else text, error, detail, finish, _usage(usage), latency)


def _content(content: Json) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = [part if isinstance(part, str) else part.get("text") for part in content if isinstance(part, str | dict)]
    return "".join(text for text in texts if isinstance(text, str))


def _usage(usage: Json) -> Usage:
    if not isinstance(usage, dict):
        return Usage()
    counts = (usage.get("prompt_tokens"), usage.get("completion_tokens"))
    return Usage(*(count if isinstance(count, int) else 0 for count in counts))


def _host(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
        host = parts.hostname or ""
        usable = parts.scheme in ("http", "https") and host.encode("idna") and (parts.port or 1)
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or re.search(r"\s", base_url):
        raise ConfigError(f"llm.base_url must be an address such as http://localhost:8000/v1, not {base_url!r}")
    return host


def _decode(body: bytes) -> str:
    return body.decode("utf-8", "replace")


def _page_words(text: str) -> str:
    """The title of an HTML page, else the text as it is."""
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.I | re.S)
    return f"an HTML page titled {title[1].strip()!r}" if title else text
