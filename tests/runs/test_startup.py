"""What each command imports before it works: a help, a submission and a refusal answer at once."""

import os
import subprocess
import sys

import pytest

from study_fixture import write_study

COMPUTING = "torch lightning monai torchio numpy scipy pandas matplotlib SimpleITK nibabel skimage wandb".split()  # noqa: SIM905
FORBIDDEN = {
    "help": COMPUTING,
    "cfg": COMPUTING,
    "submission": COMPUTING,
    "refused report": [*COMPUTING, "jinja2"],
    "status": [name for name in COMPUTING if name not in ("numpy", "pandas")],
    "report": ["torch", "lightning", "monai", "torchio", "SimpleITK", "nibabel", "skimage", "wandb", "scipy.stats"],
}
"""What a command must not have imported. A process runs the commands in this order."""
UNUSED = ["wandb", "scipy.signal", "scipy.stats", "optuna", "sqlalchemy"]
"""What a training must not have imported at its first step."""
SCRIPT = """
import sys

def loaded(stage, forbidden):
    print("LOADED", stage, *[name for name in forbidden if name in sys.modules], sep="|")

def train(*words):
    import mandseg.train
    sys.argv = ["mandseg.train", *words]
    try:
        mandseg.train.main()
    except SystemExit as end:
        assert not end.code, end.code

def submission():
    train("-m", "noise_ratio=0,0.5", "tracking=none", "hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1")

def command(code, *words):
    from mandseg.cli.main import main
    try:
        main(words)
    except SystemExit as end:
        assert (end.code or 0) == code, end.code

stages = {
    "help": lambda: train("--help"),
    "cfg": lambda: train("--cfg", "job"),
    "submission": submission,
    "refused report": lambda: command(2, "report", "no_such_study"),
    "status": lambda: command(1, "status", "outputs/phantom"),
    "report": lambda: command(0, "report", "study", "--no-pdf"),
}
assert list(stages) == list(FORBIDDEN)
for stage, forbidden in FORBIDDEN.items():
    stages[stage]()
    loaded(stage, forbidden)
"""
TRAINING = """
import sys
from mandseg.training.libraries import import_libraries
import_libraries()
import mandseg.runs.run
from monai.networks.nets import UNet
print("LOADED", *[name for name in UNUSED if name in sys.modules], sep="|")
import scipy.signal
print("AFTERWARDS", scipy.signal.hilbert([1.0, 0.0]).real.tolist(), sep="|")
"""


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A line of each stage. Two scripts stand in for SLURM."""
    folder = tmp_path_factory.mktemp("startup")
    for name in ("sbatch", "srun"):
        script = folder / "bin" / name
        script.parent.mkdir(exist_ok=True)
        script.write_text("#!/bin/sh\necho Submitted batch job 1\n")
        script.chmod(0o755)
    write_study(folder / "study", {0.0: 0.0, 0.5: 0.01}, seeds=(0,))
    env = {**os.environ, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "80"}
    code = f"FORBIDDEN = {FORBIDDEN!r}\n{SCRIPT}"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len((folder / "outputs" / "phantom" / "grid.csv").read_text().splitlines()) == 3
    return [line for line in done.stdout.splitlines() if line.startswith("LOADED")]


def test_no_command_imports_what_it_does_not_use(lines: list[str]):
    assert lines == [f"LOADED|{stage}" for stage in FORBIDDEN]


def test_a_training_leaves_out_what_its_libraries_do_not_need_and_it_can_be_imported_later():
    code = f"UNUSED = {UNUSED!r}\n{TRAINING}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-2:] == ["LOADED", "AFTERWARDS|[1.0, 0.0]"], done.stderr
