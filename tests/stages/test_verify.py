"""The verify stage on a real run folder, and within whole runs, with a teacher that needs no weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl
import pytest

from datagen import pipeline, shards
from datagen.backends.registry import Registry
from datagen.config import RunConfig, VerifyConfig, build_config
from datagen.errors import InputError
from datagen.progress import SilentProgress
from datagen.run_folder import Counts, StageRecord, open_run
from datagen.stages.base import Stage, Surroundings, Work
from datagen.stages.mine import Mine
from datagen.stages.verify import Verify

Row: TypeAlias = dict[str, Any]  # Any: texts and numbers
Tables: TypeAlias = dict[str, pl.DataFrame]
Run: TypeAlias = Callable[..., tuple[Counts, Tables]]

STAGE: Stage = Verify()
TOPICS = ["liver", "heart", "lung", "bone", "skin", "nerve", "kidney", "tooth"]
CORPUS = [f"{topic} {word} {topic} text" for topic in TOPICS for word in ("pain", "cure", "gene", "test")]


def _config(tmp_path: Path, **values: object) -> RunConfig:
    base = {"out": tmp_path / "run", "cache": tmp_path / "cache", "input": {"beir": "x"}}
    return build_config({**base, "teacher": {"model": "datagen.testing:HashingTeacher"}, **values})


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the stage after a generate stage that wrote these queries and pairs over the corpus d0, d1 …"""

    def call(
        queries: Sequence[Row], pairs: Sequence[Row], rank: int | None = 3, block: int = 512, **verify: object
    ) -> tuple[Counts, Tables]:
        config = _config(tmp_path, verify={"round_trip_rank": rank, **verify}, mine={"query_block": block})
        corpus = [{"doc_id": f"d{n}", "title": None, "text": text, "origin": "test"} for n, text in enumerate(CORPUS)]
        with open_run(config.out) as folder:
            for name, rows in {"corpus": corpus, "queries": queries, "pairs": pairs}.items():
                frame = pl.DataFrame(rows, infer_schema_length=None)
                shards.write_parts(folder.stages / "generate" / name, name, [frame])
            work = Work(
                "verify",
                Surroundings(config, Registry(config), SilentProgress(), folder),
                ["generate"],
                folder.partial("verify", "print"),
            )
            counts = STAGE.run(work)
            folder.commit(StageRecord("verify", "print", {}, counts, 0.0))
            done = folder.stages / "verify"
            written = [name for name in STAGE.writes if (done / name).exists()]
            return counts, {name: shards.read(done / name) for name in written}

    return call


def _query(query_id: str, text: str, origin: str = "generated") -> Row:
    return {"query_id": query_id, "query": text, "origin": origin}


def _pair(query_id: str, doc_id: str, relevance: float = 1.0, source: str = "generated") -> Row:
    return {"query_id": query_id, "doc_id": doc_id, "relevance": relevance, "source": source}


GOOD = _query("good", "liver pain")
GOOD_PAIR = _pair("good", "d0")


def _payload(dropped: pl.DataFrame, row: int = 0) -> Row:
    return dict(json.loads(dropped["payload"][row]))


def test_a_query_that_does_not_find_its_passage_is_dropped_with_all_its_pairs(run: Run) -> None:
    lost = _query("lost", "tooth test")
    counts, tables = run([GOOD, lost], [GOOD_PAIR, _pair("lost", "d4"), _pair("lost", "d31", 0.0)])
    assert tables["queries"]["query_id"].to_list() == ["good"]
    assert tables["pairs"].rows() == [("good", "d0", 1.0, "generated")]
    assert tables["dropped"].select("stage", "key", "reason").rows() == [("verify", "lost", "round_trip")]
    payload = _payload(tables["dropped"])
    assert (payload["query"], payload["wanted_rank"]) == ("tooth test", 3)
    assert [(item["doc_id"], item["rank"]) for item in payload["positives"]] == [("d4", 0)]
    assert -1 <= payload["positives"][0]["score"] < 0.9
    assert (counts["queries_checked"], counts["queries_dropped"]) == (2, 1)
    assert counts["rank_of_positives"]["5%"] == 1
    assert counts["rank_of_positives"]["95%"] == 4
    assert counts["tables"]["generated queries"] == {"given": 2, "kept": 1, "dropped": {"round_trip": 1}}


