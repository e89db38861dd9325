"""An estimate is the arithmetic of two short runs; a wrong setting is refused before anything runs."""

import json

import pytest

from command import run
from mandseg.runs.launchers import estimate as module
from mandseg.runs.launchers.estimate import LONG, SHORT, estimate

CONDITION = {"noise_ratio": 0.0, "seed": 0, "data": "d", "noise": "n", "model": "m", "method": "s"}


@pytest.fixture
def trained(monkeypatch):
    """In the place of the two short runs: 0.5 s a step, 3 s a validation, 20 s the test, 2 s the start."""
    cells = []

    def write(cell, config_name, folder):
        cells.append(cell)
        for steps in (SHORT, LONG):
            run_folder = folder / "estimate" / f"run{steps}"
            run_folder.mkdir(parents=True)
            seconds = {"prepare": 2.0, "train/train": 3.0 + 0.5 * steps, "evaluate": 20.0}
            record = {"condition": CONDITION, "state": "done", "steps": steps, "seconds": seconds}
            (run_folder / "run.json").write_text(json.dumps(record))
            (run_folder / "last.ckpt").write_bytes(bytes(1_000_000))

    monkeypatch.setattr(module, "_train", write)
    return cells


def test_a_run_costs_its_start_steps_validations_and_test(trained):
    found = estimate(["noise_ratio=0,0.5", "seed=range(3)", "steps=400", "validations=2"])
    assert (found.cells, found.steps, found.validations) == (6, 400, 2)
    assert (found.step_s, found.validation_s) == pytest.approx((0.5, 3.0))
    assert found.run_s == pytest.approx(2 + 400 * 0.5 + 2 * 3 + 20)
    assert 1_000_000 < found.run_bytes < 1_010_000
    assert trained == [["noise_ratio=0", "seed=0", "steps=400", "validations=2"]]


def test_the_command_prints_the_time_of_the_grid(trained, capsys):
    assert run("estimate", "noise_ratio=0,0.5", "seed=0,1", "steps=400", "validations=2") == 0
    words = " ".join(capsys.readouterr().out.split())
    assert "a step 0.500 s" in words
    assert "the grid, 4 runs 15 min in one process" in words  # 4 x 228 s


@pytest.mark.parametrize(
    ("word", "problem"),
    [("noise_ratio=0,7", "noise_ratio=7: a share of cases"), ("stepz=7", "Could not override 'stepz'")],
)
def test_a_wrong_setting_is_one_line_and_nothing_runs(word, problem, trained, capsys):
    assert run("estimate", word) == 2
    assert problem in capsys.readouterr().err
    assert trained == []
