"""The check warns of ids that look like a patient's, but not of ids of public sets and pseudonyms."""

from collections.abc import Callable
from pathlib import Path

import pytest

from command import run
from mandseg.data.case import Case
from mandseg.data.check import check_cohort
from mandseg.data.identities import identity_kind
from mandseg.data.manifest import write_cohort

MakeCase = Callable[..., Case]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("4711815", "a hospital number"),
        ("MRN-00471181", "a hospital number"),
        ("Muster^Erika", "a name"),
        ("Muster, Erika", "a name"),
        ("Erika Muster", "a name"),
        ("Dr. Miller", "a name"),
        ("scan_1961-02-03", "a date"),
        ("3.2.1961", "a date"),
        ("19610203", "a date"),
        ("1.3.6.1.4.1.9590.100", "a UID"),
    ],
)
def test_an_identity_is_recognised(text: str, kind: str) -> None:
    assert identity_kind(text) == kind


PUBLIC = ("pt_201", "0522c0457", "0522c0727a", "TCGA-CV-5430", "case_01", "segrap_0001", "HNSCC-01-0617")
OWN = ("p123456789012-123456", "a12345678", "dosimetrist_03", "oncologist", "a", "", "Patient_Seven", "clinic_0012")


@pytest.mark.parametrize("text", [*PUBLIC, *OWN])
def test_ids_of_public_sets_and_pseudonyms_are_not(text: str) -> None:
    assert identity_kind(text) == ""


def test_check_warns_once_a_column_without_quoting(make_case: MakeCase, tmp_path: Path) -> None:
    cases = [make_case(name, subject_id=name) for name in ("4711815", "4711816", "c")]
    write_cohort(tmp_path / "cohort", cases)
    lines = [str(w) for w in check_cohort(tmp_path / "cohort").warnings if "look like" in w.line]
    assert [line.split(";")[0] for line in lines] == [
        "warning: column case_id: 2 look like a hospital number",
        "warning: column subject_id: 2 look like a hospital number",
    ]


def test_prepare_warns_when_it_has_written(
    make_case: MakeCase, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("Muster^Erika", "b"):
        make_case(name)
    options = ("--image", "{case}_image.nii.gz", "--reference", "{case}_reference.nii.gz", "--all-in", "test")
    assert run("prepare", "folder", tmp_path / "cohort", tmp_path / "new", *options) == 0
    assert "WARNING: column case_id: 1 look like a name" in capsys.readouterr().err


def test_a_long_text_is_not_searched_to_its_end():
    """Its square is 2e10 steps: a hang."""
    assert identity_kind("x" * 130_000) == ""
    assert identity_kind("Muster^Erika" + "x" * 130_000) == "a name"
