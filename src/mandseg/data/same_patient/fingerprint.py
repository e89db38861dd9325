"""The fingerprint of a case: its label and the CT around it on a coarse grid, and the shape that is searched for.

It does not depend on file names, compression, axis order, voxel size or on how far the image reaches.
"""

import io
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from mandseg.data.importers.hounsfield import HU_IF_BELOW
from mandseg.data.loaded_case import LoadedCase
from mandseg.data.resampling import box_on, crop_to, resample_onto
from mandseg.data.same_patient.tissue import MARGIN, Blocks, Floats, blocks_of
from mandseg.data.volume import AIR_HU, Geometry, Hu, Volume, rounded_hu, to_canonical
from mandseg.metrics.masks import bounding_box

STEP_MM = 3.0
SHAPE = (48, 40, 18)  # steps: 144 x 120 x 54 mm hold the part of a mandible that every annotator draws
FOOT = 0.01  # of the volume lies below the level that counts as the lower end
EDGE = 2.0  # steps; a shape is what remains after smoothing over this length is subtracted
MOST_FILLED = 0.8  # of its bounding box: a fuller label is a block, which has no shape to recognise

Occupancy = npt.NDArray[np.uint8]

FULL = 255
FINGERPRINT_FILE = "fingerprint-2.npz"  # in the cache; increase the number when fingerprints change


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What is kept of a case, on RAS+ axes, in steps of 3 mm."""

    label: Occupancy  # (X, Y, Z), in 255ths of a step that the label fills
    image: Hu | None  # (X + 20, Y + 20, Z + 20), air where the CT ends; None without a CT
    origin_mm: npt.NDArray[np.float64]  # (3,), where the first voxel of the label lies

    @cached_property
    def anchor(self) -> npt.NDArray[np.int64]:
        """The voxel of the label at which shapes are laid upon each other: centre of the lowest 54 mm, lower end."""
        below = np.cumsum(self.label.sum((0, 1), dtype=np.int64))
        foot = int(np.searchsorted(below, FOOT * below[-1]))
        part = self.label[:, :, foot : foot + SHAPE[2]]
        x, y, _ = ndimage.center_of_mass(part)
        return np.rint([x, y, foot]).astype(np.int64)

    @cached_property
    def shape(self) -> Floats:
        """The edges of the lowest 54 mm, (48, 40, 18); the mean square is 1."""
        out = np.zeros(SHAPE, np.float32)
        start = np.array([SHAPE[0] // 2, SHAPE[1] // 2, 1]) - self.anchor
        low, high = np.maximum(start, 0), np.minimum(start + self.label.shape, SHAPE)
        target = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        out[target] = self.label[tuple(slice(a - s, b - s) for a, b, s in zip(low, high, start, strict=True))]
        return normalised(out - ndimage.gaussian_filter(out, EDGE))

    @cached_property
    def coarse_shape(self) -> Floats:
        """The same in steps of 6 mm, (24, 20, 9)."""
        x, y, z = SHAPE
        return normalised(self.shape.reshape(x // 2, 2, y // 2, 2, z // 2, 2).mean((1, 3, 5)))

    @cached_property
    def blocks(self) -> Blocks | None:
        """The tissue of the CT around the label's lower part, in steps of 12 mm; None without a CT."""
        return None if self.image is None else blocks_of(self.image, self.anchor)


def as_bytes(known: Fingerprint | None) -> bytes:
    """Pack a fingerprint for a file; no bytes for a label without one."""
    stored = io.BytesIO()
    if known is not None:
        if known.image is None:
            np.savez(stored, label=known.label, origin_mm=known.origin_mm)
        else:
            np.savez(stored, label=known.label, origin_mm=known.origin_mm, image=known.image)
    return stored.getvalue()


def from_bytes(content: bytes) -> Fingerprint | None:
    """Unpack what ``as_bytes`` packed."""
    if not content:
        return None
    stored = np.load(io.BytesIO(content))
    return Fingerprint(stored["label"], stored.get("image"), stored["origin_mm"])


def fingerprint(label: Volume, image: Volume | None) -> Fingerprint | None:
    """Take the fingerprint of a case.

    Args:
        label: Its reference, or its noisy label.
        image: Its CT in HU, on the label's grid. Values that cannot be HU are not compared: stored values (HU + 1000)
            of two patients are alike everywhere.

    Returns:
        The fingerprint; None if the label is empty, thinner than a step, or a block.
    """
    volume = to_canonical(label)
    mask = volume.array != 0
    box = bounding_box(mask)
    if box is None or np.mean(mask[box]) > MOST_FILLED:
        return None
    grid = _grid_around(volume, box)
    coarse = np.rint(_resampled(Volume(mask, volume.affine), grid, 0.0) * FULL).astype(np.uint8)
    if 2 * int(coarse.max()) < FULL:
        return None
    if image is None or image.array.min() > HU_IF_BELOW:
        return Fingerprint(coarse, None, grid.affine[:3, 3])
    moved = grid.affine.copy()
    moved[:3, 3] -= MARGIN * STEP_MM
    around = Geometry(tuple(n + 2 * MARGIN for n in grid.shape), moved)
    hu = _resampled(to_canonical(image), around, AIR_HU)
    return Fingerprint(coarse, rounded_hu(hu), grid.affine[:3, 3])


def fingerprint_of(loaded: LoadedCase) -> Fingerprint | None:
    """Take the fingerprint of a case in memory, by its reference if it has one."""
    label = loaded.reference or loaded.noisy
    return None if label is None else fingerprint(label, loaded.image)


def normalised(values: Floats) -> Floats:
    """Scale an array so that the product of two is their correlation; zeros stay."""
    length = float(np.linalg.norm(values))
    return values / np.float32(length or 1.0)


def _grid_around(volume: Volume, box: tuple[slice, slice, slice]) -> Geometry:
    """Lay the grid around the eight corners of the label's box, centred; it does not depend on where the image begins.

    Returns:
        A grid in steps of 3 mm along the patient's axes, also where the axes of the image are oblique.
    """
    corners = np.array([[*corner, 1] for corner in product(*((s.start - 0.5, s.stop - 0.5) for s in box))])
    places = (volume.affine @ corners.T)[:3]
    low, high = places.min(axis=1), places.max(axis=1)
    extent = tuple(int(np.ceil(length / STEP_MM)) + 2 for length in high - low)
    affine = np.diag([STEP_MM, STEP_MM, STEP_MM, 1.0])
    affine[:3, 3] = (low + high) / 2 - STEP_MM * (np.array(extent) - 1) / 2
    return Geometry(extent, affine)


def _resampled(volume: Volume, grid: Geometry, fill: float) -> Floats:
    """Smooth what is finer than the grid, then interpolate; only the part under the grid is read."""
    edges = np.array(volume.geometry.spacing_mm)
    pad = np.ceil(2 * STEP_MM / edges).astype(int).tolist()
    box = tuple(slice(max(s.start - n, 0), s.stop + n) for s, n in zip(box_on(grid, volume.geometry), pad, strict=True))
    part = crop_to(volume, box)
    sigma = np.maximum(STEP_MM / edges / 2 - 0.3, 0)
    smooth = ndimage.gaussian_filter(part.array.astype(np.float32), sigma, mode="nearest")
    return resample_onto(Volume(smooth - np.float32(fill), part.affine), grid) + np.float32(fill)
