"""The first figure of a study: the mean of a metric at every level, with the margin at the baseline."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from mandseg.metrics.catalogue import METRICS, Metric
from mandseg.report.figures.axis import LevelAxis, axis_label
from mandseg.report.figures.source import Drawing, FigureSource
from mandseg.report.figures.style import (
    BAND,
    FAINT,
    GREEN,
    INK,
    INTERVAL,
    MARGIN,
    PAIRED,
    PAPER,
    VERDICT_COLOURS,
    VERDICT_MARKERS,
    label_panels,
    one_axes,
    panels,
)
from mandseg.report.wording import amount

OTHER = "no verdict"


def plot_curve(
    means: pd.DataFrame,
    differences: pd.DataFrame,
    metric: Metric,
    axis: LevelAxis,
    margin: float | None = None,
    by_seed: pd.DataFrame | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Mean of one metric on one data set at every level, with both intervals, single trainings and the margin band.

    The thick bar at a level is the interval of its paired difference from the baseline, added to the mean at the
    baseline. The margin is compared with this bar. The thin bar is the interval of the mean itself, which also contains
    the variation between cases.

    Args:
        means: Rows of :class:`mandseg.statistics.results.Mean` of one data set and metric.
        differences: Rows of :class:`mandseg.statistics.results.Difference` of the same.
        metric: The metric.
        axis: The levels.
        margin: Width of the band on the worse side of the mean at the baseline.
        by_seed: ``level, mean`` of each training, drawn as faint points beside the mean.
        ax: Axes to draw on.
    """
    ax = ax or one_axes()
    means = means.iloc[np.argsort(axis.places(means.level), kind="stable")]
    places = axis.places(means.level)
    baseline = means.loc[means.level == axis.comparison.baseline, "mean"]
    if margin is not None and len(baseline) and metric.better is not None:
        _band(ax, float(baseline.iloc[0]), margin, metric)
    if by_seed is not None:
        ax.scatter(axis.places(by_seed.level) + axis.gap / 3, by_seed["mean"], s=11, color=FAINT, alpha=0.7, lw=0)
    if axis.comparison.is_dose:
        ax.plot(places, means["mean"], color=FAINT, lw=1.2, zorder=2)
    ends = means[["low", "high"]].astype(float).to_numpy()
    ax.vlines(places, ends[:, 0], ends[:, 1], color=FAINT, lw=1.1, zorder=2, gid=INTERVAL)
    verdicts = differences.set_index("level").verdict.to_dict()
    if len(baseline):
        _paired_bars(ax, differences, float(baseline.iloc[0]), axis)
    for place, level, mean in zip(places, means.level, means["mean"], strict=True):
        _point(ax, place, mean, "baseline" if level == axis.comparison.baseline else verdicts.get(level, OTHER))
    ax.set_ylabel(axis_label(metric))
    axis.draw(ax)
    return ax


def _band(ax: Axes, baseline: float, margin: float, metric: Metric) -> None:
    edge = baseline - margin if metric.better == "higher" else baseline + margin
    ax.axhspan(*sorted((baseline, edge)), color=MARGIN, alpha=0.13, lw=0, gid=BAND)
    ax.axhline(edge, color=MARGIN, lw=1.2, ls=(0, (4, 2.5)))


def _paired_bars(ax: Axes, differences: pd.DataFrame, baseline: float, axis: LevelAxis) -> None:
    for row in differences.dropna(subset=["low", "high"]).itertuples():
        colour = VERDICT_COLOURS.get(str(row.verdict), INK)
        place = axis.place(row.level)  # type: ignore[arg-type]
        ends = baseline + float(str(row.low)), baseline + float(str(row.high))
        ax.plot([place, place], ends, color=colour, lw=4.2, alpha=0.55, solid_capstyle="butt", zorder=3, gid=PAIRED)


def _point(ax: Axes, place: float, mean: float, verdict: str) -> None:
    colour, marker = VERDICT_COLOURS.get(verdict, INK), VERDICT_MARKERS.get(verdict, "o")
    face = PAPER if verdict == "inconclusive" else colour
    size = 7.5 if marker == "X" else 6.5
    ax.plot([place], [mean], marker=marker, ms=size, color=colour, mfc=face, mew=1.6, ls="none", zorder=4)


