"""Refines a shift by the CT of one case: where does the contour of the other case lie on bone?"""

from typing import Any, cast

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from mandseg.data.resampling import crop_to
from mandseg.data.same_patient.likeness import Shift
from mandseg.data.volume import AIR_HU, Volume
from mandseg.metrics.masks import bounding_box

RING_MM = (3.0, 6.0)  # distance from the contour at which the neighbourhood is looked at
LEAST_CONTRAST_HU = 250.0  # between bone and its neighbourhood; with less the structure is no bone
FARTHEST_MM = 5.0
STEPS_MM = (1.0, 0.5, 0.25)
MOST_POINTS = 20_000
BRIGHTEST_HU = 1500  # metal does not decide

Points = npt.NDArray[np.float64]  # (3, N), mm


def onto_bone(image: Volume, label: Volume, shift_mm: Shift) -> Shift:
    """Move a contour so that the mean HU inside it exceeds that around it by as much as possible.

    Args:
        image: A CT in HU.
        label: The contour of a bone, in the space of another data set.
        shift_mm: About what brings the contour onto the CT, on RAS+ axes.

    Returns:
        The refined shift; the given one if the contour does not lie on bone, or the best place is over 5 mm away.
    """
    inside, around = _points(label)
    start = shift_mm
    found = _contrast(image, inside, around, start)
    if found < LEAST_CONTRAST_HU:
        return start
    for step in STEPS_MM:
        improved = True
        while improved:
            improved = False
            for move in (*np.eye(3), *-np.eye(3)):
                value = _contrast(image, inside, around, shift_mm + step * move)
                if value > found + 0.1:
                    found, shift_mm, improved = value, shift_mm + step * move, True
    return shift_mm if np.linalg.norm(shift_mm - start) <= FARTHEST_MM else start


def _points(label: Volume) -> tuple[Points, Points]:
    """The voxel centres in a contour, and those 3 to 6 mm outside."""
    spacing = np.array(label.geometry.spacing_mm)
    box = bounding_box(label.array != 0)
    assert box is not None  # labels without a voxel have no fingerprint
    room = np.ceil(RING_MM[1] / spacing).astype(int) + 1
    window = tuple(slice(max(s.start - r, 0), s.stop + r) for s, r in zip(box, room.tolist(), strict=True))
    part = crop_to(label, window)
    distance = ndimage.distance_transform_edt(part.array == 0, sampling=spacing)
    chosen = distance == 0, (distance >= RING_MM[0]) & (distance <= RING_MM[1])
    inside, around = (_places(part, mask) for mask in chosen)
    return inside, around


def _places(part: Volume, mask: npt.NDArray[np.bool_]) -> Points:
    voxels = np.argwhere(mask)
    voxels = voxels[:: max(1, len(voxels) // MOST_POINTS)]
    return np.asarray(part.affine[:3, :3] @ voxels.T + part.affine[:3, 3:])


def _contrast(image: Volume, inside: Points, around: Points, shift_mm: Shift) -> float:
    """Mean HU inside minus mean HU around; blanked parts of the CT do not count."""
    to_voxel = np.linalg.inv(image.affine)
    array = cast("npt.NDArray[np.integer[Any]]", image.array)  # not copied: a CT has 100 MB and more
    means = []
    for points in (inside, around):
        places = to_voxel[:3, :3] @ (points + shift_mm[:, None]) + to_voxel[:3, 3:]
        hu = ndimage.map_coordinates(array, places, np.float32, order=1, cval=AIR_HU)
        shown = hu[hu > AIR_HU + 50]
        if len(shown) < len(hu) / 2:
            return -np.inf
        means.append(float(np.minimum(shown, BRIGHTEST_HU).mean()))
    return means[0] - means[1]
