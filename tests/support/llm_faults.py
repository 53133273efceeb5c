"""How the server for tests misbehaves: its script, which fault meets which arrival, what a spoilt answer is like."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Literal

from tests.support.llm_answers import Json, share_of

SPOILT = frozenset(
    "truncated_json preamble think fenced wrong_types nulls emoji lone_surrogate empty refusal length content_filter "
    "python_literal never_good".split()
)
"""Kinds that come as an answer. Which prompt they meet follows from the prompt: asked again in the same words it is
spoilt in the same way, asked in other words it is drawn anew."""
FAILED = frozenset("late 429 429_retry_after 500 503 529 reset hang 400 401 402_quota html_body bad_json_body".split())
"""Kinds that come instead of an answer, drawn anew at each arrival of a prompt."""
HARMLESS = frozenset({"late", "preamble", "think", "fenced", "emoji"})
"""Kinds after which the answer is still good."""


@dataclass(frozen=True)
class Fault:
    """One way to misbehave and how often."""

    kind: str
    share: float = 1.0
    rows: str = ""
    """Only prompts that hold this text."""
    times: int | None = None
    """At most so often for one prompt (a spoilt answer: for one conversation); None for no limit."""
    status: int | None = None
    """Another status than the kind's own."""
    seconds: float | None = None
    """Of `late`, and of the header of `429_retry_after`."""
    probes: bool = False
    """Meets the first tiny call as well."""

    def __post_init__(self) -> None:
        if self.kind not in SPOILT | FAILED:
            raise ValueError(f"unknown kind of fault {self.kind!r}: choose one of {sorted(SPOILT | FAILED)}")


@dataclass(frozen=True)
class Script:
    """All that the server is told; every field may be left out."""

    seed: str = "0"
    latency_seconds: float | tuple[float, float] = 0.0
    """The same for all, or from and to by a hash of the prompt."""
    models: tuple[str, ...] = ()
    """Names that exist; empty for all."""
    key: str | None = None
    schema_support: Literal["json_schema", "json_object", "none"] = "json_schema"
    refused_parameters: tuple[str, ...] = ()
    """Fields of the body that are answered with a 400, such as max_tokens."""
    rules: tuple[Json, ...] = ()
    """Of each rule whose `find` (a pattern) is in the prompt: `set` gives fields of the answer, with {1} for the first
    group of the pattern and {words} for drawn words, `words` and `items` say how long
    others are; fields that the answer lacks stay away."""
    schema: Json | None = None
    """Shape of the answers to requests that bring no schema of their own."""
    max_concurrent: int | None = None
    """More open requests than this are answered with a 429."""
    queue_concurrent: int | None = None
    """More open requests than this wait for their turn."""
    requests_per_second: float | None = None
    burst: float | None = None
    """Requests that may come at once (default: a tenth of a second's worth)."""
    retry_after: float | None = None
    """Seconds in the header of every 429."""
    down_between: tuple[tuple[float, float], ...] = ()
    """Seconds since the script was set in which every route answers 503."""
    probe: str = "Are you ready?"
    """What the first tiny call asks; such requests are counted as probes, not as prompts."""
    faults: tuple[Fault, ...] = ()
    batch_seconds: float = 0.0
    batch_end: Literal["completed", "failed", "expired", "cancelled"] = "completed"
    batch_failure: str = "invalid_json_line: Line 1 is not what it should be."
    """Code and words of the errors of a batch that ends as failed."""
    batch_answers_lost: int = 0
    """So many batches are made but the connection breaks before their ids are told."""
    batch_creations_failed: int = 0
    """So many tries to make a batch are answered with a 500."""
    batch_broken_downloads: int = 0
    """So many files come down cut off."""
    batch_expired_share: float = 0.0
    """Share of the lines of a batch that expired."""
    batch_max_lines: int = 50_000
    batch_max_bytes: int = 100_000_000
    batch_size_status: int = 413
    batch_queue_lines: int | None = None
    """Larger batches fail, as those do that exceed what an account may have under way."""
    batch_api: bool = True

    @classmethod
    def from_json(cls, given: Json) -> Script:
        """The script in a JSON object.

        Raises:
            ValueError: it names something unknown.
        """
        unknown = given.keys() - {part.name for part in fields(cls)}
        if unknown:
            raise ValueError(f"unknown in a script: {sorted(unknown)}")
        faults = tuple(Fault(**fault) for fault in given.get("faults", ()))
        tuples = {name: tuple(map(_frozen, given[name])) for name in _TUPLES & given.keys()}
        latency = _frozen(given.get("latency_seconds", 0.0))
        return cls(**{**given, **tuples, "latency_seconds": latency, "faults": faults})


