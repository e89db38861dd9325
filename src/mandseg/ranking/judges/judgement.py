"""Judges labels by predictions: a study and a cohort in; scores of its labels and of other labels of it out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from mandseg.data.cache import PreparedCase
from mandseg.data.case import Case
from mandseg.evaluation.prediction.network import TrainedNetwork
from mandseg.ranking.decoys import Decoy
from mandseg.ranking.judges.dynamics import dynamics_table
from mandseg.ranking.judges.evidence import Evidence
from mandseg.ranking.judges.judged import judged_table, limits_of, scores_of
from mandseg.ranking.judges.networks import RankingNetwork, networks_of
from mandseg.ranking.judges.predictions import Prediction, predict, prepare_ranked
from mandseg.system.config_paths import cache_folder
from mandseg.system.progress import for_each
from mandseg.training.dynamics import label_digest


@dataclass(frozen=True)
class Judgement:
    """The networks of a study, and the cases that they can judge.

    Args:
        cases: The cases to rank.
        networks: The networks, with the cases that each of them knows.
        cache: The cache folder.
        notes: Sentences for the reader.
        workers: Number of processes that prepare cases.
    """

    cases: Sequence[Case]
    networks: Sequence[RankingNetwork]
    cache: Path
    notes: Sequence[str] = ()
    workers: int | None = None

    @property
    def most_networks(self) -> int:
        """The largest number of networks that judge a case."""
        return max(len(self.judges(case.case_id)) for case in self.cases)

    def judges(self, case_id: str) -> list[TrainedNetwork]:
        """The networks that do not know a case."""
        return [each.network for each in self.networks if case_id not in each.knows]

    @cached_property
    def prepared(self) -> Mapping[str, PreparedCase]:
        """case_id -> the case with its ranked label on the grid of the networks, if a network judges or recorded it.

        Raises:
            UserError: Cases have no CT, or cannot be used.
        """
        recorded = {record.case_id for each in self.networks for record in each.records}
        used = [case for case in self.cases if case.case_id in recorded or self.judges(case.case_id)]
        made = prepare_ranked(used, self.networks[0].network, self.cache, self.workers)
        return {prepared.case.case_id: prepared for prepared in made}

    @cached_property
    def evidence(self) -> Mapping[str, Evidence]:
        """case_id -> what the prediction says about the ranked label."""
        judged = [case_id for case_id in self.prepared if self.judges(case_id)]
        found = for_each(self._evidence, judged, "Predicting", workers=1)
        return dict(zip(judged, found, strict=True))

    def prediction(self, case_id: str) -> Prediction | None:
        """The prediction of a case; None if every network knows it."""
        judges = self.judges(case_id)
        return predict(self.prepared[case_id], judges, self.cache) if judges else None

    def table(self) -> pd.DataFrame:
        """One row for each case that is judged, or that a network recorded in its training, with the scores."""
        labels = {name: label_digest(np.asarray(case.reference)) for name, case in self.prepared.items()}
        trained = dynamics_table([each.records for each in self.networks], labels)
        if not self.evidence:
            return trained
        judged = judged_table(self.cases, self.evidence)
        return judged if trained.empty else judged.merge(trained, on="case_id", how="outer")

    def of_decoys(self, decoys: Sequence[Decoy]) -> pd.DataFrame:
        """The scores of decoys, in their order; NaN for a case that every network knows."""
        limits = limits_of(self.evidence)
        names = list(scores_of(next(iter(self.evidence.values())), limits))
        rows = [self._of_decoy(decoy, limits) for decoy in decoys]
        return pd.DataFrame(rows, columns=names, dtype=float)

    def _of_decoy(self, decoy: Decoy, limits: tuple[float, float]) -> dict[str, float | None]:
        prediction = self.prediction(str(decoy.row["case_id"]))
        if prediction is None or decoy.mask is None:
            return {}
        return scores_of(prediction.evidence(decoy.mask), limits)

    def _evidence(self, case_id: str) -> Evidence:
        return predict(self.prepared[case_id], self.judges(case_id), self.cache).evidence()


def judgement_of(
    study: Path, cases: Sequence[Case], choice: Mapping[str, str], device: str = "auto", workers: int | None = None
) -> Judgement:
    """The networks of a study for a ranking; the cache is that of the trainings.

    Args:
        study: A study or a run folder.
        cases: The cases to rank.
        choice: Column of the condition -> value, for a study with several conditions.
        device: ``auto``, or a device by torch's name.
        workers: Number of processes that prepare cases.

    Raises:
        UserError: A run is not done, or no network can judge a case.
    """
    networks, notes = networks_of(study, cases, choice, device)
    return Judgement(cases, networks, Path(cache_folder()), notes, workers)
