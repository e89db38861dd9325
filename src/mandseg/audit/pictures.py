"""Pictures of single cases: both labels in three planes, and the mandible coloured by displacement."""

import io
import sys
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from PIL import Image

from mandseg.audit.figures import DIVERGING, LARGEST_MM
from mandseg.audit.pair import LabelPair, load_pair
from mandseg.audit.surface import VIEWS, draw_surface, extent_mm
from mandseg.data.case import Case
from mandseg.evaluation.overlay import PLANES, PREDICTION_COLOUR, REFERENCE_COLOUR, draw_plane
from mandseg.metrics.displacement import Deviation, measure_deviation
from mandseg.metrics.masks import Mask
from mandseg.noise import NoiseSource

MARGIN_MM = 15.0  # around the two labels
GREY_HU = -200.0  # dark grey in place of a missing CT
MID = "#7a7f88"  # text that is readable on white and on black
WIDTH_INCHES, DRAWN_INCHES, TEXT_INCHES = 9.6, 9.0, 0.5
DPI = 110
WORST_CASES = 6  # default number of drawn cases
EVERY_CASE = sys.maxsize


@dataclass(frozen=True)
class DrawnCase:
    """The picture of a case: PNG for slides, a smaller WebP for the page; both have a transparent background."""

    case_id: str
    png: bytes
    webp: bytes


def chosen(cases: pd.DataFrame, worst: int) -> list[str]:
    """Choose the cases to draw: the worst, and the worst of each annotator; none if ``worst`` is 0.

    Args:
        cases: From ``cases_table``; the order is kept.
        worst: Number of worst cases.
    """
    if worst == 0:
        return []
    own = cases.groupby("annotator", sort=False).head(1).index
    return list(cases.case_id[cases.index[:worst].union(own)])


def picture(case: Case, noise: NoiseSource) -> DrawnCase:
    """Draw a case."""
    figure = case_figure(load_pair(case, noise, with_image=True))
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DPI, transparent=True)
    light = io.BytesIO()
    with Image.open(content) as image:
        image.save(light, "WEBP", quality=80)
    return DrawnCase(case.case_id, content.getvalue(), light.getvalue())


def case_figure(pair: LabelPair) -> Figure:
    """Draw the three planes in which the labels differ most, and below them four views of the surface.

    The surface is left out if a label is empty.
    """
    near = pair.around(MARGIN_MM)
    both_drawn = near.reference.any() and near.noisy.any()
    surface = measure_deviation(near.noisy, near.reference, near.spacing_mm) if both_drawn else None
    sizes = [_planes_mm(near), *([_views_mm(surface)] if surface else [])]
    heights = [TEXT_INCHES + DRAWN_INCHES * up / across for across, up in sizes]
    figure = Figure(figsize=(WIDTH_INCHES, sum(heights)), layout="constrained")
    rows = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    _draw_planes(rows[0], near)
    if surface:
        _draw_surface(rows[1], surface)
    return figure


def planes_of_difference(pair: LabelPair) -> list[int]:
    """For each of ``PLANES``, the index of the plane in which most voxels differ; the middle if none differ."""
    differs: Mask = pair.reference ^ pair.noisy
    counts = [differs.sum(axis=tuple({0, 1, 2} - {plane.axis})) for plane in PLANES]
    return [int(np.argmax(n)) if n.any() else len(n) // 2 for n in counts]


def _planes_mm(pair: LabelPair) -> tuple[float, float]:
    """Width and height of the three planes side by side, on one scale."""
    x_mm, y_mm, z_mm = (n * s for n, s in zip(pair.reference.shape, pair.spacing_mm, strict=True))
    return 2 * x_mm + y_mm, max(y_mm, z_mm)


def _views_mm(surface: Deviation) -> tuple[float, float]:
    """Width and height of the views side by side, on one scale."""
    sizes = [extent_mm(surface.vertices_mm, view) for view in VIEWS]
    return sum(across for across, _ in sizes), max(up for _, up in sizes)


def _draw_planes(figure: SubFigure, pair: LabelPair) -> None:
    shape, spacing_mm = pair.reference.shape, pair.spacing_mm
    hu = np.broadcast_to(np.float32(GREY_HU), shape) if pair.image_hu is None else pair.image_hu
    widths_mm = [shape[axis] * spacing_mm[axis] for axis in (0, 0, 1)]
    axes = figure.subplots(1, 3, width_ratios=widths_mm)
    for plane, index, ax in zip(PLANES, planes_of_difference(pair), axes, strict=True):
        draw_plane(ax, hu, pair.reference, pair.noisy, spacing_mm, plane, index)
        ax.title.set_color(MID)
        ax.spines[:].set_visible(False)
        ax.set_anchor("N")
    lines = [
        Line2D([], [], color=REFERENCE_COLOUR, linestyle="solid", label="reference"),
        Line2D([], [], color=PREDICTION_COLOUR, linestyle="dashed", label="noisy"),
    ]
    figure.legend(handles=lines, loc="outside lower center", ncols=2, fontsize=8, frameon=False, labelcolor=MID)


def _draw_surface(figure: SubFigure, surface: Deviation) -> None:
    sizes = [extent_mm(surface.vertices_mm, view) for view in VIEWS]
    axes = figure.subplots(1, len(VIEWS), width_ratios=[across for across, _ in sizes])
    for view, ax in zip(VIEWS, axes, strict=True):
        draw_surface(ax, surface.vertices_mm, surface.faces, surface.displacement_mm, view)
        top = ax.get_ylim()[1]
        ax.set_ylim(top - max(up for _, up in sizes), top)
        ax.set_title(view.name, fontsize=8, color=MID)
        for x, side, letter in zip((0.0, 1.0), ("left", "right"), view.letters, strict=True):
            ax.text(x, 1.0, letter, transform=ax.transAxes, color=MID, fontsize=7, ha=side, va="center")
    scale = ScalarMappable(Normalize(-LARGEST_MM, LARGEST_MM), mpl.colormaps[DIVERGING])
    bar = figure.colorbar(scale, ax=axes, extend="both", pad=0.01, aspect=20)
    bar.set_label("mm, outward > 0", color=MID, fontsize=8)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=MID, labelsize=8)
