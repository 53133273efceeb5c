"""The reranker as a witness, where nobody has judged a candidate: a fallback, and no measurement.

It scores what mining would make a negative of some queries. A candidate that scores at least as high as the positive in
a stated place of all known positives counts as relevant. That the reranker overlooks the known positives below this
place is known, and counted on; what else it takes for relevant, or overlooks, is not. For the stage `calibrate`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from datagen.backends.protocols import Float32
from datagen.documents import take_documents
from datagen.mining.calibrating import GRID, Chooser, Traced
from datagen.mining.opening import OpenMining, RunView
from datagen.scores import PairScores, Texts
from datagen.selection.arrays import Int64, Lists, quantile_per_row
from datagen.selection.denoise import middle_scores
from datagen.selection.doubt import DoubtModel
from datagen.selection.refit import score_blocks

Scorer = Callable[[Int64, Int64], Float32]
"""Reranker scores of query numbers and the document numbers beside them, (n,)."""


def ask_reranker(traced: Traced, model: DoubtModel, chooser: Chooser, place: float, scorer: Scorer) -> Traced:
    """The same with what the reranker takes for relevant, for all candidates that some cut makes a negative.

    Args:
        traced: what replays found of which nobody has judged anything.
        model: what the cuts are measured by.
        chooser: how the run chooses its negatives.
        place: the quantile of the known positives' scores from which on a candidate counts as relevant, 0 to 1; each
            query counts once, by the median of its positives.
        scorer: the reranker.
    """
    logits, replays = score_blocks(model, traced.features), traced.replays
    asked = traced.take(np.unique(np.concatenate([traced.emitted(chooser, logits, odds) for odds in GRID])))
    shown = replays.shown
    rows, documents = np.r_[shown.rows, asked.rows], np.r_[shown.values, asked.documents]
    scores = scorer(replays.queries[rows], documents).astype(np.float64)
    known = scores[: len(shown.values)]
    middles = middle_scores(known, shown.starts)
    limit = quantile_per_row(middles, np.array([0, len(middles)]), place, member=True)[0]
    relevant = scores >= limit
    relevant[: len(known)] = True
    judged = replace(
        replays,
        relevant=Lists.from_pairs(rows[relevant], documents[relevant], len(replays)),
        listed=Lists.from_pairs(rows, documents, len(replays)),
        found=float((middles >= limit).mean()),
    )
    return replace(traced, replays=judged)


def open_scorer(view: RunView, opened: OpenMining) -> Scorer:
    """The run's reranker; what it says is kept, and read by the stage `denoise`."""
    store = PairScores(view.config.cache_folder, view.backends.reranker_identity())
    queries = view.read("queries", ["query"])["query"]
    template = view.config.teacher.document_template

    def score(rows: Int64, documents: Int64) -> Float32:
        asked, row = np.unique(rows, return_inverse=True)
        numbers, number = np.unique(documents, return_inverse=True)
        texts = take_documents(view.source("corpus"), template, opened.document_ids.gather(numbers))["text"]
        pairs = row.astype(np.int64), number.astype(np.int64)
        questions = Texts.of(queries.gather(asked))
        return store.ensure(questions, Texts.of(texts), pairs, view.backends.reranker, view.progress)[0]

    return score
