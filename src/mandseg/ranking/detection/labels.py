"""How well scores find wrong labels where the truth is known: scores and true errors in, a table out.

The baseline is a random order with equal shares of the annotators. In 3D it is often as good as an active choice
(nnActive, TMLR 2025), so each score is compared with many such draws.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mandseg.noise.label_plan import noisy_order
from mandseg.ranking.detection.figures import (
    Bools,
    Floats,
    auroc,
    average_precision,
    ends,
    recovered_area,
    resamples,
    spearman,
)
from mandseg.ranking.scores.catalogue import SCORES

RANDOM = "random"
DRAWS = 200  # of the baseline; fixed seeds, so that a table can be repeated
FIGURES = ("auroc", "average_precision", "spearman", "recovered")
LOW_AND_HIGH = tuple(f"{figure}_{end}" for figure in FIGURES for end in ("low", "high"))
COLUMNS = ("score", "n", "n_wrong", *FIGURES, *LOW_AND_HIGH, "above_random")


def detection_table(table: pd.DataFrame, error: "pd.Series[float]", wrong: "pd.Series[bool]") -> pd.DataFrame:
    """One row for each score that all rows have, the best recovered area on top; and the random baseline.

    Columns: number of labels, and of wrong ones; AUROC and average precision of "wrong"; Spearman correlation with the
    true error; recovered area (:func:`mandseg.ranking.detection.figures.recovered_area`); the 95 % interval of each
    (bootstrap over labels, the same resamples for all scores; for the baseline: over its draws); whether the area is
    above 97.5 % of the random draws.

    Args:
        table: ``case_id, annotator`` and the scores.
        error: True error of each label, 0 or more.
        wrong: Which labels count as wrong.
    """
    truth, is_wrong = error.to_numpy(float), wrong.to_numpy(bool)
    draws = np.array([_random_score(table, seed) for seed in range(DRAWS)])
    of_draws = _figures(draws, np.broadcast_to(truth, draws.shape), np.broadcast_to(is_wrong, draws.shape))
    limit, own = float(np.quantile(of_draws["recovered"], 0.975)), resamples(len(truth))
    counts = {"n": len(truth), "n_wrong": int(is_wrong.sum())}
    rows: list[dict[str, Any]] = []
    for score in SCORES:
        if score.name in table and table[score.name].notna().all():
            value = table[score.name].to_numpy(float)
            found = {name: float(number) for name, number in _figures(value, truth, is_wrong).items()}
            ends_of = _intervals(_figures(value[own], truth[own], is_wrong[own]))
            above = {"above_random": int(found["recovered"] > limit)}
            rows.append({"score": score.name} | counts | found | ends_of | above)
    rows.sort(key=lambda row: -row["recovered"])
    means = {name: float(np.mean(values)) for name, values in of_draws.items()}
    rows.append({"score": RANDOM} | counts | means | _intervals(of_draws) | {"above_random": 0})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def sentence(found: pd.DataFrame, by: str, what: str) -> str:
    """Whether the score in use is better than a random order, in words.

    Args:
        found: From :func:`detection_table`.
        by: The score.
        what: What the labels were measured against, e.g. ``the references of 36 cases``.
    """
    row = next((row for row in found.to_dict("records") if row["score"] == by), None)
    if row is None:
        return f"Compared with {what}: the score {by} could not be measured."
    if not row["n_wrong"]:
        return f"Compared with {what}: no label is more wrong than another, so the score {by} could not be measured."
    text = (
        f"Compared with {what}: the order by {by} recovers {100 * row['recovered']:.0f} % of what the best order would"
    )
    if row["above_random"]:
        return f"{text}. This is more than 97.5 % of random orders recover."
    return f"{text}. This is not better than a random order, which costs nothing."


def _figures(score: Floats, error: Floats, wrong: Bools) -> dict[str, Floats]:
    return {
        "auroc": auroc(score, wrong),
        "average_precision": average_precision(score, wrong),
        "spearman": spearman(score, error),
        "recovered": recovered_area(score, error),
    }


def _intervals(values: Mapping[str, Floats]) -> dict[str, float]:
    return dict(zip(LOW_AND_HIGH, (end for figure in FIGURES for end in ends(values[figure])), strict=True))


def _random_score(table: pd.DataFrame, seed: int) -> Floats:
    """Minus the place of each label in a random order that is stratified by annotator."""
    keys = [f"{number:06d}" for number in range(len(table))]
    order: Sequence[str] = noisy_order(dict(zip(keys, table.annotator, strict=True)), seed)
    place = {key: number for number, key in enumerate(order)}
    return np.array([-place[key] for key in keys], float)
