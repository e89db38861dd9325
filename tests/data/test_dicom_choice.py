"""A choice that fits nothing in the whole export is refused; what is said of many cases is said once."""

from pathlib import Path

import numpy as np
import pytest

from command import run
from dicom_files import ids, square, write_series, write_structure_set
from mandseg.system.wording import summed_up

HU = np.full((24, 24, 4), -1000, np.int16)
BLOCK = [square(4, 42.5, (-8, -20)), square(4, 45.0, (-8, -20))]


@pytest.fixture
def export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five patients with one structure set each."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    for number in range(1, 6):
        folder = tmp_path / "my export" / f"patient{number}"
        slices = write_series(folder, HU, ids(number))
        write_structure_set(folder / "RS.dcm", slices, {"Mandible": BLOCK}, ids(number), StructureSetLabel="FINAL")
    return tmp_path / "my export"


NOTHING = [
    (("--reference", "*corected*"), "--reference '*corected*': fits none of 5 structure sets; "),
    (("--noisy", "*planing*"), "--noisy '*planing*': fits none of 5 structure sets; "),
    (("--noisy-structure", "Jaw_trainee"), "--noisy-structure 'Jaw_trainee': no ROI of 5 structure sets has it; "),
    (("--dose", "*plan*"), "--dose '*plan*': the export has no RTDOSE file"),
]


@pytest.mark.parametrize(("words", "line"), NOTHING, ids=lambda value: value if isinstance(value, str) else "")
def test_a_pattern_that_fits_nothing_in_the_export_is_refused(
    export: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], line: str
) -> None:
    assert run("prepare", "dicom", export, export.parent / "cohort", *words) == 2
    (answer,) = capsys.readouterr().err.splitlines()
    assert answer.startswith(f"mandseg: {line}")
    assert line.endswith("RTDOSE file") or f"`mandseg prepare dicom '{export}' --show-names` lists" in answer
    assert not (export.parent / "cohort").exists()
    assert not (export.parent / "settings").exists()  # no key for an import that cannot start


def test_the_same_reason_of_many_patients_is_one_line(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("prepare", "dicom", export, export.parent / "cohort", "--structure", "Sternum") == 2
    first, second = capsys.readouterr().err.splitlines()[-2:]
    assert first.endswith("nothing written, no case has Sternum")
    assert second.startswith("mandseg: 5 cases (p")
    assert second.endswith(", ...) skipped: no ROI of 1 structure set means Sternum")


def test_an_export_without_structure_sets_shows_how_many_series_it_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_series(tmp_path / "export", HU, ids(1))
    assert run("prepare", "dicom", tmp_path / "export", "--show-names") == 0
    assert capsys.readouterr().out == f"{tmp_path / 'export'}: 1 CT series and no structure set\n"


def test_lines_with_different_reasons_and_few_cases_stay_as_they_are() -> None:
    lines = ["case a: odd", "first", "case b skipped: no label", "case c: odd", "case d: odd", "first"]
    assert summed_up(lines) == ["case a: odd", "first", "case b skipped: no label", "case c: odd", "case d: odd"]
    assert summed_up([*lines, "case e: odd"])[0] == "4 cases (a, c, d, ...): odd"
