"""The generator vllm:MODEL: vLLM's asynchronous engine, fed one request at a time without a batch barrier.

The engine computes in processes of its own. In this one prompts become tokens and tokens text.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import json
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

from datagen.backends.engine_guard import EngineGuard, start_guard
from datagen.backends.engine_log import EngineLog, open_engine_log
from datagen.backends.models import find_model
from datagen.backends.protocols import LLMReply, LLMRequest, Sampling, Usage
from datagen.errors import BackendError, BackendMissingError, ConfigError, ModelLoadError, ThrottledError, first_line
from datagen.json_text import drop_limits
from datagen.settings.generate import LLMConfig

# Read by vLLM when it is imported: no statistics to its makers, nothing on standard output, and no fork of a process
# in which other libraries have threads.
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")
os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")

try:
    from vllm import SamplingParams
    from vllm.config import VllmConfig
    from vllm.config.logging import LoggingConfig
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.exceptions import GracefulHTTPError, VLLMClientError, VLLMError
    from vllm.outputs import RequestOutput
    from vllm.platforms import current_platform
    from vllm.renderers.params import ChatParams
    from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams
    from vllm.usage.usage_lib import UsageContext
    from vllm.utils.mistral import is_mistral_tokenizer
    from vllm.v1.engine.async_llm import AsyncLLM
    from vllm.v1.engine.exceptions import EngineDeadError
except ImportError as exc:
    if exc.name == "vllm":
        raise BackendMissingError("the vLLM engine", "vllm") from exc
    raise BackendError(
        f"vLLM is installed but cannot be imported: {first_line(exc)}; datagen works with vllm 0.32 and 0.33"
    ) from exc

BATCHES_QUEUED = 3
"""Requests held at once, in units of what the engine computes at once: its queue never runs dry."""

_DECODER = {"backend": "guidance", "disable_any_whitespace": True}
"""How answers are held to their schema.

