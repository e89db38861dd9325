"""Reads NIfTI headers by nibabel, and the voxels of .nii and .nii.gz to their end."""

from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.volumeutils import apply_read_scaling

from mandseg.data.formats.voxels import Voxels
from mandseg.system.errors import UserError

UNITS = {1: "metres", 3: "micrometres"}  # refused; code 2 is mm, and code 0 (unknown) is read as mm
LARGEST_OFFSET = 1 << 26  # bytes before the voxels; extensions of a header are far shorter
GZIP_MAGIC = b"\x1f\x8b"


def load_header(path: Path) -> nib.Nifti1Image:
    """Load the header of a file; its voxels are read by :func:`read_voxels`.

    Raises:
        UserError: It is no NIfTI file, or its unit is not mm.
    """
    try:
        image = nib.load(path, mmap=False)  # a memory map would keep the file open
    except Exception as error:  # zlib, gzip and struct raise many types on a broken header
        raise UserError(f"{path}: not a readable NIfTI file ({_fault(path, error)})") from error
    if not isinstance(image, nib.Nifti1Image):
        raise UserError(f"{path}: {type(image).__name__}, expected a NIfTI volume")
    if image.get_data_dtype().fields:
        raise UserError(f"{path}: colour image ({image.get_data_dtype()}), expected one number a voxel")
    if unit := UNITS.get(int(image.header["xyzt_units"]) & 7):
        edges = np.linalg.norm(np.asarray(image.affine, dtype=np.float64)[:3, :3], axis=0)
        sizes = " x ".join(f"{edge:.5g}" for edge in edges)
        raise UserError(f"{path}: the header's unit is {unit} (voxels of {sizes}), expected mm")
    return image


def _fault(path: Path, error: Exception) -> str:
    """Why a header cannot be read, in words that do not depend on nibabel's version."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if not path.exists():
        return "no such file"
    return "the file is empty" if not path.stat().st_size else "its header is damaged, cut off or of another format"


def read_voxels(path: Path, image: nib.Nifti1Image) -> npt.NDArray[np.generic]:
    """Read the voxels and apply the scaling of the header; without one they keep their type.

    Raises:
        ValueError: The file is shorter than its header claims, damaged, or claims more than a packed file may hold.
        OSError: It cannot be read.
    """
    stored, dtype = image.dataobj, image.get_data_dtype()
    offset = int(stored.offset)
    if not 0 <= offset <= LARGEST_OFFSET:
        raise ValueError(f"the voxels begin at byte {offset}, expected at most {LARGEST_OFFSET}")
    if dtype.kind not in "iuf":
        raise ValueError(f"voxels of type {dtype}, expected real numbers")
    with path.open("rb") as file:
        packed = file.read(2) == GZIP_MAGIC
    voxels = Voxels((path,), dtype, "deflate", skipped_bytes=offset) if packed else Voxels((path,), dtype, start=offset)
    return np.asarray(apply_read_scaling(voxels.read(tuple(image.shape)), stored.slope, stored.inter))
