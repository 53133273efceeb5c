"""Vectors are committed part by part: what a kill leaves, the next run completes with the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from datagen import vectors
from datagen.backends.models import find_model
from datagen.backends.protocols import Float32, Role, Teacher, TokenUsage
from datagen.backends.teacher_st import SentenceTransformerTeacher, load_teacher
from datagen.config import TeacherConfig
from datagen.progress import SilentProgress
from datagen.testing import HashingTeacher
from datagen.vectors import TextVectors

TEXTS = pl.Series([f"Passage {i}: " + "blood pressure and the heart " * (i * 7 % 23) for i in range(60)])


class KilledTeacher:
    """A teacher whose run ends, as by a kill, when it is asked for one part too many."""

    def __init__(self, teacher: SentenceTransformerTeacher, parts: int) -> None:
        """Give `parts` parts, then stop."""
        self.usage = TokenUsage()
        self.dim = teacher.dim
        self._teacher = teacher
        self._parts = parts

    def encode(self, texts: Sequence[str], role: Role) -> Float32:
        """Not used: the parts are."""
        raise AssertionError("encode_parts was expected")

    def encode_parts(self, parts: Iterable[Sequence[str]], role: Role) -> Iterator[Float32]:
        """The first parts, then an interrupt."""
        for number, found in enumerate(self._teacher.encode_parts(parts, role)):
            if number == self._parts:
                raise KeyboardInterrupt
            yield found


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "PART_CHARACTERS", 4_000)


@pytest.mark.usefixtures("small_parts")
def test_a_killed_run_keeps_whole_parts_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    teacher = load_teacher(find_model("packaged:all-MiniLM-L6-v2"), TeacherConfig(device="cpu"))
    whole, killed = (TextVectors(tmp_path / name, "m", "document", exact=True) for name in ("whole", "killed"))
    places, embedded = whole.ensure(TEXTS, lambda: teacher, SilentProgress())
    assert embedded == len(TEXTS)
    with pytest.raises(KeyboardInterrupt):
        killed.ensure(TEXTS, lambda: KilledTeacher(teacher, 2), SilentProgress())
    assert len(list(tmp_path.glob("killed/**/*.keys.npy"))) == 2
    rest, embedded = killed.ensure(TEXTS, lambda: teacher, SilentProgress())
    assert 0 < embedded < len(TEXTS)
    assert killed.take(rest).tobytes() == whole.take(places).tobytes()
    assert _files(tmp_path / "killed") == _files(tmp_path / "whole")


@pytest.mark.parametrize("parts", ["one", "several"])
def test_a_teacher_without_parts_is_asked_part_by_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: str
) -> None:
    if parts == "several":
        monkeypatch.setattr(vectors, "PART_CHARACTERS", 4_000)
    teacher: Teacher = HashingTeacher(TeacherConfig())
    store = TextVectors(tmp_path, "m", "document", exact=True)
    places, _ = store.ensure(TEXTS, lambda: teacher, SilentProgress())
    np.testing.assert_array_equal(store.take(places), teacher.encode(TEXTS.to_list(), "document"))


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*.npy")}
