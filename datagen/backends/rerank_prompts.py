"""The prompts of a language model as reranker: pairs of texts as token ids, the same for every runtime.

A prompt is a chat of two messages, rendered from sandboxed templates and put into the model's own chat format. The
document stands last, so that all prompts of a query begin with the same tokens, and what is too long loses the end of
its document. Texts are material: marks of chat formats in them are defused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from datagen.errors import ConfigError, ModelLoadError
from datagen.generation.recipes.templates import ENDING, Templates, defused
from datagen.settings.rerank import LLMRerankerConfig

_VARIABLES = frozenset({"instruction", "query", "document"})
_SHIPPED = Path(__file__).parent.parent / "data" / "rerank"
_SYSTEM, _USER = f"system{ENDING}", f"user{ENDING}"
_MARKS = {"query": "QUERY-MARK-5A1D", "document": "DOCUMENT-MARK-5A1D"}
_CHAT_MARK = "CHAT-MARK-5A1D"
_TOKENS_LEFT = 16
"""Tokens that must be left for query and document."""


class AnswerTokens(NamedTuple):
    """Ids of the tokens whose logits are compared."""

    yes: int
    no: int


def read_prompts(settings: LLMRerankerConfig) -> dict[str, str]:
    """The texts of the templates by file name; `user.j2` is one of them.

    Raises:
        ConfigError: the folder has none.
    """
    folder = settings.prompts or _SHIPPED
    found = {name: folder / name for name in (_SYSTEM, _USER) if (folder / name).is_file()}
    if _USER not in found:
        raise ConfigError(f"denoise.llm.prompts {str(folder)!r} has no {_USER}: give a folder that holds one")
    return {name: path.read_text(encoding="utf-8") for name, path in found.items()}


class RerankPrompts:
    """Makes the prompts of one model."""

    def __init__(self, tokenizer: Any, settings: LLMRerankerConfig, limit: int) -> None:  # Any: of transformers
        """Put the templates into the model's chat format.

        Args:
            tokenizer: of the model, a tokenizer of transformers.
            settings: templates, instruction and words.
            limit: tokens of a prompt at most.

        Raises:
            ConfigError: a template cannot be used, or leaves no room for a document.
            ModelLoadError: an answer is not one token of this model.
        """
        self._tokenizer = tokenizer
        self._limit = limit
        self._sources = read_prompts(settings)
        self._templates = Templates(settings.prompts or _SHIPPED, self._sources, _VARIABLES)
        self._instruction = settings.instruction
        self._has_chat = bool(tokenizer.chat_template)
        self._before, self._after = self._frame()
        self.answers = AnswerTokens(_one_token(tokenizer, settings.yes), _one_token(tokenizer, settings.no))
        self._tail = self._encode([self._text_after_document()], special=False)[0]
        if len(self._encode([self._text("", "")], special=not self._has_chat)[0]) + _TOKENS_LEFT > limit:
            raise ConfigError(f"the prompt alone fills {limit} tokens: raise denoise.max_tokens, or shorten the prompt")

    def encode(self, pairs: Sequence[tuple[str, str]]) -> list[list[int]]:
        """Token ids of the prompt of each pair, none longer than the limit."""
        texts = [self._text(defused(query), defused(document)) for query, document in pairs]
        return [self._cut(ids) for ids in self._encode(texts, special=not self._has_chat)]

    def _cut(self, ids: list[int]) -> list[int]:
        return ids if len(ids) <= self._limit else [*ids[: self._limit - len(self._tail)], *self._tail]

    def _text(self, query: str, document: str) -> str:
        return f"{self._before}{self._render(_USER, query=query, document=document)}{self._after}"

    def _render(self, name: str, **texts: str) -> str:
        values: Mapping[str, str] = {"query": "", "document": "", "instruction": self._instruction, **texts}
        return self._templates.render(name, values)

    def _encode(self, texts: list[str], *, special: bool) -> list[list[int]]:
        encoded = self._tokenizer(texts, add_special_tokens=special, return_attention_mask=False)
        return [list(ids) for ids in encoded["input_ids"]]

    def _text_after_document(self) -> str:
        self._templates.try_out(_USER, {**_MARKS, "instruction": self._instruction})
        shown = self._text(_MARKS["query"], _MARKS["document"])
        head, found, tail = shown.rpartition(_MARKS["document"])
        if not found or _MARKS["query"] not in head or _MARKS["query"] in tail:
            raise ConfigError(f"the prompt {_USER} must show the query and, after it, the document: {shown[:200]!r}")
        return tail

    def _frame(self) -> tuple[str, str]:
        """What stands before and after the user's message in the model's chat format."""
        system = self._render(_SYSTEM) if _SYSTEM in self._sources else ""
        if not self._has_chat:
            return (f"{system}\n\n" if system else ""), "\n"
        for messages in _conversations(system):
            shown = self._show_chat(messages)
            before, found, after = shown.partition(_CHAT_MARK) if shown else ("", "", "")
            if found:
                return before, after
        raise ModelLoadError("the chat template of the reranker does not show what the user says: name another model")

    def _show_chat(self, messages: list[dict[str, str]]) -> str | None:
        """The conversation as this model reads it; None where its template takes no such messages."""
        try:
            shown: str = self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True, enable_thinking=False
            )
        except jinja2.TemplateError:
            return None
        return shown


def _conversations(system: str) -> list[list[dict[str, str]]]:
    """The messages with the system's words apart and, for templates that know no system, before the user's."""
    if not system:
        return [[{"role": "user", "content": _CHAT_MARK}]]
    apart = [{"role": "system", "content": system}, {"role": "user", "content": _CHAT_MARK}]
    return [apart, [{"role": "user", "content": f"{system}\n\n{_CHAT_MARK}"}]]


def _one_token(tokenizer: Any, word: str) -> int:  # Any: of transformers
    ids = tokenizer(word, add_special_tokens=False)["input_ids"]
    if len(ids) != 1:
        raise ModelLoadError(
            f"the answer {word!r} is {len(ids)} tokens of this model: name answers of one token as denoise.llm.yes and "
            "denoise.llm.no"
        )
    return int(ids[0])
