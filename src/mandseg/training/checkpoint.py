"""Checkpoints: complete files that name their run, written at intervals, after validations and at a signal.

A resumed run continues at the same step, with the weights, moments and learning rate of an undisturbed run. The state
of Lightning's loops is written as a function of the step, because the state that Lightning 2.6 stores in the middle of
an epoch leads to other epochs after a resume (docs/resume.md).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from time import monotonic
from types import MappingProxyType
from typing import Any
from zipfile import ZIP_STORED, ZipFile, is_zipfile

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from mandseg.system.errors import UserError
from mandseg.system.files import atomic_write
from mandseg.system.signals import Interruption, reclaim_signals

LAST, BEST = "last.ckpt", "best.ckpt"
MARK = "mandseg_run"  # key in a checkpoint: the condition of its run

Loops = dict[str, Any]


class LastCheckpoint(Checkpoint):
    """Keep last.ckpt, from which a run is resumed: after each validation, every few minutes, and at a signal.

    It is written between two steps. Then the learning curve contains all values of the step before.

    Args:
        folder: The run's folder of checkpoints.
        steps_per_epoch: Steps between two validations.
        minutes: Time between two checkpoints: the largest loss of work if the process is killed.
        interruption: Whether a signal requires to save or to stop.
        check: Called before each write; raises if another process took the run.
    """

    def __init__(
        self,
        folder: Path,
        steps_per_epoch: int,
        minutes: float,
        interruption: Interruption,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.file, self.steps_per_epoch, self.minutes = folder / LAST, steps_per_epoch, minutes
        self.interruption, self.check = interruption, check
        self._saved_at = monotonic()
        self._validates = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock; replace Lightning's signal handlers, which stop without saving."""
        self._saved_at = monotonic()
        reclaim_signals(self.interruption)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Before a step."""
        self._save_if_due(trainer)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """From here to the end of the validation, a checkpoint records that the validation is due."""
        self._validates = True

    def on_validation_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Before a validation case."""
        self._save_if_due(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """After a validation, when best.ckpt is written already."""
        self._validates = False
        self._save(trainer)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Write the position of the loops."""
        loops = checkpoint["loops"]["fit_loop"]
        checkpoint["loops"]["fit_loop"] = loops_at(loops, trainer.global_step, self.steps_per_epoch, self._validates)

    def _save_if_due(self, trainer: L.Trainer) -> None:
        due = self.interruption.save_wanted or monotonic() - self._saved_at >= 60 * self.minutes
        if not trainer.strategy.reduce_boolean_decision(due, all=False):  # of any process, so that all do the same
            return
        self._save(trainer)
        self.interruption.save_wanted = False
        if stop := self._stop_asked(trainer):
            self.interruption.signum = self.interruption.signum or stop
            self.interruption.raise_if_asked()

    def _stop_asked(self, trainer: L.Trainer) -> int:
        """The signal by which any of the processes must stop, or 0."""
        signum = torch.tensor(self.interruption.signum or 0, device=trainer.strategy.root_device)
        return int(trainer.strategy.reduce(signum, reduce_op="max"))

    def _save(self, trainer: L.Trainer) -> None:
        self.check()
        trainer.save_checkpoint(self.file)
        self._saved_at = monotonic()


class RunCheckpointIO(TorchCheckpointIO):
    """Checkpoint files: they are written completely or not at all, name their run, and are read for that run only.

    Args:
        mark: The run's condition and cohort.
        extra: Further entries, plain values: what a prediction needs beside the weights.
    """

    def __init__(self, mark: Mapping[str, Any], extra: Mapping[str, Any] = MappingProxyType({})) -> None:
        self.mark, self.extra = dict(mark), dict(extra)

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write under another name, flush to disk, rename: the former file stays until the new one is complete."""
        with atomic_write(Path(path)) as file:
            torch.save({**checkpoint, **self.extra, MARK: self.mark}, file)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Read a checkpoint of this run; tensors and plain values only, no code is run.

        Raises:
            UserError: It cannot be read, or belongs to another run.
        """
        checkpoint = read_checkpoint(Path(path))
        refuse_another_run(Path(path), checkpoint.get(MARK), self.mark)
        refuse_incomplete(Path(path), checkpoint)
        return checkpoint


class BestCheckpoint(ModelCheckpoint):
    """Lightning's ModelCheckpoint whose state names files without their folder, which may name a person."""

    def state_dict(self) -> dict[str, Any]:
        """The state, with the names of files."""
        state: dict[str, Any] = _with_text(super().state_dict(), str(self.dirpath), ".")
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state for the folder where the run lies now."""
        super().load_state_dict(_with_text(state_dict, ".", str(self.dirpath)))


def _with_text(node: Any, folder: str, other: str) -> Any:
    """Nested groups in which paths in a folder are paths in another."""
    if isinstance(node, dict):
        return {_with_text(key, folder, other): _with_text(value, folder, other) for key, value in node.items()}
    if isinstance(node, str) and (node == folder or node.startswith(f"{folder}/")):
        return other + node[len(folder) :]
    return node


def best_checkpoint(folder: Path) -> ModelCheckpoint:
    """The callback that keeps best.ckpt, the weights with the highest validation Dice."""
    return BestCheckpoint(
        dirpath=folder,
        filename="best",
        monitor="val_dice",
        mode="max",
        save_top_k=1,
        save_weights_only=True,
        enable_version_counter=False,
        save_on_train_epoch_end=False,  # otherwise it is saved after last.ckpt, which then misses it
    )


def read_checkpoint(file: Path, advice: str = "remove it to train from the start") -> dict[str, Any]:
    """A checkpoint as a dict, on the CPU; tensors and plain values only, no code is run.

    Args:
        file: The checkpoint.
        advice: What to do if it cannot be read.

    Raises:
        UserError: It cannot be read.
    """
    if _is_packed(file):
        raise UserError(f"{file}: cannot be read as a checkpoint (it is packed, and torch packs nothing); {advice}")
    try:
        checkpoint: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises several kinds
        raise UserError(f"{file}: cannot be read as a checkpoint ({_fault(file, error)}); {advice}") from error
    if not isinstance(checkpoint, dict):
        raise UserError(f"{file}: holds a {type(checkpoint).__name__}, expected a checkpoint; {advice}")
    return checkpoint


def _is_packed(file: Path) -> bool:
    """Whether an entry of an archive is compressed: a file of a megabyte may unpack to any size."""
    try:
        with ZipFile(file) as archive:
            return any(entry.compress_type != ZIP_STORED for entry in archive.infolist())
    except Exception:  # zipfile raises many kinds for a file that is no sound archive; torch refuses it
        return False


def _fault(file: Path, error: Exception) -> str:
    """Why torch cannot read a file, in words that do not depend on its version."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if not is_zipfile(file):
        return "the file is cut off or of another format"
    if isinstance(error, UnpicklingError):
        return "it holds other objects than tensors and plain values"
    return "the file is damaged"


def refuse_another_run(file: Path, found: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> None:
    """Refuse a checkpoint that was written under another condition or on other images.

    Raises:
        UserError: The first thing that differs, with both values.
    """
    if not isinstance(found, Mapping):
        raise UserError(f"{file}: does not name its run; remove it to train from the start")
    for key, value in wanted.items():
        if isinstance(found.get(key), torch.Tensor) or found.get(key) != value:
            raise UserError(
                f"{file}: a checkpoint of another condition ({key} {found.get(key)}, this run has {value}); "
                "remove it to train from the start"
            )


STATE: dict[str, type] = {
    "state_dict": dict,
    "loops": dict,
    "callbacks": dict,
    "optimizer_states": list,
    "lr_schedulers": list,
    "epoch": int,
    "global_step": int,
    "pytorch-lightning_version": str,
}
"""What Lightning needs to continue a training, by the key in the checkpoint."""


def refuse_incomplete(file: Path, checkpoint: Mapping[str, Any]) -> None:
    """Refuse a checkpoint from which Lightning cannot continue: an entry is missing or has another type.

    Raises:
        UserError: The first such entry.
    """
    for key, kind in STATE.items():
        if not isinstance(checkpoint.get(key), kind) or (key == "loops" and not _are_counts(checkpoint[key])):
            raise UserError(f"{file}: {key} is missing or damaged; remove it to train from the start")


def _are_counts(node: Any) -> bool:
    """Whether the leaves of nested groups and lists are whole numbers, flags or null."""
    if isinstance(node, dict | list | tuple):
        return all(_are_counts(value) for value in (node.values() if isinstance(node, dict) else node))
    return node is None or (isinstance(node, int) and node >= 0)


def loops_at(loops: Mapping[str, Any], step: int, steps_per_epoch: int, validates: bool) -> Loops:
    """Lightning's state of the fit loop when ``step`` steps are done.

    Args:
        loops: The state as Lightning gives it; what follows from the step is replaced.
        step: Steps done.
        steps_per_epoch: Steps between two validations.
        validates: Whether the validation at this step is due.
    """
    epoch, batch = divmod(step, steps_per_epoch)
    if validates:
        epoch, batch = epoch - 1, steps_per_epoch
    begun = epoch + (batch > 0)
    return {
        **loops,
        # raised by one when the pending validation is over
        "epoch_loop.state_dict": {"_batches_that_stepped": step - validates},
        "epoch_loop.batch_progress": {**_progress(step, batch), "is_last_batch": batch == steps_per_epoch},
        "epoch_loop.val_loop.batch_progress": {**_progress(0, 0, int(validates)), "is_last_batch": False},
        "epoch_progress": _progress(epoch, epoch, begun - epoch),
    }


def _progress(total: int, current: int, begun: int = 0) -> dict[str, dict[str, int]]:
    """Lightning's counters of completed items; ``begun`` (0 or 1) more are started."""
    return {
        name: {"ready": n + begun, "started": n + begun, "processed": n, "completed": n}
        for name, n in (("total", total), ("current", current))
    }
