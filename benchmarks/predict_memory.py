"""Peak memory of `mandseg predict` on a CT of 512 x 512 x 700 voxels with 1 mm slices: below 4 GiB.

python benchmarks/predict_memory.py [SLICES]        as NIfTI and as DICOM; a few minutes on one core
"""

import resource
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fixtures"))

SIZE = 512
SPACING_MM = (0.9766, 0.9766, 1.0)
LIMIT_GIB = 4.0
CHILD = """
import resource, sys
from mandseg.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    print("exit code", end.code)
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def head(n_slices: int) -> np.ndarray:
    """Air, a cylinder of soft tissue and a bony arch; int16 HU."""
    x, y = np.ogrid[:SIZE, :SIZE]
    radius = np.hypot(x - 256, y - 256)
    plane = np.where(radius < 180, 40, -1000).astype(np.int16)
    plane[(radius > 60) & (radius < 66) & (y > 200)] = 900
    hu = np.repeat(plane[:, :, None], n_slices, axis=2)
    bone = hu[:, :, : n_slices // 3]
    bone[bone == 900] = 40
    return hu


def write_inputs(folder: Path, n_slices: int) -> tuple[Path, Path, Path]:
    """A network, a NIfTI file and a DICOM series; written by this process, whose memory does not count."""
    from bone_network import write_checkpoint
    from dicom_files import ct_slices, save
    from mandseg.data.volume import Volume, write_volume

    network = write_checkpoint(folder / "bone.ckpt")
    hu = head(n_slices)
    write_volume(folder / "head.nii.gz", Volume(hu, np.diag([*SPACING_MM, 1.0])))
    for number in range(0, n_slices, 50):
        part = ct_slices(
            hu[:, :, number : number + 50], spacing_mm=SPACING_MM, origin_mm=(0, 0, number * SPACING_MM[2])
        )
        save(part, folder / "series" / f"{number:03d}")
    return network, folder / "head.nii.gz", folder / "series"


def peak_gib(network: Path, image: Path, out: Path, *options: str) -> float:
    """Run the command in a process of its own."""
    command = [sys.executable, "-c", CHILD, "predict", network, image, "--out", out, "--device", "cpu", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout.strip().replace("\n", "; "), done.stderr.strip().splitlines()[-1:])
    return int(done.stdout.split()[-1]) * (1 if sys.platform == "darwin" else 1024) / 2**30


def main() -> None:
    """Print both peaks; fail above the limit."""
    n_slices = int(sys.argv[1]) if len(sys.argv) > 1 else 700
    with TemporaryDirectory() as folder:
        network, image, series = write_inputs(Path(folder), n_slices)
        peaks = {
            "NIfTI": peak_gib(network, image, Path(folder) / "of_nifti"),
            "DICOM": peak_gib(network, series, Path(folder) / "of_dicom", "--rtstruct"),
        }
    for name, peak in peaks.items():
        print(f"{name}: {SIZE} x {SIZE} x {n_slices}, peak {peak:.2f} GiB")
    print(f"this process (makes the files): {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    if max(peaks.values()) > LIMIT_GIB:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
