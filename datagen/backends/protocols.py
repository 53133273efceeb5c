"""What a stage may ask of a model, an index or an LLM. Batch in, same order out.

A user's own class is named `package.module:Class` wherever a built-in name can stand; it is built with
the settings of its section (`TeacherConfig`, `DenoiseConfig`, …) as its one argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt
import polars as pl

from datagen.config import StageName
from datagen.progress import Progress

Role: TypeAlias = Literal["query", "document"]
Float32: TypeAlias = npt.NDArray[np.float32]
Int64: TypeAlias = npt.NDArray[np.int64]


@dataclass
class TokenUsage:
    """Tokens a model has read so far; `padded` counts the padding too."""

    tokens: int = 0
    padded: int = 0

    @property
    def padding_share(self) -> float:
        """Share of the work that was padding, 0 to 1."""
        return 1 - self.tokens / self.padded if self.padded else 0.0


@runtime_checkable
class Teacher(Protocol):
    """An embedder."""

    usage: TokenUsage

    @property
    def dim(self) -> int:
        """Length of a vector."""
        ...

    def encode(self, texts: Sequence[str], role: Role) -> Float32:
        """Vectors of the texts, float32 (n, dim), rows of unit length, in the order of the texts.

        The same call gives the same bytes on the same machine.
        """
        ...


@runtime_checkable
class PartsTeacher(Protocol):
    """A teacher that can work on the next texts while the vectors of these are being stored."""

    def encode_parts(self, parts: Iterable[Sequence[str]], role: Role) -> Iterator[Float32]:
        """For each part (never empty), in order, what `encode` gives for it.

        A part's vectors depend on that part alone.
        """
        ...


@dataclass(frozen=True)
class RerankPairs:
    """Pairs to score: indices into the unique texts, both int64 (n_pairs,)."""

    queries: Sequence[str]
    documents: Sequence[str]
    query_index: Int64
    document_index: Int64

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self.query_index)

    def texts(self) -> list[tuple[str, str]]:
        """Query and document of each pair."""
        chosen = zip(self.query_index.tolist(), self.document_index.tolist(), strict=True)
        return [(self.queries[query], self.documents[document]) for query, document in chosen]


@runtime_checkable
class Reranker(Protocol):
    """A scorer of (query, document) pairs."""

    scale: str
    """What the numbers are, such as `logit` or `mean token cosine`."""
    round_size: int
    """Candidates worth scoring for a query at once: few where each pair costs, many where each document does."""

    def score(self, pairs: RerankPairs) -> Float32:
        """Raw scores, float32 (n_pairs,), higher is more relevant, in the order of the pairs."""
        ...


class VectorSource(Protocol):
    """The vectors of numbered documents, on disk."""

    @property
    def dim(self) -> int:
        """Length of a vector."""
        ...

    @property
    def identity(self) -> str:
        """Hash of the teacher and of all documents in order, the same in every process."""
        ...

    def __len__(self) -> int:
        """How many documents there are."""
        ...

    def take(self, numbers: Int64) -> Float32:
        """Vectors of these documents, float32 (n, dim), rows of unit length."""
        ...

    def blocks(self, rows: int) -> Iterator[tuple[Int64, Float32]]:
        """All documents once, in the order in which they lie on disk: numbers (n,) and vectors (n, dim), n <= rows."""
        ...


@dataclass(frozen=True)
class SearchDemand:
    """What an index will be asked for: decides which kind is used, and how its blocks are cut."""

    n_queries: int
    """Queries in all, over all calls."""
    depth: int
    """The k of most calls."""
    sample: Float32
    """Vectors of some of the queries, (n_sample, dim): approximate search is measured on them."""
    memory: int
    """Bytes that the index may take, beside the queries and results of a call."""


class SearchIndex(Protocol):
    """Nearest documents by inner product."""

    def search(self, vectors: Float32, k: int) -> tuple[Float32, Int64]:
        """Scores and positions of the k best, both (n, k), best first, ties by position; k at most the size.

        An index that keeps its documents on disk reads them once in a call: few calls with many queries are best.
        """
        ...


class FillableIndex(SearchIndex, Protocol):
    """An index of a user's own class: built with the length of a vector, then filled block by block."""

    def add(self, vectors: Float32) -> None:
        """Append document vectors (n, dim); positions count up from 0 in the order of adding."""
        ...


@runtime_checkable
class Telling(Protocol):
    """An index that has something to say in the report of a run."""

    @property
    def facts(self) -> Mapping[str, int | float | str]:
        """Its kind as `index`; where it is approximate the measured `recall` (0 to 1), and what it was asked for."""
        ...


