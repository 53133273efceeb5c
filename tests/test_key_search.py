from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest

from datagen.errors import InputError
from datagen.key_search import OWN, find_keys

KEYS = {
    "a token of the Hugging Face hub": "hf_" + "aB3" * 12,
    "a key of a language model": "sk-proj-" + "aB3_" * 10,
    "a token of GitHub": "ghp_" + "a1" * 18,
    "an access key of a cloud": "AKIA" + "A1" * 8,
    "a private key": "-----BEGIN RSA PRIVATE KEY-----",
}
HARMLESS = "task-0001 disk-encryption-how-to-enable-on-windows-11-and-later shelf_number AKIA hf_short sk-learn"


@pytest.mark.parametrize(("name", "key"), KEYS.items(), ids=list(KEYS))
def test_what_looks_like_a_key_is_named_in_text_and_in_parquet(name: str, key: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(f'{{"text": "my {key}"}}\n', encoding="utf-8")
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(key.encode()))
    nested = {"id": ["1", "2"], "negatives": [[{"text": "fine"}], [{"text": key}]]}
    pl.DataFrame(nested).write_parquet(tmp_path / "c.parquet")
    for path in sorted(tmp_path.iterdir()):
        assert find_keys(path, [], like_keys=True) == name
        assert find_keys(path, [], like_keys=False) == ""


def test_words_that_only_begin_like_keys_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text(HARMLESS, encoding="utf-8")
    pl.DataFrame({"id": [f"task-{n:04}" for n in range(50)], "n": range(50)}).write_parquet(tmp_path / "b.parquet")
    assert [find_keys(path, [], like_keys=True) for path in sorted(tmp_path.iterdir())] == ["", ""]


def test_a_known_secret_is_found_across_the_pieces_in_which_a_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datagen.key_search._CHUNK", 64)
    (tmp_path / "a.md").write_text("x" * 50 + "my own (secret) value+" + "y" * 50, encoding="utf-8")
    assert find_keys(tmp_path / "a.md", ["other", "my own (secret) value+"], like_keys=False) == OWN
    assert find_keys(tmp_path / "a.md", ["my own secret value"], like_keys=True) == ""


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl.gz"])
def test_a_broken_file_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"not what it should be")
    with pytest.raises(InputError, match=rf"cannot read .*{name}: .*make it again"):
        find_keys(tmp_path / name, [], like_keys=True)
