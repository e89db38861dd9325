"""The pictures of docs/noise.md: what each error, preset, annotator, severity and bias does to one phantom's mandible.

python docs/figures/noise.py    # writes docs/figures/noise/*.webp, in half a minute

Solid and blue: the reference. Dashed and red: the contour drawn. Each plane is the one where the two differ most.
"""

import argparse
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from mandseg.data.case import Case
from mandseg.data.phantom import CLINIC, phantom_case
from mandseg.data.volume import to_canonical
from mandseg.evaluation.overlay import PLANES, PREDICTION_COLOUR, REFERENCE_COLOUR, Plane, draw_plane
from mandseg.metrics.agreement import bounding_box, score
from mandseg.metrics.regions import Mask
from mandseg.noise import (
    BoundaryWalk,
    DroppedEnds,
    EndSlices,
    EveryNth,
    GrossError,
    HandJitter,
    Margin,
    MetalSmear,
    Mode,
    NeighbouringBone,
    Panel,
    Polygon,
    Pose,
    Profile,
    RamusShaved,
    SmoothError,
    SymphysisOverdrawn,
    TeethIncluded,
    Tendency,
    TipsCut,
    load_preset,
)
from mandseg.noise.modes.scene import Hu
from mandseg.system.files import atomic_write

PLANNING_CT = replace(CLINIC, shape=(264, 264, 92), spacing_mm=(1.0, 1.0, 2.5))
SPACING_MM = PLANNING_CT.spacing_mm
PHANTOM = 0  # with metal crowns
MARGIN_MM = 12.0
DPI = 150
FOLDER = Path(__file__).parent / "noise"
AXIAL, CORONAL, SAGITTAL = PLANES

MODES: Mapping[str, tuple[Mode, Sequence[Plane]]] = {
    "smooth_error": (SmoothError(1.2, 12.0), (AXIAL, SAGITTAL)),
    "margin": (Margin(1.5), (AXIAL, SAGITTAL)),
    "boundary_walk": (BoundaryWalk(), (AXIAL, SAGITTAL)),
    "polygon": (Polygon(1.5), (AXIAL, SAGITTAL)),
    "hand_jitter": (HandJitter(0.7, 6.0, 0.5), (AXIAL, SAGITTAL)),
    "every_nth": (EveryNth(4), (AXIAL, SAGITTAL)),
    "dropped_ends": (DroppedEnds(8.0, 6.0), (CORONAL, SAGITTAL)),
    "end_slices": (EndSlices(3.0, 2.0, 2.0), (CORONAL, SAGITTAL)),
    "pose": (Pose(2.0, 2.0), (AXIAL, SAGITTAL)),
    "teeth_included": (TeethIncluded(7.0), (AXIAL, SAGITTAL)),
    "tips_cut": (TipsCut(8.0, 8.0), (CORONAL, SAGITTAL)),
    "ramus_shaved": (RamusShaved(1.5), (AXIAL, CORONAL)),
    "symphysis_overdrawn": (SymphysisOverdrawn(3.0), (AXIAL, SAGITTAL)),
    "neighbouring_bone": (NeighbouringBone(4.0), (AXIAL, SAGITTAL)),
    "metal_smear": (MetalSmear(2.5, 1.0), (AXIAL, CORONAL)),
}


@dataclass(frozen=True)
class Phantom:
    """The case that all pictures show, on RAS+ axes."""

    hu: Hu
    mask: Mask

    @property
    def view(self) -> tuple[slice, slice, slice]:
        """The mandible with a margin."""
        margins = [int(MARGIN_MM / s) for s in SPACING_MM]
        box = zip(bounding_box(self.mask), margins, self.mask.shape, strict=True)
        return tuple(slice(max(s.start - m, 0), min(s.stop + m, n)) for s, m, n in box)


