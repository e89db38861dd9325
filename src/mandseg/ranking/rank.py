"""Ranks a cohort: labels, networks and decoys in, a ranking with what is known of its scores out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mandseg.data.case import Case
from mandseg.data.manifest import Cohort
from mandseg.noise import Panel
from mandseg.ranking.annotators import Annotators, annotators_of
from mandseg.ranking.decoys import decoy_cases, decoy_table, draw_decoys
from mandseg.ranking.detection.labels import detection_table, sentence
from mandseg.ranking.detection.places import places_table
from mandseg.ranking.judges.dynamics import SCORES as OF_TRAINING
from mandseg.ranking.judges.judgement import Judgement
from mandseg.ranking.label_table import label_table
from mandseg.ranking.ranking import Check, Ranking, ordered, with_outlier
from mandseg.ranking.scores.catalogue import SCORES, least_scales
from mandseg.ranking.scores.learned import cross_fitted
from mandseg.ranking.scores.mean_rank import mean_rank
from mandseg.ranking.scores.outlier import distances
from mandseg.ranking.truth import LEAST_CASES, measured_pairs, wrong_labels
from mandseg.system.errors import UserError
from mandseg.system.wording import count, expected_one_of, some_of

LEAST_DICE = 0.7  # median of labels and predictions; below, a network has not learned the structure
FLAGGED_FROM = 0.25  # quantile of the decoys' scores
ALL_KNOWN = "Every network was trained on every case, so there are no scores from predictions"
RECORDED = "give --folds 3, or --run STUDY of networks that were trained with dynamics=5"


@dataclass(frozen=True)
class Wish:
    """What a ranking is made with.

    Args:
        by: The score that decides the order; None: ``mean_rank`` with networks, else ``outlier``.
        panel: Simulated annotators of the decoys; None for no decoys.
        noise_words: The name of their noise, for the reader.
        workers: Number of processes.
    """

    by: str | None = None
    panel: Panel | None = None
    noise_words: str = ""
    workers: int | None = None


def rank_cohort(cohort: Cohort, cases: Sequence[Case], wish: Wish, judgement: Judgement | None = None) -> Ranking:
    """Rank the labels of a cohort.

    Args:
        cohort: The cohort.
        cases: Its cases that take part.
        wish: The score, the decoys.
        judgement: The networks; None to rank by the labels and CTs alone.

    Raises:
        UserError: Files that cannot be used, or a score that needs more.
    """
    networks = judgement.most_networks if judgement else 0
    refuse_score(wish.by, networks, wish.panel is not None, judgement is not None)
    by = wish.by or ("mean_rank" if networks else "outlier")
    table, notes = label_table(cases, wish.workers), list[str]()
    if judgement is not None:
        table = table.merge(judgement.table(), on="case_id", how="left", validate="1:1")
        notes += [*judgement.notes, *(_doubts(table) if networks else [f"{ALL_KNOWN}."])]
        if not networks:
            judgement = None  # it has no prediction to give
    table, checks, threshold = with_outlier(table), list[Check](), None
    if judgement is not None:
        table["mean_rank"] = mean_rank(table, table)
    if by in OF_TRAINING and (by not in table or table[by].isna().all()):
        raise UserError(f"--by {by}: no network was trained on a label that is ranked and recorded it; {RECORDED}")
    if wish.panel is not None:
        table, decoys, words = _with_decoys(table, cases, wish, judgement)
        threshold = float(decoys[by].quantile(FLAGGED_FROM)) if decoys[by].notna().any() else None
        both = pd.concat([table[table.case_id.isin(decoys.case_id)].assign(error=0.0), decoys], ignore_index=True)
        what = f"{len(decoys)} simulated labels ({wish.noise_words})"
        checks.append(_check("decoys", f"Against {what}", what, both, both.error, both.error > 0, by))
        notes += [
            words,
            f"The score learned is trained on such errors ({wish.noise_words}). It may find others less well.",
        ]
    pairs, places = measured_pairs(cases, wish.workers), None
    truth = pairs[pairs.trusted == 0][["case_id", "surface_mm"]].rename(columns={"surface_mm": "true_mm"})
    if len(truth) >= LEAST_CASES:
        both = table.merge(truth, on="case_id", validate="1:1")
        error = both.true_mm
        what = f"the references of {count(int(both[by].notna().sum()), 'case')}"
        checks.append(_check("references", f"Against {what}", what, both, error, wrong_labels(error), by))
        places = _places(both, pairs, cases, judgement)
    ranking = ordered(cohort, table, by, threshold, notes, checks)
    return replace(ranking, places=places, annotators=_annotators(table, pairs))


def refuse_score(by: str | None, networks: int = 0, decoys: bool = False, records: bool = False) -> None:
    """Refuse a score that is unknown, or that needs more networks than judge a case, decoys, or training dynamics.

    Raises:
        UserError: One line with the score and how to get it.
    """
    needs = {score.name: score.needs for score in SCORES}
    if by is None:
        return
    if by not in needs:
        raise UserError(f"--by {by}: {expected_one_of(by, needs)}")
    if needs[by] == "decoys":
        if not decoys:
            raise UserError(f"--by {by}: needs decoys; give --decoys planning, or another noise of conf/noise")
    elif needs[by] == "training dynamics":
        if not records:
            raise UserError(f"--by {by}: needs training dynamics; {RECORDED}")
        if decoys:
            raise UserError(f"--by {by}: no network was trained on a decoy, so none has this score; omit --decoys")
    elif needs[by] != "labels" and not networks:
        raise UserError(f"--by {by}: needs {needs[by]}; give --run STUDY of networks that are done, or --folds 3")
    if needs[by] == "two networks" and networks < 2:
        raise UserError(
            f"--by {by}: needs two networks for a case, {networks} is there; --folds 3 --seeds 2 trains two"
        )


def _doubts(table: pd.DataFrame) -> list[str]:
    """Sentences on cases that no network can judge, and on networks that are not trained enough."""
    notes = []
    if n := int(table.dice_error.isna().sum()):
        notes.append(
            f"{some_of(n, len(table), 'case', 'were')} in the training of every network: ranked last, by outlier."
        )
    if (middle := 1 - float(table.dice_error.median())) < LEAST_DICE:
        text = f"The median Dice of labels and predictions is {middle:.2f}: the networks are not trained enough"
        notes.append(f"{text}, and scores from predictions are worth little; more steps, e.g. steps=4000.")
    return notes


def _with_decoys(
    table: pd.DataFrame, cases: Sequence[Case], wish: Wish, judgement: Judgement | None
) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """The table with the learned score, the same of the decoys, and a sentence on what they were made from."""
    assert wish.panel is not None  # asked by the caller
    sources, words = decoy_cases(cases)
    prepared = list(judgement.prepared.values()) if judgement else []
    drawn = draw_decoys(sources, wish.panel, prepared, wish.workers)
    decoys = decoy_table(drawn)
    if judgement is not None:
        decoys = decoys.join(judgement.of_decoys(drawn))
        biases = table.set_index("case_id").annotator_bias_mm
        decoys["annotator_bias_mm"] = decoys.case_id.map(biases)
    decoys = with_outlier(decoys, table)
    if judgement is not None:
        decoys["mean_rank"] = mean_rank(decoys, table)
    both = pd.concat([table.assign(error=0.0), decoys], ignore_index=True)
    learned = cross_fitted(_features(both, table), both.error.to_numpy(np.float64), list(both.case_id))
    return table.assign(learned=learned[: len(table)]), decoys.assign(learned=learned[len(table) :]), words


def _features(both: pd.DataFrame, cohort: pd.DataFrame) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    """Distances of the measures from the median, signed and not, and the scores that are there."""
    away = distances(both, cohort, least_scales(cohort)).to_numpy(np.float64)
    names = [score.name for score in SCORES if score.name in both and score.needs in ("predictions", "two networks")]
    return np.hstack([away, np.abs(away), both[names].to_numpy(np.float64)])


def _places(
    known: pd.DataFrame, pairs: pd.DataFrame, cases: Sequence[Case], judgement: Judgement | None
) -> pd.DataFrame | None:
    """Whether predictions show where the labels are wrong, over the cases with a reference; None if fewer than five."""
    judged = [] if judgement is None else [name for name in known.case_id if name in judgement.evidence]
    if judgement is None or len(judged) < LEAST_CASES:
        return None
    references = {case.case_id: case.reference for case in cases}
    counts = [
        prediction.wrong_voxels(reference)
        for name in judged
        if (prediction := judgement.prediction(name)) is not None and (reference := references[name]) is not None
    ]
    rows = [frame.set_index("case_id").loc[judged] for frame in (known, pairs)]
    return places_table(np.stack(counts), *rows)


def _annotators(table: pd.DataFrame, pairs: pd.DataFrame) -> Annotators | None:
    """Annotators against references, if there are five or more, else against predictions; None without both."""
    if len(pairs) >= LEAST_CASES:
        return annotators_of(pairs, f"the references of {len(pairs)} cases", is_relative=False)
    if "bias_mm" not in table:
        return None
    judged = table[table.bias_mm.notna() & (table.trusted == 0)]
    return annotators_of(judged, f"the predictions of {count(len(judged), 'case')}", is_relative=True)


def _check(
    name: str, title: str, what: str, both: pd.DataFrame, error: "pd.Series[float]", wrong: "pd.Series[bool]", by: str
) -> Check:
    known = both[by].notna()  # a case that every network knows has no score
    found = detection_table(both[known], error[known], wrong[known])
    return Check(name, title, found, sentence(found, by, what))
