from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from datagen.generation.novelty.collapse import CollapseWatch, State
from datagen.generation.novelty.gate import Novelty
from datagen.settings.novelty import NoveltySettings

DATA = Path(__file__).resolve().parents[2] / "../shared/data"
SUBJECTS = [
    f"{first}{second}" for first in ("zal", "mer", "tor", "bin", "kup", "fes") for second in ("ano", "ith", "ulk")
]


def _feed(watch: CollapseWatch, texts: Iterable[str]) -> list[State]:
    """Texts that were accepted; the state after each."""
    states = []
    for text in texts:
        watch.add(text, accepted=True)
        states.append(watch.state())
    return states


def _vary(number: int, start: int = 0) -> Iterator[str]:
    """Texts of which no two are alike."""
    for value in range(start, start + number):
        yield " ".join(
            f"{value * prime % 9973:x}{chr(97 + value * prime % 26)}" for prime in (7919, 6007, 3571, 1987, 457)
        )


def _repeat(number: int, different: int = 30) -> list[str]:
    texts = list(_vary(different, start=5000))
    return [texts[row % different] for row in range(number)]


@pytest.mark.parametrize("different", [1, 5, 30])
def test_the_same_answers_for_ever_are_stopped_within_200_rows(different: int) -> None:
    states = _feed(CollapseWatch(NoveltySettings()), _repeat(200, different))
    assert "rotate" in states[:120]
    assert states[-1] == "stop"


def test_the_same_answers_behind_the_gate_are_stopped_within_200_rows() -> None:
    watch, novelty = CollapseWatch(NoveltySettings()), Novelty(NoveltySettings())
    for text in _repeat(200):
        near = novelty.check([text], ["key"])[0]
        if near is None:
            novelty.add(text, "key")
        watch.add(text, near is None, near.reason if near else "")
    assert watch.state() == "stop"
    assert "mostly repeat earlier ones" in watch.words()


def test_near_duplicates_that_differ_word_by_word_are_repeats() -> None:
    watch = CollapseWatch(NoveltySettings())
    for text in _vary(200):
        watch.add(text, accepted=False, reason="near_duplicate_query")
    assert watch.state() == "stop"


def test_rows_refused_for_other_reasons_are_no_repeats() -> None:
    watch = CollapseWatch(NoveltySettings())
    for text in _vary(400):
        watch.add(text, accepted=False, reason="query_too_long")
    assert watch.state() == "fine"


def test_rows_without_text_say_nothing() -> None:
    watch = CollapseWatch(NoveltySettings())
    for text in ("", " \n", "?!") * 300:
        watch.add(text, accepted=False, reason="refused")
    assert (watch.state(), watch.signs) == ("fine", None)


def test_texts_that_all_begin_alike_and_differ_little_call_for_rotation() -> None:
    texts = (f"Tell me what chapter {number} of the book about {SUBJECTS[number % 18]} says" for number in range(300))
    watch = CollapseWatch(NoveltySettings())
    states = _feed(watch, texts)
    assert states[63] == "fine"
    assert states[-1] == "rotate"
    assert "begin with the same words" in watch.words()


def test_alarm_ends_when_the_texts_vary_again() -> None:
    watch = CollapseWatch(NoveltySettings())
    _feed(watch, _vary(128))
    assert _feed(watch, _repeat(96, different=3))[-1] == "rotate"
    assert watch.rotations == 1
    assert _feed(watch, _vary(128, start=1000))[-1] == "fine"
    assert "vary" in watch.words()


def test_alarm_that_lasts_rotates_again_and_then_stops() -> None:
    watch = CollapseWatch(NoveltySettings(stop_repeats=1.0, stop_compression=0.0, patience=256))
    new = _vary(600)
    old = _repeat(600, different=3)
    states = _feed(watch, (next(new) if row % 5 < 2 else old[row] for row in range(500)))
    assert states[300] == "rotate"
    assert states[-1] == "stop"
    assert watch.rotations >= 2
    assert "for 256 rows" in watch.words()


def test_stop_stays() -> None:
    watch = CollapseWatch(NoveltySettings())
    assert _feed(watch, _repeat(200))[-1] == "stop"
    why = watch.words()
    assert _feed(watch, _vary(500))[-1] == "stop"
    assert watch.words() == why


def test_words_tell_the_figures_in_one_sentence() -> None:
    watch = CollapseWatch(NoveltySettings())
    _feed(watch, _repeat(200, different=1))
    assert watch.signs is not None
    assert f"{watch.signs.repeats:.0%} repeats" in watch.words()
    assert f"packed to {watch.signs.compression:.0%} of their size" in watch.words()
    assert "0.0 bits in their first three words" in watch.words()
    assert "\n" not in watch.words()


def test_two_watches_fed_the_same_say_the_same() -> None:
    texts = [*_vary(100), *_repeat(150, different=20), *_vary(100, start=700)]
    assert _feed(CollapseWatch(NoveltySettings()), texts) == _feed(CollapseWatch(NoveltySettings()), texts)


@pytest.mark.parametrize("name", ["medquad", "squadshifts-newwiki", "entailmentbank", "banking77", "cisi", "xquad-en"])
def test_questions_of_people_never_alarm_in_the_order_of_their_file(name: str) -> None:
    """Those of medquad are made from a few templates, and stand in groups of ten about one illness."""
    path = DATA / name / "queries.jsonl.gz"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        texts = [str(json.loads(line)["text"]) for line in lines][:15_000]
    assert set(_feed(CollapseWatch(NoveltySettings()), dict.fromkeys(texts))) == {"fine"}


def test_questions_that_all_begin_with_what_is_never_alarm() -> None:
    path = DATA / "squadshifts-newwiki" / "queries.jsonl.gz"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        texts = dict.fromkeys(str(json.loads(line)["text"]) for line in lines)
    asking = [text for text in texts if text.lower().startswith("what is")]
    assert len(asking) > 500
    assert set(_feed(CollapseWatch(NoveltySettings()), asking)) == {"fine"}
