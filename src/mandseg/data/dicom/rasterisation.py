"""Converts contours to a mask on the grid of the CT: a voxel is inside if its centre is, by the even-odd rule.

Points are not rounded to pixels: readers that round them thicken an arch of 3 mm by 39 %. Contours of one plane are
combined by exclusive or, so that a hole may be a separate contour or be joined to the outline by a keyhole.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mandseg.data.dicom.series import Points, Series
from mandseg.data.dicom.structures import CLOSED, Contour, Roi
from mandseg.metrics.masks import Mask
from mandseg.system.errors import UserError
from mandseg.system.wording import count, verb

FLAT = 0.1  # of the slice spacing: largest height difference of the points of a contour
SAME_PLANE = 0.1  # of the slice spacing: largest distance of contours in one plane, and of a plane to its slice
OUTSIDE_VOXELS = 1.0  # largest distance of a contour beyond the edge of the image


@dataclass(frozen=True)
class Rasterised:
    """A mask and notes on its contours."""

    mask: Mask  # (columns, rows, slices)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Plane:
    """The closed contours at one height, in voxel indices."""

    height: float  # slices, from the first
    outlines: list[Points] = field(default_factory=list)  # each (N, 2): column, row


def rasterise(roi: Roi, series: Series) -> Rasterised:
    """Fill an ROI's contours on the grid of a series.

    Each contour lies on the slice at its height. If contours were drawn on another stack of slices, each slice takes
    the nearest plane of contours, up to half the distance of the planes.

    Returns:
        The mask, and notes on points and open contours, contours between slices, gaps and contradicting references.

    Raises:
        UserError: There is no closed contour, or one is not parallel to the slices or lies outside the image.
    """
    closed = [contour for contour in roi.contours if contour.kind in CLOSED and len(contour.points) > 2]
    notes = _left_out(roi.contours, len(closed))
    if not closed:
        raise UserError(f"has no closed contour{f', only {notes[0]}' if notes else ', it is empty'}")
    planes, copies = _planes(closed, series)
    notes += [f"{count(copies, 'contour')} left out, equal to another"] if copies else []
    mask = np.zeros(series.geometry.shape, bool)
    chosen = _nearest_planes(planes, mask.shape[2])
    for number, plane in chosen.items():
        mask[:, :, number] = fill(plane.outlines, mask.shape[:2])
    notes += _notes(planes, chosen, series) + _crossings(chosen, mask.shape[:2]) + _contradictions(closed, series)
    if not mask.any():
        raise UserError(f"has {count(len(closed), 'contour')}, but none encloses the centre of a voxel")
    return Rasterised(mask, tuple(notes))


def fill(outlines: Sequence[Points], shape: Sequence[int]) -> Mask:
    """Set the pixels whose centres lie inside an odd number of polygons.

    Every edge toggles all pixels to the right of it in each row that it crosses. Edges are half open, so that a vertex
    counts once. All edges are oriented upwards, so that the two sides of a keyhole cancel exactly.

    Args:
        outlines: Polygons (N, 2) of columns and rows; pixel centres are whole numbers.
        shape: Columns and rows.
    """
    starts = np.concatenate(outlines)
    ends = np.concatenate([np.roll(outline, -1, axis=0) for outline in outlines])
    upwards = (starts[:, 1] <= ends[:, 1])[:, None]
    low, high = np.where(upwards, starts, ends), np.where(upwards, ends, starts)
    first, last = np.clip(np.ceil([low[:, 1], high[:, 1]]), 0, shape[1]).astype(int)
    counts = last - first
    edge = np.repeat(np.arange(len(low)), counts)
    rows = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    slope = (high[edge, 0] - low[edge, 0]) / (high[edge, 1] - low[edge, 1])
    columns = np.clip(np.ceil(low[edge, 0] + (rows - low[edge, 1]) * slope), 0, shape[0]).astype(int)
    toggles = np.zeros((shape[0] + 1, shape[1]), int)
    np.add.at(toggles, (columns, rows), 1)
    return np.asarray(np.cumsum(toggles, axis=0)[:-1] % 2 == 1)


def _planes(contours: Sequence[Contour], series: Series) -> tuple[list[_Plane], int]:
    """Sort contours by height into planes; duplicates are left out and counted."""
    placed = sorted((_placed(contour, series) for contour in contours), key=lambda points: float(points[:, 2].mean()))
    planes: list[_Plane] = []
    seen: set[bytes] = set()
    for points in placed:
        height = float(points[:, 2].mean())
        key = np.unique(np.rint(points * 1000).astype(np.int64), axis=0).tobytes()
        if key in seen:
            continue
        seen.add(key)
        if not planes or height - planes[-1].height > SAME_PLANE:
            planes.append(_Plane(height))
        planes[-1].outlines.append(points[:, :2])
    return planes, len(placed) - len(seen)


def _placed(contour: Contour, series: Series) -> Points:
    """Convert a contour to voxel indices and refuse one that is not flat or lies outside."""
    points = series.to_index(contour.points)
    thickness = float(np.ptp(points[:, 2]))
    if thickness > FLAT:
        rise_mm = thickness * series.slice_mm
        raise UserError(f"has a contour that rises by {rise_mm:.4g} mm across the slices, expected it parallel to them")
    last = np.array(series.geometry.shape) - 0.5
    beyond = np.maximum(-0.5 - points, points - last).max(axis=0)
    too_far = beyond - (OUTSIDE_VOXELS, OUTSIDE_VOXELS, SAME_PLANE)
    if too_far.max() > 0:
        axis = int(too_far.argmax())
        off_mm = float(beyond[axis]) * series.geometry.spacing_mm[axis]
        what = ("left or right", "front or back", "upper or lower")[axis]
        raise UserError(f"has a contour that lies {off_mm:.4g} mm beyond the image's {what} edge, expected it inside")
    return points


def _nearest_planes(planes: Sequence[_Plane], n_slices: int) -> dict[int, _Plane]:
    """Choose the plane of contours of each slice that has one."""
    heights = np.array([plane.height for plane in planes])
    aligned = np.abs(heights - np.rint(heights)).max() <= SAME_PLANE
    apart = float(np.median(np.diff(heights))) if len(planes) > 1 else 1.0
    reach = SAME_PLANE if aligned else max(1.0, apart) / 2
    chosen = {}
    for number in range(n_slices):
        distance = heights - number
        nearest = int(np.abs(distance - 1e-6).argmin())  # halfway between two slices, the lower slice takes it
        if -reach <= distance[nearest] - 1e-6 < reach:
            chosen[number] = planes[nearest]
    return chosen


def _left_out(contours: Sequence[Contour], n_closed: int) -> list[str]:
    counts: dict[str, int] = {}
    for contour in contours:
        if contour.kind not in CLOSED:
            name = contour.kind if contour.kind in ("POINT", "OPEN_PLANAR", "OPEN_NONPLANAR") else "unknown"
            counts[name] = counts.get(name, 0) + 1
    notes = [f"{count(n, f'{kind} contour')} left out" for kind, n in sorted(counts.items())]
    small = len(contours) - n_closed - sum(counts.values())
    return [*notes, f"{count(small, 'closed contour')} with fewer than three points left out"] if small else notes


def _notes(planes: Sequence[_Plane], chosen: dict[int, _Plane], series: Series) -> list[str]:
    notes = []
    off = max(abs(plane.height - round(plane.height)) for plane in planes)
    if off > SAME_PLANE:
        notes.append(
            f"contours lie between the slices, up to {off * series.slice_mm:.3g} mm from the nearest: each slice takes "
            f"the nearest of {count(len(planes), 'plane')}"
        )
    if unused := len(planes) - len({id(plane) for plane in chosen.values()}):
        notes.append(f"{unused} of {count(len(planes), 'plane')} of contours left out: not the nearest of any slice")
    numbers = sorted(chosen)
    if gaps := (numbers[-1] - numbers[0] + 1 - len(numbers)) if numbers else 0:
        notes.append(f"WARNING: {count(gaps, 'slice')} between contoured ones {verb(gaps, 'have')} no contour")
    return notes


def _crossings(chosen: dict[int, _Plane], shape: Sequence[int]) -> list[str]:
    """Warn of contours that overlap in part: the even-odd rule makes the overlap a hole."""
    n_slices = 0
    for plane in chosen.values():
        if len(plane.outlines) < 2:
            continue
        filled = np.array([fill([outline], shape).ravel() for outline in plane.outlines])
        filled = filled[:, filled.any(axis=0)].astype(np.float32)
        shared, sizes = filled @ filled.T, filled.sum(axis=1)
        n_slices += bool(((shared > 0) & (shared < np.minimum.outer(sizes, sizes))).any())
    return (
        [f"WARNING: contours overlap in part on {count(n_slices, 'slice')}: the overlap is outside"] if n_slices else []
    )


def _contradictions(contours: Sequence[Contour], series: Series) -> list[str]:
    """Warn of contours that refer to another image than the image at their position."""
    number = {plane.sop_uid: index for index, plane in enumerate(series.planes)}
    if len(number) < len(series.planes):  # an enhanced file: one UID for all frames
        return []
    heights = [(series.to_index(contour.points)[:, 2].mean(), contour.image_uids) for contour in contours]
    wrong = sum(abs(number[uid] - height) > 0.6 for height, uids in heights for uid in uids if uid in number)
    if not wrong:
        return []
    return [
        f"WARNING: {count(wrong, 'contour')} {verb(wrong, 'refer')} to another slice than the position, which was used"
    ]
