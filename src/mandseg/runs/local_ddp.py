"""The processes of one run on several devices: started and watched here, or by SLURM or torchrun, one for each device.

On one machine each process of a run (a rank) is a child of the process that walks the grid, as with torchrun: a rank
that crashes ends its run and not the sweep, nothing of the process group is left for the next run, and a child knows
its own run only. No torch here: the ranks import it.
"""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from omegaconf import DictConfig, OmegaConf

from mandseg.runs.claim import Claim, read_record
from mandseg.system.errors import UserError
from mandseg.system.files import write_text
from mandseg.system.signals import TRY_AGAIN, Interruption

log = logging.getLogger(__name__)

POLL_S = 0.1
GRACE_S = 15.0  # for the others to notice that a rank is gone and say goodbye; those stuck in a collective are killed


class RankError(Exception):
    """A process of the run crashed."""


@dataclass(frozen=True)
class Place:
    """Where this process stands among those that something outside started for the same run."""

    rank: int
    size: int

    @property
    def launch(self) -> str:
        """A name of this start that all its processes know and no other start has."""
        keys = ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT", "TORCHELASTIC_RUN_ID", "MASTER_PORT")
        return "-".join(os.environ.get(key, "") for key in keys).replace("/", "_")


def place() -> Place:
    """What SLURM (inside srun), torchrun or ``start_ranks`` say; rank 0 of 1 if nobody says anything."""
    env = os.environ
    if "SLURM_STEP_ID" in env and "SLURM_PROCID" in env and env.get("SLURM_JOB_NAME") not in ("bash", "interactive"):
        return Place(int(env["SLURM_PROCID"]), int(env.get("SLURM_STEP_NUM_TASKS", env.get("SLURM_NTASKS", "1"))))
    if "LOCAL_RANK" in env:
        return Place(int(env.get("RANK", env["LOCAL_RANK"])), int(env.get("WORLD_SIZE", "1")))
    return Place(0, 1)


def processes_wanted(trainer: DictConfig) -> int:
    """How many processes a run's trainer asks for: devices times nodes.

    Raises:
        UserError: More than the machine has, or a strategy that starts processes of its own.
    """
    if any(word in str(trainer.strategy) for word in ("spawn", "fork", "notebook")):
        raise UserError(f"trainer.strategy={trainer.strategy}: starts processes of its own; use trainer.strategy=ddp")
    nodes = int(trainer.num_nodes) if "num_nodes" in trainer else 1
    devices = trainer.devices
    if OmegaConf.is_list(devices):
        return len(devices) * nodes
    if isinstance(devices, str) and "," in devices:
        return len([d for d in devices.split(",") if d.strip()]) * nodes
    if devices in ("auto", -1, "-1"):
        return _all_gpus(trainer) * nodes
    if not str(devices).isdecimal() or int(devices) < 1:
        raise UserError(f"trainer.devices={devices}: expected a number of devices, a list of them, or auto")
    return int(devices) * nodes


def refuse_wrong_number(cfg: DictConfig, wanted: int, here: Place) -> None:
    """Refuse to start where processes and devices do not match, which would wait for ever.

    Raises:
        UserError: Both numbers.
    """
    if here.size > 1 and here.size != wanted:
        raise UserError(
            f"trainer.devices={cfg.trainer.devices} asks for {wanted} processes, {here.size} tasks were started"
        )
    if here.size == 1 and wanted > 1 and "SLURM_STEP_ID" in os.environ:
        raise UserError(
            f"trainer.devices={cfg.trainer.devices} asks for {wanted} processes, SLURM started 1 task: "
            "ask for one task per device"
        )
    if cfg.batch_size % wanted:
        raise UserError(f"batch_size={cfg.batch_size} cannot be shared out evenly among {wanted} processes")
    kind = cfg.trainer.accelerator
    if kind in ("gpu", "cuda") and (wanted > 1 or not _gpus()) and _gpus() < wanted and "num_nodes" not in cfg.trainer:
        raise UserError(f"trainer.devices={cfg.trainer.devices} with trainer.accelerator={kind}: {_gpus()} GPUs found")


