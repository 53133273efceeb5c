"""D1, D10, D12, D16: what may not be a negative is none, in small corpora too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from datagen import cleaning
from datagen.backends.index_faiss import FaissFlatIndex
from datagen.backends.protocols import Float32, Int64

if TYPE_CHECKING:
    from tests.peer_defects.conftest import Collection, MakeCollection, Mine

NO_MARGIN = {"margin_policy": "absolute", "margin": 0}
MARGINS = [NO_MARGIN, *({"margin_policy": policy} for policy in ("relative", "spread", "adaptive"))]
ECHOES: dict[str, str | tuple[str, str]] = {
    "same": "What is the liver?",
    "case and space": "what is  the LIVER",
    "full width": "ｗｈａｔ is the liver？",
    "title and text": ("What is", "the liver?"),
    "title alone": ("What is the liver ?", ""),
}


@pytest.mark.parametrize("settings", MARGINS, ids=["no margin", "relative", "spread", "adaptive"])
def test_d01_a_document_that_says_the_query_is_never_its_negative(
    mine: Mine, tiny: Collection, settings: dict[str, object]
) -> None:
    documents = {**tiny.documents, **ECHOES, "p": "the liver makes bile, what is known"}
    mined = mine(type(tiny)(documents, {"q": "What is the liver?"}, {"q": ["p"]}), mine=settings)
    assert {document: mined.reasons("q")[document] for document in ECHOES} == dict.fromkeys(ECHOES, "query_text")
    assert len(mined.negatives("q")) == 5
    assert not set(mined.negatives("q")) & set(ECHOES)


def test_d01_pairs_of_equal_kind_do_not_meet_themselves(mine: Mine, tmp_path: Path, tiny: Collection) -> None:
    texts = list(tiny.documents.values())
    pairs = [(texts[2 * i + j], texts[2 * i + 1 - j]) for i in range(20) for j in (0, 1)]
    pl.DataFrame(pairs, ["anchor", "positive"], orient="row").write_parquet(tmp_path / "pairs.parquet")
    mined = mine({"pairs": str(tmp_path / "pairs.parquet")}, mine=NO_MARGIN)
    assert len(mined.train) == 40
    assert sum(len(row["negatives"]) for row in mined.train.values()) > 40
    for row in mined.train.values():
        assert row["query"] not in [item["text"] for item in row["negatives"]]
    assert mined.ledger.filter(pl.col("reason") == "query_text").height > 20


class StrictIndex(FaissFlatIndex):
    """Refuses to be asked for more documents than it holds."""

    def search(self, vectors: Float32, k: int) -> tuple[Float32, Int64]:
        assert 0 < k <= self._index.ntotal
        return super().search(vectors, k)


@pytest.mark.parametrize("n_documents", [1, 2, 5])
@pytest.mark.parametrize("reranker", ["none", "datagen.testing:OverlapReranker"])
def test_d10_a_corpus_smaller_than_the_depth_gives_what_it_has(
    mine: Mine, collect: MakeCollection, monkeypatch: pytest.MonkeyPatch, n_documents: int, reranker: str
) -> None:
    monkeypatch.setattr("datagen.backends.index_faiss.FaissFlatIndex", StrictIndex)
    mined = mine(collect(n_documents, 1), mine={"candidates": 100, **NO_MARGIN}, denoise={"reranker": reranker})
    assert sorted(mined.ledger["rank"]) == list(range(1, n_documents + 1))
    assert mined.ledger["doc_id"].n_unique() == n_documents
    assert "d0" not in mined.negatives("q0")
    if reranker == "none":
        assert len(mined.negatives("q0")) == min(5, n_documents - 1)


def test_d10_slices_smaller_than_the_depth_change_nothing(
    mine: Mine, tiny: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = mine(tiny, mine={"candidates": 50})
    monkeypatch.setattr("datagen.backends.registry._ADD_BLOCK", 7)  # sixty documents: the last slice holds four
    assert mine(tiny, mine={"candidates": 50}).ledger.equals(whole.ledger)


def test_d10_queries_in_several_blocks_are_mined_as_in_one(mine: Mine, collect: MakeCollection) -> None:
    collection = collect(700, 513)
    whole, blocks = mine(collection), mine(collection, mine={"query_block": 512})
    assert len(list((blocks.out / "candidates").glob("*.parquet"))) == 2
    assert blocks.ledger.drop("teacher_score").equals(whole.ledger.drop("teacher_score"))


def test_d12_negatives_do_not_repeat_and_are_neither_query_nor_positive(mine: Mine, tiny: Collection) -> None:
    shouted = {f"{key}-shouted": f"{str(text).upper()} !" for key, text in tiny.documents.items()}
    echoes = {f"{key}-echo": text for key, text in tiny.queries.items()}
    mined = mine(type(tiny)({**tiny.documents, **shouted, **echoes}, tiny.queries, tiny.positives), mine=NO_MARGIN)
    for query, row in mined.train.items():
        said = pl.DataFrame({"text": [item["text"] for item in row["negatives"]]})
        known = pl.DataFrame({"text": [row["query"], *(item["text"] for item in row["positives"])]})
        heard = said.select(cleaning.comparable(pl.col("text")))["text"]
        assert len(heard) == heard.n_unique() == 5, query
        assert not set(heard) & set(known.select(cleaning.comparable(pl.col("text")))["text"])
        assert {item["doc_id"] for item in row["positives"]} == set(tiny.positives[query])


def test_d12_scores_belong_to_their_negatives_after_another_number_was_asked_for(mine: Mine, tiny: Collection) -> None:
    true = tiny.scores()
    for number in (8, 2, 5):
        mined = mine(tiny, "same-run", mine={"num_negatives": number, **NO_MARGIN})
        for query, row in mined.train.items():
            assert 0 < len(row["negatives"]) <= number
            for item in (*row["positives"], *row["negatives"]):
                assert item["text"] == tiny.documents[item["doc_id"]]
                assert item["teacher_score"] == pytest.approx(true[query, item["doc_id"]], abs=2e-3)


ALIKE = ("d1", "d11", "11", "1", "01", "1.0", "a", "A", "x", "x x")


@pytest.mark.parametrize("form", ["beir", "csv"])
def test_d16_ids_that_are_parts_of_each_other_stay_apart(
    mine: Mine, tiny: Collection, tmp_path: Path, form: str
) -> None:
    words = dict(zip(ALIKE, "apple pear plum fig lime kiwi date melon grape mango".split(), strict=True))
    texts = {key: f"{word} juice in a glass" for key, word in words.items()}
    queries = {key: f"{word} juice" for key, word in words.items()}
    collection = type(tiny)(texts, queries, {key: [key] for key in ALIKE})
    given = collection if form == "beir" else _write_csv(tmp_path, texts, queries)
    mined = mine(given, mine={"num_negatives": 9, **NO_MARGIN})
    for key in ALIKE:
        others = set(ALIKE) - {key}
        assert mined.reasons(key) == {key: "known_positive", **dict.fromkeys(others, "selected")}
        assert {item["text"] for item in mined.train[key]["negatives"]} == {texts[other] for other in others}


def _write_csv(folder: Path, texts: dict[str, str], queries: dict[str, str]) -> dict[str, str]:
    frames = {
        "corpus": pl.DataFrame({"id": list(texts), "text": list(texts.values())}),
        "queries": pl.DataFrame({"id": list(queries), "text": list(queries.values())}),
        "qrels": pl.DataFrame({"query_id": list(queries), "doc_id": list(texts)}),
    }
    for name, frame in frames.items():
        frame.write_csv(folder / f"{name}.csv")
    return {name: str(folder / f"{name}.csv") for name in frames}
