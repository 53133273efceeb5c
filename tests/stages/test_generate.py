"""The generate stage on a real run folder: what it writes, counts, keeps of earlier stages, and refuses."""

from __future__ import annotations

import asyncio
import gc
import gzip
import hashlib
import importlib.resources
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, cast

import polars as pl
import pytest

from datagen import shards
from datagen.backends.llm_extractive import ExtractiveLLM
from datagen.backends.protocols import LLM, Backends, LLMReply, LLMRequest
from datagen.config import RunConfig, build_config
from datagen.errors import BackendError, ConfigError, InputError
from datagen.generation import output
from datagen.generation import passages as stored
from datagen.progress import SilentProgress
from datagen.run_folder import Counts, open_run
from datagen.settings.generate import GenerateConfig
from datagen.stages.base import Stage, Surroundings, Work
from datagen.stages.generate import OBJECTS_BETWEEN_COLLECTIONS, Generate, _rare_collections
from datagen.tables import CORPUS, DROPPED, PAIRS, QUERIES

STAGE: Stage = Generate()
SCHEMAS = {"corpus": CORPUS, "queries": QUERIES, "pairs": PAIRS, "dropped": DROPPED}
Row: TypeAlias = dict[str, Any]  # Any: texts and numbers


@dataclass
class OneLLM:
    """The backends of a run that has an LLM and nothing else."""

    built: LLM

    def llm(self) -> LLM:
        return self.built

    def close(self) -> None:
        pass


@dataclass
class ScriptedLLM:
    """Answers every request with a function of it, now and then later than those that come after it."""

    answer: Callable[[LLMRequest], LLMReply]
    name: str = "scripted"
    asked: list[LLMRequest] = field(default_factory=list)

    async def complete(self, request: LLMRequest) -> LLMReply:
        self.asked.append(request)
        for _ in range(len(self.asked) % 3):
            await asyncio.sleep(0)
        return self.answer(request)


Run = Callable[..., tuple[Counts, dict[str, pl.DataFrame]]]


