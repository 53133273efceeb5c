"""A language model behind an OpenAI-compatible server, one HTTP request for one question."""

from __future__ import annotations

from datagen.backends.openai_api import Answer, Dialect, Endpoint, encode_body, open_endpoint, read_answer
from datagen.backends.openai_http import Connection, adapt, find_dialect
from datagen.backends.protocols import LLMReply, LLMRequest
from datagen.settings.generate import LLMConfig


class OpenAIChat:
    """Thin: it retries nothing and limits nothing, that is flow control's. Its connections belong to one event loop."""

    def __init__(self, endpoint: Endpoint, settings: LLMConfig) -> None:
        """Keep where the model is; nothing is connected yet."""
        self.name = endpoint.name
        self._endpoint = endpoint
        self._connection = Connection(endpoint, settings.timeout_seconds)
        self._dialect = Dialect() if settings.structured_output else Dialect(shape="none")

    async def prepare(self) -> None:
        """Make one tiny call, and find out by it which parameters and which structured output the server takes.

        Raises:
            BackendError: what is wrong (key, model, address) and what to do; within 5 seconds.
        """
        self._dialect = await find_dialect(self._connection, self._endpoint, self._dialect)

    async def complete(self, request: LLMRequest) -> LLMReply:
        """The answer to one request.

        A server that refuses how the request was put is asked again at once, with less: no answer was made then.

        Raises:
            ThrottledError: the server asks for fewer requests.
            BackendError: the server failed, or there is no credit, key or model.
        """
        while True:
            dialect = self._dialect
            answer = await self._connection.chat(encode_body(self._endpoint.model, request, dialect))
            if answer.status == 200 or not self._lower(dialect, answer):
                return read_answer(answer, request.row_id)

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()

    def _lower(self, sent: Dialect, answer: Answer) -> bool:
        """Whether another dialect than the one that was sent is worth a try."""
        if self._dialect is sent:
            self._dialect = adapt(sent, answer) or sent
            return self._dialect is not sent
        return answer.status in (400, 422)


def load_openai(model: str, settings: LLMConfig) -> OpenAIChat:
    """The model of this name on the server of the settings.

    Raises:
        ConfigError: the address cannot be one, or the key is missing.
    """
    return OpenAIChat(open_endpoint(model, settings), settings)
