from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from datagen.errors import InputError
from datagen.sources import json_lines
from datagen.sources.json_lines import iterate_json_lines, read_json, read_json_lines


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "corpus.jsonl"


def test_rows_are_read_when_lines_are_objects(path: Path) -> None:
    path.write_text('{"_id": 1, "text": "a"}\r\n\n{"_id": "x", "text": "ü", "year": 2001}\n', encoding="utf-8")
    frame = read_json_lines(path)
    assert frame.to_dicts() == [{"_id": "1", "text": "a", "year": None}, {"_id": "x", "text": "ü", "year": 2001}]


def test_rows_are_read_when_the_file_is_gzip_under_a_plain_name(path: Path) -> None:
    path.write_bytes(gzip.compress(b'{"a": "x"}\n'))
    assert read_json_lines(path).to_dicts() == [{"a": "x"}]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b'\xef\xbb\xbf{"a": "x"}\n', "x", id="byte order mark"),
        pytest.param(b'{"a": "x\\udc00y"}\n', "xy", id="lone low surrogate"),
        pytest.param(b'{"a": "x\\ud83d\\u0041y"}\n', "xAy", id="lone high surrogate"),
        pytest.param(b'{"a": "\\ud83d\\ude00"}\n', "\N{GRINNING FACE}", id="surrogate pair"),
        pytest.param(b'{"a": "x\ty"}\n', "x\ty", id="raw tab"),
        pytest.param(b'{"a": NaN}\n', "NaN", id="NaN"),
        pytest.param(b'{"a": -Infinity}\n', "-Infinity", id="infinity"),
    ],
)
def test_value_survives_when_the_line_is_not_strict_json(path: Path, content: bytes, expected: str) -> None:
    path.write_bytes(content)
    assert read_json_lines(path)["a"].to_list() == [expected]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param('{"a": 1}\n\n{"a": 2\n', "line 3: not valid JSON", id="cut line"),
        pytest.param('{"a": 1}\nhello\n', "line 2: not valid JSON .* near 'hello'", id="not json"),
        pytest.param('{"a": 1}\n{"a": 2} {"a": 3}\n', "line 2: not valid JSON .*Extra data", id="two on a line"),
        pytest.param('{"a": 1}\n[1]\n', r"line 2: '\[1\]' is not a JSON object", id="list"),
        pytest.param('{"a": {"b": 1}}\n{"a": [1]}\n', "a column must hold the same kind of value", id="mixed kinds"),
        pytest.param(" \n\n", "is empty: give a file with at least one row", id="blank"),
        pytest.param("", "is empty: give a file with at least one row", id="empty"),
    ],
)
def test_error_names_file_and_line_when_a_line_is_malformed(path: Path, content: str, message: str) -> None:
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=f"corpus.jsonl'.*{message}"):
        read_json_lines(path)


def test_error_names_the_line_when_the_text_is_not_utf8(path: Path) -> None:
    path.write_bytes(b'{"a": "x"}\n{"a": "caf\xe9"}\n')
    with pytest.raises(InputError, match=r"corpus\.jsonl', line 2: not UTF-8 \(byte 0xe9\); convert the file to UTF-8"):
        read_json_lines(path)


def test_error_names_the_file_when_gzip_is_cut(path: Path) -> None:
    path.write_bytes(gzip.compress(b'{"a": "x"}\n' * 50)[:-9])
    with pytest.raises(InputError, match=r"cannot read .*corpus\.jsonl'.*check or copy the file again"):
        read_json_lines(path)


def test_array_of_objects_is_read_when_the_file_is_json(tmp_path: Path) -> None:
    path = tmp_path / "corpus.json"
    path.write_text(json.dumps([{"a": "x"}, {"a": "y"}], indent=2), encoding="utf-8")
    assert read_json(path)["a"].to_list() == ["x", "y"]


def test_lines_are_read_when_a_json_file_holds_lines(tmp_path: Path) -> None:
    path = tmp_path / "corpus.json"
    path.write_text('{"a": "x"}\n{"a": "y"}\n', encoding="utf-8")
    assert read_json(path)["a"].to_list() == ["x", "y"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("[1, 2]", "array of something else than objects", id="numbers"),
        pytest.param('[{"a": 1},\n{"a": }]', "not valid JSON .* at line 2", id="malformed"),
    ],
)
def test_error_says_what_is_wrong_when_an_array_cannot_be_used(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "corpus.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=f"corpus.json.*{message}"):
        read_json(path)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("end", [b"\n", b""], ids=["newline", "no newline"])
def test_slices_together_are_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes], end: bytes
) -> None:
    monkeypatch.setattr(json_lines, "_BLOCK", 64)
    rows = [{"_id": f"d{n}", "text": "x" * (n % 90)} for n in range(40)]
    path.write_bytes(pack(b"\n".join(json.dumps(row).encode() for row in rows) + end))
    frames = list(iterate_json_lines(path))
    assert len(frames) > 5
    assert [row for frame in frames for row in frame.to_dicts()] == rows


def test_error_names_the_line_of_the_file_when_it_is_in_a_later_slice(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_lines, "_BLOCK", 64)
    path.write_text('{"_id": "d", "text": "some words"}\n' * 30 + "{broken\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 31: not valid JSON"):
        list(iterate_json_lines(path))


@pytest.mark.parametrize("content", [b"", b" \n\n "], ids=["nothing", "space"])
def test_slices_of_an_empty_file_are_an_error(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(InputError, match="is empty: give a file with at least one row"):
        list(iterate_json_lines(path))
