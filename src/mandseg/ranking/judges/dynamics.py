"""What the training of networks says about the labels that they were trained on: their records in, scores out.

Other scores ask only networks that do not know a case. These ask only networks that were trained on the case with
exactly the label that is ranked.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from mandseg.ranking.scores.training_dynamics import low_confidence, low_margin, variability
from mandseg.training.dynamics import Record

SCORES = ("low_margin", "low_confidence", "variability")


def dynamics_table(networks: Sequence[Sequence[Record]], labels: Mapping[str, str]) -> pd.DataFrame:
    """The scores of each label, as means over the networks that were trained on it from the first record to the last.

    Args:
        networks: The records of each network.
        labels: case_id -> digest of the label that is ranked (:func:`mandseg.training.dynamics.label_digest`).

    Returns:
        ``case_id, low_margin, low_confidence, variability``; no row for a case that no network was trained on, or only
        with another label.
    """
    found: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for records in networks:
        steps = {record.step for record in records}
        of_case: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            if labels.get(record.case_id) == record.label:
                of_case[record.case_id].append(record)
        for case_id, own in of_case.items():
            if len(own) == len(steps):
                found[case_id].append(_scores(own))
    means = [(case_id, *np.mean(each, axis=0)) for case_id, each in found.items()]
    return pd.DataFrame(means, columns=["case_id", *SCORES])


def same_moments(networks: Sequence[Sequence[Record]]) -> bool:
    """Whether all networks with records were recorded at the same steps; otherwise their means cannot be compared."""
    return len({frozenset(record.step for record in records) for records in networks if records}) <= 1


def _scores(records: Sequence[Record]) -> tuple[float, float, float]:
    margins = np.array([record.margin for record in records])
    probabilities = np.array([record.probability for record in records])
    return low_margin(margins), low_confidence(probabilities), variability(probabilities)
