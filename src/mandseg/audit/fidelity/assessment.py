"""One assessment: a cohort of pairs in; a preset compared with people and with a baseline, as a folder, out."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from mandseg.audit.fidelity.figures import plot_group, quantiles
from mandseg.audit.fidelity.fit import Fit, fit, parameters
from mandseg.audit.fidelity.pairs import Halves, deal, read_pairs
from mandseg.audit.fidelity.quantities import GROUPS, QUANTITIES, Floats
from mandseg.audit.fidelity.realism import Advantage, Comparison, Table, advantage, compare, misfit_of
from mandseg.audit.fidelity.simulation import real_table, simulated_table
from mandseg.audit.pair import LabelPair
from mandseg.noise.panel import Panel
from mandseg.noise.preset import load_preset
from mandseg.report.figures import drawing_style, save
from mandseg.system.config_paths import config_folder
from mandseg.system.errors import UserError
from mandseg.system.files import Kind, replaced_folder, write_csv, write_text
from mandseg.system.progress import default_workers, for_each

DECIMALS = 4
FOLDER = Kind(
    "an assessment of fidelity",
    "choose an empty folder with --out",
    frozenset({"comparison.csv", "quantiles.csv", "halves.csv"}),
    re.compile(r"(comparison|quantiles|halves)\.csv|fitted\.yaml|quantiles-\w+\.(svg|pdf|png)"),
)
NOT_PANELS = ("panel", "recorded")


@dataclass(frozen=True)
class Plan:
    """What is compared, and with how many drawings.

    Args:
        preset: A preset of conf/noise.
        baseline: The preset that it is compared with.
        n_drawings: Number of simulated drawings of each reference.
        n_rounds: Rounds of the fits of both; 0 compares the presets without a fit.
        n_fit_drawings: Number of drawings of each reference at each try of a fit.
        workers: Number of processes.
    """

    preset: str
    baseline: str = "margin"
    n_drawings: int = 8
    n_rounds: int = 0
    n_fit_drawings: int = 2
    workers: int | None = None


@dataclass(frozen=True)
class CrossValidatedFit:
    """Three fits of a preset: on all pairs, for use; and on each half, for a check on the other half."""

    whole: Fit
    first: Fit
    second: Fit


@dataclass(frozen=True)
class Assessment:
    """A preset and its baseline, compared with people.

    With a fit, every pair is drawn by panels that were fitted on the other half. Without a fit, the presets draw.
    Tables and comparisons contain all pairs, those of the first half first.
    """

    plan: Plan
    halves: Halves
    notes: tuple[str, ...]
    fits: Mapping[str, CrossValidatedFit]
    """By preset; empty without a fit."""
    real: Table
    """(C, 1) of each quantity."""
    simulations: Mapping[str, Table]
    """By preset, (C, R) of each quantity."""
    comparisons: Mapping[str, Sequence[Comparison]]
    """By preset."""
    in_sample: Mapping[str, Sequence[Comparison]]
    """By preset, drawn by panels that were fitted on the same pairs; empty without a fit."""
    advantage: Advantage
    """Of the preset over the baseline."""
    between_halves: float
    """The misfit between the people of the two halves: a yardstick for simulations."""


def assess(cohort: Path, plan: Plan) -> Assessment:
    """Compare a preset and a baseline with the recorded drawings of a cohort.

    Raises:
        UserError: The preset is unknown, there are too few pairs, a label cannot be used, or a mode needs the CT.
    """
    panels = {name: known_panel(name) for name in (plan.preset, plan.baseline)}
    pairs, notes = read_pairs(cohort, plan.workers)
    plan = replace(plan, workers=plan.workers or default_workers(len(pairs)))
    halves = deal(pairs)
    fits = _fits(panels, (pairs, *halves), plan) if plan.n_rounds else {}
    drawers = {name: (own.second.panel, own.first.panel) for name, own in fits.items()}
    simulations = {name: _drawn(drawers.get(name, (panel, panel)), halves, plan) for name, panel in panels.items()}
    fitted = {name: _drawn((own.whole.panel, own.whole.panel), halves, plan) for name, own in fits.items()}
    first, second = (real_table(half) for half in halves)
    real = _joined(first, second)
    return Assessment(
        plan,
        halves,
        tuple(notes),
        fits,
        real,
        simulations,
        {name: compare(real, own) for name, own in simulations.items()},
        {name: compare(real, own) for name, own in fitted.items()},
        advantage(real, simulations[plan.preset], simulations[plan.baseline]),
        misfit_of(second, first),
    )


def known_panel(name: str) -> Panel:
    """Load a preset that simulates annotators.

    Raises:
        UserError: There is no preset with this name.
    """
    names = sorted(path.stem for path in (config_folder() / "noise").glob("*.yaml") if path.stem not in NOT_PANELS)
    if name not in names:
        raise UserError(f"preset {name!r}: expected one of {', '.join(names)}")
    return load_preset(name)


def write_assessment(out: Path, assessment: Assessment) -> None:
    """Write tables, figures and, after a fit, the fitted sizes; the folder is written completely or not at all.

    Raises:
        UserError: The folder has files that no assessment wrote, or cannot be written.
    """
    with replaced_folder(out, FOLDER) as part:
        _write(part / "comparison.csv", _comparison_rows(assessment))
        _write(part / "quantiles.csv", _quantile_rows(assessment))
        _write(part / "halves.csv", _half_rows(assessment.halves))
        if assessment.fits:
            write_text(part / "fitted.yaml", yaml.safe_dump(_fitted_values(assessment.fits), sort_keys=False))
        with drawing_style("fidelity"):
            for group in GROUPS:
                figure = plot_group(group, assessment.real, assessment.simulations)
                if figure is not None:
                    save(figure, part / f"quantiles-{group}")


def _fits(
    panels: Mapping[str, Panel], fitted_on: Sequence[Sequence[LabelPair]], plan: Plan
) -> dict[str, CrossValidatedFit]:
    """Fit each panel on all pairs, on the first half and on the second."""
    jobs = [(panel, pairs) for pairs in fitted_on for panel in panels.values()]
    done = list(for_each(partial(_fitted, plan), jobs, "Fitting", plan.workers))
    return {name: CrossValidatedFit(*done[k :: len(panels)]) for k, name in enumerate(panels)}


def _fitted(plan: Plan, job: tuple[Panel, Sequence[LabelPair]]) -> Fit:
    return fit(*job, plan.n_rounds, plan.n_fit_drawings)


def _drawn(panels: tuple[Panel, Panel], halves: Halves, plan: Plan) -> dict[str, Floats]:
    """The quantities of both halves, each drawn by its own panel."""
    first, second = (
        simulated_table(panel, half, plan.n_drawings, plan.workers) for panel, half in zip(panels, halves, strict=True)
    )
    return _joined(first, second)


def _joined(first: Table, second: Table) -> dict[str, Floats]:
    return {name: np.concatenate([values, second[name]]) for name, values in first.items()}


def _comparison_rows(assessment: Assessment) -> Iterator[dict[str, Any]]:
    how = "held out" if assessment.fits else "as it is"
    for drawn_by, comparisons in ((how, assessment.comparisons), ("fitted on all", assessment.in_sample)):
        for name, own in comparisons.items():
            for comparison in own:
                yield {"preset": name, "drawn_by": drawn_by} | {
                    key: _rounded(value) for key, value in asdict(comparison).items()
                }


def _quantile_rows(assessment: Assessment) -> Iterator[dict[str, Any]]:
    for quantity in QUANTITIES:
        for name, own in assessment.simulations.items():
            found = quantiles(assessment.real[quantity], own[quantity])
            if found is None:
                continue
            columns = {f.name: getattr(found, f.name) for f in fields(found)}
            for k in range(len(found.real)):
                row = {"quantity": quantity, "preset": name, "rank": k + 1}
                yield row | {column: _rounded(float(values[k])) for column, values in columns.items()}


def _half_rows(halves: Halves) -> Iterator[dict[str, Any]]:
    for k, half in enumerate(halves, 1):
        for pair in half:
            yield {"case_id": pair.case.case_id, "half": k, "displacement_mm": _rounded(pair.displacement_mm)}


def _fitted_values(fits: Mapping[str, CrossValidatedFit]) -> dict[str, Any]:
    return {
        name: {
            field.name: {
                "misfit_before": _rounded(own.misfit_before),
                "misfit": _rounded(own.misfit),
                "n_tried": own.n_tried,
                "values": {parameter: _rounded(value) for parameter, value in parameters(own.panel).items()},
            }
            for field in fields(found)
            for own in [getattr(found, field.name)]
        }
        for name, found in fits.items()
    }


def _write(file: Path, rows: Iterator[dict[str, Any]]) -> None:
    listed = list(rows)
    write_csv(file, list(listed[0]) if listed else [], listed)


def _rounded(value: Any) -> Any:
    return round(float(value), DECIMALS) if isinstance(value, float | np.floating) else value
