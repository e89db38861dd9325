"""Reads and writes image files: arrays with an affine from voxel indices to RAS+ millimetres."""

import gzip
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt

from mandseg.data.formats import metaimage, nrrd
from mandseg.data.formats.header import ImageHeader
from mandseg.data.formats.nifti import load_header, read_voxels
from mandseg.system.errors import UserError
from mandseg.system.files import atomic_write, is_file

NIFTI_SUFFIXES = (".nii", ".nii.gz")
NRRD_SUFFIXES = (".nrrd", ".nhdr")
META_SUFFIXES = (".mha", ".mhd")
SUFFIXES = NIFTI_SUFFIXES + NRRD_SUFFIXES + META_SUFFIXES

Array = npt.NDArray[np.generic]
Affine = npt.NDArray[np.float64]  # (4, 4)
Hu = npt.NDArray[np.int16]

AIR_HU = -1000
LOWEST_HU, HIGHEST_HU = -1024, 3071  # of a CT of 12 bits; lower values mark the outside of the field of view
LONGEST_SHOWN = 300  # characters of a path in a message

SPACING_TOLERANCE_MM = 1e-3  # the rounding error of float32 headers and of three decimals
DIRECTION_TOLERANCE = 1e-3  # of a unit vector: 0.06 degrees, a tenth of a voxel over 100 voxels
ORIGIN_TOLERANCE_VOXELS = 0.01
SHEAR_TOLERANCE_DEG = 0.1  # direction cosines of three decimals are off by up to 0.06
SAME_SIZE = 0.01  # relative difference of a voxel's edge between sform and qform, which round differently
VOXEL_EDGE_MM = (0.01, 50.0)  # from micro-CT to the coarsest scout; metres and micrometres read as mm are outside
NARROWER = {"bool": np.uint8, "int64": np.int32, "uint64": np.uint32, "float64": np.float32, "float16": np.float32}
"""Types that NIfTI readers do not support or that double the file size -> the type that is written instead."""


@dataclass(frozen=True)
class Geometry:
    """A voxel grid: its shape and its affine from voxel index to RAS+ mm."""

    shape: tuple[int, ...]
    affine: Affine

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Edge lengths of a voxel, in mm, along the array's axes."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def up(self) -> int:
        """The array's axis that runs along the patient's body, in either direction."""
        return int(np.argmax(np.abs(self.affine[2, :3] / self.spacing_mm)))

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel, in ml."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000

    @property
    def shear_deg(self) -> float:
        """The largest deviation of two axes from a right angle, in degrees, in [0, 90]."""
        i, j, k = (self.affine[:3, :3] / self.spacing_mm).T
        return float(np.degrees(np.arcsin(min(max(abs(i @ j), abs(i @ k), abs(j @ k)), 1.0))))

    @property
    def diagonal_mm(self) -> float:
        """Length of the grid's space diagonal, in mm: the largest distance of two points in it."""
        return float(np.linalg.norm(np.array(self.shape) * self.spacing_mm))

    def disagreement(self, other: "Geometry") -> str | None:
        """Describe the first difference to ``other`` with both values; None if the grids agree."""
        spacing, other_spacing = self.spacing_mm, other.spacing_mm
        if self.shape != other.shape:
            return f"shape {self.shape} differs from {other.shape}"
        if not np.allclose(spacing, other_spacing, rtol=0, atol=SPACING_TOLERANCE_MM):
            return f"spacing {show_mm(spacing)} differs from {show_mm(other_spacing)}"
        direction, other_direction = self.affine[:3, :3] / spacing, other.affine[:3, :3] / other_spacing
        if not np.allclose(direction, other_direction, rtol=0, atol=DIRECTION_TOLERANCE):
            return f"direction {_show(direction)} differs from {_show(other_direction)}"
        origin, other_origin = self.affine[:3, 3], other.affine[:3, 3]
        if not np.allclose(origin, other_origin, rtol=0, atol=ORIGIN_TOLERANCE_VOXELS * max(spacing)):
            return f"origin {show_mm(origin)} differs from {show_mm(other_origin)}"
        return None


