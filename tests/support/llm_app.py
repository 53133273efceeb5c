"""The routes of the server for tests, for speed without aiohttp's own routing; started by llm_server.py."""

from __future__ import annotations

import asyncio
import json
import math
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from aiohttp import web

from tests.support.llm_answers import Json, apply_rules, hash_text, share_of, write_answer
from tests.support.llm_batches import Batches, RefusedError
from tests.support.llm_faults import HARMLESS, Chance, Fault, Script, spoil

Handler: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_HTML = "<!doctype html><html><head><title>Welcome</title></head><body>It works!</body></html>"
_BODIES = {
    "html_body": (_HTML, "text/html"),
    "bad_json_body": ('{"id": "chatcmpl-1", "choices": [{"mess', "application/json"),
}
_TOKENS_PER_WORD = 1.3
_FAILURES: dict[str, tuple[int, str, str]] = {
    "429": (429, "rate_limit_exceeded", "Rate limit reached for requests."),
    "429_retry_after": (429, "rate_limit_exceeded", "Rate limit reached for requests."),
    "500": (500, "server_error", "The server had an error while processing your request."),
    "503": (503, "overloaded", "The engine is currently overloaded, please try again later."),
    "529": (529, "overloaded_error", "Overloaded."),
    "400": (400, "invalid_request", "The request could not be understood."),
    "401": (401, "invalid_api_key", "Incorrect API key provided."),
    "402_quota": (429, "insufficient_quota", "You exceeded your current quota, please check your plan and billing."),
}


@dataclass
class Ask:
    """A chat request as the server sees it."""

    body: Json
    text: str
    conversation: bytes
    prompt: bytes
    probe: bool

    @classmethod
    def read(cls, body: Json, script: Script) -> Ask:
        """The request in a JSON body."""
        messages = [(str(message.get("role")), _text(message.get("content"))) for message in body["messages"]]
        first = next((text for role, text in messages if role == "user"), "")
        prompt = hash_text(*(part for message in messages for part in message), str(body.get("seed")))
        texts = "\n".join(text for _, text in messages)
        return cls(body, texts, hash_text(first), prompt, script.probe in first)


@dataclass
class Counts:
    """What was asked."""

    requests: int = 0
    open: int = 0
    peak_open: int = 0
    probes: int = 0
    repeated: int = 0
    answered_good: int = 0
    status: Counter[int] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    arrivals: Counter[bytes] = field(default_factory=Counter)
    answered: set[bytes] = field(default_factory=set)

    def as_json(self, full: bool) -> Json:
        """All counts; the single prompts only when asked for."""
        prompts, plain = len(self.arrivals), ("requests", "open", "peak_open", "probes", "repeated", "answered_good")
        out: Json = {name: getattr(self, name) for name in plain}
        out |= {"status": self.status, "kinds": self.kinds, "prompts": prompts}
        out |= {"resent": self.arrivals.total() - prompts, "answered": len(self.answered)}
        if full:
            out["arrivals"] = {prompt.hex(): count for prompt, count in self.arrivals.items()}
        return out


