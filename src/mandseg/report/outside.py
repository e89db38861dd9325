"""A study and its arms as they may leave the machine: the same numbers, without people, subjects, folders and hosts."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from mandseg.report.figure_set import OF_PEOPLE
from mandseg.report.section import Section
from mandseg.report.settings import PHASES
from mandseg.report.wording import count
from mandseg.runs.study import Study
from mandseg.runs.tables import NUMBERS
from mandseg.statistics.columns import CONDITION
from mandseg.tracking.redaction import without_folders_in_overrides

SHARED = "shared"
"""The folder in a report that holds what ``mandseg sync`` sends of it; nothing else of a report is sent."""
CASES = ("run", *CONDITION, "variant", "dataset", "case_id", "outcome", *NUMBERS)
"""Columns of the cases outside. Whatever else a run's cases.csv holds stays here: subjects, annotators, groups."""
RUNS = ("run", *CONDITION, "variant", "state", "steps", "device", "precision", "started", "ended", *PHASES)
"""Columns of the runs outside, with the counts of their training cases. Hosts, overrides and reasons stay here."""
COUNTS = ("n_noisy", "n_training")


def outside_study(study: Study) -> Study:
    """A study for readers outside.

    Errors and problems quote files and hosts, so only their number is given; settings that tell arms apart are in the
    arms' titles. Of run.json, versions are kept.
    """
    found = count(len(study.problems), "problem")
    problems = (f"{found} of the runs: see the report in the study folder",) if study.problems else ()
    notes = tuple(note.partition(":")[0] for note in study.declaration.notes)  # behind it, the words of an error
    return replace(
        study,
        ledger=_shown(study.ledger, (*RUNS, *COUNTS)).assign(reason=""),
        cases=_shown(study.cases, CASES),
        records={run: record.outside() for run, record in study.records.items()},
        problems=problems,
        told_apart=(),
        declaration=replace(study.declaration, notes=notes),
    )


def outside_section(part: Section) -> Section:
    """An arm for readers outside, without the noise by annotator; its title is to be made anew."""
    fixed = {key: without_folders_in_overrides(str(v)) if key == "variant" else v for key, v in part.fixed.items()}
    figures = {part_of_page: own for part_of_page, own in part.figures.items() if part_of_page not in OF_PEOPLE}
    return replace(part, fixed=fixed, noise=None, figures=figures)


def names_people(by: tuple[str, ...]) -> bool:
    """Whether groups of cases are told apart by who contoured them: such a report stays here."""
    return "annotator" in by


def _shown(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The columns that are there, in their order; of the variant, no folder."""
    kept = table[list(dict.fromkeys(column for column in columns if column in table))]
    return kept.assign(variant=kept.variant.map(without_folders_in_overrides)) if "variant" in kept else kept
