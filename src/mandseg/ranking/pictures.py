"""Pictures of the first cases of a worklist: the three worst slices, a coronal plane and a plane of each side."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from PIL import Image

from mandseg.data.case import Case
from mandseg.data.preprocessing import mask_on_original
from mandseg.data.volume import Volume, to_canonical
from mandseg.evaluation.overlay import PLANES, PREDICTION_COLOUR, REFERENCE_COLOUR, draw_plane, view_around
from mandseg.metrics.masks import Mask
from mandseg.ranking.drawn_label import DrawnLabel, cut, read_whole, window_around
from mandseg.ranking.judges.predictions import Prediction
from mandseg.ranking.slices import doubtful_voxels, worst_planes
from mandseg.system.progress import for_each

GREY_HU = -200.0  # dark grey in place of a missing CT
MID = "#7a7f88"  # text that is readable on white and on black
WIDTH_INCHES, TEXT_INCHES, DPI = 10.5, 0.3, 110
AXIAL, CORONAL, SAGITTAL = PLANES


@dataclass(frozen=True, eq=False)
class Request:
    """A case to draw; without a prediction only the label is drawn.

    Args:
        case: The case.
        prediction: The predicted mask on the whole grid of the CT, RAS+ axes, as bits: many cases wait to be drawn.
        shape: Of the mask.
    """

    case: Case
    prediction: npt.NDArray[np.uint8] | None = None
    shape: tuple[int, ...] = ()

    @property
    def mask(self) -> Mask | None:
        """The predicted mask, (X, Y, Z)."""
        if self.prediction is None:
            return None
        return np.unpackbits(self.prediction, count=int(np.prod(self.shape))).reshape(self.shape).astype(np.bool_)


def request_for(case: Case, prediction: Prediction | None) -> Request:
    """A case with its prediction, if there is one."""
    if prediction is None:
        return Request(case)
    mask = on_image(prediction)
    return Request(case, np.packbits(mask), mask.shape)


@dataclass(frozen=True)
class WorklistPicture:
    """The picture of a case as WebP, and the numbers of the three worst slices, counted from below, from 1."""

    case_id: str
    webp: bytes
    slices: tuple[int, ...]
    of_slices: int


def on_image(prediction: Prediction) -> Mask:
    """The predicted mask on the whole grid of the CT, RAS+ axes."""
    prepared = prediction.prepared
    mask = mask_on_original(Volume(prediction.probability, prepared.grid.affine), prepared.original)
    return np.asarray(to_canonical(Volume(mask, prepared.original.affine)).array, dtype=np.bool_)


def draw_cases(requests: Sequence[Request], workers: int | None = None) -> Iterator[WorklistPicture]:
    """Draw cases, in their order."""
    return for_each(draw_case, requests, "Drawing", workers)


def draw_case(request: Request) -> WorklistPicture:
    """Draw a case."""
    label, prediction = read_whole(request.case), request.mask
    window = window_around(label.spacing_mm, label.mask, *([] if prediction is None else [prediction]))
    label, near = cut(label, window), None if prediction is None else prediction[window]
    doubtful = doubtful_voxels(label, near)
    axial = worst_planes(doubtful, AXIAL.axis, label.spacing_mm[2])
    figure = case_figure(label, near, doubtful, axial)
    png, webp = io.BytesIO(), io.BytesIO()
    figure.savefig(png, format="png", dpi=DPI, transparent=True)
    with Image.open(png) as image:
        image.save(webp, "WEBP", quality=80)
    numbers = tuple(label.first_slice + index + 1 for index in axial)
    return WorklistPicture(request.case.case_id, webp.getvalue(), numbers, label.slices)


def case_figure(label: DrawnLabel, prediction: Mask | None, doubtful: Mask, axial: Sequence[int]) -> Figure:
    """The given axial slices above; below the worst coronal plane, and the worst sagittal plane of each side."""
    shape, spacing_mm = label.mask.shape, label.spacing_mm
    drawn = prediction if prediction is not None else np.zeros(shape, bool)
    view = view_around(label.mask, drawn, spacing_mm)
    x_mm, y_mm, z_mm = (len(range(*s.indices(n))) * mm for s, n, mm in zip(view, shape, spacing_mm, strict=True))
    rows = [(3 * x_mm, y_mm), (x_mm + 2 * y_mm, z_mm)]
    heights = [TEXT_INCHES + WIDTH_INCHES * high / wide for wide, high in rows]
    figure = Figure(figsize=(WIDTH_INCHES, sum(heights) + TEXT_INCHES), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=heights, squeeze=False)[:, 0]
    hu = np.broadcast_to(np.float32(GREY_HU), shape) if label.hu is None else label.hu
    for ax, index in zip(above.subplots(1, 3), axial, strict=False):
        draw_plane(ax, hu, label.mask, drawn, spacing_mm, AXIAL, index, view)
        ax.set_title(f"slice {label.first_slice + index + 1} of {label.slices} from below", fontsize=8)
    middle = _middle(label.mask | drawn)
    of_sides = [(doubtful[middle:], middle, "right side"), (doubtful[:middle], 0, "left side")]
    planes = [(CORONAL, worst_planes(doubtful, CORONAL.axis, 1.0, 1)[0], "coronal")]
    planes += [(SAGITTAL, start + worst_planes(part, SAGITTAL.axis, 1.0, 1)[0], name) for part, start, name in of_sides]
    for ax, (plane, index, name) in zip(below.subplots(1, 3, width_ratios=[x_mm, y_mm, y_mm]), planes, strict=True):
        draw_plane(ax, hu, label.mask, drawn, spacing_mm, plane, index, view)
        ax.set_title(name, fontsize=8)
    for part in (above, below):
        for ax in part.axes:
            ax.title.set_color(MID)
            ax.spines[:].set_visible(False)
            ax.set_anchor("N")
            ax.set_axis_off()
    _legend(below, prediction is not None)
    return figure


def _middle(mask: Mask) -> int:
    x = np.flatnonzero(mask.any(axis=(1, 2)))
    return int((x[0] + x[-1] + 1) // 2) if x.size else mask.shape[0] // 2


def _legend(figure: SubFigure, with_prediction: bool) -> None:
    lines = [Line2D([], [], color=REFERENCE_COLOUR, linestyle="solid", label="label")]
    if with_prediction:
        words = "prediction of networks that do not know the case"
        lines.append(Line2D([], [], color=PREDICTION_COLOUR, linestyle="dashed", label=words))
    figure.legend(handles=lines, loc="outside lower center", ncols=2, fontsize=8, frameon=False, labelcolor=MID)
