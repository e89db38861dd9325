"""The progress of a running run follows from its record and its learning curve."""

import json
import os
from datetime import UTC, datetime

import pytest

from mandseg.runs.folder import RunFolder
from mandseg.runs.progress import duration, progress

STARTED = "2026-01-01T10:00:00+00:00"
CONDITION = {"noise_ratio": 0.0, "seed": 0, "data": "d", "noise": "n", "model": "m", "method": "s"}


@pytest.fixture
def run(tmp_path):
    """A run of 400 steps that logged step 99 130 seconds after its start, of which 30 were preparation."""
    folder = RunFolder(tmp_path)
    folder.curve_file.write_text("step,train_loss\n9,1.5\n99,1.25\n")
    written = datetime(2026, 1, 1, 10, 2, 10, tzinfo=UTC).timestamp()
    os.utime(folder.curve_file, (written, written))
    return folder


def record_of(run, **facts):
    content = {"condition": CONDITION, "state": "running", "started": STARTED, "steps": 400}
    run.record_file.write_text(json.dumps(content | {"seconds": {"prepare": 30.0}} | facts))
    return run.record()


def test_the_time_left_is_that_of_the_steps_so_far(run):
    assert progress(run, record_of(run)) == "step 100 of 400, about 5 min of training left"


def test_the_time_of_earlier_processes_counts(run):
    resumed = record_of(run, seconds={"prepare": 30.0, "train/train": 70.0})
    assert progress(run, resumed) == "step 100 of 400, about 10 min of training left"


def test_without_a_step_or_a_readable_time_less_is_said(run):
    assert progress(run, record_of(run, started="yesterday")) == "step 100 of 400"
    run.curve_file.write_text("step,train_loss\n")
    assert progress(run, record_of(run)) == ""
    run.curve_file.unlink()
    assert progress(run, record_of(run)) == ""


def test_a_row_that_is_not_complete_does_not_count(run):
    with run.curve_file.open("a") as file:
        file.write("399,0.1")
    assert progress(run, record_of(run)).startswith("step 100 of 400")


def test_a_duration_has_the_unit_that_fits():
    assert [duration(s) for s in (119.4, 120, 7199, 9000)] == ["119 s", "2 min", "120 min", "2.5 h"]
