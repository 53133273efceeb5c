from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.cleaning import CleanResult, clean_tables, comparable, explain, tidy
from datagen.config import CleanConfig
from datagen.errors import InputError
from datagen.sources import RawInput
from datagen.sources.columns import no_queries
from datagen.tables import CORPUS, DROPPED

Document = tuple[str, str | None, str]
Query = tuple[str, str]
Pair = tuple[str, str, float]
DEFAULT = CleanConfig()


def _raw(documents: Sequence[Document], queries: Sequence[Query] = (), pairs: Sequence[Pair] = ()) -> RawInput:
    corpus = pl.DataFrame(
        [(name, title, text, None, "corpus.jsonl", None) for name, title, text in documents],
        schema=dict.fromkeys(CORPUS.names, pl.String),
        orient="row",
    )
    empty_queries, empty_pairs = no_queries()
    asked = pl.DataFrame(
        [(name, text, None, None, "queries.jsonl", None, None) for name, text in queries],
        schema=empty_queries.schema,
        orient="row",
    )
    judged = pl.DataFrame([(*pair, "qrels.tsv") for pair in pairs], schema=empty_pairs.schema, orient="row")
    return RawInput([corpus[: len(corpus) // 2], corpus[len(corpus) // 2 :]], asked, judged)


def _corpus(result: CleanResult) -> pl.DataFrame:
    return pl.concat(result.corpus)


def _reasons(result: CleanResult) -> dict[str, str]:
    return dict(result.dropped.select("key", "reason").iter_rows())


def _apply(expression: pl.Expr, *texts: str) -> list[str]:
    return pl.DataFrame({"text": list(texts)}).select(expression)["text"].to_list()


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        pytest.param("  a b\n", "a b", id="outer space"),
        pytest.param("a  b\n\n\tc", "a  b\n\n\tc", id="inner space stays"),
        pytest.param("a\r\nb\rc\x0cd", "a\nb\nc\nd", id="line breaks"),
        pytest.param("a\x00b\x1b[0m\x7f", "ab[0m", id="control characters"),
        pytest.param("e\u0301", "\u00e9", id="composed"),
        pytest.param("e\x00\u0301", "\u00e9", id="composed across a removed one"),
        pytest.param("\u00a0\u3000x\u2003", "x", id="unicode space"),
        pytest.param("\u200b \u00ad", "", id="nothing to be seen"),
        pytest.param("x\u200by", "x\u200by", id="joiners within stay"),
        pytest.param("\ufb01 \u2460", "\ufb01 \u2460", id="compatibility forms stay"),
    ],
)
def test_text_is_tidied_lightly_when_it_holds(given_text: str, expected: str) -> None:
    assert _apply(tidy(pl.col("text")), given_text) == [expected]


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        pytest.param("What is  an Ångström?", "what is an ångström", id="case, space, punctuation"),
        pytest.param("\ufb01ne \u2460\u2026", "fine 1", id="compatibility forms"),
        pytest.param("a - b", "a b", id="punctuation between spaces"),
        pytest.param(" ?! ", "?!", id="only punctuation"),
        pytest.param("C++", "c++", id="symbols stay"),
        pytest.param("1\n2\t3", "1 2 3", id="line breaks"),
        pytest.param("", "", id="empty"),
    ],
)
def test_comparable_form_is_expected_when_text_is(given_text: str, expected: str) -> None:
    assert _apply(comparable(pl.col("text")), given_text) == [expected]


TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)


@given(text=TEXTS)
def test_tidying_twice_is_tidying_once(text: str) -> None:
    [once] = _apply(tidy(pl.col("text")), text)
    assert _apply(tidy(pl.col("text")), once) == [once]
    assert unicodedata.is_normalized("NFC", once)
    assert not [letter for letter in once if unicodedata.category(letter) == "Cc" and letter not in "\n\t"]


@given(text=TEXTS)
def test_comparable_form_ignores_case_and_space_for_any_ascii_padding(text: str) -> None:
    first, second = _apply(comparable(pl.col("text")), text, f" \n{text}\t ")
    assert first == second


