"""Pictures of one case: three planes of the CT with the contours of reference and prediction, as a small PNG file.

Arrays lie on RAS+ axes. The planes follow the radiological convention: the patient's right on the left of the axial
and coronal plane, anterior on top of the axial and on the left of the sagittal plane, superior on top of the others.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from mandseg.metrics.masks import Mask, bounding_box
from mandseg.system.errors import UserError
from mandseg.system.files import atomic_write

REFERENCE_COLOUR = "#56B4E9"  # sky blue and vermilion of Okabe and Ito, safe for colour-blind readers;
PREDICTION_COLOUR = "#D55E00"  # solid and dashed lines differ in grey print
BONE_WINDOW_HU = (-500.0, 1300.0)  # level 400, width 1800
MARGIN_MM = 20.0  # shown around the contours
LEAST_VIEW_MM = 120.0
LARGEST_FILE = 60_000  # bytes: a sweep makes thousands of files
RESOLUTIONS_DPI = (100, 80, 60, 40)


class Plane(NamedTuple):
    """A plane of the volume: its normal axis, and the letters at the left, right, top and bottom of the picture."""

    name: str
    axis: int
    letters: str


PLANES = (Plane("axial", 2, "RLAP"), Plane("coronal", 1, "RLSI"), Plane("sagittal", 0, "APSI"))


def draw_overlay(
    image_hu: npt.NDArray[np.generic],
    reference: Mask,
    prediction: Mask,
    spacing_mm: Sequence[float],
    path: Path,
    title: str,
) -> None:
    """Write the picture of one case as a PNG file of at most ``LARGEST_FILE`` bytes, completely or not at all.

    Args:
        image_hu: CT, (X, Y, Z) on RAS+ axes, HU.
        reference: Mask on the same grid, bool; drawn solid and blue.
        prediction: Mask on the same grid, bool; drawn dashed and red.
        spacing_mm: Voxel edge lengths along the three axes.
        path: The PNG file.
        title: The line above the planes.

    Raises:
        UserError: The three arrays differ in shape.
    """
    figure = overlay_figure(image_hu, reference, prediction, spacing_mm, title)
    drawn = _pixels(figure)  # drawing takes longer than making it smaller
    for dpi in RESOLUTIONS_DPI:
        width, height = (round(n * dpi / RESOLUTIONS_DPI[0]) for n in drawn.size)
        content = _png(drawn.resize((width, height), Image.Resampling.LANCZOS))
        if len(content) <= LARGEST_FILE:
            break
    with atomic_write(path) as file:
        file.write(content)


def overlay_figure(
    image_hu: npt.NDArray[np.generic], reference: Mask, prediction: Mask, spacing_mm: Sequence[float], title: str
) -> Figure:
    """Draw the axial, coronal and sagittal plane through the reference's centre (see ``centre``), side by side."""
    for name, mask in (("reference", reference), ("prediction", prediction)):
        if mask.shape != image_hu.shape:
            raise UserError(f"shape {mask.shape} of the {name} differs from {image_hu.shape} of the image")
    figure = Figure(figsize=(9.0, 3.5), facecolor="white", layout="constrained")
    figure.suptitle(title, fontsize=9, parse_math=False)  # a name with $ is no formula
    cut, view = centre(reference, prediction), view_around(reference, prediction, spacing_mm)
    for plane, ax in zip(PLANES, figure.subplots(1, 3), strict=True):
        draw_plane(ax, image_hu, reference, prediction, spacing_mm, plane, cut[plane.axis], view)
    lines = [
        Line2D([], [], color=REFERENCE_COLOUR, linestyle="solid"),
        Line2D([], [], color=PREDICTION_COLOUR, linestyle="dashed"),
    ]
    figure.legend(lines, ["reference", "prediction"], loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return figure


def draw_plane(
    ax: Axes,
    image_hu: npt.NDArray[np.generic],
    reference: Mask,
    prediction: Mask,
    spacing_mm: Sequence[float],
    plane: Plane,
    index: int,
    view: tuple[slice, slice, slice] = (slice(None), slice(None), slice(None)),
) -> None:
    """Draw one plane of a volume, at ``index`` along its normal axis and within ``view``, on given axes."""
    across, up = (axis for axis in range(3) if axis != plane.axis)
    window = tuple(index if axis == plane.axis else view[axis] for axis in range(3))
    low, high = BONE_WINDOW_HU
    aspect = spacing_mm[up] / spacing_mm[across]
    shown = upright(np.asarray(image_hu[window], dtype=np.float32))
    ax.imshow(shown, cmap="gray", vmin=low, vmax=high, aspect=aspect, interpolation="bilinear")
    _draw_contour(ax, upright(reference[window]), REFERENCE_COLOUR, "solid")
    _draw_contour(ax, upright(prediction[window]), PREDICTION_COLOUR, "dashed")
    ax.set(title=plane.name, xticks=[], yticks=[], xlim=(-0.5, shown.shape[1] - 0.5), ylim=(shown.shape[0] - 0.5, -0.5))
    ax.title.set_fontsize(8)
    places = ((0.02, 0.5, "left"), (0.98, 0.5, "right"), (0.5, 0.95, "center"), (0.5, 0.05, "center"))
    for letter, (x, y, align) in zip(plane.letters, places, strict=True):
        ax.text(x, y, letter, transform=ax.transAxes, color="white", fontsize=7, ha=align, va="center")


def centre(reference: Mask, prediction: Mask) -> tuple[int, int, int]:
    """Find the voxel at the centre of the reference; if empty, of the prediction; if empty too, of the grid."""
    for mask in (reference, prediction):
        if mask.any():
            x, y, z = (round(float(np.mean(where))) for where in np.nonzero(mask))
            return x, y, z
    x, y, z = (n // 2 for n in reference.shape)
    return x, y, z


def _draw_contour(ax: Axes, cut: npt.NDArray[np.generic], colour: str, stroke: Literal["solid", "dashed"]) -> None:
    closed = np.pad(cut, 1).astype(np.float32)  # closes a contour that leaves the view
    if closed.any():
        rows, columns = (np.arange(-1, n - 1) for n in closed.shape)
        ax.contour(columns, rows, closed, levels=[0.5], linewidths=1.4, colors=colour, linestyles=stroke)


def view_around(reference: Mask, prediction: Mask, spacing_mm: Sequence[float]) -> tuple[slice, slice, slice]:
    """Choose the view: all contours with a margin, and at least ``LEAST_VIEW_MM``, to recognise the anatomy."""
    box = bounding_box(reference, prediction)
    if box is None:
        return slice(None), slice(None), slice(None)
    x, y, z = (_widened(s, n, mm) for s, n, mm in zip(box, reference.shape, spacing_mm, strict=True))
    return x, y, z


def _widened(extent: slice, size: int, spacing_mm: float) -> slice:
    half_mm = max((extent.stop - extent.start) * spacing_mm / 2 + MARGIN_MM, LEAST_VIEW_MM / 2)
    middle, half = (extent.start + extent.stop) / 2, half_mm / spacing_mm
    return slice(max(0, int(middle - half)), min(size, int(np.ceil(middle + half))))


def upright(plane: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Convert a plane (across, up) of a RAS+ volume to picture rows and columns: R or A left, A or S on top."""
    return plane.T[::-1, ::-1]


def _pixels(figure: Figure) -> Image.Image:
    """Draw the figure in full colour, at the largest resolution."""
    raw, dpi = io.BytesIO(), RESOLUTIONS_DPI[0]
    figure.savefig(raw, format="rgba", dpi=dpi)
    rgba = np.frombuffer(raw.getvalue(), dtype=np.uint8).reshape(-1, round(figure.get_figwidth() * dpi), 4)
    return Image.fromarray(rgba[..., :3])


def _png(pixels: Image.Image) -> bytes:
    """Encode as a PNG with a palette: the pictures are mostly grey, and this is half the size of full colour."""
    content, palette = io.BytesIO(), Image.new("P", (1, 1))
    palette.putpalette(_palette().ravel().tolist())  # Pillow's own palette would lose the colours of the thin contours
    pixels.quantize(palette=palette, dither=Image.Dither.NONE).save(content, format="png", compress_level=6)
    return content.getvalue()


def _palette() -> npt.NDArray[np.int64]:
    """Make a palette of 64 greys with white, and of both colours blended in eight steps with six greys."""
    greys = np.append(np.arange(0, 252, 4), 255)[:, None] * np.ones(3)  # one for each of Pillow's cells of four levels
    colours = 255 * np.array([to_rgb(REFERENCE_COLOUR), to_rgb(PREDICTION_COLOUR)])[:, None, None]  # (2, 1, 1, 3)
    share = np.linspace(1 / 8, 1, 8)[None, :, None, None]
    blends = share * colours + (1 - share) * np.linspace(0, 255, 6)[None, None, :, None]  # (2, 8, 6, 3)
    return np.asarray(np.rint(np.concatenate([greys, blends.reshape(-1, 3)])), dtype=np.int64)
