"""What every LLM must do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from datagen.backends.llm_extractive import ExtractiveLLM
from datagen.backends.protocols import LLM, CorpusReader, LLMReply, LLMRequest
from datagen.generation.extractive.plan import Plan
from datagen.generation.outcome import Source
from datagen.settings.generate import GenerateConfig

PASSAGES = [
    "Gout is a kind of arthritis that hurts. Crystals of uric acid grow in the joints of the foot. Rest helps a bit.",
    "Malaria is caused by a parasite. An infected mosquito carries it from one person to the next. It can be cured.",
    "x",
]


@pytest.fixture(params=["extractive"])
def llm(request: pytest.FixtureRequest) -> LLM:
    built: LLM = {"extractive": ExtractiveLLM}[request.param](GenerateConfig())
    if isinstance(built, CorpusReader):
        built.read_corpus(PASSAGES)
    return built


def _requests() -> list[LLMRequest]:
    plan = Plan(GenerateConfig(queries_per_passage=5), seed=1)
    requests = []
    for number, text in enumerate(PASSAGES):
        for sample in plan.samples(Source(f"d{number}", None, text, None)):
            sample.kind = plan.order(sample.source.doc_id)[sample.number]
            requests.append(plan.request(sample))
    return requests


def _complete(llm: LLM, requests: Iterator[LLMRequest]) -> list[LLMReply]:
    async def collect() -> list[LLMReply]:
        return await asyncio.gather(*map(llm.complete, requests))

    return asyncio.run(collect())


def test_each_request_gets_one_reply(llm: LLM) -> None:
    replies = _complete(llm, iter(_requests()))
    assert sorted(reply.row_id for reply in replies) == sorted(request.row_id for request in _requests())


def test_reply_has_a_text_or_an_error(llm: LLM) -> None:
    replies = _complete(llm, iter(_requests()))
    assert all(bool(reply.text) != bool(reply.error) for reply in replies)
    assert any(reply.text for reply in replies)


def test_a_failed_request_leaves_its_neighbours_alone(llm: LLM) -> None:
    good = {reply.row_id: reply for reply in _complete(llm, iter(_requests()))}
    requests = [LLMRequest("bad-1", {}), *_requests(), LLMRequest("bad-2", {"kind": "no such kind", "take": "?"})]
    replies = {reply.row_id: reply for reply in _complete(llm, iter(requests))}
    assert replies.pop("bad-1").error
    assert replies.pop("bad-2").error
    assert replies.keys() == good.keys()


def test_no_requests_get_no_replies(llm: LLM) -> None:
    assert _complete(llm, iter([])) == []


def test_llm_has_a_name(llm: LLM) -> None:
    assert llm.name


def test_extractive_replies_are_the_same_in_any_order_and_again() -> None:
    llm = ExtractiveLLM(GenerateConfig())
    first, again, turned = (
        {reply.row_id: reply for reply in _complete(llm, iter(requests))}
        for requests in (_requests(), _requests(), _requests()[::-1])
    )
    assert first == again == turned
