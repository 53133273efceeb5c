"""Files and batches of the server for tests: kept in memory, done after `batch_seconds`, answers in shuffled order."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from aiohttp import web

from tests.support.llm_answers import Json, share_of

if TYPE_CHECKING:
    from tests.support.llm_app import App

Kept = TypeVar("Kept")

_STATUS_OF_FAULT = {
    "429": 429, "429_retry_after": 429, "500": 500, "503": 503, "529": 529, "400": 400, "401": 401, "402_quota": 429,
}  # fmt: skip


class RefusedError(Exception):
    """A 4xx in OpenAI's shape."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass
class Batch:
    """One batch; its results are made when it is first seen to be done."""

    number: int
    lines: list[Json]
    input_file: str
    metadata: Json
    created: float = field(default_factory=time.monotonic)
    cancelled: bool = False
    done: Json | None = None


class Batches:
    """All files and batches of one server."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._files: dict[str, bytes] = {}
        self._batches: dict[str, Batch] = {}
        self._counts: Counter[str] = Counter()

    @property
    def counts(self) -> Json:
        """Files, batches and batch lines taken, and files refused for their size."""
        names = ("files", "batches", "batch_lines", "files_refused")
        return {name: self._counts[name] for name in names}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to any request about files and batches.

        Raises:
            RefusedError: it is not taken.
        """
        match request.method, *request.path.removeprefix("/v1/").split("/"):
            case "GET", "files", name, "content":
                return web.Response(body=self._content(name), content_type="application/octet-stream")
            case "POST", "files":
                shown = await self._take_file(request)
            case "POST", "batches":
                shown = self._create(json.loads(await request.read()))
                if self._counts["batches"] <= self._app.script.batch_answers_lost and request.transport:
                    request.transport.abort()
            case "GET", "batches":
                shown = self._list(request.query.get("after"), int(request.query.get("limit", "20")))
            case "GET", "batches", name:
                shown = self._show(name)
            case "POST", "batches", name, "cancel":
                _find(self._batches, name).cancelled = True
                shown = self._show(name)
            case _:
                raise RefusedError(404, "unknown_url", f"Invalid URL ({request.method} {request.path})")
        return web.json_response(shown)

    async def _take_file(self, request: web.BaseRequest) -> Json:
        form = await request.post()
        part = form["file"]
        content = part.file.read() if isinstance(part, web.FileField) else str(part).encode()
        script = self._app.script
        if len(content) > script.batch_max_bytes or content.count(b"\n") > script.batch_max_lines:
            self._counts["files_refused"] += 1
            raise RefusedError(script.batch_size_status, "file_too_large", "The file is too large for a batch.")
        await asyncio.sleep(0)
        return self._keep_file(content, str(form.get("purpose")))

    def _keep_file(self, content: bytes, purpose: str) -> Json:
        self._counts["files"] += purpose == "batch"
        name = f"file-{len(self._files) + 1}-{share_of(repr(time.monotonic()))}"
        self._files[name] = content
        sizes = {"bytes": len(content), "created_at": int(time.time()), "filename": "batch.jsonl"}
        return {"id": name, "object": "file", "purpose": purpose, "status": "processed", **sizes}

    def _content(self, name: str) -> bytes:
        content = _find(self._files, name)
        self._counts["downloads"] += 1
        return content if self._counts["downloads"] > self._app.script.batch_broken_downloads else content[:-9]

    def _create(self, body: Json) -> Json:
        self._counts["creations"] += 1
        if self._counts["creations"] <= self._app.script.batch_creations_failed:
            raise RefusedError(500, "server_error", "The batch was not made.")
        content = _find(self._files, body["input_file_id"])
        lines = [json.loads(line) for line in content.splitlines()]
        number = len(self._batches) + 1
        self._counts["batches"] += 1
        self._counts["batch_lines"] += len(lines)
        name = f"batch_{number}"
        self._batches[name] = Batch(number, lines, body["input_file_id"], body.get("metadata") or {})
        return self._show(name)

    def _list(self, after: str | None, limit: int) -> Json:
        names = list(self._batches)[::-1]
        names = names[names.index(after) + 1 :] if after in names else names
        shown = [self._show(name) for name in names[:limit]]
        ends = {"first_id": names[0], "last_id": names[: len(shown)][-1]} if shown else {}
        return {"object": "list", "data": shown, "has_more": len(names) > limit, **ends}

    def _show(self, name: str) -> Json:
        batch = _find(self._batches, name)
        script = self._app.script
        share = (time.monotonic() - batch.created) / max(script.batch_seconds, 1e-9)
        if batch.done is None and (batch.cancelled or share >= 1):
            batch.done = self._finish(batch, "cancelled" if batch.cancelled else script.batch_end)
        running = {"status": "validating" if share < 0.2 else "in_progress"}
        named = {"id": name, "object": "batch", "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        made = {"input_file_id": batch.input_file, "created_at": int(time.time()), "metadata": batch.metadata}
        return {**named, **made, **(batch.done or running)}

    def _finish(self, batch: Batch, end: str) -> Json:
        script = self._app.script
        if script.batch_queue_lines and len(batch.lines) > script.batch_queue_lines:
            return _failed("token_limit_exceeded: Enqueued token limit reached.")
        if end == "failed":
            return _failed(script.batch_failure)
        order = sorted(batch.lines, key=lambda line: share_of("order", line["custom_id"]))
        results = [self._answer(line, end) for line in order]
        good = [line for line in results if line["error"] is None]
        bad = [line for line in results if line["error"] is not None]
        counts = {"total": len(results), "completed": len(good), "failed": len(bad)}
        files = {f"{kind}_file_id": self._results(lines) for kind, lines in (("output", good), ("error", bad)) if lines}
        return {"status": end, "request_counts": counts, **files}

    def _results(self, lines: list[Json]) -> str:
        return str(self._keep_file("".join(json.dumps(line) + "\n" for line in lines).encode(), "batch_output")["id"])

    def _answer(self, line: Json, end: str) -> Json:
        script, counts = self._app.script, self._app.counts
        out = {"id": f"batch_req_{line['custom_id'][:8]}", "custom_id": line["custom_id"], "response": None}
        share = 0.5 if end in ("expired", "cancelled") else script.batch_expired_share
        if share_of("expired", script.seed, line["custom_id"]) < share:
            return {
                **out,
                "error": {"code": f"batch_{'cancelled' if end == 'cancelled' else 'expired'}", "message": end},
            }
        ask = self._app.read(line["body"])
        self._app.count(ask)
        refusal = self._app.refuse_body(line["body"])
        if refusal is not None and isinstance(refusal.text, str):
            return {**out, "error": None, "response": _response(refusal.status, json.loads(refusal.text))}
        fault = self._app.chance.failure(ask.prompt, ask.text, counts.arrivals[ask.prompt], ask.probe)
        if fault is None or fault.kind not in _STATUS_OF_FAULT:
            return {**out, "error": None, "response": _response(200, self._app.answer(ask))}
        counts.kinds[fault.kind] += 1
        said = {"message": "This line was not answered.", "type": "error", "code": fault.kind}
        return {
            **out,
            "error": None,
            "response": _response(fault.status or _STATUS_OF_FAULT[fault.kind], {"error": said}),
        }


def _find(kept: dict[str, Kept], name: str) -> Kept:
    if name not in kept:
        raise RefusedError(404, "not_found", f"No such object: {name}")
    return kept[name]


def _failed(reason: str) -> Json:
    code, _, message = reason.partition(": ")
    said = {"code": code, "message": message, "line": 1}
    return {"status": "failed", "errors": {"object": "list", "data": [said]}}


def _response(status: int, body: Json) -> Json:
    return {"status_code": status, "request_id": "req_1", "body": body}
