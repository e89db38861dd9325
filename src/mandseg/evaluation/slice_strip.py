"""Axial slices of one case with the contours of reference and prediction: square tiles below each other in one file.

Tile 0 is the lowest slice. Arrays lie on RAS+ axes. As in the overlay, the patient's right is on the left, and anterior
on top.
"""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import contourpy
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from mandseg.evaluation.overlay import (
    BONE_WINDOW_HU,
    PLANES,
    PREDICTION_COLOUR,
    REFERENCE_COLOUR,
    upright,
    view_around,
)
from mandseg.metrics.masks import Mask, bounding_box
from mandseg.system.files import atomic_write

SUFFIX = ".webp"
MOST_SLICES = 24
LARGEST_FILE = 80_000  # bytes: two files for each data set of each run
SIDE = 320  # pixels of a tile
ENCODINGS = ((320, 50), (320, 30), (256, 30), (256, 15), (192, 15), (128, 10), (96, 5))
"""Pixels a side of a tile, and quality of WebP; the first whose file is small enough is kept."""
EFFORT = 2  # of WebP, 0 to 6: 4 takes two to three times as long for files that are a tenth smaller
LINE, DASH, GAP = 2.5, 8, 7  # pixels
FINER = 2  # contours are drawn on a grid that is finer than the tile, so that their edges are smooth

Points = npt.NDArray[np.float64]  # (N, 2): column, row


def draw_slices(
    image_hu: npt.NDArray[np.generic], reference: Mask, prediction: Mask, spacing_mm: Sequence[float], path: Path
) -> None:
    """Write the slices of one case as a WebP file of at most ``LARGEST_FILE`` bytes, completely or not at all.

    Args:
        image_hu: CT, (X, Y, Z) on RAS+ axes, HU.
        reference: Mask on the same grid, bool; drawn solid and blue.
        prediction: Mask on the same grid, bool; drawn dashed and red.
        spacing_mm: Voxel edge lengths along the three axes.
        path: The WebP file: ``height / width`` is the number of slices.
    """
    across, along = square_view(reference, prediction, spacing_mm)
    levels = shown_slices(reference, prediction)
    strip = Image.new("RGB", (SIDE, SIDE * len(levels)))
    for number, level in enumerate(levels):
        at = across, along, level
        strip.paste(_tile(image_hu[at], reference[at], prediction[at], spacing_mm), (0, SIDE * number))
    for side, quality in ENCODINGS:
        content = _webp(strip.resize((side, side * len(levels)), Image.Resampling.LANCZOS), quality)
        if len(content) <= LARGEST_FILE:
            break
    with atomic_write(path) as file:
        file.write(content)


def square_view(reference: Mask, prediction: Mask, spacing_mm: Sequence[float]) -> tuple[slice, slice]:
    """Widen the shorter side of the overlay's axial view to the longer one in mm, as far as the grid reaches."""
    view = view_around(reference, prediction, spacing_mm)
    sides = [s.indices(n)[:2] for s, n in zip(view[:2], reference.shape, strict=False)]
    longest_mm = max((stop - start) * mm for (start, stop), mm in zip(sides, spacing_mm, strict=False))
    square = []
    for (start, stop), mm, n in zip(sides, spacing_mm, reference.shape, strict=False):
        width = min(round(longest_mm / mm), n)
        first = min(max((start + stop - width) // 2, 0), n - width)
        square.append(slice(first, first + width))
    return square[0], square[1]


def shown_slices(reference: Mask, prediction: Mask) -> list[int]:
    """Choose at most ``MOST_SLICES`` evenly spaced axial slices, from below.

    They reach from one slice below both masks to one slice above them; through the whole grid if both are empty.
    """
    box, n_slices = bounding_box(reference, prediction), reference.shape[2]
    lowest, highest = (0, n_slices - 1) if box is None else (max(box[2].start - 1, 0), min(box[2].stop, n_slices - 1))
    n_shown = min(highest - lowest + 1, MOST_SLICES)
    return [int(index) for index in np.linspace(lowest, highest, n_shown).round()]


def _tile(
    cut_hu: npt.NDArray[np.generic], reference: Mask, prediction: Mask, spacing_mm: Sequence[float]
) -> Image.Image:
    """Draw one slice (across, along) to scale, centred on a black square."""
    low, high = BONE_WINDOW_HU
    shown = np.asarray(upright(cut_hu), dtype=np.float32)
    grey = Image.fromarray(((shown - low) * (255 / (high - low))).clip(0, 255).astype(np.uint8))
    width_mm, height_mm = grey.width * spacing_mm[0], grey.height * spacing_mm[1]
    scale = SIDE / max(width_mm, height_mm)
    size = max(1, round(width_mm * scale)), max(1, round(height_mm * scale))
    picture = grey.resize(size, Image.Resampling.BILINEAR).convert("RGB")
    _draw_contour(picture, upright(reference), REFERENCE_COLOUR, dashed=False)
    _draw_contour(picture, upright(prediction), PREDICTION_COLOUR, dashed=True)
    tile = Image.new("RGB", (SIDE, SIDE))
    tile.paste(picture, ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return _lettered(tile)


def _draw_contour(picture: Image.Image, mask: npt.NDArray[np.generic], colour: str, dashed: bool) -> None:
    """Draw the outline of a mask (rows, columns) that covers the picture."""
    if not mask.any():
        return
    ink = Image.new("L", (picture.width * FINER, picture.height * FINER))
    pen = ImageDraw.Draw(ink)
    scale = np.array([ink.width / mask.shape[1], ink.height / mask.shape[0]])
    closed = np.pad(mask, 1).astype(np.float64)  # closes a contour that leaves the view
    for line in contourpy.contour_generator(z=closed).lines(0.5):
        points = (np.asarray(line) - 0.5) * scale  # 1 for the padding, 0.5 from a pixel's centre to its edge
        for stroke in _dashes(points) if dashed else (points,):
            pen.line([(x, y) for x, y in stroke.tolist()], fill=255, width=round(LINE * FINER))
    picture.paste(colour, mask=ink.resize(picture.size, Image.Resampling.BOX))


def _dashes(line: Points) -> Iterator[Points]:
    """Cut a line into dashes along its length."""
    length = np.append(0, np.hypot(*np.diff(line, axis=0).T).cumsum())
    steps = np.arange(0, length[-1], FINER)
    points = np.column_stack([np.interp(steps, length, line[:, axis]) for axis in range(2)])
    for start in range(0, len(points), DASH + GAP):
        yield points[start : start + DASH]


def _lettered(tile: Image.Image) -> Image.Image:
    """Write the letters of the axial plane at the left, right, top and bottom."""
    pen, middle, edge = ImageDraw.Draw(tile), SIDE / 2, 4
    far = SIDE - edge
    places = ((edge, middle, "lm"), (far, middle, "rm"), (middle, edge, "mt"), (middle, far, "mb"))
    for letter, (x, y, anchor) in zip(PLANES[0].letters, places, strict=True):
        pen.text((x, y), letter, fill="white", anchor=anchor)
    return tile


def _webp(strip: Image.Image, quality: int) -> bytes:
    content = io.BytesIO()
    strip.save(content, "WEBP", quality=quality, method=EFFORT)
    return content.getvalue()
