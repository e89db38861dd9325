"""The SLURM tutorial, from its first command to the last, on a real cluster with a tiny cohort."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from bench import SMALL, Bench

from doc_blocks import Page
from mandseg.data.manifest import Cohort

DOCS = Path(__file__).parents[2] / "docs"
COMMAND = re.compile(r"^(?:python|mandseg|scancel|export) .*", re.MULTILINE)
HERE = {  # the site of the page -> this cluster
    "partition: gpu": "partition: main",
    "account: radiotherapy\n": "",
    "cpus_per_task: 8": "cpus_per_task: 1",
    "mem_gb: 32": "mem_gb: 0.5",
    "  - module load cuda/12.4\n": "",
}
pytestmark = pytest.mark.slurm


@pytest.fixture(scope="module")
def site(bench: Bench, cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A folder as the tutorial assumes it: the cohort, and the file of the site; /scratch is a folder in it."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(cohort.root, folder / "cohorts" / "clinic")
    ((name, text),) = Page(DOCS / "cluster.md").files.items()
    text = text.replace("/scratch", f"{folder}/scratch")
    for there, here in HERE.items():
        assert there in text
        text = text.replace(there, here)
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text(text)
    return replace(bench, folder=folder, words=[])


def commands(page: str) -> list[str]:
    """The shell lines of a page's blocks."""
    return [line for block in Page(DOCS / page).blocks("") for line in COMMAND.findall(block)]


def typed(site: Bench, line: str) -> str:
    """Type a line of the docs, on a tiny network and without a GPU; what it printed."""
    small = [word for word in SMALL if not word.startswith(("data=", "noise="))]
    line = line.replace(" trainer=gpu", "").replace(" steps=20", "").replace("/scratch", f"{site.folder}/scratch")
    if line.startswith("python -m mandseg.train"):
        line += " " + " ".join(f"'{word}'" for word in small)
    own = {
        "OMP_NUM_THREADS": "1",
        "WANDB_MODE": "offline",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    env = {**site.cluster.env, **own, "USER": "somebody", "MANDSEG_CACHE": f"{site.folder}/scratch/cache"}
    done = subprocess.run(["bash", "-c", line], cwd=site.folder, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_every_command_of_the_tutorial_has_its_stated_result(site: Bench):
    export, first, submit, status, report = commands("tutorials/slurm-sweep.md")
    (cancel,) = (line for line in commands("cluster.md") if line.startswith("scancel"))
    typed(site, export)
    typed(site, first)
    assert "12 jobs submitted" in typed(site, submit)
    typed(site, cancel)
    site.cluster.wait_until_empty()
    typed(site, submit)
    site.cluster.wait_until_empty()
    assert re.search(r"12 +│ +12 +│ +0 +│ +0 +│ +0 ", typed(site, status))  # expected, done, none running or failed
    typed(site, report)
    assert (site.folder / "outputs" / "clinic" / "report" / "index.html").exists()
