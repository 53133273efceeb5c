"""Charts of the report as SVG text, drawn by Altair and rendered here: the page needs no library to show them.

Colours are those of the page (CSS variables), so that a chart follows its light or dark theme; every mark carries
its value as `aria-label`, which the page shows as a tooltip and a screen reader reads out.
"""

from __future__ import annotations

import altair as alt
import polars as pl
import vl_convert

WIDTH, HEIGHT = 420, 180
COLORS = {
    "positive": "var(--positive)",
    "negative": "var(--negative)",
    "ignored": "var(--ignored)",
    "spare": "var(--spare)",
}
"""What becomes of a candidate, and its colour."""


def draw_bars(rows: pl.DataFrame, label: str, value: str, title: str) -> str:
    """Horizontal bars in the order of the rows.

    Args:
        rows: with the columns `label` and `value`.
        label: column of the names, each once.
        value: column of the numbers.
        title: of the axis of the numbers.
    """
    chart = alt.Chart(rows, width=WIDTH - 180, height=alt.Step(18)).mark_bar(color="var(--accent)")
    return _render(
        chart.encode(
            x=alt.X(f"{value}:Q", title=title, axis=alt.Axis(tickCount=4, format="~s")),
            y=alt.Y(f"{label}:N", title=None, sort=None, axis=alt.Axis(labelLimit=200)),
            description=alt.Description("told:N"),
        ),
        rows.with_columns(told=pl.format("{}: {}", label, value)),
    )


def draw_distributions(bins: pl.DataFrame, title: str) -> str:
    """The distribution of a score for each outcome, each as shares of its own.

    Args:
        bins: low, high, outcome (a key of `COLORS`) and share.
        title: of the scores.
    """
    chart = alt.Chart(bins, width=WIDTH, height=HEIGHT).mark_area(
        interpolate="step-after", opacity=0.35, line={"strokeWidth": 1.5}
    )
    known = [name for name in COLORS if name in set(bins["outcome"])]
    return _render(
        chart.encode(
            x=alt.X("low:Q", title=title, scale=alt.Scale(zero=False)),
            y=alt.Y("share:Q", title="share", stack=None, axis=alt.Axis(format="%", tickCount=4)),
            color=_color("outcome", {name: COLORS[name] for name in known}),
        ),
        bins,
    )


def draw_curve(points: pl.DataFrame, x: str, y: str, titles: tuple[str, str]) -> str:
    """A line through points; with columns `low` and `high` a band, with a column `own` that point marked.

    Args:
        points: in the order in which the line goes.
        x: column.
        y: column, a share.
        titles: of the two axes.
    """
    told = points.with_columns(told=pl.format("{}: {}, {}: {}", pl.lit(titles[0]), x, pl.lit(titles[1]), y))
    base = alt.Chart(told, width=WIDTH, height=HEIGHT).encode(
        x=alt.X(f"{x}:Q", title=titles[0], scale=alt.Scale(zero=False)),
        y=alt.Y(f"{y}:Q", title=titles[1], axis=alt.Axis(format="~%", tickCount=4)),
    )
    layers: list[alt.Chart] = [base.mark_line(color="var(--accent)", strokeWidth=2)]
    if {"low", "high"} <= set(points.columns):
        layers.insert(0, base.mark_area(color="var(--accent)", opacity=0.2).encode(y="low:Q", y2="high:Q"))
    marks = base.mark_point(color="var(--accent)", filled=True, size=36)
    layers.append(marks.encode(description="told:N"))
    if "own" in points.columns:
        own = base.transform_filter("datum.own").mark_point(color="var(--negative)", size=150, strokeWidth=3)
        layers.append(own.encode(description="told:N"))
    return _render(alt.layer(*layers), told)


def draw_columns(rows: pl.DataFrame, x: str, y: str, titles: tuple[str, str]) -> str:
    """Upright bars over ordered values.

    Args:
        rows: with the columns x and y.
        x: column of the values.
        y: column of the heights.
        titles: of the two axes.
    """
    told = rows.with_columns(told=pl.format("{}: {}", x, y))
    chart = alt.Chart(told, width=WIDTH, height=HEIGHT).mark_bar(color="var(--accent)")
    return _render(
        chart.encode(
            x=alt.X(f"{x}:O", title=titles[0], sort=None, axis=alt.Axis(labelAngle=0, labelOverlap=True)),
            y=alt.Y(f"{y}:Q", title=titles[1], axis=alt.Axis(format="~s", tickCount=4)),
            description=alt.Description("told:N"),
        ),
        told,
    )


def _color(name: str, colors: dict[str, str]) -> alt.Color:
    scale = alt.Scale(domain=list(colors), range=list(colors.values()))
    return alt.Color(f"{name}:N", scale=scale, legend=alt.Legend(title=None, orient="top"))


def _render(chart: alt.TopLevelMixin, rows: pl.DataFrame) -> str:
    """The chart over these rows as SVG that scales with the page."""
    words = {"labelColor": "currentColor", "titleColor": "currentColor", "labelFontSize": 11, "titleFontSize": 11}
    quiet = {"gridColor": "currentColor", "gridOpacity": 0.15, "domainOpacity": 0.3, "tickOpacity": 0.3}
    strokes = {"domainColor": "currentColor", "tickColor": "currentColor", "titleFontWeight": "normal"}
    spec = chart.to_dict(validate=False)
    spec.pop("datasets", None)
    spec["data"] = {"values": rows.to_dicts()}
    spec["background"] = None
    spec["config"] = {
        "view": {"stroke": None},
        "axis": words | quiet | strokes,
        "legend": {"labelColor": "currentColor", "symbolStrokeWidth": 2},
        "font": "system-ui, sans-serif",
    }
    svg = str(vl_convert.vegalite_to_svg(spec))
    return svg.replace("<svg ", '<svg role="img" style="max-width:100%;height:auto" ', 1)
