from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.errors import InputError
from datagen.sources.delimited import read_csv, read_tsv


def test_csv_values_are_texts_when_they_look_like_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('id,text\r\n007,"one, ""two""\nthree"\r\n\r\n1e5,\r\n', encoding="utf-8")
    assert read_csv(path).rows() == [("007", 'one, "two"\nthree'), ("1e5", None)]


def test_csv_column_is_found_when_the_file_opens_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\ufeffid,text\n1,x\n", encoding="utf-8")
    assert read_csv(path).columns == ["id", "text"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"id,text\n1,x\n2,y,z\n", "line 3 has 3 fields, the header has 2", id="too many fields"),
        pytest.param(b'id,text\n1,x\n2,"y\n3,z\n', "the row that starts at line 3: unexpected end", id="open quote"),
        pytest.param(b"", "is empty", id="empty"),
    ],
)
def test_csv_error_names_the_line_when_a_row_does_not_fit(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"a.csv'.*{message}"):
        read_csv(path)


def test_csv_error_names_the_line_when_it_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"id,text\n1,x\n2,caf\xe9\n")
    with pytest.raises(InputError, match=r"a\.csv', line 3: not UTF-8"):
        read_csv(path)


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        pytest.param("id\ttext\n1\tplain\n", ["plain"], id="no quotes"),
        pytest.param('id\ttext\n1\t"said" he\n2\tb\n', ['"said" he', "b"], id="quote within the text"),
        pytest.param('id\ttext\n1\t"open\n2\tbye"\n', ['"open', 'bye"'], id="quotes in two rows"),
        pytest.param('id\ttext\n1\t"a ""b"""\n2\tc\n', ['a "b"', "c"], id="quoted cell"),
        pytest.param('id\ttext\n1\t"a\nb"\n2\tc\n', ["a\nb", "c"], id="quoted line break"),
        pytest.param('id\ttext\n1\t"a\tb"\n2\tc\n', ["a\tb", "c"], id="quoted tab"),
        pytest.param('id\ttext\r\n1\t"said" he\r\n', ['"said" he'], id="windows line ends"),
    ],
)
def test_tsv_text_is_whole_when_it_holds_quotes(tmp_path: Path, content: str, texts: list[str]) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(content.encode())
    assert read_tsv(path)["text"].to_list() == texts


def test_tsv_error_asks_to_rename_when_two_columns_have_one_name(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('text\ttext\n"a" b\tc\n', encoding="utf-8")
    with pytest.raises(InputError, match="two columns of one name: 'text', 'text'; rename one"):
        read_tsv(path)


def test_tsv_error_names_the_line_when_a_row_has_too_many_fields(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("id\ttext\n1\tx\n2\ty\tz\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 3 has 3 fields, the header has 2"):
        read_tsv(path)


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0", exclude_categories=["Cs"]), min_size=1)


@pytest.mark.parametrize(("name", "separator"), [("a.csv", ","), ("a.tsv", "\t")], ids=["csv", "tsv"])
@given(texts=st.lists(CELLS.filter(lambda text: text.strip() != ""), min_size=1, max_size=8))
def test_texts_come_back_when_polars_wrote_the_file(
    tmp_path_factory: pytest.TempPathFactory, name: str, separator: str, texts: list[str]
) -> None:
    path = tmp_path_factory.mktemp("written") / name
    pl.DataFrame({"id": range(len(texts)), "text": texts}).write_csv(path, separator=separator)
    read = read_csv(path) if separator == "," else read_tsv(path)
    assert read["text"].to_list() == texts
