"""Quantile-quantile figures: simulated drawings against real ones, one panel for each quantity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mandseg.audit.fidelity.quantities import QUANTITIES, Floats, Group, Quantity
from mandseg.audit.fidelity.realism import Table
from mandseg.report.figures import COLOURS, INK, MARKERS

COLUMNS: dict[Group, int] = {"agreement": 3, "regions": 4, "slices": 5}
PANEL_INCHES = (2.0, 1.9)
LEAST_RANGE = 0.02  # of an axis, if all values are equal
N_RESAMPLES = 1000


@dataclass(frozen=True)
class Quantiles:
    """Order statistics of the real values, and the same ranks of simulated samples of the same cases; (C,)."""

    real: Floats
    simulated: Floats
    """Median over samples with one drawing of each case."""
    low: Floats
    """Ends of the central 95 % of these samples."""
    high: Floats


def quantiles(real: Floats, simulated: Floats, seed: int = 0) -> Quantiles | None:
    """Quantiles of C cases, (C, 1) and (C, R), NaN for missing; None if fewer than two cases have both values."""
    known = np.isfinite(real[:, 0]) & np.isfinite(simulated).all(axis=1)
    if known.sum() < 2:
        return None
    ordered, drawings = np.sort(real[known, 0]), simulated[known]
    one_each = np.random.default_rng(seed).integers(drawings.shape[1], size=(N_RESAMPLES, len(drawings)))
    samples = np.sort(drawings[np.arange(len(drawings)), one_each], axis=1)
    low, middle, high = np.quantile(samples, [0.025, 0.5, 0.975], axis=0)
    return Quantiles(ordered, middle, low, high)


def plot_quantiles(found: Mapping[str, Quantiles], quantity: Quantity, ax: Axes | None = None) -> Axes:
    """Draw one quantity: real order statistics along x, those of each simulation along y with 95 % of its samples.

    Args:
        found: The quantiles by name of the simulation.
        quantity: The quantity.
        ax: Axes to draw on.
    """
    ax = ax or Figure(figsize=(3.2, 3.0)).add_subplot()
    for (name, own), colour, marker in zip(found.items(), COLOURS, MARKERS, strict=False):
        ax.vlines(own.real, own.low, own.high, color=colour, alpha=0.3, lw=1.6)
        ax.plot(own.real, own.simulated, marker, color=colour, ms=2.8, label=name, zorder=3)
    lows = [min(own.real[0], np.quantile(own.low, 0.05)) for own in found.values()]
    highs = [max(own.real[-1], np.quantile(own.high, 0.95)) for own in found.values()]
    edge = max(0.06 * (max(highs) - min(lows)), LEAST_RANGE / 2)
    ends = (float(min(lows) - edge), float(max(highs) + edge))
    ax.plot(ends, ends, color=INK, lw=0.8, zorder=1)
    ax.set_xlim(*ends)
    ax.set_ylim(*ends)
    ax.locator_params(nbins=4)
    ax.tick_params(labelsize=6.5)
    ax.set_title(quantity.label + (f" ({quantity.unit})" if quantity.unit else ""), fontsize=7, fontweight="normal")
    return ax


def plot_group(group: Group, real: Table, simulations: Mapping[str, Table]) -> Figure | None:
    """All quantities of a group; None if no quantity has enough values.

    Args:
        group: The group.
        real: (C, 1) of each quantity.
        simulations: By name, (C, R) of each quantity for the same cases.
    """
    panels: list[tuple[Quantity, dict[str, Quantiles]]] = []
    for quantity in QUANTITIES.values():
        found = {name: quantiles(real[quantity.name], own[quantity.name]) for name, own in simulations.items()}
        known = {name: own for name, own in found.items() if own is not None}
        if quantity.group == group and known:
            panels.append((quantity, known))
    return _grid(panels, COLUMNS[group]) if panels else None


def _grid(panels: Sequence[tuple[Quantity, Mapping[str, Quantiles]]], n_columns: int) -> Figure:
    lines = -(-len(panels) // n_columns)
    figure = Figure(figsize=(PANEL_INCHES[0] * n_columns, PANEL_INCHES[1] * lines + 0.4))
    axes = figure.subplots(lines, n_columns, squeeze=False).ravel()
    for ax in axes[len(panels) :]:
        ax.remove()
    for (quantity, found), ax in zip(panels, axes, strict=False):
        plot_quantiles(found, quantity, ax)
    figure.supxlabel("Real drawings", fontsize=9)
    figure.supylabel("Simulated drawings", fontsize=9)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=len(labels), fontsize=8)
    return figure
