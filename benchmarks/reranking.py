"""What denoising costs: datagen beside sentence-transformers' mine_hard_negatives(cross_encoder=...).

    python -m benchmarks.reranking --data FOLDER --reranker MODEL [--queries N] [--dtype float32]

The same teacher, cross-encoder, candidates (the 52 nearest documents of each query) and rule on both sides: a negative
must not score above the one known positive of its query (relative_margin=0 there; margin 0, nothing spared here).
The peer scores all candidates of a query and hands out the five that score highest; datagen asks in the teacher's order
and stops once five are clean. Both begin with the vectors computed and the models loaded.

tokens: those that the cross-encoder computes, padding and all. same verdict: of our negatives, those that the peer's
scores accept too. same five: of our negatives, those among the first five in the teacher's order that the peer accepts.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import torch
from datasets import Dataset
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.util import mine_hard_negatives

from benchmarks.judged import JudgedSet, read_judged, shown_positive, write_hidden
from benchmarks.mining_vs_peers import first_queries
from benchmarks.ours import read_negatives
from datagen import pipeline, shards
from datagen.backends.models import find_model
from datagen.backends.protocols import TokenUsage
from datagen.backends.registry import Registry
from datagen.config import RunConfig, build_config

TEACHER = "packaged:all-MiniLM-L6-v2"
NEGATIVES, DEPTH = 5, 52
"""The peer looks at 10 candidates for each negative wanted, at one more, and at the positive."""
EQUAL_RULE = {"margin": 0.0, "floor_quantile": 0.0, "max_overruled": 1.0, "spare_candidates": DEPTH - NEGATIVES}

Scores = dict[tuple[str, str], float]


@dataclass
class Cost:
    """What one system spent."""

    negatives: int
    pairs: int
    usage: TokenUsage
    seconds: float
    cpu_seconds: float

    @property
    def tokens(self) -> float:
        """Tokens computed for each negative."""
        return self.usage.padded / max(1, self.negatives)


@dataclass
class CountingEncoder:
    """Notes what a cross-encoder reads and gives, without a change to either."""

    model: CrossEncoder
    usage: TokenUsage = field(default_factory=TokenUsage)
    scores: Scores = field(default_factory=dict)
    pairs: int = 0

    def predict(self, inputs: list[tuple[str, str]], **options: Any) -> Any:  # Any: as in sentence-transformers
        """What the model predicts."""
        found = self.model.predict(inputs, **options)
        self.pairs += len(inputs)
        self.scores.update(zip(((query, text) for query, text in inputs), found.tolist(), strict=True))
        return found

    def note_features(self) -> None:
        """Count the tokens of every batch that is made from here on."""
        preprocess = self.model.preprocess

        def counted(*arguments: Any, **options: Any) -> Any:  # Any: as in sentence-transformers
            features = preprocess(*arguments, **options)
            self.usage.tokens += int(features["attention_mask"].sum())
            self.usage.padded += features["attention_mask"].numel()
            return features

        self.model.preprocess = counted  # type: ignore[method-assign]


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--reranker", type=Path, required=True)
    parser.add_argument("--queries", type=int, help="only the first N queries")
    parser.add_argument("--dtype", default="float32", help="of the cross-encoder, on both sides")
    arguments = parser.parse_args()
    judged = first_queries(read_judged(arguments.data), arguments.queries)
    with tempfile.TemporaryDirectory() as name:
        ours, mined = _datagen(judged, Path(name), arguments)
        theirs, scores, handed = _peer(judged, Path(name), arguments)
    print("| system | negatives | pairs | tokens | tokens a negative | seconds | CPU seconds |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    print(_row("datagen", ours), _row("sentence-transformers", theirs), sep="\n")
    print(
        f"\ntokens a negative: {ours.tokens / theirs.tokens:.3f} of the peer's", _agree(judged, mined, scores, handed)
    )


def _datagen(judged: JudgedSet, base: Path, arguments: argparse.Namespace) -> tuple[Cost, dict[str, list[str]]]:
    write_hidden(judged, base / "beir")
    config = build_config(
        {
            "out": base / "run",
            "cache": base / "cache",
            "input": {"beir": str(base / "beir")},
            "teacher": {"model": TEACHER, "dtype": "float32"},
            "mine": {
                "margin_policy": "absolute",
                "num_negatives": NEGATIVES,
                "candidates": DEPTH,
                "max_candidates": DEPTH,
                "closure": {"near_text": None, "near_vector": None, "near_query": None},
            },
            "denoise": {"reranker": str(arguments.reranker), "dtype": arguments.dtype, **EQUAL_RULE},
        }
    )
    pipeline.run(config, until="mine")
    _let_all_through(config)
    backends = Registry(config)
    usage: TokenUsage = backends.reranker().usage  # type: ignore[attr-defined]
    seconds, cpu_seconds = _timed(lambda: pipeline.run(config, backends=backends))
    mined = read_negatives(base / "run")
    pairs = json.loads((base / "run" / "run.json").read_text())["stages"]["denoise"]["counts"]["pairs_scored"]
    return Cost(sum(map(len, mined.values())), pairs, usage, seconds, cpu_seconds), mined


def _let_all_through(config: RunConfig) -> None:
    """Take back what the teacher's margin said: the peer has none where it has a cross-encoder."""
    for path in sorted((config.out / ".stages" / "mine" / "candidates").glob("*.parquet")):
        ledger = pl.read_parquet(path).filter(
            (pl.col("rank") <= DEPTH) | (pl.col("rank").is_null()) | (pl.col("reason") == "known_positive")
        )
        reason = pl.when(pl.col("reason") == "margin").then(pl.lit("surplus")).otherwise("reason").alias("reason")
        path.unlink()
        shards.write_part(path, "candidates", ledger.with_columns(reason))


