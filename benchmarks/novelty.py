"""What the novelty gate catches and loses, its speed and its memory; and how far real queries are from a collapse.

    python -m benchmarks.novelty --data FOLDER [FOLDER …] [--likeness 0.7] [--scale 1000000]

For each set: real queries, all different to their authors, go in first (what is refused of them is the second column);
then each kind of near-duplicate is planted for 500 of those taken in, one edit each. A changed content word is most
often another question: it is shown for texts of at least eight words, and not meant to be caught always.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import resource
import time
from collections.abc import Callable
from pathlib import Path

from datagen.generation.extractive.english import FUNCTION_WORDS
from datagen.generation.novelty.collapse import CollapseWatch
from datagen.generation.novelty.gate import Novelty
from datagen.settings.novelty import NoveltySettings

Edit = Callable[[list[str], random.Random, list[str]], list[str]]
GROUP = 64
PLANTS = 500
LONG = 8
NEUTRAL = ("the", "a", "of", "can", "does", "is", "are", "do", "it", "for", "in", "was", "did", "you", "i", "that")


def main() -> None:
    """Measure and print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--likeness", type=float, default=NoveltySettings().likeness)
    parser.add_argument("--scale", type=int, default=0, help="made-up texts for the figures of speed and memory")
    arguments = parser.parse_args()
    settings = NoveltySettings(likeness=arguments.likeness)
    print("| set | queries | real ones refused | " + " | ".join(EDITS) + " | µs a text |")
    print("| --- | ---: | ---: |" + " ---: |" * len(EDITS) + " ---: |")
    for folder in arguments.data:
        print(_measure_set(folder, settings), flush=True)
    print("\n| set | lowest compression | lowest entropy, bits | alarms |\n| --- | ---: | ---: | --- |")
    for folder in arguments.data:
        print(_watch_set(folder, settings), flush=True)
    if arguments.scale:
        print(_measure_scale(arguments.scale, settings))


def read_queries(folder: Path, *, shuffle: bool = True) -> list[str]:
    """The different queries of a set, or the texts of its corpus where those are few; in a fixed random order."""
    for name in ("queries", "corpus"):
        with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            texts = list(dict.fromkeys(str(json.loads(line)["text"]) for line in lines))
        if len(texts) >= PLANTS and folder.name != "banking77":
            break
    if shuffle:
        random.Random(1).shuffle(texts)  # noqa: S311
    return texts


def accept(novelty: Novelty, texts: list[str]) -> list[str]:
    """Put texts through the gate; those that it took in."""
    taken = []
    for start in range(0, len(texts), GROUP):
        group = texts[start : start + GROUP]
        for text, near in zip(group, novelty.check(group, group), strict=True):
            if near is None:
                novelty.add(text, text)
                taken.append(text)
    return taken


def _measure_set(folder: Path, settings: NoveltySettings) -> str:
    texts = read_queries(folder)
    novelty = Novelty(settings)
    start = time.process_time()
    taken = accept(novelty, texts)
    microseconds = (time.process_time() - start) / len(texts) * 1e6
    caught = [f"{_count_caught(novelty, taken, name):.1%}" for name in EDITS]
    refused = 1 - len(taken) / len(texts)
    return f"| {folder.name} | {len(texts):,} | {refused:.2%} | {' | '.join(caught)} | {microseconds:.0f} |"


def _count_caught(novelty: Novelty, taken: list[str], name: str) -> float:
    draw = random.Random(name)  # noqa: S311
    vocabulary = sorted({word for text in taken for word in text.split() if word.isalpha()} - FUNCTION_WORDS)
    least = LONG if name == "content word changed" else novelty.settings.exact_words + 1
    sources = [text for text in taken if len(text.split()) >= least]
    plants = []
    for text in draw.sample(sources, min(PLANTS, len(sources))):
        plant = " ".join(EDITS[name](text.split(), draw, vocabulary))
        plants.append(plant)
    found = [near for plant in plants for near in novelty.check([plant], [""])]
    return sum(near is not None for near in found) / max(1, len(found))


def _watch_set(folder: Path, settings: NoveltySettings) -> str:
    """The real queries in the order of their file, where those of one thing stand together."""
    watch = CollapseWatch(settings)
    signs, states = [], set()
    for text in read_queries(folder, shuffle=False)[:5000]:
        watch.add(text, accepted=True)
        states.add(watch.state())
        if watch.signs and watch.signs.rows == settings.window:
            signs.append(watch.signs)
    if not signs:
        return f"| {folder.name} | too few texts | | |"
    compression, entropy = min(sign.compression for sign in signs), min(sign.entropy for sign in signs)
    return f"| {folder.name} | {compression:.3f} | {entropy:.2f} | {', '.join(sorted(states - {'fine'})) or 'none'} |"


