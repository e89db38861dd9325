import re
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import mandseg
from command import run
from mandseg.cli.main import main
from mandseg.cli.public_sets import COMMANDS
from mandseg.data.case import Case
from mandseg.data.manifest import Cohort, read_cohort, write_cohort
from mandseg.data.phantom.population import GERIATRIC
from mandseg.data.volume import Volume
from mandseg.noise import load_preset
from mandseg.system.errors import UserError

HEAVY = "torch monai lightning pandas scipy SimpleITK nibabel torchio matplotlib hydra wandb numpy".split()  # noqa: SIM905

MakeCase = Callable[..., Case]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def cohort(tmp_path: Path, make_case: MakeCase) -> Path:
    """Two sound cases, a in train and b in test."""
    write_cohort(tmp_path / "cohort", [make_case("a"), make_case("b", "test")])
    return tmp_path / "cohort"


HELPS = [["--help"], ["prepare", "folder", "--help"], ["check", "--help"], ["audit", "--help"]]
SCRIPT = f"""
import sys
from mandseg.cli.main import main
for words in {HELPS}:
    try:
        main(words)
    except SystemExit as end:
        assert not end.code
    print("LOADED", *words, *[name for name in {HEAVY} if name in sys.modules])
"""


def test_help_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert [line for line in done.stdout.splitlines() if line.startswith("LOADED")] == [
        " ".join(["LOADED", *words]) for words in HELPS
    ]
    helps = re.split("LOADED.*", done.stdout)[:-1]
    assert all("Example" in text or words == ["--help"] for words, text in zip(HELPS, helps, strict=True))


@pytest.mark.parametrize("source", ["phantom", *COMMANDS, "folder", "dicom"])
def test_help_of_every_source_has_an_example(source: str, capsys: Capture) -> None:
    assert run("prepare", source, "--help") == 0
    assert f"Example: mandseg prepare {source} " in capsys.readouterr().out


def test_version(capsys: Capture) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"mandseg {mandseg.__version__}\n"


def test_a_sound_cohort_passes_and_its_csv_is_written(cohort: Path, tmp_path: Path, capsys: Capture) -> None:
    assert run("check", cohort, "--csv", tmp_path / "check.csv") == 0
    assert "0 errors, 0 warnings" in capsys.readouterr().out
    assert len((tmp_path / "check.csv").read_text().splitlines()) == 3


def test_warnings_do_not_fail_a_check(tmp_path: Path, make_case: MakeCase, bone: np.ndarray) -> None:
    write_cohort(tmp_path / "cohort", [make_case("a", noisy=bone)])
    assert run("check", tmp_path / "cohort") == 0


# Bad input: one line with case and values, exit code 2 ----------------------------------------------------------------


def files_with(name: str, ct: np.ndarray, bone: np.ndarray, affine: np.ndarray) -> dict[str, np.ndarray | Volume]:
    spacing, origin = affine.copy(), affine.copy()
    spacing[2, 2], origin[2, 3] = 2.5, -44
    nan = ct.astype(np.float32)
    nan[1, 2, 3] = np.nan
    return {
        "NaN": {"image": nan},
        "shape": {"reference": bone[:, :, :23]},
        "spacing": {"reference": Volume(bone, spacing)},
        "origin": {"reference": Volume(bone, origin)},
        "not binary": {"reference": bone * np.uint8(2)},
        "empty": {"reference": np.zeros_like(bone)},
    }[name]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("NaN", "image has 1 voxel that is NaN or infinite"),
        ("shape", "reference shape (24, 24, 23) differs from (24, 24, 24) of the image"),
        ("spacing", "reference spacing (4, 4, 2.5) mm differs from (4, 4, 4) mm of the image"),
        ("origin", "reference origin (-48, -48, -44) mm differs from (-48, -48, -48) mm of the image"),
        ("not binary", "reference has the values 0, 2, expected 0 and 1 only"),
        ("empty", "reference is empty: 0 of 13824 voxels are set, and the case is in train"),
    ],
)
def test_bad_files_end_in_exit_code_2(
    name: str,
    line: str,
    tmp_path: Path,
    make_case: MakeCase,
    capsys: Capture,
    ct: np.ndarray,
    bone: np.ndarray,
    affine: np.ndarray,
) -> None:
    write_cohort(tmp_path / "cohort", [make_case("good"), make_case("bad", **files_with(name, ct, bone, affine))])
    assert run("check", tmp_path / "cohort") == 2
    errors = [text for text in capsys.readouterr().out.splitlines() if text.startswith("error: ")]
    assert errors == [f"error: case bad: {line}"]


