"""The batch lane: the same questions to the same models through the provider's cheaper Batch API.

Requests are parked until no more come, written to a file, submitted, and answered when the batch has ended. What is
under way is remembered beside the journal, so a run that is killed finds its batches again and submits nothing twice.
"""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import secrets
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from openai.types import Batch

from datagen.backends.openai_api import (
    BAD_REQUEST,
    Answer,
    Dialect,
    Endpoint,
    build_body,
    open_endpoint,
    read_answer,
    read_error,
    shorten,
)
from datagen.backends.openai_batches import GoneError, Provider, Result, TooLargeError, explain_failed
from datagen.backends.openai_gatherer import BatchLimits, Gatherer, Line
from datagen.backends.openai_http import Connection, adapt, find_dialect
from datagen.backends.protocols import LLMReply, LLMRequest, Notes
from datagen.errors import BackendError, ThrottledError
from datagen.generation.runtime.journal import request_key
from datagen.settings.generate import LLMConfig

BATCH_NOTE, FILE_NOTE = "batch", "batch-file"
"""Notes on batches by their id, and on files whose batch may or may not have been made, by their mark."""

_logger = logging.getLogger(__name__)


@runtime_checkable
class Answers(Protocol):
    """Notes that lie in a journal, which knows what has been answered."""

    def find(self, key: bytes, row_id: str) -> LLMReply | None:
        """The answer to a question; None when it was never answered."""
        ...


@dataclass(frozen=True, slots=True)
class _Batch:
    """A batch that was submitted, by this process or one before."""

    batch_id: str
    members: frozenset[str]
    sent: Dialect
    input_file_id: str = ""

    def note(self) -> str:
        return json.dumps({"input_file_id": self.input_file_id, "custom_ids": sorted(self.members)})


