"""Networks that do not know a case: the runs of a study in, for each case the networks that were not trained on it."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mandseg.data.case import Case
from mandseg.evaluation.prediction.network import TrainedNetwork, refuse_different
from mandseg.ranking.judges.dynamics import same_moments
from mandseg.runs.build import made
from mandseg.runs.folder import RunFolder
from mandseg.runs.tables import read_table
from mandseg.runs.trained.choice import all_runs
from mandseg.runs.trained.load import load_network, read_settings
from mandseg.system.errors import UserError, user_error_behind
from mandseg.system.wording import count
from mandseg.training.dynamics import Record, read_dynamics


@dataclass(frozen=True)
class RankingNetwork:
    """A trained network, the cases of the cohort that it must not judge, and the records of its training, if any."""

    network: TrainedNetwork
    knows: frozenset[str]
    records: Sequence[Record] = ()


def networks_of(
    study: Path, cases: Sequence[Case], choice: Mapping[str, str], device: str = "auto"
) -> tuple[list[RankingNetwork], list[str]]:
    """Load the networks of a study, and find which cases each of them knows.

    A network knows a case if the case, its subject or its image was in the training; also in the validation, where the
    validation chose the checkpoint.

    Args:
        study: A study or a run folder.
        cases: The cases to rank.
        choice: Column of the condition -> value, for a study with several conditions.
        device: ``auto``, or a device by torch's name.

    Returns:
        The networks; a note if the cohort of runs could not be read, or if their records cannot be compared.

    Raises:
        UserError: A run is not done; the networks have no mean; or every network knows every case.
    """
    found, unread = [], 0
    for folder in all_runs(study, choice):
        known, is_whole = known_cases(folder, cases)
        unread += not is_whole
        records = read_dynamics(RunFolder(folder).dynamics_file)
        found.append(RankingNetwork(load_network(folder, device=device), known, records))
    refuse_different([each.network for each in found])
    names = {case.case_id for case in cases}
    if all(each.knows >= names and names.isdisjoint(r.case_id for r in each.records) for each in found):
        text = f"all its networks ({len(found)}) were trained on all cases ({len(cases)})"
        raise UserError(f"study {study}: {text}; --folds 3 trains networks that do not know the cases they judge")
    notes = []
    if unread:
        text = "The networks' training cases were compared by name only, because their manifest cannot be read from"
        notes.append(f"{text} here ({unread} of {count(len(found), 'network')}).")
    if not same_moments([each.records for each in found]):
        notes.append("Scores from training dynamics are left out: the networks recorded them at different steps.")
        found = [replace(each, records=()) for each in found]
    return found, notes


def known_cases(run_folder: Path, cases: Sequence[Case]) -> tuple[frozenset[str], bool]:
    """The cases that a run was trained on, and whether subjects and images could be compared, too, not only names.

    Raises:
        UserError: The run has no table of its training cases.
    """
    plan = read_table(RunFolder(run_folder).plan_file, ["case_id"])
    if isinstance(plan, str):
        raise UserError(f"run {run_folder.name}: {plan}; its training cases are not known")
    names = set(plan.case_id.astype(str))
    try:
        cfg = read_settings(RunFolder(run_folder))
        learned = ("train", "val") if cfg.evaluation.checkpoint == "best" else ("train",)
        trained = [case for case in made(cfg, "data.source").training.cases if case.split in learned]
        is_whole = True
    except Exception as error:
        if user_error_behind(error) is None:
            raise
        trained, is_whole = [], False
    subjects, images = {case.subject_id for case in trained}, set(_images(trained))
    names |= {case.case_id for case in trained}
    known = [c for c in cases if c.case_id in names or c.subject_id in subjects or images & set(_images([c]))]
    return frozenset(case.case_id for case in known), is_whole


def _images(cases: Iterable[Case]) -> list[str]:
    return [os.path.realpath(case.image) for case in cases if case.image is not None]
