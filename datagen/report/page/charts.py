"""Charts of the report as SVG text, drawn by Altair and rendered here: the page needs no library to show them.

Colours are those of the page (CSS variables), so that a chart follows its light or dark theme; every mark carries
its value as `aria-label`, which the page shows as a tooltip and a screen reader reads out. All are as wide as a phone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt
import polars as pl
import vl_convert

WIDTH, HEIGHT, STEP = 346, 180, 20
"""Of a whole chart, with what stands around it; of the plot; of a bar."""
COLORS = {
    "kept": "var(--accent)",
    "positive": "var(--positive)",
    "negative": "var(--negative)",
    "ignored": "var(--ignored)",
    "spare": "var(--spare)",
    "dropped": "var(--dropped)",
}
"""What becomes of a row or a candidate, and its colour."""

_ONCE = alt.Data(values=[{}])  # type: ignore[no-untyped-call]
"""Data of a mark that stands there once, not once a row."""
_COUNT = "datum.value < 10000 ? format(datum.value, ',') : format(datum.value, '~s')"
_WORDS = {"labelColor": "currentColor", "titleColor": "currentColor", "labelFontSize": 11, "titleFontSize": 11}
_LINES = {"gridColor": "currentColor", "gridOpacity": 0.15, "domainColor": "currentColor", "domainOpacity": 0.3}
_TICKS = {"tickColor": "currentColor", "tickOpacity": 0.3, "titleFontWeight": "normal"}
_LABELS = {"labelFlush": False, "labelOverlap": "greedy", "labelSeparation": 4}
_CONFIG = {
    "view": {"stroke": None},
    "axis": _WORDS | _LINES | _TICKS | _LABELS,
    "legend": {"labelColor": "currentColor", "symbolStrokeWidth": 2, "columnPadding": 8},
    # Has the widths of the font that the renderer measures labels with, so that none is cut off in a browser.
    "font": "Arial, 'Liberation Sans', Helvetica, sans-serif",
}


def draw_bars(rows: pl.DataFrame, label: str, value: str) -> str:
    """Horizontal bars in the order of the rows, each with its number.

    Args:
        rows: with the columns `label` and `value`.
        label: column of the names, each once.
        value: column of the numbers.
    """
    room = alt.Scale(domain=[0, 1.2 * max(1, *rows[value])])
    base = alt.Chart().encode(
        x=alt.X(f"{value}:Q", axis=None, scale=room),
        y=alt.Y(f"{label}:N", title=None, sort=None, axis=alt.Axis(labelLimit=170)),
        description=alt.Description("told:N"),
    )
    numbers = base.mark_text(align="left", dx=4, color="currentColor").encode(text=alt.Text(f"{value}:Q", format=","))
    chart = alt.layer(base.mark_bar(color="var(--accent)"), numbers).properties(height=alt.Step(STEP))
    return _render(chart, rows.with_columns(told=pl.format("{}: {}", label, value)))


def draw_flow(rows: pl.DataFrame) -> str:
    """One bar a step, the whole of its rows, cut by what became of them.

    Args:
        rows: step (its name, `|` for a new line), fate (a key of `COLORS`), low and high (shares, where the piece
            begins and ends) and told; steps in their order.
    """
    chart = alt.Chart(height=alt.Step(36)).mark_bar(size=16, stroke="var(--card)", strokeWidth=1)
    label = alt.Axis(labelExpr="split(datum.label, '|')", labelLimit=200, labelLineHeight=13, domain=False, ticks=False)
    fates = [name for name in COLORS if name in set(rows["fate"])]
    encoded = chart.encode(
        x=alt.X("low:Q", title=None, axis=alt.Axis(format="%", tickCount=3), scale=alt.Scale(domain=[0, 1])),
        x2="high:Q",
        y=alt.Y("step:N", title=None, sort=None, axis=label),
        color=_color("fate", {name: COLORS[name] for name in fates}),
        description=alt.Description("told:N"),
    )
    return _render(encoded, rows)


def draw_distributions(
    bins: pl.DataFrame, title: str, *, log: bool = False, colors: Mapping[str, str] | None = None
) -> str:
    """The distribution of a number for each outcome, each as shares of its own.

    Args:
        bins: low, high, outcome (a key of the colours) and share; all bins of an outcome, in order.
        title: of the numbers.
        log: whether the axis is logarithmic.
        colors: of the outcomes; `COLORS` when None.
    """
    chosen = {name: color for name, color in (colors or COLORS).items() if name in set(bins["outcome"])}
    ends = bins.group_by("outcome").agg(pl.col("high").max().alias("low"), share=pl.lit(0.0))
    closed = pl.concat([bins.select("outcome", "low", "share"), ends])
    scale = alt.Scale(type="log") if log else alt.Scale(zero=False, nice=False)
    axis = alt.Axis(format="~g", tickCount=4, grid=False) if log else alt.Axis(tickCount=6)
    chart = alt.Chart(height=HEIGHT).mark_area(interpolate="step-after", opacity=0.35, line={"strokeWidth": 1.5})
    encoded = chart.encode(
        x=alt.X("low:Q", title=title, scale=scale, axis=axis),
        y=alt.Y("share:Q", title="share", stack=None, axis=alt.Axis(format="%", tickCount=4)),
        color=_color("outcome", chosen),
    )
    return _render(encoded, closed)


def draw_curve(points: pl.DataFrame, x: str, y: str, titles: tuple[str, str], promise: float | None = None) -> str:
    """A line through points; with columns `low` and `high` a band, with a column `own` that point marked.

    Args:
        points: in the order in which the line goes; `told` is what each says.
        x: column.
        y: column, a share.
        titles: of the two axes.
        promise: a share to draw a level line at.
    """
    base = alt.Chart().encode(
        x=alt.X(f"{x}:Q", title=titles[0], scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=6)),
        y=alt.Y(f"{y}:Q", title=titles[1], axis=alt.Axis(format="~%", tickCount=4)),
        description=alt.Description("told:N"),
    )
    layers: list[alt.Chart] = [base.mark_line(color="var(--accent)", strokeWidth=2)]
    if {"low", "high"} <= set(points.columns):
        layers.insert(0, base.mark_area(color="var(--accent)", opacity=0.2).encode(y="low:Q", y2="high:Q"))
    if promise is not None:
        level = alt.Chart(_ONCE).mark_rule(color="var(--positive)", strokeDash=[5, 4], strokeWidth=1.5)
        layers.append(level.encode(y=alt.datum(promise)))
    layers.append(base.mark_point(color="var(--accent)", filled=True, size=36))
    if "own" in points.columns:
        own = base.transform_filter("datum.own").mark_point(color="var(--negative)", size=150, strokeWidth=3)
        layers.append(own)
    return _render(alt.layer(*layers).properties(height=HEIGHT), points)


def draw_columns(rows: pl.DataFrame, x: str, y: str, titles: tuple[str, str]) -> str:
    """Upright bars over ordered values.

    Args:
        rows: with the columns x and y.
        x: column of the values.
        y: column of the heights.
        titles: of the two axes.
    """
    chart = alt.Chart(height=HEIGHT).mark_bar(color="var(--accent)")
    encoded = chart.encode(
        x=alt.X(f"{x}:O", title=titles[0], sort=None, axis=alt.Axis(labelAngle=0)),
        y=alt.Y(f"{y}:Q", title=titles[1], axis=alt.Axis(labelExpr=_COUNT, tickCount=4)),
        description=alt.Description("told:N"),
    )
    return _render(encoded, rows.with_columns(told=pl.format("{}: {}", x, y)))


def draw_intervals(rows: pl.DataFrame, label: str, title: str) -> str:
    """A point with its interval for each row, in their order, and a line at 0.

    Args:
        rows: with the columns `label`, value, low, high and told.
        label: column of the names, each once.
        title: of the numbers.
    """
    base = alt.Chart().encode(
        x=alt.X("value:Q", title=title, axis=alt.Axis(tickCount=5)),
        y=alt.Y(f"{label}:N", title=None, sort=None, axis=alt.Axis(labelLimit=170)),
        description=alt.Description("told:N"),
    )
    zero = alt.Chart(_ONCE).mark_rule(color="currentColor", opacity=0.5).encode(x=alt.datum(0))
    span = base.mark_rule(color="var(--accent)", strokeWidth=2).encode(x=alt.X("low:Q", title=title), x2="high:Q")
    chart = alt.layer(zero, span, base.mark_point(color="var(--accent)", filled=True, size=60))
    return _render(chart.properties(height=alt.Step(STEP + 4)), rows)


def _color(name: str, colors: Mapping[str, str]) -> alt.Color:
    scale = alt.Scale(domain=list(colors), range=list(colors.values()))
    return alt.Color(f"{name}:N", scale=scale, legend=alt.Legend(title=None, orient="top", columns=3))


def _render(chart: alt.TopLevelMixin, rows: pl.DataFrame) -> str:
    """The chart over these rows as SVG that shrinks with the page."""
    spec: dict[str, Any] = chart.to_dict(validate=False)  # Any: JSON
    for layer in spec.get("layer", ()):
        if "name" in layer["data"]:  # a name for no data: it takes that of the whole
            del layer["data"]
    spec |= {"data": {"values": rows.to_dicts()}, "background": None, "config": _CONFIG}
    spec |= {"width": WIDTH, "autosize": {"type": "fit-x", "contains": "padding"}}
    svg = str(vl_convert.vegalite_to_svg(spec))
    return svg.replace("<svg ", '<svg role="img" ', 1)
