"""From a generator's raw answer to what it wrote: one strict JSON object, or the reason why it is none."""

from __future__ import annotations

import json
from typing import NamedTuple


class Written(NamedTuple):
    """What a generator wrote for a passage."""

    query: str
    passage: str | None = None
    """The positive, when it is not the passage as it stands."""
    span: str | None = None
    """The piece of the passage that the query rests on."""


class Unparsable(NamedTuple):
    """An answer that is not what was asked for."""

    reason: str


def format_reply(written: Written) -> str:
    """The JSON object that `parse_reply` reads; fields that are None are left out."""
    return json.dumps({key: value for key, value in written._asdict().items() if value is not None}, ensure_ascii=False)


def parse_reply(text: str) -> Written | Unparsable:
    """What an answer says, or why it cannot be read: `not_json`, `not_an_object`, `no_query`, `not_a_text`."""
    try:
        values = json.loads(text)
    except ValueError:
        return Unparsable("not_json")
    if not isinstance(values, dict):
        return Unparsable("not_an_object")
    fields = {name: values.get(name) for name in Written._fields}
    if not all(value is None or isinstance(value, str) for value in fields.values()):
        return Unparsable("not_a_text")
    query, passage, span = ((fields[name] or "").strip() for name in Written._fields)
    return Written(query, passage or None, span or None) if query else Unparsable("no_query")
