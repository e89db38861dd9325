"""Mean rank: what is unusual in the cohort and what the prediction contradicts, each by its place among the labels."""

import numpy as np
import pandas as pd
from scipy import stats

COMBINED = ("outlier", "redrawn_share")


def mean_rank(table: pd.DataFrame, cohort: pd.DataFrame) -> "pd.Series[float]":
    """Mean over ``outlier`` and ``redrawn_share`` of the share of the cohort's labels with a lower score, ties half.

    Each score misses errors that the other finds. If contours of half of the cases are too wide, networks that learned
    from them predict something between, and right contours are as far from it as wrong ones. Errors that leave volume
    and HU as they are look usual in the cohort. Ranks are averaged, because the scores have no common unit (Borda
    count).

    Args:
        table: The labels, with both scores; NaN gives NaN.
        cohort: The labels to compare with; labels without both scores do not count.
    """
    known = cohort[list(COMBINED)].dropna()
    if known.empty:
        return pd.Series(np.nan, index=table.index)
    percents = [stats.percentileofscore(known[name], table[name], "mean", nan_policy="propagate") for name in COMBINED]
    return pd.Series(np.mean(percents, axis=0) / 100, index=table.index)
