"""No command replaces or deletes a file that it did not write; each is tried with a user's file in the way."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mandseg.cli.main import main
from mandseg.data.case import Case
from mandseg.data.manifest import write_cohort
from mandseg.report.folder import FOLDER
from mandseg.report.study_plan import plan_study
from mandseg.report.write import write_report
from mandseg.system.files import refuse_foreign_files
from study_fixture import write_study

MakeCase = Callable[..., Case]


def run(*arguments: str | Path) -> int:
    """Run the command line in this process; its exit code."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0)


@pytest.fixture
def cohort(tmp_path: Path, make_case: MakeCase, bone: np.ndarray) -> Path:
    """Two cases with two labels."""
    write_cohort(tmp_path / "cohort", [make_case(name, noisy=np.roll(bone, 1, 0)) for name in ("a", "b")])
    return tmp_path / "cohort"


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("command", ["audit", "fidelity", "rank"])
@pytest.mark.parametrize("mine", ["mine.txt", "figures/mine.png", "cases.csv"])
def test_a_folder_of_ones_own_is_named_before_anything_is_computed(
    cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, mine: str
) -> None:
    (tmp_path / "own" / mine).parent.mkdir(parents=True)
    (tmp_path / "own" / mine).write_text("mine")
    before = files(tmp_path)
    assert run(command, cohort, "--out", tmp_path / "own") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"own: holds {mine}, which a" in line
    assert "choose an empty folder with --out" in line
    assert files(tmp_path) == before


@pytest.mark.parametrize("command", ["audit", "fidelity", "rank"])
@pytest.mark.parametrize("place", [".", "manifest.csv", "a_image.nii.gz", "manifest.csv/below"])
def test_results_are_not_written_over_the_cohort(
    cohort: Path, capsys: pytest.CaptureFixture[str], command: str, place: str
) -> None:
    before = files(cohort)
    assert run(command, cohort, "--out", cohort / place) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert files(cohort) == before


def test_an_audit_keeps_a_picture_that_was_put_into_it(cohort: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("audit", cohort) == 0
    (cohort / "audit" / "figures" / "mine.png").write_text("mine")
    before = files(cohort)
    assert run("audit", cohort) == 2
    assert "audit: holds figures/mine.png, which an audit did not write" in capsys.readouterr().err
    assert files(cohort) == before


@pytest.mark.parametrize("place", ["manifest.csv", "a_image.nii.gz", "."])
def test_a_check_writes_its_table_over_no_other_file(
    cohort: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    before = files(cohort)
    assert run("check", cohort, "--csv", cohort / place) == 2
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == 1
    assert "choose another name with --csv" in captured.err
    assert files(cohort) == before


def test_a_check_writes_over_its_own_table(cohort: Path, tmp_path: Path) -> None:
    assert run("check", cohort, "--csv", tmp_path / "check.csv") == 0
    (tmp_path / "check.csv").write_text((tmp_path / "check.csv").read_text().splitlines()[0] + "\n")
    assert run("check", cohort, "--csv", tmp_path / "check.csv") == 0
    assert len((tmp_path / "check.csv").read_text().splitlines()) == 3


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small study with its report, made once."""
    folder = tmp_path_factory.mktemp("studies") / "demo"
    study = write_study(folder, {0.0: 0.0, 0.5: 0.006}, (0, 1), {"test": 0.9}, n_cases=4)
    write_report(study)
    return study


@pytest.fixture
def study(reported: Path, tmp_path: Path) -> Path:
    shutil.copytree(reported, tmp_path / "demo")
    return tmp_path / "demo"


@pytest.mark.parametrize("mine", ["mine.txt", "figures/mine.png", "tables/mine.csv"])
@pytest.mark.parametrize("is_listed", [True, False])
def test_a_report_keeps_a_file_that_was_put_into_it(
    study: Path, capsys: pytest.CaptureFixture[str], mine: str, is_listed: bool
) -> None:
    """The same for a report of an earlier version, which left no list."""
    if not is_listed:
        (study / "report" / ".mandseg.json").unlink()
    refuse_foreign_files(study / "report", FOLDER)
    (study / "report" / mine).write_text("mine")
    before = files(study)
    assert run("report", study, "--no-pdf") == 2
    assert f"report: holds {mine}, which a report did not write" in capsys.readouterr().err
    assert files(study) == before


@pytest.mark.parametrize("place", [".", "ratio0-seed0", "ratio0-seed0/cases.csv", "ratio0-seed0/cases.csv/below"])
def test_a_report_is_not_written_over_its_study(study: Path, capsys: pytest.CaptureFixture[str], place: str) -> None:
    before = files(study)
    assert run("report", study, "--no-pdf", "--out", study / place) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert files(study) == before


def test_a_plan_is_not_written_into_a_report(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(study)
    assert run("plan-study", study, "--margin", "0.02", "--out", study / "report") == 2
    assert "report: is a report, not a plan; choose an empty folder with --out" in capsys.readouterr().err
    assert files(study) == before
    (plan_study(study, 0.02) / "mine.txt").write_text("mine")
    assert run("plan-study", study, "--margin", "0.02") == 2
    assert "plan: holds mine.txt, which a plan did not write" in capsys.readouterr().err


def test_a_comparison_of_an_unknown_column_makes_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = write_study(tmp_path / "demo", {0.0: 0.0}, (0,), {"test": 0.9}, n_cases=2)
    before = files(tmp_path)
    assert run("report", study, "--no-pdf", "--compare", "../../../escaped") == 2
    assert "--compare ../../../escaped: expected one of clean_budget, data" in capsys.readouterr().err
    assert files(tmp_path) == before
