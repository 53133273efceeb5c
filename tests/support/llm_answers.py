"""What the server for tests answers: text made of words drawn by a hash of the prompt, shaped by the JSON schema."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]  # Any: JSON
Value: TypeAlias = Any  # Any: a JSON value
Make: TypeAlias = Callable[["Draw"], Value]

WORDS = (
    "amber anchor apple arrow autumn badge bakery bamboo barrel basin beacon blanket blossom border bottle branch "
    "breeze bridge bronze bucket butter cabin camera candle canyon carbon carpet castle cedar celery chalk cherry "
    "circle citrus clover cobalt coffee comet copper coral cotton cradle crater crystal dancer desert diesel dinner "
    "dolphin dragon dust eagle early ember engine evening fabric falcon feather fiddle filter flame forest fossil "
    "fountain galaxy garden garlic ginger glacier granite grape gravel hammer harbor harvest helmet honey horizon "
    "island ivory jacket jasmine jungle kettle kitten ladder lagoon lantern lemon linen lobster magnet mango maple "
    "marble meadow melon meteor mirror morning mountain mustard napkin nectar needle nickel ocean olive onion "
    "orange orchard oxygen paddle palace paper parrot pebble pencil pepper pilot planet pocket pollen potato powder "
    "prairie puzzle quartz quiver rabbit radio rainbow ranger ribbon river rocket saddle saffron salmon sandal "
    "satin shadow silver singer spider spring stable summer sunset table tailor temple thunder ticket timber tunnel "
    "turtle valley velvet violin walnut water whistle willow window winter yellow zebra zenith"
).split()
_NULL = {"type": "null"}


class Draw:
    """Numbers that follow from a hash alone; cheaper to start than `random.Random`."""

    def __init__(self, digest: bytes) -> None:
        self._state = int.from_bytes(digest[:8], "little") | 1

    def below(self, limit: int) -> int:
        """A number from 0 to limit - 1."""
        self._state = (self._state * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        return (self._state >> 33) % limit

    def words(self, count: int) -> str:
        return " ".join([WORDS[self.below(len(WORDS))] for _ in range(count)])


def hash_text(*parts: str) -> bytes:
    return blake2b("\x1f".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def share_of(*parts: str) -> float:
    """A number from 0 to 1 that follows from the texts alone."""
    return int.from_bytes(hash_text(*parts)[:6], "little") / float(1 << 48)


def write_answer(digest: bytes, schema: Json | None, wants_json: bool) -> str:
    """The good answer to a prompt of this hash."""
    draw = Draw(digest)
    if schema is not None:
        return json.dumps(_maker(json.dumps(schema))(draw))
    sentence = draw.words(9 + draw.below(3))
    return json.dumps({"query": sentence}) if wants_json else sentence


def apply_rules(answer: str, text: str, digest: bytes, rules: Iterable[Json]) -> str:
    """The answer to a prompt of this text as the rules of a script want it."""
    found = [(rule, match) for rule in rules if (match := re.search(rule["find"], text, re.DOTALL))]
    if not found:
        return answer
    values, draw = json.loads(answer), Draw(digest[::-1])
    for rule, match in found:
        group = match[1] if match.re.groups else ""
        made = {name: draw.words(count) for name, count in rule.get("words", {}).items()}
        made |= {name: [draw.words(7) for _ in range(count)] for name, count in rule.get("items", {}).items()}
        made |= {
            name: form.replace("{words}", draw.words(5)).replace("{1}", group)
            for name, form in rule.get("set", {}).items()
        }
        values |= {name: value for name, value in made.items() if name in values}
    return json.dumps(values)


@lru_cache(maxsize=64)
def _maker(schema: str) -> Make:
    whole = json.loads(schema)
    return _compile(whole, whole)


def _compile(schema: Json, whole: Json) -> Make:
    """A function that draws a value which the schema allows; patterns and formats are not looked at."""
    if "$ref" in schema:
        return _compile(_resolve(schema["$ref"], whole), whole)
    if "const" in schema or "enum" in schema:
        choices = schema.get("enum") or [schema["const"]]
        return lambda draw: choices[draw.below(len(choices))]
    for joined in ("anyOf", "oneOf", "allOf"):
        if joined in schema:
            return _compile(next((part for part in schema[joined] if part != _NULL), _NULL), whole)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = next((word for word in kind if word != "null"), "null")
    return _KINDS[kind](schema, whole)


def _resolve(reference: str, whole: Json) -> Json:
    found = whole
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return found


def _object(schema: Json, whole: Json) -> Make:
    makers = [(name, _compile(part, whole)) for name, part in schema.get("properties", {}).items()]
    return lambda draw: {name: make(draw) for name, make in makers}


def _array(schema: Json, whole: Json) -> Make:
    make = _compile(schema.get("items", {}), whole)
    least = schema.get("minItems", 0)
    most = max(least, min(schema.get("maxItems", 3), max(least, 3)))
    return lambda draw: [make(draw) for _ in range(max(least, min(most, 1 + draw.below(3))))]


def _string(schema: Json, whole: Json) -> Make:
    del whole
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    extra = least // 4 + 1 if least > 30 else 0
    return lambda draw: draw.words(9 + draw.below(3) + extra)[:most].rstrip().ljust(least, "x")


def _integer(schema: Json, whole: Json) -> Make:
    del whole
    least = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
    most = schema.get("maximum", schema.get("exclusiveMaximum", least + 10) - 1)
    return lambda draw: least + draw.below(max(1, most - least + 1))


def _number(schema: Json, whole: Json) -> Make:
    del whole
    least, most = schema.get("minimum", 0.0), schema.get("maximum", 1.0)
    return lambda draw: round(least + (max(least, most) - least) * (1 + draw.below(998)) / 1000, 6)


def _boolean(schema: Json, whole: Json) -> Make:
    del schema, whole
    return lambda draw: bool(draw.below(2))


def _nothing(schema: Json, whole: Json) -> Make:
    del schema, whole
    return lambda _: None


_KINDS: dict[str, Callable[[Json, Json], Make]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "null": _nothing,
}