@dataclass(frozen=True)
class Volume:
    """A 3D array on its grid."""

    array: Array  # (X, Y, Z)
    affine: Affine

    @property
    def geometry(self) -> Geometry:
        """The grid of the array."""
        return Geometry(self.array.shape, self.affine)


def rounded_hu(values: Array, lowest: int = AIR_HU) -> Hu:
    """Values as int16 HU, rounded and limited to the range from ``lowest`` to 3071, as scanners give them."""
    limited = np.clip(values, lowest, HIGHEST_HU)
    if limited.dtype.kind == "f":
        np.rint(limited, out=limited)
    return limited.astype(np.int16)


def show_mm(values: npt.ArrayLike) -> str:
    """Format numbers as a short tuple in mm, for messages."""
    return _show(values) + " mm"


def is_image_file(path: Path) -> bool:
    """Whether the file name has a suffix that ``read_volume`` reads."""
    return path.name.lower().endswith(SUFFIXES)


def is_nifti(path: Path) -> bool:
    """Whether an existing file is NIfTI, by its name; otherwise it is NRRD or MetaImage.

    Raises:
        UserError: The file is missing or of an unknown format.
    """
    if not is_file(path):
        raise UserError(f"{str(path)[:LONGEST_SHOWN]}: no such file")
    if not is_image_file(path):
        raise UserError(f"{path}: unknown image format, expected one of {', '.join(SUFFIXES)}")
    return path.name.lower().endswith(NIFTI_SUFFIXES)


def read_geometry(path: Path) -> Geometry:
    """Read the grid of a file from its header alone.

    Raises:
        UserError: The file is missing, unreadable, not 3D or of an unknown format.
    """
    return _nifti_geometry(path, load_header(path)) if is_nifti(path) else _checked_header(path)[0]


def read_volume(path: Path) -> Volume:
    """Read NIfTI, NRRD or MetaImage and apply the scaling of the header. Packed files are read to their checksum.

    Returns:
        The array in file order (X, Y, Z); it has the stored dtype if the header has no scaling.

    Raises:
        UserError: The file is missing, truncated, not 3D or of an unknown format.
    """
    return _read_nifti(path) if is_nifti(path) else _read_text_headed(path)


def has_stated_orientation(path: Path) -> bool:
    """Whether a NIfTI file states its orientation by an sform or a qform."""
    header = load_header(path).header
    return int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0


def write_volume(path: Path, volume: Volume) -> None:
    """Write a NIfTI file (.nii or .nii.gz) completely or not at all. Equal volumes give equal bytes."""
    if not path.name.endswith(NIFTI_SUFFIXES):
        raise UserError(f"{path}: volumes are written as {' or '.join(NIFTI_SUFFIXES)}")
    array = volume.array.astype(NARROWER.get(volume.array.dtype.name, volume.array.dtype), copy=False)
    image = nib.Nifti1Image(array, volume.affine)
    image.set_sform(volume.affine, code="scanner")
    image.set_qform(volume.affine, code="scanner")  # ITK and FSL prefer different forms
    image.header.set_xyzt_units("mm")
    with atomic_write(path) as file:
        if path.name.endswith(".gz"):
            with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=1, mtime=0) as packed:
                packed.write(image.to_bytes())
        else:
            file.write(image.to_bytes())


def to_canonical(volume: Volume) -> Volume:
    """Reorder and flip axes, without interpolation, to RAS+: x to the patient's right, y to anterior, z to superior."""
    orientation = nib.orientations.io_orientation(volume.affine)
    array = nib.orientations.apply_orientation(volume.array, orientation)
    affine = volume.affine @ nib.orientations.inv_ornt_aff(orientation, volume.array.shape)
    return Volume(np.asarray(array), np.asarray(affine, dtype=np.float64))


