"""Long documents become passages: nothing is lost, nothing is too long, names stay, pairs follow."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.backends.models import find_model
from datagen.backends.tokens import load_token_counter
from datagen.chunking import Chunker, PairPointer, check_ids
from datagen.chunking.html import html_to_markdown
from datagen.errors import InputError
from datagen.generation.sentences import sentence_starts, split_sentences
from datagen.settings.chunk import ChunkConfig
from datagen.tables import CORPUS

HANGS_AFTER_SECONDS = 120
"""Processor time that no text needs on any machine; what grows with the square of the text needs far more."""


class WordCounter:
    """A word is a token, and two marks stand around a text."""

    own_marks = 2

    def count(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]


def _corpus(*documents: tuple[str, str | None, str], meta: str | None = None) -> pl.DataFrame:
    rows = [(name, title, text, None, "x", meta) for name, title, text in documents]
    return pl.DataFrame(rows, schema=dict.fromkeys(CORPUS.names, pl.String), orient="row")


def _chunked(corpus: pl.DataFrame, **settings: object) -> pl.DataFrame:
    config = ChunkConfig.model_validate({"max_tokens": 20, "min_tokens": 0, **settings})
    return pl.concat([chunks.corpus for _, chunks in Chunker(config, WordCounter()).cut(corpus)])


def _texts(text: str, **settings: object) -> list[str]:
    return _chunked(_corpus(("a", None, text)), **settings)["text"].to_list()


def _own(chunks: pl.DataFrame) -> str:
    """The texts without what they repeat, put together, white space left out."""
    parts = [text[json.loads(meta)["overlap"] if meta else 0 :] for text, meta in chunks.select("text", "meta").rows()]
    return "".join("".join(parts).split())


def _sentences(number: int) -> str:
    return " ".join(f"Sentence {n} has six words." for n in range(number))


_LINES = st.sampled_from(
    [
        *("# One", "## Two", "### Three ###", "Set", "===", "---", "```", "~~~", "#no heading"),
        *("| a | b |", "|---|---|", "| 1 | 2 |", "a | b", "", "- item one", "    indented"),
        *("Plain words stand here. And more of them do! Is it so?", "one。二つ目。三", "x" * 150, "word " * 40),
        *("\u00e9\u0301 \U0001f600", "e.g. this. and that. 1. One"),
    ]
)
_HOSTILE = (
    *("<", "<a ", "<!--", "<!", "<a b='", "<a b='>", "</a ", "<div>", "<script></scrip>", "<td>x", "&", "&#"),
    *("<a" + "'\"" * 900 + ">", "#\n", "- ", "> ", "| a\n|-\n", "```\n", ". ", "a. b. ", ".", " ", " \n", "。", "x"),
)


@given(
    st.lists(_LINES, min_size=1, max_size=30).map(lambda lines: "\n".join(lines).strip()).filter(bool),
    st.integers(16, 60),
    st.integers(0, 8),
    st.integers(0, 8),
    st.booleans(),
)
def test_passages_without_their_overlap_are_the_whole_text(
    text: str, most: int, overlap: int, least: int, headings: bool
) -> None:
    corpus = _corpus(("a", "Title", text))
    chunks = _chunked(corpus, max_tokens=most, overlap_tokens=overlap, min_tokens=least, headings=headings)
    assert _own(chunks) == "".join(text.split())
    for title, passage in chunks.select("title", "text").iter_rows():
        assert passage.strip() == passage != ""
        assert len(passage.split()) <= max(most // 2, most - 2 - len(title.split()))


@given(st.text(alphabet="ab .!?\n#|-`=<>。\u0301", min_size=1, max_size=400))
def test_nothing_is_lost_of_any_text(text: str) -> None:
    if text.strip():
        assert _own(_chunked(_corpus(("a", None, text.strip())), overlap_tokens=8)) == "".join(text.split())


@given(st.lists(_LINES, max_size=20).map("\n".join))
def test_sentence_starts_are_those_of_the_sentences(text: str) -> None:
    starts = sentence_starts(text)
    assert starts == sorted(starts)
    assert {sentence.start for sentence in split_sentences(text)} <= {
        start + len(text[start:]) - len(text[start:].lstrip()) for start in starts
    }


def test_a_document_that_fits_stays_as_it_is() -> None:
    corpus = _corpus(("a", "T", "# Head\n\nFew words."), ("b", None, "Short."), meta='{"k": 1}')
    assert _chunked(corpus).equals(corpus)


def test_passages_name_document_and_neighbours_and_keep_what_the_user_had() -> None:
    chunks = _chunked(_corpus(("a", None, _sentences(7)), meta='{"parent": "p", "k": 1}'))
    assert chunks["doc_id"].to_list() == ["a#0", "a#1", "a#2"]
    assert [json.loads(meta) for meta in chunks["meta"]] == [
        {"parent": "a", "chunk": n, "previous": before, "next": after, "overlap": 0, "document.parent": "p", "k": 1}
        for n, (before, after) in enumerate([(None, "a#1"), ("a#0", "a#2"), ("a#1", None)])
    ]


def test_an_overlap_is_of_whole_sentences() -> None:
    texts = _texts(_sentences(7), overlap_tokens=7)
    assert all(later.startswith(earlier[-len("Sentence 0 has six words.") :]) for earlier, later in pairwise(texts))
    assert all(text.startswith("Sentence") and text.endswith(".") for text in texts)


def test_text_added_at_the_end_changes_no_passage_but_the_last() -> None:
    before, after = (_chunked(_corpus(("a", None, _sentences(n)))) for n in (20, 33))
    kept = len(before) - 1
    columns = ["doc_id", "title", "text"]
    assert kept > 3
    assert before.head(kept).select(columns).equals(after.head(kept).select(columns))


def test_headings_become_titles_and_cut() -> None:
    text = f"# Guide\n\nIntro here.\n\n## Setup\n\n{_sentences(2)}\n\nUse\n---\n\n{_sentences(2)}"
    chunks = _chunked(_corpus(("a", "guide", text)), max_tokens=24)
    assert chunks["title"].to_list() == ["guide", "guide > Setup", "guide > Use"]
    assert [text.splitlines()[0] for text in chunks["text"]] == ["# Guide", "## Setup", "Use"]


def test_short_sections_are_put_together_under_their_common_heading() -> None:
    text = f"# A\n\n## B\n\nFew.\n\n## C\n\nAlso few.\n\n# D\n\n{_sentences(2)}"
    assert _chunked(_corpus(("a", "T", text)), min_tokens=10)["title"].to_list() == ["T > A", "T > D"]


def test_headings_in_code_are_no_headings_and_code_and_tables_stay_whole() -> None:
    code, table = "```\n# not this. One. Two.\nx = 1\n```", "| a | b |\n|---|---|\n| 1. x | 2 |\n| 3 | 4 |"
    texts = _texts(f"{_sentences(2)}\n\n{code}\n\n{_sentences(1)}\n\n{table}\n\n{_sentences(3)}", max_tokens=26)
    assert any(code in text for text in texts)
    assert any(table in text for text in texts)


def test_a_table_too_long_is_torn_between_rows() -> None:
    rows = [f"| {n} | b c |" for n in range(20)]
    texts = _texts("\n".join(["| a | b |", "|---|---|", *rows]))
    assert "\n".join(texts).splitlines()[2:] == rows


def test_a_sentence_too_long_is_cut_between_words() -> None:
    words = [f"word{n}" for n in range(50)]
    texts = _texts(" ".join(words))
    assert " ".join(texts).split() == words
    assert max(len(text.split()) for text in texts) == 18


def test_a_short_rest_takes_sentences_of_the_passage_before() -> None:
    text = f"{_sentences(6)} Here it all ends."
    assert _texts(text, min_tokens=8)[-1] == "Sentence 5 has six words. Here it all ends."


def test_html_becomes_markdown() -> None:
    page = (
        "<!DOCTYPE html><html><head><title>My &amp; page</title><style>x</style></head><body><!-- no --><h1>Big  <b>one"
        "</b></h1><p>Hello <i>you</i>, 3 &lt; 4.</p><ul><li>a<li>b</ul><table><tr><th>k<th>v</tr><tr><td><p>1</p><td>2"
        "</table><pre>def f():\n    pass</pre></body></html>"
    )
    assert html_to_markdown(page) == (
        "My & page",
        "# Big one\n\nHello you, 3 < 4.\n\n- a\n- b\n\n| k | v |\n|---|---|\n| 1 | 2 |\n\n```\ndef f():\n    pass\n```",
    )


def test_a_page_is_cut_at_its_headings_and_markdown_with_a_tag_is_no_page() -> None:
    page = f"<html><title>T</title><h2>One</h2><p>{_sentences(2)}</p><h2>Two</h2><p>{_sentences(2)}</p></html>"
    readme = "<p align=center></p>\n\n# Title\n\nA *text*."
    chunks = _chunked(_corpus(("a", None, page), ("b", None, readme)))
    assert chunks["title"].to_list() == ["T > One", "T > Two", None]
    assert chunks["text"][2] == readme


@pytest.mark.parametrize("unit", _HOSTILE)
def test_hostile_text_does_not_hang(unit: str) -> None:
    text = "<p>A" + unit * (200_000 // len(unit)) + "</p>"
    plain = "A " + unit * (200_000 // len(unit)) + "b"
    started = time.process_time()
    _chunked(_corpus(("a", None, text), ("b", None, plain)), max_tokens=64, overlap_tokens=8)
    assert time.process_time() - started < HANGS_AFTER_SECONDS


def test_pairs_go_to_the_passage_that_shares_most_words() -> None:
    text = f"{_sentences(3)} The liver makes bile. {_sentences(3)} 肝臓は胆汁を作る。 {_sentences(2)}"
    corpus = _corpus(("a", None, text), ("b", None, "Short."))
    pairs = pl.DataFrame({"query_id": ["1", "2", "3", "4"], "doc_id": ["a", "b", "a", "a"], "relevance": [1.0] * 4})
    asked = ["what makes bile", "short", "zzz", "肝臓の役割"]
    queries = pl.DataFrame({"query_id": ["1", "2", "3", "4"], "query": asked})
    pointer = PairPointer(pairs, queries)
    chunker = Chunker(ChunkConfig(max_tokens=20, min_tokens=0), WordCounter())
    texts: dict[str, str] = {}
    for _, chunks in chunker.cut(corpus):
        pointer.see(chunks.cut)
        texts |= dict(chunks.corpus.select("doc_id", "text").iter_rows())
    pointed = pointer.pointed()["doc_id"].to_list()
    assert "bile" in texts[pointed[0]]
    assert pointed[1:3] == ["b", "a#0"]
    assert "肝臓" in texts[pointed[3]]
    assert (pointer.moved, pointer.without_shared_words) == (3, 1)


def test_a_document_with_the_id_of_a_passage_is_refused() -> None:
    corpus = _corpus(("a", None, _sentences(9)), ("a#1", None, "Short."))
    chunks = [chunks for _, chunks in Chunker(ChunkConfig(max_tokens=20, min_tokens=0), WordCounter()).cut(corpus)]
    with pytest.raises(InputError, match="a#1"):
        check_ids(corpus["doc_id"], chunks[0])


def test_passages_fit_the_real_tokenizer() -> None:
    counter = load_token_counter(find_model("packaged:all-MiniLM-L6-v2"))
    text = " ".join(
        f"Hydroxymethylglutaryl-{n} naïvely re-entered 3.5% of http://x.y/{n}?a=b, 中文字。" for n in range(200)
    )
    config = ChunkConfig(max_tokens=64, min_tokens=0, overlap_tokens=16)
    ((_, chunks),) = Chunker(config, counter).cut(_corpus(("a", "A title", text)))
    sizes = counter.count([f"{title} {text}" for title, text in chunks.corpus.select("title", "text").iter_rows()])
    assert max(sizes) + counter.own_marks <= 64
    assert min(sizes[:-1]) > 20


def test_settings_leave_room_for_text() -> None:
    with pytest.raises(ValueError, match="overlap_tokens is 11"):
        ChunkConfig(max_tokens=20, overlap_tokens=11)
    assert not ChunkConfig().enabled
