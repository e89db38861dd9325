"""Withdraws runs from a study: they are no longer expected, and what they left is kept beside the study's runs."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from mandseg.runs.folder import RECORD, RunFolder
from mandseg.runs.grid_file import LISTED, read_grid, refuse_no_study, remove_from_grid
from mandseg.runs.launchers.slurm_queue import queued_runs
from mandseg.runs.replaced import REPLACED
from mandseg.system.errors import UserError
from mandseg.system.wording import expected_one_of, typed

WAYS = {
    "done": "and its result would stay in the study; move its folder away first",
    "running": "wait for its end or stop it first",
}


def forget_runs(study: Path, runs: Sequence[str]) -> list[str]:
    """Take runs out of grid.csv. The folder of one that began is moved to ``<study>/replaced/``; nothing is deleted.

    Returns:
        A line for each run.

    Raises:
        UserError: No run was withdrawn: one is unknown, done, running or in the queue of SLURM.
    """
    refuse_no_study(study)
    runs = [Path(run).name if Path(run).parent == study else run for run in runs]  # as a shell completes it
    known = [row["run"] for row in read_grid(study)] + [file.parent.name for file in study.glob(f"*/{RECORD}")]
    queued = queued_runs(study)
    problems = []
    for run in runs:
        if run not in known:
            listed = f"mandseg status {typed(study)} lists the runs that are not done"
            which = expected_one_of(run, set(known)) if 0 < len(set(known)) <= LISTED else listed
            problems.append(f"run {run}: not in study {study}; {which}")
        elif (state := RunFolder(study / run).state().state) in ("done", "running"):
            problems.append(f"run {run}: is {state}, {WAYS[state]}")
        elif run in queued:
            problems.append(f"run {run}: SLURM job {queued[run].job} is in the queue, cancel it first")
    if problems:
        raise UserError(problems)
    remove_from_grid(study, runs)
    return [f"{run}: withdrawn{_kept(study, run)}" for run in dict.fromkeys(runs)]


def _kept(study: Path, run: str) -> str:
    """Move the folder of a run away, if there is one; the end of its line."""
    if not (study / run).is_dir():
        return ""
    dest = study / REPLACED / f"{run}-{datetime.now():%Y%m%d-%H%M%S-%f}"
    dest.parent.mkdir(exist_ok=True)
    (study / run).rename(dest)
    return f"; its folder is now {dest}"
