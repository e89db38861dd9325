"""Measures the noise of a run's training cases, each noisy label against its reference, for noise_applied.csv.

Both labels are on the grid of the training. The cache stores each measurement beside the label, so that the runs of a
grid measure it once.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mandseg.data.cache import MEASURED as MEASURED_FILE
from mandseg.data.cache import PreparedCase
from mandseg.metrics.agreement import score
from mandseg.metrics.catalogue import MEASURED
from mandseg.noise.label_plan import LabelPlan
from mandseg.system.checksums import is_intact, write_checksum
from mandseg.system.files import write_text
from mandseg.system.progress import for_each

NUMBERS = tuple("noisy_ml" if name == "prediction_ml" else name for name in MEASURED)
WORTH_PROCESSES = 40  # new labels; with fewer, starting processes takes longer than it saves


def noise_applied(training: Sequence[PreparedCase], plan: LabelPlan) -> pd.DataFrame:
    """Give one row per training case: ``case_id, annotator, label`` (the label used) and the scores of its noisy label.

    :mod:`mandseg.metrics.agreement` defines the scores, with the noisy label as the prediction: ``volume_error_ml`` is
    noisy minus reference. A case without one of the labels has no scores.
    """
    new = [p for p in training if p.noisy_file is not None and not _file(p.noisy_file).exists()]
    workers = None if len(new) >= WORTH_PROCESSES else 1
    measured = for_each(measure, training, "Measuring the noise", workers=workers)
    return pd.DataFrame(
        [
            {
                "case_id": prepared.case.case_id,
                "annotator": prepared.annotator,
                "label": plan.labels[prepared.case.case_id].kind,
                **scores,
            }
            for prepared, scores in zip(training, measured, strict=True)
        ],
        columns=["case_id", "annotator", "label", *NUMBERS],
    )


def measure(prepared: PreparedCase) -> dict[str, float]:
    """Score the noisy label of a case against its reference, or read stored scores; empty without both labels."""
    if prepared.noisy_file is None or prepared.noisy is None or prepared.reference is None:
        return {}
    file = _file(prepared.noisy_file)
    name = f"{prepared.folder.name}/{file.name}"
    found: dict[str, float] = json.loads(file.read_text()) if is_intact(file, name) else {}
    if set(found) != set(NUMBERS):
        noisy, reference = (np.asarray(label, dtype=np.bool_) for label in (prepared.noisy, prepared.reference))
        scores = score(noisy, reference, prepared.grid.spacing_mm)
        scores["noisy_ml"] = scores.pop("prediction_ml")
        found = {name: float(scores[name]) for name in NUMBERS}
        write_text(file, json.dumps(found))
        write_checksum(file, name)
    return found


def _file(noisy_file: Path) -> Path:
    return noisy_file.with_suffix(MEASURED_FILE)
