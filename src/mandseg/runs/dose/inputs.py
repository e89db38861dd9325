"""The test cases of a run that have a dose, each checked before a network predicts."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from omegaconf import DictConfig, OmegaConf

from mandseg.data.case import Case
from mandseg.data.dose.planned import read_dose
from mandseg.data.dose.sampling import dose_at, uncovered
from mandseg.data.sources import EvaluationSets, with_external
from mandseg.data.volume import Geometry, Volume, read_volume
from mandseg.evaluation.evaluate import unique_cases
from mandseg.metrics.dose.histogram import Gray, Histogram
from mandseg.metrics.dose.pair import DosePair
from mandseg.metrics.mask_pair import MaskPair
from mandseg.metrics.masks import Mask
from mandseg.runs.build import made
from mandseg.system.errors import UserError


@dataclass(frozen=True, eq=False)
class DosedCase:
    """A test case with its reference and its dose."""

    case: Case
    reference: Mask
    grid: Geometry
    dose: Volume

    def pair(self, prediction: Mask) -> tuple[MaskPair, float]:
        """A prediction on the reference's grid beside the reference, both with their doses.

        Returns:
            The pair, and the volume of the prediction outside the grid of the dose, in ml, which has no dose.
        """
        gray = dose_at(self.dose, prediction, self.grid)
        known = np.isfinite(gray)
        of_reference = self._histogram(dose_at(self.dose, self.reference, self.grid))
        doses = DosePair(self._histogram(gray[known]), of_reference)
        pair = MaskPair(prediction, self.reference, self.grid.spacing_mm, self.grid.up, doses)
        return pair, float(np.count_nonzero(~known)) * self.grid.voxel_ml

    def _histogram(self, gray: Gray) -> Histogram:
        return Histogram(gray, self.grid.voxel_ml)


def tested_sets(cfg: DictConfig, manifests: Mapping[str, str]) -> EvaluationSets:
    """The data sets that a run was tested on.

    Args:
        cfg: The settings of the run.
        manifests: Manifests that replace those of the settings, by data set; the empty name is the training cohort.

    Raises:
        UserError: A manifest breaks a rule, or the run has no such data set.
    """
    cfg = copy.deepcopy(cfg)
    for name, manifest in manifests.items():
        key = f"eval.{name}" if name else "data.source.manifest"
        known = name in cfg.eval if name else "manifest" in cfg.data.source
        if not known:
            sets = ", ".join(cfg.eval) or "none"
            what = f"no data set {name!r}, the further ones are: {sets}" if name else "a run without a manifest"
            raise UserError(f"--manifest {f'{name}=' if name else ''}{manifest}: {what}")
        OmegaConf.update(cfg, key, manifest)
    return with_external(made(cfg, "data.source"), cfg.eval, cfg.evaluation.shared_subjects).evaluation


def refuse_bad_doses(sets: Iterable[EvaluationSets]) -> None:
    """Refuse doses that are implausible or do not cover their reference.

    Raises:
        UserError: One line for each such case.
    """
    seen: set[tuple[Path | None, Path | None]] = set()
    problems = []
    for case in (case for each in sets for case in unique_cases(each)):
        key = case.reference, case.dose
        if case.dose is None or key in seen:
            continue
        seen.add(key)
        try:
            load_dosed(case)
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)


def load_dosed(case: Case) -> DosedCase:
    """Read the reference and the dose of a case.

    Raises:
        UserError: One line with the case: a file cannot be read, or the dose is implausible or does not cover the
            reference.
    """
    assert case.reference is not None  # tested_sets refuses test cases without a reference
    assert case.dose is not None
    try:
        label = read_volume(case.reference)
        dose = read_dose(case.dose)
    except UserError as error:
        raise UserError([f"case {case.case_id}: {line}" for line in error.problems]) from error
    mask: Mask = np.rint(np.asarray(label.array)) != 0
    if line := uncovered(dose, mask, label.geometry):
        raise UserError(f"case {case.case_id}: dose {case.dose.name}: {line}")
    return DosedCase(case, mask, label.geometry, dose)
