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
