"""What a generator writes, and the strict JSON in which the LLM-free one says it."""

from __future__ import annotations

import json
from typing import NamedTuple

_IN_JSON = ("query", "passage", "span")


class Written(NamedTuple):
    """What a generator wrote."""

    query: str
    """Empty when a row adds to a query that is there."""
    passage: str | None = None
    """The positive, when it is not the passage as it stands."""
    span: str | None = None
    """The piece of the passage that the query rests on."""
    negative: str | None = None
    """A written hard negative."""
    instruction: str | None = None
    """What a retriever is told to do for the query."""
    tasks: tuple[str, ...] = ()
    """Tasks thought up in a brainstorm."""


class Unparsable(NamedTuple):
    """An answer that is not what was asked for."""

    reason: str


def format_reply(written: Written) -> str:
    """The JSON object that `parse_reply` reads; fields that are None are left out."""
    fields = {name: getattr(written, name) for name in _IN_JSON}
    return json.dumps({name: value for name, value in fields.items() if value is not None}, ensure_ascii=False)


def parse_reply(text: str) -> Written | Unparsable:
    """What an answer says, or why it cannot be read: `not_json`, `not_an_object`, `no_query`, `not_a_text`."""
    try:
        values = json.loads(text)
    except ValueError:
        return Unparsable("not_json")
    if not isinstance(values, dict):
        return Unparsable("not_an_object")
    fields = {name: values.get(name) for name in _IN_JSON}
    if not all(value is None or isinstance(value, str) for value in fields.values()):
        return Unparsable("not_a_text")
    query, passage, span = ((fields[name] or "").strip() for name in _IN_JSON)
    return Written(query, passage or None, span or None) if query else Unparsable("no_query")
