"""The planned doses of OpenKBP: plausible, on the grid of the contour, sensitive to a contour in the wrong place."""

from pathlib import Path

import numpy as np
import pytest

from mandseg.data.case import Case
from mandseg.data.importers.openkbp import import_openkbp
from mandseg.metrics.dose.catalogue import measures
from mandseg.metrics.dose.pair import dose_scores
from mandseg.runs.dose.inputs import load_dosed

pytestmark = pytest.mark.real_data


def test_a_contour_has_no_error_against_itself_and_one_that_is_moved_has(real_data: Path) -> None:
    folder = real_data / "openkbp"
    doses = sorted((folder / "dose").glob("*.nii.gz"))
    assert len(doses) == 40
    found = measures()
    for file in doses[:6]:
        case = Case(file.name.removesuffix(".nii.gz"), "p", "test", None, folder / "masks" / file.name, dose=file)
        dosed = load_dosed(case)
        same = dose_scores(dosed.pair(dosed.reference)[0], found)
        assert all(same[measure.error.column] == 0 for measure in found)
        assert 25 < same["dmean_gy_reference"] < 65
        assert 55 < same["d0_1cc_gy_reference"] < 80
        moved = dose_scores(dosed.pair(np.roll(dosed.reference, 3, axis=2))[0], found)
        assert abs(moved["dmean_gy_error"]) > 0.5


def test_the_importer_writes_the_dose_that_a_planning_contour_was_planned_with(real_data: Path, tmp_path: Path) -> None:
    if not list((real_data / "openkbp_original").rglob("dose.csv")):
        pytest.skip("the patients in OpenKBP's own layout are here without their dose")
    for case in import_openkbp(real_data / "openkbp_original", tmp_path / "cohort").cohort.cases:
        assert case.dose is not None
        dosed = load_dosed(case)
        assert 55 < dose_scores(dosed.pair(dosed.reference)[0], measures())["d0_1cc_gy_reference"] < 80
