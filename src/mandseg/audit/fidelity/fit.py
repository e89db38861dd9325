"""Fit of the sizes of a panel to real pairs: a preset in, the same preset with the best-fitting sizes out."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, cast

import numpy as np
from scipy import optimize

from mandseg.audit.fidelity.quantities import Floats
from mandseg.audit.fidelity.realism import Table, misfit_of, table
from mandseg.audit.fidelity.simulation import draw, measured, real_table, with_seeds
from mandseg.audit.pair import LabelPair
from mandseg.noise.modes.boundary import Margin
from mandseg.noise.panel import Panel, Tendency

START_MM = 0.3  # of every size except bias and its spread, for every preset: a third of a voxel
SIGNED = ("outward_mm", "inward_mm", "bias_mm")  # start at 0 and change by addition; other sizes change by a factor
STEP_MM = 0.1
STEP_FACTOR = 0.3  # of ln
SCAN = {"Margin.outward_mm": (0.0, 1.5, 3.0), "case_bias_mm": (0.0, -3.0, -7.5)}  # steps; factors 1, 0.41 and 0.11
CLEARLY = 0.9  # another start is used if its misfit is below this share of the misfit at the moments
TRUST_RADIUS = 3.0  # largest change for which a slope is used, in steps
SHRINK = 0.6  # of the steps from round to round
SHARES = (1.0, 0.5)  # shares of the predicted step that are tried
FIRST_SEED, N_SEEDS = 1000, 200  # seeds for the fit; an assessment uses other seeds


@dataclass(frozen=True)
class Fit:
    """A panel after the fit, with the misfits and the number of tries."""

    panel: Panel
    misfit_before: float
    misfit: float
    n_tried: int


@dataclass(frozen=True, eq=False)
class _Try:
    misfit: float
    position: Floats
    drawn: Mapping[str, Floats]


def parameters(panel: Panel) -> dict[str, float]:
    """The fitted parameters: the spread of the bias between cases, and every size of a mode that is a length.

    A parameter that is 0 stays 0. Names are ``case_bias_mm`` or ``SmoothError.amplitude_mm``. If two tendencies have
    the same mode, its name has the number of the tendency.
    """
    found = {"case_bias_mm": panel.case_bias_mm} if panel.case_bias_mm else {}
    for place, tendency in enumerate(panel.tendencies):
        found |= {f"{_title(panel, place)}.{name}": getattr(tendency.mode, name) for name in _lengths(tendency)}
    return found


def with_parameters(panel: Panel, values: Mapping[str, float]) -> Panel:
    """The panel with other values of its ``parameters``."""
    tendencies = []
    for place, tendency in enumerate(panel.tendencies):
        own = {name: values[f"{_title(panel, place)}.{name}"] for name in _lengths(tendency)}
        tendencies.append(replace(tendency, mode=replace(tendency.mode, **own)))
    return replace(panel, tendencies=tuple(tendencies), case_bias_mm=values.get("case_bias_mm", 0.0))


def start(panel: Panel, pairs: Sequence[LabelPair]) -> dict[str, float]:
    """The start of a fit, which does not depend on the values of the panel.

    Bias and its spread start at the mean and the standard deviation of the displacement of the pairs, other signed
    sizes at 0, all other sizes at 0.3 mm.
    """
    displacement_mm = [pair.displacement_mm for pair in pairs]
    found = {name: 0.0 if _signed(name) else START_MM for name in parameters(panel)}
    moments = {"Margin.outward_mm": float(np.mean(displacement_mm)), "case_bias_mm": float(np.std(displacement_mm))}
    return found | {name: value for name, value in moments.items() if name in found}


def fit(panel: Panel, pairs: Sequence[LabelPair], n_rounds: int, n_drawings: int) -> Fit:
    """Fit the parameters of a panel: its drawings shall have the same distribution as the recorded drawings.

    The misfit itself is minimised, in the quantities that the result is checked with. Every try draws with the same
    random numbers: each quantity of each drawing is a function of the parameters. First, nine pairs of a bias and its
    spread are tried. One of them is the start if it is clearly better than the moments. Slopes alone mislead there,
    because a margin below half of a voxel moves hardly anything. Then follow rounds. Each parameter is changed alone
    to measure how the quantities change. Drawings are made where these slopes predict the lowest misfit, and half-way
    there. The next round starts from the best of all tries, with smaller steps.

    Args:
        panel: Only its structure matters; the values begin at ``start``.
        pairs: The pairs of the fit.
        n_rounds: Number of rounds. A round has one try for each parameter, and two more.
        n_drawings: Drawings of each reference at each try.
    """
    begin, real = start(panel, pairs), real_table(pairs)
    seeds = balanced_seeds(panel, pairs, n_drawings)

    def tried(position: Floats) -> _Try:
        drawers = with_seeds(with_parameters(panel, moved(begin, position)), seeds)
        drawn = table([[measured(draw(drawer, pair), pair) for drawer in drawers] for pair in pairs])
        return _Try(misfit_of(real, drawn), position, drawn)

    scan = [tried(np.array(place)) for place in itertools.product(*(SCAN.get(name, (0.0,)) for name in begin))]
    best, other = scan[0], min(scan, key=_misfit)
    best = other if other.misfit < CLEARLY * best.misfit else best
    for k in range(n_rounds):
        step = SHRINK**k
        slopes = [
            _difference(tried(best.position + step * unit).drawn, best.drawn, step) for unit in np.eye(len(begin))
        ]
        predicted = predicted_step(real, best.drawn, slopes, TRUST_RADIUS * step)
        best = min([best, *(tried(best.position + share * predicted) for share in SHARES)], key=_misfit)
    n_tried = len(scan) + n_rounds * (len(begin) + len(SHARES))
    return Fit(with_parameters(panel, moved(begin, best.position)), scan[0].misfit, best.misfit, n_tried)


def predicted_step(real: Table, drawn: Table, slopes: Sequence[Table], trust_radius: float) -> Floats:
    """The change of each parameter, at most ``trust_radius``, at which the misfit is lowest if all slopes hold.

    Args:
        real: (C, 1) of each quantity.
        drawn: (C, R) of each quantity.
        slopes: Change of each quantity with each parameter, (C, R) of each quantity.
        trust_radius: In steps.
    """

    def misfit_at(position: Floats) -> float:
        changed = {
            name: values + sum(x * slope[name] for x, slope in zip(position, slopes, strict=True))
            for name, values in drawn.items()
        }
        return misfit_of(real, changed)

    found = optimize.minimize(
        misfit_at,
        np.zeros(len(slopes)),
        method="Powell",
        bounds=[(-trust_radius, trust_radius)] * len(slopes),
        options={"xtol": 0.02, "ftol": 1e-3, "maxiter": 10},
    )
    return np.asarray(found.x, np.float64)


def balanced_seeds(panel: Panel, pairs: Sequence[LabelPair], n: int) -> list[int]:
    """The n of 200 seeds whose drawn case biases have a mean nearest 0 and a standard deviation nearest 1.

    With other seeds and few pairs, the fitted bias would compensate for the random mean of the draws.
    """
    unit = replace(panel, tendencies=(), bias_mm=0.0, bias_spread_mm=0.0, case_bias_mm=1.0)

    def imbalance(drawer: Panel) -> float:
        cases = [replace(pair.case, annotator="") for pair in pairs]
        biases = [cast(Margin, drawer.profile(case).modes[0]).outward_mm for case in cases]
        return float(abs(np.mean(biases)) + abs(np.std(biases) - 1))

    drawers = with_seeds(unit, range(FIRST_SEED, FIRST_SEED + N_SEEDS))
    return [drawer.seed for drawer in sorted(drawers, key=imbalance)[:n]]


def moved(begin: Mapping[str, float], position: Floats) -> dict[str, float]:
    """Parameters at a position in steps from the start: signed ones change by 0.1 mm a step, sizes by a factor."""
    return {
        name: value + STEP_MM * float(x) if _signed(name) else value * float(np.exp(STEP_FACTOR * x))
        for (name, value), x in zip(begin.items(), position, strict=True)
    }


def _misfit(tried: _Try) -> float:
    return tried.misfit


def _difference(changed: Table, drawn: Table, step: float) -> dict[str, Floats]:
    """Change of each quantity of each drawing for one step; 0 where a value is missing."""
    return {name: np.nan_to_num((changed[name] - values) / step) for name, values in drawn.items()}


def _signed(name: str) -> bool:
    return name.rpartition(".")[2] in SIGNED


def _lengths(tendency: Tendency) -> list[str]:
    sizes: list[Any] = [f for f in fields(tendency.mode) if f.metadata.get("severity")]
    return [f.name for f in sizes if f.name.endswith("_mm") and getattr(tendency.mode, f.name) != 0]


def _title(panel: Panel, place: int) -> str:
    names = [type(tendency.mode).__name__ for tendency in panel.tendencies]
    return names[place] if names.count(names[place]) == 1 else f"{names[place]}_{place}"
