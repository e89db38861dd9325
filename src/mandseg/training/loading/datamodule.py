"""The loaders of a training: patches by step, and whole volumes for validation."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from mandseg.data.cache import PreparedCase
from mandseg.data.preprocessing import HuWindow
from mandseg.system.errors import UserError
from mandseg.training.loading.background import MOST_THREADS, BackgroundLoader, free_cores
from mandseg.training.loading.patches import PatchDataset, _one_thread


class ValidationDataset(Dataset[dict[str, Any]]):
    """Whole preprocessed volumes with their reference label, for validation during training."""

    def __init__(self, cases: Sequence[PreparedCase], window: HuWindow) -> None:
        self.cases = list(cases)
        self.window = window

    def __len__(self) -> int:
        """The number of cases."""
        return len(self.cases)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return image and reference, each (1, X, Y, Z) float32, and the case's number; beyond the cases the number."""
        if index >= len(self.cases):
            return {"case": index}
        case = self.cases[index]
        if case.reference is None:
            raise UserError(f"case {case.case.case_id}: validation needs a reference label, and it has none")
        image = self.window(np.asarray(case.image))[None]
        return {"image": image, "label": torch.from_numpy(np.array(case.reference, np.float32))[None], "case": index}


class StepSampler(Sampler[list[int]]):
    """Batches of consecutive patch indices, from the current step of the training to the end of its epoch.

    The step is the only state. A resumed run therefore continues with the patches of an undisturbed run. With several
    processes, each process takes its positions of every batch, so the global batch stays the same.

    Args:
        batch_size: Patches in a step, over all processes.
        steps_per_epoch: Steps until the next validation.
        first_step: Returns the current step of the training.
        rank: This process.
        world_size: The number of processes.
        steps_before: Steps of the run before this stage; the patches continue from there.
    """

    def __init__(
        self,
        batch_size: int,
        steps_per_epoch: int,
        first_step: Callable[[], int],
        rank: int = 0,
        world_size: int = 1,
        steps_before: int = 0,
    ) -> None:
        if batch_size % world_size:
            raise UserError(f"batch_size={batch_size} cannot be divided evenly among {world_size} processes")
        self.batch_size, self.steps_per_epoch, self.first_step = batch_size, steps_per_epoch, first_step
        self.rank, self.world_size, self.steps_before = rank, world_size, steps_before

    def __len__(self) -> int:
        """Steps in an epoch."""
        return self.steps_per_epoch

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the patch indices of each step that belong to this process."""
        first = self.first_step()
        for step in range(first, (first // self.steps_per_epoch + 1) * self.steps_per_epoch):
            patch = (self.steps_before + step) * self.batch_size
            yield list(range(patch + self.rank, patch + self.batch_size, self.world_size))


class PatchDataModule(L.LightningDataModule):
    """Training patches and validation volumes of one stage.

    Args:
        training: The patch data set.
        validation: The validation volumes, scored against the reference.
        batch_size: Patches in a step, over all processes.
        steps_per_epoch: Steps between two validations.
        num_workers: Loader processes; 0 loads in the training itself; ``auto`` beside it where cores are free.
        steps_before: Steps of the run before this stage.
    """

    def __init__(
        self,
        training: PatchDataset,
        validation: ValidationDataset,
        batch_size: int,
        steps_per_epoch: int,
        num_workers: int | Literal["auto"] = 0,
        steps_before: int = 0,
    ) -> None:
        super().__init__()
        self.training, self.validation = training, validation
        self.batch_size, self.steps_per_epoch, self.num_workers = batch_size, steps_per_epoch, num_workers
        self.steps_before = steps_before

    def train_dataloader(self) -> DataLoader[dict[str, torch.Tensor]] | BackgroundLoader[dict[str, torch.Tensor]]:
        """The patches; the same whoever loads them."""
        trainer = self.trainer
        if trainer is None:
            raise RuntimeError("the loader follows the trainer's step: attach the data module to a trainer first")
        place = trainer.global_rank, trainer.world_size
        step = lambda: trainer.global_step  # noqa: E731
        sampler = StepSampler(self.batch_size, self.steps_per_epoch, step, *place, self.steps_before)
        device = trainer.strategy.root_device.type
        workers, threads = self._processes_and_threads(device == "cpu", trainer.world_size // trainer.num_nodes)
        if threads:
            return BackgroundLoader(self._batch(device == "cuda"), sampler, len(sampler), threads)
        return DataLoader(
            self.training,
            batch_sampler=sampler,
            num_workers=workers,
            persistent_workers=workers > 0,
            worker_init_fn=_one_thread if workers else None,
            pin_memory=device == "cuda",
        )

    def _processes_and_threads(self, on_cpu: bool, processes: int) -> tuple[int, int]:
        """What loads beside the training; transforms that draw from torch's own random stream need a process."""
        if self.num_workers != "auto":
            return self.num_workers, 0
        free = free_cores(on_cpu, processes)
        return (0, min(free, MOST_THREADS)) if self.training.runs_in_a_thread else (min(free, 1), 0)

    def _batch(self, pinned: bool) -> Callable[[list[int]], dict[str, torch.Tensor]]:
        """Makes the batch of some indices; ``pinned``: in memory that a GPU reads from directly."""

        def make(indices: list[int]) -> dict[str, torch.Tensor]:
            batch = default_collate([self.training[k] for k in indices])
            return {name: tensor.pin_memory() if pinned else tensor for name, tensor in batch.items()}

        return make

    def val_dataloader(self) -> DataLoader[dict[str, Any]]:
        """The validation volumes, one at a time, each in one process only."""
        trainer = self.trainer
        rank, size = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        return DataLoader(self.validation, batch_size=1, sampler=shared_out(len(self.validation), rank, size))


def shared_out(n: int, rank: int, size: int) -> range:
    """The indices that a process takes of ``n`` items, equally many for each process; indices above have no item.

    With equal numbers the processes call collective operations equally often.
    """
    return range(rank, -(-n // size) * size, size)
