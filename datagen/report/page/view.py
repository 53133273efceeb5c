"""What the page says of one run: small facts and finished charts, read from its tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

import numpy as np
import polars as pl

from datagen.report.ledger import IS_NEGATIVE
from datagen.report.page import charts
from datagen.report.page.cost import is_money, show_cost
from datagen.report.page.diversity import count_slots, measure_diversity
from datagen.report.page.flow import show_flow
from datagen.report.page.hardness import show_hardness
from datagen.report.page.parts import Figure, Section, Table, figure
from datagen.report.page.probed import show_probe
from datagen.report.page.samples import choose_samples
from datagen.report.page.scores import OUTCOME, count_bins
from datagen.run_folder import Counts
from datagen.runs import Run

_SCORES = {
    "teacher_score": "teacher score",
    "reranker_score": "reranker score",
    "p_false_negative": "P(false negative)",
}
_MOST_BARS = 25
_MOST_WORDS = 30
_MOST_TEXT = 80
_MOST_USES = 7
"""As a power of 2: documents that serve more queries than half of that stand together."""


@dataclass(frozen=True)
class View:
    """All that the page shows of one run."""

    name: str
    tiles: list[tuple[str, str]]
    sections: list[Section]
    samples: dict[str, Any]  # Any: JSON values
    """See `choose_samples`."""


def view_run(run: Run, share: int = 1) -> View:
    """What the page says of a run, finished or not.

    Args:
        run: which.
        share: how many runs share the page.
    """
    made = [make(run) for make in _SECTIONS]
    samples = choose_samples(run, share) if "candidates" in run.tables else {"total": 0, "queries": [], "documents": []}
    return View(run.path.resolve().name, list(_tiles(run)), [section for section in made if section.parts], samples)


def _chosen(run: Run) -> Counts | None:
    """What was counted when the negatives were chosen."""
    return next((record.counts for record in reversed(run.records) if "negatives" in record.counts), None)


def _tiles(run: Run) -> Iterator[tuple[str, str]]:
    counts = _chosen(run)
    if counts:
        yield "queries", f"{counts['queries']:,}"
        yield "negatives", f"{counts['negatives']:,}"
        yield "queries with all of them", f"{counts['queries_with_all_negatives'] / max(1, counts['queries']):.1%}"
        rank = counts["rank_of_negatives"].get("50%")
        if rank is not None:
            yield "median rank of a negative", f"{rank:,.0f}"
        expected = run.scan("candidates").filter(IS_NEGATIVE).select(pl.col("p_false_negative").mean()).collect().item()
        if expected is not None:
            yield "expected false negatives", f"{expected:.2%}"
    calibrated = run.counts.get("calibrate")
    if calibrated:
        sure = f"{calibrated['confidence']:.0%} sure" if calibrated["certified"] else "not certain"
        yield "promised at most", f"{calibrated['promise']:.1%}, {sure}"
    costs = [record.counts["cost"] for record in run.records if is_money(record.counts.get("cost"))]
    if costs:
        yield "cost", f"{sum(costs):,.2f}"
    yield "time", f"{sum(record.seconds for record in run.records):,.0f} s"


def _scores(run: Run) -> Section:
    """How the scores of positives, negatives and the others are spread."""
    if "candidates" not in run.tables:
        return Section("Scores")
    ledger = run.scan("candidates").with_columns(outcome=OUTCOME)
    says = "Of the positives, the negatives, the candidates set aside (ignored) and those that could be chosen (spare)."
    drawn: list[Figure | Table] = []
    for column, title in _SCORES.items():
        log = column == "p_false_negative"
        bins = count_bins(ledger, column, log=log)
        if len(bins):
            drawn.append(figure(title[:1].upper() + title[1:], charts.draw_distributions(bins, title, log=log), says))
    return Section("Scores", tuple(drawn))


def _hubs(run: Run) -> Section:
    """How unevenly documents serve as negatives."""
    counts = _chosen(run)
    if counts is None or not counts["hubs"]["most_used"]:
        return Section("Hubs")
    hubs = counts["hubs"]
    uses = run.scan("candidates").filter(IS_NEGATIVE).group_by("doc_id").agg(uses=pl.len())
    power = pl.col("uses").cast(pl.Float64).log(2).ceil().cast(pl.Int64).clip(upper_bound=_MOST_USES)
    spread = uses.group_by(power=power).agg(documents=pl.len()).sort("power").collect()
    rows = spread.select(pl.Series("uses", map(_doubling, spread["power"]), pl.String), "documents")
    svg = charts.draw_columns(rows, "uses", "documents", ("queries that a document serves", "documents"))
    says = (
        f"{hubs['documents_used']:,} of {hubs['documents']:,} documents serve. Gini {hubs['gini']:.2f}: 0 where all "
        f"serve alike, near 1 where few serve for all. The most used 1 % make up {hubs['share_of_top_1_percent']:.1%} "
        "of the negatives."
    )
    ids = pl.DataFrame(hubs["most_used"])
    held = run.scan("corpus").join(ids.lazy(), on="doc_id", how="semi").select("doc_id", "title", "text").collect()
    texts = {
        row[0]: shorten(" — ".join(filter(None, row[1:])), _MOST_TEXT, placeholder="…") for row in held.iter_rows()
    }
    told = [(f"{hub['queries']:,}", hub["doc_id"], texts.get(hub["doc_id"], "")) for hub in hubs["most_used"]]
    most = Table("Those that serve most", ("queries", "document", "begins with"), list(told))
    return Section("Hubs", (figure("How many queries a document serves", svg, says), most))


def _doubling(power: int) -> str:
    """The numbers up to this power of 2 and above the one before: 1, 2, 3 and 4, 5 to 8."""
    if power < 2:
        return str(2**power)
    return f"{2 ** (power - 1) + 1}+" if power == _MOST_USES else f"{2 ** (power - 1) + 1}–{2**power}"


def _diversity(run: Run) -> Section:
    """How varied the queries are."""
    name = "Diversity of the queries"
    queries = run.scan("queries").select("query", "slots").collect() if "queries" in run.tables else pl.DataFrame()
    if queries.is_empty():
        return Section(name)
    found = measure_diversity(queries["query"])
    told = [
        ("compression ratio", f"{found.compression:.2f}", "size over size packed: more for texts that repeat"),
        ("self-repetition", f"{found.self_repetition:.1%}", "runs of four words that more than one query has"),
        ("near-duplicates", f"{found.near_duplicates:.1%}", "queries that say what an earlier one says"),
        ("Vendi score", f"{found.vendi:,.0f} of {found.vendi_of:,}", "unlike queries that a sample is worth"),
    ]
    words = pl.col("query").str.split(" ").list.len().clip(upper_bound=_MOST_WORDS)
    lengths = queries.select(words=words).group_by("words").agg(queries=pl.len()).sort("words")
    svg = charts.draw_columns(lengths, "words", "queries", (f"words ({_MOST_WORDS}: or more)", "queries"))
    says = (
        "" if found.queries == len(queries) else f"Of {found.queries:,} of the {len(queries):,} queries, drawn evenly."
    )
    table = Table("Figures", ("figure", "value", "what it is"), list(told), says)
    return Section(name, (table, figure("Length of the queries", svg), *_slots(queries["slots"])))


def _slots(slots: pl.Series) -> Iterator[Figure | Table]:
    """How evenly the values of each slot are used, and how often each, where they are few."""
    counted = count_slots(slots)
    coverage = []
    for (name,), part in counted.group_by("slot", maintain_order=True):
        shares = part["queries"].to_numpy() / part["queries"].sum()
        evenness = float(-(shares * np.log(shares)).sum() / np.log(len(part))) if len(part) > 1 else 1.0
        coverage.append((name, f"{len(part):,}", f"{part['queries'].sum():,}", f"{evenness:.2f}", f"{shares[0]:.1%}"))
    if coverage:
        heads = ("slot", "values", "queries", "evenness", "most frequent")
        says = "Evenness: entropy of the values over the highest possible; 1 where all are used alike."
        yield Table("Slots", heads, list(coverage), says)
    for (name,), part in counted.group_by("slot", maintain_order=True):
        if 1 < len(part) <= _MOST_BARS:
            yield figure(f"Slot {name}", charts.draw_bars(part, "value", "queries"))


_SECTIONS: tuple[Callable[[Run], Section], ...] = (
    show_flow, _scores, show_hardness, _hubs, _diversity, show_probe, show_cost
)  # fmt: skip
