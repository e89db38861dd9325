"""Learning curves, and whether the networks memorised the noise."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mandseg.report.figures.axis import LevelAxis
from mandseg.report.figures.source import Drawing, FigureSource
from mandseg.report.figures.style import COLOURS, DOSE, one_axes, panels
from mandseg.statistics.comparison import Level

DRAWN_LEVELS = 5
CURVES = {"train_loss": "Training loss", "val_dice": "Validation Dice"}
WATCHED = {
    "noisy_cases_dice_to_noisy": "Noisy cases, to the noisy label",
    "noisy_cases_dice_to_reference": "Noisy cases, to the reference",
    "clean_cases_dice_to_reference": "Clean cases, to the reference",
}


def plot_learning_curves(
    curves: pd.DataFrame, column: str, label: str, axis: LevelAxis, ax: Axes | None = None
) -> Axes:
    """One column of the learning curves against the step: mean over seeds per level, range of the seeds as a band.

    Args:
        curves: ``level, seed, step`` and the column; rows without a value are skipped.
        column: The drawn column.
        label: The label of the y axis.
        axis: The levels; at most five are drawn.
        ax: Axes to draw on.
    """
    ax = ax or one_axes()
    rows = curves.dropna(subset=[column])
    for level, shade in level_colours(axis).items():
        by_step = rows[rows.level == level].groupby("step")[column].agg(["mean", "min", "max"])
        if by_step.empty:
            continue
        ax.fill_between(by_step.index, by_step["min"], by_step["max"], color=shade, alpha=0.15, lw=0)
        ax.plot(by_step.index, by_step["mean"], color=shade, marker=".", ms=4, lw=1.5, label=axis.name(level))
    ax.set_xlabel("Training step")
    ax.set_ylabel(label)
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), title=axis.label)
    return ax


def plot_memorisation(curves: pd.DataFrame, axis: LevelAxis) -> Figure:
    """Dice of watched training cases against their labels (see :mod:`mandseg.training.memorisation`), by level.

    Args:
        curves: ``level, seed, step`` and the columns that the measurement logs.
        axis: The levels; at most five are drawn.
    """
    columns = [column for column in WATCHED if column in curves and curves[column].notna().any()]
    figure, axes = panels(len(columns), height=3.2)
    colours = level_colours(axis)
    for column, ax in zip(columns, axes, strict=True):
        for level, colour in colours.items():
            values = curves[curves.level == level].groupby("step")[column].mean().dropna()
            ax.plot(values.index, values, color=colour, lw=1.6, marker=".", ms=5)
        ax.set_title(WATCHED[column], fontsize=10.5)
        ax.set_xlabel("Training step")
    axes[0].set_ylabel("Training Dice")
    handles = [Line2D([], [], color=colour, lw=2, label=axis.name(level)) for level, colour in colours.items()]
    figure.legend(handles=handles, loc="outside right upper", title=axis.label, fontsize=9.5)
    return figure


def level_colours(axis: LevelAxis) -> dict[Level, str]:
    """A colour for each level, from clean to noisy; at most five levels, evenly spaced."""
    chosen = np.unique(np.linspace(0, len(axis.levels) - 1, DRAWN_LEVELS).round().astype(int))
    levels = [axis.in_order[k] for k in chosen]
    if not axis.comparison.is_dose:
        return dict(zip(levels, COLOURS, strict=False))
    return {level: to_hex(DOSE(k / max(len(levels) - 1, 1))) for k, level in enumerate(levels)}


def memorisation(source: FigureSource) -> Iterator[Drawing]:
    """Memorisation of the noise; nothing if it was not measured."""
    curves = source.curves
    column = next(iter(WATCHED))
    if column not in curves or curves[column].isna().all():
        return
    caption = (
        "Dice on training cases during the training, at most four noisy and four clean cases, mean over cases and "
        "seeds. Left: noisy cases, Dice to their noisy label. At ratio 0 the same cases were trained with their clean "
        "label, so a curve above that of ratio 0 means that noise was memorised. Middle: the same predictions, Dice to "
        "the reference, which was not used in training. Right: clean cases, Dice to their reference."
    )
    yield source.draw("memorisation", lambda: plot_memorisation(curves, source.axis), caption, wide=True)


def learning(source: FigureSource) -> Iterator[Drawing]:
    """The learning curves: training loss and validation Dice."""
    curves = source.curves
    for column, label in CURVES.items():
        if column in curves and curves.step[curves[column].notna()].nunique() > 1:
            plot = partial(plot_learning_curves, curves, column, label, source.axis)
            yield source.draw(f"learning-{column}", plot, f"{label}: mean over seeds. Band: range of the seeds.")
