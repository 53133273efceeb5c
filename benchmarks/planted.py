"""Good rows of real queries with their positives, and rows with one fault each made from them.

The refusals are written by hand, and so are the labels; everything else that is planted is real text.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.judged import read_judged, shown_positive
from benchmarks.refusals import HELD_OUT, LISTED, UNSEEN
from datagen.generation.outcome import Source
from datagen.generation.words import count_query_words, normalise

NONE = "none"
LONGEST_QUERY = 60
"""Words: the longer queries of the judged sets are whole abstracts."""

LANGUAGES = (
    "German French Spanish Italian Portuguese Dutch Polish Swedish Turkish Vietnamese Indonesian Romanian Czech "
    "Russian Arabic Hindi Chinese Japanese Korean Greek Thai Ukrainian Finnish Hungarian Danish".split()
)
LABELS = (
    "card payment", "refund request", "lost luggage", "weather forecast", "breaking news", "sports", "politics",
    "technology", "health advice", "travel booking", "restaurant review", "complaint", "job application",
    "password reset", "delivery delay", "product return", "tax question", "legal notice", "anger", "gratitude",
    "surprise", "customer praise", "gardening", "cooking recipe", "movie trivia", "stock market", "account closure",
    "exchange rate", "loan offer", "insurance claim", "software bug", "feature wish", "billing", "cancellation",
    "appointment", "greeting", "sarcasm", "advertisement", "obituary", "astronomy",
)  # fmt: skip
_LEAKS = (
    "{text} {label}", "{label}: {text}", "{text} ({Label})", "It is about {labels}, as I said. {text}",
    "{text} I would call it \"{label}\".", "After all those {labels} I ask: {text}", "{LABEL}! {text}",
    "this is a {hyphened} thing: {text}",
)  # fmt: skip
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class Row:
    """An answer of a recipe, the passage it was written for and its slots."""

    source: Source
    values: dict[str, object]
    slots: dict[str, str]
    fault: str = NONE

    @property
    def query(self) -> str:
        """What was written."""
        return str(self.values["query"])


Plant = Callable[[Row, random.Random], Row | None]


def read_rows(folders: Sequence[Path], number: int, rng: random.Random) -> list[Row]:
    """Good rows: as many from each set as it has, up to an equal part; labels and negatives are of other rows."""
    pairs = {folder: _read_pairs(folder, rng) for folder in folders}
    taken: list[tuple[str, Source]] = []
    for left, folder in enumerate(sorted(folders, key=lambda folder: len(pairs[folder])), start=-len(folders)):
        taken += pairs[folder][: (number - len(taken)) // -left]
    rng.shuffle(taken)
    others = [source.text for _, source in taken[1:] + taken[:1]]
    return [_good_row(query, source, other, rng) for (query, source), other in zip(taken, others, strict=True)]


def plant_faults(good: Sequence[Row], number: int, rng: random.Random) -> dict[str, list[Row]]:
    """Rows with a fault, `number` of each kind, made from good rows."""
    return {fault: _plant(plant, good, number, rng) for fault, plant in _PLANTS.items()}


def foreign_rows(folder: Path, good: Sequence[Row], number: int, rng: random.Random) -> list[Row]:
    """Rows whose query is a piece of a passage in another language than it should be; ids of the set begin `xx-`."""
    judged = read_judged(folder)
    texts = [text for document, text in judged.documents.items() if not document.startswith("en-")]
    pieces = [_piece(text, rng) for text in rng.sample(texts, number)]
    return [
        _with_query(row, piece, "wrong language") for row, piece in zip(rng.sample(good, number), pieces, strict=True)
    ]


def _read_pairs(folder: Path, rng: random.Random) -> list[tuple[str, Source]]:
    """Pairs whose query is not too long, each query once: the sets repeat some, and a repeated one is no good row."""
    judged = read_judged(folder)
    pairs: dict[str, tuple[str, Source]] = {}
    for query, relevant in judged.relevant.items():
        text, document = judged.queries[query], shown_positive(query, relevant)
        if count_query_words(text) <= LONGEST_QUERY:
            pairs.setdefault(normalise(text), (text, Source(document, None, judged.documents[document], "en")))
    return rng.sample(list(pairs.values()), len(pairs))


def _good_row(query: str, source: Source, other: str, rng: random.Random) -> Row:
    language = rng.choice(("same", "same", "English"))
    label = rng.choice([label for label in LABELS if label.split()[0][:4] not in query.lower()])
    values: dict[str, object] = {"query": query, "positive": source.text, "negative": other, "label": label}
    return Row(source, values, {"query_language": language})


def _plant(plant: Plant, good: Sequence[Row], number: int, rng: random.Random) -> list[Row]:
    planted: list[Row] = []
    while len(planted) < number:
        row = plant(rng.choice(good), rng)
        if row is not None:
            planted.append(row)
    return planted


def _with_query(row: Row, query: str, fault: str) -> Row:
    return replace(row, values={**row.values, "query": query}, fault=fault)


def _copy(row: Row, rng: random.Random) -> Row | None:
    sentences = [text.split() for text in _SENTENCE.split(row.source.text)]
    long = [words for words in sentences if 7 <= len(words) <= LONGEST_QUERY]
    if not long:
        return None
    words = rng.choice(long)
    start = rng.randrange(max(1, len(words) - 12))
    changed = rng.choice((
        " ".join(words),
        " ".join(words).lower().rstrip(".") + "?",
        " ".join(words[start : start + 12]),
        " ".join(["So", *words]),
        " ".join(words[1:]),
        " ".join([*words[:-1], "indeed?"]),
    ))  # fmt: skip
    return _with_query(row, changed, "copied passage")


def _wrong_language(row: Row, rng: random.Random) -> Row | None:
    """An English query where another language was asked for: what models do that do not know it."""
    if count_query_words(row.query) < 5:
        return None
    return replace(row, slots={"query_language": rng.choice(LANGUAGES)}, fault="English for another language")


def _leak(row: Row, rng: random.Random) -> Row:
    label = str(row.values["label"])
    labels = label[:-1] + "ies" if label.endswith("y") else label if label.endswith("s") else f"{label}s"
    forms = {"label": label, "labels": labels, "hyphened": label.replace(" ", "-")}
    text = rng.choice(_LEAKS).format(text=row.query, Label=label.title(), LABEL=label.upper(), **forms)
    return _with_query(row, text, "leaked label")


def _refusal(sentences: Sequence[str], fault: str) -> Plant:
    def plant(row: Row, rng: random.Random) -> Row:
        topic = " ".join(row.source.text.split()[:3]).strip(".,;:()\"'")
        return _with_query(row, rng.choice(sentences).format(topic=topic), fault)

    return plant


def _near_duplicate(row: Row, rng: random.Random) -> Row | None:
    words = row.query.rstrip(" ?.").split()
    if len(words) < 5:
        return None
    at = rng.randrange(1, len(words) - 1)
    changed = rng.choice((
        words,
        [word.upper() for word in words],
        ["Please", "tell", "me:", *words],
        [*words, "please"],
        ["the" if word == "a" else word for word in words] + ["exactly"],
        [*words[:at], _slip(words[at], rng), *words[at + 1 :]],
    ))  # fmt: skip
    return _with_query(row, " ".join(changed), "near-duplicate")


def _same_negative(row: Row, rng: random.Random) -> Row | None:
    words = str(row.values["positive"]).split()
    if len(words) < 20:
        return None
    del words[rng.randrange(len(words))]
    negative = " ".join(words).replace(" the ", " ").rstrip(".") + "!"
    return replace(row, values={**row.values, "negative": negative}, fault="negative like the positive")


def _slip(word: str, rng: random.Random) -> str:
    at = rng.randrange(len(word))
    return word[:at] + word[at + 1 :] if len(word) > 3 else word


def _piece(text: str, rng: random.Random) -> str:
    words = next((sentence.split() for sentence in _SENTENCE.split(text) if len(sentence.split()) >= 5), None)
    number = rng.randint(5, 14)
    return " ".join(words[:number]) if words else text[: 3 * number]


_PLANTS: dict[str, Plant] = {
    "copied passage": _copy,
    "English for another language": _wrong_language,
    "leaked label": _leak,
    "near-duplicate": _near_duplicate,
    "refusal": _refusal(LISTED, "refusal"),
    "refusal, unseen wording": _refusal(UNSEEN, "refusal, unseen wording"),
    "refusal, held out": _refusal(HELD_OUT, "refusal, held out"),
    "negative like the positive": _same_negative,
}
