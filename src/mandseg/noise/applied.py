"""The noise that a run's training cases carry, measured: each noisy label against its reference -> noise_applied.csv.

Both labels lie on the grid that the network is trained on. A measurement is kept in the cache beside the label, so that
the runs of a grid make it once.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mandseg.data.cache import PreparedCase
from mandseg.metrics.agreement import score
from mandseg.metrics.catalogue import MEASURED
from mandseg.noise.label_plan import LabelPlan
from mandseg.system.files import write_text
from mandseg.system.progress import for_each

NUMBERS = tuple("noisy_ml" if name == "prediction_ml" else name for name in MEASURED)


def noise_applied(training: Sequence[PreparedCase], plan: LabelPlan) -> pd.DataFrame:
    """One row per training case: ``case_id, annotator, label`` (what it carries), and how far its noisy label is off.

    The scores are those of :mod:`mandseg.metrics.agreement`, the noisy label in the place of the prediction;
    ``volume_error_ml`` is noisy minus reference. A case that lacks one of the labels has no scores.
    """
    measured = for_each(measure, training, "Measuring the noise", workers=None if _is_much_new(training) else 1)
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
    """Score one case's noisy label against its reference, or look up what was found before; empty without both."""
    if prepared.noisy_file is None or prepared.noisy is None or prepared.reference is None:
        return {}
    file = _file(prepared.noisy_file)
    found: dict[str, float] = json.loads(file.read_text()) if file.exists() else {}
    if set(found) != set(NUMBERS):
        noisy, reference = (np.asarray(label, dtype=np.bool_) for label in (prepared.noisy, prepared.reference))
        scores = score(noisy, reference, prepared.grid.spacing_mm)
        scores["noisy_ml"] = scores.pop("prediction_ml")
        found = {name: float(scores[name]) for name in NUMBERS}
        write_text(file, json.dumps(found))
    return found


def _is_much_new(training: Sequence[PreparedCase]) -> bool:
    """Whether so many labels are new that processes are worth their start."""
    new = [p for p in training if p.noisy_file is not None and not _file(p.noisy_file).exists()]
    return len(new) >= 40


def _file(noisy_file: Path) -> Path:
    return noisy_file.with_suffix(".applied.json")
