"""Training patches as a pure function of (seed, step, position in the batch), and the LightningDataModule of a run."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from mandseg.data.cache import PreparedCase
from mandseg.data.preprocessing import AIR_HU, Hu
from mandseg.noise.label_plan import NoisePlan
from mandseg.system.errors import UserError

Augmentation = Callable[[Any], Any]  # a TorchIO transform: Subject -> Subject


@dataclass(frozen=True)
class HuWindow:
    """The HU range that the network sees, scaled to [-1, 1]."""

    low: float
    high: float

    def __call__(self, hu: Hu) -> torch.Tensor:
        """Scale (X, Y, Z) HU to float32 in [-1, 1]; what lies outside the window is clipped."""
        scaled = (hu.astype(np.float32) - self.low) * (2 / (self.high - self.low)) - 1
        return torch.from_numpy(np.clip(scaled, -1, 1, out=scaled))


class PatchDataset(Dataset[dict[str, torch.Tensor]]):
    """Patches by index: the k-th patch of a run depends on (seed, k) and the labels alone.

    Patch centres come from the noisy label where the case has one, whichever label it is trained on, so that two
    ratios see the same patches of the same cases and differ in labels only.

    Args:
        cases: The prepared training cases.
        plan: Which of them carry the noisy label.
        seed: Seed of the case order, the centres and the augmentation.
        patch_size: Voxels, (X, Y, Z).
        foreground_share: Share of patches centred near the label; the others lie anywhere in the body crop.
        jitter_share: How far, as a share of the patch size, a foreground voxel may lie from the centre.
        window: HU to network input.
        augmentation: A TorchIO transform of the patch, or None.
    """

    def __init__(
        self,
        cases: Sequence[PreparedCase],
        plan: NoisePlan,
        seed: int,
        patch_size: Sequence[int],
        foreground_share: float,
        jitter_share: float,
        window: HuWindow,
        augmentation: Augmentation | None,
    ) -> None:
        self.cases = list(cases)
        self.plan = plan
        self.seed = seed
        self.patch_size = np.array(patch_size)
        self.foreground_share = foreground_share
        self.jitter_share = jitter_share
        self.window = window
        self.augmentation = augmentation
        self._centres: dict[int, npt.NDArray[np.int64]] = {}

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """Return image and label, each (1, X, Y, Z) float32, and the case's number."""
        number = case_at(index, len(self.cases), self.seed)
        rng = np.random.default_rng([self.seed, index])
        corner = self._corner(number, rng)
        case = self.cases[number]
        image = self.window(crop(case.image, corner, self.patch_size, AIR_HU))[None]
        label = torch.from_numpy(crop(self._label(case), corner, self.patch_size, 0).astype(np.float32))[None]
        if self.augmentation is not None:
            image, label = augment(image, label, self.augmentation, int(rng.integers(2**62)))
        return {"image": image, "label": label, "case": torch.tensor(number)}

    def _label(self, case: PreparedCase) -> npt.NDArray[np.uint8]:
        label = case.noisy if case.case.case_id in self.plan.noisy else case.reference
        if label is None:
            wanted = "noisy" if case.case.case_id in self.plan.noisy else "reference"
            raise UserError(f"case {case.case.case_id}: the noise plan asks for a {wanted} label, and it has none")
        return label

    def _corner(self, number: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """The patch's lowest voxel; it may lie outside the volume, which is then padded with air."""
        shape = np.array(self.cases[number].image.shape)
        foreground = self._foreground(number)
        wants_foreground = rng.uniform() < self.foreground_share  # drawn always: the stream stays aligned
        place, offset = rng.uniform(size=3), rng.uniform(-1, 1, size=3) * self.jitter_share * self.patch_size
        if wants_foreground and len(foreground):
            centre = np.unravel_index(foreground[int(place[0] * len(foreground))], shape)
            return np.asarray(np.rint(np.array(centre) + offset - self.patch_size / 2), dtype=np.int64)
        span = np.maximum(shape - self.patch_size, 0)
        centred = np.minimum(shape - self.patch_size, 0) // 2
        return np.asarray(np.rint(place * span) + centred, dtype=np.int64)

    def _foreground(self, number: int) -> npt.NDArray[np.int64]:
        if number not in self._centres:
            case = self.cases[number]
            label = case.noisy if case.noisy is not None else case.reference
            self._centres[number] = np.flatnonzero(label) if label is not None else np.empty(0, np.int64)
        return self._centres[number]


class ValidationDataset(Dataset[dict[str, Any]]):
    """Whole preprocessed volumes with their reference label, for validation during training."""

    def __init__(self, cases: Sequence[PreparedCase], window: HuWindow) -> None:
        self.cases = list(cases)
        self.window = window

    def __len__(self) -> int:
        """The number of cases."""
        return len(self.cases)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return image and reference, each (1, X, Y, Z) float32, and the case's number; beyond the cases nothing."""
        if index >= len(self.cases):
            return {"case": index}
        case = self.cases[index]
        if case.reference is None:
            raise UserError(f"case {case.case.case_id}: validation needs a reference label, and it has none")
        image = self.window(np.asarray(case.image))[None]
        return {"image": image, "label": torch.from_numpy(np.array(case.reference, np.float32))[None], "case": index}


class StepSampler(Sampler[list[int]]):
    """Batches of consecutive patch indices, from the step that the training stands at to the end of its epoch.

    The step is all the state there is, so a resumed run goes on with the patches it would have had. With several
    processes each takes its positions of every batch, so the global batch stays the same.

    Args:
        batch_size: Patches in a step, over all processes.
        steps_per_epoch: Steps until the next validation.
        first_step: Tells the step that the training stands at.
        rank: This process.
        world_size: The number of processes.
    """

    def __init__(
        self, batch_size: int, steps_per_epoch: int, first_step: Callable[[], int], rank: int = 0, world_size: int = 1
    ) -> None:
        if batch_size % world_size:
            raise UserError(f"batch_size={batch_size} cannot be shared out evenly among {world_size} processes")
        self.batch_size, self.steps_per_epoch, self.first_step = batch_size, steps_per_epoch, first_step
        self.rank, self.world_size = rank, world_size

    def __len__(self) -> int:
        """Steps in an epoch."""
        return self.steps_per_epoch

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the patch indices of each step that belong to this process."""
        first = self.first_step()
        for step in range(first, (first // self.steps_per_epoch + 1) * self.steps_per_epoch):
            yield list(range(step * self.batch_size + self.rank, (step + 1) * self.batch_size, self.world_size))


class PatchDataModule(L.LightningDataModule):
    """Training patches and validation volumes of one run.

    Args:
        training: The patch data set.
        validation: The validation volumes, scored against the reference.
        batch_size: Patches in a step, over all processes.
        steps_per_epoch: Steps between two validations.
        num_workers: Loader processes; 0 loads in the training process.
    """

    def __init__(
        self,
        training: PatchDataset,
        validation: ValidationDataset,
        batch_size: int,
        steps_per_epoch: int,
        num_workers: int = 0,
    ) -> None:
        super().__init__()
        self.training, self.validation = training, validation
        self.batch_size, self.steps_per_epoch, self.num_workers = batch_size, steps_per_epoch, num_workers

    def train_dataloader(self) -> DataLoader[dict[str, torch.Tensor]]:
        """The patches; the same ones whatever the number of workers."""
        trainer = self.trainer
        if trainer is None:
            raise RuntimeError("the loader follows the trainer's step: attach the data module to a trainer first")
        sampler = StepSampler(
            self.batch_size, self.steps_per_epoch, lambda: trainer.global_step, trainer.global_rank, trainer.world_size
        )
        return DataLoader(
            self.training,
            batch_sampler=sampler,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            worker_init_fn=_one_thread if self.num_workers else None,
        )

    def val_dataloader(self) -> DataLoader[dict[str, Any]]:
        """The validation volumes, one at a time, each in one process only."""
        trainer = self.trainer
        rank, size = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        return DataLoader(self.validation, batch_size=1, sampler=shared_out(len(self.validation), rank, size))


def shared_out(n: int, rank: int, size: int) -> range:
    """Which of ``n`` things a process takes; as many for each process, so some lie behind the end and are nothing.

    An equal number keeps the processes in step: whatever they do together, they do equally often.
    """
    return range(rank, -(-n // size) * size, size)


def case_at(index: int, n_cases: int, seed: int) -> int:
    """Which case the index-th patch is cut from: all cases once, in an order drawn anew for every pass."""
    return int(_pass_order(index // n_cases, n_cases, seed)[index % n_cases])


@lru_cache(maxsize=4)
def _pass_order(number: int, n_cases: int, seed: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng([seed, number, n_cases]).permutation(n_cases)


def crop(volume: npt.NDArray[Any], corner: npt.NDArray[np.int64], size: npt.NDArray[Any], fill: int) -> Any:
    """Cut a box out of a volume; what lies outside the volume is ``fill``.

    Args:
        volume: (X, Y, Z), possibly memory-mapped: only the box is read.
        corner: The box's lowest voxel, possibly negative.
        size: The box's size in voxels.
        fill: Value outside the volume.
    """
    low, high = np.maximum(corner, 0), np.minimum(corner + size, volume.shape)
    inside = tuple(slice(a, max(a, b)) for a, b in zip(low, high, strict=True))
    out = np.full(tuple(size), fill, dtype=volume.dtype)
    target = tuple(slice(a, a + s.stop - s.start) for a, s in zip(np.minimum(low - corner, size), inside, strict=True))
    out[target] = volume[inside]
    return out


def augment(
    image: torch.Tensor, label: torch.Tensor, transform: Augmentation, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Apply a TorchIO transform to a patch, (1, X, Y, Z) each, with a random stream of its own."""
    import torchio as tio

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        subject = transform(tio.Subject(image=tio.ScalarImage(tensor=image), label=tio.LabelMap(tensor=label)))
    return subject["image"].data.float(), subject["label"].data.float()


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)
