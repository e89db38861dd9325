"""The story of one assessment: a cohort of pairs in, a preset beside people and a baseline, a folder out."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from mandseg.config_folder import config_folder
from mandseg.errors import UserError
from mandseg.fidelity.comparison import Comparison, Table, compare, misfit, misfit_of
from mandseg.fidelity.figures import plot_group, quantiles
from mandseg.fidelity.fit import Fitted, fit, knobs
from mandseg.fidelity.pairs import Halves, Pair, read_pairs, split_pairs
from mandseg.fidelity.quantities import GROUPS, QUANTITIES
from mandseg.fidelity.simulation import real_table, simulated_table
from mandseg.figures import save, style
from mandseg.files import folder_appearing_whole, write_text
from mandseg.noise.panel import Panel
from mandseg.noise.preset import load_preset

DECIMALS = 4
NOT_PANELS = ("panel", "recorded")


@dataclass(frozen=True)
class Plan:
    """What is compared, and how thoroughly.

    Args:
        preset: A preset of conf/noise.
        baseline: The preset to beat.
        seed: Of the halves.
        n_drawings: Simulated drawings of each reference.
        n_tries: Settings that a fit of the preset tries on the first half, a third as many for the baseline; 0: none.
        n_fit_drawings: Drawings of each reference at each try.
        workers: Processes.
    """

    preset: str
    baseline: str = "margin"
    seed: int = 0
    n_drawings: int = 8
    n_tries: int = 0
    n_fit_drawings: int = 3
    workers: int | None = None


@dataclass(frozen=True)
class Assessment:
    """How a preset and its baseline compare with people, on the half that was held out and on the other one."""

    plan: Plan
    halves: Halves
    notes: tuple[str, ...]
    fitted: Mapping[str, Fitted]
    """By preset; empty where nothing was fitted."""
    real: Table
    """(C, 1) of each quantity, of the held-out half."""
    simulations: Mapping[str, Table]
    """By preset, (C, R) of each quantity, of the held-out half."""
    held_out: Mapping[str, Sequence[Comparison]]
    """By preset."""
    on_fit_half: Mapping[str, Sequence[Comparison]]
    between_halves: float
    """The misfit of the people of one half as a stand-in for those of the other: what no simulation need better."""


def assess(cohort: Path, plan: Plan) -> Assessment:
    """Compare a preset and a baseline with the recorded drawings of a cohort.

    Raises:
        UserError: An unknown preset, too few pairs, labels that cannot be used, or a mode that needs the CT.
    """
    panels = {name: known_panel(name) for name in (plan.preset, plan.baseline)}
    pairs, notes = read_pairs(cohort, plan.workers)
    halves = split_pairs(pairs, plan.seed)
    fitted = _fitted(panels, halves.fit, plan)
    panels |= {name: found.panel for name, found in fitted.items()}
    real, simulations = _tables(panels, halves.check, plan)
    real_fit, simulations_fit = _tables(panels, halves.fit, plan)
    return Assessment(
        plan,
        halves,
        tuple(notes),
        fitted,
        real,
        simulations,
        {name: compare(real, own) for name, own in simulations.items()},
        {name: compare(real_fit, own) for name, own in simulations_fit.items()},
        misfit_of(real, real_fit, QUANTITIES),
    )


def known_panel(name: str) -> Panel:
    """Load a preset that simulates.

    Raises:
        UserError: There is none of this name.
    """
    names = sorted(path.stem for path in (config_folder() / "noise").glob("*.yaml") if path.stem not in NOT_PANELS)
    if name not in names:
        raise UserError(f"preset {name!r}: expected one of {', '.join(names)}")
    return load_preset(name)


def write_assessment(out: Path, assessment: Assessment) -> None:
    """Write tables, figures and, after a fit, the fitted sizes; the folder appears whole or not at all."""
    with folder_appearing_whole(out) as part:
        write_text(part / "comparison.csv", _csv(_comparison_rows(assessment)))
        write_text(part / "quantiles.csv", _csv(_quantile_rows(assessment)))
        write_text(part / "halves.csv", _csv(_half_rows(assessment.halves)))
        if assessment.fitted:
            write_text(part / "fitted.yaml", yaml.safe_dump(_fitted_values(assessment), sort_keys=False))
        with style("fidelity"):
            for group in GROUPS:
                figure = plot_group(group, assessment.real, assessment.simulations)
                if figure is not None:
                    save(figure, part / f"quantiles-{group}")


def _fitted(panels: Mapping[str, Panel], pairs: Sequence[Pair], plan: Plan) -> dict[str, Fitted]:
    if not plan.n_tries:
        return {}
    tries = {plan.baseline: max(plan.n_tries // 3, 1), plan.preset: plan.n_tries}
    return {name: fit(panels[name], pairs, tries[name], plan.n_fit_drawings) for name in tries}


def _tables(panels: Mapping[str, Panel], pairs: Sequence[Pair], plan: Plan) -> tuple[Table, dict[str, Table]]:
    simulations: dict[str, Table] = {
        name: simulated_table(panel, pairs, plan.n_drawings, plan.workers, f"Drawing {name}")
        for name, panel in panels.items()
    }
    return real_table(pairs), simulations


def _comparison_rows(assessment: Assessment) -> Iterator[dict[str, Any]]:
    for half, comparisons in (("check", assessment.held_out), ("fit", assessment.on_fit_half)):
        for name, own in comparisons.items():
            for comparison in own:
                yield {"half": half, "preset": name} | {
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
    for half, pairs in (("fit", halves.fit), ("check", halves.check)):
        for pair in pairs:
            yield {"case_id": pair.case.case_id, "half": half}


def _fitted_values(assessment: Assessment) -> dict[str, Any]:
    return {
        name: {
            "misfit_before": _rounded(found.misfit_before),
            "misfit": _rounded(found.misfit),
            "n_tried": found.n_tried,
            "values": {knob: _rounded(value) for knob, value in knobs(found.panel).items()},
        }
        for name, found in assessment.fitted.items()
    }


def _csv(rows: Iterator[dict[str, Any]]) -> str:
    listed, text = list(rows), io.StringIO()
    writer = csv.DictWriter(text, list(listed[0]) if listed else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(listed)
    return text.getvalue()


def _rounded(value: Any) -> Any:
    return round(float(value), DECIMALS) if isinstance(value, float | np.floating) else value


def misfits(comparisons: Mapping[str, Sequence[Comparison]]) -> dict[str, float]:
    """The misfit of each preset."""
    return {name: misfit(own) for name, own in comparisons.items()}
