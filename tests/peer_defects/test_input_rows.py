"""D3, D9, D17, D18: rows that cannot be used are dropped with their reason or refused; very many are counted."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from datagen.errors import InputError
from datagen.report.ledger import count_ledger
from datagen.selection.denoise import measure_scale

if TYPE_CHECKING:
    from tests.peer_defects.conftest import Collection, Mine

MANY = 2**24 + 1000


def test_d03_more_than_16_million_scores_are_counted(tmp_path: Path) -> None:
    rows = pl.LazyFrame({"row": np.arange(MANY, dtype=np.uint32)}).select(
        teacher_score=(pl.col("row") / MANY).cast(pl.Float32),
        rank=pl.lit(1, pl.Int32),
        decision=pl.lit("negative"),
        reason=pl.lit("selected"),
        query_id=pl.lit("q"),
        doc_id=pl.lit("d"),
        tier=pl.lit("hard"),
        sources=pl.lit(None, pl.List(pl.Struct({"source": pl.String, "rank": pl.Int32, "score": pl.Float32}))),
    )
    rows.sink_parquet(tmp_path / "part.parquet", compression="uncompressed")
    counts = count_ledger(tmp_path, 1, (5,), 1)
    assert counts["negatives"] == MANY
    assert counts["teacher_score_of_negatives"] == {"5%": 0.05, "25%": 0.25, "50%": 0.5, "75%": 0.75, "95%": 0.95}


def test_d03_more_than_16_million_positives_give_a_scale() -> None:
    scale = measure_scale(np.arange(MANY, dtype=np.float64))
    assert float(scale.scores(0.05 * MANY)) == pytest.approx(0.05 * MANY, rel=1e-6)
    assert float(scale.scores(MANY)) == MANY - 1


EMPTY = {"none": "", "spaces": " \t\n", "nothing to see": "\u200b\u200d", "control": "\x00\x07"}


def test_d09_empty_queries_are_dropped_with_their_reason_and_not_mined(mine: Mine, tiny: Collection) -> None:
    with_empty = type(tiny)(
        tiny.documents, {**tiny.queries, **EMPTY}, {**tiny.positives, **{key: ["d0"] for key in EMPTY}}
    )
    mined = mine(with_empty)
    assert list(mined.train) == list(tiny.queries)
    assert set(mined.ledger["query_id"]) == set(tiny.queries)
    told = mined.dropped.filter(pl.col("reason") == "empty_text")
    assert told["key"].to_list() == list(EMPTY)
    assert [json.loads(payload)["query"] for payload in told["payload"]] == list(EMPTY.values())


def test_d09_pairs_without_a_query_are_dropped_with_their_reason(mine: Mine, tmp_path: Path) -> None:
    rows = [{"anchor": text, "positive": f"answer {i}"} for i, text in enumerate(["what", "", None, "  ", "how"])]
    pl.DataFrame(rows).write_parquet(tmp_path / "pairs.parquet")
    mined = mine({"pairs": str(tmp_path / "pairs.parquet")})
    assert [row["query"] for row in mined.train.values()] == ["what", "how"]
    assert mined.dropped.filter(pl.col("stage") == "clean", pl.col("reason") == "empty_text").height >= 1


@pytest.mark.parametrize("form", ["beir", "parquet", "pairs"])
def test_d17_a_text_column_of_another_name_is_refused(mine: Mine, tiny: Collection, tmp_path: Path, form: str) -> None:
    folder = tiny.write(tmp_path / "beir")
    rows = [{"_id": key, "title": "", "document_text": text} for key, text in tiny.documents.items()]
    if form == "beir":
        (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)))
        given = {"beir": str(folder)}
    elif form == "parquet":
        pl.DataFrame(rows).write_parquet(folder / "corpus.parquet")
        given = {"corpus": "corpus.parquet", "queries": "queries.jsonl", "qrels": "qrels/train.tsv"}
        given = {key: str(folder / name) for key, name in given.items()}
    else:
        pl.DataFrame([{"query": "what", "answer_text": "that"}]).write_parquet(folder / "pairs.parquet")
        given = {"pairs": str(folder / "pairs.parquet")}
    with pytest.raises(InputError, match=r"has no column for .* it has .*(document_text|answer_text)"):
        mine(given)


def test_d17_documents_without_text_are_dropped_and_never_trained_on(
    mine: Mine, tiny: Collection, tmp_path: Path
) -> None:
    folder = tiny.write(tmp_path / "beir")
    without: list[dict[str, object]] = [
        {"_id": "a", "document_text": "liver"},
        {"_id": "b", "text": ""},
        {"_id": "c", "text": None, "title": " "},
    ]
    with (folder / "corpus.jsonl").open("a") as file:
        file.writelines("\n" + json.dumps(row) for row in without)
    mined = mine({"beir": str(folder)}, mine={"num_negatives": 50, "margin_policy": "absolute"})
    assert set(mined.dropped.filter(pl.col("reason") == "empty_text")["key"]) == {"a", "b", "c"}
    assert set(mined.ledger["doc_id"]) == set(tiny.documents)
    assert all(item["text"] for row in mined.train.values() for item in (*row["positives"], *row["negatives"]))


def test_d17_a_corpus_of_empty_texts_is_refused(mine: Mine, tiny: Collection) -> None:
    empty = type(tiny)(dict.fromkeys(tiny.documents, ""), tiny.queries, tiny.positives)
    with pytest.raises(InputError, match=r"none of the 60 documents can be used \(60 empty_text\)"):
        mine(empty)


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_d18_lists_of_positives_are_all_positives(mine: Mine, tmp_path: Path, suffix: str) -> None:
    rows = [
        {"question": "liver pain", "answers": ["the liver aches", "pain of the liver", None, "the liver aches"]},
        {"question": "red car", "answers": ["a car that is red"]},
        {"question": "nothing", "answers": []},
    ]
    file = tmp_path / f"pairs.{suffix}"
    if suffix == "parquet":
        pl.DataFrame(rows).write_parquet(file)
    else:
        file.write_text("\n".join(map(json.dumps, rows)))
    named = {"anchor_column": "question", "positive_column": "answers"}
    mined = mine({"pairs": str(file), **named}, mine={"margin_policy": "absolute", "margin": 0})
    texts = {
        row["query"]: [{item["text"] for item in row[side]} for side in ("positives", "negatives")]
        for row in mined.train.values()
    }
    liver, car = {"the liver aches", "pain of the liver"}, {"a car that is red"}
    assert texts == {"liver pain": [liver, car], "red car": [car, liver]}


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_d18_positives_that_are_dictionaries_are_refused(mine: Mine, tmp_path: Path, suffix: str) -> None:
    rows = [{"query": "liver pain", "positive": [{"docid": "d1", "text": "the liver aches"}]}]
    file = tmp_path / f"pairs.{suffix}"
    if suffix == "parquet":
        pl.DataFrame(rows).write_parquet(file)
    else:
        file.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(InputError, match="not lists of texts"):
        mine({"pairs": str(file)})


def test_d18_positives_that_are_lists_of_lists_are_refused(mine: Mine, tmp_path: Path) -> None:
    pl.DataFrame([{"query": "liver", "positive": [["the liver aches"]]}]).write_parquet(tmp_path / "pairs.parquet")
    with pytest.raises(InputError):
        mine({"pairs": str(tmp_path / "pairs.parquet")})


TEXTS = [
    "👩‍👩‍👧‍👦 a family, 🏳️‍🌈 a flag, 🇩🇪 another, 🧑🏽‍🚀 up there",
    "مرحبا بالعالم",
    "नमस्ते दुनिया",
    "日本語のテキスト、全角！",
    "Zürich – „naïve“ café…",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝛼+𝛽 ≠ ∅",
    "zero\u200bwidth and soft\u00adhyphen and no\u00a0break",
    "two\nlines\tand a tab",
    'quotes " and \\ and \\n and {"json": "like"}',
    "{braces} {title} {{text}}",
]


@pytest.mark.parametrize("form", ["beir", "pairs"])
def test_texts_of_all_scripts_reach_train_byte_for_byte(
    mine: Mine, tiny: Collection, tmp_path: Path, form: str
) -> None:
    assert all(unicodedata.is_normalized("NFC", text) for text in TEXTS)
    queries = {f"q{i}": f"{text} ?" for i, text in enumerate(TEXTS)}
    documents = {f"d{i}": text for i, text in enumerate(TEXTS)}
    if form == "beir":
        given = {
            "beir": str(type(tiny)(documents, queries, {f"q{i}": [f"d{i}"] for i in range(10)}).write(tmp_path / "b"))
        }
    else:
        frame = pl.DataFrame({"anchor": list(queries.values()), "positive": TEXTS})
        frame.write_parquet(tmp_path / "pairs.parquet")
        given = {"pairs": str(tmp_path / "pairs.parquet")}
    train = list(mine(given, mine={"num_negatives": 9, "margin_policy": "absolute", "margin": 0}).train.values())
    assert [row["query"].encode() for row in train] == [text.encode() for text in queries.values()]
    assert [row["positives"][0]["text"].encode() for row in train] == [text.encode() for text in TEXTS]
    negatives = {item["text"].encode() for row in train for item in row["negatives"]}
    assert negatives == {text.encode() for text in TEXTS}
