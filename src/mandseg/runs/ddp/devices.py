"""The processes of one run: their number, and the rank of this process."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from mandseg.runs.ddp.local import RANK_POLL_S
from mandseg.runs.folder import LAUNCH, RunFolder
from mandseg.system.errors import UserError
from mandseg.system.files import write_text
from mandseg.system.wording import count


@dataclass(frozen=True)
class ProcessRank:
    """The rank of this process among those that SLURM or torchrun started for the same run."""

    rank: int
    size: int

    @property
    def launch(self) -> str:
        """A name of this start: the same in all its processes, and different in every other start."""
        keys = ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT", "TORCHELASTIC_RUN_ID", "MASTER_PORT")
        return "-".join(os.environ.get(key, "") for key in keys).replace("/", "_")


def process_rank() -> ProcessRank:
    """The rank from the variables that srun, torchrun or ``start_ranks`` set; rank 0 of 1 without them."""
    env = os.environ
    if "SLURM_STEP_ID" in env and "SLURM_PROCID" in env and env.get("SLURM_JOB_NAME") not in ("bash", "interactive"):
        return ProcessRank(int(env["SLURM_PROCID"]), int(env.get("SLURM_STEP_NUM_TASKS", env.get("SLURM_NTASKS", "1"))))
    if "LOCAL_RANK" in env:
        return ProcessRank(int(env.get("RANK", env["LOCAL_RANK"])), int(env.get("WORLD_SIZE", "1")))
    return ProcessRank(0, 1)


def processes_wanted(trainer: DictConfig) -> int:
    """The number of processes that a run's trainer needs: devices times nodes.

    Raises:
        UserError: The number is unclear, or the strategy starts its own processes.
    """
    if any(word in str(trainer.strategy) for word in ("spawn", "fork", "notebook")):
        raise UserError(f"trainer.strategy={trainer.strategy}: starts its own processes; use trainer.strategy=ddp")
    nodes = int(trainer.num_nodes) if "num_nodes" in trainer else 1
    devices = trainer.devices
    if OmegaConf.is_list(devices):
        return len(devices) * nodes
    if isinstance(devices, str) and "," in devices:
        return len([d for d in devices.split(",") if d.strip()]) * nodes
    if devices in ("auto", -1, "-1"):
        return (max(1, _gpus()) if trainer.accelerator in ("auto", "gpu", "cuda") else 1) * nodes
    if not str(devices).isdecimal() or int(devices) < 1:
        raise UserError(f"trainer.devices={devices}: expected a number of devices, a list of them, or auto")
    return int(devices) * nodes


def refuse_wrong_number(cfg: DictConfig, wanted: int, process: ProcessRank) -> None:
    """Refuse to start if processes and devices do not match; the processes would wait for ever.

    Raises:
        UserError: One line with both numbers.
    """
    if process.size > 1 and process.size != wanted:
        raise UserError(
            f"trainer.devices={cfg.trainer.devices} needs {wanted} processes, {process.size} tasks were started"
        )
    if process.size == 1 and wanted > 1 and "SLURM_STEP_ID" in os.environ:
        raise UserError(
            f"trainer.devices={cfg.trainer.devices} needs {wanted} processes, SLURM started 1 task: "
            "request one task per device"
        )
    if cfg.batch_size % wanted:
        raise UserError(f"batch_size={cfg.batch_size} cannot be divided evenly among {wanted} processes")
    refuse_missing_gpus(cfg.trainer)


def refuse_missing_gpus(trainer: DictConfig) -> None:
    """Refuse to train on more GPUs than this machine has.

    Raises:
        UserError: One line with both numbers.
    """
    kind = trainer.accelerator
    if kind in ("gpu", "cuda") and "num_nodes" not in trainer and _gpus() < processes_wanted(trainer):
        raise UserError(
            f"trainer.devices={trainer.devices} with trainer.accelerator={kind}: {count(_gpus(), 'GPU')} found; "
            "trainer=auto takes what is there"
        )


def announce(folder: Path, launch: str, runs: bool) -> None:
    """Announce to the other processes of this start whether they run."""
    for old in folder.glob(f"{LAUNCH}*"):
        old.unlink(missing_ok=True)
    write_text(RunFolder(folder).launch_file(launch), "run" if runs else "leave")


def is_run(folder: Path, launch: str) -> bool:
    """Wait for the announcement of rank 0 and return it."""
    file = RunFolder(folder).launch_file(launch)
    while not file.exists():
        time.sleep(RANK_POLL_S)
    return file.read_text() == "run"


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()
