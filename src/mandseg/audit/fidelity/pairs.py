"""The pairs of a cohort: cases with a reference and a recorded noisy label, cut out, in two halves."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from mandseg.data.case import Case
from mandseg.data.check import COPY_DICE
from mandseg.data.loaded_case import examine
from mandseg.data.manifest import read_cohort
from mandseg.data.volume import Volume, to_canonical
from mandseg.metrics.displacement import Surface, find_surface, measure_deviation
from mandseg.metrics.masks import bounding_box
from mandseg.metrics.regions import Mask, Spacing
from mandseg.noise.modes.scene import WINDOW_MM, Scene, Window, look_at
from mandseg.system.errors import UserError
from mandseg.system.progress import for_each

FEWEST_PAIRS = 4  # two to fit and two to check on, both ways


@dataclass(frozen=True, eq=False)
class Pair:
    """One case drawn twice, on RAS+ axes, in the window that a simulated annotator sees."""

    case: Case
    reference: Mask  # (X, Y, Z)
    noisy: Mask
    spacing_mm: Spacing

    @cached_property
    def view(self) -> tuple[Scene, Window]:
        """The reference as a simulated annotator sees it, and where in the window."""
        return look_at(self.reference, self.spacing_mm)

    @cached_property
    def surface(self) -> Surface:
        """The reference's, which all drawings are measured against."""
        return find_surface(self.reference, self.spacing_mm)

    @cached_property
    def displacement_mm(self) -> float:
        """How far the recorded drawing lies outside the reference, on average over its surface."""
        mean_mm = measure_deviation(self.noisy, self.reference, self.spacing_mm, self.surface).mean_mm()
        assert mean_mm is not None  # a reference that is not empty has a surface
        return mean_mm


Halves = tuple[tuple[Pair, ...], tuple[Pair, ...]]


def read_pairs(cohort: Path, workers: int | None = None) -> tuple[list[Pair], list[str]]:
    """Read the cases of a cohort that have both labels; the CTs are not needed.

    Args:
        cohort: A cohort's folder, or its manifest.csv.
        workers: Processes that read; default by the number of cases.

    Returns:
        The pairs in the manifest's order, and a line for each case left out: one label only, or two that are a copy.

    Raises:
        UserError: One line for each label that cannot be used, or too few pairs.
    """
    cases = read_cohort(cohort).cases
    both = [case for case in cases if case.reference and case.noisy]
    notes = [f"case {case.case_id} left out: one label only" for case in cases if case not in both]
    pairs = []
    for pair in for_each(_read_pair, both, "Reading", workers):
        if dice(pair.noisy, pair.reference) >= COPY_DICE:
            notes.append(f"case {pair.case.case_id} left out: its two labels are one drawing and a copy of it")
        else:
            pairs.append(pair)
    if len(pairs) < FEWEST_PAIRS:
        raise UserError(f"{cohort}: {len(pairs)} cases have two drawings, at least {FEWEST_PAIRS} are needed")
    return pairs, notes


def deal(pairs: Sequence[Pair]) -> Halves:
    """Deal the subjects out into two halves that are displaced alike: in order of their displacement, in turn.

    A property of the recorded drawings alone. The cases of one subject stay together; the first half may be larger.
    """
    by_subject: dict[str, list[Pair]] = {}
    for pair in pairs:
        by_subject.setdefault(pair.case.subject_id, []).append(pair)
    ordered = sorted(by_subject.values(), key=lambda own: float(np.mean([pair.displacement_mm for pair in own])))
    first, second = (tuple(pair for own in ordered[k::2] for pair in own) for k in range(2))
    return first, second


def dice(drawn: Mask, reference: Mask) -> float:
    """Dice of two masks that are not empty."""
    return float(2 * np.count_nonzero(drawn & reference) / (np.count_nonzero(drawn) + np.count_nonzero(reference)))


def _read_pair(case: Case) -> Pair:
    volumes, problems = examine(Case(case.case_id, case.subject_id, case.split, None, case.reference, case.noisy))
    problems += [
        f"case {case.case_id}: the {name} label is empty, 0 of {volume.array.size} voxels are set"
        for name, volume in volumes.items()
        if not volume.array.any()
    ]
    if problems:
        raise UserError(problems)
    reference, noisy = (to_canonical(volumes[name]) for name in ("reference", "noisy"))
    return _cut_out(case, reference, noisy)


def _cut_out(case: Case, reference: Volume, noisy: Volume) -> Pair:
    masks = [np.asarray(volume.array != 0) for volume in (reference, noisy)]
    spacing_mm = reference.geometry.spacing_mm
    box = bounding_box(*masks)
    assert box is not None  # neither is empty
    margins = [int(np.ceil(WINDOW_MM / s)) for s in spacing_mm]
    x, y, z = (
        slice(max(side.start - margin, 0), min(side.stop + margin, n))
        for side, margin, n in zip(box, margins, masks[0].shape, strict=True)
    )
    return Pair(case, masks[0][x, y, z].copy(), masks[1][x, y, z].copy(), spacing_mm)