class App:
    """One server: its script, its clocks and its counts."""

    def __init__(self, script: Json) -> None:
        self.routes: dict[tuple[str, str], Handler] = {
            ("POST", "/v1/chat/completions"): self.chat,
            ("GET", "/v1/models"): self.models,
            ("GET", "/stats"): self.stats,
            ("POST", "/script"): self.take_script,
            ("POST", "/reset"): self.reset,
        }
        self.set_script(script)
        self._forget()

    def set_script(self, script: Json) -> None:
        """Behave like this from now on."""
        self.script = Script.from_json(script)
        self.chance = Chance(self.script)
        self.started = self._filled_at = time.monotonic()
        rate = self.script.requests_per_second or 0.0
        self._most_tokens = self._tokens = self.script.burst or max(1.0, rate / 10)
        self.queue = asyncio.Semaphore(self.script.queue_concurrent or sys.maxsize)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to any request."""
        handler = self.routes.get((request.method, request.path))
        if handler is not None and not request.path.startswith("/v1"):
            return await handler(request)
        refusal = self._refuse(request)
        if refusal is not None:
            return refusal
        if handler is not None:
            return await handler(request)
        if request.path.startswith(("/v1/files", "/v1/batches")) and self.script.batch_api:
            return await self._batch_route(request)
        return _page(404, _HTML)

    async def chat(self, request: web.BaseRequest) -> web.StreamResponse:
        """POST /v1/chat/completions."""
        counts = self.counts
        counts.open += 1
        counts.requests += 1
        counts.peak_open = max(counts.peak_open, counts.open)
        try:
            response = await self._chat(self.read(json.loads(await request.read())), request)
            counts.status[response.status] += 1
            return response
        finally:
            counts.open -= 1

    async def models(self, request: web.BaseRequest) -> web.StreamResponse:
        """GET /v1/models."""
        del request
        names = self.script.models or ("tiny-model",)
        models = [{"id": name, "object": "model", "created": 0, "owned_by": "tests"} for name in names]
        return web.json_response({"object": "list", "data": models})

    async def stats(self, request: web.BaseRequest) -> web.StreamResponse:
        """GET /stats."""
        return web.json_response(self.counts.as_json("full" in request.query) | self.batches.counts)

    async def take_script(self, request: web.BaseRequest) -> web.StreamResponse:
        """POST /script."""
        try:
            self.set_script(json.loads(await request.read()))
        except (TypeError, ValueError) as exc:
            return web.json_response({"error": str(exc)}, status=400)
        return web.json_response({})

    async def reset(self, request: web.BaseRequest) -> web.StreamResponse:
        """POST /reset."""
        del request
        self._forget()
        return web.json_response({})

    def _forget(self) -> None:
        self.counts = Counts()
        self.batches = Batches(self)

    def _refuse(self, request: web.BaseRequest) -> web.Response | None:
        elapsed = time.monotonic() - self.started
        if any(start <= elapsed < end for start, end in self.script.down_between):
            return web.Response(status=503, text="Service Unavailable")
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.script.key is not None and given != self.script.key:
            said = f"Incorrect API key provided: {given}. Find your key in your account." if given else "No API key."
            return error(401, "invalid_api_key", said)
        return None

    async def _chat(self, ask: Ask, request: web.BaseRequest) -> web.StreamResponse:
        counts = self.counts
        self.count(ask)
        refusal = self._too_many() or self.refuse_body(ask.body)
        if refusal is not None:
            return refusal
        async with self.queue:
            await self._wait(ask)
            fault = self.chance.failure(ask.prompt, ask.text, counts.arrivals[ask.prompt], ask.probe)
            if fault is not None:
                counts.kinds[fault.kind] += 1
                return await self._fail(fault, ask, request)
            return self._answer(ask)

    def read(self, body: Json) -> Ask:
        """The request in a JSON body."""
        return Ask.read(body, self.script)

    def count(self, ask: Ask) -> None:
        """Take note of an arrival."""
        counts = self.counts
        if ask.probe:
            counts.probes += 1
        else:
            counts.arrivals[ask.prompt] += 1
            counts.repeated += ask.prompt in counts.answered

    def answer(self, ask: Ask) -> Json:
        """The body of a 200, spoilt if the script says so."""
        body = ask.body
        shape = body.get("response_format", {})
        schema = shape["json_schema"]["schema"] if shape.get("type") == "json_schema" else self.script.schema
        good = write_answer(ask.prompt, schema, bool(shape) or "JSON" in ask.text)
        if self.script.rules and not ask.probe:
            good = apply_rules(good, ask.text, ask.prompt, self.script.rules)
        fault = self.chance.spoiling(ask.prompt, ask.conversation, ask.text, ask.probe)
        if fault is not None:
            self.counts.kinds[fault.kind] += 1
        choice = spoil(fault.kind if fault else "", good)
        if not ask.probe:
            self.counts.answered_good += fault is None or fault.kind in HARMLESS
            self.counts.answered.add(ask.prompt)
        asked = math.ceil(_TOKENS_PER_WORD * (ask.text.count(" ") + 1))
        written = math.ceil(_TOKENS_PER_WORD * (good.count(" ") + 1))
        usage = {"prompt_tokens": asked, "completion_tokens": written, "total_tokens": asked + written}
        named = {"id": f"chatcmpl-{ask.prompt.hex()}", "object": "chat.completion", "created": 0}
        return {**named, "model": body["model"], "choices": [choice], "usage": usage}

    def refuse_body(self, body: Json) -> web.Response | None:
        """A 4xx when the script does not take such a request."""
        model, shape = body["model"], body.get("response_format", {}).get("type", "text")
        if self.script.models and model not in self.script.models:
            said = f"The model `{model}` does not exist or you do not have access to it."
            return error(404, "model_not_found", said)
        for name in self.script.refused_parameters:
            if name in body:
                hint = " Use 'max_completion_tokens' instead." if name == "max_tokens" else ""
                said = f"Unsupported parameter: '{name}' is not supported with this model.{hint}"
                return error(400, "unsupported_parameter", said, name)
        taken = {"json_schema": ("text", "json_object", "json_schema"), "json_object": ("text", "json_object")}
        if shape not in taken.get(self.script.schema_support, ("text",)):
            said = f"Invalid parameter: 'response_format' of type '{shape}' is not supported with this model."
            return error(400, "invalid_parameter", said, "response_format")
        return None

    def _too_many(self) -> web.Response | None:
        script, now = self.script, time.monotonic()
        if script.requests_per_second:
            grown = self._tokens + (now - self._filled_at) * script.requests_per_second
            self._tokens, self._filled_at = min(self._most_tokens, grown), now
            if self._tokens < 1:
                return self._throttle(script.retry_after)
            self._tokens -= 1
        if script.max_concurrent and self.counts.open > script.max_concurrent:
            return self._throttle(script.retry_after)
        return None

    def _throttle(self, seconds: float | None) -> web.Response:
        status, code, said = _FAILURES["429"]
        response = error(status, code, said)
        if seconds is not None:
            response.headers["Retry-After"] = f"{seconds:g}"
        return response

    async def _wait(self, ask: Ask) -> None:
        seconds = self.script.latency_seconds
        if isinstance(seconds, tuple):
            seconds = seconds[0] + (seconds[1] - seconds[0]) * share_of("latency", ask.prompt.hex())
        if seconds:
            await asyncio.sleep(seconds)

    async def _fail(self, fault: Fault, ask: Ask, request: web.BaseRequest) -> web.StreamResponse:
        if fault.kind == "late":
            await asyncio.sleep(1.0 if fault.seconds is None else fault.seconds)
            return self._answer(ask)
        if fault.kind == "hang":
            await asyncio.Event().wait()
        if fault.kind == "reset":
            return await _break(request)
        if fault.kind.startswith("429"):
            own_word = (fault.seconds or self.script.retry_after or 1.0) if fault.kind == "429_retry_after" else None
            return self._throttle(own_word or self.script.retry_after)
        if fault.kind in _BODIES:
            return _page(200, *_BODIES[fault.kind])
        status, code, said = _FAILURES[fault.kind]
        return error(fault.status or status, code, f"{said} You gave {request.headers.get('Authorization', 'no key')}.")

    def _answer(self, ask: Ask) -> web.Response:
        return web.Response(body=json.dumps(self.answer(ask)).encode(), content_type="application/json")

    async def _batch_route(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self.batches.handle(request)
        except RefusedError as exc:
            return error(exc.status, exc.code, str(exc))


def error(status: int, code: str, message: str, parameter: str | None = None) -> web.Response:
    """An error in OpenAI's shape."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return web.json_response(
        {"error": {"message": message, "type": kind, "param": parameter, "code": code}}, status=status
    )


