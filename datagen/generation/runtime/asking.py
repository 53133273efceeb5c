"""One question, one answer: from the journal if it was ever answered, else from the model, kept before it is read."""

from __future__ import annotations

import asyncio
from typing import Protocol

from datagen.backends.protocols import LLM, LLMReply, LLMRequest
from datagen.generation.outcome import NOT_ASKED
from datagen.generation.runtime.flow import Flow
from datagen.generation.runtime.journal import Journal, request_key
from datagen.generation.runtime.spending import Spending, estimate_usage


class Ask(Protocol):
    """Whatever answers questions."""

    async def __call__(self, request: LLMRequest) -> LLMReply:
        """The answer; an error of this request alone is a reply with an error, `not_asked` when a cap forbade it.

        Raises:
            BackendError: the server is down, or refuses the whole run.
            StorageError: the answer could not be kept.
        """
        ...


class Asker:
    """Asks a model under flow control and caps, and keeps what it says."""

    def __init__(self, llm: LLM, model: str, journal: Journal, flow: Flow, spending: Spending) -> None:
        """Take the parts, and the name under which answers are kept; nothing is asked yet."""
        self._llm, self._model = llm, model
        self._journal, self._flow, self._spending = journal, flow, spending

    async def __call__(self, request: LLMRequest) -> LLMReply:
        """See `Ask`."""
        key = request_key(self._model, request)
        if found := self._journal.find(key, request.row_id):
            self._spending.add(self._model, found, from_journal=True)
            return found
        most = estimate_usage(request)
        if not await self._spending.reserve(self._model, most):
            return LLMReply(request.row_id, error=NOT_ASKED)
        try:
            reply = await self._flow.send(
                request.row_id, most.prompt_tokens + most.completion_tokens, lambda: self._attempt(key, request)
            )
        finally:
            self._spending.release(self._model, most)
        await _let_others_send()
        return reply

    async def _attempt(self, key: bytes, request: LLMRequest) -> LLMReply:
        reply = await self._llm.complete(request)
        await self._journal.keep(key, self._model, reply)
        self._spending.add(self._model, reply, from_journal=False)
        return reply


async def _let_others_send() -> None:
    """What was let in when this request ended goes out before its answer is read: the server is kept busy meanwhile."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


class JournalOnly:
    """Answers from the journal alone: nothing is sent, nothing is paid."""

    def __init__(self, model: str, journal: Journal, spending: Spending) -> None:
        """Take the name under which the answers were kept."""
        self._model, self._journal, self._spending = model, journal, spending

    async def __call__(self, request: LLMRequest) -> LLMReply:
        """See `Ask`; what was never answered is `not_asked`."""
        found = self._journal.find(request_key(self._model, request), request.row_id)
        if found is None:
            return LLMReply(request.row_id, error=NOT_ASKED)
        self._spending.add(self._model, found, from_journal=True)
        return found
