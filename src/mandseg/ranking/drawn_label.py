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
from mandseg.data.volume import to_canonical
from mandseg.metrics.masks import Mask, Spacing, bounding_box
from mandseg.system.errors import UserError

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
    """

    case: Case
    mask: Mask
    spacing_mm: Spacing
    hu: npt.NDArray[Any] | None
    first_slice: int
    slices: int


def cases_to_rank(cohort: Cohort) -> Sequence[Case]:
    """The cases that are not trusted.

    Raises:
        UserError: There are fewer than two.
    """
    cases = [case for case in cohort.cases if not is_trusted(case)]
    if len(cases) < FEWEST_CASES:
        n_trusted = len(cohort.cases) - len(cases)
        of_all = f"{len(cohort.cases)} in the manifest, {n_trusted} of them trusted"
        raise UserError(f"cohort {cohort.root}: {len(cases)} case to rank ({of_all}), expected {FEWEST_CASES} or more")
    return cases


def read_label(case: Case) -> DrawnLabel:
    """Read the ranked label of a case and its CT.

    Raises:
        UserError: One line for each problem of the files.
    """
    alone = replace(case, split="", reference=ranked_label(case), noisy=None)
    volumes, problems = examine(alone)
    if problems:
        raise UserError([line.replace(": reference ", ": label ", 1) for line in problems])
    on_ras = {name: to_canonical(volume) for name, volume in volumes.items()}
    mask = np.asarray(on_ras["reference"].array != 0)
    hu = on_ras["image"].array if "image" in on_ras else None
    return around(DrawnLabel(case, mask, on_ras["reference"].geometry.spacing_mm, hu, 0, mask.shape[2]))


def around(label: DrawnLabel, *masks: Mask) -> DrawnLabel:
    """Cut out the window around a label, and other masks on its grid, with a margin; no cut if all are empty."""
    box = bounding_box(label.mask, *masks)
    if box is None:
        return label
    window = _widened(box, label.mask.shape, label.spacing_mm)
    hu = None if label.hu is None else label.hu[window].copy()
    return replace(label, mask=label.mask[window].copy(), hu=hu, first_slice=label.first_slice + window[2].start)


def _widened(box: tuple[slice, slice, slice], shape: Sequence[int], spacing_mm: Spacing) -> tuple[slice, slice, slice]:
    margins = [int(np.ceil(MARGIN_MM / s)) for s in spacing_mm]
    x, y, z = (slice(max(s.start - m, 0), min(s.stop + m, n)) for s, m, n in zip(box, margins, shape, strict=True))
    return x, y, z
