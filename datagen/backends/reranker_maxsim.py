"""Denoise by late interaction over the token vectors of any sentence-transformers model.

score(q, d) = mean over the query's tokens of the best cosine with a token of the document (ColBERT's MaxSim, Khattab
and Zaharia 2020, divided by the number of query tokens so that long and short queries share one scale). The
model need not be trained for it: what it adds to the teacher is that no part of the query may be left unanswered.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from datagen.backends.protocols import Float32, Int64, RerankPairs, Role, TokenUsage
from datagen.backends.st_model import count_tokens, load_st_model, token_batches
from datagen.config import DenoiseConfig


class MaxSimReranker:
    """Late interaction between token vectors."""

    scale = "mean best token cosine, -1 to 1"
    round_size = 32

    def __init__(self, model: SentenceTransformer, settings: DenoiseConfig) -> None:
        """Keep a loaded model; see `load_maxsim`."""
        self._model = model
        self._settings = settings
        self.usage = TokenUsage()
        self._queries: Sequence[str] = ()
        self._query_tokens: list[torch.Tensor] = []

    def score(self, pairs: RerankPairs) -> Float32:
        """Mean best token cosine, float32 (n_pairs,), in the order of the pairs.

        The token vectors of `pairs.queries` are kept until another sequence of queries comes.
        """
        if pairs.queries is not self._queries:
            self._query_tokens = self._embed_all(pairs.queries, "query")
            self._queries = pairs.queries
        out = np.empty(len(pairs), np.float32)
        order = np.argsort(pairs.document_index, kind="stable")
        used, starts = np.unique(pairs.document_index[order], return_index=True)
        places = np.split(order, starts[1:])
        texts = [pairs.documents[i] for i in used]
        for batch in token_batches(count_tokens(self._model, texts), self._settings.batch_tokens, self.usage):
            tokens = self._embed([texts[i] for i in batch], "document")
            for i, vectors in zip(batch, tokens, strict=True):
                out[places[i]] = self._match(pairs.query_index[places[i]], vectors)
        return out

    def _match(self, queries: Int64, document: torch.Tensor) -> Float32:
        """Scores of several queries for one document."""
        chosen = [self._query_tokens[i] for i in queries]
        best = (torch.cat(chosen) @ document.T).amax(dim=1).float()
        lengths = torch.tensor([len(tokens) for tokens in chosen], device=best.device)
        owner = torch.repeat_interleave(torch.arange(len(chosen), device=best.device), lengths)
        sums = torch.zeros(len(chosen), device=best.device).index_add_(0, owner, best)
        return np.asarray((sums / lengths).cpu(), np.float32)

    def _embed_all(self, texts: Sequence[str], role: Role) -> list[torch.Tensor]:
        tokens: list[torch.Tensor] = [torch.empty(0)] * len(texts)
        for batch in token_batches(count_tokens(self._model, texts), self._settings.batch_tokens, self.usage):
            for i, vectors in zip(batch, self._embed([texts[i] for i in batch], role), strict=True):
                tokens[i] = vectors
        return tokens

    def _embed(self, texts: list[str], role: Role) -> list[torch.Tensor]:
        encode = self._model.encode_query if role == "query" else self._model.encode_document
        found = encode(texts, output_value="token_embeddings", batch_size=len(texts), show_progress_bar=False)
        tokens = cast("list[torch.Tensor]", found)
        return [torch.nn.functional.normalize(vectors.float(), dim=-1).to(vectors.dtype) for vectors in tokens]


def load_maxsim(folder: Path, settings: DenoiseConfig) -> MaxSimReranker:
    """The late-interaction reranker of a model folder.

    Raises:
        ModelLoadError: the folder does not hold a model that can be loaded.
    """
    return MaxSimReranker(load_st_model(folder, settings), settings)