def start_ranks(cfg: DictConfig, claim: Claim, size: int, interruption: Interruption) -> None:
    """Run one condition in ``size`` processes of this machine and wait for their end.

    Raises:
        UserError: A rank found wrong input.
        RankError: A rank crashed, and why; the others are gone.
        Interrupted: A signal asked to stop; every rank got it and saved.
    """
    write_text(claim.folder / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
    claim.update()
    with TemporaryDirectory(prefix="mandseg-") as outcomes, interruption.waits():
        files = [Path(outcomes) / str(rank) for rank in range(size)]
        ranks = _spawn(claim.folder, files)
        try:
            failed = _watch(ranks, claim, interruption)
        finally:
            _end(ranks)
            claim.record = read_record(claim.folder)
        if failed is not None:
            raise _reason(failed, ranks, files)
        if any(rank.returncode == TRY_AGAIN for rank in ranks) and interruption.signum is None:
            interruption.signum = signal.SIGTERM  # somebody signalled a rank, not this process


def announce(folder: Path, launch: str, runs: bool) -> None:
    """Tell the other processes of a start from outside whether this run is run or left."""
    for old in folder.glob(".launch-*"):
        old.unlink(missing_ok=True)
    write_text(folder / f".launch-{launch}", "run" if runs else "leave")


def is_run(folder: Path, launch: str) -> bool:
    """What rank 0 announced; waits for it."""
    file = folder / f".launch-{launch}"
    while not file.exists():
        time.sleep(POLL_S)
    return file.read_text() == "run"


def end_with_parent() -> None:
    """End this process when the one that started it is gone: its standard input is a pipe that closes then."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def _spawn(folder: Path, outcomes: Sequence[Path]) -> list[subprocess.Popen[bytes]]:
    size = len(outcomes)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "WORLD_SIZE": str(size), "NODE_RANK": "0"}
    shared |= {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, cores // size)))}
    ranks = []
    for rank, outcome in enumerate(outcomes):
        ranks.append(
            subprocess.Popen(
                [sys.executable, "-m", "mandseg.runs.ddp_worker", str(folder), str(outcome)],
                env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdin=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C reaches this process alone, which passes it on once
            )
        )
    return ranks


def _watch(ranks: Sequence[subprocess.Popen[bytes]], claim: Claim, interruption: Interruption) -> int | None:
    """Wait until all ranks ended well (None) or one did not (its number); pass a signal on to each."""
    while True:
        codes = [rank.poll() for rank in ranks]
        if failed := [n for n, code in enumerate(codes) if code not in (None, 0, TRY_AGAIN)]:
            return failed[0]
        if None not in codes:
            return None
        claim.check()
        if interruption.save_wanted:
            for rank in ranks:
                rank.send_signal(interruption.signum or signal.SIGTERM)
            interruption.save_wanted = False
        time.sleep(POLL_S)


def _end(ranks: Sequence[subprocess.Popen[bytes]]) -> None:
    """Leave no rank behind."""
    until = time.monotonic() + GRACE_S
    while any(rank.poll() is None for rank in ranks) and time.monotonic() < until:
        time.sleep(POLL_S)
    for rank in ranks:
        if rank.poll() is None:
            rank.kill()
        rank.wait()
        if rank.stdin is not None:
            rank.stdin.close()


def _reason(first: int, ranks: Sequence[subprocess.Popen[bytes]], outcomes: Sequence[Path]) -> UserError | RankError:
    """Why the run ended: what the first rank to fail said; the others fail because it is gone."""
    written = [(file.stat().st_mtime_ns, rank, file) for rank, file in enumerate(outcomes) if file.exists()]
    told = [(rank, json.loads(file.read_text())) for _, rank, file in sorted(written)]
    for _, outcome in told:
        if outcome["wrong_input"]:
            return UserError(outcome["lines"])
    if outcomes[first].exists():
        rank, outcome = told[0]
        return RankError(f"rank {rank} of {len(ranks)}: {' | '.join(outcome['lines'])}")
    code = ranks[first].returncode
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return RankError(f"rank {first} of {len(ranks)} {how}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()


def _all_gpus(trainer: DictConfig) -> int:
    return max(1, _gpus()) if trainer.accelerator in ("auto", "gpu", "cuda") else 1
