"""Training patches a second: mandseg against TorchIO's Queue, MONAI and nnU-Net, each used as its documentation shows.

Run: python benchmarks/patches.py [--rounds 3] [--patches 64]

mandseg, TorchIO and MONAI augment alike (rotation up to 10 degrees with a change of size, p 0.5; left and right
exchanged, p 0.5; noise, p 0.3) and draw three of four patches near the structure. mandseg and MONAI draw the affine
change of each patch anew, TorchIO changes a whole volume and cuts eight patches from it. MONAI holds the scaled volumes
in memory (CacheDataset), TorchIO reads uncompressed NIfTI, mandseg maps its prepared arrays. ``bare crop`` is the
floor: cutting patches from a mapped array and scaling them, without augmentation. nnU-Net, where it is installed, has
its own augmentation (rotation up to 30 degrees and change of size, p 0.2 each; blur, contrast, lower resolution and
gamma; three mirrorings).

A turn first takes the batches that workers have waiting, then times the next ones.
"""

import argparse
import importlib.util
import itertools
import json
import tempfile
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

import nnunet_peer
from comparison import Row, Timing, in_turn, rate_row, show, timed
from mandseg.data.cache import PreparedCase
from mandseg.data.case import Case
from mandseg.data.preprocessing import HuWindow
from mandseg.noise.label_plan import plan_noise
from mandseg.training.libraries import tune_malloc
from mandseg.training.loading.augmentation import Augmentation
from mandseg.training.loading.datamodule import StepSampler
from mandseg.training.loading.patches import PatchDataset, _one_thread

HU = (-200, 1500)
NEAR, PER_VOLUME, BATCH = 0.75, 8, 2
DEFAULT = Augmentation(0.5, 10, 0.1, 0.5, 0.3, 0.05)


def write_volumes(folder: Path, shape: tuple[int, int, int], n: int) -> list[PreparedCase]:
    """Noisy tissue with a bony arch; arrays for mandseg, NIfTI for the others."""
    import nibabel as nib

    cases = []
    x, y, z = np.ogrid[: shape[0], : shape[1], : shape[2]]
    centre = np.array(shape) // 2
    radius = np.hypot(x - centre[0], y - centre[1])
    label = ((abs(radius - 25) < 3) & (y > centre[1] - 10) & (abs(z - centre[2]) < 8)).astype(np.uint8)
    for k in range(n):
        place = folder / f"{shape[0]}-{k}"
        place.mkdir()
        image = np.random.default_rng(k).normal(40, 60, shape).astype(np.int16) + 900 * label.astype(np.int16)
        np.save(place / "image.npy", image)
        np.save(place / "reference.npy", label)
        grid = {"shape": list(shape), "affine": np.diag([1.0, 1, 1, 1]).tolist()}
        (place / "grid.json").write_text(json.dumps({"grid": grid, "original": grid}))
        for name, array in (("image", image), ("label", label)):
            nib.save(nib.Nifti1Image(array, np.eye(4)), place / f"{name}.nii")
        cases.append(PreparedCase(Case(place.name, place.name, "train", None, place / "label.nii"), "", place, None))
    return cases


def own_batches(cases: list[PreparedCase], size: int, workers: int, augmentation: Augmentation | None) -> Iterator[Any]:
    """mandseg: each patch is cut from the mapped volume and changed."""
    plan = plan_noise({case.case.case_id: "" for case in cases}, 0.0, 0)
    data = PatchDataset(cases, plan, 0, (size,) * 3, NEAR, 0.25, HuWindow(*HU), augmentation)
    sampler = StepSampler(BATCH, 10**6, lambda: 0)
    return iter(DataLoader(data, batch_sampler=sampler, num_workers=workers, worker_init_fn=_one_thread))


def torchio_batches(cases: list[PreparedCase], size: int, workers: int) -> Iterator[Any]:
    """TorchIO: volumes are changed as a whole and queued; patches are taken from the queue."""
    import torchio as tio

    change = tio.Compose(
        [
            tio.Clamp(*HU),
            tio.RescaleIntensity((-1, 1), in_min_max=HU),
            tio.RandomAffine(scales=0.1, degrees=10, default_pad_value="minimum", p=0.5),
            tio.RandomFlip(axes=(0,), p=0.5),
            tio.RandomNoise(std=(0, 0.05), p=0.3),
        ]
    )
    files = [(case.folder / "image.nii", case.folder / "label.nii") for case in cases]
    subjects = [tio.Subject(image=tio.ScalarImage(i), label=tio.LabelMap(m)) for i, m in files]
    sampler = tio.LabelSampler(size, "label", {0: 1 - NEAR, 1: NEAR})
    queue = tio.Queue(
        tio.SubjectsDataset(subjects, transform=change), 2 * PER_VOLUME, PER_VOLUME, sampler, num_workers=workers
    )
    loader = tio.SubjectsLoader(queue, batch_size=BATCH, num_workers=0)
    return itertools.chain.from_iterable(itertools.repeat(loader))


