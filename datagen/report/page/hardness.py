"""Leak against hardness: the cuts that a run could choose from, as judged queries or the margin's model see them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from datagen.report.page import charts
from datagen.report.page.parts import Figure, Section, Table, figure
from datagen.report.page.scores import trace_cuts
from datagen.report.promise import tell_promise
from datagen.runs import Run
from datagen.settings.mine import DEFAULT_MARGINS

_TITLES = ("mean log2 rank", "leak")
_RING = "The ring is the cut of this run."


def show_hardness(run: Run) -> Section:
    """The curve of the calibration, where there was one, and that of the ledger, where it has P(false negative)."""
    counts = run.counts.get("calibrate")
    parts = _calibrated(counts) if counts and counts.get("curve") else ()
    return Section("Leak against hardness", (*parts, *_expected(run, counts)))


def _calibrated(counts: Mapping[str, Any]) -> tuple[Figure | Table, ...]:  # Any: JSON counts
    """What each cut gave in replays of judged queries."""
    points = pl.DataFrame(counts["curve"]).with_columns(own=pl.col("cut") == counts["cut"])
    told = pl.format("cut {}: leak {}, log2 rank {}", "cut", "estimate", "log2_rank")
    svg = charts.draw_curve(points.with_columns(told=told), "log2_rank", "estimate", _TITLES, counts["promise"])
    says = (
        f"Each point is a cut of P(false negative), the band its {counts['interval']:.0%} interval, the dashed line "
        f"the promise; further left is harder. {_RING}"
    )
    rows = [
        (
            f"{row['cut']:.3g}{' (chosen)' if row['own'] else ''}",
            f"{row['estimate']:.2%}",
            f"{row['low']:.2%} to {row['high']:.2%}",
            f"{row['log2_rank']:.2f}",
            f"{row['gap']:.2f}",
            f"{row['coverage']:.1%}",
        )
        for row in points.to_dicts()
    ]
    heads = ("P at most", "leak", "interval", "log2 rank", "gap, spreads", "queries with all")
    return figure("From judged queries", svg, says), _promise(counts), Table("Every cut", heads, list(rows))


def _promise(counts: Mapping[str, Any]) -> Table:  # Any: JSON counts
    """The promise, how sure it is, and by which evidence."""
    rows = [
        ("wrong labels at most", f"{counts['promise']:.1%}"),
        ("confidence asked for", f"{counts['confidence']:.0%}"),
        ("confidence reached", f"{counts['confidence_reached']:.1%}"),
        ("estimate", f"{counts['estimate']:.2%}"),
        (f"{counts['interval']:.0%} interval", f"{counts['low']:.2%} to {counts['high']:.2%}"),
        ("judged queries, negatives", f"{counts['queries_judged']:,}, {counts['negatives_judged']:,}"),
    ]
    return Table("What is promised", ("of the negatives", "figure"), list(rows), tell_promise(counts))


def _expected(run: Run, counts: Mapping[str, Any] | None) -> tuple[Figure | Table, ...]:  # Any: JSON counts
    """What the model of the margin expects of other cuts."""
    if "candidates" not in run.tables or not any("negatives" in record.counts for record in run.records):
        return ()
    points = trace_cuts(run.scan("candidates"), run.settings["mine"]["num_negatives"], _own_cut(run, counts))
    if points.is_empty():
        return ()
    told = pl.format(
        "cut {}: expected leak {} %, log2 rank {}", "cut", (pl.col("leak") * 100).round(2), pl.col("log2_rank").round(2)
    )
    svg = charts.draw_curve(points.with_columns(told=told), "log2_rank", "leak", (_TITLES[0], "expected leak"))
    says = (
        "Share of the negatives that the margin's model expects to be relevant (nobody judged them), against how hard "
        f"they are: the mean log2 of their rank, smaller is harder. Each point is a cut of P(false negative). {_RING}"
    )
    rows = [
        (f"{cut:.3g}{' (own)' if own else ''}", f"{leak:.2%}", f"{rank:.2f}", f"{full:.1%}")
        for cut, leak, rank, full, own in points.iter_rows()
    ]
    heads = ("P at most", "expected leak", "log2 rank", "queries with all")
    return figure("What another cut would give", svg, says), Table("In numbers", heads, list(rows))


def _own_cut(run: Run, counts: Mapping[str, Any] | None) -> float | None:  # Any: JSON counts
    """The highest P(false negative) of a negative of this run; None where another policy decided."""
    if counts:
        return float(counts["cut"])
    mine = run.settings["mine"]
    if mine["margin_policy"] != "adaptive":
        return None
    return float(DEFAULT_MARGINS["adaptive"] if mine["margin"] is None else mine["margin"])
