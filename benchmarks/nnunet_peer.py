"""nnU-Net v2 as a peer of the benchmarks: its preprocessor, its training loader and its prediction.

It is timed where it can be imported (``make bench`` installs nnunetv2==2.8.1 into an environment of its own). All
settings are those of its default planner and trainer for CT, but for the spacing and the patch size, which are ours.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.networks.nets import UNet

from mandseg.data.cache import PreparedCase
from mandseg.data.case import Case

for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
    os.environ.setdefault(variable, os.devnull)  # it warns of each that is not set

NAMES = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "mandible": 1}, "file_ending": ".nii.gz"}
INTENSITIES = {"mean": 300.0, "std": 400.0, "percentile_00_5": -200.0, "percentile_99_5": 1500.0}
ROTATION = (-np.pi / 6, np.pi / 6)  # of its trainer, for patches of nearly equal edges
FOREGROUND_SHARE = 0.33  # patches that must hold foreground, of its trainer
CACHED_BATCHES = 6  # that its worker processes hold ready


def plans(spacing_mm: Sequence[float], patch: Sequence[int]) -> Any:
    """The manager of the plans that its planner writes for CT, at our spacing and patch size (voxels)."""
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    resampling = {"order_z": 0, "force_separate_z": None}
    configuration = {
        "data_identifier": "one",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(patch),
        "spacing": list(spacing_mm),
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "architecture": {"network_class_name": "none is made", "arch_kwargs": {}, "_kw_requires_import": []},
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, **resampling},
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, **resampling},
    }
    return PlansManager(
        {
            "dataset_name": "one",
            "plans_name": "plans",
            "transpose_forward": [0, 1, 2],
            "image_reader_writer": "SimpleITKIO",
            "foreground_intensity_properties_per_channel": {"0": INTENSITIES},
            "configurations": {"3d_fullres": configuration},
        }
    )


def preparation(spacing_mm: Sequence[float]) -> Callable[[Case, Path], None]:
    """Its preprocessor: files of a case to its training files in a folder."""
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor

    manager = plans(spacing_mm, (64, 64, 64))
    settings = manager, manager.get_configuration("3d_fullres"), NAMES
    preprocessor = DefaultPreprocessor(verbose=False)

    def prepare(case: Case, folder: Path) -> None:
        preprocessor.run_case_save(str(folder / "case"), [str(case.image)], str(case.reference), *settings)

    return prepare


def batches(cases: Sequence[PreparedCase], size: int, batch: int, workers: int) -> Iterator[Any]:
    """Its training loader with the augmentation of its trainer: batches of patches of ``size`` voxels an edge."""
    from batchgenerators.dataloading.nondet_multi_threaded_augmenter import NonDetMultiThreadedAugmenter
    from batchgenerators.dataloading.single_threaded_augmenter import SingleThreadedAugmenter
    from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size
    from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
    from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    patch = (size,) * 3
    folder = cases[0].folder.parent / f"nnunet-{cases[0].folder.name}"
    if not folder.is_dir():
        folder.mkdir()
        for case in cases:
            _save(folder / case.folder.name, case, patch)
    manager = plans((1, 1, 1), patch)
    change = nnUNetTrainer.get_training_transforms(patch, ROTATION, None, (0, 1, 2), False, [False])
    loader = nnUNetDataLoader(
        nnUNetDatasetBlosc2(str(folder)),
        batch,
        get_patch_size(patch, *[ROTATION] * 3, (0.85, 1.25)),
        patch,
        manager.get_label_manager(NAMES),
        oversample_foreground_percent=FOREGROUND_SHARE,
        transforms=change,
    )
    if workers:
        return iter(NonDetMultiThreadedAugmenter(loader, None, workers, CACHED_BATCHES, None, False, wait_time=0.002))
    return iter(SingleThreadedAugmenter(loader, None))


def _save(file: Path, case: PreparedCase, patch: Sequence[int]) -> None:
    from nnunetv2.training.dataloading.nnunet_dataset import comp_blosc2_params, nnUNetDatasetBlosc2

    image = np.load(case.folder / "image.npy").astype(np.float32)[None]
    label = np.load(case.folder / "reference.npy").astype(np.int16)[None]
    scaled = (np.clip(image, -200, 1500) - INTENSITIES["mean"]) / INTENSITIES["std"]
    properties = {"class_locations": {1: np.argwhere(label)}}
    blocks, chunks = comp_blosc2_params(image.shape, tuple(patch))
    nnUNetDatasetBlosc2.save_case(scaled, label, properties, str(file), chunks, blocks)


def prediction(image: torch.Tensor, patch: Sequence[int]) -> np.ndarray:
    """Its sliding window with overlap 0.5 and without mirroring, with the network of conf/model/unet.yaml.

    Args:
        image: Scaled values, shape (1, x, y, z), float32.
        patch: Of the window, in voxels.

    Returns:
        The mask, shape (x, y, z), bool.
    """
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    torch.manual_seed(0)
    network = UNet(3, 1, 2, (16, 32, 64, 128), (2, 2, 2), num_res_units=2, norm="BATCH").eval()  # it has two classes
    manager = plans((1, 1, 1), patch)
    predictor = nnUNetPredictor(use_mirroring=False, device=torch.device("cpu"), allow_tqdm=False)
    settings = manager.get_configuration("3d_fullres"), [network.state_dict()], NAMES, "nnUNetTrainer", None
    predictor.manual_initialization(network, manager, *settings)
    with torch.inference_mode():
        return predictor.predict_sliding_window_return_logits(image).argmax(0).numpy() == 1
