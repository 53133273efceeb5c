from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from datagen.backends.llm_extractive import ExtractiveLLM
from datagen.backends.protocols import LLM, CorpusReader, LLMReply, LLMRequest
from datagen.generation.extractive.writers import KINDS
from datagen.settings.generate import GenerateConfig

TEXT = "Gout is a kind of arthritis that hurts. Crystals of uric acid grow in the joints of the foot. Rest helps a bit."


def _complete(llm: LLM, requests: Sequence[LLMRequest]) -> list[LLMReply]:
    async def collect() -> list[LLMReply]:
        return await asyncio.gather(*map(llm.complete, requests))

    return asyncio.run(collect())


def _ask(llm: LLM, **slots: str) -> LLMReply:
    (reply,) = _complete(llm, [LLMRequest("r", {"kind": "keywords", "text": TEXT, **slots})])
    return reply


@pytest.fixture
def llm() -> ExtractiveLLM:
    return ExtractiveLLM(GenerateConfig())


def test_it_reads_the_corpus_first_and_has_a_name(llm: ExtractiveLLM) -> None:
    assert isinstance(llm, CorpusReader)
    assert llm.name == "extractive"


@pytest.mark.parametrize("kind", KINDS)
def test_reply_is_a_json_object_with_a_query(kind: str, llm: ExtractiveLLM) -> None:
    reply = _ask(llm, kind=kind, title="Gout attack", seed="3")
    assert reply.error is None
    values = json.loads(reply.text)
    assert values["query"]
    assert values.keys() <= {"query", "passage", "span"}
    assert ("passage" in values) == (kind == "inverse_cloze")


def test_keep_sentence_leaves_the_passage_as_it_is(llm: ExtractiveLLM) -> None:
    assert "passage" not in json.loads(_ask(llm, kind="inverse_cloze", keep_sentence="yes").text)


def test_take_and_seed_choose_among_the_queries(llm: ExtractiveLLM) -> None:
    by_take = {json.loads(_ask(llm, kind="inverse_cloze", take=take).text)["query"] for take in "01"}
    by_seed = {json.loads(_ask(llm, kind="inverse_cloze", seed=seed).text)["query"] for seed in "abcdefgh"}
    assert len(by_take) == 2
    assert len(by_seed) > 1


@pytest.mark.parametrize(
    ("slots", "error"),
    [
        pytest.param({"kind": "poem"}, "unknown_kind", id="unknown-kind"),
        pytest.param({"take": "-1"}, "bad_take", id="negative-take"),
        pytest.param({"take": "x"}, "bad_take", id="take-is-no-number"),
        pytest.param({"text": "Gout."}, "no_keywords", id="keywords"),
        pytest.param({"kind": "title_body", "take": "1"}, "no_title", id="second-title"),
        pytest.param({"kind": "inverse_cloze", "text": "One sentence alone is here."}, "no_sentence", id="cloze"),
        pytest.param({"kind": "salient_sentence", "text": ""}, "no_salient_sentence", id="salient"),
        pytest.param({"kind": "typed_span_question", "text": "Rest helps."}, "no_typed_span", id="question"),
    ],
)
def test_what_cannot_be_written_is_a_reply_with_a_reason(slots: dict[str, str], error: str, llm: ExtractiveLLM) -> None:
    assert _ask(llm, **slots) == LLMReply("r", error=error)


def test_limits_of_the_settings_are_kept() -> None:
    llm = ExtractiveLLM(GenerateConfig(min_query_words=9, max_query_words=11))
    query = json.loads(_ask(llm, kind="inverse_cloze").text)["query"]
    assert query == "Crystals of uric acid grow in the joints of the foot."


def test_read_corpus_tells_rare_words_from_common_ones(llm: ExtractiveLLM) -> None:
    llm.read_corpus([f"gout arthritis hurts {n}" for n in range(40)] + ["uric crystals"] * 2)
    common = json.loads(_ask(llm, text="Gout hurts. Uric crystals grow.").text)["query"].split()
    llm.read_corpus(["uric crystals grow"] * 40 + ["gout hurts"])
    rare = json.loads(_ask(llm, text="Gout hurts. Uric crystals grow.").text)["query"].split()
    assert {"uric", "crystals"} <= set(common)
    assert {"gout", "hurts"} <= set(rare)