def test_a_truncated_file_ends_in_exit_code_2(cohort: Path, capsys: Capture) -> None:
    image = cohort / "a_image.nii.gz"
    image.write_bytes(image.read_bytes()[:300])
    assert run("check", cohort) == 2
    assert f"error: case a: image {image}: cannot be read to its end, the file is damaged (" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("a_image", "gone", "case a: image gone.nii.gz: no such file"),
        ("b,b,test", "a,b,test", "case a: listed 2 times, expected once"),
        ("b,b,test", "b,a,test", "case b: subject a is in test, and in train as case a"),
    ],
)
def test_bad_manifests_end_in_exit_code_2(cohort: Path, capsys: Capture, old: str, new: str, line: str) -> None:
    manifest = cohort / "manifest.csv"
    manifest.write_text(manifest.read_text().replace(old, new))
    assert run("check", cohort) == 2
    assert f"error: {line}" in capsys.readouterr().out.splitlines()
    with pytest.raises(UserError) as error:
        read_cohort(cohort)
    assert error.value.problems == [f"{manifest}: {line}"]


def test_user_errors_are_plain_lines_and_debug_shows_the_traceback(tmp_path: Path, capsys: Capture) -> None:
    line = f"{tmp_path / 'manifest.csv'}: no such manifest; `mandseg prepare --help` shows how to make one"
    assert run("check", tmp_path) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"mandseg: {line}\n")
    with pytest.raises(UserError, match="no such manifest"):
        main(["--debug", "check", str(tmp_path)])


def test_several_problems_are_several_lines(tmp_path: Path, make_case: MakeCase, capsys: Capture) -> None:
    for name in ("a", "b"):
        make_case(name).image.unlink()
    table = tmp_path / "cohort" / "cases.csv"
    table.write_text("case,image,reference\n" + "".join(f"{n},{n}_image.nii.gz,{n}_reference.nii.gz\n" for n in "ab"))
    assert run("prepare", "folder", table, tmp_path / "out") == 2
    lines = capsys.readouterr().err.splitlines()
    images = [tmp_path / "cohort" / f"{n}_image.nii.gz" for n in "ab"]
    assert lines == [f"mandseg: case {n}: image {image}: no such file" for n, image in zip("ab", images, strict=True)]
    assert not (tmp_path / "out").exists()


# What is forwarded ----------------------------------------------------------------------------------------------------


def test_prepare_folder_takes_patterns_values_and_fractions(
    tmp_path: Path, make_case: MakeCase, bone: np.ndarray, capsys: Capture
) -> None:
    for name in "abcd":
        make_case(name, reference=bone * np.uint8(5))
    patterns = ["--image", "{case}_image.nii.gz", "--reference", "{case}_reference.nii.gz"]
    options = ["--label-values", "5", "--fractions", "0.5,0.25,0.25", "--split-seed", "3"]
    assert run("prepare", "folder", tmp_path / "cohort", tmp_path / "out", *patterns, *options) == 0
    assert "4 cases (" in capsys.readouterr().out
    assert sorted(case.split for case in read_cohort(tmp_path / "out").cases) == ["test", "train", "train", "val"]
    assert run("prepare", "folder", tmp_path / "cohort", tmp_path / "x", *patterns, "--fractions", "a,b") == 2
    assert capsys.readouterr().err == "mandseg: --fractions 'a,b': expected numbers with commas between\n"


def test_prepare_phantom_refuses_an_unknown_population(tmp_path: Path, capsys: Capture) -> None:
    assert run("prepare", "phantom", tmp_path / "out", "--population", "martians") == 2
    expected = "mandseg: population 'martians': expected one of clinic, maxillofacial, geriatric\n"
    assert capsys.readouterr().err == expected