No token is spent on white space between fields, which a weak model may not end. Guidance takes limits of length at
little cost; with a large vocabulary xgrammar, vLLM's first choice, needs seconds to read them and milliseconds a token.
"""
_SHORTEST = {"type": "object", "properties": {}, "additionalProperties": False}
"""The schema of an empty answer, which shows whether answers of this model can be held to one."""
FAULTS = (VLLMError, RuntimeError, ValueError, TypeError, KeyError, AssertionError, ImportError, OSError)
"""What a failing engine is known to raise."""
_LOGGING_ARGUMENTS = {"logging_config", "log_config_file", "log_level"}
_LOGGING_VARIABLES = {"VLLM_LOGGING_CONFIG_PATH", "VLLM_CONFIGURE_LOGGING"}
_LOOK_FOR_PROCESSES_SECONDS = 0.5


class VLLMEngine:
    """A model on the processor or the accelerators of this machine."""

    def __init__(
        self, model: str, arguments: AsyncEngineArgs, config: VllmConfig, log: EngineLog, settings: LLMConfig
    ) -> None:
        """Keep the settings of an engine; see `load_vllm`. It starts with the first request."""
        self.name = f"vllm:{model}"
        self._arguments = arguments
        self._config = config
        self._log = log
        self._structured_output = settings.structured_output
        self._recommended = config.model_config.get_diff_sampling_param()
        self._starting: asyncio.Task[AsyncLLM] | None = None
        self._guard: EngineGuard | None = None
        self._dead: str | None = None
        self._closed = False
        self._numbers = itertools.count()
        self._schema: tuple[Mapping[str, Any] | None, str] = (None, "")  # Any: a JSON schema

    @property
    def in_flight(self) -> int:
        """Three times what the engine computes at once."""
        engines = self._config.parallel_config.data_parallel_size
        return BATCHES_QUEUED * int(self._config.scheduler_config.max_num_seqs) * int(engines)

    async def prepare(self) -> None:
        """Start the engine, which takes from half a minute to many, and make one tiny call.

        Raises:
            BackendError: the engine does not start or the model takes no chat, in the engine's own words.
        """
        hello = LLMRequest("prepare", {}, ({"role": "user", "content": "Hello"},), Sampling(max_tokens=1), _SHORTEST)
        try:
            reply = await self.complete(hello)
        except asyncio.CancelledError:  # a model may take minutes to load, and the process waits for it to end
            if self._guard is not None:
                self._guard.end_all()
            raise
        if reply.error:
            raise BackendError(
                f"{self.name} cannot answer a chat of one short message: {reply.detail}; choose an instruction-tuned "
                "model, which comes with a chat template"
            )

    async def complete(self, request: LLMRequest) -> LLMReply:
        """The answer to one request; the same seed draws the same words, up to rounding in batches of another shape.

        What the request leaves open (top_k, repetition penalty …) is as the model's makers recommend, as it is on
        vLLM's own server.

        Raises:
            ThrottledError: the engine has a limit on its queue and it is reached.
            BackendError: the engine died, or failed on this request alone (`retryable`).
        """
        engine = await self._engine()
        started = time.monotonic()
        try:
            output = await self._generate(engine, request)
        except (VLLMClientError, ValueError, TypeError) as exc:
            return LLMReply(request.row_id, error="bad_request", detail=str(exc))
        except EngineDeadError as exc:
            raise self._died(exc) from exc
        except GracefulHTTPError as exc:
            raise ThrottledError(f"{self.name}: {exc}") from exc
        except FAULTS as exc:
            raise self._failed(engine, exc) from exc
        return self._reply(request.row_id, output, time.monotonic() - started)

    async def close(self) -> None:
        """End the engine and its processes; requests that are under way fail."""
        self._closed = True
        if self._starting is not None:
            with contextlib.suppress(BackendError):  # was raised for those who waited for the start
                engine = await self._starting
                await asyncio.to_thread(engine.shutdown)
            self._starting = None
        if self._guard is not None:
            self._guard.dismiss()
        if self._dead is None:
            self._log.remove()

    async def _engine(self) -> AsyncLLM:
        """The engine, started by whoever asks first; one who is cancelled while it starts does not stop it."""
        if self._closed:
            raise BackendError(f"{self.name} was closed")
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        return await asyncio.shield(self._starting)

    async def _start(self) -> AsyncLLM:
        guard = self._guard = start_guard()
        loading = asyncio.create_task(asyncio.to_thread(_load, self._config, self._arguments.disable_log_stats))
        while not loading.done():
            await asyncio.wait([loading], timeout=_LOOK_FOR_PROCESSES_SECONDS)
            guard.watch_new()
        try:
            return await loading
        except FAULTS as exc:
            self._dead = f"vLLM could not start the model of {self.name}: {self._log.explain(exc)}"
            raise ModelLoadError(self._dead) from exc

    async def _generate(self, engine: AsyncLLM, request: LLMRequest) -> RequestOutput:
        renders_tokens = is_mistral_tokenizer(engine.renderer.tokenizer)
        chat = ChatParams(chat_template_kwargs={"add_generation_prompt": True, "tokenize": renders_tokens})
        conversation = [dict(message) for message in request.messages]
        _, prompts = await engine.renderer.render_chat_async([conversation], chat)
        answers = engine.generate(prompts[0], self._sampling(request), str(next(self._numbers)))
        return [answer async for answer in answers][-1]

    def _sampling(self, request: LLMRequest) -> SamplingParams:
        sampling = request.sampling
        wanted = {
            **self._recommended,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": sampling.seed,
        }
        schema = request.schema if self._structured_output else None
        if schema is not None:
            wanted["structured_outputs"] = StructuredOutputsParams(json=self._schema_text(schema))
        return SamplingParams(**wanted, output_kind=RequestOutputKind.FINAL_ONLY)

    def _schema_text(self, schema: Mapping[str, Any]) -> str:  # Any: a JSON schema
        """The schema as text: rows of a recipe share one, so it is written once."""
        if self._schema[0] is not schema:
            has_limits = self._config.structured_outputs_config.backend == _DECODER["backend"]
            self._schema = (schema, json.dumps(schema if has_limits else drop_limits(schema)))
        return self._schema[1]

    def _reply(self, row_id: str, output: RequestOutput, seconds: float) -> LLMReply:
        answer = output.outputs[0]
        if answer.finish_reason in {"abort", "error"}:
            raise BackendError(f"{self.name} ended a request with {answer.finish_reason!r}", retryable=True)
        return LLMReply(
            row_id,
            answer.text,
            finish_reason=answer.finish_reason or "stop",
            usage=Usage(len(output.prompt_token_ids or ()), len(answer.token_ids)),
            latency_seconds=seconds,
        )

    def _failed(self, engine: AsyncLLM, exc: Exception) -> BackendError:
        if engine.errored:
            return self._died(exc)
        words = first_line(exc.__cause__ or exc)
        return BackendError(f"{self.name} failed on a request: {words}", retryable=True)

    def _died(self, exc: Exception) -> BackendError:
        """The words are looked up once: all requests in flight end here at the same time."""
        self._dead = self._dead or f"the engine of {self.name} died: {self._log.explain(exc)}"
        return BackendError(self._dead)


def load_vllm(model: str, settings: LLMConfig) -> VLLMEngine:
    """The engine of a model, checked but not started: `model` is a folder or a name on the Hugging Face hub.

    `settings.engine` goes to vLLM as it is.

    Raises:
        ConfigError: `settings.engine` names an argument that vLLM does not have.
        ModelLoadError: vLLM does not take the model or the value of an argument, in its own words.
        BackendError: vLLM knows no device of this machine.
    """
    check_arguments(settings.engine, "llm.engine")
    check_device()
    folder = str(find_model(model)) if model.startswith((".", "/", "~")) else model
    log = open_engine_log()
    try:
        given = {**settings.engine, "structured_outputs_config": _decoder(settings.engine)}
        arguments = AsyncEngineArgs(model=folder, **{**engine_defaults(settings.engine, log), **given})
        config = arguments.create_engine_config(UsageContext.LLM_CLASS)
    except FAULTS as exc:
        log.remove()
        raise ModelLoadError(f"vLLM does not take the model {model!r} with {settings.engine}: {_words(exc)}") from exc
    return VLLMEngine(model, arguments, config, log, settings)


def _load(config: VllmConfig, disable_log_stats: bool) -> AsyncLLM:
    return AsyncLLM.from_vllm_config(config, usage_context=UsageContext.LLM_CLASS, disable_log_stats=disable_log_stats)


def check_device() -> None:
    """Raise where vLLM has nothing to compute on.

    Raises:
        BackendError: this build of vLLM knows no device of this machine.
    """
    if not current_platform.device_type:
        raise BackendError(
            "vLLM finds no device to compute on: this build needs a GPU and sees none; use a machine with one, install "
            "vLLM's build for processors, or run a server elsewhere and name it with openai:MODEL and --base-url"
        )


def check_arguments(engine: Mapping[str, Any], setting: str) -> None:  # Any: arguments of vLLM's engine
    """Raise what is wrong with the arguments that a setting gives to vLLM.

    Raises:
        ConfigError: one is unknown, or a key.
    """
    known = {field.name for field in dataclasses.fields(AsyncEngineArgs) if not field.name.startswith("_")} - {"model"}
    if unknown := sorted(set(engine) - known):
        raise ConfigError(
            f"{setting} holds {', '.join(map(repr, unknown))}, which this version of vLLM does not know: allowed are "
            "the arguments of `vllm serve` with underscores, such as max_model_len or tensor_parallel_size; the model "
            "is named as vllm:MODEL"
        )
    if "hf_token" in engine:
        raise ConfigError(f"{setting} holds hf_token: a key belongs into the environment alone, here as HF_TOKEN")


def engine_defaults(engine: Mapping[str, Any], log: EngineLog) -> dict[str, Any]:  # Any: arguments of vLLM's engine
    """What is set unless the user says otherwise; where the engine's log goes may be said in the environment too."""
    defaults: dict[str, Any] = {"disable_log_stats": True}  # Any: arguments of vLLM's engine
    if not (_LOGGING_ARGUMENTS & set(engine) or _LOGGING_VARIABLES & set(os.environ)):
        defaults["logging_config"] = LoggingConfig(pylogging_config_file=str(log.write_settings()))
    if current_platform.is_cpu():
        # On processors a seeded prompt that is read in parts ends the engine: "CPU Generator does not use offset".
        defaults["enable_chunked_prefill"] = False
    return defaults


def _decoder(engine: Mapping[str, Any]) -> Any:  # Any: arguments of vLLM's engine
    """What is set beside the user's own settings of structured output, unless they name what decodes."""
    given = engine.get("structured_outputs_config", {})
    return {**_DECODER, **given} if isinstance(given, Mapping) and "backend" not in given else given


def _words(exc: Exception) -> str:
    """What vLLM says in one line; its checks of values say it under the name of the class."""
    return "; ".join(_messages(exc)) or type(exc).__name__


def _messages(exc: Exception) -> Iterator[str]:
    for error in exc.errors() if hasattr(exc, "errors") else ():
        yield str(error["msg"])
    if not hasattr(exc, "errors"):
        yield first_line(exc)
