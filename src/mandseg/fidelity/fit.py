"""Fit of a panel's sizes to real pairs: a preset in, the same one with the sizes that match people best, out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from mandseg.fidelity.comparison import misfit_of, table
from mandseg.fidelity.counts import COUNTS, count
from mandseg.fidelity.pairs import Pair
from mandseg.fidelity.quantities import Floats
from mandseg.fidelity.simulation import draw, with_seeds
from mandseg.noise.panel import Habit, Panel

SIGNED = ("bias_mm", "outward_mm", "inward_mm")  # moved by steps; all other sizes are multiplied
PANEL_KNOBS = ("bias_mm", "case_bias_mm", "case_spread")
STEP_MM = 0.1
STEP_FACTOR = 0.3  # of ln
SUCCESS = 1.5  # what a success does to the length of the steps


@dataclass(frozen=True)
class Fitted:
    """A panel after the fit, with what it took."""

    panel: Panel
    misfit_before: float
    misfit: float
    n_tried: int


def knobs(panel: Panel) -> dict[str, float]:
    """What a fit may turn: bias and its spread between cases, the spread of severity, every length of every mode.

    What is 0 stays 0, except for the bias. Names are ``bias_mm`` or ``SmoothError.amplitude_mm``; a mode that two
    habits have counts by its place, too.
    """
    found = {name: float(getattr(panel, name)) for name in PANEL_KNOBS if name == "bias_mm" or getattr(panel, name)}
    for place, habit in enumerate(panel.habits):
        found |= {f"{_title(panel, place)}.{name}": getattr(habit.mode, name) for name in _lengths(habit)}
    return found


def with_knobs(panel: Panel, values: Mapping[str, float]) -> Panel:
    """The panel with other values of its ``knobs``."""
    habits = []
    for place, habit in enumerate(panel.habits):
        own = {name: values[f"{_title(panel, place)}.{name}"] for name in _lengths(habit)}
        habits.append(replace(habit, mode=replace(habit.mode, **own)))
    own_knobs: dict[str, Any] = {name: values[name] for name in PANEL_KNOBS if name in values}
    return replace(panel, habits=tuple(habits), **own_knobs)


def fit(panel: Panel, pairs: Sequence[Pair], n_tries: int, n_drawings: int, seed: int = 0) -> Fitted:
    """Turn the knobs of a panel until its drawings of the references are distributed like the recorded ones.

    An evolution strategy of one parent and one child with the 1/5 success rule (Rechenberg 1973): it minds neither
    plateaus, of which voxels make many, nor a few tries only. The misfit is that of ``COUNTS``, which take a tenth of
    the time of the quantities that the result is checked with; every try draws with the same random numbers, so that
    it is a function of the knobs.

    Args:
        panel: Where to start.
        pairs: Those to fit on.
        n_tries: Settings to try, the panel as it is among them.
        n_drawings: Drawings of each reference.
        seed: Of the steps.
    """
    start, rng = knobs(panel), np.random.default_rng(seed)
    real = table([[count(pair.noisy, pair)] for pair in pairs], COUNTS)

    def misfit_at(position: Floats) -> float:
        drawers = with_seeds(with_knobs(panel, moved(start, position)), n_drawings)
        drawn = [[count(draw(drawer, pair), pair) for drawer in drawers] for pair in pairs]
        return misfit_of(real, table(drawn, COUNTS), COUNTS)

    best, step = np.zeros(len(start)), 1.0
    lowest = before = misfit_at(best)
    for _ in range(n_tries - 1):
        position = best + step * rng.standard_normal(len(start))
        found = misfit_at(position)
        step *= SUCCESS if found < lowest else SUCCESS**-0.25
        if found < lowest:
            best, lowest = position, found
    return Fitted(with_knobs(panel, moved(start, best)), before, lowest, n_tries)


def moved(start: Mapping[str, float], position: Floats) -> dict[str, float]:
    """Knobs at a position in steps from the start: signed ones moved by 0.1 mm a step, sizes multiplied."""
    return {
        name: value + STEP_MM * float(x) if _signed(name) else value * float(np.exp(STEP_FACTOR * x))
        for (name, value), x in zip(start.items(), position, strict=True)
    }


def _signed(name: str) -> bool:
    return name.rpartition(".")[2] in SIGNED


def _lengths(habit: Habit) -> list[str]:
    return [f.name for f in fields(habit.mode) if f.name.endswith("_mm") and getattr(habit.mode, f.name) != 0]


def _title(panel: Panel, place: int) -> str:
    names = [type(habit.mode).__name__ for habit in panel.habits]
    return names[place] if names.count(names[place]) == 1 else f"{names[place]}_{place}"
