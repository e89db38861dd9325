"""Descriptors do not grow with the cohort."""

import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mandseg.data.volume import read_volume

N_CASES, LIMIT = 60, 96  # two arrays a case and one noisy label: 180 maps, were all kept

READ_ALL = f"""
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({LIMIT}, {LIMIT}))
import sys
from pathlib import Path
from mandseg.data.manifest import Case
from mandseg.data.cache import PreparedCase
root = Path(sys.argv[1])
cases = [
    PreparedCase(Case(f"c{{k}}", "s", "train", root, root), "", root / str(k), root / str(k) / "noisy.npy")
    for k in range({N_CASES})
]
print(sum(int(c.image[0, 0, 0]) + int(c.reference[0, 0, 0]) + int(c.noisy[0, 0, 0]) for c in cases * 2))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit")
def test_a_cohort_of_any_size_is_read_within_the_limit_of_open_files(tmp_path: Path) -> None:
    for k in range(N_CASES):
        (tmp_path / str(k)).mkdir()
        np.save(tmp_path / str(k) / "image.npy", np.full((2, 2, 2), k, np.int16))
        for name in ("reference", "noisy"):
            np.save(tmp_path / str(k) / f"{name}.npy", np.ones((2, 2, 2), np.uint8))
    found = subprocess.run([sys.executable, "-c", READ_ALL, str(tmp_path)], capture_output=True, text=True, check=False)
    assert found.stdout == f"{2 * (N_CASES * (N_CASES - 1) // 2 + 2 * N_CASES)}\n", found.stderr


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_a_volume_in_memory_holds_no_file_open(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((3, 4, 5), np.int16), np.eye(4)), tmp_path / "a.nii")
    before = len(list(Path("/proc/self/fd").iterdir()))
    volumes = [read_volume(tmp_path / "a.nii") for _ in range(3)]
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert len(volumes) == 3
