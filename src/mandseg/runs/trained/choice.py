"""Chooses the networks that predict: of a run, of a checkpoint file, or of a study."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mandseg.runs.folder import CONFIG, RECORD, RunFolder
from mandseg.runs.grid_file import no_run_in
from mandseg.runs.record import RunRecord
from mandseg.runs.trained.load import CHECKPOINT_SUFFIX
from mandseg.statistics.columns import CONDITION
from mandseg.system.errors import UserError
from mandseg.system.wording import count, expected_one_of, similar_path, typed

SHARED = tuple(column for column in CONDITION if column != "seed")
"""The columns of a condition that the networks of an ensemble share."""


class _Run(NamedTuple):
    folder: Path
    record: RunRecord

    @property
    def arm(self) -> tuple[str, str]:
        """The condition but the seed, and the settings that no column shows."""
        shown = [self.record.condition.get(column) for column in SHARED]
        return json.dumps(shown), json.dumps(dict(self.record.settings or {}), sort_keys=True, default=str)


def choose_runs(place: Path, choice: Mapping[str, str], ensemble: bool) -> list[Path]:
    """The run folders, or the checkpoint file, whose networks predict.

    Of a study the runs of one condition: with ``ensemble`` all of them, otherwise the run with the smallest seed.

    Args:
        place: A run folder, a checkpoint file or a study.
        choice: Column of the condition -> value, for a study with several conditions.
        ensemble: Whether to take all seeds of the condition.

    Raises:
        UserError: There is no such place, no run is done, or several conditions are left.
    """
    is_run = (place / CONFIG).is_file()
    if is_run or place.is_file() or place.suffix == CHECKPOINT_SUFFIX:
        if ensemble or choice:
            option = "--ensemble" if ensemble else "--choose"
            raise UserError(f"{place}: {option} chooses among the runs of a study, this is one network")
        if is_run and (state := RunFolder(place).state()).state != "done":
            advice = "wait for its end, or give a checkpoint file of it"
            raise UserError(f"{place}: the run is {state.state}, its network is not trained to the end; {advice}")
        return [place]
    runs = _matching(place, _done_runs(place), choice)
    if len({run.arm for run in runs}) > 1:
        raise UserError(f"study {place}: {_conditions(runs)}")
    runs.sort(key=lambda run: (int(run.record.condition["seed"]), run.folder.name))
    if ensemble and len(runs) < 2:
        raise UserError(f"study {place}: --ensemble with 1 run of this condition ({runs[0].folder.name}), expected 2")
    return [run.folder for run in (runs if ensemble else runs[:1])]


def all_runs(place: Path, choice: Mapping[str, str]) -> list[Path]:
    """A run folder, or all runs of a study with these values of a condition, each of them done.

    Raises:
        UserError: There is no such place; a run is not done; or the runs have several noise ratios, methods and so on.
    """
    if (place / CONFIG).is_file():
        return choose_runs(place, choice, ensemble=False)
    runs = _matching(place, _recorded_runs(place), choice)
    for run in runs:
        if (state := RunFolder(run.folder).state()).state != "done":
            why = f" ({state.reason})" if state.reason else ""
            raise UserError(f"study {place}: run {run.folder.name} is {state.state}{why}, expected done")
    for column in (column for column in SHARED if column != "data"):
        if len(values := _values(runs, column)) > 1:
            some = f"choose one, e.g. --choose {column}={values[0]}"
            raise UserError(f"study {place}: runs with {column} {', '.join(values)}; {some}")
    return [run.folder for run in runs]


def _done_runs(study: Path) -> list[_Run]:
    if not study.is_dir():
        raise UserError(f"{study}: no such run, study or checkpoint{similar_path(study)}")
    states = [(file.parent, RunFolder(file.parent).state()) for file in sorted(study.glob(f"*/{RECORD}"))]
    done = [_Run(folder, state.record) for folder, state in states if state.state == "done" and state.record]
    if not done and states:
        raise UserError(f"{study}: none of {count(len(states), 'run')} is done; see mandseg status {typed(study)}")
    if not done:
        raise UserError(f"{study}: {no_run_in(study)}")
    return done


def _recorded_runs(study: Path) -> list[_Run]:
    """All runs of a study that wrote a record, whatever their state."""
    if not study.is_dir():
        raise UserError(f"{study}: no such run, study or checkpoint{similar_path(study)}")
    states = [(file.parent, RunFolder(file.parent).state()) for file in sorted(study.glob(f"*/{RECORD}"))]
    for folder, state in states:
        if state.record is None:
            raise UserError(f"study {study}: run {folder.name} is {state.state} ({state.reason}), expected done")
    if not states:
        raise UserError(f"{study}: {no_run_in(study)}")
    return [_Run(folder, state.record) for folder, state in states if state.record]


def _matching(study: Path, runs: Sequence[_Run], choice: Mapping[str, str]) -> list[_Run]:
    if unknown := sorted(set(choice) - set(CONDITION)):
        word = f"{unknown[0]}={choice[unknown[0]]}"
        raise UserError(f"--choose {word}: there is no such column; {expected_one_of(unknown[0], CONDITION)}")
    kept = list(runs)
    for column, wanted in choice.items():
        values = _values(kept, column)
        kept = [run for run in kept if _is(run.record.condition.get(column), wanted)]
        if not kept:
            raise UserError(f"study {study}: no run with {column}={wanted}, the runs have {', '.join(values)}")
    return kept


def _is(value: object, wanted: str) -> bool:
    try:
        return float(str(value)) == float(wanted)
    except ValueError:
        return str(value) == wanted


def _values(runs: Sequence[_Run], column: str) -> list[str]:
    found = {run.record.condition.get(column) for run in runs}
    numbers = [value for value in found if isinstance(value, int | float)]
    return [f"{value:.10g}" for value in sorted(numbers)] + sorted(str(value) for value in found - set(numbers))


def _conditions(runs: Sequence[_Run]) -> str:
    """What differs between the runs, and how to choose."""
    differing = {column: values for column in SHARED if len(values := _values(runs, column)) > 1}
    n = len({run.arm for run in runs})
    if not differing:
        names = ", ".join(run.folder.name for run in runs[:6])
        return f"{n} conditions that differ in settings without a column; name one run folder: {names}"
    listed = "; ".join(f"{column} {', '.join(values)}" for column, values in differing.items())
    column, some = next(iter(differing.items()))
    return f"{n} conditions ({listed}); choose one, e.g. --choose {column}={some[0]}"