def test_prepare_phantom_passes_sizes_seed_and_panel_on(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    seen: list[object] = []

    def write(*arguments: object) -> Cohort:
        seen.extend(arguments)
        return read_cohort(cohort)

    monkeypatch.setattr("mandseg.data.phantom.cohorts.write_phantom_cohort", write)
    options = ["--population", "geriatric", "--train", 3, "--val", 0, "--test", 2, "--seed", 5]
    assert run("prepare", "phantom", tmp_path / "out", *options) == 0
    assert seen == [tmp_path / "out", GERIATRIC, 3, 0, 2, 5, load_preset("planning", seed=5)]
    assert run("prepare", "phantom", tmp_path / "out", "--no-noisy") == 0
    assert seen[-1] is None
    assert capsys.readouterr().out == (
        f"{cohort}: 2 cases (1 train, 1 test), 0 skipped\nnext: mandseg check {cohort}\n" * 2
    )


def replace_module(monkeypatch: pytest.MonkeyPatch, name: str, **members: object) -> None:
    """Put a module in the place of mandseg.<name>, so that nothing heavy is imported."""
    fake = types.ModuleType(f"mandseg.{name}")
    vars(fake).update(members)
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    monkeypatch.setattr(mandseg, name, fake, raising=False)


def test_train_gets_its_arguments_untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    replace_module(monkeypatch, "train", main=lambda: seen.extend(sys.argv))
    monkeypatch.setattr(sys, "argv", ["mandseg"])
    given = ["-m", "noise_ratio=0,0.2", "--cfg", "job", "+new=1", "--help", "--", "~x"]
    assert run("train", *given) == 0
    assert seen == ["mandseg train", *given]


def test_status_returns_its_exit_code_and_report_prints_its_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("mandseg.runs.status.status", lambda study: 1 if study == tmp_path else 0)
    asked = []

    def write_report(study: Path, out: Path | None, **question: object) -> Path:
        asked.append(question)
        return (out or study / "report") / "index.html"

    replace_module(monkeypatch, "report.write", write_report=write_report)
    (tmp_path / "grid.csv").touch()
    assert run("status", tmp_path) == 1
    monkeypatch.setattr("mandseg.runs.status.next_step", lambda study: f"next:{study.name}")
    assert run("status", tmp_path / "done") == 0
    assert run("report", tmp_path) == 0
    words = ("--compare", "method", "--baseline", "gce", "--by", "dataset, metal", "--primary", "hd95_mm", "--no-pdf")
    words += ("--formats", "svg,png")
    assert run("report", tmp_path, "--out", tmp_path / "page", *words) == 0
    pages = [tmp_path / "report" / "index.html", tmp_path / "page" / "index.html"]
    assert capsys.readouterr().out.split() == ["next:done", *map(str, pages)]
    nothing = {"compare": "noise_ratio", "baseline": None, "by": [], "primary": None}
    method = {"compare": "method", "baseline": "gce", "by": ["dataset", "metal"], "primary": "hd95_mm"}
    assert asked == [
        nothing | {"pdf": True, "formats": ["svg"]},
        method | {"pdf": False, "formats": ["svg", "png"]},
    ]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("none",), "study none: no such folder"),
        (("empty",), "study empty: holds no run (neither grid.csv nor a folder with run.json)"),
        (("study", "--formats", "gif"), "--formats gif: expected some of svg, png, pdf"),
        (("study", "--compare", "seed"), "--compare seed: expected one of clean_budget, data"),
        (("study", "--out", "thesis"), "thesis: holds chapter1.tex, which a report did not write"),
    ],
)
def test_a_report_that_cannot_be_written_is_refused_before_a_library_is_loaded(
    words: tuple[str, ...], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("empty", "study", "thesis"):
        Path(folder).mkdir()
    Path("study/grid.csv").touch()
    Path("thesis/chapter1.tex").touch()
    monkeypatch.setitem(sys.modules, "mandseg.report.write", None)  # an import of it fails
    assert run("report", *words) == 2
    assert capsys.readouterr().err.startswith(f"mandseg: {problem}")