def canonical(geometry: Geometry) -> Geometry:
    """The grid that ``to_canonical`` brings a volume to."""
    return to_canonical(Volume(np.broadcast_to(np.float32(0), geometry.shape), geometry.affine)).geometry


def from_canonical(array: Array, original: Geometry) -> Array:
    """Undo ``to_canonical``: bring an array on RAS+ axes back to the axis order of ``original``."""
    to_ras = nib.orientations.io_orientation(original.affine)
    back = nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), to_ras)
    return np.asarray(nib.orientations.apply_orientation(array, back))


def _show(values: npt.ArrayLike) -> str:
    return "(" + ", ".join(f"{v:.5g}" for v in np.ravel(values)) + ")"


def _nifti_geometry(path: Path, image: nib.Nifti1Image) -> Geometry:
    geometry = _checked(path, tuple(image.shape), np.asarray(image.affine, dtype=np.float64))
    header, used = image.header, geometry.spacing_mm
    of_qform = np.abs(np.asarray(header["pixdim"][1:4], dtype=np.float64))
    both = int(header["sform_code"]) > 0 and int(header["qform_code"]) > 0
    if both and not np.allclose(of_qform, used, rtol=SAME_SIZE, atol=0):
        sizes = f"{show_mm(used)} by the sform and {show_mm(of_qform)} by the qform"
        raise UserError(f"{path}: a voxel has {sizes}, one of them is wrong; correct the header")
    return geometry


def _read_nifti(path: Path) -> Volume:
    image = load_header(path)
    geometry = _nifti_geometry(path, image)
    try:
        array = read_voxels(path, image)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read to its end, the file is damaged ({error})") from error
    return Volume(array.reshape(geometry.shape), geometry.affine)


def _checked(path: Path, shape: tuple[int, ...], affine: Affine) -> Geometry:
    """Refuse a grid that is not 3D, rectangular and in mm; trailing axes of length 1 are dropped."""
    if len(shape) < 3 or any(n != 1 for n in shape[3:]):
        raise UserError(f"{path}: shape {shape}, expected a 3D volume")
    if min(shape) < 1:
        raise UserError(f"{path}: shape {shape} holds no voxel")
    if not np.isfinite(affine).all() or not affine[:3, :3].any(axis=0).all():
        raise UserError(f"{path}: the header's affine {_show(affine[:3])} gives the voxels no position")
    geometry = Geometry(tuple(int(n) for n in shape[:3]), affine)
    low, high = VOXEL_EDGE_MM
    if not all(low <= edge <= high for edge in geometry.spacing_mm):
        raise UserError(f"{path}: voxels of {show_mm(geometry.spacing_mm)}, expected {low:g} to {high:g} mm an edge")
    if geometry.shear_deg > SHEAR_TOLERANCE_DEG:
        raise UserError(
            f"{path}: the axes deviate by {geometry.shear_deg:.3g} degrees from right angles (gantry tilt?), and "
            "distances would be wrong; resample image and labels first, e.g. with nibabel.processing.resample_to_output"
        )
    return geometry


def _checked_header(path: Path) -> tuple[Geometry, ImageHeader]:
    read_header = nrrd.read_header if path.suffix.lower() in NRRD_SUFFIXES else metaimage.read_header
    try:
        header = read_header(path)
    except (OSError, ValueError, OverflowError) as error:
        raise UserError(f"{path}: not a readable image ({error})") from error
    shape, components = header.shape, header.components
    if len(shape) != 3 or components != 1:
        raise UserError(f"{path}: shape {shape} with {components} numbers a voxel, expected a 3D volume with 1")
    if header.other_unit:
        raise UserError(f"{path}: the header's unit is {header.other_unit}, expected mm")
    return _checked(path, shape, header.affine), header


def _read_text_headed(path: Path) -> Volume:
    geometry, header = _checked_header(path)
    try:
        return Volume(header.voxels.read(geometry.shape), geometry.affine)
    except (OSError, ValueError, MemoryError) as error:
        raise UserError(f"{path}: cannot be read to its end, the file is damaged ({error})") from error