def serve(port: int, script: Json, until_stdin_ends: bool) -> None:
    """Answer until stdin ends or a signal comes; the port is told on stdout."""
    asyncio.run(_serve(port, script, until_stdin_ends))


async def _serve(port: int, script: Json, until_stdin_ends: bool) -> None:
    app = App(script)
    # Handlers end when their client goes: a hanging answer must not stay open for ever.
    server = web.Server(
        app.handle, request_factory=_request, handler_cancellation=True, access_log=None, keepalive_timeout=3600
    )
    runner = web.ServerRunner(server)
    await runner.setup()
    listening = socket.create_server(("127.0.0.1", port), backlog=4096)
    await web.SockSite(runner, listening).start()
    sys.stdout.write(json.dumps({"port": listening.getsockname()[1]}) + "\n")
    sys.stdout.flush()
    if until_stdin_ends:
        await asyncio.to_thread(sys.stdin.read)
    else:
        await asyncio.Event().wait()


def _request(*parts: Any) -> web.BaseRequest:  # Any: what aiohttp hands over
    message, payload, protocol, writer, task = parts
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=1 << 30)


async def _break(request: web.BaseRequest) -> web.StreamResponse:
    """Half an answer, then a reset of the connection."""
    response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"id": "chatcmpl')
    transport = request.transport
    if transport is not None:
        lingering = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingering)
        transport.abort()
    raise asyncio.CancelledError


def _page(status: int, text: str, content_type: str = "text/html") -> web.Response:
    return web.Response(status=status, text=text, content_type=content_type)


def _text(content: object) -> str:
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content)
    return content if isinstance(content, str) else ""
