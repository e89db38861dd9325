"""The settings of ``make gpu-check`` are settings of a training; nobody runs it often."""

import importlib.util
from pathlib import Path

import pytest

from composing import composed

FILE = Path(__file__).parents[2] / "benchmarks" / "gpu_check.py"


@pytest.fixture(scope="module")
def gpu_check():
    spec = importlib.util.spec_from_file_location("gpu_check", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["prefetch", "precisions", "outside_the_network", "several_devices"])
def test_the_words_of_each_check_compose(gpu_check, monkeypatch, name):
    found = []
    monkeypatch.setattr(gpu_check, "step_seconds", lambda _, __, ___, *words: found.append(words) or 0.1)
    of = gpu_check.Machine("a card", 2, gpu_check.SMALL, 4, 24)
    getattr(gpu_check, name)(of, None)
    assert found
    for words in found:
        assert composed(*gpu_check.SMALL, *gpu_check.QUIET, *words)


def test_steps_that_take_no_measurable_time_are_not_a_figure(gpu_check, monkeypatch):
    of = gpu_check.Machine("a card", 1, gpu_check.SMALL, 4, 24)
    trainings = gpu_check.Trainings(Path(), gpu_check.SMALL)
    seconds = {"x-short": 0.5, "x-long": 2.5}
    monkeypatch.setattr(trainings, "run", lambda study, *_: {"seconds": {"train/train": seconds[study], "prepare": 9}})
    assert gpu_check.step_seconds(of, trainings, "x") == pytest.approx(0.1)
    seconds["x-long"] = 0.4
    with pytest.raises(RuntimeError, match=r"24 steps took 0\.40 s and 4 steps 0\.50 s: run it again"):
        gpu_check.step_seconds(of, trainings, "x")
