"""Forest plot: one row for the paired difference of each data set and level, with its numbers."""

from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from mandseg.metrics.catalogue import Metric
from mandseg.report.figures.axis import LevelAxis
from mandseg.report.figures.source import Drawing, FigureSource
from mandseg.report.figures.style import FAINT, INK, MARGIN, PAIRED, PAPER, VERDICT_COLOURS, VERDICT_MARKERS, one_axes
from mandseg.report.wording import number
from mandseg.statistics.results import Difference, as_table

FOREST_ROWS = 60
INCHES_A_ROW = 0.27


def plot_forest(
    differences: pd.DataFrame, metric: Metric, axis: LevelAxis, margin: float | None = None, ax: Axes | None = None
) -> Axes:
    """Differences from the baseline with their intervals, one row each, under the data set (and group of cases).

    Args:
        differences: Rows of :class:`mandseg.statistics.results.Difference` of one metric. Rows without a number are not
            drawn, and at most :data:`FOREST_ROWS` rows are drawn.
        metric: The metric.
        axis: The levels.
        margin: The largest tolerated loss. Larger losses are shaded.
        ax: Axes to draw on.
    """
    rows = differences[differences.difference.notna()].head(FOREST_ROWS)
    heads = rows.dataset + rows.group.map(lambda group: f", {group}" if group else "")
    n_lines = len(rows) + heads.nunique()
    ax = ax or one_axes(8.2, 1.0 + INCHES_A_ROW * n_lines)
    line, last = 0, None
    for head, row in zip(heads, rows.to_dict("records"), strict=True):
        if head != last:
            ax.text(-0.015, line, head, transform=ax.get_yaxis_transform(), ha="right", va="center", weight="bold")
            line, last = line + 1, head
        _row(ax, line, row, metric, axis)
        line += 1
    ax.axvline(0, color=INK, lw=1, zorder=1)
    _draw_margin(ax, rows, margin, metric)
    ax.set_ylim(n_lines - 0.4, -0.7)
    ax.set_yticks([])
    ax.grid(visible=True, axis="x")
    ax.spines["left"].set_visible(False)
    baseline = axis.comparison.name(axis.comparison.baseline)
    ax.set_xlabel(f"{metric.label}: difference from {baseline}" + (f", {metric.unit}" if metric.unit else ""))
    return ax


def _row(ax: Axes, line: int, row: dict[Hashable, Any], metric: Metric, axis: LevelAxis) -> None:
    colour, marker = VERDICT_COLOURS.get(row["verdict"], INK), VERDICT_MARKERS.get(row["verdict"], "o")
    beside = ax.get_yaxis_transform()
    if pd.notna(row["low"]):
        ax.plot(
            [row["low"], row["high"]], [line, line], color=colour, lw=2.2, solid_capstyle="butt", zorder=3, gid=PAIRED
        )
    face = PAPER if row["verdict"] == "inconclusive" else colour
    ax.plot([row["difference"]], [line], marker=marker, ms=7, mew=1.6, mfc=face, color=colour, zorder=4)
    ax.text(-0.015, line, axis.name(row["level"]), transform=beside, ha="right", va="center")
    for offset, words, ink in ((8, row["verdict"], colour), (88, _numbers(row, metric), INK)):
        ax.annotate(
            words,
            (1, line),
            (offset, 0),
            xycoords=beside,
            textcoords="offset points",
            va="center",
            fontsize=9.5,
            color=ink,
        )


def _numbers(row: dict[Hashable, Any], metric: Metric) -> str:
    size, *ends = (number(row[key], metric.decimals, signed=True) for key in ("difference", "low", "high"))
    return f"{size} ({' to '.join(ends)})" if pd.notna(row["low"]) else size


def _draw_margin(ax: Axes, rows: pd.DataFrame, margin: float | None, metric: Metric) -> None:
    """Draw the margin as a line and shade the losses beyond it; the scale contains both."""
    values = rows[["difference", "low", "high"]].astype(float).to_numpy()
    values = values[np.isfinite(values)]
    edge = None if margin is None or metric.better is None else -margin if metric.better == "higher" else margin
    ends = [*values, 0.0, *([edge] if edge is not None else [])]
    low, high = min(ends), max(ends)
    pad = 0.06 * ((high - low) or 1.0)
    ax.set_xlim(low - pad, high + pad)
    if edge is None:
        return
    ax.axvline(edge, color=MARGIN, lw=1.3, ls=(0, (4, 2.5)), zorder=1)
    ax.axvspan(edge, low - pad if edge < 0 else high + pad, color=FAINT, alpha=0.12, lw=0, zorder=0)


def forest(source: FigureSource) -> Iterator[Drawing]:
    """The differences of the primary metric, with those of groups of cases."""
    metric = source.primary
    table = as_table(source.analysis.differences, Difference, "level")
    rows = table[(table.metric == metric.column) & table.difference.notna()]
    if rows.empty:
        return
    more = f" The first {FOREST_ROWS} of {len(rows)} rows." if len(rows) > FOREST_ROWS else ""
    caption = f"{metric.label}: paired difference from the baseline with 95 % interval. Shaded: beyond the margin."
    yield source.draw(
        f"forest-{metric.column}",
        lambda: plot_forest(rows, metric, source.axis, source.margin(metric)),
        caption + more,
        wide=True,
        tall=True,
    )
