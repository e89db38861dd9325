"""Variation between seeds: the mean of every training, a line for each seed."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure

from mandseg.metrics.catalogue import Metric
from mandseg.report.figures.axis import LevelAxis, axis_label
from mandseg.report.figures.source import Drawing, FigureSource
from mandseg.report.figures.style import BLUE, FAINT, INK, label_panels, panels

NAMED_SEEDS = 12


def plot_seeds(by_seed: pd.DataFrame, metric: Metric, axis: LevelAxis) -> Figure:
    """The mean over cases of each training at each level; a line joins the trainings of one seed.

    Args:
        by_seed: ``dataset, level, seed, mean``.
        metric: The metric.
        axis: The levels.
    """
    datasets = list(by_seed.dataset.drop_duplicates())
    figure, axes = panels(len(datasets))
    for dataset, ax in zip(datasets, axes, strict=True):
        wide = by_seed[by_seed.dataset == dataset].pivot(index="level", columns="seed", values="mean")
        levels = [level for level in axis.in_order if level in wide.index]
        wide = wide.loc[levels]
        places = axis.places(levels)
        ax.plot(places, wide.to_numpy(), color=BLUE, lw=0.9, alpha=0.5, marker=".", ms=5)
        ax.plot(places, wide.mean(axis=1), color=INK, lw=1.6)
        if len(wide.columns) <= NAMED_SEEDS:
            for seed, value in wide.iloc[-1].dropna().items():
                ax.annotate(str(int(seed)), (places[-1], value), (5, 0), textcoords="offset points", va="center",
                            fontsize=8, color=FAINT)  # fmt: skip
        ax.set_title(dataset, fontsize=10.5)
        axis.draw(ax, title=False)
    label_panels(figure, axis.label, axis_label(metric))
    return figure


def seeds(source: FigureSource) -> Iterator[Drawing]:
    """The mean of every training for the primary metric."""
    metric, by_seed = source.primary, source.by_seed(source.primary)
    if by_seed.seed.nunique() < 2:
        return
    caption = f"{metric.label}: mean over cases, a line for each seed (number at its end). Black: mean over seeds."
    yield source.draw(
        "seeds",
        lambda: plot_seeds(by_seed, metric, source.axis),
        caption + source.more,
        wide=by_seed.dataset.nunique() > 1,
    )