def test_a_query_with_one_passage_found_loses_only_the_other_pair(run: Run) -> None:
    counts, tables = run([GOOD], [GOOD_PAIR, _pair("good", "d31")])
    assert tables["queries"]["query_id"].to_list() == ["good"]
    assert tables["pairs"]["doc_id"].to_list() == ["d0"]
    assert tables["dropped"].select("key", "reason").rows() == [("good\td31", "round_trip")]
    assert _payload(tables["dropped"])["doc_id"] == "d31"
    assert (counts["queries_dropped"], counts["positives_checked"], counts["positives_dropped"]) == (0, 2, 1)
    assert counts["tables"]["positives of the others"] == {"given": 2, "kept": 1, "dropped": {"round_trip": 1}}


def test_a_pair_in_doubt_is_no_negative_either(run: Run, tmp_path: Path) -> None:
    run([GOOD], [GOOD_PAIR, _pair("good", "d31")])
    config = _config(tmp_path)
    with open_run(config.out) as folder:
        around = Surroundings(config, Registry(config), SilentProgress(), folder)
        work = Work("mine", around, ["generate", "verify"], folder.partial("mine", "print"))
        Mine().run(work)
        ledger = shards.read(work.partial / "candidates")
    reasons = dict(ledger.select("doc_id", "reason").iter_rows())
    assert (reasons["d0"], reasons["d31"]) == ("known_positive", "positive_text")
    assert list(reasons.values()).count("positive_text") == 1


@pytest.mark.parametrize(("negative", "is_dropped"), [("d0", True), ("d1", False)], ids=["above", "below"])
def test_a_written_negative_must_score_below_the_positive(run: Run, negative: str, is_dropped: bool) -> None:
    positive = "d3" if is_dropped else "d0"
    counts, tables = run([GOOD], [_pair("good", positive), _pair("good", negative, 0.0)], rank=10)
    assert ("negative_above_positive" in tables["dropped"]["reason"].to_list()) == is_dropped
    assert (negative in tables["pairs"]["doc_id"].to_list()) != is_dropped
    assert (counts["negatives_checked"], counts["negatives_dropped"]) == (1, int(is_dropped))
    if is_dropped:
        payload = _payload(tables["dropped"])
        assert payload["score"] > payload["positive_score"]
        assert tables["dropped"]["key"].to_list() == ["good\td0"]


def test_a_negative_that_scores_as_its_positive_is_dropped(run: Run) -> None:
    _, tables = run([GOOD], [GOOD_PAIR, _pair("good", "d0", 0.0)])
    assert tables["pairs"]["relevance"].to_list() == [1.0]


def test_what_the_user_brought_is_never_judged(run: Run) -> None:
    own = _query("own", "tooth test", origin="queries.jsonl")
    judged = [_pair("own", "d4", source="qrels"), _pair("own", "d31", 0.0, source="qrels")]
    _, tables = run([own, GOOD], [*judged, GOOD_PAIR])
    assert tables["queries"]["query_id"].to_list() == ["own", "good"]
    assert tables["pairs"].height == 3
    assert tables["dropped"].is_empty()


def test_a_negative_written_for_a_query_of_the_user_is_judged_and_the_query_stays(run: Run) -> None:
    own = _query("own", "tooth test", origin="pairs.jsonl")
    pairs = [_pair("own", "d4", source="pairs"), _pair("own", "d31", 0.0), _pair("own", "d31", 0.0, source="qrels")]
    counts, tables = run([own], pairs)
    assert tables["queries"]["query_id"].to_list() == ["own"]
    assert tables["pairs"]["source"].to_list() == ["pairs", "qrels"]
    assert counts["queries_checked"] == 0
    assert counts["negatives_dropped"] == 1