class LexicalIndex(Protocol):
    """Documents that share words with a query."""

    def search(self, queries: Sequence[str], k: int) -> tuple[Float32, Int64]:
        """Scores and positions of the k best, both (n, k), best first, ties by position.

        Where fewer than k documents have a word of the query, its row ends with positions -1 and scores 0.
        """
        ...


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a language model draws an answer."""

    temperature: float = 0.8
    top_p: float = 0.95
    max_tokens: int = 1024
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class LLMRequest:
    """One question for a generator: what a language model reads, and the slot values it was rendered from."""

    row_id: str
    slots: Mapping[str, str]
    messages: tuple[Mapping[str, str], ...] = ()
    sampling: Sampling = Sampling()
    schema: Mapping[str, Any] | None = None  # Any: a JSON schema
    """The JSON schema of the answer."""
    sample: int = 0
    """Tells apart several answers wanted to the same question."""
    step: str = ""
    """What the question is for, where a row asks more than the one that writes it: `choose`, `judge` …"""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that one answer cost, as the server counts them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class LLMReply:
    """The raw answer to one request, or why there is none."""

    row_id: str
    text: str = ""
    error: str | None = None
    """A reason word, final for this row alone: `bad_request`, `content_filter`, `refused` …"""
    detail: str = ""
    """The server's own words for the error."""
    finish_reason: str = "stop"
    """`stop`; `length` when the answer was cut off."""
    usage: Usage = Usage()
    latency_seconds: float = 0.0


class LLM(Protocol):
    """A generator of text."""

    name: str

    async def complete(self, request: LLMRequest) -> LLMReply:
        """The answer to one request, tried once; many calls run at the same time.

        What is wrong with this request alone is a reply with an error, never an exception.

        Raises:
            ThrottledError: the server asks for fewer requests.
            BackendError: the server failed; `retryable` says whether the same request may be sent again.
        """
        ...


@runtime_checkable
class Preflight(Protocol):
    """A generator that can say before the first row whether it will work."""

    async def prepare(self) -> None:
        """Make one tiny call.

        Raises:
            BackendError: what is wrong (key, model, host) and what to do.
        """
        ...


@runtime_checkable
class Closing(Protocol):
    """A generator that holds connections or a process."""

    async def close(self) -> None:
        """Give them back; called once, in the loop that made the calls."""
        ...


@runtime_checkable
class Steady(Protocol):
    """A generator that needs no search for the right number of open requests: an engine in process, a batch lane."""

    @property
    def in_flight(self) -> int:
        """How many requests it wants to hold at once."""
        ...


class Notes(Protocol):
    """A small store beside the journal that outlives the process."""

    def read_notes(self, kind: str) -> dict[str, str]:
        """All notes of a kind, by name."""
        ...

    def write_note(self, kind: str, name: str, text: str | None) -> None:
        """Keep a note, durably, before returning; None removes it."""
        ...


@runtime_checkable
class NoteTaker(Protocol):
    """A generator that must remember something over a kill: the ids of batches that are under way."""

    def use_notes(self, notes: Notes) -> None:
        """Take the store; called once, before the first request."""
        ...


@runtime_checkable
class CorpusReader(Protocol):
    """A generator that wants to see all passages first (the LLM-free one counts its words)."""

    def read_corpus(self, passages: Iterable[str]) -> None:
        """Take in the statistics of the whole corpus."""
        ...


class TokenCounter(Protocol):
    """The tokenizer of a model, to measure texts with."""

    own_marks: int
    """Tokens that the model puts around every text."""

    def count(self, texts: Sequence[str]) -> Sequence[int]:
        """Tokens of each text in order, without the marks around it."""
        ...


class Backends(Protocol):
    """How a stage gets at its models: built on first use, never imported by the stage."""

    def check(self, stage: StageName) -> None:
        """Raise what would stop this stage, before anything is spent on the run."""
        ...

    def teacher(self, name: str | None = None) -> Teacher:
        """The embedder of the run, or the further one of this name."""
        ...

    def teacher_identity(self, role: Role, name: str | None = None) -> str:
        """Hash of all that decides a vector but the text: weights, prompt, length, pooling, dtype."""
        ...

    def token_counter(self) -> TokenCounter:
        """What long documents are measured with."""
        ...

    def token_counter_identity(self) -> str:
        """Hash of all that decides how many tokens a text has."""
        ...

    def index(self, documents: VectorSource, progress: Progress, demand: SearchDemand) -> SearchIndex:
        """The run's index over all documents, filled; position i is document i."""
        ...

    def lexical_index(self, slices: Callable[[], Iterable[pl.Series]], progress: Progress) -> LexicalIndex:
        """The run's index of words over all documents, given in row order, some at a time; position i is document i."""
        ...

    def reranker(self) -> Reranker:
        """The second scorer of the run."""
        ...

    def reranker_identity(self) -> str:
        """Hash of all that decides a reranker score but the two texts."""
        ...

    def llm(self, name: str | None = None) -> LLM:
        """The generator of the run, or the one of this name where it has several."""
        ...

    def close(self) -> None:
        """Give back the connections or engines of the generators; the next use makes new ones."""
        ...
