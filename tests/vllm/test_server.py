"""The OpenAI backend over vLLM's own server."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from datagen.backends.llm_openai import load_openai
from datagen.backends.protocols import LLMReply, LLMRequest, Sampling
from datagen.errors import BackendError
from datagen.settings.generate import LLMConfig
from tests.support.tiny_llama import SCHEMA

if TYPE_CHECKING:
    from datagen.backends.llm_vllm import VLLMEngine

MODEL = "tiny"


@pytest.fixture
def settings(server: str, monkeypatch: pytest.MonkeyPatch) -> LLMConfig:
    """How the server is reached."""
    monkeypatch.setenv("DATAGEN_TEST_KEY", "no key is asked for")
    return LLMConfig(base_url=server, api_key_env="DATAGEN_TEST_KEY")


def test_answers_follow_the_schema_and_repeat_with_their_seed(settings: LLMConfig) -> None:
    requests = [ask(f"passage {n % 20}", seed=n % 20, schema=SCHEMA) for n in range(40)]
    replies = answers(settings, requests)
    assert {reply.error for reply in replies} == {None}
    assert {json.loads(reply.text)["kind"] for reply in replies} == {"question", "claim"}
    assert [reply.text for reply in replies[:20]] == [reply.text for reply in replies[20:]]


def test_server_and_engine_in_process_give_the_same_answers(
    settings: LLMConfig, engine: VLLMEngine, runner: asyncio.Runner
) -> None:
    requests = [ask(f"passage {n}", seed=n, schema=SCHEMA if n % 2 else None) for n in range(20)]
    through_server = answers(settings, requests)
    in_process = [runner.run(engine.complete(request)) for request in requests]
    assert [reply.text for reply in through_server] == [reply.text for reply in in_process]
    assert [reply.usage for reply in through_server] == [reply.usage for reply in in_process]


def test_reply_says_what_it_cost_and_that_it_was_cut_off(settings: LLMConfig) -> None:
    (reply,) = answers(settings, [ask("passage", max_tokens=7)])
    assert (reply.finish_reason, reply.usage.completion_tokens) == ("length", 7)
    assert reply.usage.prompt_tokens > 0


def test_prompt_that_is_too_long_is_its_reply_alone(settings: LLMConfig) -> None:
    bad, good = answers(settings, [ask("fox " * 600), ask("passage", seed=1)])
    assert bad.error == "bad_request"
    assert "maximum context length is 512 tokens" in bad.detail
    assert good.error is None


def test_model_that_the_server_does_not_have_is_named(settings: LLMConfig) -> None:
    llm = load_openai("another", settings)

    async def prepare() -> None:
        try:
            await llm.prepare()
        finally:
            await llm.close()

    with pytest.raises(BackendError, match="another"):
        asyncio.run(prepare())


def ask(
    text: str, *, seed: int | None = None, max_tokens: int = 64, schema: dict[str, object] | None = None
) -> LLMRequest:
    return LLMRequest(
        text, {}, ({"role": "user", "content": text},), Sampling(max_tokens=max_tokens, seed=seed), schema
    )


def answers(settings: LLMConfig, requests: list[LLMRequest]) -> list[LLMReply]:
    """What a run does with a model: prepare it, ask, close it."""

    async def run() -> list[LLMReply]:
        llm = load_openai(MODEL, settings)
        try:
            await llm.prepare()
            return await asyncio.gather(*map(llm.complete, requests))
        finally:
            await llm.close()

    return asyncio.run(run())