def _own(n: int = 4) -> tuple[list[Row], list[Row]]:
    """Queries of the user: `lost` is labelled with a passage that other queries are after, and so many with theirs."""
    queries = [_query("lost", "tooth test", origin="queries.jsonl")]
    queries += [_query(f"own{k}", f"liver pain {word}", origin="queries.jsonl") for k, word in enumerate("abcdefg"[:n])]
    return queries, [_pair("lost", "d0", source="qrels"), *(_pair(f"own{k}", "d0", 2.0, "qrels") for k in range(n))]


def test_a_positive_of_the_user_that_fails_in_both_directions_is_dropped_on_request(run: Run) -> None:
    queries, pairs = _own()
    counts, tables = run(queries, pairs, check_positives="drop")
    assert tables["queries"]["query_id"].to_list() == [f"own{k}" for k in range(4)]
    assert set(tables["pairs"]["query_id"]) == {f"own{k}" for k in range(4)}
    assert tables["dropped"].select("key", "reason").rows() == [("lost", "inconsistent_positive")]
    assert _payload(tables["dropped"])["positives"][0]["doc_id"] == "d0"
    assert (counts["own_positives_checked"], counts["own_positives_inconsistent"]) == (5, 1)
    assert counts["queries_checked"] == counts["queries_dropped"] == 0
    own = counts["tables"]["positives of your own"]
    assert own == {"given": 5, "kept": 4, "dropped": {"inconsistent_positive": 1}}


def test_a_positive_that_is_found_in_one_direction_stays(run: Run) -> None:
    queries, pairs = _own(n=2)  # among the three queries nearest to the passage: there are only three
    counts, tables = run(queries, pairs, check_positives="drop")
    assert tables["pairs"].height == 3
    assert counts["own_positives_inconsistent"] == 0
    queries, pairs = _own()
    _, tables = run(queries, [_pair("lost", "d31", source="qrels"), *pairs[1:]], check_positives="drop")
    assert tables["dropped"].is_empty()


def test_a_query_with_another_positive_loses_only_the_one_that_fails(run: Run) -> None:
    queries, pairs = _own()
    _, tables = run(queries, [*pairs, _pair("lost", "d31", source="qrels")], check_positives="drop")
    assert tables["queries"].height == 5
    assert tables["dropped"].select("key", "reason").rows() == [("lost\td0", "inconsistent_positive")]
    assert ("lost", "d31") in tables["pairs"].select("query_id", "doc_id").rows()


def test_a_positive_that_fails_may_weigh_less_instead(run: Run) -> None:
    queries, pairs = _own()
    counts, tables = run(queries, pairs, check_positives="weigh", positive_weight=0.25)
    assert tables["queries"].height == 5
    assert tables["pairs"]["relevance"].to_list() == [0.25, 2.0, 2.0, 2.0, 2.0]
    assert tables["dropped"].is_empty()
    assert counts["own_positives_inconsistent"] == 1
    assert counts["tables"]["positives of your own"]["dropped"] == {}


def test_the_users_positives_are_checked_alone_where_generated_ones_are_not(run: Run) -> None:
    queries, pairs = _own()
    lost = _query("generated", "tooth test")
    _, tables = run([*queries, lost], [*pairs, _pair("generated", "d4")], check_positives="drop", enabled=False)
    assert tables["dropped"]["key"].to_list() == ["lost"]
    assert "generated" in tables["queries"]["query_id"].to_list()


