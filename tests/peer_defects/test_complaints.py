"""What users of other miners complain of most, beside the numbered defects."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

if TYPE_CHECKING:
    from tests.peer_defects.conftest import Collection, MakeCollection, Mine

NO_MARGIN = {"margin_policy": "absolute", "margin": 0}


@pytest.mark.parametrize(
    "reranker",
    [
        "none",
        "datagen.testing:OverlapReranker",
    ],
)
def test_one_query_with_500_positives_leaves_the_others_as_they_were(
    mine: Mine, collect: MakeCollection, reranker: str
) -> None:
    plain = collect(2000, 40)
    many = {**plain.positives, "q0": [f"d{i}" for i in range(500)]}
    skewed = type(plain)(plain.documents, plain.queries, many)
    before, after = (mine(given, denoise={"reranker": reranker}) for given in (plain, skewed))
    others = pl.col("query_id") != "q0"
    left, right = (mined.ledger.filter(others) for mined in (after, before))
    assert left.drop("p_false_negative").equals(right.drop("p_false_negative"))
    apart = (left["p_false_negative"] - right["p_false_negative"]).abs().to_numpy()
    assert np.nanmax(apart) < 1e-3, "products of other shapes round apart"
    assert {item["doc_id"] for item in after.train["q0"]["positives"]} == set(many["q0"])
    assert len(after.train["q0"]["positives"]) == 500
    assert len(after.train) == 40


TWINS: dict[str, tuple[str | tuple[str, str], ...]] = {
    "case": ("The liver makes bile.", "the LIVER makes bile"),
    "space": ("The heart pumps blood.", "The  heart\npumps blood ."),
    "width": ("The lung takes air.", "Ｔｈｅ lung takes air."),
    "title": (("Bones", "They hold calcium."), "Bones They hold calcium."),
    "titles": (("Skin", "It keeps water in."), ("Skin It", "keeps water in")),
}


@pytest.mark.parametrize("policy", ["absolute", "spread"])
def test_equal_text_under_another_id_is_never_a_negative_of_its_twins_query(
    mine: Mine, tiny: Collection, policy: str
) -> None:
    twins = {f"{name} {i}": text for name, pair in TWINS.items() for i, text in enumerate(pair)}
    queries = {twin: f"what does {text} say" for twin, text in twins.items()}
    given = type(tiny)({**tiny.documents, **twins}, queries, {twin: [twin] for twin in twins})
    settings = {"num_negatives": 50, "margin_policy": policy, "margin": 0, "near_positive_limit": 0}
    mined = mine(given, mine=settings, clean={"adversarial": False})  # a few words over and over
    for name in TWINS:
        one, other = f"{name} 0", f"{name} 1"
        assert (mined.reasons(one)[other], mined.reasons(other)[one]) == ("positive_text", "positive_text")
        assert not {one, other} & {*mined.negatives(one), *mined.negatives(other)}
        assert mined.negatives(one)
        assert mined.negatives(other)


@pytest.mark.parametrize("policy", ["absolute", "relative", "spread"])
def test_nearly_equal_text_under_another_id_is_never_a_negative(mine: Mine, tiny: Collection, policy: str) -> None:
    text = " and ".join(
        f"the {first} of a {second}" for first, second in itertools.combinations(("cell", "gene", *"abcde"), 2)
    )
    twins = {"one": text, "edited": f"{text} (seen in May)", "cut": " ".join(text.split()[:-4])}
    given = type(tiny)({**tiny.documents, **twins}, {"q": "what is said of the livercell"}, {"q": ["one"]})
    settings = {"num_negatives": 50, "margin_policy": policy, "margin": 0, "near_positive_limit": 0}
    mined = mine(given, mine=settings, clean={"adversarial": False})  # a few words over and over
    assert {mined.reasons("q")[twin] for twin in ("edited", "cut")} == {"near_text"}
    assert mined.negatives("q")
    assert not {*twins} & {*mined.negatives("q")}


def test_positives_of_a_query_in_other_words_are_no_negatives(mine: Mine, tiny: Collection) -> None:
    queries = {"a": "How can I reset the router password?", "b": "how do i reset the password of the router"}
    mined = mine(type(tiny)(tiny.documents, queries, {"a": ["d1"], "b": ["d2"]}), mine=NO_MARGIN)
    assert (mined.reasons("a")["d2"], mined.reasons("b")["d1"]) == ("sibling_positive", "sibling_positive")


def test_equal_texts_with_other_titles_are_twins_when_only_the_text_is_read(mine: Mine, tiny: Collection) -> None:
    documents = {**tiny.documents, "one": ("Liver", "It makes bile."), "other": ("Organs", "It makes bile.")}
    given = type(tiny)(documents, {"q": "what makes bile"}, {"q": ["one"]})
    mined = mine(given, mine=NO_MARGIN, teacher={"document_template": "{text}"})
    assert mined.reasons("q")["other"] == "positive_text"


def test_the_very_same_text_under_another_id_is_one_document(mine: Mine, tiny: Collection) -> None:
    documents = {**tiny.documents, "one": "It makes bile.", "other": "It makes bile."}
    given = type(tiny)(documents, {"a": "what makes bile", "b": "bile is made"}, {"a": ["one"], "b": ["other"]})
    mined = mine(given, mine={"num_negatives": 59, **NO_MARGIN})
    assert mined.dropped.filter(pl.col("reason") == "duplicate_text")["key"].to_list() == ["other"]
    for query in ("a", "b"):
        assert [item["doc_id"] for item in mined.train[query]["positives"]] == ["one"]
        assert "It makes bile." not in [item["text"] for item in mined.train[query]["negatives"]]


def test_a_positive_that_is_in_the_corpus_with_other_spaces_is_no_negative(
    mine: Mine, tiny: Collection, tmp_path: Path
) -> None:
    rows = [{"id": key, "text": text} for key, text in {**tiny.documents, "there": "It makes  bile."}.items()]
    pl.DataFrame(rows).write_parquet(tmp_path / "corpus.parquet")
    pairs = pl.DataFrame({"anchor": ["what makes bile"], "positive": ["It makes bile"]})
    pairs.write_parquet(tmp_path / "pairs.parquet")
    given = {name: str(tmp_path / f"{name}.parquet") for name in ("corpus", "pairs")}
    mined = mine(given, mine=NO_MARGIN)
    (query,) = mined.train
    assert mined.reasons(query)["there"] == "positive_text"


def test_a_window_smaller_than_the_negatives_wanted_is_made_deeper(mine: Mine, tiny: Collection) -> None:
    mined = mine(tiny, mine={"candidates": 1, "num_negatives": 10, **NO_MARGIN})
    assert sum(len(mined.negatives(query)) == 10 for query in tiny.queries) >= 10


def test_queries_with_several_positives_have_one_row_and_each_positive_once(mine: Mine, tiny: Collection) -> None:
    mined = mine(tiny)
    assert list(mined.train) == list(tiny.queries)
    for query, row in mined.train.items():
        assert sorted(item["doc_id"] for item in row["positives"]) == sorted(tiny.positives[query])
