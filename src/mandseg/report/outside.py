"""A study and its arms for readers outside: the same numbers, without people, subjects, folders and hosts."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from mandseg.metrics.dose.catalogue import columns_of, measures_of
from mandseg.report.figure_set import OF_PEOPLE
from mandseg.report.section import Section
from mandseg.report.settings import PHASE_COLUMNS
from mandseg.runs.study import Study
from mandseg.runs.tables import NUMBERS
from mandseg.statistics.columns import CONDITION
from mandseg.system.wording import count
from mandseg.tracking.redaction import without_folders_in_overrides

CASES = ("run", *CONDITION, "variant", "dataset", "case_id", "outcome", *NUMBERS)
"""Columns of the cases for readers outside: no subjects, annotators or groups."""
RUNS = ("run", *CONDITION, "variant", "state", "steps", "device", "precision", "started", "ended", *PHASE_COLUMNS)
"""Columns of the runs for readers outside, beside ``COUNTS``: no hosts, overrides or reasons."""
COUNTS = ("n_noisy", "n_training")


def outside_study(study: Study) -> Study:
    """A study for readers outside.

    Errors and problems quote files and hosts, so only their number is kept. Settings that distinguish arms are in the
    titles of the arms. Of run.json only the versions are kept.
    """
    n_problems = count(len(study.problems), "problem")
    problems = (f"{n_problems} of the runs: see the report in the study folder",) if study.problems else ()
    notes = tuple(note.partition(":")[0] for note in study.declaration.notes)  # an error message follows the colon
    scores = columns_of(measures_of(study.cases.columns))
    return replace(
        study,
        ledger=_kept_columns(study.ledger, (*RUNS, *COUNTS)).assign(reason=""),
        cases=_kept_columns(study.cases, (*CASES, *scores)),
        records={run: record.outside() for run, record in study.records.items()},
        problems=problems,
        arm_differences=(),
        declaration=replace(study.declaration, notes=notes),
    )


def outside_section(part: Section) -> Section:
    """An arm for readers outside, without the noise by annotator. The caller makes a new title."""
    fixed = {key: without_folders_in_overrides(str(v)) if key == "variant" else v for key, v in part.fixed.items()}
    figures = {part_of_page: own for part_of_page, own in part.figures.items() if part_of_page not in OF_PEOPLE}
    return replace(part, fixed=fixed, noise=None, figures=figures)


def names_people(by: tuple[str, ...]) -> bool:
    """Whether cases are grouped by annotator. Such a report has no part for readers outside."""
    return "annotator" in by


def _kept_columns(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The columns that exist, in the given order; folders in the variant are removed."""
    kept = table[list(dict.fromkeys(column for column in columns if column in table))]
    return kept.assign(variant=kept.variant.map(without_folders_in_overrides)) if "variant" in kept else kept
