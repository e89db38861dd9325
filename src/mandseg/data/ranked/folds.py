"""Folds of a cohort for networks that do not know the cases whose labels they judge; conf/data/fold.yaml.

A training learns from the labels that are ranked, whatever they are worth. So a cohort without any reference has a
validation and a test, too: on left-out cases against those labels. Both only watch the training.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mandseg.data import splits
from mandseg.data.case import Case
from mandseg.data.manifest import Cohort, read_cohort
from mandseg.data.ranked.label import ranked_label
from mandseg.data.sources import Sources
from mandseg.system.errors import UserError
from mandseg.system.wording import count

LEFT_OUT = "left_out"
"""The data set of the test: one left-out case."""


def from_fold(manifest: str, folds: int, fold: int, split: str = "") -> Sources:
    """The cases of a cohort without those of one fold, with their ranked labels as references.

    Args:
        manifest: manifest.csv, or its folder.
        folds: Number of folds.
        fold: The fold that is left out, from 0.
        split: Only cases of this split; empty: all cases.

    Raises:
        UserError: The manifest breaks a rule, the folds do not fit the subjects, or no case is left for the training.
    """
    cohort = read_cohort(Path(manifest).expanduser())
    cases = [case for case in cohort.cases if split in ("", case.split)]
    numbers = fold_of_cases(cases, folds)
    if not 0 <= fold < folds:
        raise UserError(f"data.fold={fold}: expected 0 to {folds - 1}, below data.folds={folds}")
    labelled = [replace(case, reference=ranked_label(case), noisy=None) for case in cases]
    left_out = [case for case in labelled if numbers[case.case_id] == fold]
    training = [case for case in labelled if numbers[case.case_id] != fold]
    tested = left_out[0]
    watched = next((case for case in left_out if case.subject_id != tested.subject_id), training[-1])
    used = [replace(case, split="train") for case in training if case.subject_id != watched.subject_id]
    if not used:
        n = len({case.subject_id for case in cases})
        raise UserError(
            f"data.folds={folds} of {count(n, 'subject')}: no case is left for the training, expected more subjects"
        )
    return Sources(Cohort(cohort.root, (*used, replace(watched, split="val"))), {LEFT_OUT: (tested,)})


def fold_of_cases(cases: Sequence[Case], folds: int, seed: int = 0) -> dict[str, int]:
    """case_id -> its fold, from 0. All cases of a subject are in one fold; each annotator is spread over all folds.

    Subjects are drawn in random order and sorted by annotator. Each goes to the fold with the fewest cases so far.

    Args:
        cases: The cases, in any order.
        folds: Number of folds.
        seed: The same seed and the same subjects give the same folds.

    Raises:
        UserError: Fewer than two folds, or more than there are subjects.
    """
    return splits.fold_of_cases(cases, folds, seed, lambda own: own[-1].annotator)
