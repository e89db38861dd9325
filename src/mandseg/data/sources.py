"""The cases of a run: the cohort for training and the named data sets for testing."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mandseg.data.case import Case
from mandseg.data.label_source import AnnotatorPanel
from mandseg.data.manifest import Cohort, read_cohort, refuse_shared_subjects
from mandseg.system.errors import UserError
from mandseg.system.names import checked_name

log = logging.getLogger(__name__)

EvaluationSets = dict[str, tuple[Case, ...]]
LONGEST_PAIR = 225  # bytes of a data set's and a case's name together; a picture's file name may have 255
INTERNAL_TEST = "test"
"""The name of the internal test set, with all its cases."""


@dataclass(frozen=True)
class Sources:
    """A training cohort and the data sets for testing by name, among them the internal test split."""

    training: Cohort
    evaluation: EvaluationSets


def phantoms(cache_dir: str, panel: AnnotatorPanel) -> Sources:
    """Give the phantom cohorts, which are made on first use: training on the clinic, tests on it and on two others."""
    from mandseg.data.phantom import phantom_cohorts

    cohorts = {name: read_cohort(folder) for name, folder in phantom_cohorts(Path(cache_dir), panel).items()}
    return Sources(cohorts["clinic"], {name: cohort.split("test") for name, cohort in cohorts.items()})


def from_manifest(manifest: str, test_sets_by: str | None = None) -> Sources:
    """Read a cohort of the user.

    Args:
        manifest: manifest.csv, or its folder.
        test_sets_by: A further column of the manifest; each of its values makes one more test set, which has the
            value as its name. A case without a value is in none of them. The value ``test`` makes the test set
            ``column=test``, because ``test`` names the complete test set.

    Raises:
        UserError: The manifest breaks a rule, has no such column or no value in it, or a value cannot name a data set.
    """
    cohort = read_cohort(Path(manifest).expanduser())
    test = cohort.split("test")
    return Sources(cohort, {INTERNAL_TEST: test} | (_grouped(test, test_sets_by) if test_sets_by is not None else {}))


def with_external(sources: Sources, external: Mapping[str, str], shared_subjects: Iterable[str] = ()) -> Sources:
    """Add the test split of further data sets (name -> manifest) and refuse subjects of the training.

    Raises:
        UserError: A name is taken, a manifest breaks a rule, or a subject is in training and in a test set.
    """
    sets = dict(sources.evaluation)
    for name, manifest in external.items():
        checked_name("eval: data set", name)
        if name in sets:
            raise UserError(f"eval.{name}: the name is taken, the data sets are {', '.join(sets)}")
        sets[name] = read_cohort(Path(manifest).expanduser()).split("test")
    _refuse_picture_names(sets)
    seen = [case for case in sources.training.cases if case.split != "test"]
    tested = {(case.case_id, case.image): case for cases in sets.values() for case in cases}
    refuse_shared_subjects(seen, tested.values(), shared_subjects)
    without = [f"case {c.case_id}: no reference label to test against" for c in tested.values() if c.reference is None]
    if without:
        raise UserError(without)
    return Sources(sources.training, sets)


def _grouped(test: tuple[Case, ...], column: str) -> EvaluationSets:
    """Group the test set by the sorted values of a column; cases with an empty cell are left out and logged."""
    values = {case: _group(case, column) for case in test}
    without = [case.case_id for case, value in values.items() if not value]
    if len(without) == len(test):
        raise UserError(f"test_sets_by={column}: all {len(test)} test cases have an empty cell in this column")
    if without:
        text = "%d of %d test cases (first: %s) have no %s: they are in the test set %s and in none of its groups"
        log.warning(text, len(without), len(test), without[0], column, INTERNAL_TEST)
    names = {
        value: value if value != INTERNAL_TEST else f"{column}={value}" for value in sorted(set(values.values()) - {""})
    }
    for value, name in names.items():
        checked_name(f"test_sets_by={column}: data set", name)
        if value != name and name in names:
            raise UserError(
                f"test_sets_by={column}: two data sets would be called {name}; rename the value {INTERNAL_TEST}"
            )
    return {name: tuple(case for case in test if values[case] == value) for value, name in names.items()}


def _refuse_picture_names(sets: EvaluationSets) -> None:
    """Refuse names of data sets and cases that give a picture too long a file name, or one that is taken."""
    owners: dict[str, str] = {}
    problems = []
    for name, cases in sets.items():
        for case in cases:
            file, owner = f"{name}--{case.case_id}", f"case {case.case_id} of data set {name}"
            if len(file.encode()) > LONGEST_PAIR:
                problems.append(f"{owner}: {len(file.encode())} bytes together, expected {LONGEST_PAIR} or fewer")
            if owners.setdefault(file, owner) != owner:
                problems.append(f"{owner}: its picture would have the same file name as the picture of {owners[file]}")
    if problems:
        raise UserError(problems)


def _group(case: Case, column: str) -> str:
    if column not in case.groups:
        raise UserError(f"case {case.case_id}: the manifest has no column {column!r} to split the test set by")
    return case.groups[column]
