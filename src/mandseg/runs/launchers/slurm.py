"""Submits a grid's cells as SLURM jobs: computes resources, submits arrays, and writes the job ids to the study."""

import contextlib
import io
import secrets
import shutil
import time
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from mandseg.runs.folder import RunFolder
from mandseg.runs.launchers.cells import Cell, command, unfinished
from mandseg.runs.launchers.slurm_job import Job
from mandseg.runs.launchers.slurm_queue import JOBS, live_jobs, queued_runs
from mandseg.system.errors import UserError
from mandseg.system.files import write_csv
from mandseg.system.wording import count, typed

LARGEST_ARRAY = 1000  # SLURM's default for the largest array
QUEUE_POLL_S = 5.0
ADVICE = "correct the settings of the site (partition, account, GPUs, memory), and start the command again"
GRIDS = ("BasicSweeper", "CheckedGrid")  # other sweepers choose the next cells from earlier results


@dataclass(frozen=True)
class SlurmSettings:
    """The settings of conf/hydra/launcher/slurm.yaml; the names are submitit's."""

    wait: bool
    partition: str | None
    account: str | None
    qos: str | None
    constraint: str | None
    timeout_min: int
    requeues: int
    signal_delay_s: int
    tasks_per_node: int | None
    gpus_per_node: int | None
    cpus_per_task: int
    mem_gb: float | None
    array_parallelism: int
    setup: Sequence[str] = ()
    additional_parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Resources:
    """The resources of one run: processes on its node, one per device, and GPUs."""

    tasks: int
    gpus: int


def launch(cells: Sequence[Cell], settings: SlurmSettings, config: DictConfig) -> list[float | None]:
    """Submit the cells that are neither done nor queued; wait for all of them with ``wait``.

    Returns:
        The last validation Dice of each cell; None if it has none yet.

    Raises:
        UserError: This machine has no SLURM, SLURM refuses the jobs, or the resources do not fit the training.
    """
    if not (settings.wait or config.hydra.sweeper._target_.endswith(GRIDS)):
        raise UserError(
            f"hydra/sweeper={config.hydra.runtime.choices['hydra/sweeper']}: needs hydra.launcher.wait=true"
        )
    needed = [resources(cell.cfg.trainer, settings) for cell in cells]
    refuse_without_slurm()
    queued = {study / run: job for study in {cell.study for cell in cells} for run, job in queued_runs(study).items()}
    open_runs = {cell.folder for cell in unfinished(cells)} - set(queued)
    todo = [(c, r) for c, r in zip(cells, needed, strict=True) if c.folder in open_runs]
    jobs: list[str] = []
    for wanted in dict.fromkeys(r for _, r in todo):
        same_needs = [cell for cell, r in todo if r == wanted]
        for start in range(0, len(same_needs), LARGEST_ARRAY):
            jobs += submit(same_needs[start : start + LARGEST_ARRAY], wanted, settings, config)
    _print_submission(cells, jobs, queued)
    if settings.wait:
        wait_for([*jobs, *(queued[c.folder].job for c in cells if c.folder in queued)])
    return [RunFolder(cell.folder).validation_dice() for cell in cells]


def resources(trainer: DictConfig, settings: SlurmSettings) -> Resources:
    """Processes and GPUs of one run.

    Raises:
        UserError: The number of devices is not given, or differs from the number of tasks.
    """
    devices = trainer.devices
    if not isinstance(devices, int) or devices < 1:
        raise UserError(f"trainer.devices={devices}: a SLURM job needs the number, e.g. trainer.devices=2")
    tasks = settings.tasks_per_node or devices
    if tasks != devices:
        raise UserError(
            f"trainer.devices={devices} and hydra.launcher.tasks_per_node={tasks}: a run has one task for each device"
        )
    gpus = devices if trainer.accelerator == "gpu" else 0
    return Resources(tasks, gpus if settings.gpus_per_node is None else settings.gpus_per_node)