def _measure_scale(number: int, settings: NoveltySettings) -> str:
    """Made-up texts of 4 to 14 words; the more frequent a word, the lower its number, as in real text."""
    draw = random.Random(1)  # noqa: S311
    novelty = Novelty(settings)
    before, spent, shown = _memory_bytes(), 0.0, 0
    while len(novelty) < number:
        group = [" ".join(_make_word(draw) for _ in range(draw.randint(4, 14))) for _ in range(GROUP)]
        begun = time.process_time()
        for text, near in zip(group, novelty.check(group, group), strict=True):
            shown += 1
            if near is None:
                novelty.add(text, f"row{shown}")
        spent += time.process_time() - begun
    used = (_memory_bytes() - before) / 2**20
    return (
        f"\n{number:,} texts accepted of {shown:,}: {spent / shown * 1e6:.0f} µs a text on average, "
        f"peak {used:,.0f} MiB, {used / number * 1000:.2f} MiB a thousand"
    )


def _make_word(draw: random.Random) -> str:
    value, letters = int(200_000 ** draw.random()) * 7919 + 26**3, ""
    while value:
        value, letter = divmod(value, 26)
        letters += chr(ord("a") + letter)
    return letters


def _memory_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _change_punctuation(words: list[str], draw: random.Random, _: list[str]) -> list[str]:
    place = draw.randrange(len(words))
    return [*words[:place], words[place].upper() + draw.choice(",;!."), *words[place + 1 :]]


def _swap_order(words: list[str], draw: random.Random, _: list[str]) -> list[str]:
    place = draw.randrange(1, len(words))
    return words[place:] + words[:place]


def _slip(words: list[str], draw: random.Random, _: list[str]) -> list[str]:
    """A letter lost, doubled by another, changed, or swapped with the next: not the first, nor in a number."""
    places = [place for place, word in enumerate(words) if len(word) > 3 and word.isalpha()]
    if not places:
        return [*words[:-1], words[-1].lower()]
    place = draw.choice(places)
    word, letter = words[place], draw.choice("abcdefghijklmnopqrstuvwxyz")
    at = draw.randrange(1, len(word) - 1)
    head, tail = word[:at], word[at:]
    new = draw.choice((head + tail[1:], head + letter + tail, head + letter + tail[1:], head + tail[1::-1] + tail[2:]))
    return [*words[:place], new, *words[place + 1 :]]


def _change_small_word(words: list[str], draw: random.Random, _: list[str]) -> list[str]:
    """One is replaced or left out; one is put in where there is none."""
    places = [place for place, word in enumerate(words) if word.lower() in NEUTRAL]
    if not places:
        place = draw.randrange(1, len(words))
        return [*words[:place], draw.choice(NEUTRAL), *words[place:]]
    place = draw.choice(places)
    return [*words[:place], *draw.choice(([], [draw.choice(NEUTRAL)])), *words[place + 1 :]]


def _change_form(words: list[str], draw: random.Random, _: list[str]) -> list[str]:
    places = [n for n, word in enumerate(words) if len(word) > 3 and word.isalpha() and word not in FUNCTION_WORDS]
    place = draw.choice(places or [0])
    word = words[place]
    return [*words[:place], word[:-1] if word.endswith("s") else word + "s", *words[place + 1 :]]


def _add_phrase(words: list[str], draw: random.Random, _: list[str]) -> list[str]:
    return [*draw.choice(("Please tell me:", "Can you explain", "I would like to know")).split(), *words]


def _change_content(words: list[str], draw: random.Random, vocabulary: list[str]) -> list[str]:
    places = [n for n, word in enumerate(words) if word.isalpha() and word.lower() not in FUNCTION_WORDS]
    place = draw.choice(places or [0])
    return [*words[:place], draw.choice(vocabulary), *words[place + 1 :]]


EDITS: dict[str, Edit] = {
    "punctuation, case": _change_punctuation,
    "order": _swap_order,
    "slip": _slip,
    "small word": _change_small_word,
    "form of a word": _change_form,
    "phrase added": _add_phrase,
    "content word changed": _change_content,
}


if __name__ == "__main__":
    main()
