"""The label of a case that is ranked, with the CT around it: a case of a manifest in, arrays on RAS+ axes out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mandseg.data.case import Case
from mandseg.data.loaded_case import examine
from mandseg.data.manifest import Cohort
from mandseg.data.ranked.label import is_trusted, ranked_label
from mandseg.data.structure import is_same_structure, structure_name
from mandseg.data.volume import Affine, to_canonical
from mandseg.metrics.masks import Mask, Spacing, bounding_box
from mandseg.system.errors import UserError
from mandseg.system.wording import count

Window = tuple[slice, slice, slice]
MARGIN_MM = 40.0  # around the label; bone is not followed farther
FEWEST_CASES = 2  # that can be ordered


@dataclass(frozen=True, eq=False)
class DrawnLabel:
    """A label in a window of its CT, (X, Y, Z) on RAS+ axes.

    Args:
        case: The case.
        mask: The label, bool.
        spacing_mm: Voxel edge lengths.
        hu: The CT in the same window, HU; None without a CT.
        first_slice: Index along z of the window's lowest slice in the whole volume.
        slices: Number of slices of the whole volume.
        affine: From the indices of the whole volume to RAS+ mm; None if nothing was read from files.
    """

    case: Case
    mask: Mask
    spacing_mm: Spacing
    hu: npt.NDArray[Any] | None
    first_slice: int
    slices: int
    affine: Affine | None = None


def cases_to_rank(cohort: Cohort) -> Sequence[Case]:
    """The cases that are not trusted.

    Raises:
        UserError: There are fewer than two, or they show different structures.
    """
    first = cohort.cases[0]
    for case in cohort.cases:
        if not is_same_structure(structure_name(first), structure_name(case)):
            text = f"structure {structure_name(case)}, but {structure_name(first)} in case {first.case_id}"
            raise UserError(f"case {case.case_id}: {text}; rank one structure at a time")
    cases = [case for case in cohort.cases if not is_trusted(case)]
    if len(cases) < FEWEST_CASES:
        n_trusted = len(cohort.cases) - len(cases)
        of_all = f"{len(cohort.cases)} in the manifest, {n_trusted} of them trusted"
        raise UserError(
            f"cohort {cohort.root}: {count(len(cases), 'case')} to rank ({of_all}), expected {FEWEST_CASES} or more"
        )
    return cases


def read_label(case: Case) -> DrawnLabel:
    """Read the ranked label of a case and its CT, in a window around the label; the whole volume if it is empty.

    Raises:
        UserError: One line for each problem of the files.
    """
    label = read_whole(case)
    return cut(label, window_around(label.spacing_mm, label.mask))


def read_whole(case: Case) -> DrawnLabel:
    """:func:`read_label` without a window."""
    alone = replace(case, split="", reference=ranked_label(case), noisy=None)
    volumes, problems = examine(alone)
    if problems:
        raise UserError([line.replace(": reference ", ": label ", 1) for line in problems])
    on_ras = {name: to_canonical(volume) for name, volume in volumes.items()}
    mask = np.asarray(on_ras["reference"].array != 0)
    hu = on_ras["image"].array if "image" in on_ras else None
    grid = on_ras["reference"].geometry
    return DrawnLabel(case, mask, grid.spacing_mm, hu, 0, mask.shape[2], grid.affine)


def window_around(spacing_mm: Spacing, *masks: Mask) -> Window:
    """The window around masks with a margin of 40 mm; the whole grid if all are empty."""
    box = bounding_box(*masks)
    if box is None:
        return slice(0, None), slice(0, None), slice(0, None)
    margins = [int(np.ceil(MARGIN_MM / s)) for s in spacing_mm]
    x, y, z = (slice(max(s.start - m, 0), s.stop + m) for s, m in zip(box, margins, strict=True))
    return x, y, z


def cut(label: DrawnLabel, window: Window) -> DrawnLabel:
    """The part of a label in a window."""
    hu = None if label.hu is None else label.hu[window].copy()
    return replace(label, mask=label.mask[window].copy(), hu=hu, first_slice=label.first_slice + window[2].start)
