"""The commands of README and of the reference pages run one after the other, on small simulated CTs."""

import re
import runpy
import shutil
from pathlib import Path

import pytest
import SimpleITK as sitk
from test_docs_run import train

from command import run
from doc_blocks import ROOT, Page
from warm_processes import WarmProcesses

KINDS = {"ct": "images", "mandible": "references", "rough": "noisy"}
ELSEWHERE = {
    "pip": "tests/system/test_wheel.py",
    "git": "a checkout is here",
    "cd": "a checkout is here",
    "make": "the demo is a command of the release workflow",
    ".": "the environment is this one",
    "estimate": "tests/runs/test_estimate.py",
    "--folds": "tests/ranking/test_rank_with_networks.py",
    "--ensemble": "needs two seeds: tests/runs/test_load.py",
}
"""Commands that do not run here, and where they do."""
SAYS = {"dose": "no test case has a dose", "plan-study": "pilot", "sync": ""}
"""Commands that need more than a small study on simulated CTs has, and a word of what they say."""
PAGES = ["README.md", "docs/predict.md", "docs/ranking.md"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return tmp_path_factory.mktemp("readme")


def write_stand_ins(folder: Path) -> None:
    """The files that the pages name: scans in a folder for each case, a DICOM export, corrected masks, new CTs."""
    assert run("prepare", "phantom", "scans", "--train", "4", "--val", "1", "--test", "2") == 0
    export = Page(ROOT / "docs" / "tutorials" / "dicom-to-contour.md").files["practice_export.py"]
    (folder / "practice_export.py").write_text(export)
    runpy.run_path("practice_export.py", run_name="__main__")
    for kind, source in KINDS.items():
        for file in (folder / "scans" / source).glob("*.nii.gz"):
            case = folder / "scans" / file.name.removesuffix(".nii.gz")
            case.mkdir(exist_ok=True)
            sitk.WriteImage(sitk.ReadImage(str(file)), str(case / f"{kind}.nrrd"))
    (folder / "corrected").mkdir()
    shutil.copy(case / "mandible.nrrd", folder / "corrected" / f"{case.name}.nrrd")
    shutil.copy(folder / "scans" / "images" / f"{case.name}.nii.gz", folder / "scan1.nii.gz")
    shutil.copy(case / "ct.nrrd", folder / "scan2.nrrd")
    shutil.copy(case / "ct.nrrd", folder / "scans" / "scan3.nrrd")  # directly in the folder, as `predict` wants it


def resolved(words: list[str], folder: Path) -> list[str]:
    """The words with the names of this run folder and this export in place of the page's."""
    names = {"export/patient1": "export/clinic_000", "cohorts/new": "cohorts/clinic"}
    if runs := sorted((folder / "outputs" / "clinic").glob("ratio*")):
        names["outputs/clinic/RUN"] = str(runs[0].relative_to(folder))
        names["network.ckpt"] = f"{runs[0].relative_to(folder)}/checkpoints/train/last.ckpt"
    text = "\0".join(words)
    for name, own in names.items():
        text = text.replace(name, own)
    return text.split("\0")


@pytest.mark.slow
def test_the_commands_of_readme_and_of_the_reference_pages_run(tmp_path, monkeypatch, nursery, capsys):
    monkeypatch.chdir(tmp_path)
    write_stand_ins(tmp_path)
    process, done = WarmProcesses(tmp_path, nursery), set()
    for page in (Page(ROOT / name) for name in PAGES):
        for line in page.lines:
            words = resolved(line, tmp_path)
            if tuple(words) in done or ELSEWHERE.keys() & words:
                continue
            done.add(tuple(words))
            capsys.readouterr()
            if words[:3] == ["python", "-m", "mandseg.train"]:
                if "data=folder" in words:
                    train(process, words[3:])
            elif words[0] == "mandseg":
                expected = 2 if words[1] in SAYS else 0
                assert run(*words[1:]) == expected, (page.name, words, capsys.readouterr())
                assert re.search(SAYS.get(words[1], ""), capsys.readouterr().err)
