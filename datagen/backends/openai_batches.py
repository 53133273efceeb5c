"""The Batch API of a provider: files up, batches made, found and waited for, results down. Used by `llm_batch`.

The openai package does the talking. Its exceptions hold requests with the key in their headers, so none is chained.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeAlias, TypeVar

import openai
from openai.types import Batch

from datagen.backends.openai_api import NO_CREDIT, Answer, Endpoint, read_answer, shorten
from datagen.errors import BackendError
from datagen.settings.generate import LLMConfig

T = TypeVar("T")
Result: TypeAlias = dict[str, Any]  # Any: one line of a result file

MARK = "datagen_mark"
"""The name in a batch's metadata under which it is found again when a kill has cut off the answer that made it."""

_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
_TOO_LARGE = re.compile(r"too (large|big|many)|exceeds|maximum (size|number|lines)", re.I)
_QUEUE_FULL = "token_limit_exceeded"
_CREATE_TRIES = 3
_NO_KEY = "none"


class TooLargeError(BackendError):
    """The provider takes no batch of this size; `later`: not now, because others of this account are under way."""

    def __init__(self, message: str, *, later: bool = False) -> None:
        """Keep whether waiting for other batches may help."""
        super().__init__(message)
        self.later = later


class GoneError(BackendError):
    """The provider knows no such batch any more."""


class Provider:
    """The Batch API behind one address."""

    def __init__(self, endpoint: Endpoint, settings: LLMConfig) -> None:
        """Keep where it is; the first call connects."""
        self._endpoint = endpoint
        self._poll_seconds, self._give_up_seconds = settings.batch_poll_seconds, settings.give_up_seconds

    @functools.cached_property
    def _client(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(api_key=self._endpoint.key or _NO_KEY, base_url=self._endpoint.base_url)

    @functools.cached_property
    def _once(self) -> openai.AsyncOpenAI:
        """The same connections for calls that are tried again here, not by the package."""
        return self._client.with_options(max_retries=0)

    async def check(self) -> None:
        """Raise a BackendError when there is no Batch API."""
        try:
            with self._explained():
                await self._client.batches.list(limit=1)
        except GoneError:
            raise BackendError(f"{self._endpoint.base_url} has no Batch API: use the online lane") from None

    async def upload(self, content: bytes) -> str:
        """The id of a new file with the lines of a batch.

        Raises:
            TooLargeError: the file is larger than the provider takes.
            BackendError: it could not be sent.
        """
        with self._explained():
            return (await self._client.files.create(file=("datagen.jsonl", content), purpose="batch")).id

    async def create(self, file_id: str, mark: str) -> str:
        """The id of a new batch. A try whose answer was lost is looked up before the next, so none is paid twice.

        Raises:
            TooLargeError: there are more lines than the provider takes.
            BackendError: it could not be made.
        """
        for tries_left in reversed(range(_CREATE_TRIES)):
            try:
                with self._explained():
                    batch = await self._once.batches.create(
                        input_file_id=file_id,
                        endpoint="/v1/chat/completions",
                        completion_window="24h",
                        metadata={MARK: mark},
                    )
                    return batch.id
            except BackendError as exc:
                if not exc.retryable:
                    raise
                if found := await self.find(mark):
                    return found
                if not tries_left:
                    raise
            await asyncio.sleep(min(1.0, self._poll_seconds))
        raise AssertionError("unreachable: the last try returns or raises")

    async def find(self, mark: str) -> str | None:
        """The id of the batch that carries a mark; None when there is none.

        Raises:
            BackendError: the provider does not say.
        """
        with self._explained():
            async for batch in self._client.batches.list(limit=100):
                if (batch.metadata or {}).get(MARK) == mark:
                    return batch.id
        return None

    async def wait(self, batch_id: str) -> Batch:
        """The batch once it has ended; asked for every `batch_poll_seconds`.

        Raises:
            GoneError: there is no such batch any more.
            BackendError: the provider has not answered for `give_up_seconds`, or refuses.
        """
        while (batch := await self.patiently(lambda: self._once.batches.retrieve(batch_id))).status not in _ENDED:
            await asyncio.sleep(self._poll_seconds)
        return batch

    async def results(self, batch: Batch) -> AsyncIterator[Result]:
        """The lines of the output file and of the error file, in no order.

        Raises:
            BackendError: a file could not be read.
        """
        for file_id in filter(None, (batch.output_file_id, batch.error_file_id)):
            with self._explained():
                content = (await self._once.files.content(file_id)).content
            for line in io.BytesIO(content):  # at newlines alone: a text may hold other separators
                try:
                    yield json.loads(line)
                except ValueError as exc:
                    raise BackendError(f"file {file_id} holds a line that is no JSON", retryable=True) from exc

    async def patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """What a call gives, tried until the provider has not answered for `give_up_seconds`.

        Raises:
            BackendError: it is tried no more.
        """
        failing_since = time.monotonic()
        while True:
            try:
                with self._explained():
                    return await call()
            except BackendError as exc:
                if not exc.retryable:
                    raise
                if time.monotonic() - failing_since > self._give_up_seconds:
                    raise BackendError(
                        f"the Batch API has not answered for {self._give_up_seconds:g} s ({exc}): what was submitted "
                        "goes on there, run the same command again to fetch it"
                    ) from exc
            await asyncio.sleep(self._poll_seconds)

    async def close(self) -> None:
        """Close the connections, if any were opened."""
        if "_client" in self.__dict__:  # where cached_property keeps it
            await self._client.close()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except openai.APIStatusError as exc:
            raise self._explain_status(exc) from None
        except openai.OpenAIError as exc:
            cause = f": {exc.__cause__}" if exc.__cause__ else ""
            words = shorten(self._endpoint.redact(f"{exc}{cause}"))
            raise BackendError(f"the Batch API does not answer: {words}", retryable=True) from None

    def _explain_status(self, exc: openai.APIStatusError) -> BackendError:
        body = self._endpoint.redact_body(exc.status_code, json.dumps({"error": exc.body or str(exc)}).encode())
        try:
            said = read_answer(Answer(exc.status_code, body, exc.response.headers), "").detail
        except BackendError as explained:
            return explained
        if exc.status_code == 413 or (exc.status_code == 400 and _TOO_LARGE.search(said)):
            return TooLargeError(f"the Batch API takes no such file ({exc.status_code}): {said}")
        if exc.status_code == 404:
            return GoneError(f"the Batch API knows no such thing (404): {said}")
        return BackendError(f"the Batch API refuses ({exc.status_code}): {said}")


def explain_failed(batch: Batch, endpoint: Endpoint) -> BackendError:
    """Why a batch failed its validation, in the provider's words."""
    errors = (batch.errors.data if batch.errors else None) or []
    words = endpoint.redact(shorten("; ".join(f"{error.code}: {error.message}" for error in errors[:3])))
    message = f"batch {batch.id} was refused by the provider: {words or 'no reason given'}"
    codes = {str(error.code) for error in errors}
    if _QUEUE_FULL in codes:
        return TooLargeError(message, later=True)
    if codes & NO_CREDIT:
        return BackendError(message)
    return TooLargeError(message) if _TOO_LARGE.search(words) else BackendError(message)
