"""Figures of a study: each is ``f(table, ..., ax=None) -> ax``, with intervals, and the noise ratio on the x axis.

Drawn without pyplot: no window, no global state. Draw inside ``style()``.
"""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mandseg.margins import Metric

INK = "#24262b"
FAINT = "#8a8f98"
COLOURS = ("#0072b2", "#d55e00", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's palette, told apart with any colour vision; each comes with a marker. Their green is the margin's."""
MARKERS = ("o", "s", "^", "D", "v", "P")
MARGIN = "#009e73"
STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": FAINT,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "grid.alpha": 0.25,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


@contextmanager
def style(salt: str = "mandseg") -> Iterator[None]:
    """The look of every figure; ``salt`` keeps identifiers of SVGs on one page apart and the same on every run."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": salt}):
        yield


def plot_curve(
    means: pd.DataFrame,
    metric: Metric,
    margin: float | None = None,
    by_seed: pd.DataFrame | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Mean of one metric on one data set against noise ratio, with interval, single trainings and margin band.

    Args:
        means: Rows of :class:`mandseg.statistics.Mean` of one data set and metric.
        metric: What is drawn.
        margin: Width of the band on the worse side of the mean at ratio 0.
        by_seed: ``noise_ratio, mean`` of each training, drawn as faint points beside the mean.
        ax: Axes to draw on.
    """
    ax = ax or _axes()
    means = means.sort_values("noise_ratio")
    clean = means.loc[means.noise_ratio == 0, "mean"]
    if margin is not None and len(clean):
        edge = clean.iloc[0] - margin if metric.better == "higher" else clean.iloc[0] + margin
        ax.axhspan(*sorted((clean.iloc[0], edge)), color=MARGIN, alpha=0.12, lw=0)
        ax.axhline(edge, color=MARGIN, lw=1, ls=(0, (4, 3)))
    if by_seed is not None:
        beside = by_seed.noise_ratio + 0.03 * (means.noise_ratio.max() or 1.0)
        ax.scatter(beside, by_seed["mean"], s=14, color=FAINT, alpha=0.6, lw=0, zorder=2)
    _points(ax, means.noise_ratio, means, "mean", COLOURS[0], MARKERS[0], None)
    ax.set_ylabel(axis_label(metric))
    _ratio_axis(ax, means.noise_ratio)
    return ax


def plot_curves(
    means: pd.DataFrame, metric: Metric, margin: float | None = None, by_seed: pd.DataFrame | None = None
) -> Figure:
    """:func:`plot_curve` of every data set side by side on one scale.

    Args:
        means: Rows of :class:`mandseg.statistics.Mean`.
        metric: What is drawn.
        margin: Width of the band on the worse side of the mean at ratio 0.
        by_seed: ``dataset, noise_ratio, mean`` of each training.
    """
    rows = means[means.metric == metric.column]
    datasets = list(rows.dataset.drop_duplicates())
    figure, panels = _panels(len(datasets))
    for dataset, ax in zip(datasets, panels, strict=True):
        seeds = None if by_seed is None else by_seed[by_seed.dataset == dataset]
        plot_curve(rows[rows.dataset == dataset], metric, margin, seeds, ax)
        ax.set_title(dataset)
    for place, ax in enumerate(panels):
        if place % _columns(len(panels)):
            ax.set_ylabel("")
    return figure


def plot_differences(
    differences: pd.DataFrame, metric: Metric, margin: float | None = None, ax: Axes | None = None
) -> Axes:
    """Paired difference from ratio 0 of one metric on every data set, side by side at each ratio.

    Args:
        differences: Rows of :class:`mandseg.statistics.Difference`; those without a number are not drawn.
        metric: What is drawn.
        margin: The loss that counts as no loss; what lies beyond it is shaded.
        ax: Axes to draw on.
    """
    ax = ax or _axes()
    rows = differences[(differences.metric == metric.column) & differences.difference.notna()]
    datasets = list(rows.dataset.drop_duplicates())
    offset = _offset(rows.noise_ratio, len(datasets))
    for place, (dataset, colour, marker) in enumerate(zip(datasets, cycle(COLOURS), cycle(MARKERS), strict=False)):
        own = rows[rows.dataset == dataset].sort_values("noise_ratio")
        _points(
            ax, own.noise_ratio + (place - (len(datasets) - 1) / 2) * offset, own, "difference", colour, marker, dataset
        )
    ax.axhline(0, color=INK, lw=1)
    if margin is not None:
        ax.axhline(
            -margin if metric.better == "higher" else margin, color=MARGIN, lw=1.2, ls=(0, (4, 3)), label="margin"
        )
    ax.set_ylabel(f"{metric.label}: difference from ratio 0" + (f" ({metric.unit})" if metric.unit else ""))
    _ratio_axis(ax, rows.noise_ratio)
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def plot_learning_curves(curves: pd.DataFrame, column: str, label: str, ax: Axes | None = None) -> Axes:
    """One column of the learning curves against the step: mean over seeds per ratio, range of the seeds as a band.

    Args:
        curves: ``noise_ratio, seed, step`` and the column; rows without a value are skipped.
        column: What is drawn.
        label: Its name.
        ax: Axes to draw on.
    """
    ax = ax or _axes()
    rows = curves.dropna(subset=[column])
    ratios = sorted(rows.noise_ratio.unique())
    shades = mpl.colormaps["viridis"](np.linspace(0.05, 0.85, max(len(ratios), 2)))
    for ratio, shade in zip(ratios, shades, strict=False):
        by_step = rows[rows.noise_ratio == ratio].groupby("step")[column].agg(["mean", "min", "max"])
        ax.fill_between(by_step.index, by_step["min"], by_step["max"], color=shade, alpha=0.15, lw=0)
        ax.plot(by_step.index, by_step["mean"], color=shade, marker=".", ms=4, lw=1.4, label=f"ratio {ratio:g}")
    ax.set_xlabel("Training step")
    ax.set_ylabel(label)
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def axis_label(metric: Metric) -> str:
    """Name, unit and direction of a metric."""
    arrow = {"higher": " (higher is better)", "lower": " (lower is better)", None: " (prediction minus reference)"}
    return f"{metric.label}{f', {metric.unit}' if metric.unit else ''}\n{arrow[metric.better].strip()}"


def save(figure: Figure, stem: Path) -> str:
    """Write the figure as SVG and PNG on white, for a paper or a README.

    Returns:
        The same SVG for an HTML page: no background, ink in the page's text colour, as wide as the page lets it be.
    """
    figure.draw_without_rendering()  # lays the figure out, once for both files
    figure.set_layout_engine("none")
    figure.savefig(stem.with_suffix(".png"), dpi=160, facecolor="white")
    text = io.StringIO()
    figure.savefig(text, format="svg", facecolor="white", metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    stem.with_suffix(".svg").write_text(svg, encoding="utf-8")
    return _for_page(svg)


def _for_page(svg: str) -> str:
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor").replace("fill: #ffffff", "fill: none")
    head, body = svg.split(">", 1)
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.S)
    return f"{head}>" + re.sub(r'<g id="[^"]*"', "<g", body)


def _points(
    ax: Axes, x: "pd.Series[float]", rows: pd.DataFrame, column: str, colour: str, marker: str, label: str | None
) -> None:
    """Means with a line between them and their intervals, where there are any."""
    y = rows[column].to_numpy(float)
    low, high = (pd.to_numeric(rows[end]).to_numpy(float) for end in ("low", "high"))
    known = np.isfinite(low) & np.isfinite(high)
    reach: Any = [np.where(known, y - low, 0.0), np.where(known, high - y, 0.0)]
    ax.errorbar(
        x, y, yerr=reach, color=colour, marker=marker, ms=5.5, lw=1.4, elinewidth=1.6, capsize=3, label=label, zorder=3
    )


def _offset(ratios: "pd.Series[float]", n_datasets: int) -> float:
    """Distance between the points of two data sets at one ratio: together a third of a step, a tenth of the axis."""
    tested = np.unique([0.0, *ratios])
    if len(tested) < 2:
        return 0.0
    return float(min(np.diff(tested).min() / 3, 0.1 * tested[-1]) / max(n_datasets - 1, 1))


def _ratio_axis(ax: Axes, ratios: "pd.Series[float]") -> None:
    """Noise ratio from 0 to the largest tested, a tick at each tested ratio that has room for its label."""
    tested: Sequence[float] = [float(ratio) for ratio in np.unique([0.0, *ratios])]
    top = tested[-1] or 1.0
    ticks: list[float] = []
    for ratio in tested:
        if not ticks or ratio - ticks[-1] > 0.07 * top:
            ticks.append(ratio)
    ax.set_xlim(-0.06 * top, 1.06 * top)
    ax.set_xticks(ticks, [f"{ratio:g}" for ratio in ticks])
    ax.yaxis.set_major_locator(MaxNLocator(nbins=6))
    ax.set_xlabel("Noise ratio (share of noisy training labels)")


def _axes() -> Axes:
    return Figure(figsize=(6.4, 3.6)).add_subplot()


def _columns(n: int) -> int:
    """How many of n panels stand in a row: four as two and two."""
    return 2 if n == 4 else min(n, 3)


def _panels(n: int) -> tuple[Figure, list[Axes]]:
    """Axes for n data sets, on one y scale."""
    columns = _columns(n)
    lines = -(-n // columns)
    figure = Figure(figsize=((4.6, 7.8, 10.2)[columns - 1], 3.1 * lines))
    grid = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel()
    for ax in grid[n:]:
        ax.remove()
    return figure, list(grid[:n])
