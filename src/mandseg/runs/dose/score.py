"""Scores the dose of a study's predictions, without a new training: dose.csv in each run folder.

A run that saved its predictions is scored from them. Otherwise its network predicts the test cases again, from the
checkpoint with which it was tested. Every prediction is compared with its Dice in cases.csv.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from mandseg.data.case import Case
from mandseg.data.loaded_case import load_case
from mandseg.data.sources import EvaluationSets
from mandseg.data.volume import Geometry, read_volume
from mandseg.evaluation.evaluate import key_of, unique_cases
from mandseg.evaluation.prediction.network import TrainedNetwork
from mandseg.metrics.catalogue import metric_named
from mandseg.metrics.declaration import declared_levels_gy
from mandseg.metrics.dose.catalogue import Measure, measures
from mandseg.metrics.dose.pair import dose_scores
from mandseg.metrics.masks import Mask
from mandseg.runs.dose.inputs import load_dosed, refuse_bad_doses, tested_sets
from mandseg.runs.dose.table import columns, file_digest
from mandseg.runs.folder import RECORD, RunFolder
from mandseg.runs.grid_file import refuse_no_study
from mandseg.runs.ownership import refuse_foreign_dose
from mandseg.runs.tables import read_table
from mandseg.runs.trained.load import checkpoint_of, load_network, read_settings
from mandseg.system.errors import UserError
from mandseg.system.files import csv_text, write_text
from mandseg.system.progress import for_each
from mandseg.system.wording import count

FORMAT = 2  # part of every origin; increase it when a score changes its meaning
SAME_DICE = 0.01  # other arithmetic (bf16 on a GPU, float32 here) changes single voxels

Row = dict[str, Any]


@dataclass(frozen=True)
class _Run:
    """A done run with the data sets of its test."""

    files: RunFolder
    cfg: DictConfig
    sets: EvaluationSets
    device: str

    @cached_property
    def cases(self) -> pd.DataFrame:
        """Its cases.csv by data set and case."""
        table = read_table(self.files.cases_file, ["dataset", "case_id", "dice"])
        if isinstance(table, str):
            raise UserError(f"run {self.files.path.name}: {table}")
        return table.set_index(["dataset", "case_id"])

    @cached_property
    def network(self) -> TrainedNetwork:
        """Its network; loaded once, and not at all if every prediction was saved."""
        return load_network(self.files.path, device=self.device)

    def saved(self, case: Case) -> Path | None:
        """The saved prediction of a case, if there is exactly one of this name."""
        found = list(self.files.predictions(keep=True).glob(f"{escape(case.case_id)}-??????.nii.gz"))
        return found[0] if len(found) == 1 else None

    def prediction(self, case: Case, grid: Geometry) -> Mask:
        """The predicted mask on the grid of the reference.

        Raises:
            UserError: A saved prediction lies on another grid.
        """
        if (file := self.saved(case)) is not None:
            volume = read_volume(file)
            if difference := volume.geometry.disagreement(grid):
                raise UserError(f"case {case.case_id}: prediction {file.name}: {difference} of the reference")
            return np.asarray(volume.array != 0)
        image = load_case(case).image
        return np.asarray(self.network.predictor.mask(image, self.network.smallest_piece).array, dtype=np.bool_)

    def origin(self, case: Case, found: Sequence[Measure]) -> str:
        """A digest of everything that the scores of a case are made from."""
        saved = self.saved(case)
        made_by = saved or checkpoint_of(self.files.path, self.cfg)
        files = [file_digest(file) for file in (made_by, case.image, case.reference, case.dose) if file is not None]
        words = [FORMAT, saved is not None, *files, *(measure.name for measure in found)]
        return hashlib.sha256(repr(words).encode()).hexdigest()[:16]


def score_study(
    study: Path, manifests: Mapping[str, str], levels_gy: Sequence[float], device: str = "auto"
) -> Iterator[str]:
    """Write dose.csv into every done run of a study and yield a line for each; a run whose file still holds is kept.

    Args:
        study: The study folder.
        manifests: Manifests with doses that replace those of the runs, see
            :func:`mandseg.runs.dose.inputs.tested_sets`.
        levels_gy: The doses of the V-levels, in Gy; those with a declared margin are added.
        device: Where the networks predict; ``auto``: a GPU if there is one.

    Raises:
        UserError: No run is done, no test case has a dose, a dose is refused, a prediction is not that of the test, or
            a run folder has a dose.csv of another origin.
    """
    refuse_no_study(study)
    folders = [RunFolder(file.parent) for file in sorted(study.glob(f"*/{RECORD}"))]
    done = [folder for folder in folders if folder.is_done()]
    if not done:
        raise UserError(f"study {study}: no run is done ({len(folders)} are there)")
    for files in done:
        refuse_foreign_dose(files.path)
    runs = [_Run(files, cfg := read_settings(files), tested_sets(cfg, manifests), device) for files in done]
    found = measures(
        [
            *levels_gy,
            *(gray for run in runs for gray in declared_levels_gy(run.files.declared_analysis(run.files.record()))),
        ]
    )
    if not any(case.dose for run in runs for case in unique_cases(run.sets)):
        raise UserError(
            f"study {study}: no test case has a dose; add the column dose to the manifest, or name one with --manifest"
        )
    refuse_bad_doses(run.sets for run in runs)
    for run in runs:
        yield f"{run.files.path.name}: {_score_run(run, found)}"
    for folder in folders:
        if folder not in done:
            yield f"{folder.path.name}: left out, it is {folder.state().state}"


def _score_run(run: _Run, found: Sequence[Measure]) -> str:
    tested = set(run.cases.index)
    wanted = {
        key_of(case): case
        for name, cases in run.sets.items()
        for case in cases
        if case.dose is not None and (name, case.case_id) in tested
    }
    if not wanted:
        return "no tested case has a dose"
    origins = {key: run.origin(case, found) for key, case in wanted.items()}
    places = [
        (name, case)
        for name, cases in run.sets.items()
        for case in cases
        if key_of(case) in wanted and (name, case.case_id) in tested
    ]
    if _still_holds(run, [(name, case.case_id, origins[key_of(case)]) for name, case in places], found):
        return f"{count(len(wanted), 'case')}, as before"
    scored = dict(
        zip(
            wanted,
            for_each(lambda case: _score_case(run, case, found), list(wanted.values()), "Dose", workers=1),
            strict=True,
        )
    )
    of_cases = file_digest(run.files.cases_file)
    rows = []
    for name, case in places:
        _refuse_another_prediction(run, name, case, scored[key_of(case)])
        place = {"run": run.files.path.name, "dataset": name, "case_id": case.case_id}
        origin = {"cases": of_cases, "made_from": origins[key_of(case)]}
        rows.append(place | scored[key_of(case)] | origin)
    write_text(run.files.dose_file, csv_text(columns(found), rows))
    return count(len(wanted), "case")


def _score_case(run: _Run, case: Case, found: Sequence[Measure]) -> Row:
    dosed = load_dosed(case)
    pair, outside_ml = dosed.pair(run.prediction(case, dosed.grid))
    assert case.dose is not None
    return {
        "outcome": pair.outcome,
        "dice": metric_named("dice").measure(pair),
        **dose_scores(pair, found),
        "outside_ml": outside_ml,
        "voxel_ml": dosed.grid.voxel_ml,
        "dose": file_digest(case.dose),
        "dose_file": str(case.dose.absolute()),
    }


def _refuse_another_prediction(run: _Run, dataset: str, case: Case, row: Row) -> None:
    """Refuse a prediction that is not that of the test: other images, labels or weights.

    Raises:
        UserError: One line with both Dice.
    """
    tested, now = float(run.cases.dice[dataset, case.case_id]), float(row["dice"])
    if not abs(now - tested) <= SAME_DICE:
        raise UserError(
            f"run {run.files.path.name}: case {case.case_id}: Dice {now:.3f} now, {tested:.3f} in its test; "
            "are the images, references and weights those of the test?"
        )


def _still_holds(run: _Run, wanted: Sequence[tuple[str, str, str]], found: Sequence[Measure]) -> bool:
    table = read_table(run.files.dose_file, columns(found))
    if isinstance(table, str) or set(table.cases) != {file_digest(run.files.cases_file)}:
        return False
    return wanted == list(zip(table.dataset, table.case_id, table.made_from, strict=True))
