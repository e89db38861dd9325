"""Two annotators' real mandibles score as published tools score them (numbers measured with surface-distance 0.1)."""

import os
from pathlib import Path

import numpy as np
import pytest

from mandseg.data.volume import read_volume
from mandseg.metrics.agreement import score

DATA = Path(os.environ.get("MANDSEG_REAL_DATA", Path(__file__).parents[3] / "shared" / "data"))
DRAWINGS = DATA / "deepmind_tcia" / "nrrds" / "test"

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not DRAWINGS.is_dir(), reason=f"no DeepMind TCIA masks at {DRAWINGS} (set MANDSEG_REAL_DATA)"),
]


def agreement(case_id):
    oncologist, radiographer = (
        read_volume(DRAWINGS / annotator / case_id / "segmentations" / "Mandible.nrrd")
        for annotator in ("oncologist", "radiographer")
    )
    return score(radiographer.array > 0, oncologist.array > 0, oncologist.geometry.spacing_mm)


@pytest.mark.parametrize(
    ("case_id", "hd95_mm", "assd_mm", "nsd_1mm", "nsd_2mm"),
    [("0522c0416", 1.25, 0.108, 0.918, 0.997), ("0522c0667", 1.12, 0.102, 0.934, 0.981)],
)
def test_a_pair_scores_as_measured_with_the_package(case_id, hd95_mm, assd_mm, nsd_1mm, nsd_2mm):
    scores = agreement(case_id)
    found = [scores[name] for name in ("hd95_mm", "assd_mm", "nsd_1mm", "nsd_2mm")]
    assert found == pytest.approx([hd95_mm, assd_mm, nsd_1mm, nsd_2mm], abs=5e-4)


@pytest.mark.slow
def test_two_annotators_agree_as_well_as_documented():
    scores = [agreement(folder.name) for folder in sorted((DRAWINGS / "oncologist").iterdir())]
    assert len(scores) == 28
    assert np.mean([s["dice"] for s in scores]) == pytest.approx(0.942, abs=1e-3)
    assert np.mean([s["hd95_mm"] for s in scores]) == pytest.approx(1.17, abs=5e-3)
    assert np.mean([s["nsd_1mm"] for s in scores]) == pytest.approx(0.959, abs=1e-3)
    assert np.mean([s["volume_error_ml"] / s["reference_ml"] for s in scores]) == pytest.approx(0.063, abs=1e-3)
