"""The Python of the docs runs, and the tutorials run from their first command to the last, on small simulated CTs."""

import re
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from command import run
from doc_blocks import ROOT, Page, pages
from mandseg.data.case import Case
from mandseg.data.volume import Volume, read_volume, write_volume
from mandseg.evaluation.commissioning.phantom_series import write_phantom_series
from mandseg.metrics.mask_pair import MaskPair
from tiny_cohort import CASES, TESTED, words, write_tiny_cohort
from warm_processes import WarmProcesses

SPACING_MM = (4.0, 4.0, 4.0)
FOLLOWED = ("extending.md",)  # tests/training/test_extending.py runs every block of this page
LIKE_TRAIN = re.compile(
    r"(steps|validations|patches\.patch_size|preprocessing\.spacing_mm|seed|noise_ratio|clean_budget)="
)
SMALLER = {
    "--train": "3",
    "--val": "1",
    "--test": "2",
    "--fractions": "0.5,0.25,0.25",
}
FEW = ["steps=2", "validations=1", "memorisation=0", "patches.patch_size=[16,16,16]", "tracking=none", "trainer=cpu"]
FEW += ["preprocessing.spacing_mm=[6,6,6]", "model.network.channels=[4,8]", "model.network.strides=[2]"]


@pytest.fixture(scope="module")
def world(tmp_path_factory, nursery):
    """What the Python of the pages reads: a run, a CT and a mask as files, and a CT as DICOM."""
    folder = tmp_path_factory.mktemp("pages")
    write_tiny_cohort(folder / "cohort")
    short = [*words(folder / "cohort", folder / "outputs"), "steps=2", "validations=1"]
    assert WarmProcesses(folder, nursery).run(short) == 0
    (trained,) = (path for path in (folder / "outputs" / "s").iterdir() if path.is_dir())
    (folder / "outputs" / "openkbp").mkdir()
    shutil.move(trained, folder / "outputs" / "openkbp" / "RUN")
    shutil.copy(folder / "cohort" / "x_image.nii.gz", folder / "ct.nii.gz")
    hu = np.asarray(read_volume(folder / "ct.nii.gz").array)
    series = write_phantom_series(folder / "export" / "patient" / "CT", hu, SPACING_MM, (0, 0, 0))
    write_volume(folder / "mandible.nii.gz", Volume((hu > 300).astype(np.uint8), series.geometry.affine))
    return folder


def names(page: Page, world: Path) -> dict[str, object]:
    """What a page takes for granted."""
    volume = read_volume(world / "ct.nii.gz")
    hu, mask = np.asarray(volume.array), np.asarray(volume.array) > 300
    case = Case("a", "a", "train", world / "ct.nii.gz", None)
    return {"mask": mask, "spacing_mm": SPACING_MM, "hu": hu, "case": case} if page.name == "docs/noise.md" else {}


def unnamed(page: Page) -> list[str]:
    return [block for block in page.blocks("python") if not re.match(r"# \w+\.py\n", block)]


WITH_PYTHON = [page for page in pages() if unnamed(page) and page.path.name not in FOLLOWED]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.name)
def test_the_python_of_a_page_runs(page, world, monkeypatch):
    monkeypatch.chdir(world)
    namespace = names(page, world)
    for block in unnamed(page):
        exec(compile(block, page.name, "exec"), namespace)
    if page.name == "docs/extending-data.md":
        square = np.zeros((8, 8, 8), bool)
        square[2:4, 2:4, 2:4] = True
        pair = MaskPair(np.roll(square, 1, 0) | square, square, (1.0, 1.0, 1.0))
        assert namespace["METRIC"].measure(pair) == pytest.approx(1.5)


def test_the_importer_of_the_page_makes_a_cohort(world, tmp_path, monkeypatch):
    page = Page(ROOT / "docs" / "extending-data.md")
    for case_id in (*CASES, *TESTED):
        folder = tmp_path / "patients" / case_id
        folder.mkdir(parents=True)
        shutil.copy(world / "cohort" / f"{case_id}_image.nii.gz", folder / "ct.nii.gz")
        shutil.copy(world / "cohort" / f"{case_id}_reference.nii.gz", folder / "mandible.nii.gz")
    (tmp_path / "patients" / "p5").mkdir()
    (tmp_path / "my_import.py").write_text(page.files["my_import.py"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["my_import.py", "patients", "cohorts/mine"])
    module = runpy.run_path("my_import.py")  # not as __main__, whose classes a process of its own would not find
    module["import_cases"](module["FolderForEachPatient"](), Path("patients"), Path("cohorts/mine"))
    assert run("check", "cohorts/mine") == 0
    assert "p5 skipped: no mandible.nii.gz" in (tmp_path / "cohorts" / "mine" / "import.txt").read_text()


def test_the_noise_mode_of_the_page_trains(world, tmp_path, nursery):
    page = Page(ROOT / "docs" / "extending-data.md")
    for name, text in page.files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (command,) = (line[3:] for line in page.lines if line[:3] == ["python", "-m", "mandseg.train"])
    process = WarmProcesses(tmp_path, nursery)
    small = [w for w in words(world / "cohort", tmp_path / "outputs") if not w.startswith("noise")]
    options, settings = command[:2], command[2:]
    assert process.run([*options, *small, "steps=2", "validations=1", *settings]) == 0, process.log.read_text()
    (plan,) = tmp_path.glob("outputs/s/*/noise_applied.csv")
    assert "left_" in plan.read_text()


def shorter(line: list[str]) -> list[str]:
    """The command with fewer cases."""
    return [SMALLER.get(before, word) for before, word in zip(["", *line], line, strict=False)]


def train(process, arguments):
    """The training of a tutorial, with the settings of a tiny one in place of its own."""
    own = [word for word in arguments if not LIKE_TRAIN.match(word)]
    axes = [word for word in arguments if re.match(r"(noise_ratio|clean_budget)=", word)]
    few = [re.sub(r"=.*", "=0,1", word) if "," in word else word for word in axes]
    options = [word for word in own if word == "-m"]
    cache = f"cache_dir={process.folder}/cache"
    assert process.run([*options, *[w for w in own if w != "-m"], *few, *FEW, cache]) == 0, process.log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["own-cohort", "dicom-to-contour", "which-contours"])
def test_a_tutorial_runs_from_its_first_command_to_the_last(name, tmp_path, monkeypatch, nursery):
    page = Page(ROOT / "docs" / "tutorials" / f"{name}.md")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for file, text in page.files.items():
        (tmp_path / file).write_text(text)
    process = WarmProcesses(tmp_path, nursery)
    for line in page.lines:
        if line[:3] == ["python", "-m", "mandseg.train"]:
            train(process, line[3:])
        elif line[0] == "python":
            runpy.run_path(line[1], run_name="__main__")
        elif line[1] == "plan-study":
            assert run(*line[1:]) == 2  # two steps: the networks have not learned
        elif line[1] != "estimate":  # two runs more, tested in tests/runs
            assert run(*shorter(line)[1:]) == 0, line
