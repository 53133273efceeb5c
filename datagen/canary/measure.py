"""What became of plants and of natural hard negatives in the ledger of a canary run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from datagen import shards
from datagen.canary.plants import ALTERED, words_of

NATURAL = "own_question"
"""The natural hard negatives: passages near to the query that are positives of other queries, which ask another thing.

Two queries ask different things when each has a word, function words aside, that the other lacks. So a passage on a
narrower or wider question than the query's is left out, and so is one that is a positive of several queries of which
one might ask the same."""
NEAREST = 10
"""Natural hard negatives looked at for each query, those nearest to it."""
CONFIDENCE = 0.95

WANTED_RECALL = 0.95
"""Recall that a suggested margin keeps."""

_MARGINS = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_ELIGIBLE = ("surplus", "selected")
_REOPENED = (*_ELIGIBLE, "margin")


@dataclass(frozen=True)
class Share:
    """A share with its exact binomial interval (Clopper and Pearson 1934)."""

    hits: int
    of: int

    @property
    def value(self) -> float:
        """The share, 0 to 1; NaN of nothing."""
        return self.hits / self.of if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Its bounds, at 95 % confidence."""
        return exact_interval(self.hits, self.of)


def exact_interval(hits: int, of: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The Clopper-Pearson interval of a share; 0 to 1 of nothing."""
    tail = (1 - confidence) / 2
    low = 0.0 if not hits else _solve(lambda p: 1 - _binomial_cdf(hits - 1, of, p) < tail)
    high = 1.0 if hits == of else _solve(lambda p: _binomial_cdf(hits, of, p) > tail)
    return low, high


def judge_plants(ledger: Path, plants: pl.DataFrame) -> pl.DataFrame:
    """What the settings did with each plant: query_id, doc_id, kind, in_reach, eligible, reason, p_false_negative.

    The last two are null where the search did not find it.

    A plant is eligible when nothing is against it as a negative, whether it was chosen or not; it is in reach when it
    is among the candidates of its query.

    Args:
        ledger: the folder of candidates.
        plants: with query_id, doc_id and kind.
    """
    rows = shards.scan(ledger).select("query_id", "doc_id", "reason", "p_false_negative").collect()
    wanted = plants.select("query_id", "doc_id", "kind")
    joined = wanted.join(rows, on=["query_id", "doc_id"], how="left", maintain_order="left")
    return _judged(joined)


def judge_natural(ledger: Path, queries: pl.DataFrame, pairs: pl.DataFrame, mark: str) -> pl.DataFrame:
    """What the settings did with the natural hard negatives of each query; columns as `judge_plants` gives.

    Args:
        ledger: the folder of candidates.
        queries: query_id and query of all queries of the input, those that were not mined for among them.
        pairs: query_id and doc_id of all known positives of the input.
        mark: how the ids of plants begin.
    """
    near = shards.scan(ledger).filter(
        ~pl.col("doc_id").str.starts_with(mark), pl.col("reason") != "known_positive", pl.col("rank") > 0
    )
    ranked = near.select("query_id", "doc_id", "reason", "p_false_negative", "teacher_score").collect()
    ranked = ranked.join(pairs, on="doc_id", how="semi", maintain_order="left")
    ranked = ranked.sort("teacher_score", descending=True, maintain_order=True)
    first = ranked.filter(pl.int_range(pl.len()).over("query_id") < 2 * NEAREST)
    asked = first.join(pairs.rename({"query_id": "other_id"}), on="doc_id")
    words = {query_id: words_of(query) for query_id, query in queries.select("query_id", "query").iter_rows()}
    both = asked.select("query_id", "other_id").iter_rows()
    differs = [_ask_different_things(words[query_id], words[other]) for query_id, other in both]
    clear = asked.with_columns(differs=pl.Series(differs, dtype=pl.Boolean))
    clear = clear.group_by("query_id", "doc_id").agg(pl.col("differs").all()).filter("differs")
    hard = first.join(clear, on=["query_id", "doc_id"], how="semi", maintain_order="left")
    hard = hard.filter(pl.int_range(pl.len()).over("query_id") < NEAREST)
    return _judged(hard.with_columns(kind=pl.lit(NATURAL)))


def count_kinds(judged: pl.DataFrame) -> pl.DataFrame:
    """A row for each kind: planted, in_reach, eligible, and reasons, the commonest first, as `reason number, …`."""
    reasons = judged.filter("in_reach").group_by("kind", "reason").len().sort("len", "reason", descending=[True, False])
    told = reasons.group_by("kind", maintain_order=True).agg(reasons=pl.format("{} {}", "reason", "len").str.join(", "))
    counted = judged.group_by("kind", maintain_order=True).agg(
        planted=pl.len(), in_reach=pl.col("in_reach").sum(), eligible=pl.col("eligible").sum()
    )
    joined = counted.join(told, on="kind", how="left", maintain_order="left")
    return joined.with_columns(pl.col("reasons").fill_null(""))


def recall_of(judged: pl.DataFrame) -> Share:
    """Share of the plants in reach that still answer their query and that the settings keep out of the negatives."""
    plants = judged.filter(pl.col("in_reach"), ~pl.col("kind").is_in([NATURAL, ALTERED]))
    return Share(int((~plants["eligible"]).sum()), len(plants))


def retention_of(judged: pl.DataFrame) -> Share:
    """Share of the natural hard negatives that the settings let be negatives."""
    natural = judged.filter(pl.col("kind") == NATURAL)
    return Share(int(natural["eligible"].sum()), len(natural))


def draw_curve(judged: pl.DataFrame) -> pl.DataFrame:
    """Recall and retention under other margins of the policy adaptive: margin, recall, retention; from P alone.

    What closure or reranker are against stays out. What a higher margin lets through, a reranker might still set aside:
    recall is then a lower bound, retention an upper one. Empty where the ledger has no P.
    """
    schema = {"margin": pl.Float64, "recall": pl.Float64, "retention": pl.Float64}
    if not judged["p_false_negative"].count():
        return pl.DataFrame(schema=schema)
    rows = []
    for margin in _MARGINS:
        passes = pl.col("reason").is_in(_REOPENED) & (
            pl.col("p_false_negative").cast(pl.Float32) <= pl.lit(margin, pl.Float32)
        )
        moved = judged.with_columns(eligible=passes.fill_null(value=False))
        rows.append((margin, recall_of(moved).value, retention_of(moved).value))
    return pl.DataFrame(rows, schema=schema, orient="row")


def suggest_margin(curve: pl.DataFrame) -> float | None:
    """The margin of a curve that keeps most hard negatives while recall is as wanted; None where none does."""
    good = curve.filter(pl.col("recall") >= WANTED_RECALL).sort("retention", "margin")
    return None if good.is_empty() else float(good["margin"][-1])


def _judged(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(
        "query_id",
        "doc_id",
        "kind",
        in_reach=pl.col("reason").is_not_null(),
        eligible=pl.col("reason").is_in(_ELIGIBLE).fill_null(value=False),
        reason="reason",
        p_false_negative="p_false_negative",
    )


def _ask_different_things(left: frozenset[str], right: frozenset[str]) -> bool:
    return bool(left - right) and bool(right - left)


def _solve(is_below: Callable[[float], bool]) -> float:
    """Where a condition that holds below some p in 0 to 1 ends, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return low


def _binomial_cdf(k: int, n: int, p: float) -> float:
    """P(X <= k) for X binomial."""
    if p in (0.0, 1.0):
        return 1.0 if p == 0 or k >= n else 0.0
    logs = (
        math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * math.log(p) + (n - i) * math.log1p(-p)
        for i in range(k + 1)
    )
    return min(1.0, math.fsum(map(math.exp, logs)))