def test_rows_that_cannot_be_used_are_dropped_with_their_reason_when_the_corpus_holds_them() -> None:
    result = clean_tables(
        _raw([("d1", None, "whole text"), ("d2", None, " \n"), ("d3", "", "ab"), ("d4", "", "whole text ")]),
        CleanConfig(min_document_characters=3),
    )
    assert _corpus(result)["doc_id"].to_list() == ["d1"]
    assert _reasons(result) == {"d2": "empty_text", "d3": "too_short", "d4": "duplicate_text"}
    assert result.dropped.columns == DROPPED.names
    assert set(result.dropped["stage"]) == {"clean"}
    dropped = {"empty_text": 1, "too_short": 1, "duplicate_text": 1}
    assert result.counts == {"corpus": {"given": 4, "kept": 1, "dropped": dropped, "title_as_text": 0}}


def test_payload_is_the_row_as_given_when_it_is_dropped() -> None:
    result = clean_tables(_raw([("d1", "T", "x"), ("d2", "T", "x\x00 ")]), DEFAULT)
    [payload] = result.dropped["payload"]
    row = {"doc_id": "d2", "title": "T", "text": "x\x00 ", "language": None, "origin": "corpus.jsonl", "meta": None}
    assert json.loads(payload) == row | {"same_as": "d1"}


def test_title_becomes_the_text_when_there_is_no_text() -> None:
    result = clean_tables(_raw([("d1", " Only a title ", ""), ("d2", " ", "x")]), DEFAULT)
    assert _corpus(result).select("doc_id", "title", "text").rows() == [("d1", None, "Only a title"), ("d2", None, "x")]
    assert result.counts["corpus"]["title_as_text"] == 1


def test_documents_are_not_merged_when_their_titles_differ() -> None:
    result = clean_tables(_raw([("d1", "T", "x"), ("d2", "U", "x"), ("d3", None, "x")]), DEFAULT)
    assert len(result.corpus) == 3


def test_title_counts_when_the_length_is_measured() -> None:
    result = clean_tables(_raw([("d1", "Title", "x"), ("d2", None, "x")]), CleanConfig(min_document_characters=6))
    assert _corpus(result)["doc_id"].to_list() == ["d1"]


def test_row_is_dropped_when_it_repeats_id_and_text() -> None:
    result = clean_tables(
        _raw([("d1", "T", "x"), ("d1", "T ", " x"), ("d1", None, "")], [("q1", "a"), ("q1", "a")]), DEFAULT
    )
    assert _corpus(result).select("doc_id", "text").rows() == [("d1", "x")]
    assert result.counts["corpus"]["dropped"] == {"empty_text": 1, "repeated_id": 1}
    assert result.counts["queries"]["dropped"] == {"no_positive": 1, "repeated_id": 1}


def test_error_names_ids_and_rows_when_one_id_has_different_texts() -> None:
    documents = [(f"d{n % 7}", None, f"text {n}") for n in range(14)]
    with pytest.raises(InputError) as caught:
        clean_tables(_raw([("d9", None, "fine"), *documents]), DEFAULT)
    assert str(caught.value) == (
        "different texts have the same doc_id: 'd0', 'd1', 'd2', 'd3', 'd4' … (7 in all); 'd0' is in row 2 of "
        "corpus.jsonl ('text 0') and row 9 of corpus.jsonl ('text 7'): give each text an id of its own, or remove the "
        "rows that are out of date"
    )


def test_error_names_the_ids_when_one_id_has_different_titles() -> None:
    with pytest.raises(InputError, match="different texts have the same doc_id: 'd1'; 'd1' is in row 1"):
        clean_tables(_raw([("d1", "T", "x"), ("d1", None, "x")]), DEFAULT)


def test_error_names_the_ids_when_one_query_id_has_different_texts() -> None:
    raw = _raw([("d1", None, "x")], [("q1", "a"), ("q1", "b")], [("q1", "d1", 1)])
    with pytest.raises(
        InputError,
        match=r"different texts have the same query_id: 'q1'; 'q1' is in row 1 of queries\.jsonl \('a'\) and row 2",
    ):
        clean_tables(raw, DEFAULT)


