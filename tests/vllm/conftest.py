"""A tiny model with random weights, and vLLM's engine over it; skipped where there is no vLLM."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from datagen.settings.generate import LLMConfig
from tests.support.tiny_llama import ENGINE, save_tiny_llama

if TYPE_CHECKING:
    from datagen.backends.llm_vllm import VLLMEngine

_SERVER_STARTS_WITHIN_SECONDS = 300

# Read by vLLM's build for processors: a GiB for its cache instead of half of the memory.
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
# Else vLLM connects to a public address to learn its own.
os.environ.setdefault("VLLM_HOST_IP", "127.0.0.1")


@pytest.fixture(autouse=True, scope="session")
def vllm_is_installed() -> None:
    """Skip all tests of this folder in an environment without vLLM."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("needs vLLM, which has an environment of its own: make test-vllm")


@pytest.fixture(autouse=True, scope="session")
def temporary_files_go_with_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the logs of engines that died, which are kept for their user, out of the folder that all share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("tmp")))
        patch.setattr("tempfile.tempdir", None)
        yield


@pytest.fixture(scope="session")
def tiny_model(vllm_is_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a Llama of two layers, its weights drawn from a fixed seed, with tokenizer and chat template."""
    folder = tmp_path_factory.mktemp("tiny-llama")
    save_tiny_llama(folder)
    return folder


@pytest.fixture(scope="session")
def runner() -> Iterator[asyncio.Runner]:
    """The event loop that the shared engine lives in."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="session")
def load(vllm_is_installed: None) -> Callable[..., VLLMEngine]:
    """Builds an engine that is small and starts fast; further engine arguments by name."""
    from datagen.backends.llm_vllm import load_vllm

    def load(model: Path | str, /, **engine: object) -> VLLMEngine:
        return load_vllm(str(model), LLMConfig(engine={**ENGINE, **engine}))

    return load


@pytest.fixture(scope="session")
def engine(load: Callable[..., VLLMEngine], tiny_model: Path, runner: asyncio.Runner) -> Iterator[VLLMEngine]:
    """One started engine for the tests that leave it as it is."""
    engine = load(tiny_model)
    runner.run(engine.prepare())
    yield engine
    runner.run(engine.close())


@pytest.fixture(scope="session")
def server(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address, up to and with /v1, of vLLM's server of the model `tiny`, while it runs."""
    port = _free_port()
    log = tmp_path_factory.mktemp("server") / "log.txt"
    # The script `vllm` of the build for processors looks for a package of that name and does not start.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(tiny_model)]
    command += ["--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port), "--enforce-eager"]
    # On processors a seeded prompt that is read in parts ends the engine.
    command += ["--max-model-len", str(ENGINE["max_model_len"]), "--no-enable-chunked-prefill"]
    command += ["--structured-outputs-config", json.dumps({"backend": "guidance", "disable_any_whitespace": True})]
    environment = {**os.environ, "VLLM_NO_USAGE_STATS": "1"}
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out, env=environment) as server:
        try:
            _wait_until_healthy(server, port, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()
            server.wait(60)


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait_until_healthy(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _SERVER_STARTS_WITHIN_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
    pytest.fail(f"vLLM's server did not start:\n{log.read_text()[-5000:]}")
