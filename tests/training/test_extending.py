"""docs/extending.md is followed word for word: its files are written, and its commands are trained."""

import re
import runpy
import shlex
import sys
from pathlib import Path

import pandas as pd
import pytest

from stage_runs import StageRuns
from tiny_cohort import write_tiny_cohort

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's, which a run silences

PAGE = (Path(__file__).parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL))
COMMANDS = [shlex.split(line)[3:] for line in PAGE.splitlines() if line.startswith("python -m mandseg.train ")]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("extending")
    write_tiny_cohort(folder / "cohort")
    for name, code in FILES.items():
        (folder / name).write_text(code)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["my_score.py", "cohort/manifest.csv"])
        runpy.run_path("my_score.py")
        yield StageRuns(folder, monkeypatch)


def test_the_page_has_an_example_of_each():
    assert sorted(FILES) == ["my_labels.py", "my_losses.py", "my_methods.py", "my_score.py"]
    assert len(COMMANDS) == 4


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_command_of_the_page_trains(world, command):
    name = f"run{COMMANDS.index(command)}"
    assert world.train(name, *command)
    curve = pd.read_csv(world.folder / name / "learning_curve.csv")
    assert curve.train_loss.notna().any()
    assert ("train_second" in curve) == ("my_methods" in " ".join(command))
    if "my_labels" in " ".join(command):
        assert len(list((world.folder / name / "labels" / "agreed").glob("*.npy"))) == 4


def test_the_ranking_of_the_page_decides_which_cases_are_trusted(world):
    from mandseg.runs.run import prepare

    first_two = pd.read_csv(world.folder / "ranking.csv").case_id[:2]
    plan = prepare(world.config("clean_budget=2", "ranking=ranking.csv")).plan
    assert sorted(plan.trusted) == sorted(first_two)