def test_pairs_move_to_the_first_document_when_theirs_is_a_duplicate() -> None:
    documents = [("d1", None, "x"), ("d2", None, "x"), ("d3", None, "y")]
    raw = _raw(
        documents, [("q1", "a"), ("q2", "b")], [("q1", "d2", 1), ("q1", "d1", 2), ("q1", "d3", 1), ("q2", "d2", 1)]
    )
    result = clean_tables(raw, DEFAULT)
    assert result.pairs.select("query_id", "doc_id", "relevance").rows() == [
        ("q1", "d1", 2.0),
        ("q1", "d3", 1.0),
        ("q2", "d1", 1.0),
    ]
    assert result.counts["pairs"] == {"given": 4, "kept": 3, "dropped": {"repeated_pair": 1}, "moved": 1}


def test_highest_relevance_stays_when_a_pair_is_repeated() -> None:
    raw = _raw([("d1", None, "x")], [("q1", "a")], [("q1", "d1", n) for n in (0, 2, 2, 1)])
    result = clean_tables(raw, DEFAULT)
    assert result.pairs["relevance"].to_list() == [2.0]
    assert result.counts["pairs"]["dropped"] == {"repeated_pair": 3}


@pytest.mark.parametrize("relevance", [float("nan"), float("inf"), float("-inf")], ids=str)
def test_pair_is_dropped_when_its_relevance_is_not_finite(relevance: float) -> None:
    raw = _raw([("d1", None, "x"), ("d2", None, "y")], [("q1", "a")], [("q1", "d1", relevance), ("q1", "d2", 1)])
    result = clean_tables(raw, DEFAULT)
    assert result.pairs["doc_id"].to_list() == ["d2"]
    assert _reasons(result) == {"q1\td1": "not_finite"}
    assert float(json.loads(result.dropped["payload"][0])["relevance"]) == pytest.approx(relevance, nan_ok=True)


def test_pair_is_dropped_when_its_relevance_is_null() -> None:
    raw = _raw([("d1", None, "x")], [("q1", "a")], [("q1", "d1", 1)])
    nothing = raw.pairs.with_columns(relevance=pl.lit(None, pl.Float32))
    result = clean_tables(RawInput(raw.corpus, raw.queries, nothing), DEFAULT)
    assert _reasons(result) == {"q1": "no_positive", "q1\td1": "not_finite"}


def test_pairs_are_dropped_with_their_reason_when_an_end_is_missing() -> None:
    raw = _raw(
        [("d1", None, "x"), ("d2", None, "")],
        [("q1", "a"), ("q2", ""), ("q3", "c")],
        [("q1", "d1", 1), ("q1", "d2", 1), ("q1", "nope", 1), ("nope", "d1", 1), ("q2", "d1", 1), ("q3", "d1", 0)],
    )
    result = clean_tables(raw, DEFAULT)
    assert result.pairs.select("query_id", "doc_id").rows() == [("q1", "d1")]
    assert _reasons(result) == {
        "d2": "empty_text",
        "q2": "empty_text",
        "q3": "no_positive",
        "q1\td2": "dropped_document",
        "q1\tnope": "unknown_document",
        "nope\td1": "unknown_query",
        "q2\td1": "dropped_query",
        "q3\td1": "dropped_query",
    }


def test_queries_of_equal_text_are_kept_when_their_ids_differ() -> None:
    raw = _raw([("d1", None, "x")], [("q1", "a"), ("q2", "a")], [("q1", "d1", 1), ("q2", "d1", 1)])
    assert clean_tables(raw, DEFAULT).queries["query_id"].to_list() == ["q1", "q2"]


def test_relevance_of_zero_is_kept_when_the_query_has_a_positive() -> None:
    raw = _raw([("d1", None, "x"), ("d2", None, "y")], [("q1", "a")], [("q1", "d2", 0), ("q1", "d1", 1)])
    assert clean_tables(raw, DEFAULT).pairs["doc_id"].to_list() == ["d2", "d1"]


