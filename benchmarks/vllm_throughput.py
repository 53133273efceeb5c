"""The vLLM backend, fed one request at a time, beside vLLM's own offline `LLM.chat`: output tokens a second.

    .venv-vllm/bin/python -m benchmarks.vllm_throughput [--prompts 500] [--tokens 64] [--repeats 3] [--hidden 256]

A Llama with random weights; the same prompts, seeds, sampling and engine arguments on both sides. Every answer has
exactly `--tokens` tokens, with a JSON schema too (an array without end). Each measurement has a process of its own,
the two sides take turns. Loading and a warm-up are not counted. At least 0.9 is wanted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datagen.backends.protocols import LLMRequest, Sampling
from datagen.settings.generate import LLMConfig
from tests.support.tiny_llama import ENDLESS, Size, save_tiny_llama

if TYPE_CHECKING:
    from vllm import SamplingParams

WARM_UP = 16
ENGINE = {
    "max_model_len": 1024,
    "enforce_eager": True,
    "disable_log_stats": True,
    "enable_chunked_prefill": False,
    "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
}
INSTRUCTION = "Write a query that the passage below answers, as a person would type it into a search box. " * 4
WORDS = "fox passage question query kind about what below asks answer river stone winter market letter engine".split()


@dataclass(frozen=True)
class Measured:
    """One side, once."""

    tokens: int
    seconds: float
    cpu_seconds: float
    """Of the process that feeds the engine, over the same time."""


def main() -> None:
    """Measure in turns and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--side", nargs=2, metavar=("SYSTEM", "MODEL"), help=argparse.SUPPRESS)
    parser.add_argument("--schema", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        system, model = given.side
        measured = {"datagen": measure_ours, "LLM.chat": measure_offline}[system](model, requests_of(given))
        print(json.dumps(asdict(measured)))
        return
    with tempfile.TemporaryDirectory() as name:
        save_tiny_llama(Path(name), Size(given.hidden, given.layers, 1024, vocabulary=8_000))
        compare(Path(name), given)


def compare(model: Path, given: argparse.Namespace) -> None:
    """Both systems in turns, without and with the schema."""
    print("| answers | system | output tokens/s, each run | median | ratio | client CPU, ms a request |")
    print("| --- | --- | --- | ---: | ---: | ---: |")
    for schema in (False, True):
        runs: dict[str, list[Measured]] = {"LLM.chat": [], "datagen": []}
        for _ in range(given.repeats):
            for system, done in runs.items():
                done.append(run_side(system, model, given, schema))
        medians = {name: statistics.median(run.tokens / run.seconds for run in done) for name, done in runs.items()}
        for system, done in runs.items():
            each = ", ".join(f"{run.tokens / run.seconds:,.0f}" for run in done)
            cpu = statistics.median(1000 * run.cpu_seconds / given.prompts for run in done)
            ratio = medians[system] / medians["LLM.chat"]
            kind = "JSON schema" if schema else "free"
            print(f"| {kind} | {system} | {each} | {medians[system]:,.0f} | {ratio:.2f} | {cpu:.2f} |", flush=True)


def run_side(system: str, model: Path, given: argparse.Namespace, schema: bool) -> Measured:
    """One measurement in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.vllm_throughput", "--side", system, str(model)]
    command += ["--prompts", str(given.prompts), "--tokens", str(given.tokens), *["--schema"] * schema]
    quiet = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    environment = {"VLLM_CPU_KVCACHE_SPACE": "2", **os.environ, **quiet}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def requests_of(given: argparse.Namespace) -> list[LLMRequest]:
    """The requests, those of the warm-up first: one shared beginning, then a passage of 60 words each."""
    made = []
    for number in range(WARM_UP + given.prompts):
        passage = " ".join(WORDS[(number * 7 + place * (1 + number % 5)) % len(WORDS)] for place in range(60))
        messages = ({"role": "system", "content": INSTRUCTION}, {"role": "user", "content": f"{number} {passage}"})
        sampling = Sampling(temperature=0.8, top_p=0.95, max_tokens=given.tokens, seed=number)
        made.append(LLMRequest(str(number), {}, messages, sampling, ENDLESS if given.schema else None))
    return made


def measure_ours(model: str, requests: Sequence[LLMRequest]) -> Measured:
    """The backend, kept at as many open requests as it wants."""
    from datagen.backends.llm_vllm import VLLMEngine, load_vllm

    async def feed(engine: VLLMEngine, some: Sequence[LLMRequest]) -> int:
        slots = asyncio.Semaphore(engine.in_flight)

        async def ask(request: LLMRequest) -> int:
            async with slots:
                reply = await engine.complete(request)
            if reply.error:
                sys.exit(f"{reply.error}: {reply.detail}")
            return reply.usage.completion_tokens

        return sum(await asyncio.gather(*map(ask, some)))

    async def run(engine: VLLMEngine) -> Measured:
        try:
            await feed(engine, requests[:WARM_UP])
            started, cpu = time.perf_counter(), time.process_time()
            tokens = await feed(engine, requests[WARM_UP:])
            return Measured(tokens, time.perf_counter() - started, time.process_time() - cpu)
        finally:
            await engine.close()

    engine = load_vllm(model, LLMConfig(engine=ENGINE))
    engine._recommended["ignore_eos"] = True  # no setting of datagen: answers of equal length are for measuring alone
    return asyncio.run(run(engine))


def measure_offline(model: str, requests: Sequence[LLMRequest]) -> Measured:
    """What vLLM itself offers for a whole batch."""
    from vllm import LLM

    def chat(some: Sequence[LLMRequest]) -> int:
        conversations = [[dict(message) for message in request.messages] for request in some]
        found = llm.chat(conversations, [_sampling(request) for request in some], use_tqdm=False)
        return sum(len(output.outputs[0].token_ids) for output in found)

    llm = LLM(model, **ENGINE)
    chat(requests[:WARM_UP])
    started, cpu = time.perf_counter(), time.process_time()
    tokens = chat(requests[WARM_UP:])
    return Measured(tokens, time.perf_counter() - started, time.process_time() - cpu)


def _sampling(request: LLMRequest) -> SamplingParams:
    from vllm import SamplingParams
    from vllm.sampling_params import StructuredOutputsParams

    wanted: dict[str, Any] = {**asdict(request.sampling), "ignore_eos": True}  # Any: sampling parameters of vLLM
    if request.schema is not None:
        wanted["structured_outputs"] = StructuredOutputsParams(json=dict(request.schema))
    return SamplingParams(**wanted)


if __name__ == "__main__":
    main()
