"""The training of one run: the Lightning trainer with its checkpoints, the resume, and the weights to evaluate."""

import ctypes
import logging
import platform
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from hydra.utils import instantiate
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import Logger

from mandseg.data import PatchDataModule
from mandseg.errors import UserError
from mandseg.segmenter import Segmenter

LAST, BEST = "last.ckpt", "best.ckpt"
HUSHED = (
    "`isinstance\\(treespec, LeafSpec\\)` is deprecated",  # Lightning 2.6 with torch 2.13
    "The number of training batches .* is smaller than the logging interval",
    "The '(train|val)_dataloader' does not have many workers",  # on a CPU more of them take the cores of the training
    "The `srun` command is available on your system but is not used",
    "Checkpoint directory .* exists and is not empty",  # a resumed run
)


def fit(
    segmenter: Segmenter,
    data: PatchDataModule,
    trainer_settings: Mapping[str, Any],
    precision: str,
    checkpoints: Path,
    loggers: Sequence[Logger],
    callbacks: Sequence[Callback] = (),
) -> L.Trainer:
    """Train to the run's last step, from its last checkpoint if it has one.

    Args:
        segmenter: The module; it knows its number of steps.
        data: Patches and validation volumes.
        trainer_settings: What conf/trainer says.
        precision: Lightning's name of the arithmetic.
        checkpoints: The folder of last.ckpt (after every validation) and best.ckpt (highest validation Dice).
        loggers: Where the learning curve goes.
        callbacks: Further callbacks.

    Raises:
        UserError: The fit ended before its last step, by a signal.
    """
    trainer: L.Trainer = instantiate({**trainer_settings, "precision": precision, "_partial_": True})(
        max_steps=segmenter.steps,
        max_epochs=segmenter.steps // data.steps_per_epoch + 1,  # for the progress bar; the steps are what ends it
        num_sanity_val_steps=0,
        log_every_n_steps=min(10, segmenter.steps),
        use_distributed_sampler=False,
        enable_model_summary=False,
        logger=list(loggers),
        callbacks=[*checkpoint_callbacks(checkpoints), LearningRateMonitor("step"), *callbacks],
        default_root_dir=checkpoints.parent,
    )
    last = checkpoints / LAST
    trainer.fit(segmenter, data, ckpt_path=last if last.exists() else None, weights_only=True)
    if trainer.global_step < segmenter.steps:
        raise InterruptedError(f"the training ended at step {trainer.global_step} of {segmenter.steps}")
    return trainer


def checkpoint_callbacks(folder: Path) -> list[Callback]:
    """Two files: the last validation's weights, to resume from, and those with the highest validation Dice."""
    common: dict[str, Any] = {"dirpath": folder, "save_top_k": 1, "enable_version_counter": False}
    return [
        ModelCheckpoint(**common, filename="best", monitor="val_dice", mode="max", save_weights_only=True),
        # when its validation is over: resumed from the epoch's end, Lightning 2.6 counts an empty epoch more
        ModelCheckpoint(**common, filename="last", monitor=None, every_n_epochs=1, save_on_train_epoch_end=False),
    ]


def load_weights(segmenter: Segmenter, file: Path) -> None:
    """Put a checkpoint's weights into a segmenter; tensors only, no code is run.

    Raises:
        UserError: The checkpoint is another network's.
    """
    checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    try:
        segmenter.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as error:
        raise UserError(f"{file}: a checkpoint of another network ({str(error).splitlines()[0]})") from error


def steps_per_epoch(steps: int, validations: int) -> int:
    """Steps between two validations.

    Raises:
        UserError: The validations do not divide the steps.
    """
    if steps < 1 or validations < 1 or steps % validations:
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
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in HUSHED:
        warnings.filterwarnings("ignore", message=message)