def monai_batches(cases: list[PreparedCase], size: int, workers: int) -> Iterator[Any]:
    """MONAI: scaled volumes in memory; each patch is cut and then changed."""
    from monai import transforms as mt
    from monai.data import CacheDataset, list_data_collate

    keys, near = ["image", "label"], {"pos": NEAR, "neg": 1 - NEAR}
    change = mt.Compose(
        [
            mt.LoadImaged(keys),
            mt.EnsureChannelFirstd(keys),
            mt.ScaleIntensityRanged("image", *HU, -1, 1, clip=True),
            mt.RandCropByPosNegLabeld(keys, "label", (size,) * 3, **near, num_samples=PER_VOLUME),
            mt.RandAffined(
                keys, prob=0.5, rotate_range=[np.radians(10)] * 3, scale_range=[0.1] * 3, mode=("bilinear", "nearest"),
                padding_mode="border",
            ),
            mt.RandFlipd(keys, prob=0.5, spatial_axis=0),
            mt.RandGaussianNoised("image", prob=0.3, std=0.05),
        ]
    )  # fmt: skip
    files = [{"image": str(case.folder / "image.nii"), "label": str(case.folder / "label.nii")} for case in cases]
    data = CacheDataset(files, change, progress=False, num_workers=None)
    loader = DataLoader(data, batch_size=1, num_workers=workers, collate_fn=list_data_collate, shuffle=True,
                        worker_init_fn=_one_thread, persistent_workers=workers > 0)  # fmt: skip
    return itertools.chain.from_iterable(itertools.repeat(loader))


def measure(cases: list[PreparedCase], size: int, workers: int, rounds: int, patches: int) -> list[Row]:
    """One work: all competitors in turn."""
    shape = "x".join(map(str, cases[0].image.shape))
    ahead = 2 * workers  # batches, or volumes, that PyTorch's workers have waiting
    competitors = {  # batches, how many wait, how many make a turn
        "mandseg": (own_batches(cases, size, workers, DEFAULT), ahead, patches // BATCH),
        "bare crop": (own_batches(cases, size, workers, None), ahead, patches // BATCH),
        "TorchIO Queue": (torchio_batches(cases, size, workers), ahead * PER_VOLUME // BATCH, patches // BATCH),
        "MONAI": (monai_batches(cases, size, workers), ahead, patches // PER_VOLUME),
    }
    if importlib.util.find_spec("nnunetv2"):
        waiting = nnunet_peer.CACHED_BATCHES + ahead if workers else 0
        competitors["nnU-Net"] = nnunet_peer.batches(cases, size, BATCH, workers), waiting, patches // BATCH
    for batches, waiting, n in competitors.values():
        take(batches, waiting + n)  # to warm up
    timings = in_turn({name: partial(turn, *competitor) for name, competitor in competitors.items()}, rounds)
    work, own = f"{size}^3 on {shape}, {workers} workers", timings.pop("mandseg")
    return [rate_row(work, name, own, other, patches, patches) for name, other in timings.items()]


def turn(batches: Iterator[Any], waiting: int, n: int) -> Timing:
    """Take what waits, then time the next ``n`` batches."""
    take(batches, waiting)
    return timed(lambda: take(batches, n))


def take(batches: Iterator[Any], n: int) -> None:
    """Take ``n`` batches."""
    for _ in range(n):
        next(batches)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--patches", type=int, default=64, help="patches of a turn, a multiple of 16; large volumes: 16"
    )
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    tune_malloc()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for shape, n, workers_tried in (((128, 128, 128), 4, (0, 2)), ((500, 500, 128), 2, (0,))):
            cases = write_volumes(Path(name), shape, n)
            for workers, size in itertools.product(workers_tried, (64, 96)):
                patches = arguments.patches if shape[0] == 128 else 2 * PER_VOLUME
                rows += measure(cases, size, workers, arguments.rounds, patches)
    show("patches", rows)


if __name__ == "__main__":
    main()
