"""Training patches as a pure function of (seed, step, position in the batch)."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from mandseg.data.cache import PreparedCase
from mandseg.data.preprocessing import HuWindow, crop
from mandseg.data.volume import AIR_HU
from mandseg.noise.label_plan import LabelPlan
from mandseg.training.loading.affine import Voxels
from mandseg.training.loading.augmentation import Augmentation, Change

Transform = Callable[[Any], Any]  # a TorchIO transform: Subject -> Subject


class PatchDataset(Dataset[dict[str, torch.Tensor]]):
    """Patches by index: the k-th patch of a run depends on (seed, k) and the labels only.

    Patch centres come from the noisy label of a case if it has one, even if the case is trained on its reference.
    Two ratios therefore use the same patches of the same cases and differ in labels only.

    Args:
        cases: The prepared training cases.
        plan: The label of each case. Cases without one are not trained on; the numbers of the others do not change.
        seed: Seed of the case order, the centres and the augmentation.
        patch_size: Voxels, (X, Y, Z).
        foreground_share: Share of patches centred near the label; the others lie anywhere in the body crop.
        jitter_share: How far, as a share of the patch size, a foreground voxel may lie from the centre.
        window: HU to network input.
        augmentation: Draws the change of each patch; or a TorchIO transform of the patch; or None.

    The item of an index is the image, (1, X, Y, Z) in [-1, 1], the label, (1, X, Y, Z) of 0 and 1, both float32, the
    number of the case, () int64, and whether its label is trusted, () bool.
    """

    def __init__(
        self,
        cases: Sequence[PreparedCase],
        plan: LabelPlan,
        seed: int,
        patch_size: Sequence[int],
        foreground_share: float,
        jitter_share: float,
        window: HuWindow,
        augmentation: Augmentation | Transform | None,
    ) -> None:
        self.cases = list(cases)
        self.plan = plan
        self.trained = [n for n, prepared in enumerate(cases) if prepared.case.case_id in plan.labels]
        self.seed = seed
        self.patch_size = np.array(patch_size)
        self.foreground_share = foreground_share
        self.jitter_share = jitter_share
        self.window = window
        self.augmentation = augmentation
        self._centres: dict[int, npt.NDArray[np.integer]] = {}

    @property
    def runs_in_a_thread(self) -> bool:
        """Whether patches can be made while the training computes in the same process.

        TorchIO's transforms draw from torch's own random stream, as the training does.
        """
        return self.augmentation is None or isinstance(self.augmentation, Augmentation)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """Return image and label, each (1, X, Y, Z) float32, the case's number and whether its label is trusted."""
        number = self.trained[case_at(index, len(self.trained), self.seed)]
        rng = np.random.default_rng([self.seed, index])
        corner = self._corner(number, rng)
        case = self.cases[number]
        augmentation = self.augmentation
        change = augmentation.draw(rng) if isinstance(augmentation, Augmentation) else Change()
        image, label = self._cut(case, corner, change)
        if augmentation is not None and not isinstance(augmentation, Augmentation):
            image, label = transformed(image, label, augmentation, int(rng.integers(2**62)))
        trusted = torch.tensor(self.plan.labels[case.case.case_id].trusted)
        return {"image": image, "label": label, "case": torch.tensor(number), "trusted": trusted}

    def _cut(self, case: PreparedCase, corner: Voxels, change: Change) -> tuple[torch.Tensor, torch.Tensor]:
        """Image and label of a patch, (1, X, Y, Z) each, changed."""
        place = corner, self.patch_size, np.array(case.grid.spacing_mm)
        image = change.image(lambda low, size: self.window(crop(case.image, low, size, AIR_HU)), *place)
        return image[None], change.label(self.plan.label_of(case), *place)[None]

    def _corner(self, number: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """The patch's lowest voxel; it may lie outside the volume, which is then padded with air."""
        shape = np.array(self.cases[number].image.shape)
        foreground = self._foreground(number)
        wants_foreground = rng.uniform() < self.foreground_share  # drawn even if unused: later draws do not change
        place, offset = rng.uniform(size=3), rng.uniform(-1, 1, size=3) * self.jitter_share * self.patch_size
        if wants_foreground and len(foreground):
            centre = np.unravel_index(foreground[int(place[0] * len(foreground))], shape)
            return np.asarray(np.rint(np.array(centre) + offset - self.patch_size / 2), dtype=np.int64)
        span = np.maximum(shape - self.patch_size, 0)
        centred = np.minimum(shape - self.patch_size, 0) // 2
        return np.asarray(np.rint(place * span) + centred, dtype=np.int64)

    def _foreground(self, number: int) -> npt.NDArray[np.integer]:
        if number not in self._centres:
            case = self.cases[number]
            label = case.noisy if case.noisy is not None else case.reference
            places = np.flatnonzero(label) if label is not None else np.empty(0, np.int64)
            self._centres[number] = places.astype(np.int32 if case.image.size < 2**31 else np.int64)
        return self._centres[number]


def case_at(index: int, n_cases: int, seed: int) -> int:
    """The position of the case of the index-th patch. Each pass takes every case once, in a new random order.

    Args:
        index: Number of the patch in the run, from 0.
        n_cases: Cases that are trained on, 1 or more.
        seed: Seed of the orders.

    Returns:
        From 0 to below ``n_cases``.
    """
    return int(_pass_order(index // n_cases, n_cases, seed)[index % n_cases])


@lru_cache(maxsize=4)
def _pass_order(number: int, n_cases: int, seed: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng([seed, number, n_cases]).permutation(n_cases)


def transformed(
    image: torch.Tensor, label: torch.Tensor, transform: Transform, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Apply a TorchIO transform to image and label of a patch, with its own random stream.

    Args:
        image: (1, X, Y, Z), float32 in [-1, 1].
        label: (1, X, Y, Z), float32, 0 or 1.
        transform: Maps a Subject with ``image`` and ``label`` to one of the same shapes.
        seed: Seed of the stream; torch's own is not changed.

    Returns:
        Image and label, float32.
    """
    import torchio as tio

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        subject = transform(tio.Subject(image=tio.ScalarImage(tensor=image), label=tio.LabelMap(tensor=label)))
    return subject["image"].data.float(), subject["label"].data.float()


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)