class BatchLLM:
    """A language model that answers hours later. Belongs to one event loop."""

    def __init__(self, endpoint: Endpoint, settings: LLMConfig, limits: BatchLimits | None = None) -> None:
        """Keep where the model is; nothing is connected yet."""
        self.name = endpoint.name
        self._endpoint, self._settings, self._limits = endpoint, settings, limits or BatchLimits()
        self._dialect = Dialect() if settings.structured_output else Dialect(shape="none")
        self._provider = Provider(endpoint, settings)
        self._gatherer = Gatherer(self._limits, self._submit_soon)
        self._notes: Notes | None = None
        self._journal: Answers | None = None
        self._recovering, self._recovered = asyncio.Lock(), False
        self._batches: dict[str, _Batch] = {}
        self._batch_of: dict[str, str] = {}
        self._collecting: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: dict[str, list[asyncio.Future[LLMReply]]] = {}
        self._unclaimed: dict[str, LLMReply] = {}
        self._handed_out: set[str] = set()

    @property
    def in_flight(self) -> int:
        """How many requests it wants to hold at once."""
        return self._limits.in_flight

    def use_notes(self, notes: Notes) -> None:
        """Take the store of what is under way; called once, before the first request."""
        self._notes = notes
        self._journal = notes if isinstance(notes, Answers) else None

    async def prepare(self) -> None:
        """Make one tiny call online: it tells at once what a batch of failures would tell hours later.

        Raises:
            BackendError: what is wrong (key, model, address, no Batch API) and what to do.
        """
        connection = Connection(self._endpoint, self._settings.timeout_seconds)
        try:
            self._dialect = await find_dialect(connection, self._endpoint, self._dialect)
        finally:
            await connection.close()
        await self._provider.check()

    async def complete(self, request: LLMRequest) -> LLMReply:
        """The answer to one request once its batch has ended.

        Raises:
            ThrottledError: the provider asks for fewer requests.
            BackendError: the batch failed, or (retryable) this request was not reached before its batch ended.
        """
        if not self._recovered:
            await self._recover()
        custom_id = request_key(self.name, request).hex()
        reply = self._unclaimed.pop(custom_id, None) or await self._wait_for(custom_id, request)
        self._handed_out.add(custom_id)
        return replace(reply, row_id=request.row_id)

    async def close(self) -> None:
        """Forget the batches whose answers are all kept, and close the connections."""
        self._gatherer.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for batch in self._batches.values():
            if self._all_kept(batch.members):
                self._write_note(BATCH_NOTE, batch.batch_id, None)
        await self._provider.close()

    def _all_kept(self, members: frozenset[str]) -> bool:
        if self._journal is not None:
            return all(self._journal.find(bytes.fromhex(custom_id), "") for custom_id in members)
        return self._handed_out >= members

    async def _wait_for(self, custom_id: str, request: LLMRequest) -> LLMReply:
        answered: asyncio.Future[LLMReply] = asyncio.get_running_loop().create_future()
        others = self._waiting.setdefault(custom_id, [])
        others.append(answered)
        if custom_id in self._batch_of:
            self._collect_soon(self._batches[self._batch_of[custom_id]])
        elif len(others) == 1:
            body = build_body(self._endpoint.model, request, self._dialect)
            line = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}
            self._gatherer.add(Line(custom_id, json.dumps(line).encode() + b"\n"), self._dialect)
        return await answered

    def _settle(self, custom_id: str, outcome: LLMReply | Exception) -> None:
        """Wake whoever waits for a request; a reply that nobody waits for is kept until somebody asks."""
        waiting = [answered for answered in self._waiting.pop(custom_id, ()) if not answered.done()]
        if isinstance(outcome, LLMReply):
            for answered in waiting:
                answered.set_result(outcome)
            if not waiting and custom_id not in self._handed_out:
                self._unclaimed[custom_id] = outcome
        else:
            for answered in waiting:  # a copy for each: an exception that is raised again and again grows
                answered.set_exception(copy.copy(outcome))

    # What is remembered.

    async def _recover(self) -> None:
        async with self._recovering:
            if self._recovered:
                return
            for batch_id, text in self._read_notes(BATCH_NOTE):
                self._remember(self._read_note(batch_id, text))
            for mark, text in self._read_notes(FILE_NOTE):
                if batch_id := await self._provider.find(mark) or "":
                    self._note(self._read_note(batch_id, text))
                self._write_note(FILE_NOTE, mark, None)
            if self._batches:
                _logger.info("%d batches submitted before are waited for", len(self._batches))
            self._recovered = True

    def _read_notes(self, kind: str) -> list[tuple[str, str]]:
        return list(self._notes.read_notes(kind).items()) if self._notes is not None else []

    def _read_note(self, batch_id: str, text: str) -> _Batch:
        parsed = json.loads(text)
        return _Batch(batch_id, frozenset(parsed["custom_ids"]), self._dialect, parsed["input_file_id"])

    def _write_note(self, kind: str, name: str, text: str | None) -> None:
        if self._notes is not None:
            self._notes.write_note(kind, name, text)

    def _note(self, batch: _Batch) -> None:
        self._write_note(BATCH_NOTE, batch.batch_id, batch.note())
        self._remember(batch)

    def _remember(self, batch: _Batch) -> None:
        self._batches[batch.batch_id] = batch
        self._batch_of.update(dict.fromkeys(batch.members, batch.batch_id))

    def _keep_only(self, batch: _Batch, answered: frozenset[str]) -> None:
        """Forget the requests of a batch that it did not answer: they may be submitted anew."""
        for custom_id in batch.members - answered:
            self._batch_of.pop(custom_id, None)
        if not answered:
            self._batches.pop(batch.batch_id, None)
            self._write_note(BATCH_NOTE, batch.batch_id, None)
        elif answered != batch.members:
            self._note(replace(batch, members=answered))

    # Submitting.

    def _submit_soon(self, lines: list[Line], sent: Dialect) -> None:
        wanted = []
        for line in lines:
            if all(answered.done() for answered in self._waiting[line.custom_id]):  # whoever waited was cancelled
                del self._waiting[line.custom_id]
            else:
                wanted.append(line)
        if wanted:
            self._start(self._submit(wanted, sent), [line.custom_id for line in wanted])

    async def _submit(self, lines: list[Line], sent: Dialect) -> None:
        try:
            batch = await self._create(lines, sent)
            self._collecting.add(batch.batch_id)
            await self._collect(batch)
        except TooLargeError as exc:
            if len(lines) == 1:
                self._settle(lines[0].custom_id, self._explain_one(exc))
                return
            _logger.info("a batch of %d requests is split in two: %s", len(lines), exc)
            for half in (lines[: len(lines) // 2], lines[len(lines) // 2 :]):
                if exc.later:
                    await self._submit(half, sent)
                else:
                    self._start(self._submit(half, sent), [line.custom_id for line in half])

    async def _create(self, lines: list[Line], sent: Dialect) -> _Batch:
        file_id = await self._provider.upload(b"".join(line.content for line in lines))
        batch = _Batch("", frozenset(line.custom_id for line in lines), sent, file_id)
        mark = secrets.token_hex(16)
        self._write_note(FILE_NOTE, mark, batch.note())
        batch = replace(batch, batch_id=await self._provider.create(file_id, mark))
        self._note(batch)
        self._write_note(FILE_NOTE, mark, None)
        _logger.info("batch %s with %d requests is under way", batch.batch_id, len(lines))
        return batch

    def _explain_one(self, exc: TooLargeError) -> LLMReply | BackendError:
        if exc.later:
            return ThrottledError(str(exc), self._settings.batch_poll_seconds)
        return LLMReply("", error=BAD_REQUEST, detail=str(exc))

    # Collecting.

    def _collect_soon(self, batch: _Batch) -> None:
        if batch.batch_id not in self._collecting:
            self._collecting.add(batch.batch_id)
            self._start(self._collect(batch), batch.members)

    async def _collect(self, batch: _Batch) -> None:
        try:
            ended = await self._provider.wait(batch.batch_id)
            if ended.status == "failed":
                self._keep_only(batch, frozenset())
                raise explain_failed(ended, self._endpoint)
            outcomes: dict[str, BackendError | None] = {}
            await self._provider.patiently(lambda: self._read_results(batch, ended, outcomes))
        except GoneError as exc:
            self._keep_only(batch, frozenset())
            raise BackendError(f"batch {batch.batch_id} is gone: {exc}", retryable=True) from exc
        finally:
            self._collecting.discard(batch.batch_id)
        answered = frozenset(custom_id for custom_id, failure in outcomes.items() if failure is None)
        self._keep_only(batch, answered)
        _logger.info("batch %s %s with %d answers", batch.batch_id, ended.status, len(answered))
        for custom_id in batch.members - answered:
            self._settle(custom_id, outcomes.get(custom_id) or _never_ran(ended))
        for custom_id in answered & self._waiting.keys():
            self._settle(custom_id, BackendError("asked again while its batch was read", retryable=True))

    async def _read_results(self, batch: _Batch, ended: Batch, outcomes: dict[str, BackendError | None]) -> None:
        """Hand out the replies at once; failures are collected, for their requests must be forgotten first."""
        async for result in self._provider.results(ended):
            custom_id = str(result.get("custom_id"))
            if custom_id not in batch.members or custom_id in outcomes:
                continue
            try:
                reply = self._read_result(result, batch, ended)
            except BackendError as exc:
                outcomes[custom_id] = exc
            else:
                outcomes[custom_id] = None
                self._settle(custom_id, reply)

    def _read_result(self, result: Result, batch: _Batch, ended: Batch) -> LLMReply:
        response = result.get("response")
        if result.get("error") or not isinstance(response, dict):
            raise _never_ran(ended, self._endpoint.redact(str(result.get("error"))))
        status = int(response.get("status_code", 0))
        body = self._endpoint.redact_body(status, json.dumps(response.get("body")).encode())
        answer = Answer(status, body)
        if self._complains(answer, batch.sent):
            raise BackendError("the request was put in a way that the server does not take", retryable=True)
        return read_answer(answer, "")

    def _complains(self, answer: Answer, sent: Dialect) -> bool:
        """Whether a 400 is about how the request was put; the first such one changes how the next are put."""
        if answer.status not in (400, 422):
            return False
        if self._dialect == sent:
            self._dialect = adapt(sent, answer) or sent
            return self._dialect != sent
        return sent.without(read_error(answer.body)) is not None

    # Tasks.

    def _start(self, work: Coroutine[None, None, None], custom_ids: Iterable[str]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._ended(task, custom_ids))

    def _ended(self, task: asyncio.Task[None], custom_ids: Iterable[str]) -> None:
        """Nobody may wait for ever: what has ended the task is what its requests have met."""
        self._tasks.discard(task)
        failure = None if task.cancelled() else task.exception()
        if isinstance(failure, Exception):
            for custom_id in custom_ids:
                self._settle(custom_id, failure)


def load_batch(model: str, settings: LLMConfig) -> BatchLLM:
    """The model of this name behind the Batch API of the settings' server.

    Raises:
        ConfigError: the address cannot be one, or the key is missing.
    """
    return BatchLLM(open_endpoint(model, settings), settings)


def _never_ran(ended: Batch, words: str = "") -> BackendError:
    """What became of a request that its batch did not answer."""
    what = shorten(f"batch {ended.id} {ended.status} without an answer to this request {words}")
    if ended.status == "cancelled":
        return BackendError(f"{what}: somebody cancelled it; run the same command again to submit the rest anew")
    return BackendError(what, retryable=True)
