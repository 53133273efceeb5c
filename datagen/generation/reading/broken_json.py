"""Finds and mends JSON objects in what language models write. Nothing here knows which fields are wanted.

A mended text is believed only where it stands between quotes in the answer, from the first letter to the last: so a
call that looks like Python, or a text that was cut off, gives no value.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any, TypeAlias

import json_repair

Object: TypeAlias = dict[str, Any]  # Any: JSON
Json: TypeAlias = Any  # Any: JSON

MAX_REPAIR_CHARACTERS = 32_000
"""Longer answers are not mended: the time that takes is not linear."""
MAX_REPAIR_BRACKETS = 100
MAX_OBJECTS = 64
"""Objects looked at in one answer."""
MAX_MENDED_VALUES = 200

_THOUGHT_OPENS = re.compile(r"\s*(?:<(?:think|thinking|thought|reasoning|reflection)>|\[THINK\]|<\|channel\|>analysis)")
_THOUGHT_ENDS = ("</think>", "</thinking>", "</thought>", "</reasoning>", "</reflection>", "[/THINK]")
_FINAL_CHANNEL = "<|channel|>final<|message|>"
_FENCE = re.compile(r"(?:```|~~~)[ \t]*[\w+-]*[ \t]*\r?\n?(.*?)(?:```|~~~|\Z)", re.DOTALL)
_BRACE_OR_QUOTE = re.compile(r'\\.|["{}]', re.DOTALL)
_OBJECT_STARTS = re.compile(r"""\{\s*(?:\\[nrt"]|["'“‘]|\w+\s*:)""")
_ESCAPE = re.compile(r"""\\(?:u([0-9a-fA-F]{4})|(["'\\/bfnrt]))""")
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_SWALLOWED = re.compile(r"""["']\s*(?:[:+]\s*["'\[{]|:\s*(?:null|true|false|None|True|False|-?\d))""")
"""A mended text with this in it holds the next field, or Python."""
_LITERALS = {"None": None, "True": True, "False": False}
_OPEN, _CLOSE = "[\"'“‘„«]", "[\"'”’“»]"
_NEXT = r"(?:[\"'“‘„«{\[}\]\d-]|\w+\s*:|null|true|false|None|True|False|//|/\*|#|$)"
"""What may come behind a comma; anything else, and the comma was part of a text."""
_SPACES = " \t\r\n"

_DIRT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffd]")
_SURROGATES = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_DECODER = json.JSONDecoder()
_LENIENT = json.JSONDecoder(strict=False)


def find_dirt(value: Json) -> str | None:
    """The first text in a value that `clean` would change; None when it would leave all as it is."""
    if isinstance(value, str):
        plain = value.isprintable() and "\ufffd" not in value
        return None if plain or _DIRT.search(value) is None else value
    if isinstance(value, dict | list):
        items = value.values() if isinstance(value, dict) else value
        return next(filter(None, map(find_dirt, items)), None)
    return None


def clean(value: Json) -> Json:
    """A value with all its texts fit to be stored: no surrogates, no U+FFFD, no control characters but tab and breaks.

    Two surrogates that belong together become their character.
    """
    if isinstance(value, str):
        return value if find_dirt(value) is None else _DIRT.sub("", _SURROGATES.sub(_joined, value))
    if isinstance(value, dict):
        return {clean(key): clean(item) for key, item in value.items()}
    return [clean(item) for item in value] if isinstance(value, list) else value


def without_thoughts(text: str) -> str:
    """The text after the model's thoughts; empty when it never stopped thinking."""
    for marker in (_FINAL_CHANNEL, *_THOUGHT_ENDS):
        _, found, rest = text.rpartition(marker)
        if found and ("{" in rest or _THOUGHT_OPENS.match(text)):
            text = rest
    return "" if _THOUGHT_OPENS.match(text) else text


def unwrapped_texts(body: str) -> Iterator[str]:
    """The text; what stands in each fence; from the first opening brace to the last closing one, plain and quoted."""
    yield body
    for number, fence in enumerate(_FENCE.finditer(body)):
        if number == MAX_OBJECTS:
            break
        yield fence.group(1)
    braces = body[max(0, body.find("{")) : body.rfind("}") + 1]
    yield braces
    yield f'"{braces}"'  # the inside of a JSON text, when all its quotes are escaped


def json_objects(body: str) -> Iterator[Object]:
    """The JSON objects in a text, in order, none from inside another; of a wrapping with one field, what it holds."""
    position = body.find("{")
    for _ in range(MAX_OBJECTS):
        if position < 0:
            return
        try:
            value, end = _DECODER.raw_decode(body, position)
        except (RecursionError, ValueError):
            end = _closing_brace(body, position)
        else:
            yield value
            yield from _wrapped(value)
        position = body.find("{", end) if end else -1


def looks_cut(body: str) -> bool:
    """Whether a text ends inside an object that it began."""
    start = body.find("{")
    return start >= 0 and not body.rstrip("`~ \t\r\n").endswith("}") and not _closing_brace(body, start)


def whole_members(body: str) -> Iterator[Object]:
    """Of an object that was cut off, the fields that ended before the cut, and the items of a list that did.

    Strict JSON alone: with other quoting nobody knows where a text ended.
    """
    start = body.find("{")
    found: Object = {}
    position = start + 1
    while start >= 0:
        try:
            key, position = _DECODER.raw_decode(body, _skip(body, position))
            position = _skip(body, position)
            if not isinstance(key, str) or body[position : position + 1] != ":":
                break
            value, position, whole = _whole_value(body, _skip(body, position + 1))
        except (RecursionError, ValueError):
            break
        follows = body[position : position + 1] == ","
        position = _skip(body, position + follows)
        if follows and body[position : position + 1] not in ('"', "}", ""):
            break  # no key behind the comma: the quote before it did not end the text
        found[key] = value
        if not whole or not follows:
            break
    if found:
        yield found


def repaired_objects(body: str) -> list[tuple[Object, bool]]:
    """The objects of a text that is nearly JSON, without the texts that do not stand between quotes.

    With each: whether nothing had to be left out.
    """
    start = _OBJECT_STARTS.search(body)
    if start is None:
        return []
    text = body[start.start() :]
    text = text[: text.rfind("}") + 1] or text
    if len(text) > MAX_REPAIR_CHARACTERS or sum(map(text.count, "{[(")) > MAX_REPAIR_BRACKETS:
        return []
    source = _ESCAPE.sub(_unescaped, text)
    objects = []
    for value in _repairs(text):
        for found in value if isinstance(value, list) else [value]:
            if isinstance(found, dict) and _is_small(found) and all(_is_key(key, source) for key in found):
                plain = {key: _literal(item, source) for key, item in found.items()}
                kept = {key: item for key, item in plain.items() if _is_quoted(item, source)}
                objects.append((kept, len(kept) == len(found)))
    return objects


def _repairs(text: str) -> Iterator[Json]:
    with contextlib.suppress(RecursionError, ValueError):
        yield _LENIENT.raw_decode(text)[0]  # JSON but for line breaks inside texts
    # Whatever the repair stumbles over, the answer is then not to be mended.
    with contextlib.suppress(ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        yield json_repair.loads(text, skip_json_loads=True)


def _is_small(found: Object) -> bool:
    """Whether looking for each text in the answer takes little time."""
    return (
        sum(1 + (len(value) if isinstance(value, dict | list) else 0) for value in found.values()) < MAX_MENDED_VALUES
    )


def _is_key(key: str, source: str) -> bool:
    return re.search(rf"{_OPEN}?{re.escape(key)}{_CLOSE}?\s*:", source) is not None


def _literal(value: Json, source: str) -> Json:
    """What Python calls None, True and False, where the repair took it for a text."""
    if isinstance(value, str) and value in _LITERALS and not _is_quoted(value, source):
        return _LITERALS[value]
    return value


def _is_quoted(value: Json, source: str) -> bool:
    """Whether each text of a value stands between quotes, and nothing but the next field follows."""
    if isinstance(value, list):
        return all(_is_quoted(item, source) for item in value)
    if isinstance(value, dict):
        return all(_is_quoted(item, source) for item in value.values())
    if not isinstance(value, str):
        return True
    if _SWALLOWED.search(value):
        return False
    before = rf"[:,\[{{]\s*{_OPEN}\s*"
    after = rf"\s*{_CLOSE}\s*(?:,\s*{_NEXT}|[}}\]]|$|//|/\*|#|{_OPEN}\w+{_CLOSE}\s*:)"
    return re.search(before + re.escape(value.strip()) + after, source) is not None


def _whole_value(body: str, position: int) -> tuple[Json, int, bool]:
    """A value that certainly ended, where it ended, and whether it is whole; of a cut list the items that are."""
    if body[position : position + 1] != "[":
        value, end = _DECODER.raw_decode(body, position)
        return value, _end_of_value(body, end), True
    items: list[Json] = []
    while body[position : position + 1] in ("[", ","):
        position = _skip(body, position + 1)
        if not items and body[position : position + 1] == "]":
            break
        try:
            item, end = _DECODER.raw_decode(body, position)
            position = _end_of_value(body, end)
        except ValueError:
            return items, position, False
        items.append(item)
    return items, _skip(body, position + 1), body[position : position + 1] == "]"


def _end_of_value(body: str, end: int) -> int:
    """Where the next mark stands; a value before anything but a comma, a bracket or a line break may be half a text."""
    position = _skip(body, end)
    if body[position : position + 1] not in (",", "}", "]") and "\n" not in body[end:position]:
        raise ValueError("the value may go on")
    return position


def _skip(body: str, position: int) -> int:
    while body[position : position + 1] in _SPACES and position < len(body):
        position += 1
    return position


def _closing_brace(body: str, start: int) -> int:
    """The position behind the brace that closes the one at `start`; 0 when none does."""
    depth, inside = 0, False
    for mark in _BRACE_OR_QUOTE.finditer(body, start):
        if mark.group() == '"':
            inside = not inside
        elif not inside and len(mark.group()) == 1:
            depth += 1 if mark.group() == "{" else -1
            if depth == 0:
                return mark.end()
    return 0


def _wrapped(value: Object) -> Iterator[Object]:
    """What a model has put into an envelope: {"answer": {…}}, {"results": [{…}]}."""
    if len(value) == 1:
        inner = next(iter(value.values()))
        yield from (item for item in (inner if isinstance(inner, list) else [inner]) if isinstance(item, dict))


def _joined(pair: re.Match[str]) -> str:
    return pair.group().encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def _unescaped(escape: re.Match[str]) -> str:
    number, letter = escape.groups()
    return chr(int(number, 16)) if number else _ESCAPED.get(letter, letter)