_TUPLES = frozenset({"rules", "models", "refused_parameters", "down_between"})


def _frozen(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


@dataclass
class Chance:
    """Decides which fault meets an arrival; the same arrivals meet the same faults in every run."""

    script: Script
    _given: Counter[tuple[int, bytes]] = field(default_factory=Counter)

    def failure(self, prompt: bytes, text: str, arrival: int, probe: bool) -> Fault | None:
        """What comes instead of an answer at this arrival (counted from 1) of a prompt."""
        return self._choose(FAILED, prompt, text, f"{prompt.hex()}/{arrival}", probe)

    def spoiling(self, prompt: bytes, conversation: bytes, text: str, probe: bool) -> Fault | None:
        """How the answer to a prompt is spoilt."""
        never = self._choose(frozenset({"never_good"}), conversation, text, conversation.hex(), probe)
        return never or self._choose(SPOILT - {"never_good"}, conversation, text, prompt.hex(), probe)

    def _choose(self, kinds: frozenset[str], counted: bytes, text: str, drawn_by: str, probe: bool) -> Fault | None:
        drawn: float | None = None
        for number, fault in enumerate(self.script.faults):
            if fault.kind not in kinds or fault.rows not in text or (probe and not fault.probes):
                continue
            if fault.times is not None and self._given[number, counted] >= fault.times:
                continue
            drawn = share_of(self.script.seed, min(kinds), drawn_by) if drawn is None else drawn
            if drawn < fault.share:
                self._given[number, counted] += fault.times is not None
                return fault
            drawn -= fault.share
        return None


def spoil(kind: str, good: str) -> Json:
    """The choice of a chat completion that carries a good answer spoilt in this way."""
    message: Json = {"role": "assistant", "content": _TEXTS[kind](good) if kind in _TEXTS else good}
    finish = {"length": "length", "content_filter": "content_filter"}.get(kind, "stop")
    if kind in ("refusal", "content_filter"):
        message["content"] = None
    if kind == "refusal":
        message["refusal"] = "I am sorry, but I cannot help with that."
    return {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}


def _change_values(good: str, value: object) -> str:
    try:
        parsed = json.loads(good)
    except ValueError:
        return json.dumps(value)
    return json.dumps(dict.fromkeys(parsed, value) if isinstance(parsed, dict) else value)


def _insert(good: str, text: str) -> str:
    """The answer with a raw piece of JSON text at the start of its first string."""
    at = good.find('": "') + 4
    return good + text if at < 4 else good[:at] + text + good[at:]


_TEXTS: dict[str, Callable[[str], str]] = {
    "truncated_json": lambda good: good[: len(good) * 2 // 3],
    "length": lambda good: good[: len(good) // 2],
    "preamble": lambda good: f"Sure! Here is the JSON that you asked for:\n\n{good}",
    "think": lambda good: f'<think>\nThe user wants {{"query": "something"}}. Let me think.\n</think>\n\n{good}',
    "fenced": lambda good: f"```json\n{good}\n```",
    "wrong_types": lambda good: _change_values(good, [1, {"a": 2.5}]),
    "nulls": lambda good: _change_values(good, None),
    "emoji": lambda good: _insert(good, "\\ud83d\\ude00 \N{GRINNING FACE} "),
    "lone_surrogate": lambda good: _insert(good, "\\ud83d "),
    "empty": lambda _: "",
    "python_literal": lambda _: "{'query': __import__('os').getcwd()}",
    "never_good": lambda _: "I would rather talk about something else today.",
}
