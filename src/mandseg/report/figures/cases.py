"""Every case: its scores as a line over the levels, and its differences from the baseline as points."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mandseg.metrics.catalogue import Metric
from mandseg.report.figures.axis import LevelAxis, axis_label
from mandseg.report.figures.source import Drawing, FigureSource
from mandseg.report.figures.style import BLUE, FAINT, INK, MARGIN, VERMILION, label_panels, panels
from mandseg.statistics.score_table import paired_differences

DRAWN_CASES = 60  # of a data set; more lines cannot be distinguished
DRAWN_POINTS = 300  # of a data set and level


def plot_cases(scores: pd.DataFrame, metric: Metric, axis: LevelAxis) -> Figure:
    """A line for each case over the levels, mean over seeds; a thick line for the mean over cases.

    Args:
        scores: ``dataset, level, case_id, score`` (mean over seeds).
        metric: The metric.
        axis: The levels.
    """
    datasets = list(scores.dataset.drop_duplicates())
    figure, axes = panels(len(datasets))
    for dataset, ax in zip(datasets, axes, strict=True):
        wide = scores[scores.dataset == dataset].pivot(index="case_id", columns="level", values="score")
        _spaghetti(ax, wide, axis)
        ax.set_title(dataset, fontsize=10.5)
        axis.draw(ax, title=False)
    label_panels(figure, axis.label, axis_label(metric))
    return figure


def _spaghetti(ax: Axes, wide: pd.DataFrame, axis: LevelAxis) -> None:
    levels = [level for level in axis.in_order if level in wide]
    places = axis.places(levels)
    shown = wide.iloc[evenly_spaced(wide[levels[0]].to_numpy(), DRAWN_CASES)]
    falls = shown[levels[-1]] < shown[levels[0]]
    for colour, part in ((BLUE, shown[~falls]), (VERMILION, shown[falls])):
        ax.plot(places, part[levels].to_numpy().T, color=colour, lw=0.8, alpha=0.35)
    ax.plot(places, wide[levels].mean(), color=INK, marker="o", ms=5, lw=2)


def evenly_spaced(values: npt.NDArray[np.float64], most: int) -> npt.NDArray[np.intp]:
    """Positions of at most ``most`` values, evenly spaced in their order, with the smallest and the largest."""
    order = np.argsort(values, kind="stable")
    return order if len(order) <= most else order[np.linspace(0, len(order) - 1, most).round().astype(int)]


def plot_case_differences(
    differences: pd.DataFrame, metric: Metric, axis: LevelAxis, margin: float | None = None
) -> Figure:
    """A point for each case and level: the difference from the baseline, mean over the common seeds.

    Args:
        differences: ``dataset, level, case_id, difference``.
        metric: The metric.
        axis: The levels.
        margin: The largest tolerated loss, drawn as a line.
    """
    datasets = list(differences.dataset.drop_duplicates())
    figure, axes = panels(len(datasets))
    for dataset, ax in zip(datasets, axes, strict=True):
        for level, rows in differences[differences.dataset == dataset].groupby("level", sort=False):
            _strip(ax, rows.difference.to_numpy(float), axis.place(level), axis.gap)
        ax.axhline(0, color=INK, lw=1)
        if margin is not None and metric.better is not None:
            ax.axhline(-margin if metric.better == "higher" else margin, color=MARGIN, lw=1.2, ls=(0, (4, 2.5)))
        ax.set_title(dataset, fontsize=10.5)
        axis.draw(ax, title=False)
    baseline = axis.comparison.name(axis.comparison.baseline)
    unit = f", {metric.unit}" if metric.unit else ""
    label_panels(figure, axis.label, f"{metric.label}: difference from {baseline}{unit}")
    return figure


def _strip(ax: Axes, values: npt.NDArray[np.float64], place: float, gap: float) -> None:
    """Draw points beside each other, so that they do not overlap, and their quartiles."""
    shown = np.sort(values)[evenly_spaced(np.sort(values), DRAWN_POINTS)]
    sideways = (np.arange(len(shown)) * 0.618034 % 1 - 0.5) * 0.6 * gap
    ax.scatter(place + sideways, shown, s=12, color=FAINT, alpha=0.55, lw=0)
    low, middle, high = np.percentile(values, [25, 50, 75])
    ax.plot([place, place], [low, high], color=BLUE, lw=5, alpha=0.6, solid_capstyle="butt")
    ax.plot([place], [middle], color=BLUE, marker="o", ms=6)


def single_cases(source: FigureSource) -> Iterator[Drawing]:
    """The scores of every case for the primary metric."""
    metric, column = source.primary, source.analysis.comparison.column
    if len(source.axis.levels) < 2 or metric.column not in source.cases:
        return
    grouped = source.cases.groupby(["dataset", column, "case_id"], sort=False)[metric.column]
    scores = grouped.mean().dropna().rename("score").reset_index().rename(columns={column: "level"})
    many = scores.groupby("dataset").case_id.nunique().max() > DRAWN_CASES
    which = f"{DRAWN_CASES} cases of each data set, evenly spaced from worst to best," if many else "every case,"
    caption = (
        f"{metric.label} of {which} mean over seeds. Red: lower at the last level than at the first. "
        "Thick line: mean over all cases."
    )
    wide = scores.dataset.nunique() > 1
    yield source.draw("cases", lambda: plot_cases(scores, metric, source.axis), caption + source.more, wide)


def case_differences(source: FigureSource) -> Iterator[Drawing]:
    """The differences of every case from the baseline for the primary metric."""
    metric, comparison = source.primary, source.analysis.comparison
    if len(source.axis.levels) < 2 or metric.column not in source.cases:
        return
    pairs = paired_differences(source.cases, metric, comparison).rename(columns={comparison.column: "level"})
    if pairs.empty:
        return
    most = pairs.groupby(["dataset", "level"]).size().max()
    few = f" At most {DRAWN_POINTS} cases are drawn, evenly spaced in their order."
    caption = (
        f"{metric.label}: each small point is the difference of one case from the baseline. "
        "Bar: the middle half of the cases. Large point: median."
    )
    yield source.draw(
        "case-differences",
        lambda: plot_case_differences(pairs, metric, source.axis, source.margin(metric)),
        caption + (few if most > DRAWN_POINTS else "") + source.more,
        wide=pairs.dataset.nunique() > 1,
    )