@dataclass(frozen=True)
class Cell:
    """One picture of a figure: a contour in a plane; ``index`` None is where it differs most from the reference."""

    title: str
    drawn: Mask
    plane: Plane
    index: int | None = None


def main() -> None:
    """Draw them all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    folder = parser.parse_args().folder
    phantom = make_phantom(PHANTOM)
    figures = {name: mode_figure(phantom, *choice) for name, choice in MODES.items()}
    figures |= {"gross_error": gross_errors(phantom), "presets": presets(phantom), "panel": panel(phantom)}
    for parameter, values in (("severity", (0.25, 0.5, 1.0, 2.0)), ("target_dice", (0.95, 0.9, 0.8, 0.7))):
        drawn = {
            f"{parameter}={value:g}": contour(load_preset("planning", **{parameter: value}), phantom)
            for value in values
        }
        figures[parameter] = compared(phantom, drawn)
    figures["bias"] = compared(phantom, biased(phantom))
    for name, figure in figures.items():
        save(figure, folder / f"{name}.webp")


def make_phantom(seed: int) -> Phantom:
    """A clinic phantom on the grid of a planning CT."""
    ct, reference = (to_canonical(volume) for volume in phantom_case(PLANNING_CT, seed))
    return Phantom(ct.array, np.asarray(reference.array > 0))


def mode_figure(phantom: Phantom, mode: Mode, planes: Sequence[Plane]) -> Figure:
    """One error alone."""
    drawn = Profile([mode])(phantom.mask, SPACING_MM, np.random.default_rng(1), phantom.hu)
    values = ", ".join(f"{f.name}={getattr(mode, f.name):g}" for f in fields(mode))
    return draw(phantom, [[Cell("", drawn, plane) for plane in planes]], f"{type(mode).__name__}({values})")


def gross_errors(phantom: Phantom) -> Figure:
    """Each kind of gross error alone."""
    cells = []
    for kind, plane in (("piece_missing", SAGITTAL), ("side_missing", AXIAL), ("wrong_structure", CORONAL)):
        drawn = GrossError(1.0, (kind,))(phantom.mask, SPACING_MM, np.random.default_rng(1), phantom.hu)
        cells.append(Cell(kind, drawn, plane))
    return draw(phantom, [cells], "GrossError")


def presets(phantom: Phantom) -> Figure:
    """A contour of each preset in three planes; of ``gross``, one with a gross error."""
    rows = []
    for name in ("expert", "radiographer", "planning", "gross"):
        case_id = "a" if name != "gross" else with_gross_error(phantom)
        drawn = contour(load_preset(name), phantom, case_id)
        rows.append([Cell(f"{name}, {plane.name}", drawn, plane) for plane in PLANES])
        rows[-1][0] = replace(rows[-1][0], title=f"{name}: {agreement(drawn, phantom)}")
    return draw(phantom, rows)


def with_gross_error(phantom: Phantom) -> str:
    """The first case id whose contour by ``gross`` is not the one by ``planning``."""
    gross, planning = load_preset("gross"), load_preset("planning")
    ids = (f"case {k}" for k in range(100))
    return next(i for i in ids if (contour(gross, phantom, i) != contour(planning, phantom, i)).mean() > 1e-3)


def panel(phantom: Phantom) -> Figure:
    """The twelve of ``planning`` on one case: axial at the crest, sagittal through a ramus."""
    planning = load_preset("planning")
    drawn = {name: contour(planning, phantom, annotator=name) for name in planning.names}
    axial, sagittal = level(phantom), ramus(phantom)
    rows = []
    for first in range(0, planning.size, 4):
        names = planning.names[first : first + 4]
        rows.append([Cell(f"{name}: {agreement(drawn[name], phantom)}", drawn[name], AXIAL, axial) for name in names])
        rows.append([Cell("", drawn[name], SAGITTAL, sagittal) for name in names])
    return draw(phantom, rows)


def compared(phantom: Phantom, drawn: Mapping[str, Mask]) -> Figure:
    """Several contours in the same two planes."""
    top = [Cell(f"{title}: {agreement(mask, phantom)}", mask, AXIAL, level(phantom)) for title, mask in drawn.items()]
    below = [Cell("", mask, SAGITTAL, ramus(phantom)) for mask in drawn.values()]
    return draw(phantom, [top, below])


def biased(phantom: Phantom) -> Mapping[str, Mask]:
    """The contours of sweeps/bias.yaml: one Dice, three biases."""
    tendencies = (Tendency(SmoothError(1.0, 12.0)), Tendency(HandJitter(0.5, 6.0)))
    panels = {f"bias_mm={b:g}": Panel(tendencies, bias_mm=b, target_dice=0.8) for b in (-2.0, 0.0, 2.0)}
    return {title: contour(panel, phantom) for title, panel in panels.items()}


def contour(panel: Panel, phantom: Phantom, case_id: str = "a", annotator: str = "") -> Mask:
    """What an annotator draws on the phantom, as in training."""
    case = Case(case_id, case_id, "train", None, None, None, annotator)
    return panel.draw(case, phantom.mask, None, SPACING_MM, phantom.hu)


def agreement(drawn: Mask, phantom: Phantom) -> str:
    """Dice and HD95 as a few words."""
    scores = score(drawn, phantom.mask, SPACING_MM)
    return f"Dice {scores['dice']:.3f}, HD95 {scores['hd95_mm']:.1f} mm"


def level(phantom: Phantom) -> int:
    """The axial slice with most of the mandible."""
    return int(phantom.mask.sum(axis=(0, 1)).argmax())


def ramus(phantom: Phantom) -> int:
    """The sagittal slice, in the half at high x, with most of the mandible."""
    size = phantom.mask.sum(axis=(1, 2))
    return int(np.where(np.arange(len(size)) > len(size) // 2, size, 0).argmax())


def draw(phantom: Phantom, rows: Sequence[Sequence[Cell]], title: str = "") -> Figure:
    """A table of pictures with the legend of the two contours below."""
    figure = Figure(figsize=(3.2 * len(rows[0]), 2.65 * len(rows) + 0.5), facecolor="white", layout="constrained")
    figure.suptitle(title, fontsize=10, wrap=True)
    for row, axes in zip(rows, figure.subplots(len(rows), len(rows[0]), squeeze=False), strict=True):
        for cell, ax in zip(row, axes, strict=True):
            index = most_different(cell, phantom) if cell.index is None else cell.index
            draw_plane(ax, phantom.hu, phantom.mask, cell.drawn, SPACING_MM, cell.plane, index, phantom.view)
            ax.set_title(cell.title, fontsize=9)
    lines = [
        Line2D([], [], color=REFERENCE_COLOUR, linestyle="solid"),
        Line2D([], [], color=PREDICTION_COLOUR, linestyle="dashed"),
    ]
    figure.legend(lines, ["reference", "drawn"], loc="outside lower center", ncols=2, fontsize=9, frameon=False)
    return figure


def most_different(cell: Cell, phantom: Phantom) -> int:
    """The slice of the plane's axis in which most voxels differ; one that cuts both contours, if any does."""
    others = tuple({0, 1, 2} - {cell.plane.axis})
    different = (cell.drawn != phantom.mask).sum(axis=others)
    both = cell.drawn.any(axis=others) & phantom.mask.any(axis=others)
    return int(np.where(both, different, 0).argmax() if (both & (different > 0)).any() else different.argmax())


def save(figure: Figure, path: Path) -> None:
    """Write a WebP file, whole or not at all."""
    raw, packed = io.BytesIO(), io.BytesIO()
    figure.savefig(raw, format="png", dpi=DPI)
    Image.open(raw).convert("RGB").save(packed, format="webp", quality=80, method=6)
    with atomic_write(path) as file:
        file.write(packed.getvalue())


if __name__ == "__main__":
    main()