def _peer(judged: JudgedSet, base: Path, arguments: argparse.Namespace) -> tuple[Cost, Scores, list[tuple[str, str]]]:
    teacher = SentenceTransformer(str(find_model(TEACHER)), model_kwargs={"dtype": torch.float32})
    dtype = {"dtype": getattr(torch, arguments.dtype)}
    encoder = CountingEncoder(CrossEncoder(str(arguments.reranker), model_kwargs=dtype))
    encoder.note_features()
    queries = [query for query in judged.queries if judged.relevant.get(query)]
    data = Dataset.from_dict(
        {
            "anchor": [judged.queries[query] for query in queries],
            "positive": [judged.documents[shown_positive(query, judged.relevant[query])] for query in queries],
        }
    )
    common: dict[str, Any] = {  # Any: arguments of many types
        "corpus": list(judged.documents.values()),
        "num_negatives": NEGATIVES,
        "range_max": DEPTH - 1,
        "output_format": "triplet",
        "cache_folder": str(base / "peer"),
        "verbose": False,
    }
    mine_hard_negatives(data, teacher, **common)  # for the vectors, which it keeps
    found: list[Dataset] = []
    reranked: dict[str, Any] = {**common, "cross_encoder": encoder, "relative_margin": 0.0}  # Any: as above
    seconds, cpu_seconds = _timed(lambda: found.append(mine_hard_negatives(data, teacher, **reranked)))
    handed = list(zip(found[0]["anchor"], found[0]["negative"], strict=True))
    return Cost(len(handed), encoder.pairs, encoder.usage, seconds, cpu_seconds), encoder.scores, handed


def _agree(judged: JudgedSet, mined: dict[str, list[str]], scores: Scores, handed: list[tuple[str, str]]) -> str:
    """How far the negatives are the same, in words."""
    by_query: dict[str, list[tuple[str, float]]] = {}
    for (query, text), score in scores.items():  # in the order in which the peer found them, nearest first
        by_query.setdefault(query, []).append((text, score))
    verdict = five = ours = 0
    for query, documents in mined.items():
        text, positive = judged.queries[query], judged.documents[shown_positive(query, judged.relevant[query])]
        accepted = [found for found, score in by_query[text] if score <= scores[text, positive] and found != positive]
        negatives = {judged.documents[document] for document in documents}
        ours += len(negatives)
        verdict += len(negatives & set(accepted))
        five += len(negatives & set(accepted[:NEGATIVES]))
    pairs = {(judged.queries[query], judged.documents[d]) for query, found in mined.items() for d in found}
    shares = f"same verdict {verdict / ours:.2%}, same five {five / ours:.2%}"
    return f"({shares}; {len(pairs & set(handed)) / ours:.1%} are among the five that score highest)"


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def _row(name: str, cost: Cost) -> str:
    counts = f"{cost.negatives:,} | {cost.pairs:,} | {cost.usage.padded:,} | {cost.tokens:,.0f}"
    return f"| {name} | {counts} | {cost.seconds:.1f} | {cost.cpu_seconds:.1f} |"


if __name__ == "__main__":
    main()
