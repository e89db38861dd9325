"""The picture of a prediction, enough to judge it: three planes through its largest section, and axial slices."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from mandseg.data.volume import Volume, to_canonical
from mandseg.evaluation.overlay import PLANES, draw_plane, view_around
from mandseg.metrics.masks import Mask, bounding_box
from mandseg.system.files import atomic_write

HEIGHTS = (0.15, 0.4, 0.65, 0.9)  # of the axial slices, from the mask's lowest to its highest slice
RESOLUTION_DPI = 110


def draw_prediction(image: Volume, mask: Volume, path: Path, title: str) -> None:
    """Write a PNG file, completely or not at all.

    Args:
        image: The CT in HU, on any axes.
        mask: On the same grid, bool.
        path: The file.
        title: Above the planes.
    """
    content = io.BytesIO()
    prediction_figure(image, mask, title).savefig(content, format="png", dpi=RESOLUTION_DPI)
    with atomic_write(path) as file:
        file.write(content.getvalue())


def prediction_figure(image: Volume, mask: Volume, title: str) -> Figure:
    """Draw the axial, coronal and sagittal plane with the largest section of the mask, and four axial slices."""
    hu, canonical = to_canonical(image), to_canonical(mask)
    found = np.asarray(canonical.array, dtype=np.bool_)
    spacing_mm = hu.geometry.spacing_mm
    nothing = np.zeros((1, 1, 1), np.bool_)
    empty = np.broadcast_to(nothing, found.shape)  # draw_plane draws a reference, too; there is none
    view = view_around(empty, found, spacing_mm)
    figure = Figure(figsize=(12, 7.2), facecolor="white", layout="constrained")
    figure.suptitle(title, fontsize=10, wrap=True, parse_math=False)
    halves: Any = figure.subfigures(2, 1, height_ratios=(1.25, 1))  # an array of two
    top, bottom = halves
    for plane, ax in zip(PLANES, top.subplots(1, 3), strict=True):
        index = largest_section(found, plane.axis)
        draw_plane(ax, hu.array, empty, found, spacing_mm, plane, index, view)
        ax.set_title(f"{plane.name} {index}", fontsize=8)
    axial = PLANES[0]
    for index, ax in zip(axial_slices(found), bottom.subplots(1, len(HEIGHTS)), strict=True):
        draw_plane(ax, hu.array, empty, found, spacing_mm, axial, index, view)
        ax.set_title(f"axial {index}", fontsize=8)
    return figure


def largest_section(mask: Mask, axis: int) -> int:
    """The index of the plane with most voxels along an axis; the middle of the grid for an empty mask."""
    others = tuple(other for other in range(3) if other != axis)
    counts = mask.sum(axis=others)
    return int(np.argmax(counts)) if counts.any() else mask.shape[axis] // 2


def axial_slices(mask: Mask) -> npt.NDArray[np.int64]:
    """The slices at ``HEIGHTS`` of the mask, or of the image if the mask is empty."""
    box = bounding_box(mask)
    low, high = (0, mask.shape[2] - 1) if box is None else (box[2].start, box[2].stop - 1)
    return np.asarray(np.rint(low + np.array(HEIGHTS) * (high - low)), dtype=np.int64)
