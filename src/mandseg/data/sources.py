"""Where a run's cases come from: the cohort it trains on and the named data sets it is tested on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mandseg.data.case import Case
from mandseg.data.label_source import AnnotatorPanel
from mandseg.data.manifest import Cohort, read_cohort, refuse_shared_subjects
from mandseg.system.errors import UserError

EvaluationSets = dict[str, tuple[Case, ...]]


@dataclass(frozen=True)
class Sources:
    """A training cohort and the data sets to test on, by name; the internal test split is one of them."""

    training: Cohort
    evaluation: EvaluationSets


def phantoms(cache_dir: str, panel: AnnotatorPanel) -> Sources:
    """The embedded phantom cohorts, made on first use: train on the clinic, test on it and on two external ones."""
    from mandseg.data.phantom import phantom_cohorts

    cohorts = {name: read_cohort(folder) for name, folder in phantom_cohorts(Path(cache_dir), panel).items()}
    return Sources(cohorts["clinic"], {name: cohort.split("test") for name, cohort in cohorts.items()})


def from_manifest(manifest: str, test_sets_by: str | None = None) -> Sources:
    """A cohort of the user's.

    Args:
        manifest: manifest.csv, or its folder.
        test_sets_by: A further column of the manifest; each of its values makes one more test set, of its own name.
    """
    cohort = read_cohort(Path(manifest))
    test = cohort.split("test")
    sets: EvaluationSets = {"test": test}
    if test_sets_by is not None:
        for value in sorted({_group(case, test_sets_by) for case in test}):
            sets[value] = tuple(case for case in test if case.groups[test_sets_by] == value)
    return Sources(cohort, sets)


def with_external(sources: Sources, external: Mapping[str, str], shared_subjects: Iterable[str] = ()) -> Sources:
    """Add further data sets (name to manifest, their test split) and refuse subjects that were trained on.

    Raises:
        UserError: A name is taken, a manifest is wrong, or a subject is in training and in a test set.
    """
    sets = dict(sources.evaluation)
    for name, manifest in external.items():
        if name in sets:
            raise UserError(f"eval.{name}: the name is taken, the data sets are {', '.join(sets)}")
        sets[name] = read_cohort(Path(manifest)).split("test")
    seen = [case for case in sources.training.cases if case.split != "test"]
    tested = {(case.case_id, case.image): case for cases in sets.values() for case in cases}
    refuse_shared_subjects(seen, tested.values(), shared_subjects)
    without = [f"case {c.case_id}: no reference label to test against" for c in tested.values() if c.reference is None]
    if without:
        raise UserError(without)
    return Sources(sources.training, sets)


def _group(case: Case, column: str) -> str:
    if column not in case.groups:
        raise UserError(f"case {case.case_id}: the manifest has no column {column!r} to split the test set by")
    return case.groups[column]
