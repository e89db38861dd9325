"""How unusual a label is in its cohort: robust distances of its measures from those of the other labels."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

LARGEST = 6.0  # a distance counts up to here
MAD = 1.4826  # of a normal distribution: standard deviation over the median absolute deviation


def distances(table: pd.DataFrame, cohort: pd.DataFrame, least_scale: Mapping[str, float]) -> pd.DataFrame:
    """Robust signed distances (x - median) / scale of each measure.

    The scale is 1.4826 times the median absolute deviation, and at least ``least_scale``, because measures such as the
    number of pieces are equal in most labels (Iglewicz and Hoaglin 1993).

    Args:
        table: One row for each label, one column for each measure; NaN where a measure cannot be made.
        cohort: The labels to compare with, same columns.
        least_scale: Measure to its smallest scale, in its own unit.

    Returns:
        As ``table``; 0 where there is no value.
    """
    columns = list(least_scale)
    values = cohort[columns].astype(float)
    middle = values.median()
    scale = (MAD * (values - middle).abs().median()).clip(lower=pd.Series(dict(least_scale)))
    return ((table[columns].astype(float) - middle) / scale).fillna(0.0)


def outlier(of_label: pd.DataFrame) -> "pd.Series[float]":
    """Root mean square of the distances, each at most 6; larger is more unusual."""
    limited = of_label.clip(-LARGEST, LARGEST)
    return pd.Series(np.sqrt((limited**2).mean(axis=1)), index=of_label.index, name="outlier")
