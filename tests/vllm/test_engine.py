"""The backend over a real engine of vLLM."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from datagen.backends.protocols import Closing, LLMReply, LLMRequest, Preflight, Sampling, Steady
from datagen.errors import BackendError, ConfigError, ModelLoadError, ThrottledError
from datagen.generation.reading.broken_json import clean
from datagen.generation.reading.ladder import read_answer
from datagen.generation.recipes.answer_schema import OutputField, build_model, build_schema
from datagen.settings.generate import LLMConfig
from tests.support.tiny_llama import ENDLESS, SCHEMA

if TYPE_CHECKING:
    from datagen.backends.llm_vllm import VLLMEngine

GONE_WITHIN_SECONDS = 30


def test_answers_follow_the_schema_when_more_requests_than_the_engine_holds_come_at_once(
    engine: VLLMEngine, runner: asyncio.Runner
) -> None:
    requests = [ask(f"row {n}", seed=n, schema=SCHEMA) for n in range(100)]
    replies = runner.run(all_of(engine, requests))
    assert [reply.row_id for reply in replies] == [request.row_id for request in requests]
    assert {reply.error for reply in replies} == {None}
    answers = [json.loads(reply.text) for reply in replies]
    assert all(set(answer) == {"kind", "hard"} and isinstance(answer["hard"], bool) for answer in answers)
    assert {answer["kind"] for answer in answers} == {"question", "claim"}


def test_same_seed_gives_the_same_answer_alone_and_in_a_crowd(engine: VLLMEngine, runner: asyncio.Runner) -> None:
    alone = [runner.run(engine.complete(ask("passage", seed=seed))).text for seed in (1, 2)]
    crowd = runner.run(all_of(engine, [ask("passage", seed=seed % 3) for seed in range(30)]))
    assert alone[0] != alone[1]
    assert {reply.text for reply in crowd[1::3]} == {alone[0]}
    assert {reply.text for reply in crowd[2::3]} == {alone[1]}


def test_reply_says_what_it_cost_and_that_it_was_cut_off(
    engine: VLLMEngine, runner: asyncio.Runner, tiny_model: Path
) -> None:
    from transformers import AutoTokenizer

    reply = runner.run(engine.complete(ask("passage", seed=1, max_tokens=7)))
    prompt = AutoTokenizer.from_pretrained(tiny_model).apply_chat_template(
        [dict(message) for message in ask("passage").messages], add_generation_prompt=True, return_dict=False
    )
    assert (reply.finish_reason, reply.usage.completion_tokens) == ("length", 7)
    assert reply.usage.prompt_tokens == len(prompt)
    assert 0 < reply.latency_seconds < 60


def test_answer_that_ends_by_itself_has_stopped(engine: VLLMEngine, runner: asyncio.Runner) -> None:
    assert runner.run(engine.complete(ask("passage", seed=1, schema=SCHEMA))).finish_reason == "stop"


def test_text_that_does_not_end_is_cut_off_by_its_schema_and_refused(
    engine: VLLMEngine, runner: asyncio.Runner
) -> None:
    output = {"query": OutputField(max_characters=30)}
    requests = [ask("passage", seed=n, schema=build_schema(output), max_tokens=400) for n in range(8)]
    replies = runner.run(all_of(engine, requests))
    assert {reply.finish_reason for reply in replies} == {"stop"}
    texts = [json.loads(reply.text)["query"] for reply in replies]
    assert max(map(len, texts)) == 31
    for reply, text in zip(replies, texts, strict=True):
        plain = clean(text).strip()  # control characters are not counted
        assert (read_answer(reply.text, build_model(output)).reason == "too_long") is (len(plain) > 30)


@pytest.mark.parametrize(
    ("given", "backend", "compact", "limited"),
    [
        (None, "guidance", True, True),
        ({"enable_in_reasoning": True}, "guidance", True, True),
        ({"backend": "guidance"}, "guidance", False, True),
        ({"backend": "xgrammar"}, "xgrammar", False, False),
    ],
    ids=["nothing", "something else", "guidance", "xgrammar"],
)
def test_answers_are_held_to_limits_where_decoding_takes_them(
    load: Load, tiny_model: Path, given: dict[str, object] | None, backend: str, compact: bool, limited: bool
) -> None:
    engine = load(tiny_model, **({} if given is None else {"structured_outputs_config": given}))
    config = engine._config.structured_outputs_config
    assert (config.backend, config.disable_any_whitespace) == (backend, compact)
    assert config.enable_in_reasoning is ("enable_in_reasoning" in (given or {}))
    sampling = engine._sampling(ask("passage", schema=build_schema({"query": OutputField()})))
    assert sampling.structured_outputs is not None
    assert ("maxLength" in str(sampling.structured_outputs.json)) is limited


def test_answer_ends_where_the_model_does_when_more_is_asked_for(engine: VLLMEngine, runner: asyncio.Runner) -> None:
    reply = runner.run(engine.complete(ask("passage", schema=ENDLESS, max_tokens=5000)))
    assert reply.finish_reason == "length"
    assert reply.usage.prompt_tokens + reply.usage.completion_tokens == 512


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (lambda: ask("fox " * 600), "maximum context length is 512 tokens"),
        (lambda: ask("fox", schema={"type": "no such type"}), "no such type"),
        (lambda: ask("a lone \ud800 surrogate"), "TextEncodeInput"),
        (lambda: LLMRequest("row", {}), "empty conversation"),
        (lambda: ask("fox", max_tokens=-1), "max_tokens"),
    ],
    ids=["too long", "unknown schema", "lone surrogate", "no message", "impossible sampling"],
)
def test_what_is_wrong_with_one_request_is_its_reply_alone(
    engine: VLLMEngine, runner: asyncio.Runner, request_: Callable[[], LLMRequest], words: str
) -> None:
    bad, good = runner.run(all_of(engine, [request_(), ask("passage", seed=1, schema=SCHEMA)]))
    assert (bad.error, bad.text) == ("bad_request", "")
    assert words in bad.detail
    assert good.error is None


def test_long_answer_does_not_hold_up_those_asked_for_later(engine: VLLMEngine, runner: asyncio.Runner) -> None:
    async def feed() -> tuple[bool, list[LLMReply]]:
        long = asyncio.create_task(engine.complete(ask("long", schema=ENDLESS, max_tokens=450)))
        short = [await engine.complete(ask(f"short {n}", seed=n, max_tokens=2)) for n in range(20)]
        was_done = long.done()
        return was_done, [await long, *short]

    was_done, replies = runner.run(feed())
    assert not was_done, "twenty short answers, one after the other, came while the long one was written"
    assert [reply.usage.completion_tokens for reply in replies] == [450] + 20 * [2]


def test_engine_lives_through_more_long_prompts_than_it_reads_at_once(
    engine: VLLMEngine, runner: asyncio.Runner
) -> None:
    replies = runner.run(all_of(engine, [ask(f"{n} {'fox ' * 150}", seed=n, max_tokens=4) for n in range(40)]))
    assert min(reply.usage.prompt_tokens for reply in replies) > 150
    assert {reply.error for reply in replies} == {None}


def test_full_queue_asks_for_fewer_requests(
    engine: VLLMEngine, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine._config.scheduler_config, "max_num_queued_reqs", 1)
    both = [engine.complete(ask("passage", schema=SCHEMA)) for _ in range(2)]
    found = runner.run(together(both))
    assert [type(one) for one in found] == [LLMReply, ThrottledError]


def test_failure_on_one_request_may_be_tried_again(
    engine: VLLMEngine, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("out of luck")

    with monkeypatch.context() as patch:
        patch.setattr("vllm.v1.engine.output_processor.OutputProcessor.add_request", fail)
        with pytest.raises(BackendError, match="failed on a request: out of luck") as caught:
            runner.run(engine.complete(ask("passage")))
    assert caught.value.retryable
    assert runner.run(engine.complete(ask("passage", schema=SCHEMA))).error is None


def test_cancelled_request_leaves_the_engine_free(engine: VLLMEngine, runner: asyncio.Runner) -> None:
    async def cancel_one() -> LLMReply:
        long = asyncio.create_task(engine.complete(ask("long", schema=ENDLESS, max_tokens=450)))
        await asyncio.sleep(0.1)
        long.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await long
        return await engine.complete(ask("passage", seed=1, schema=SCHEMA))

    assert runner.run(cancel_one()).error is None


def test_engine_is_all_that_a_run_asks_for(engine: VLLMEngine, tiny_model: Path) -> None:
    assert all(isinstance(engine, ability) for ability in (Preflight, Closing, Steady))
    assert engine.name == f"vllm:{tiny_model}"
    assert engine.in_flight == 24, "three times max_num_seqs"


def test_nothing_is_written_to_standard_output(
    engine: VLLMEngine, runner: asyncio.Runner, capfd: pytest.CaptureFixture[str]
) -> None:
    runner.run(engine.complete(ask("passage", seed=1)))
    runner.run(engine.complete(ask("fox " * 600)))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("unknown", ["tensor_paralel_size", "model", "_api_process_count"])
def test_unknown_engine_argument_is_refused_by_name(tiny_model: Path, load: Load, unknown: str) -> None:
    with pytest.raises(ConfigError, match=f"llm.engine holds '{unknown}', which this version of vLLM does not know"):
        load(tiny_model, **{unknown: 2})


def test_key_among_the_engine_arguments_is_refused_and_not_repeated(tiny_model: Path, load: Load) -> None:
    with pytest.raises(ConfigError, match="HF_TOKEN") as caught:
        load(tiny_model, **{"hf_token": "hf_canary"})
    assert "canary" not in str(caught.value)


def test_machine_without_a_device_for_this_build_is_explained(
    tiny_model: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vllm.platforms.interface import UnspecifiedPlatform

    monkeypatch.setattr("datagen.backends.llm_vllm.current_platform", UnspecifiedPlatform())
    with pytest.raises(BackendError, match="vLLM finds no device to compute on"):
        load(tiny_model)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"dtype": "float17"}, "float17"),
        ({"max_model_len": 4096}, "max_model_len"),
        ({"quantization": "magic"}, "magic"),
    ],
    ids=["dtype", "longer than the model", "quantization"],
)
def test_value_that_the_engine_refuses_is_explained_in_its_words(
    tiny_model: Path, load: Load, wrong: dict[str, object], words: str
) -> None:
    with pytest.raises(ModelLoadError, match=words) as caught:
        load(tiny_model, **wrong)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model", ["/no/such/model", "./no-such-model", "nobody/no-such-model"])
def test_model_that_is_not_there_is_named(load: Load, model: str) -> None:
    with pytest.raises(ModelLoadError, match=model):
        load(model)


def test_code_that_comes_with_a_model_is_not_trusted_unless_asked_for(tiny_model: Path, load: Load) -> None:
    assert load(tiny_model)._config.model_config.trust_remote_code is False
    assert load(tiny_model, trust_remote_code=True)._config.model_config.trust_remote_code is True


def test_schema_is_left_out_when_structured_output_is_off(tiny_model: Path) -> None:
    from datagen.backends.llm_vllm import load_vllm

    engine = load_vllm(str(tiny_model), LLMConfig(structured_output=False))
    assert engine._sampling(ask("passage", schema=SCHEMA)).structured_outputs is None


def test_model_without_chat_template_is_refused_and_its_engine_ended(
    tiny_model: Path, load: Load, tmp_path: Path
) -> None:
    shutil.copytree(tiny_model, tmp_path / "base")
    (tmp_path / "base" / "chat_template.jinja").unlink()
    engine = load(tmp_path / "base")
    with asyncio.Runner() as runner, ended_at_last(engine, runner):
        with pytest.raises(BackendError, match="choose an instruction-tuned model") as caught:
            runner.run(engine.prepare())
        assert "provide a chat template" in str(caught.value)


def test_model_without_weights_is_explained_in_the_words_of_the_engine(
    tiny_model: Path, load: Load, tmp_path: Path
) -> None:
    shutil.copytree(tiny_model, tmp_path / "half")
    (tmp_path / "half" / "model.safetensors").unlink()
    engine = load(tmp_path / "half")
    with asyncio.Runner() as runner, ended_at_last(engine, runner):
        with pytest.raises(ModelLoadError, match="Cannot find any model weights") as caught:
            runner.run(engine.prepare())
        assert "root cause above" not in str(caught.value)


def test_start_that_is_interrupted_ends_soon(tiny_model: Path, load: Load) -> None:
    async def interrupt() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(engine.prepare(), 3)

    engine = load(tiny_model)
    with asyncio.Runner() as runner, ended_at_last(engine, runner):
        runner.run(interrupt())


def test_dead_engine_stops_the_run_in_one_sentence(tiny_model: Path, load: Load) -> None:
    engine = load(tiny_model)
    others = set(multiprocessing.active_children())
    with asyncio.Runner() as runner, ended_at_last(engine, runner):
        runner.run(engine.prepare())
        failures = runner.run(answers_while_killed(engine, set(multiprocessing.active_children()) - others))
        with pytest.raises(BackendError) as later:
            runner.run(engine.complete(ask("passage")))
    assert len(failures) == 30
    assert all(isinstance(failure, BackendError) and not failure.retryable for failure in failures)
    assert {str(failure) for failure in failures} == {str(later.value)}
    assert f"the engine of vllm:{tiny_model} died: engine core exited unexpectedly (its log: " in str(later.value)


def test_engine_ends_when_its_owner_is_killed(tiny_model: Path) -> None:
    script = Path(__file__).with_name("hold_engine.py")
    with subprocess.Popen([sys.executable, script, tiny_model], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        processes = [int(pid) for pid in owner.stdout.readline().split()]
        assert processes, "the owner told of its engine"
        owner.kill()
    assert gone(processes), f"of the processes {processes} of the engine some outlive their owner"


Load = Callable[..., "VLLMEngine"]


def ask(
    text: str, *, seed: int | None = None, max_tokens: int = 64, schema: dict[str, object] | None = None
) -> LLMRequest:
    messages = ({"role": "system", "content": "Answer."}, {"role": "user", "content": text})
    return LLMRequest(text, {}, messages, Sampling(max_tokens=max_tokens, seed=seed), schema)


async def all_of(engine: VLLMEngine, requests: list[LLMRequest]) -> list[LLMReply]:
    return await asyncio.gather(*(engine.complete(request) for request in requests))


async def together(answers: list[Coroutine[None, None, LLMReply]]) -> list[LLMReply | BaseException]:
    return list(await asyncio.gather(*answers, return_exceptions=True))


async def answers_while_killed(engine: VLLMEngine, processes: set[BaseProcess]) -> list[object]:
    answers = [asyncio.create_task(engine.complete(ask("passage", schema=ENDLESS, max_tokens=450))) for _ in range(30)]
    await asyncio.sleep(0.2)
    for process in processes:
        process.kill()
    return list(await asyncio.gather(*answers, return_exceptions=True))


@contextlib.contextmanager
def ended_at_last(engine: VLLMEngine, runner: asyncio.Runner) -> Iterator[None]:
    """Whatever happens with the engine: closing it leaves no process of it."""
    before = set(multiprocessing.active_children())
    try:
        yield
    finally:
        runner.run(engine.close())
        assert set(multiprocessing.active_children()) <= before


def gone(processes: list[int]) -> bool:
    deadline = time.monotonic() + GONE_WITHIN_SECONDS
    while time.monotonic() < deadline:
        if not any(map(is_alive, processes)):
            return True
        time.sleep(0.5)
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return False


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
