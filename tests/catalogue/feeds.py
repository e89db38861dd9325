"""Wrong files and words: functions that spoil a small cohort or a study in the current folder."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk
import torch

from mandseg.data.volume import Volume, write_volume

Feed = Callable[[], None]

HEADER = "case_id,subject_id,split,image,reference,noisy,annotator"
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
NRRD = (
    "NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 8 8 8\n"
    "space directions: (4,0,0) (0,4,0) (0,0,4)\nspace origin: (0,0,0)\nendian: little\nencoding: raw\n"
)
META = (
    "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nCompressedData = False\n"
    "TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\nElementSpacing = 4 4 4\nDimSize = 8 8 8\n"
    "ElementType = MET_SHORT\n"
)


def hu() -> np.ndarray:
    """Soft tissue with a block of bone; int16 HU, (8, 8, 8)."""
    array = np.full((8, 8, 8), 40, np.int16)
    array[2:6, 2:6, 2:6] = 1000
    return array


def write_cohort_of_one() -> None:
    """A cohort with the sound case a in train: i.nii.gz and r.nii.gz."""
    Path("c").mkdir()
    write_volume(Path("c/i.nii.gz"), Volume(hu(), AFFINE))
    write_volume(Path("c/r.nii.gz"), Volume(hu() > 500, AFFINE))
    Path("c/manifest.csv").write_text(f"{HEADER}\na,A,train,i.nii.gz,r.nii.gz,,\n")


# Images ---------------------------------------------------------------------------------------------------------------


def raw(name: str, content: bytes | str) -> Feed:
    """The image is a file with some content."""

    def feed() -> None:
        (Path("c") / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        _image_is(name)

    return feed


VOX_OFFSET, XYZT_UNITS, QFORM_CODE, SROW = 108, 123, 252, 280
"""Where fields of a NIfTI header begin, in bytes."""


def nifti(array: np.ndarray, affine: np.ndarray = AFFINE, at: int = QFORM_CODE, other: bytes = bytes(2)) -> Feed:
    """The image is a NIfTI file with an sform alone, which may be none, and with other bytes in its header."""

    def feed() -> None:
        whole = bytearray(nib.Nifti1Image(array, AFFINE).to_bytes())
        srow = affine[:3].astype("<f4").tobytes()
        for start, piece in ((QFORM_CODE, bytes(2)), (SROW, srow), (at, other)):
            whole[start : start + len(piece)] = piece
        raw("x.nii", bytes(whole))()

    return feed


def changed(name: str, change: Callable[[bytes], bytes]) -> Feed:
    """The bytes of a file of the cohort are changed."""

    def feed() -> None:
        path = Path("c") / name
        path.write_bytes(change(path.read_bytes()))

    return feed


def label(array: np.ndarray, affine: np.ndarray = AFFINE) -> Feed:
    """The reference is another array."""
    return lambda: write_volume(Path("c/r.nii.gz"), Volume(array, affine))


def packed_meta(size: int) -> Feed:
    """A packed MetaImage that ends after some bytes."""

    def feed() -> None:
        sitk.WriteImage(sitk.GetImageFromArray(hu()), "c/x.mha", True)
        whole = Path("c/x.mha").read_bytes()
        raw("x.mha", whole[:-size])()

    return feed


def rgb() -> None:
    """A colour image."""
    image = sitk.GetImageFromArray(np.zeros((8, 8, 8, 3), np.uint8), isVector=True)
    sitk.WriteImage(image, "c/x.nii")
    _image_is("x.nii")


def cifti() -> None:
    """A file of the CIFTI-2 format under the suffix of NIfTI."""
    axes = [nib.cifti2.ScalarAxis(["a"]), nib.cifti2.BrainModelAxis.from_mask(np.ones((2, 2, 2)), affine=AFFINE)]
    nib.save(nib.Cifti2Image(np.zeros((1, 8), np.float32), axes), Path("c/x.dscalar.nii"))
    _image_is("x.dscalar.nii")


def flipped(whole: bytes) -> bytes:
    """One bit in the voxels."""
    at = len(whole) - 20  # behind the header
    return whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :]


def packed_claim() -> Feed:
    """A packed NRRD of 300 bytes that claims 3 GB."""
    header = NRRD.replace("8 8 8", "1500 1000 1000").replace("raw", "gzip")
    return raw("x.nrrd", f"{header}\n".encode() + gzip.compress(bytes(100), mtime=0))


def odd(value: float) -> np.ndarray:
    """HU with one other value."""
    array = hu().astype(np.float32)
    array[0, 0, 0] = value
    return array


def folder_as_image() -> None:
    """The path of the image is a folder."""
    Path("c/x.nii.gz").mkdir()
    _image_is("x.nii.gz")


def _image_is(name: str) -> None:
    path = Path("c/manifest.csv")
    path.write_text(path.read_text().replace("i.nii.gz", name))


# Manifests ------------------------------------------------------------------------------------------------------------


def manifest(text: str | bytes) -> Feed:
    """The manifest is another file."""
    return lambda: raw_file("c/manifest.csv", text)


def row(**cells: str) -> Feed:
    """The row of case a has other cells."""
    whole = {"case_id": "a", "subject_id": "A", "split": "train", "image": "i.nii.gz", "reference": "r.nii.gz"} | cells
    cells_in_order = [whole.get(name, "") for name in HEADER.split(",")]
    return manifest(HEADER + "\n" + ",".join(cells_in_order) + "\n")


def rows(*lines: str) -> Feed:
    """The manifest has other rows."""
    return manifest("\n".join([HEADER, *lines]) + "\n")


def raw_file(path: str, content: str | bytes) -> None:
    """Write a file."""
    Path(path).write_bytes(content.encode() if isinstance(content, str) else content)


# Studies --------------------------------------------------------------------------------------------------------------


def of_run(name: str, change: Callable[[str], str | bytes]) -> Feed:
    """A file of the run ratio0-seed0 is changed."""

    def feed() -> None:
        path = Path("s/ratio0-seed0") / name
        raw_file(str(path), change(path.read_text()))

    return feed


def record(**keys: object) -> Feed:
    """Keys of run.json have other values."""
    return of_run("run.json", lambda text: json.dumps(json.loads(text) | keys))


def grid(change: Callable[[str], str | bytes]) -> Feed:
    """grid.csv is changed."""
    return lambda: raw_file("s/grid.csv", change(Path("s/grid.csv").read_text()))


def nothing() -> None:
    """Only the words of the command are wrong."""


def file_in_the_way() -> None:
    """A file stands where a folder is to be written."""
    raw_file("file", "mine\n")


def foreign_folder() -> None:
    """A folder with a file of the user's own stands where a folder is to be written."""
    Path("own").mkdir()
    raw_file("own/notes.txt", "mine\n")


# Checkpoints ----------------------------------------------------------------------------------------------------------


def checkpoint(content: object) -> Feed:
    """A checkpoint with some content."""
    return lambda: torch.save(content, "x.ckpt")


def many_masks() -> None:
    """A folder with masks of five cases that the cohort does not have."""
    Path("own").mkdir()
    for number in range(5):
        write_volume(Path(f"own/p{number}.nii.gz"), Volume((hu() > 500).astype(np.uint8), AFFINE))


def folder_of_study() -> None:
    """The folder of a study's report."""
    Path("s/report").mkdir()


def study_further_down() -> None:
    """A study in a folder of studies."""
    Path("outputs/demo").mkdir(parents=True)


def another_study() -> None:
    """A second study."""
    Path("t").mkdir()
    Path("t/grid.csv").write_text("run\n")
