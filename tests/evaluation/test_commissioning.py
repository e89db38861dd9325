"""The commissioning passes here, notices a reader that thickens contours, and keeps what it wrote for the clinic."""

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from command import run
from mandseg.data.dicom.rasterisation import Rasterised, rasterise
from mandseg.data.dicom.series import Series
from mandseg.data.dicom.structures import Roi
from mandseg.evaluation.commissioning import checks


def test_every_check_passes_or_names_the_program_that_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, out = tmp_path / "table.csv", tmp_path / "phantom"
    assert (
        run("commission", "--csv", table, "--out", out, "--series", tmp_path / "nowhere") == 1
    )  # the last alone fails
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert {row["outcome"] for row in rows[:-2]} <= {"pass", "not run"}
    assert all("is not installed" in row["measured"] for row in rows if row["outcome"] == "not run")
    assert rows[-2]["check"] == "the CT series: a plausible CT in HU"
    assert rows[-2]["measured"] == "could not be read"
    assert rows[-2]["outcome"] == "FAIL"
    assert "nowhere" not in table.read_text()  # the folder of a patient may have his name
    assert rows[-1]["measured"].startswith("Python 3.")
    assert (out / "RS_arch.dcm").is_file()
    assert len(list((out / "CT").iterdir())) == checks.SHAPE[2]
    told = capsys.readouterr()
    assert "48 of 48" in told.out
    assert "nowhere" in told.err


def test_a_reader_that_thickens_contours_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def thick(roi: Roi, series: Series) -> Rasterised:
        found = rasterise(roi, series)
        return Rasterised(np.asarray(ndimage.binary_dilation(found.mask)), found.notes)

    monkeypatch.setattr(checks, "rasterise", thick)
    outcomes = {check.name: check.passed for check in checks.run_checks(tmp_path)}
    assert not any(passed for name, passed in outcomes.items() if name.startswith("volume"))
    assert outcomes["arch of 3 mm: mask to RTSTRUCT to mask"] is False
    assert outcomes["axis orders of an image with the same anatomy"] is True
