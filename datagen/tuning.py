"""Other margins and other choices, decided again from the ledger of a run: `datagen tune`.

No model is loaded and nothing is searched: what the run found and scored is judged and chosen anew by the functions
that the stages use. What a ledger cannot know is counted: negatives that the reranker has not seen (taken to be
clean), and queries that the search would follow deeper. Texts that repeat each other stay as the run found them.
"""

from __future__ import annotations

import itertools
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from datagen.config import RunConfig, build_config, merge
from datagen.errors import ConfigError
from datagen.mining.ledger_review import Marks, Review, open_review, read_cut, read_settings
from datagen.selection.arrays import Bool, Float64
from datagen.settings.mine import DEFAULT_MARGINS, MineConfig

Overrides = Mapping[str, Any]  # Any: settings of `mine`, not yet validated

TUNABLE = (
    "margin_policy",
    "margin",
    "margin_ceiling",
    "positive_score",
    "positive_quantile",
    "num_negatives",
    "choice",
)
"""Settings of `mine` that a ledger can answer for."""

_STEPS, _DOUBT_STEPS = (0.0, 0.5, 1.0, 1.5, 2.0), (0.25, 0.5, 1.0, 2.0, 4.0)
"""Margins of the default grid, in units of the run's own: for all policies, and where the margin is a chance."""


def tune(run: str | Path, grid: Iterable[Overrides] | None = None, labels: pl.DataFrame | None = None) -> pl.DataFrame:
    """What a run's negatives would be under other settings of `mine`: a row for each, the run's own first.

        tune("runs/mine", [{"margin": m} for m in (0.02, 0.05, 0.1)], load_labels("qrels.tsv"))

    Args:
        run: the run folder.
        grid: settings of `mine` laid over the run's own, such as `{"margin": 0.3}` or
            `{"choice": {"method": "tiers", "tiers": [4, 2, 1]}}`; `default_grid` when None.
        labels: query_id, doc_id and relevance (above 0: relevant); `datagen.sources.load_labels` reads them.

    Returns:
        own: whether the row is the run's own settings. policy, margin, positive_score, choice. queries: of the run.
        full, without: share of them with all negatives, and with none. negatives: of all queries. log2_rank: mean log2
        of the negatives' ranks, smaller is harder. gap: how far below the median positive they score on average, in
        the query's spreads. doubted: share of the eligible candidates with a reranker score that the reranker sets
        aside; unscored: share of the negatives that it has not seen; both null without a reranker. deeper: queries
        that are short and that the search would follow deeper than the run did. leak: share of the negatives that
        are labelled relevant, over queries with a relevant document that the run does not know; null where there are
        none. command: what applies the row.

    Raises:
        RunFolderError: the folder holds no ledger, or one without margins.
        ConfigError: a row sets what the ledger cannot answer for, or to a value that is not allowed.
        InputError: the labels name no query of the run.
    """
    review = open_review(Path(run))
    own = review.config
    chosen = default_grid(own.mine) if grid is None else grid
    configs = {_identity(config.mine): config for config in (own, *(_lay_over(own, each) for each in chosen))}
    marks = None if labels is None else review.mark(labels)
    promised = read_cut(review.path) is not None
    return pl.DataFrame([_measure(review, config, marks, promised) for config in configs.values()], schema=_SCHEMA)


def default_grid(own: MineConfig) -> list[dict[str, Any]]:  # Any: settings not yet validated
    """A handful of margins around a run's own, and the other policies at their defaults."""
    unit = own.resolved_margin or DEFAULT_MARGINS[own.margin_policy]
    others = [policy for policy in DEFAULT_MARGINS if policy != own.margin_policy]
    steps, most = (_DOUBT_STEPS, 1.0) if own.margin_policy == "adaptive" else (_STEPS, math.inf)
    return [{"margin": min(most, round(step * unit, 6))} for step in steps] + [
        {"margin_policy": policy} for policy in others
    ]


def cross(axes: Mapping[str, Sequence[object]], choice: Overrides) -> list[dict[str, Any]]:  # Any: not yet validated
    """The product of some values of settings of `mine`, each with the same choice; without values, the choice alone."""
    always = {"choice": dict(choice)} if choice else {}
    return [{**dict(zip(axes, values, strict=True)), **always} for values in itertools.product(*axes.values())]


def tell_limits(run: Path, rows: pl.DataFrame) -> list[str]:
    """What the rows of `tune` do not know of a run, one sentence each."""
    mine = read_settings(run).mine
    unknown = mine.margin_policy != "spread" and "spread" in rows["policy"]
    told = [
        (mine.choice.needs_vectors, "diversity and hubness look at vectors: all rows go without, row 1 too"),
        (any(mine.sources.quotas.values()), "quotas of sources stay as the run's own margin filled them"),
        (
            read_cut(run) is not None,
            "the margin of the run is the cut that its promise called for, by a model fitted to what was judged: any "
            "other margin promises nothing, and its command mines with the model that ships",
        ),
        (unknown, "spread sets the documents nearest to a positive aside, which this run has not noted: not counted"),
    ]
    return [sentence for holds, sentence in told if holds]