def refuse_without_slurm() -> None:
    """Refuse a machine that cannot submit a job, and name what is missing.

    Raises:
        UserError: SLURM's commands or the package submitit are missing.
    """
    for program in ("sbatch", "srun"):
        if shutil.which(program) is None:
            raise UserError(
                f"hydra/launcher=slurm: no {program} on this machine; on one machine use hydra/launcher=local"
            )
    try:
        import submitit  # noqa: F401
    except ImportError as error:
        raise UserError(
            "hydra/launcher=slurm: the package submitit is missing: pip install 'mandseg[slurm]'"
        ) from error


def submit(cells: Sequence[Cell], needed: Resources, settings: SlurmSettings, config: DictConfig) -> list[str]:
    """Submit cells with the same needs as one job array; logs and job ids go to <study>/slurm/<time>/.

    Returns:
        The job ids, e.g. ``12_0``.

    Raises:
        UserError: SLURM refuses them.
    """
    from submitit import SlurmExecutor
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    folder = cells[0].study / "slurm" / f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    executor = SlurmExecutor(folder.resolve(), max_num_timeout=settings.requeues)
    executor.update_parameters(**parameters(needed, settings))
    try:
        with contextlib.redirect_stderr(io.StringIO()), executor.batch():  # submitit repeats what sbatch prints
            jobs = [
                executor.submit(Job(command(config, c), c.folder.resolve(), settings.signal_delay_s)) for c in cells
            ]
    except (FailedJobError, FailedSubmissionError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # it holds earlier submissions
            folder.parent.rmdir()
        raise UserError(f"SLURM refuses the jobs: {_reason(error)}; {ADVICE}") from error
    ids = [str(job.job_id) for job in jobs]
    write_csv(folder / JOBS, ("run", "job"), zip((cell.run for cell in cells), ids, strict=True))
    return ids


def parameters(needed: Resources, settings: SlurmSettings) -> dict[str, Any]:
    """The options of sbatch and srun, by submitit's names."""
    options: dict[str, Any] = {
        "job_name": "mandseg",
        "time": settings.timeout_min,
        "nodes": 1,
        "ntasks_per_node": needed.tasks,
        "gpus_per_node": needed.gpus or None,
        "cpus_per_task": settings.cpus_per_task,
        "mem": None if settings.mem_gb is None else f"{round(settings.mem_gb * 1024)}M",
        "setup": list(settings.setup) or None,
        "stderr_to_stdout": True,
        # SLURM 22.05 and later give srun one core per task by default. A rank that fails ends its job. A site's
        # WaitTime must not end the first rank during its evaluation.
        "srun_args": [f"--cpus-per-task={settings.cpus_per_task}", "--kill-on-bad-exit=1", "--wait=0"],
        "additional_parameters": {"requeue": True, **settings.additional_parameters},
    }
    same = ("partition", "account", "qos", "constraint", "signal_delay_s", "array_parallelism")
    options |= {name: getattr(settings, name) for name in same}
    return {name: value for name, value in options.items() if value is not None}


def wait_for(jobs: Sequence[str]) -> None:
    """Return when no job is in the queue any more; if the controller does not answer, the query is repeated."""
    while (live := live_jobs()) is None or set(jobs) & set(live):
        time.sleep(QUEUE_POLL_S)


def _print_submission(cells: Sequence[Cell], jobs: Sequence[str], queued: Container[Path]) -> None:
    waiting = sum(cell.folder in queued for cell in cells)
    arrays = dict.fromkeys(job.partition("_")[0] for job in jobs)
    ids = f", job {', '.join(arrays)}" if jobs else ""
    print(
        f"{count(len(jobs), 'job')} submitted{ids}; queued already: {waiting}, done: {len(cells) - len(jobs) - waiting}"
    )
    for study in dict.fromkeys(cell.study for cell in cells):
        print(f"next: mandseg status {typed(study)}")


def _reason(error: Exception) -> str:
    """The errors that sbatch printed, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if "error:" in line]
    return "; ".join(line.partition("error:")[2].strip() for line in lines) or " ".join(str(error).split())
