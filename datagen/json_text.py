"""Values as JSON, many thousand times a run: pydantic's serializer, several times faster than the standard one.

And JSON schemas for those who do not take all of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

_LIMITS = frozenset({"minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum"})


def dump_json(values: object) -> bytes:
    """Values as compact JSON in UTF-8; half a surrogate pair, which UTF-8 cannot hold, makes it ASCII with escapes."""
    try:
        return to_json(values)
    except PydanticSerializationError:
        return json.dumps(values, separators=(",", ":")).encode()


def drop_limits(schema: Mapping[str, Any]) -> dict[str, Any]:  # Any: a JSON schema
    """A JSON schema without limits of length, count and size."""
    kept = {name: value for name, value in schema.items() if name not in _LIMITS}
    if "properties" in kept:
        kept["properties"] = {name: drop_limits(part) for name, part in kept["properties"].items()}
    if "items" in kept:
        kept["items"] = drop_limits(kept["items"])
    if "anyOf" in kept:
        kept["anyOf"] = [drop_limits(part) for part in kept["anyOf"]]
    return kept