def test_user_is_told_the_count_and_the_first_five_when_ids_are_nowhere() -> None:
    pairs = [("q1", "d1", 1.0), *((f"q{n}", "d1", 1.0) for n in range(2, 8)), *(("q1", f"x{n}", 1.0) for n in range(3))]
    raw = _raw([("d1", None, "x")], [("q1", "a")], pairs)
    assert explain(clean_tables(raw, DEFAULT), DEFAULT) == [
        "pairs that name a document that is not in the corpus: 3 dropped, ids 'x0', 'x1', 'x2'",
        "pairs that name a query that is not there: 6 dropped, ids 'q2', 'q3', 'q4', 'q5', 'q6' … (6 in all)",
    ]


def test_user_is_told_the_setting_when_rows_are_too_short() -> None:
    config = CleanConfig(min_document_characters=3)
    [sentence] = explain(clean_tables(_raw([("d1", None, "x"), ("d2", None, "long")]), config), config)
    shortest = "clean.min_document_characters 3 or clean.min_query_characters 1"
    assert sentence == f"rows shorter than {shortest}: 1 dropped, ids 'd1'"


def test_user_is_told_nothing_when_all_rows_are_kept() -> None:
    assert explain(clean_tables(_raw([("d1", None, "x")]), DEFAULT), DEFAULT) == []


SHORT = st.sampled_from(["", " ", "x", "x ", "X", "y", "e\u0301", "\u00e9", "\x00", "zz"])
IDS = st.sampled_from(["1", "2", "3", "4", ""])
RELEVANCE = st.sampled_from([0.0, 1.0, 2.0, -1.0, float("nan"), float("inf")])
# Unique ids: what one id with two texts does has a test of its own.
INPUTS = st.builds(
    _raw,
    st.lists(st.tuples(IDS, st.none() | SHORT, SHORT), unique_by=lambda row: row[0]),
    st.lists(st.tuples(IDS, SHORT), unique_by=lambda row: row[0]),
    st.lists(st.tuples(IDS, IDS, RELEVANCE), max_size=12),
)


@given(raw=INPUTS)
def test_no_row_is_lost_for_any_input(raw: RawInput) -> None:
    result = clean_tables(raw, CleanConfig(min_document_characters=2))
    for table, given_rows in (("corpus", pl.concat(raw.corpus)), ("queries", raw.queries), ("pairs", raw.pairs)):
        if table in result.counts:
            counts = result.counts[table]
            assert counts["given"] == len(given_rows) == counts["kept"] + sum(counts["dropped"].values())
            assert counts["kept"] == len(getattr(result, table))
    assert len(result.dropped) == sum(sum(counts["dropped"].values()) for counts in result.counts.values())


@given(raw=INPUTS)
def test_cleaning_twice_is_cleaning_once_for_any_input(raw: RawInput) -> None:
    once = clean_tables(raw, DEFAULT)
    twice = clean_tables(RawInput(once.corpus, once.queries, once.pairs), DEFAULT)
    assert _corpus(twice).equals(_corpus(once))
    assert twice.queries.equals(once.queries)
    assert twice.pairs.equals(once.pairs)
    assert twice.dropped.is_empty()


@given(raw=INPUTS)
def test_clean_tables_fit_together_for_any_input(raw: RawInput) -> None:
    result = clean_tables(raw, DEFAULT)
    positives = result.pairs.filter(pl.col("relevance") > 0)
    assert set(result.pairs["doc_id"]) <= set(_corpus(result)["doc_id"])
    assert set(result.queries["query_id"]) == set(positives["query_id"])
    assert result.pairs["relevance"].is_finite().all()
    assert result.pairs.select("query_id", "doc_id").is_unique().all()
    assert _corpus(result).select("title", "text").is_unique().all()
    assert (_corpus(result)["text"] != "").all()
    order = {name: place for place, name in enumerate(pl.concat(raw.corpus)["doc_id"])}
    assert _corpus(result)["doc_id"].to_list() == sorted(_corpus(result)["doc_id"], key=lambda name: order[name])
