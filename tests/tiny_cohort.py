"""A cohort of 24-voxel CTs for whole runs: four training cases, three to validate and three to test on, all alike."""

from pathlib import Path

import numpy as np

from mandseg.data.case import Case
from mandseg.data.manifest import Cohort, write_cohort
from mandseg.data.volume import Volume, write_volume

CASES = {"t0": "train", "t1": "train", "t2": "train", "t3": "train", "v": "val", "w": "val", "u": "val"}
TESTED = {"x": "test", "y": "test", "z": "test"}
SMALL = [
    "data=folder",
    "tracking=none",
    "trainer=cpu",
    "trainer.precision=32-true",
    "trainer.enable_progress_bar=false",
    "noise=recorded",
    "noise_ratio=0.5",
    "steps=12",
    "validations=3",
    "patches.patch_size=[16,16,16]",
    "model.network.channels=[4,8]",
    "model.network.strides=[2]",
    "preprocessing.spacing_mm=[4,4,4]",
    "study=s",
]


def write_tiny_cohort(root: Path) -> Cohort:
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    bone = np.zeros((24, 24, 24), bool)
    bone[8:17, 8:17, 8:17] = True
    cases = []
    for number, (case_id, split) in enumerate({**CASES, **TESTED}.items()):
        hu = np.where(bone, 1000, 40).astype(np.int16)
        hu[number : number + 3] = -1000  # every case a little different
        arrays = {"image": hu, "reference": bone} | ({"noisy": np.roll(bone, 1, 0)} if split == "train" else {})
        files = {name: root / f"{case_id}_{name}.nii.gz" for name in arrays}
        for name, array in arrays.items():
            write_volume(files[name], Volume(array, affine))
        cases.append(Case(case_id, case_id, split, files["image"], files["reference"], files.get("noisy")))
    return write_cohort(root, cases)


def words(cohort: Path, outputs: Path) -> list[str]:
    """The settings of a small run; the cache lies beside the outputs."""
    own = [f"data.manifest={cohort}/manifest.csv", f"cache_dir={outputs.parent}/cache", f"output_dir={outputs}"]
    return [*SMALL, *own]
