"""The pairs of a cohort: cropped cases with a reference and a recorded noisy label, in two halves."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mandseg.audit.pair import LabelPair, load_pair
from mandseg.data.case import Case
from mandseg.data.check import COPY_DICE
from mandseg.data.manifest import read_cohort
from mandseg.metrics.masks import dice
from mandseg.noise import Recorded
from mandseg.noise.modes.scene import WINDOW_MM
from mandseg.system.errors import UserError
from mandseg.system.progress import for_each
from mandseg.system.wording import count

FEWEST_PAIRS = 4  # two for the fit and two for the check
Halves = tuple[tuple[LabelPair, ...], tuple[LabelPair, ...]]


def read_pairs(cohort: Path, workers: int | None = None) -> tuple[list[LabelPair], list[str]]:
    """Read the cases of a cohort that have both labels. The CTs are not read.

    Args:
        cohort: A cohort's folder, or its manifest.csv.
        workers: Number of processes; the default depends on the number of cases.

    Returns:
        The pairs in the order of the manifest, and a line for each case that is left out.

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
        raise UserError(f"{cohort}: {count(len(pairs), 'case')} with two drawings, at least {FEWEST_PAIRS} are needed")
    return pairs, notes


def deal(pairs: Sequence[LabelPair]) -> Halves:
    """Divide the subjects into two halves with similar displacement: sort by displacement, then alternate.

    The halves depend only on the recorded drawings. The cases of one subject stay together. The first half can be
    larger.
    """
    by_subject: dict[str, list[LabelPair]] = {}
    for pair in pairs:
        by_subject.setdefault(pair.case.subject_id, []).append(pair)
    ordered = sorted(by_subject.values(), key=lambda own: float(np.mean([pair.displacement_mm for pair in own])))
    first, second = (tuple(pair for own in ordered[k::2] for pair in own) for k in range(2))
    return first, second


def _read_pair(case: Case) -> LabelPair:
    pair = load_pair(case, Recorded())
    labels = {"reference": pair.reference, "noisy": pair.noisy}
    problems = [
        f"case {case.case_id}: the {name} label is empty, 0 of {count(label.size, 'voxel')} are set"
        for name, label in labels.items()
        if not label.any()
    ]
    if problems:
        raise UserError(problems)
    return pair.around(WINDOW_MM)
