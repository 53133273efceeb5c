"""Denoise by late interaction over the token vectors of any sentence-transformers model.

score(q, d) = mean over the query's tokens of the best cosine with a token of the document (ColBERT's MaxSim, Khattab
and Zaharia 2020, divided by the number of query tokens so that long and short queries share one scale). The
model need not be trained for it: what it adds to the teacher is that no part of the query may be left unanswered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from datagen.backends.protocols import Float32, Int64, RerankPairs, Role, TokenUsage
from datagen.backends.st_model import (
    choose_batch_tokens,
    count_tokens,
    explaining_memory,
    give_back_memory,
    load_st_model,
    token_batches,
)
from datagen.config import DenoiseConfig


class MaxSimReranker:
    """Late interaction between token vectors."""

    scale = "mean best token cosine, -1 to 1"
    round_size = 32

    def __init__(self, model: SentenceTransformer, settings: DenoiseConfig) -> None:
        """Keep a loaded model; see `load_maxsim`."""
        self._model = model
        self._batch_tokens = choose_batch_tokens(settings.batch_tokens, model.device)
        self.usage = TokenUsage()
        self._queries: Sequence[str] = ()
        self._query_tokens: TokenVectors | None = None

    def score(self, pairs: RerankPairs) -> Float32:
        """Mean best token cosine, float32 (n_pairs,), in the order of the pairs.

        The token vectors of `pairs.queries` are kept until another sequence of queries comes.
        """
        if not len(pairs):
            return np.empty(0, np.float32)
        if self._query_tokens is None or pairs.queries is not self._queries:
            self._query_tokens = self._embed_queries(pairs.queries)
            self._queries = pairs.queries
        out = np.empty(len(pairs), np.float32)
        order = np.argsort(pairs.document_index, kind="stable")
        used, starts = np.unique(pairs.document_index[order], return_index=True)
        places = np.split(order, starts[1:])
        texts = [pairs.documents[i] for i in used]
        for batch in token_batches(count_tokens(self._model, texts), self._batch_tokens, self.usage):
            tokens = self._embed([texts[i] for i in batch], "document")
            for number, i in enumerate(batch):
                out[places[i]] = _match(self._query_tokens, pairs.query_index[places[i]], tokens.of(number))
        give_back_memory()
        return out

    def _embed_queries(self, texts: Sequence[str]) -> TokenVectors:
        """Token vectors of all queries, in their order."""
        found: list[torch.Tensor] = [torch.empty(0)] * len(texts)
        for batch in token_batches(count_tokens(self._model, texts), self._batch_tokens, self.usage):
            tokens = self._embed([texts[i] for i in batch], "query")
            for number, i in enumerate(batch):
                found[i] = tokens.of(number)
        return TokenVectors.joined(found)

    def _embed(self, texts: list[str], role: Role) -> TokenVectors:
        encode = self._model.encode_query if role == "query" else self._model.encode_document
        with explaining_memory("denoise.batch_tokens", self._batch_tokens):
            found = encode(texts, output_value="token_embeddings", batch_size=len(texts), show_progress_bar=False)
        joined = TokenVectors.joined(cast("list[torch.Tensor]", found))
        unit = torch.nn.functional.normalize(joined.vectors.float(), dim=-1).to(joined.vectors.dtype)
        return TokenVectors(unit, joined.starts)


@dataclass(frozen=True)
class TokenVectors:
    """Token vectors of several texts, one after the other: text i has the rows starts[i] to starts[i + 1]."""

    vectors: torch.Tensor
    starts: Int64

    @classmethod
    def joined(cls, texts: Sequence[torch.Tensor]) -> TokenVectors:
        """The token vectors of the texts, each (n_tokens, dim)."""
        return cls(torch.cat(list(texts)), np.concatenate([[0], np.cumsum([len(tokens) for tokens in texts])]))

    def of(self, text: int) -> torch.Tensor:
        """The token vectors of one text, (n_tokens, dim)."""
        return self.vectors[self.starts[text] : self.starts[text + 1]]


def _match(queries: TokenVectors, chosen: Int64, document: torch.Tensor) -> Float32:
    """Scores of the chosen queries for one document."""
    tokens = torch.cat([queries.of(i) for i in chosen])
    best = np.asarray((tokens @ document.T).amax(dim=1).float().cpu(), np.float32)
    lengths = np.diff(queries.starts)[chosen]
    starts = np.concatenate([[0], np.cumsum(lengths[:-1])])
    return np.asarray(np.add.reduceat(best, starts) / lengths, np.float32)


def load_maxsim(folder: Path, settings: DenoiseConfig) -> MaxSimReranker:
    """The late-interaction reranker of a model folder.

    Raises:
        ModelLoadError: the folder does not hold a model that can be loaded.
    """
    return MaxSimReranker(load_st_model(folder, settings), settings)
