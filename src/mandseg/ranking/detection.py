"""How well scores find wrong labels where the truth is known: scores and true errors in, a table out.

The baseline is a random order with equal shares of the annotators. In 3D it is often as good as an active choice
(nnActive, TMLR 2025), so each score is compared with many such draws.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from mandseg.noise.label_plan import noisy_order
from mandseg.ranking.scores.catalogue import SCORES

Floats = npt.NDArray[Any]
RANDOM = "random"
DRAWS = 200  # of the baseline; fixed seeds, so that a table can be repeated
RESAMPLES = 500  # of the labels, for intervals; a fixed seed
FIGURES = ("auroc", "average_precision", "spearman", "recovered")
COLUMNS = ("score", "n", "n_wrong", *FIGURES, "recovered_low", "recovered_high", "above_random")


def detection_table(table: pd.DataFrame, error: "pd.Series[float]", wrong: "pd.Series[bool]") -> pd.DataFrame:
    """One row for each score that all rows have, the best recovered area on top; and the random baseline.

    Columns: number of labels, and of wrong ones; AUROC and average precision of "wrong"; Spearman correlation with the
    true error; recovered area (:func:`recovered_area`) with its 95 % interval (bootstrap over labels; for the baseline:
    over its draws); whether the area is above 97.5 % of the random draws.

    Args:
        table: ``case_id, annotator`` and the scores.
        error: True error of each label, 0 or more.
        wrong: Which labels count as wrong.
    """
    truth, is_wrong = error.to_numpy(float), wrong.to_numpy(bool)
    draws = [_random_score(table, seed) for seed in range(DRAWS)]
    of_draws = [recovered_area(draw, truth) for draw in draws]
    limit = float(np.quantile(of_draws, 0.975))
    rows: list[dict[str, Any]] = []
    for score in SCORES:
        if score.name in table and table[score.name].notna().all():
            found = _row(score.name, table[score.name].to_numpy(float), truth, is_wrong)
            ends = _interval(table[score.name].to_numpy(float), truth)
            rows.append(found | ends | {"above_random": int(found["recovered"] > limit)})
    rows.sort(key=lambda row: -row["recovered"])
    each = [_row(RANDOM, draw, truth, is_wrong) for draw in draws]
    means = {name: float(np.mean([row[name] for row in each])) for name in FIGURES}
    means |= {"recovered_low": float(np.quantile(of_draws, 0.025)), "recovered_high": limit}
    rows.append({"score": RANDOM, "n": len(truth), "n_wrong": int(is_wrong.sum()), **means, "above_random": 0})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def auroc(score: Floats, wrong: npt.NDArray[np.bool_]) -> float:
    """Probability that a wrong label has a larger score than a right one, ties half; NaN without one of both."""
    n, m = int(wrong.sum()), int((~wrong).sum())
    if not n or not m:
        return float("nan")
    return float((stats.rankdata(score)[wrong].sum() - n * (n + 1) / 2) / (n * m))


def average_precision(score: Floats, wrong: npt.NDArray[np.bool_]) -> float:
    """Mean precision at each wrong label, in the order of the score; NaN without one. Ties keep the worst order."""
    if not wrong.any():
        return float("nan")
    found = wrong[np.lexsort((wrong, -score))]
    return float((np.cumsum(found)[found] / (np.flatnonzero(found) + 1)).mean())


def recovered_area(score: Floats, error: Floats) -> float:
    """(area of random - area) / (area of random - area of the oracle); 1 for the best order, 0 on average for random.

    The area is that under the error that remains when the first k labels are corrected, over k. So a budget of
    corrections is judged without any training.
    """
    best, own = (_area(error[np.argsort(-key, kind="stable")]) for key in (error, score))
    random = _area(np.full(len(error), error.mean()))
    return (random - own) / (random - best) if random > best else 0.0


def sentence(found: pd.DataFrame, by: str, what: str) -> str:
    """Whether the score in use is better than a random order, in words.

    Args:
        found: From :func:`detection_table`.
        by: The score.
        what: What the labels were measured against, e.g. ``the references of 36 cases``.
    """
    row = next((row for row in found.to_dict("records") if row["score"] == by), None)
    if row is None:
        return f"Against {what} the score {by} could not be measured."
    text = f"Against {what} the score {by} recovers {100 * row['recovered']:.0f} % of what the best order would"
    if row["above_random"]:
        return f"{text}, more than 97.5 % of random orders with equal shares of the annotators."
    return f"{text}. This is not better than a random order with equal shares of the annotators, which costs nothing."


def _interval(score: Floats, error: Floats) -> dict[str, float]:
    drawn = np.random.default_rng(0).integers(len(error), size=(RESAMPLES, len(error)))
    low, high = np.quantile([recovered_area(score[own], error[own]) for own in drawn], [0.025, 0.975])
    return {"recovered_low": float(low), "recovered_high": float(high)}


def _area(ordered_error: Floats) -> float:
    return float((ordered_error.sum() - np.concatenate([[0.0], np.cumsum(ordered_error)])).mean())


def _random_score(table: pd.DataFrame, seed: int) -> Floats:
    """Minus the place of each label in a random order that is stratified by annotator."""
    keys = [f"{number:06d}" for number in range(len(table))]
    order: Sequence[str] = noisy_order(dict(zip(keys, table.annotator, strict=True)), seed)
    place = {key: number for number, key in enumerate(order)}
    return np.array([-place[key] for key in keys], float)


def _row(name: str, score: Floats, error: Floats, wrong: npt.NDArray[np.bool_]) -> dict[str, Any]:
    varies = bool(np.ptp(score)) and bool(np.ptp(error))
    return {
        "score": name,
        "n": len(error),
        "n_wrong": int(wrong.sum()),
        "auroc": auroc(score, wrong),
        "average_precision": average_precision(score, wrong),
        "spearman": float(stats.spearmanr(score, error)[0]) if varies else 0.0,
        "recovered": recovered_area(score, error),
    }
