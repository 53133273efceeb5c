"""What the page says of one run: small facts and finished charts, read from its tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from datagen.report.knobs import meaning
from datagen.report.ledger import IS_NEGATIVE
from datagen.report.page import charts
from datagen.report.page.diversity import count_slots, measure_diversity
from datagen.report.page.parts import Figure, Section, Table, figure
from datagen.report.page.samples import choose_samples
from datagen.report.page.scores import count_bins, trace_cuts
from datagen.report.summary import list_fallen
from datagen.run_folder import Counts
from datagen.runs import Run

_SCORES = {
    "teacher_score": "teacher score",
    "reranker_score": "reranker score",
    "p_false_negative": "P(false negative)",
}
_MOST_BARS = 25
_MOST_USES = 20
_MOST_WORDS = 30


@dataclass(frozen=True)
class View:
    """All that the page shows of one run."""

    name: str
    tiles: list[tuple[str, str]]
    sections: list[Section]
    samples: list[dict[str, Any]]  # Any: JSON values


def view_run(run: Run) -> View:
    """What the page says of a run, finished or not."""
    made = [make(run) for make in _SECTIONS]
    samples = choose_samples(run) if "candidates" in run.tables else []
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
    yield "time", f"{sum(record.seconds for record in run.records):,.0f} s"


def _flow(run: Run) -> Section:
    """What was lost on the way and why, and what is there now."""
    fallen = list_fallen(run.records)
    sizes = [(name, f"{run.scan(name).select(pl.len()).collect().item():,}") for name in run.tables]
    parts: list[Figure | Table] = [Table("Rows in the folder now", ("table", "rows"), list(sizes))]
    if fallen:
        bars = [(f"{each.table}: {each.reason.replace('_', ' ')}", each.rows) for each in fallen[:_MOST_BARS]]
        svg = charts.draw_bars(pl.DataFrame(bars, ["what", "rows"], orient="row"), "what", "rows", "rows")
        says = "Every row that was set aside or decided on, by where and why."
        told = [(row.table, row.reason, f"{row.rows:,}", f"{row.share:.1%}", *meaning(row.reason)) for row in fallen]
        heads = ("of", "reason", "rows", "share", "what it means", "what would change it")
        parts = [figure("What fell where", svg, says), *parts, Table("Reasons", heads, list(told))]
    return Section("Flow", tuple(parts))


def _scores(run: Run) -> Section:
    """How the scores of positives, negatives and the others are spread."""
    if "candidates" not in run.tables:
        return Section("Scores")
    binned = ((title, count_bins(run.scan("candidates"), column)) for column, title in _SCORES.items())
    says = "Of the positives, the negatives, the candidates set aside and those that could have been chosen."
    drawn = (
        figure(title.capitalize(), charts.draw_distributions(bins, title), says) for title, bins in binned if len(bins)
    )
    return Section("Scores", tuple(drawn))


def _hardness(run: Run) -> Section:
    """What other cuts of P(false negative) would give."""
    name = "Leak against hardness"
    points = (
        trace_cuts(run.scan("candidates"), run.settings["mine"]["num_negatives"]) if _chosen(run) else pl.DataFrame()
    )
    if points.is_empty():
        return Section(name)
    rounded = points.with_columns(pl.col("leak", "log2_rank").round(4))
    svg = charts.draw_curve(rounded, "log2_rank", "leak", ("log2 rank", "expected leak"))
    says = (
        "Share of the negatives that the model expects to be relevant, against how hard they are: the mean log2 of "
        "their rank, smaller is harder. Each point is a cut of P(false negative)."
    )
    told = [(f"{cut:g}", f"{leak:.2%}", f"{rank:.2f}", f"{full:.1%}") for cut, leak, rank, full in points.iter_rows()]
    heads = ("P at most", "expected leak", "log2 rank", "queries with all")
    return Section(name, (figure("What another cut would give", svg, says), Table("In numbers", heads, list(told))))


def _hubs(run: Run) -> Section:
    """How unevenly documents serve as negatives."""
    counts = _chosen(run)
    if counts is None or not counts["hubs"]["most_used"]:
        return Section("Hubs")
    uses = run.scan("candidates").filter(IS_NEGATIVE).group_by("doc_id").agg(uses=pl.len().clip(upper_bound=_MOST_USES))
    spread = uses.group_by("uses").agg(documents=pl.len()).sort("uses").collect()
    svg = charts.draw_columns(spread, "uses", "documents", (f"queries ({_MOST_USES}: or more)", "documents"))
    says = f"Gini {counts['hubs']['gini']}: 0 where all documents serve alike, near 1 where few serve for all."
    told = [(hub["doc_id"], f"{hub['queries']:,}") for hub in counts["hubs"]["most_used"]]
    most = Table("Those that serve most", ("document", "queries"), list(told))
    return Section("Hubs", (figure("How many queries a document serves", svg, says), most))


def _diversity(run: Run) -> Section:
    """How varied the queries are."""
    name = "Diversity of the queries"
    queries = run.scan("queries").select("query", "slots").collect() if "queries" in run.tables else pl.DataFrame()
    if queries.is_empty():
        return Section(name)
    found = measure_diversity(queries["query"].to_list())
    told = [
        (
            "compression ratio",
            f"{found.compression:.2f}",
            "size over size packed: more for texts that repeat",
        ),
        ("self-repetition", f"{found.self_repetition:.1%}", "runs of four words that more than one query has"),
        ("repeats", f"{found.repeats:.1%}", "queries with the words of an earlier one"),
        (
            "Vendi score",
            f"{found.vendi:,.0f} of {found.vendi_of:,}",
            "unlike queries that a sample is worth",
        ),
    ]
    words = pl.col("query").str.split(" ").list.len().clip(upper_bound=_MOST_WORDS)
    lengths = queries.select(words=words).group_by("words").agg(queries=pl.len()).sort("words")
    svg = charts.draw_columns(lengths, "words", "queries", (f"words ({_MOST_WORDS}: or more)", "queries"))
    parts = (Table("Figures", ("figure", "value", "what it is"), list(told)), figure("Length of the queries", svg))
    return Section(name, (*parts, *_slots(queries["slots"])))


def _slots(slots: pl.Series) -> Iterator[Figure]:
    """How often the values of each slot were drawn; slots with a value for nearly every query are left out."""
    for (name,), part in count_slots(slots).group_by("slot", maintain_order=True):
        if 1 < len(part) <= _MOST_BARS:
            yield figure(f"Slot {name}", charts.draw_bars(part, "value", "queries", "queries"))


def _cost(run: Run) -> Section:
    """What each stage took."""
    parts = [Table("Time", ("stage", "seconds"), [(each.name, f"{each.seconds:,.1f}") for each in run.records])]
    for record in run.records:
        told = [
            (name.replace("_", " "), f"{value:,}") for name, value in record.counts.items() if _is_cost(name, value)
        ]
        if told:
            parts.append(Table(f"Spent by {record.name}", ("what", "amount"), list(told)))
    return Section("Cost", tuple(parts))


def _is_cost(name: str, value: object) -> bool:
    return isinstance(value, int | float) and any(word in name for word in ("cost", "token", "request"))


_SECTIONS: tuple[Callable[[Run], Section], ...] = (_flow, _scores, _hardness, _hubs, _diversity, _cost)
