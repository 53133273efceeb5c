from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from datagen.errors import InputError
from datagen.settings.input import InputConfig
from datagen.sources import input_fingerprint
from tests.support.inputs import load


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"_id": "d1", "text": "x"}\n', encoding="utf-8")
    return path


def test_fingerprint_names_the_file_and_the_hash_of_its_content(corpus: Path) -> None:
    expected = hashlib.sha256(corpus.read_bytes()).hexdigest()[:16]
    assert input_fingerprint(InputConfig(corpus=str(corpus))) == f"files: corpus corpus.jsonl sha256:{expected}"


def test_fingerprint_stays_when_the_file_is_moved_and_touched(corpus: Path, tmp_path: Path) -> None:
    before = input_fingerprint(InputConfig(corpus=str(corpus)))
    moved = tmp_path / "elsewhere" / "corpus.jsonl"
    moved.parent.mkdir()
    shutil.move(corpus, moved)
    os.utime(moved, (1, 1))
    assert input_fingerprint(InputConfig(corpus=str(moved))) == before


def test_fingerprint_changes_when_one_letter_does(corpus: Path) -> None:
    before = input_fingerprint(InputConfig(corpus=str(corpus)))
    corpus.write_text('{"_id": "d1", "text": "y"}\n', encoding="utf-8")
    os.utime(corpus, (2, 2))
    assert input_fingerprint(InputConfig(corpus=str(corpus))) != before


def test_fingerprint_changes_when_one_of_several_parts_does(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    for name, content in (("a", b"1"), ("b", b"2")):
        (folder / f"{name}.parquet").write_bytes(content)
    before = input_fingerprint(InputConfig(corpus=str(folder)))
    assert before.startswith("files: corpus parts (2 files) sha256:")
    (folder / "b.parquet").write_bytes(b"33")
    assert input_fingerprint(InputConfig(corpus=str(folder))) != before


def test_fingerprint_names_every_table_when_the_input_is_a_beir_folder(corpus: Path) -> None:
    (corpus.parent / "queries.jsonl").write_text('{"_id": "q1", "text": "x"}\n', encoding="utf-8")
    (corpus.parent / "qrels").mkdir()
    for split in ("dev", "test"):
        (corpus.parent / "qrels" / f"{split}.tsv").write_text("q1\td1\t1\n", encoding="utf-8")
    said = input_fingerprint(InputConfig(beir=str(corpus.parent)))
    names = [part.split(" sha256:")[0] for part in said.split("; ")]
    assert names == [
        "beir: corpus corpus.jsonl",
        "queries queries.jsonl",
        "qrels qrels/dev.tsv",
        "qrels qrels/test.tsv",
    ]


def test_error_says_so_when_the_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        input_fingerprint(InputConfig(corpus=str(tmp_path / "corpus.jsonl")))


def test_error_names_the_file_when_it_cannot_be_read(tmp_path: Path) -> None:
    unreadable = Path("/proc/self/mem")
    if not unreadable.exists():
        pytest.skip("needs a file that even root cannot read from its start: /proc/self/mem")
    (tmp_path / "corpus.csv").symlink_to(unreadable)
    config = InputConfig(corpus=str(tmp_path / "corpus.csv"))
    for read in (input_fingerprint, load):
        with pytest.raises(InputError, match=r"cannot read '.*corpus\.csv': .*check"):
            read(config)
