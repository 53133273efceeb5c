"""What is wrong with an answer: one stable word for the tables, and a sentence for the model that is asked again.

No sentence repeats what the model wrote: an answer may quote a hostile passage.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

MAX_COMPLAINT = 500
_MOST_ERRORS = 5

_WORDS = {
    "missing": "wrong_fields",
    "extra_forbidden": "wrong_fields",
    "string_too_short": "too_short",
    "too_short": "too_short",
    "string_too_long": "too_long",
    "too_long": "too_long",
    "literal_error": "wrong_choice",
    "enum": "wrong_choice",
    "wrong_choice": "wrong_choice",
}
_NO = r"(?:can['’]?t|cannot|can not|won['’]?t|will not|unable to|not able to|not comfortable|must decline|decline to)"
_SORRY = r"(?:sorry|apologi[sz]e|as an ai|as a language model|unfortunately|regret)"
_REFUSAL = re.compile(
    rf"{_SORRY}.{{0,120}}?\b{_NO}\b|^\W*i['’]?\s*(?:a?m\s+)?{_NO}\b"
    r"|es tut mir leid|(?:je suis|je ne peux) (?:désolée?|pas)|lo siento|non posso|对不起|抱歉|無法|无法|申し訳",
    re.IGNORECASE | re.DOTALL,
)
_OPENING = 400
"""A refusal says so at once."""


class Fault(NamedTuple):
    """Why an answer was not taken."""

    reason: str
    complaint: str


def fault_of_values(exc: ValidationError, model: type[BaseModel]) -> Fault:
    """The fault of a JSON object that is not what was asked for: the word for the first error, a line for each."""
    errors = exc.errors(include_url=False, include_context=False, include_input=False)
    lines = [_line(dict(error), model) for error in errors[:_MOST_ERRORS]]
    return Fault(_word(errors[0]["type"]), "; ".join(lines)[:MAX_COMPLAINT])


def fault_of_text(text: str, body: str, *, cut: bool) -> Fault:
    """The fault of an answer in which no JSON object could be found.

    Args:
        text: the answer.
        body: the answer without the model's thoughts.
        cut: whether it stopped before its end.
    """
    if cut:
        return Fault("truncated", "The answer was cut off before its end: write a much shorter one.")
    if not text.strip():
        return Fault("empty", "The answer was empty.")
    if "{" not in body:
        refused = _REFUSAL.search(body.strip()[:_OPENING])
        return Fault("refused" if refused else "no_json", "The answer holds no JSON object.")
    return Fault("no_json", f"The answer is not valid JSON: {_syntax_error(body)}.")


def _syntax_error(body: str) -> str:
    try:
        json.JSONDecoder().raw_decode(body, body.index("{"))
    except json.JSONDecodeError as exc:
        return f"{exc.msg} at line {exc.lineno}, column {exc.colno}"
    except (RecursionError, ValueError):
        return "it is nested too deeply, or holds a number that is too long"
    return "more than one object, or none that fits"


def _word(kind: str) -> str:
    if kind.endswith(("_type", "_parsing", "_from_float", "_unicode")):
        return "wrong_types"
    return _WORDS.get(kind, "wrong_value")


def _line(error: dict[str, Any], model: type[BaseModel]) -> str:  # Any: pydantic's own error record
    name = str(error["loc"][0]) if error["loc"] else ""
    shown = f"`{name}`" if name in model.model_fields else "the answer"
    if error["type"] == "missing":
        return f"{shown} is missing"
    if error["type"] == "extra_forbidden":
        return "the answer has a field that was not asked for"
    return f"{shown}: {str(error['msg']).replace('Input should', 'it must')}"
