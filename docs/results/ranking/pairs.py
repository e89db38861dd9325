"""Scores on real pairs of contours: half of the cases carry the noisy contour, half the reference, in many ways.

python docs/results/ranking/pairs.py cohorts/deepmind docs/results/ranking/observers.csv
python docs/results/ranking/pairs.py cohorts/planning-pairs docs/results/ranking/planners.csv
python docs/results/ranking/pairs.py ... --among data/openkbp --run outputs/openkbp-folds3
"""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import combinations
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd

from mandseg.data.case import Case
from mandseg.data.manifest import read_cohort
from mandseg.ranking.detection.figures import auroc, average_precision, ends, recovered_area, resamples, spearman
from mandseg.ranking.judges.judgement import judgement_of
from mandseg.ranking.label_table import label_table
from mandseg.ranking.ranking import with_outlier
from mandseg.ranking.scores.catalogue import SCORES
from mandseg.ranking.scores.mean_rank import mean_rank
from mandseg.ranking.truth import measured_pairs

MOST_MIXTURES = 200
RANDOM_ORDERS = 2  # of each mixture
COPY_MM = 0.01  # mean distance of two contours of which one is a copy
FIGURES = ("auroc", "average_precision", "spearman", "recovered")


def main() -> None:
    """Write one row for each score: means over the mixtures, with 95 % intervals by a bootstrap over cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", type=Path, help="a cohort in which every case has a reference and a noisy label")
    parser.add_argument("out", type=Path)
    parser.add_argument("--among", type=Path, help="a cohort whose other labels say what is usual")
    parser.add_argument("--run", type=Path, help="a study of networks; cases without a CT are left out then")
    parser.add_argument(
        "--subjects", nargs="*", default=[], help="cases of the other cohort that are of the same people"
    )
    arguments = parser.parse_args()
    cases = [case for case in read_cohort(arguments.pairs).cases if case.noisy and case.reference]
    truth = measured_pairs(cases).set_index("case_id").surface_mm
    cases = [replace(case, groups={}) for case in cases if truth[case.case_id] > COPY_MM]
    cases = [case for case in cases if case.image or not arguments.run]
    names = [case.case_id for case in cases]
    others = read_cohort(arguments.among).cases if arguments.among else ()
    others = [replace(case, groups={}) for case in others if case.case_id not in [*names, *arguments.subjects]]
    noisy, clean = (
        table([*labelled, *others], arguments.run)
        for labelled in (
            [replace(case, reference=None) for case in cases],
            [replace(case, noisy=None) for case in cases],
        )
    )
    error = truth[names].to_numpy(float)
    mixed = [mixture(noisy, clean, names, wrong) for wrong in mixtures(len(cases))]
    rows = []
    for score in SCORES:
        known = all(score.name in scores and scores[score.name].notna().all() for scores, _ in mixed)
        if known and score.needs not in ("annotators", "decoys"):
            each = [(scores[score.name].to_numpy(float), wrong) for scores, wrong in mixed]
            rows.append({"score": score.name, "n": len(cases), "mixtures": len(mixed)} | figures(each, error))
    wrongs = [wrong for _, wrong in mixed] * RANDOM_ORDERS
    orders = [(np.random.default_rng(k).permutation(len(cases)).astype(float), w) for k, w in enumerate(wrongs)]
    rows.append({"score": "random", "n": len(cases), "mixtures": len(mixed)} | figures(orders, error))
    found = pd.DataFrame(rows).sort_values("recovered", ascending=False)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    found.round(4).to_csv(arguments.out, index=False)
    print(found.round(2).to_string(index=False))


def table(cases: list[Case], study: Path | None) -> pd.DataFrame:
    """Measures and scores of the labels of these cases, one row each."""
    found = label_table(cases)
    if study is None:
        return found
    return found.merge(judgement_of(study, cases, {}).table(), on="case_id", how="left", validate="1:1")


def mixtures(n: int) -> Iterable[np.ndarray]:
    """Which of n labels are the noisy ones: all ways to take half of them, or 200 draws of them."""
    if comb(n, n // 2) <= MOST_MIXTURES:
        chosen = [list(each) for each in combinations(range(n), n // 2)]
    else:
        chosen = [np.random.default_rng(k).permutation(n)[: n // 2].tolist() for k in range(MOST_MIXTURES)]
    return [np.isin(np.arange(n), each) for each in chosen]


def mixture(
    noisy: pd.DataFrame, clean: pd.DataFrame, names: list[str], wrong: np.ndarray
) -> tuple[pd.DataFrame, np.ndarray]:
    """The scores of a mixture in the order of the cases, and which of them carry the noisy label."""
    of_noisy = [name for name, is_wrong in zip(names, wrong, strict=True) if is_wrong]
    whole = pd.concat([noisy[noisy.case_id.isin(of_noisy)], clean[~clean.case_id.isin(of_noisy)]], ignore_index=True)
    whole = with_outlier(whole)
    if "redrawn_share" in whole:
        whole["mean_rank"] = mean_rank(whole, whole)
    return whole.set_index("case_id").loc[names], wrong


def figures(each: list[tuple[np.ndarray, np.ndarray]], error_mm: np.ndarray) -> dict[str, float]:
    """Means over mixtures with intervals; a label that is the reference has no error."""
    of: dict[str, Callable[..., np.ndarray]] = {
        "auroc": lambda score, wrong, _: auroc(score, wrong),
        "average_precision": lambda score, wrong, _: average_precision(score, wrong),
        "spearman": lambda score, _, error: spearman(score, error),
        "recovered": lambda score, _, error: recovered_area(score, error),
    }
    found: dict[str, float] = {}
    own = resamples(len(error_mm))
    for name in FIGURES:
        errors = [np.where(wrong, error_mm, 0) for _, wrong in each]
        all_cases = zip(each, errors, strict=True)
        found[name] = float(np.mean([of[name](score, wrong, error) for (score, wrong), error in all_cases]))
        all_cases = zip(each, errors, strict=True)
        drawn = np.array([of[name](score[own], wrong[own], error[own]) for (score, wrong), error in all_cases])
        known = np.isfinite(drawn)
        means = np.where(known, drawn, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        found[f"{name}_low"], found[f"{name}_high"] = ends(means[known.any(axis=0)])
    return found


if __name__ == "__main__":
    main()
