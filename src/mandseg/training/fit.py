"""The training of one run: the Lightning trainer with its checkpoints, the resume, and the weights to evaluate."""

import ctypes
import logging
import platform
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
from hydra.utils import instantiate
from lightning.pytorch.callbacks import Callback, LearningRateMonitor
from lightning.pytorch.loggers import Logger

from mandseg.system.distributed import process_settings
from mandseg.system.errors import UserError
from mandseg.training.checkpoint import LastCheckpoint, RunCheckpointIO, best_checkpoint, read_checkpoint
from mandseg.training.module import Segmenter
from mandseg.training.patches import PatchDataModule

HUSHED = (
    "`isinstance\\(treespec, LeafSpec\\)` is deprecated",  # Lightning 2.6 with torch 2.13
    "The number of training batches .* is smaller than the logging interval",
    "The '(train|val)_dataloader' does not have many workers",  # on a CPU more of them take the cores of the training
    "The `srun` command is available on your system but is not used",
    "Checkpoint directory .* exists and is not empty",  # a resumed run
    "You're resuming from a checkpoint that ended before the epoch ended",  # the sampler follows the step
    "Grad strides do not match bucket view strides",  # DDP and channels-last: of layers with one channel
    "It is recommended to use `self.log\\('val_dice', ..., sync_dist=True\\)`",  # every process has the whole mean
)


def fit(
    segmenter: Segmenter,
    data: PatchDataModule,
    trainer_settings: Mapping[str, Any],
    precision: str,
    size: int,
    checkpoints: RunCheckpointIO,
    last: LastCheckpoint,
    loggers: Sequence[Logger],
    callbacks: Sequence[Callback] = (),
) -> L.Trainer:
    """Train to the run's last step, from its last checkpoint if it has one.

    Args:
        segmenter: The module; it knows its number of steps.
        data: Patches and validation volumes.
        trainer_settings: What conf/trainer says.
        precision: Lightning's name of the arithmetic.
        size: Number of processes of the run.
        checkpoints: How checkpoints are written and read.
        last: Keeps last.ckpt; best.ckpt (highest validation Dice) comes beside it.
        loggers: Where the learning curve goes.
        callbacks: Further callbacks.

    Raises:
        UserError: The checkpoint belongs to another condition.
        Interrupted: A signal asked to stop; the checkpoint is written.
    """
    folder = last.file.parent
    settings = process_settings(trainer_settings, size)
    plugins = settings.pop("plugins")
    trainer: L.Trainer = instantiate({**settings, "precision": precision, "_partial_": True})(
        max_epochs=segmenter.steps // data.steps_per_epoch,
        num_sanity_val_steps=0,
        log_every_n_steps=min(10, segmenter.steps),
        use_distributed_sampler=False,
        enable_model_summary=False,
        logger=list(loggers),
        callbacks=[best_checkpoint(folder), last, LearningRateMonitor("step"), *callbacks],
        plugins=[checkpoints, *plugins],
        default_root_dir=folder.parent,
    )
    with last.interruption.waits():
        trainer.fit(segmenter, data, ckpt_path=last.file if last.file.exists() else None, weights_only=True)
    if trainer.global_step < segmenter.steps:
        raise RuntimeError(f"the training ended at step {trainer.global_step} of {segmenter.steps}")
    return trainer


def load_weights(segmenter: Segmenter, file: Path) -> None:
    """Put a checkpoint's weights into a segmenter; tensors only, no code is run.

    Raises:
        UserError: The checkpoint is another network's.
    """
    checkpoint = read_checkpoint(file)
    try:
        segmenter.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as error:
        raise UserError(f"{file}: a checkpoint of another network ({str(error).splitlines()[0]})") from error


def steps_per_epoch(steps: int, validations: int) -> int:
    """Steps between two validations.

    Raises:
        UserError: The validations do not divide the steps.
    """
    for name, value in (("steps", steps), ("validations", validations)):
        if not isinstance(value, int) or value < 1:
            raise UserError(f"{name}={value}: expected a whole number, 1 or more")
    if steps % validations:
        raise UserError(f"steps={steps} cannot be divided evenly by validations={validations}")
    return steps // validations


def tune_allocator() -> None:
    """Let glibc keep the large blocks that every step frees and asks for again: 15 to 40 % faster steps on a CPU."""
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # malloc.h
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, 2**31 - 1)
    mallopt(top_pad, 64 * 2**20)


def hush_libraries() -> None:
    """Keep advertisements, device listings and deprecations inside libraries out of a run's log."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in HUSHED:
        warnings.filterwarnings("ignore", message=message)
