"""One HTTP connection pool to an OpenAI-compatible server, and the tiny call that shows whether it will do.

Everything that can go wrong on the way becomes a `BackendError` here. Its cause is left out on purpose: the exceptions
of the HTTP library hold the headers of the request, with the key among them.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from difflib import SequenceMatcher
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from datagen.backends.openai_api import (
    NO_CREDIT,
    TOO_MANY,
    Answer,
    Dialect,
    Endpoint,
    ServerError,
    encode_body,
    read_error,
    shorten,
)
from datagen.backends.protocols import LLMRequest, Sampling
from datagen.errors import BackendError, ConfigError, some_of

PROBE = LLMRequest(
    "probe",
    {},
    ({"role": "user", "content": 'Are you ready? Answer with JSON: {"ready": true}'},),
    Sampling(max_tokens=64),
    {
        "type": "object",
        "properties": {"ready": {"type": "boolean"}},
        "required": ["ready"],
        "additionalProperties": False,
    },
)
"""The first tiny call."""

_logger = logging.getLogger(__name__)
_IDLE_SECONDS = 4.0
"""Shorter than the 5 seconds after which uvicorn, under most self-hosted servers, closes a connection."""
_PROBE_SECONDS = 2.5
_LIST_TIMEOUT = aiohttp.ClientTimeout(total=1.2)
_PAUSE_SECONDS = 0.2
_MODELS_NAMED = 8
_MEANINGS: tuple[tuple[type[aiohttp.ClientError], str, bool], ...] = (
    (aiohttp.ClientConnectorDNSError, "there is no host of this name", True),
    (aiohttp.ClientConnectorCertificateError, "the server's certificate is not trusted", False),
    (aiohttp.ClientSSLError, "there is no TLS connection, perhaps the server speaks plain http", True),
    (aiohttp.ClientConnectorError, "nobody answers there", True),
    (aiohttp.ClientResponseError, "the answer is no HTTP, perhaps the server speaks https", True),
    (aiohttp.InvalidURL, "the address cannot be used", False),
    (aiohttp.ClientError, "the connection broke", True),
)
"""What the errors of the HTTP library mean, and whether another try may help; the first that fits."""
_UP_ADVICE = "is llm.base_url right, and is the server up?"
_ADDRESS_ADVICE = "llm.base_url must be the address of an OpenAI-compatible server, which mostly ends in /v1"


class Connection:
    """Requests to one server, each sent once."""

    def __init__(self, endpoint: Endpoint, timeout_seconds: float) -> None:
        """Keep where to; the first request connects."""
        self._endpoint = endpoint
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._chat_url = URL(endpoint.url("chat/completions"))
        self._session: aiohttp.ClientSession | None = None

    async def chat(self, body: bytes) -> Answer:
        """The answer to a chat request, whatever its status.

        Raises:
            BackendError: no answer came; `retryable` unless the address itself is wrong.
        """
        return await self._send("POST", self._chat_url, body, self._timeout)

    async def list_models(self) -> list[str] | None:
        """Names of the models that the server has; None where it does not say.

        Raises:
            BackendError: no answer came within a second or two.
        """
        answer = await self._send("GET", URL(self._endpoint.url("models")), None, _LIST_TIMEOUT)
        try:
            return [str(model["id"]) for model in json.loads(answer.body)["data"]]
        except (ValueError, LookupError, TypeError):
            return None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _send(self, method: str, url: URL, body: bytes | None, timeout: aiohttp.ClientTimeout) -> Answer:
        session = self._session or self._open()
        started = time.perf_counter()
        try:
            async with session.request(method, url, data=body, timeout=timeout, allow_redirects=False) as response:
                raw = await response.read()
                status, headers = response.status, response.headers
        except TimeoutError:
            raise BackendError(f"timed out: no answer within {timeout.total:g} seconds", retryable=True) from None
        except aiohttp.ClientError as exc:
            raise self._explain(exc) from None
        except OSError as exc:
            raise BackendError(f"the connection broke: {exc}", retryable=True) from None
        raw = self._endpoint.redact_body(status, raw)
        return Answer(status, raw, headers, time.perf_counter() - started)

    def _open(self) -> aiohttp.ClientSession:
        # Environment proxies are looked up here, once: aiohttp's own `trust_env` does so in a thread for each request,
        # and breaks off when a .netrc names the host while a key is sent.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS),
            headers=self._endpoint.headers(),
            skip_auto_headers=("User-Agent", "Accept-Encoding"),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeout,
            proxy=find_proxy(self._endpoint.base_url),
        )
        return self._session

    def _explain(self, exc: aiohttp.ClientError) -> BackendError:
        words = shorten(self._endpoint.redact(str(exc) or type(exc).__name__))
        what, retryable = next((what, retryable) for kind, what, retryable in _MEANINGS if isinstance(exc, kind))
        return BackendError(f"{what}: {words}", retryable=retryable)


async def find_dialect(connection: Connection, endpoint: Endpoint, wanted: Dialect) -> Dialect:
    """What the server takes, found out by one tiny call (more only when it complains), within 5 seconds.

    A server that is there but busy, or slow with its first answer, is taken as it is: flow control is for that.

    Raises:
        BackendError: key, model, address or server will not do, and what to change.
    """
    probe = _Probe(connection, endpoint, wanted)
    try:
        async with asyncio.timeout(_PROBE_SECONDS) as limit:
            await probe.run()
    except TimeoutError:
        if not limit.expired():
            raise
        if probe.dialect == wanted:  # not even a complaint has come
            await _expect_models(connection, endpoint)
        _logger.warning("%s is slow: its first tiny answer took more than %g s", _place(endpoint), _PROBE_SECONDS)
    return probe.dialect


def adapt(dialect: Dialect, answer: Answer) -> Dialect | None:
    """The dialect for the same request once more, after a 400 that complains about how it was put; else None."""
    if answer.status not in (400, 422):
        return None
    error = read_error(answer.body)
    lowered = dialect.without(error)
    if lowered is not None:
        _logger.warning("the server does not take all that was sent, so it is asked with less: %s", error.message)
    return lowered


def find_proxy(base_url: str) -> str | None:
    """The proxy that the environment (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY) names for an address.

    Raises:
        ConfigError: it names one that is no HTTP proxy.
    """
    parts = urlsplit(base_url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.netloc):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if urlsplit(proxy).scheme not in ("http", "https"):
        raise ConfigError(
            f"the environment names a {urlsplit(proxy).scheme} proxy, but only http and https proxies can be used: set "
            f"{parts.scheme}_proxy to one of these, or put {parts.hostname} into no_proxy"
        )
    return proxy


class _Probe:
    """The first tiny call; what it has found out so far stays when time runs out."""

    def __init__(self, connection: Connection, endpoint: Endpoint, wanted: Dialect) -> None:
        self.dialect = wanted
        self._connection, self._endpoint = connection, endpoint

    async def run(self) -> None:
        """Ask, with less after each complaint, and once more after one failure."""
        tries_left = 1
        while True:
            try:
                answer = await self._connection.chat(encode_body(self._endpoint.model, PROBE, self.dialect))
            except BackendError as exc:
                if not (tries_left and exc.retryable):
                    message = f"{_place(self._endpoint)}: {exc}; {_UP_ADVICE}"
                    raise BackendError(message, retryable=exc.retryable) from None
            else:
                if lowered := adapt(self.dialect, answer):
                    self.dialect = lowered
                    continue
                if answer.status < 500 or not tries_left:
                    await _judge(self._connection, self._endpoint, answer)
                    return
            tries_left -= 1
            await asyncio.sleep(_PAUSE_SECONDS)


async def _judge(connection: Connection, endpoint: Endpoint, answer: Answer) -> None:
    status, place, error = answer.status, _place(endpoint), read_error(answer.body)
    if status == 200:
        _expect_choices(endpoint, answer, error)
    elif status in (401, 403):
        wrong = f"refuses the key in {endpoint.key_name}" if endpoint.key else "wants a key"
        raise BackendError(f"{place} {wrong} ({status}: {error.message}): put a valid key into {endpoint.key_name}")
    elif status == 402 or error.code in NO_CREDIT:
        raise BackendError(f"{place}: the account has no credit left ({status}: {error.message})")
    elif status < 400 or status == 405:
        target = answer.headers.get("Location", "")
        raise BackendError(f"{place} takes no requests there ({status} {target}): {_ADDRESS_ADVICE}")
    elif status in (400, 404, 422):
        await _explain_not_found(connection, endpoint, status, error)
    elif status in TOO_MANY:
        _logger.warning("%s is busy (%d: %s): the run begins slowly", place, status, error.message)
    else:
        raise BackendError(
            f"{place} failed at the first tiny call ({status}: {error.message})", retryable=status >= 500
        )


def _expect_choices(endpoint: Endpoint, answer: Answer, error: ServerError) -> None:
    try:
        parsed = json.loads(answer.body)
    except ValueError:
        parsed = None
    if not (isinstance(parsed, dict) and parsed.get("choices")):
        raise BackendError(f"{_place(endpoint)} does not answer like one ({error.message}): {_ADDRESS_ADVICE}")


async def _explain_not_found(connection: Connection, endpoint: Endpoint, status: int, error: ServerError) -> None:
    """Tell an unknown model from a wrong address and from a call that the server dislikes for another reason."""
    place, model = _place(endpoint), endpoint.model
    models = await _try_to_list(connection)
    unknown = error.code == "model_not_found" or ("model" in error.message.lower() and model in error.message)
    if unknown or (status == 404 and models and model not in models):
        nearest = sorted(models or (), key=lambda name: SequenceMatcher(None, model, name).ratio(), reverse=True)
        listed = f": it has {some_of(nearest, _MODELS_NAMED)}" if nearest else ""
        raise BackendError(f"{place} has no such model ({status}: {error.message}){listed}")
    if status == 404:
        raise BackendError(f"{place}: nothing answers at chat/completions (404: {error.message}): {_ADDRESS_ADVICE}")
    if "output limit was reached" not in error.message:  # a thinking model that needs more room than the probe gives
        raise BackendError(f"{place} does not take the first tiny call ({status}: {error.message})")


async def _try_to_list(connection: Connection) -> list[str] | None:
    try:
        return await connection.list_models()
    except BackendError:
        return None


async def _expect_models(connection: Connection, endpoint: Endpoint) -> None:
    try:
        await connection.list_models()
    except BackendError as exc:
        message = f"{_place(endpoint)} has answered nothing for some seconds; {_UP_ADVICE}"
        raise BackendError(message, retryable=True) from exc


def _place(endpoint: Endpoint) -> str:
    return f"{endpoint.name} at {endpoint.base_url}"