@pytest.fixture
def passages() -> list[Row]:
    sample = importlib.resources.files("datagen") / "data" / "medquad_sample.jsonl.gz"
    lines = gzip.decompress(sample.read_bytes()).decode().splitlines()[:120]
    return [
        {"doc_id": row["_id"], "title": None, "text": row["text"], "language": "en", "origin": "medquad"}
        for row in map(json.loads, lines)
    ]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the stage after a clean stage that wrote these tables; counts, and the tables that the stage wrote."""

    def call(
        corpus: Sequence[Row], llm: LLM | None = None, earlier: dict[str, list[Row]] | None = None, **values: object
    ) -> tuple[Counts, dict[str, pl.DataFrame]]:
        config = _config(**values)
        with open_run(tmp_path / hashlib.sha256(repr((corpus, values)).encode()).hexdigest()[:8]) as folder:
            for name, rows in {"corpus": list(corpus), **(earlier or {})}.items():
                frame = pl.DataFrame(rows, infer_schema_length=None) if rows else SCHEMAS[name].empty_table()
                shards.write_parts(folder.stages / "clean" / name, name, [frame])
            (folder.stages / "clean" / "stage.json").write_text("{}")
            backends = cast(Backends, OneLLM(llm or ExtractiveLLM(config.generate)))
            around = Surroundings(config, backends, SilentProgress(), folder)
            work = Work("generate", around, ["clean"], folder.partial("generate", "print"))
            counts = STAGE.run(work)
            written = [name for name in STAGE.writes if (work.partial / name).exists()]
            return counts, {name: shards.read(work.partial / name) for name in written}

    return call


def _config(**values: object) -> RunConfig:
    seed = values.pop("seed", 42)
    return build_config({"out": "run", "input": {"corpus": "x"}, "seed": seed, "generate": values})


def _slots(queries: pl.DataFrame, name: str) -> pl.Series:
    return queries["slots"].str.json_path_match(f"$.{name}")


def _reply(request: LLMRequest, **fields: object) -> LLMReply:
    return LLMReply(request.row_id, json.dumps(fields))


def _row(doc_id: str, text: str) -> Row:
    return {"doc_id": doc_id, "text": text, "origin": "test"}


def test_tables_have_the_columns_of_the_contract(run: Run, passages: list[Row]) -> None:
    counts, tables = run(passages)
    assert {name: frame.columns for name, frame in tables.items()} == {name: s.names for name, s in SCHEMAS.items()}
    queries = tables["queries"]
    assert queries["query_id"].is_unique().all()
    assert queries["query_id"].str.contains("^g-[0-9a-f]{16}$").all()
    assert set(queries["origin"]) == {"generated"}
    assert set(queries["generator"]) == {"extractive"}
    assert set(queries["language"]) == {"en"}
    assert set(_slots(queries, "kind")) == set(GenerateConfig().mix)
    assert counts["accepted"] == len(queries)


def test_counts_add_up(run: Run, passages: list[Row]) -> None:
    counts, tables = run(passages, queries_per_passage=3)
    assert counts["passages"] == len(passages)
    assert counts["asked"] == 3 * len(passages) == counts["accepted"] + counts["rejected"]
    assert sum(kind["queries"] for kind in counts["kinds"].values()) == counts["accepted"]
    assert sum(counts["rejected_by_reason"].values()) == counts["rejected"] == len(tables["dropped"])
    assert counts["new_passages"] == len(tables["corpus"]) - len(passages)
    assert counts["kinds"]["salient_sentence"]["copied"] == 1.0
    assert counts["kinds"]["inverse_cloze"]["overlap"] < 0.7 < counts["kinds"]["keywords"]["overlap"]
    json.dumps(counts)


def test_every_query_has_its_passage_as_a_positive(run: Run, passages: list[Row]) -> None:
    _, tables = run(passages)
    parents = pl.DataFrame({"query_id": tables["queries"]["query_id"], "doc_id": _slots(tables["queries"], "doc_id")})
    pairs = tables["pairs"]
    assert len(parents.join(pairs, on=["query_id", "doc_id"])) == len(parents)
    assert set(pairs["relevance"]) == {1.0}
    assert set(pairs["source"]) == {"generated"}
    assert set(pairs["doc_id"]) <= set(tables["corpus"]["doc_id"])
    assert set(pairs["query_id"]) == set(tables["queries"]["query_id"])
    assert not pairs.select("query_id", "doc_id").is_duplicated().any()


def test_inverse_cloze_writes_the_shortened_passage_beside_its_parent(run: Run, passages: list[Row]) -> None:
    _, tables = run(passages, mix={"inverse_cloze": 1}, cloze_keep=0)
    texts = dict(tables["corpus"].select("doc_id", "text").iter_rows())
    new = tables["corpus"].filter(pl.col("doc_id").str.contains("#cloze-"))
    assert set(new["origin"]) == {"generate:inverse_cloze"}
    queries = tables["pairs"].join(tables["queries"], on="query_id").join(new, on="doc_id")
    assert len(queries) == len(new) == len(tables["queries"])
    for row in queries.iter_rows(named=True):
        parent = json.loads(row["meta"])["parent"]
        assert row["doc_id"].startswith(f"{parent}#cloze-")
        assert json.loads(row["slots"])["span"] not in texts[row["doc_id"]]
        assert len(texts[row["doc_id"]]) < len(texts[parent])


def test_inverse_cloze_adds_no_passage_when_all_sentences_are_kept(run: Run, passages: list[Row]) -> None:
    counts, tables = run(passages, mix={"inverse_cloze": 1}, cloze_keep=1)
    assert counts["new_passages"] == 0
    assert tables["corpus"]["doc_id"].to_list() == [row["doc_id"] for row in passages]


def test_same_settings_give_the_same_bytes(run: Run, passages: list[Row]) -> None:
    first, again = run(passages), run(passages)
    assert first[0] == again[0]
    assert all(first[1][name].equals(again[1][name]) for name in first[1])


def test_order_of_the_passages_changes_no_row_but_which_twin_is_first(run: Run, passages: list[Row]) -> None:
    first, turned = run(passages)[1], run(passages[::-1])[1]
    in_both = [
        one["queries"].join(other["queries"], on="query_id", how="semi").sort("query_id")
        for one, other in ((first, turned), (turned, first))
    ]
    assert in_both[0].equals(in_both[1])
    for one, other in ((first, turned), (turned, first)):
        missing = set(other["queries"]["query_id"]) - set(one["queries"]["query_id"])
        assert missing <= set(one["dropped"].filter(pl.col("reason") == "duplicate_query")["key"])
        assert len(missing) < 5


def test_rows_come_in_corpus_order_whatever_the_order_of_replies(run: Run, passages: list[Row]) -> None:
    llm = ScriptedLLM(lambda request: _reply(request, query=f"about {request.slots['text'][:60]}"))
    _, tables = run(passages, llm, queries_per_passage=1)
    expected = [row["doc_id"] for row in passages]
    found = _slots(tables["queries"], "doc_id").to_list()
    assert found == [doc_id for doc_id in expected if doc_id in found]
    assert len(found) > 100
    assert set(tables["queries"]["generator"]) == {"extractive"}


def test_batches_and_parts_of_any_size_hold_the_same_rows(
    run: Run, passages: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(passages, seed=1)[1]
    monkeypatch.setattr(stored, "BATCH", 7)
    monkeypatch.setattr(output, "_ROWS_PER_PART", 20)
    in_parts = run(passages, seed=1)[1]
    assert all(whole[name].equals(in_parts[name]) for name in whole)


def test_query_that_is_asked_already_makes_its_passage_another_positive(run: Run) -> None:
    corpus = [_row("a", "Symptoms of gout. It hurts a lot."), _row("b", "Symptoms of Gout! They last for weeks.")]
    counts, tables = run(corpus, mix={"title_body": 1}, queries_per_passage=1)
    (query_id,) = tables["queries"]["query_id"]
    assert tables["pairs"].select("query_id", "doc_id").rows() == [(query_id, "a"), (query_id, "b")]
    assert tables["dropped"].select("stage", "reason").rows() == [("generate", "duplicate_query")]
    payload = json.loads(tables["dropped"]["payload"][0])
    assert (payload["doc_id"], payload["query"]) == ("b", "Symptoms of Gout!")
    assert counts["rejected_by_reason"] == {"duplicate_query": 1}


def test_queries_and_pairs_of_the_user_stay(run: Run) -> None:
    earlier = {
        "queries": [{"query_id": "q1", "query": "symptoms of gout", "origin": "user"}],
        "pairs": [{"query_id": "q1", "doc_id": "b", "relevance": 1.0, "source": "qrels"}],
    }
    corpus = [_row("a", "Symptoms of gout. It hurts a lot."), _row("b", "Signs of flu. It lasts for weeks.")]
    _, tables = run(corpus, earlier=earlier, mix={"title_body": 1}, queries_per_passage=1)
    assert tables["queries"]["query"].to_list() == ["symptoms of gout", "Signs of flu."]
    new = tables["queries"]["query_id"][1]
    assert tables["pairs"].select("query_id", "doc_id").rows() == [("q1", "b"), ("q1", "a"), (new, "b")]


def test_rejected_sample_is_kept_with_its_reason(run: Run) -> None:
    corpus = [_row("a", "Symptoms of gout. It hurts a lot."), _row("b", "Short.")]
    counts, tables = run(corpus, mix={"title_body": 1, "keywords": 1}, queries_per_passage=1)
    (row,) = tables["dropped"].iter_rows(named=True)
    assert row["reason"] in ("no_title", "no_keywords")
    payload = json.loads(row["payload"])
    assert payload["tried"] == {"title_body": "no_title", "keywords": "no_keywords"}
    assert payload["doc_id"] == "b"
    assert payload["query"] is None
    assert counts["not_possible_by_reason"] == {"no_title": 1, "no_keywords": 1}


def test_unusable_replies_are_counted_by_reason(run: Run) -> None:
    replies = {"a": "no JSON", "b": '["x"]', "c": '{"query": "word"}', "d": '{"query": "two words"}'}

    def answer(request: LLMRequest) -> LLMReply:
        return LLMReply(request.row_id, replies[request.slots["text"]])

    corpus = [_row(doc_id, doc_id) for doc_id in replies]
    counts, _ = run(corpus, ScriptedLLM(answer), mix={"keywords": 1}, queries_per_passage=1)
    assert counts["rejected_by_reason"] == {"not_json": 1, "not_an_object": 1, "too_few_words": 1}
    assert counts["accepted"] == 1


def test_an_llm_that_is_no_corpus_reader_is_only_asked(run: Run) -> None:
    llm = ScriptedLLM(lambda request: _reply(request, query="two words"))
    run([_row("a", "Some text.")], llm, queries_per_passage=1)
    assert [request.slots["text"] for request in llm.asked] == ["Some text."]


def test_a_broken_llm_stops_the_run(run: Run) -> None:
    def answer(request: LLMRequest) -> LLMReply:
        raise BackendError("the server is gone")

    with pytest.raises(BackendError, match="the server is gone"):
        run([_row("a", "Some text.")], ScriptedLLM(answer))


def test_stage_works_inside_a_running_event_loop(run: Run, passages: list[Row]) -> None:
    async def as_in_a_notebook() -> Counts:
        return run(passages[:5])[0]

    assert asyncio.run(as_in_a_notebook())["passages"] == 5


def test_nothing_accepted_says_why_and_which_settings(run: Run) -> None:
    with pytest.raises(
        InputError, match=r"any of the 2 passages \(no_typed_span 4\): .*generate\.mix.*min_query_words"
    ):
        run([_row("a", "Short."), _row("b", "Shorter.")], mix={"typed_span_question": 1})


def test_corpus_without_a_passage_is_refused(run: Run) -> None:
    with pytest.raises(InputError, match="the corpus holds no passage to write queries for"):
        run([])


def test_unknown_kind_is_refused_before_anything_runs() -> None:
    with pytest.raises(ConfigError, match="unknown query kind in generate.mix 'haiku': choose one of inverse_cloze"):
        STAGE.settings(_config(mix={"haiku": 1}), cast(Backends, object()))


def test_settings_name_all_that_changes_the_rows() -> None:
    settings = STAGE.settings(_config(seed=7), cast(Backends, object()))
    assert settings["seed"] == 7
    assert settings["llm"] == "extractive"
    assert settings.keys() == {*GenerateConfig.model_fields, "seed"}


def test_collections_are_rare_while_rows_are_written_and_then_as_before() -> None:
    before = gc.get_threshold()
    with pytest.raises(KeyError), _rare_collections():
        assert gc.get_threshold() == (OBJECTS_BETWEEN_COLLECTIONS, *before[1:])
        raise KeyError
    assert gc.get_threshold() == before