def plot_curves(
    means: pd.DataFrame,
    differences: pd.DataFrame,
    metric: Metric,
    axis: LevelAxis,
    margin: float | None = None,
    by_seed: pd.DataFrame | None = None,
) -> Figure:
    """:func:`plot_curve` of every data set side by side on one scale, with a legend.

    Args:
        means: Rows of :class:`mandseg.statistics.results.Mean`, of one metric, whole data sets.
        differences: Rows of :class:`mandseg.statistics.results.Difference` of the same.
        metric: The metric.
        axis: The levels.
        margin: Width of the band on the worse side of the mean at the baseline.
        by_seed: ``dataset, level, mean`` of each training.
    """
    datasets = list(means.dataset.drop_duplicates())
    figure, axes = panels(len(datasets), height=2.65 if len(datasets) > 1 else 3.4)
    for dataset, ax in zip(datasets, axes, strict=True):
        seeds = None if by_seed is None else by_seed[by_seed.dataset == dataset]
        own = means[means.dataset == dataset]
        plot_curve(own, differences[differences.dataset == dataset], metric, axis, margin, seeds, ax)
        n = int(own.n_cases.max())
        ax.set_title(f"{dataset}  ({n} case{'' if n == 1 else 's'})", fontsize=10.5)
        ax.set_ylabel("")
        ax.set_xlabel("")
    label_panels(figure, axis.title, axis_label(metric))
    handles = legend_handles(list(differences.verdict.drop_duplicates()), margin, metric)
    columns = len(handles) if len(axes) > 1 else 3
    figure.legend(
        handles=handles, loc="outside upper left", ncols=columns, fontsize=9, columnspacing=1.2, handlelength=1.5
    )
    return figure


def legend_handles(verdicts: Sequence[str], margin: float | None, metric: Metric) -> list[Line2D | Patch]:
    """A marker for each verdict that occurs, from good to bad, and the margin band."""
    handles: list[Line2D | Patch] = [
        Line2D(
            [], [], color=colour, marker=VERDICT_MARKERS[verdict], lw=4, alpha=1.0, label=verdict, mew=1.6,
            mfc=PAPER if verdict == "inconclusive" else colour, ls="none",
        )
        for verdict, colour in VERDICT_COLOURS.items()
        if verdict in verdicts
    ]  # fmt: skip
    if margin is not None and metric.better is not None and handles:
        handles.append(Patch(color=GREEN, alpha=0.2, label=f"margin {amount(margin, metric)}"))
    if handles:
        handles.append(Line2D([], [], color=FAINT, lw=4.2, alpha=0.7, label="95 % of the difference"))
    return [*handles, Line2D([], [], color=FAINT, lw=1.1, label="95 % of the mean")]


def primary_curve(source: FigureSource) -> Iterator[Drawing]:
    """The mean of the primary metric at every level."""
    yield from _curve(source, source.primary)


def other_curves(source: FigureSource) -> Iterator[Drawing]:
    """The means of the other metrics at every level."""
    for metric in METRICS:
        if metric != source.primary:
            yield from _curve(source, metric)


def _curve(source: FigureSource, metric: Metric) -> Iterator[Drawing]:
    means, differences = (table[table.metric == metric.column] for table in (source.means, source.differences))
    if means.empty:
        return
    margin, by_seed, comparison = source.margin(metric), source.by_seed(metric), source.analysis.comparison
    caption = f"{metric.label}: mean over cases. Thin bar: 95 % interval of the mean. Small points: single trainings."
    if differences.difference.notna().any():
        caption += f" Thick bar: 95 % interval of the paired difference from {comparison.name(comparison.baseline)}"
        caption += ", which decides the verdict. Green band: the margin." if margin is not None else "."
    yield source.draw(
        f"curve-{metric.column}",
        lambda: plot_curves(means, differences, metric, source.axis, margin, by_seed),
        caption + source.more,
        wide=means.dataset.nunique() > 1,
    )
