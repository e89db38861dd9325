"""The training of one stage: the Lightning trainer with its checkpoints, the resume, and the weights to evaluate."""

import inspect
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, LearningRateMonitor
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import StrategyRegistry

from mandseg.system.errors import UserError, one_line
from mandseg.system.instantiation import make
from mandseg.system.wording import count, some_of
from mandseg.training.checkpoint import LastCheckpoint, RunCheckpointIO, best_checkpoint, read_checkpoint
from mandseg.training.finite_loss import refuse_broken_weights
from mandseg.training.loading.datamodule import PatchDataModule
from mandseg.training.methods.method import Method
from mandseg.training.module import Segmenter
from mandseg.training.precision import device_kind
from mandseg.training.progress_bar import StepBar
from mandseg.training.shared_batch_norm import SharedBatchNorm
from mandseg.training.stage_logger import StageLogger


def process_settings(trainer_settings: Mapping[str, Any], size: int) -> dict[str, Any]:
    """The trainer's settings for several processes: their environment, and the batch normalisation on a CPU.

    mandseg.system.signals handles the signals; Lightning does not requeue.
    """
    settings = dict(trainer_settings)
    plugins: list[Any] = list(settings.pop("plugins", None) or [])
    if size > 1 and not any(isinstance(plugin, ClusterEnvironment) for plugin in plugins):
        if SLURMEnvironment.detect() and "SLURM_STEP_ID" in os.environ:
            plugins.append(SLURMEnvironment(auto_requeue=False))
        elif "TORCHELASTIC_RUN_ID" not in os.environ:
            plugins.append(LightningEnvironment())
    if settings.get("sync_batchnorm") and device_kind(settings["accelerator"]) == "cpu":
        settings["sync_batchnorm"] = False
        plugins.append(SharedBatchNorm())
    return settings | {"plugins": plugins}


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
    """Train to the last step of a stage, from its last checkpoint if it has one.

    Args:
        segmenter: The module, with the stage's number of steps and its first step within the run.
        data: Patches and validation volumes.
        trainer_settings: The group conf/trainer and the trusted packages.
        precision: Lightning's name of the arithmetic.
        size: Number of processes of the run.
        checkpoints: How checkpoints are written and read.
        last: Writes last.ckpt; best.ckpt (highest validation Dice) lies beside it.
        loggers: Where the learning curve goes.
        callbacks: Further callbacks.

    Raises:
        UserError: The checkpoint belongs to another condition.
        Interrupted: A signal ended the training; the checkpoint is written.
    """
    folder = last.file.parent
    settings = process_settings(trainer_settings, size)
    plugins, trusted = settings.pop("plugins"), settings.pop("trusted_packages", ())
    bar = [StepBar()] if settings.get("enable_progress_bar", True) else []
    of_stage = [StageLogger(logger, segmenter.first_step) for logger in loggers]
    arguments: dict[str, Any] = {
        "max_epochs": segmenter.steps // data.steps_per_epoch,
        "num_sanity_val_steps": 0,
        "log_every_n_steps": min(10, segmenter.steps),
        "use_distributed_sampler": False,
        "enable_model_summary": False,
        "logger": of_stage if segmenter.first_step else list(loggers),
        "callbacks": [best_checkpoint(folder), last, LearningRateMonitor("step"), *bar, *callbacks],
        "plugins": [checkpoints, *plugins],
        "default_root_dir": folder.parent,
    }
    trainer = _make_trainer({**settings, "precision": precision}, trusted, arguments)
    with last.interruption.waits():
        trainer.fit(segmenter, data, ckpt_path=last.file if last.file.exists() else None, weights_only=True)
    if trainer.global_step < segmenter.steps:
        raise RuntimeError(f"the training ended at step {trainer.global_step} of {segmenter.steps}")
    return trainer


def _make_trainer(settings: Mapping[str, Any], trusted: Sequence[str], arguments: Mapping[str, Any]) -> L.Trainer:
    """Lightning's trainer; an argument that it refuses is a UserError."""
    make_trainer = make({**settings, "_partial_": True}, "trainer", trusted)
    try:
        trainer: L.Trainer = make_trainer(**arguments)
    except (TypeError, ValueError, MisconfigurationException) as error:
        raise UserError(f"trainer: {one_line(error)}") from error
    return trainer


def refuse_unknown(trainer: Mapping[str, Any]) -> None:
    """Refuse settings and strategies of conf/trainer that Lightning does not have.

    Raises:
        UserError: The first of them.
    """
    known, strategy = inspect.signature(L.Trainer.__init__).parameters, trainer["strategy"]
    strategies = ("auto", *StrategyRegistry.available_strategies())
    if isinstance(strategy, str) and strategy not in strategies:
        raise UserError(f"trainer.strategy={strategy}: expected one of {', '.join(strategies)}")
    for name, value in trainer.items():
        if name not in (*known, "_target_", "_convert_"):
            raise UserError(f"trainer.{name}={value}: Lightning's Trainer has no such argument")


def load_weights(method: Method, file: Path) -> None:
    """Put a checkpoint's weights into a method; tensors only, no code is run.

    Raises:
        UserError: The checkpoint cannot be read, or belongs to another network.
        DivergedError: A weight is not finite.
    """
    states = read_checkpoint(file).get("state_dict")
    if not isinstance(states, dict) or not all(
        isinstance(key, str) and isinstance(state, torch.Tensor) for key, state in states.items()
    ):
        raise UserError(f"{file}: holds no weights (state_dict), expected a checkpoint of a training")
    prefix = "method."
    try:
        method.load_state_dict(own := {key.removeprefix(prefix): state for key, state in states.items()})
    except RuntimeError as error:
        raise UserError(f"{file}: a checkpoint of another network ({_difference(method, own)})") from error
    refuse_broken_weights(method.state_dict(), f"checkpoint {file.name}")


def _difference(method: Method, found: Mapping[str, torch.Tensor]) -> str:
    """How many tensors of a method a checkpoint lacks or has in other shapes, and the first of them."""
    wanted = method.state_dict()
    others = [key for key, state in wanted.items() if key not in found or found[key].shape != state.shape]
    if not others:
        return f"it has {count(len(found.keys() - wanted.keys()), 'tensor')} more"
    shape, key = list(wanted[others[0]].shape), others[0]
    instead = list(found[key].shape) if key in found else "missing"
    differ = some_of(len(others), len(wanted), "tensor", "differ")
    return f"{differ}, e.g. {key} is {instead}, expected {shape}"
