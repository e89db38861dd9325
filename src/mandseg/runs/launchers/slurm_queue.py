"""The queued and running jobs of a study: job ids from the study folder, their states from squeue."""

import logging
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mandseg.runs.tables import read_table

log = logging.getLogger(__name__)

JOBS = "jobs.csv"
QUERY_S = 30


@dataclass(frozen=True)
class QueuedJob:
    """A job that waits or runs: its id, and its state by SLURM's name in lower case."""

    job: str
    state: str


def queued_runs(study: Path) -> dict[str, QueuedJob]:
    """Run -> job, for the runs of a study whose last job is still in the queue or running; empty without SLURM."""
    jobs: dict[str, str] = {}
    for file in sorted(study.glob(f"slurm/*/{JOBS}")):
        table = read_table(file, ["run", "job"])
        if isinstance(table, str):
            log.warning("%s: its jobs are not counted as queued: %s", file.parent, table)
            continue
        jobs |= dict(zip(table.run, table.job, strict=True))
    states = (live_jobs() or {}) if jobs else {}
    return {run: QueuedJob(job, states[job]) for run, job in jobs.items() if job in states}


def live_jobs() -> dict[str, str] | None:
    """State by id (``12_0`` in an array) of this user's jobs that wait or run; None if SLURM does not answer."""
    if shutil.which("squeue") is None:
        return None
    query = ["squeue", "--noheader", "--array", "--user", str(os.getuid()), "--format", "%i %T"]
    try:
        shown = subprocess.run(query, capture_output=True, text=True, timeout=QUERY_S, check=True).stdout
    except (subprocess.SubprocessError, OSError):
        return None
    return {job: state.lower() for job, state in (line.split() for line in shown.splitlines())}