def test_blocks_of_queries_do_not_change_which_positives_fail(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    queries, pairs = _own(n=7)
    whole = run(queries, pairs, check_positives="drop")
    monkeypatch.setattr("datagen.stages.verify.QUERY_BLOCK", 2)
    assert run(queries, pairs, check_positives="drop")[0] == whole[0]


def test_nothing_is_written_where_nothing_was_generated(run: Run) -> None:
    own = _query("own", "tooth test", origin="queries.jsonl")
    counts, tables = run([own], [_pair("own", "d4", source="qrels")])
    assert tables == {}
    assert counts == {"queries_checked": 0, "negatives_checked": 0}


def test_a_run_whose_queries_all_fail_stops_and_says_which_setting(run: Run) -> None:
    with pytest.raises(InputError, match=r"none of the 1 queries among the first 3 .*round_trip_rank"):
        run([_query("lost", "tooth test")], [_pair("lost", "d4")])


def test_blocks_do_not_change_what_is_kept(run: Run) -> None:
    queries = [_query(f"q{n}", CORPUS[n % 32] if n % 3 else "tooth test") for n in range(1400)]
    pairs = [_pair(f"q{n}", f"d{n % 32}") for n in reversed(range(1400))]
    small, large = run(queries, pairs, block=512), run(queries, pairs, block=4096)
    assert small[0] == large[0]
    for name in STAGE.writes:
        assert small[1][name].equals(large[1][name]), name
    assert 0 < small[0]["queries_dropped"] < 467
    assert small[1]["queries"]["query_id"].to_list() == [
        query["query_id"] for query in queries if query["query_id"] in set(small[1]["pairs"]["query_id"])
    ]


@pytest.mark.parametrize(
    ("given", "documents", "rank"),
    [(None, 5, 5), (None, 1_000, 20), (None, 20_001, 21), (None, 1_000_000, 1000), (7, 1_000_000, 7), (7, 3, 3)],
)
def test_the_rank_grows_with_the_corpus_unless_given(given: int | None, documents: int, rank: int) -> None:
    assert VerifyConfig(round_trip_rank=given).resolved_rank(documents) == rank


@pytest.fixture
def passages(tmp_path: Path) -> Path:
    words = [f"{topic}{number}" for topic in TOPICS for number in range(12)]
    texts = [
        " ".join(
            f"The {words[(7 * n + k) % 96]} of the {words[(5 * n + 3 * k) % 96]} was seen in {1900 + n}."
            for k in range(6)
        )
        for n in range(60)
    ]
    path = tmp_path / "passages.jsonl"
    path.write_text("\n".join(json.dumps({"_id": f"p{n}", "text": text}) for n, text in enumerate(texts)))
    return path


def _whole_run(tmp_path: Path, passages: Path, **verify: object) -> tuple[RunConfig, dict[str, Counts]]:
    denoise = {"reranker": "datagen.testing:OverlapReranker"}
    config = _config(tmp_path, input={"corpus": str(passages)}, denoise=denoise, verify=verify)
    return config, {record.name: record.counts for record in pipeline.run(config).records}


def test_in_a_whole_run_what_fails_is_neither_trained_on_nor_a_negative(tmp_path: Path, passages: Path) -> None:
    config, counts = _whole_run(tmp_path, passages, round_trip_rank=1)
    assert counts["verify"]["queries_dropped"] > 0
    dropped = shards.read(config.out / "dropped").filter(pl.col("stage") == "verify")
    trained = shards.read(config.out / "train")
    whole = dropped.filter(~pl.col("key").str.contains("\t"))
    assert len(whole) == counts["verify"]["queries_dropped"]
    assert set(whole["key"]) & set(trained["query_id"]) == set()
    assert len(trained) + len(whole) == counts["generate"]["accepted"]
    single = dropped.filter(pl.col("key").str.contains("\t"))["key"].to_list()
    assert len(single) == counts["verify"]["positives_dropped"]
    ledger = shards.read(config.out / "candidates")
    reasons = ledger.filter(pl.concat_str("query_id", "doc_id", separator="\t").is_in(single))["reason"]
    assert set(reasons) == {"positive_text"}


def test_switched_off_it_is_left_out_and_what_it_dropped_is_back(tmp_path: Path, passages: Path) -> None:
    _, counts = _whole_run(tmp_path, passages, round_trip_rank=1)
    assert counts["verify"]["queries_dropped"] > 0
    config, counts = _whole_run(tmp_path, passages, enabled=False)
    assert "verify" not in counts
    assert shards.read(config.out / "train").height == counts["generate"]["accepted"]
    assert (shards.read(config.out / "dropped")["stage"] != "verify").all()
