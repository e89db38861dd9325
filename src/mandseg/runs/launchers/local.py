"""Runs a grid's cells at the same time on one machine: each in its own process, with its share of GPUs and cores."""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from omegaconf import DictConfig

from mandseg.runs.folder import RunFolder
from mandseg.runs.launchers.cells import Cell, command, unfinished
from mandseg.runs.progress import duration
from mandseg.system.cores import usable_cores
from mandseg.system.errors import UserError
from mandseg.system.wording import count

CORES_OF_A_JOB = 2  # without a GPU
CELL_POLL_S = 0.2


@dataclass(frozen=True)
class LocalSettings:
    """The settings of conf/hydra/launcher/local.yaml."""

    jobs: int | None
    threads: int | None

    def __post_init__(self) -> None:
        for name in ("jobs", "threads"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise UserError(f"hydra.launcher.{name}={value}: expected a whole number, 1 or more")


def launch(cells: Sequence[Cell], settings: LocalSettings, config: DictConfig) -> list[float | None]:
    """Run the cells that are not done, several at the same time. A failure is printed; the other runs continue.

    Returns:
        The last validation Dice of each cell; None if it has none.

    Raises:
        UserError: A cell needs more GPUs than there are.
    """
    todo = unfinished(cells)
    gpus = visible_gpus() if any(cell.cfg.trainer.accelerator != "cpu" for cell in todo) else []
    shares = share_out(max((devices_of(c, gpus) for c in todo), default=1), gpus, settings)
    print(f"{count(len(todo), 'run')}, {len(shares)} at a time; done already: {len(cells) - len(todo)}", flush=True)
    with stopped_by_sigterm():
        run_all(todo, [command(config, cell) for cell in todo], shares)
    return [RunFolder(cell.folder).validation_dice() for cell in cells]


def devices_of(cell: Cell, gpus: Sequence[str]) -> int:
    """Processes of one run.

    Raises:
        UserError: It needs more GPUs than there are.
    """
    devices = cell.cfg.trainer.devices
    wanted = devices if isinstance(devices, int) and devices > 0 else max(len(gpus), 1)
    if gpus and wanted > len(gpus):
        raise UserError(f"trainer.devices={wanted}: this machine has {count(len(gpus), 'GPU')} ({', '.join(gpus)})")
    return wanted


def share_out(devices: int, gpus: Sequence[str], settings: LocalSettings) -> list[dict[str, str]]:
    """The environment of each slot. A slot runs one cell after the other.

    Args:
        devices: Processes of one cell.
        gpus: GPUs by their names in CUDA_VISIBLE_DEVICES; if there are too few for the slots, slots share GPUs in turn.
        settings: Number of slots and threads, if set.
    """
    cores = usable_cores()
    jobs = settings.jobs or max(len(gpus) // devices if gpus else cores // (CORES_OF_A_JOB * devices), 1)
    threads = str(settings.threads or os.environ.get("OMP_NUM_THREADS") or max(cores // (jobs * devices), 1))
    shares = []
    for job in range(jobs):
        own = [gpus[(job * devices + k) % len(gpus)] for k in range(devices)] if gpus else []
        shares.append({"OMP_NUM_THREADS": threads} | ({"CUDA_VISIBLE_DEVICES": ",".join(own)} if own else {}))
    return shares


def visible_gpus() -> list[str]:
    """The GPUs in CUDA_VISIBLE_DEVICES, or all of this machine by nvidia-smi, which is faster than torch."""
    if (named := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [gpu for gpu in named.split(",") if gpu]
    query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True, timeout=30).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return []


def run_all(cells: Sequence[Cell], commands: Sequence[Sequence[str]], shares: Sequence[Mapping[str, str]]) -> None:
    """Run every cell in the first free slot. At a signal to stop, let the running cells save their state."""
    waiting = deque(zip(cells, commands, strict=True))
    free, running, began = list(shares), list[Running](), time.monotonic()
    try:
        while waiting or running:
            while waiting and free:
                running.append(start(*waiting.popleft(), free.pop(0)))
            time.sleep(CELL_POLL_S)
            for ended in [r for r in running if r.process.poll() is not None]:
                running.remove(ended)
                free.append(ended.share)
                ended_runs = len(cells) - len(waiting) - len(running)
                left_s = (time.monotonic() - began) / ended_runs * (len(cells) - ended_runs)
                more = f"; about {duration(left_s)} left" if left_s else ""
                print(f"[{ended_runs}/{len(cells)}] {ended}{more}", flush=True)
    finally:
        for left in running:
            left.process.send_signal(signal.SIGINT)  # not SIGTERM, which means save and continue inside a SLURM job
        for left in running:
            left.process.wait()


@dataclass(frozen=True)
class Running:
    """A cell's process, the environment of its slot, and its start time."""

    cell: Cell
    process: "subprocess.Popen[bytes]"
    share: Mapping[str, str]
    began: float

    def __str__(self) -> str:
        code = self.process.returncode
        how = "ended well" if code == 0 else f"exit code {code}, see {RunFolder(self.cell.folder).console_file}"
        return f"{self.cell.run}: {how}, {time.monotonic() - self.began:.0f} s"


def start(cell: Cell, words: Sequence[str], share: Mapping[str, str]) -> Running:
    """Start a cell's process; its output is appended to console.log in its run folder."""
    cell.folder.mkdir(parents=True, exist_ok=True)
    with RunFolder(cell.folder).console_file.open("ab") as console:
        process = subprocess.Popen(
            words,
            env={**os.environ, **share},
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches only the launch, which sends it to the cells once
        )
    return Running(cell, process, share, time.monotonic())


@contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """Let SIGTERM raise SystemExit while the block runs, as Ctrl-C raises KeyboardInterrupt."""
    former = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