def tell_command(run: Path, own: MineConfig, row: MineConfig, *, promised: bool = False) -> str:
    """The command that mines a run again with a row's settings in the place of its own.

    Args:
        run: its folder.
        own: its settings.
        row: those of the row.
        promised: whether the run's own margin keeps a promise, which ends where the row has another.
    """
    words = ["datagen", "mine-negatives", "--run", str(run)]
    if promised and (own.margin_policy, own.margin) != (row.margin_policy, row.margin):
        words += _NO_PROMISE
    for name, option in _OPTIONS.items():
        old, new = (_value(mine, name) for mine in (own, row))
        if new != old or (name == "margin" and row.margin_policy != own.margin_policy):
            words += (
                [option, _as_word(new)] if new is not None and option else ["--set", f"mine.{name}={_as_word(new)}"]
            )
    return shlex.join(words)


_OPTIONS = {
    "margin_policy": "--margin-policy",
    "margin": "--margin",
    "margin_ceiling": "",
    "positive_score": "--positive-score",
    "positive_quantile": "",
    "num_negatives": "--num-negatives",
    "choice.method": "--choice",
    "choice.tiers": "--tiers",
    "choice.pool": "",
    "choice.simans_a": "",
    "choice.simans_b": "",
    "choice.diversity": "--diversity",
    "choice.hub_cap": "--hub-cap",
    "choice.hubness": "",
}
"""Each setting that a row may change with its option of `mine-negatives`; --set sets the others."""

_NO_PROMISE = [
    word
    for setting in ("max_false_negatives=null", "labels=null", "labels_complete=false")
    for word in ("--set", f"calibration.{setting}")
]
"""What a saved promise is taken back with: it goes with no margin of one's own."""

_SCHEMA = {
    "own": pl.Boolean,
    "policy": pl.String,
    "margin": pl.Float64,
    "positive_score": pl.String,
    "choice": pl.String,
    "queries": pl.Int64,
    "full": pl.Float64,
    "without": pl.Float64,
    "negatives": pl.Int64,
    "log2_rank": pl.Float64,
    "gap": pl.Float64,
    "doubted": pl.Float64,
    "unscored": pl.Float64,
    "deeper": pl.Int64,
    "leak": pl.Float64,
    "command": pl.String,
}


def _measure(review: Review, config: RunConfig, marks: Marks | None, promised: bool) -> dict[str, object]:
    """A row of `tune`; `promised` as for `tell_command`."""
    mine = config.mine
    chosen, eligible, deeper = review.decide(config)
    rows = review.ledger.rows[chosen]
    per_query = np.bincount(rows, minlength=review.ledger.n_rows)
    short = per_query < mine.wanted
    spread, n_queries = review.positives.spread[rows], max(1, review.n_queries)
    gaps = ((review.anchors[rows] - review.ledger.scores[chosen])[spread > 0]) / spread[spread > 0]
    seen = eligible & review.scored
    return {
        "own": _identity(mine) == _identity(review.config.mine),
        "policy": mine.margin_policy,
        "margin": mine.resolved_margin,
        "positive_score": mine.positive_score,
        "choice": _describe_choice(mine),
        "queries": review.n_queries,
        "full": int((~short).sum()) / n_queries,
        "without": (review.n_queries - int((per_query > 0).sum())) / n_queries,
        "negatives": len(chosen),
        "log2_rank": _mean(np.log2(np.maximum(review.pairs["rank"].to_numpy()[chosen], 1))),
        "gap": _mean(gaps[~np.isnan(gaps)]),
        "doubted": _mean(review.doubted[seen]) if review.reranked else None,
        "unscored": _mean(~review.scored[chosen]) if review.reranked else None,
        "deeper": int((short & deeper).sum()),
        "leak": _mean(marks.relevant[chosen][marks.judged[chosen]]) if marks else None,
        "command": tell_command(review.path, review.config.mine, mine, promised=promised),
    }


def _lay_over(own: RunConfig, over: Overrides) -> RunConfig:
    """The settings of a run with some of `mine` changed; a margin stays with its policy, tiers with their method."""
    wrong = [name for name in over if name not in TUNABLE]
    if wrong:
        raise ConfigError(
            f"the ledger cannot answer for mine.{wrong[0]}: a row of the grid may set {', '.join(TUNABLE)}; mine again "
            "for the rest"
        )
    values = merge({}, dict(over))
    if values.get("margin_policy", own.mine.margin_policy) != own.mine.margin_policy:
        values.setdefault("margin", None)
    if values.get("choice", {}).get("method", "tiers") != "tiers":
        values["choice"].setdefault("tiers", None)
    return build_config(merge(own.model_dump(mode="json"), {"mine": values}))


def _identity(mine: MineConfig) -> tuple[object, ...]:
    """What two settings that decide the same have in common."""
    return tuple(_value(mine, name) for name in _OPTIONS)


def _value(mine: MineConfig, name: str) -> object:
    if name == "margin":
        return mine.resolved_margin
    if name == "choice.tiers" and mine.choice.method == "tiers":
        return mine.choice.resolved_tiers
    section, _, key = name.rpartition(".")
    return getattr(mine.choice if section else mine, key)


def _as_word(value: object) -> str:
    if value is None:
        return "null"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _describe_choice(mine: MineConfig) -> str:
    choice = mine.choice
    wanted = ",".join(map(str, mine.needs))
    return f"{choice.method} {wanted}" + (f", hub cap {choice.hub_cap}" if choice.hub_cap else "")


def _mean(values: Float64 | Bool) -> float | None:
    return float(values.mean()) if len(values) else None
