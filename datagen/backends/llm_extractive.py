"""The LLM-free generator behind the door of an LLM: a request names the kind of query, the reply is strict JSON."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from datagen.backends.protocols import LLMReply, LLMRequest
from datagen.generation.extractive.parsing import format_reply
from datagen.generation.extractive.writers import WRITERS, Choice, Passage
from datagen.generation.words import WordStatistics, count_words
from datagen.settings.generate import GenerateConfig

_PASSAGES_KEPT = 4096


class ExtractiveLLM:
    """Cuts queries out of passages: deterministic, no weights, no network.

    Slots of a request, all texts: `kind` (one of `extractive.KINDS`), `title`, `text`, `seed`, and if given `take`
    (which of the possible queries, from 0) and `keep_sentence` (`yes` keeps an inverse-cloze sentence in its passage).
    """

    name = "extractive"

    def __init__(self, settings: GenerateConfig) -> None:
        """Keep the limits of a query's length."""
        self._settings = settings
        self._statistics = WordStatistics()
        self._passage = lru_cache(maxsize=_PASSAGES_KEPT)(self._open)

    def read_corpus(self, passages: Iterable[str]) -> None:
        """Count in how many passages each word stands; without it all words count as equally rare."""
        self._statistics = count_words(passages)
        self._passage.cache_clear()

    async def complete(self, request: LLMRequest) -> LLMReply:
        """The query asked for; the error is a reason word when the passage allows no such query."""
        slots = request.slots
        kind, take = slots.get("kind", ""), slots.get("take", "0")
        if kind not in WRITERS:
            return LLMReply(request.row_id, error="unknown_kind")
        if not (take.isascii() and take.isdigit()):
            return LLMReply(request.row_id, error="bad_take")
        write, impossible = WRITERS[kind]
        limits = self._settings.min_query_words, self._settings.max_query_words
        choice = Choice(slots.get("seed", ""), int(take), slots.get("keep_sentence") == "yes", *limits)
        written = write(self._passage(slots.get("title", ""), slots.get("text", "")), choice)
        if written is None:
            return LLMReply(request.row_id, error=impossible)
        return LLMReply(request.row_id, format_reply(written))

    def _open(self, title: str, text: str) -> Passage:
        return Passage(title, text, self._statistics)
