"""An estimate is the arithmetic of short runs; a wrong setting is refused before anything runs."""

import json

import pytest

from command import run
from mandseg.runs.launchers import estimate as module
from mandseg.runs.launchers.estimate import Trial, estimate
from mandseg.runs.record import record_of
from tiny_cohort import words, write_tiny_cohort

CONDITION = {"noise_ratio": 0.0, "seed": 0, "data": "d", "noise": "n", "model": "m", "method": "s"}


@pytest.fixture
def trained(monkeypatch):
    """In the place of a short run: 0.5 s a step, 3 s a validation, 7 s a measurement, 20 s the test, 2 s the start."""
    cells = []

    def trial(config, cell, steps, measurements):
        cells.append(cell.overrides)
        stages = cell.cfg.method.stages
        seconds = {"prepare": 2.0, "evaluate": 20.0, "relabel/b": 11.0 * (len(stages) - 1)}
        seconds |= {f"train/{stage.name}": 3.0 + 0.5 * stage.share * steps for stage in stages}
        seconds[f"train/{stages[0].name}"] += 7.0 * measurements
        record = {"condition": CONDITION, "state": "done", "steps": steps, "seconds": seconds}
        return Trial(record_of(record), 1_000_000 + steps, 10 * steps)

    monkeypatch.setattr(module, "_train", trial)
    return cells


def test_a_run_costs_its_start_steps_validations_measurements_and_test(trained):
    found = estimate(["noise_ratio=0,0.5", "seed=range(3)", "steps=400", "validations=2", "memorisation=5"])
    assert (found.cells, found.steps, found.validations, found.measurements) == (6, 400, 2, 5)
    assert (found.step_s, found.validation_s, found.measurement_s) == pytest.approx((0.5, 3.0, 7.0))
    assert found.run_s == pytest.approx(2 + 400 * 0.5 + 2 * 3 + 5 * 7 + 20)
    assert (found.run_bytes, found.peak_bytes) == (1_000_016, 160)
    assert trained == 3 * [("noise_ratio=0", "seed=0", "steps=400", "validations=2", "memorisation=5")]


def test_without_measurements_two_short_runs_suffice(trained):
    assert estimate(["memorisation=0"]).measurement_s == 0
    assert len(trained) == 2


def test_each_stage_has_a_validation_and_its_labels_are_counted_once(trained):
    found = estimate(["method=self_refinement", "validations=1", "memorisation=0"])
    n_stages = found.validations
    assert n_stages > 1
    assert (found.step_s, found.validation_s, found.relabel_s) == pytest.approx((0.5, 3.0, 11.0 * (n_stages - 1)))


def test_the_axes_of_a_sweep_file_and_of_the_words_are_the_grid(trained):
    assert estimate([], "demo").cells == 4
    assert trained[0] == ("seed=0", "noise_ratio=0")
    assert estimate(["seed=0,1,2", "noise_ratio=0.5,1.0"], "demo").cells == 6
    assert estimate([], "severity").cells == 24


def test_words_of_a_launcher_are_no_words_of_a_cell(trained):
    assert estimate(["hydra/launcher=local", "hydra.launcher.jobs=2", "seed=0,1"]).cells == 2
    assert trained[0] == ("seed=0",)


def test_the_command_prints_the_time_of_the_grid(trained, capsys, monkeypatch):
    monkeypatch.setattr("mandseg.system.cores.usable_cores", lambda: 64)
    assert run("estimate", "-m", "noise_ratio=0,0.5", "seed=0,1", "steps=400", "validations=2", "memorisation=0") == 0
    printed = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert "a step 0.500 s, with its data" in lines
    assert "the grid, 4 runs 15 min in one process" in lines  # 4 x 228 s
    assert len([line for line in lines if "processes" in line]) == 1


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("noise_ratio=0,7", "noise_ratio=7: a share of cases"),
        ("stepz=7", "stepz"),
        ("hydra/sweeper=basic", "a search chooses its runs"),
    ],
)
def test_a_wrong_setting_is_one_line_and_nothing_runs(word, problem, trained, capsys):
    assert run("estimate", word) == 2
    printed = capsys.readouterr().err.splitlines()
    assert len(printed) == 1
    assert problem in printed[0]
    assert trained == []


@pytest.mark.slow
def test_a_real_grid_is_measured_by_single_runs_that_leave_nothing(tmp_path, monkeypatch, capsys):
    write_tiny_cohort(tmp_path / "cohort")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "torch.py").write_text("raise RuntimeError('the current folder is not searched')")
    own = [*words(tmp_path / "cohort", tmp_path / "outputs"), "memorisation=1", "hydra/launcher=local"]
    assert run("estimate", "--json", *own, "hydra.launcher.jobs=1", "seed=0,1", "noise_ratio=0,0.5") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["cells"], found["steps"], found["validations"], found["measurements"]) == (4, 12, 3, 1)
    assert found["run_s"] >= found["evaluate_s"] + found["start_s"] > 0
    assert found["run_bytes"] > 1000
    assert not (tmp_path / "outputs").exists()
