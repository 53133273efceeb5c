"""What the tests of the batch lane share."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from datagen.backends.llm_batch import BatchLLM
from datagen.backends.openai_api import open_endpoint
from datagen.backends.openai_gatherer import BatchLimits
from datagen.backends.protocols import LLMReply, LLMRequest, Notes
from datagen.errors import StorageError
from datagen.generation.runtime.journal import request_key
from datagen.settings.generate import LLMConfig
from tests.support.llm_server import Server

KEY = "sk-canary-1234567890abcdef"
CANARY = {"key": KEY}
SCHEMA = {
    "type": "object",
    "properties": {"query": {"type": "string"}},
    "required": ["query"],
    "additionalProperties": False,
}
QUICK = BatchLimits(quiet_seconds=0.05)


class KeptNotes:
    """Notes that outlive a backend, and can fail to be written like a process that is killed."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.dies_at: str | None = None

    def read_notes(self, kind: str) -> dict[str, str]:
        return {name: text for (of_kind, name), text in self.kept.items() if of_kind == kind}

    def write_note(self, kind: str, name: str, text: str | None) -> None:
        if kind == self.dies_at:
            raise StorageError("killed here")
        if text is None:
            self.kept.pop((kind, name), None)
        else:
            self.kept[kind, name] = text

    def kinds(self) -> Counter[str]:
        return Counter(kind for kind, _ in self.kept)


def batch_settings(server: Server, **more: Any) -> LLMConfig:  # Any: fields of the settings
    return LLMConfig(**{"base_url": server.url, "lane": "batch", "batch_poll_seconds": 0.05, **more})


def open_batch(
    server: Server,
    notes: Notes,
    limits: BatchLimits = QUICK,
    **more: Any,  # Any: fields of the settings
) -> BatchLLM:
    settings = batch_settings(server, **more)
    llm = BatchLLM(open_endpoint("tiny-model", settings), settings, limits)
    llm.use_notes(notes)
    return llm


def requests_for(*texts: str) -> list[LLMRequest]:
    return [LLMRequest(text, {}, ({"role": "user", "content": text},), schema=SCHEMA) for text in texts]


def many(count: int) -> list[LLMRequest]:
    return requests_for(*(f"passage {number}" for number in range(count)))


def ask_all(llm: BatchLLM, requests: Sequence[LLMRequest]) -> list[LLMReply | BaseException]:
    async def ask() -> list[LLMReply | BaseException]:
        try:
            return await asyncio.gather(*map(llm.complete, requests), return_exceptions=True)
        finally:
            await llm.close()

    return asyncio.run(ask())


def replies_of(llm: BatchLLM, requests: Sequence[LLMRequest]) -> list[LLMReply]:
    replies = ask_all(llm, requests)
    for reply in replies:
        if isinstance(reply, BaseException):
            raise reply
    return [reply for reply in replies if isinstance(reply, LLMReply)]


def note_of(requests: Sequence[LLMRequest]) -> str:
    """The note of a batch with these requests."""
    custom_ids = [request_key("openai:tiny-model", request).hex() for request in requests]
    return json.dumps({"input_file_id": "file-1", "custom_ids": custom_ids})
