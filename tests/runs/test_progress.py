"""The progress of a running run follows from its record and its learning curve."""

import json
import os
from datetime import UTC, datetime

import pytest

from mandseg.runs.folder import RunFolder
from mandseg.runs.progress import duration, progress

PREPARED = datetime(2026, 1, 1, 10, 0, 30, tzinfo=UTC).timestamp()  # when the present phase began
CONDITION = {"noise_ratio": 0.0, "seed": 0, "data": "d", "noise": "n", "model": "m", "method": "s"}


@pytest.fixture
def run(tmp_path):
    """A run of 400 steps that logged step 99 100 seconds after its preparation."""
    folder = RunFolder(tmp_path)
    folder.curve_file.write_text("step,train_loss\n9,1.5\n99,1.25\n")
    os.utime(folder.curve_file, (PREPARED + 100, PREPARED + 100))
    return folder


def record_of(run, **facts):
    content = {"condition": CONDITION, "state": "running", "steps": 400, "began": {"step": 0, "logged": 0}}
    run.record_file.write_text(json.dumps(content | facts))
    os.utime(run.record_file, (PREPARED, PREPARED))
    return run.record()


def test_the_time_left_is_that_of_the_steps_so_far(run):
    assert progress(run, record_of(run)) == "step 100 of 400, about 5 min of training left"


def test_a_continued_run_counts_its_own_steps_only(run):
    resumed = record_of(run, began={"step": 50, "logged": 80}, seconds={"prepare": 30.0, "train/all": 60.0})
    assert progress(run, resumed) == "step 100 of 400, about 10 min of training left"


def test_a_continued_run_names_no_time_while_it_repeats_steps(run):
    assert progress(run, record_of(run, began={"step": 50, "logged": 100})) == "step 100 of 400"


def test_between_two_stages_no_time_is_named(run):
    record = record_of(run, seconds={"train/warm-up": 200.0})
    os.utime(run.record_file, (PREPARED + 110, PREPARED + 110))  # its labels are being made
    assert progress(run, record) == "step 100 of 400"


def test_without_a_step_or_a_measured_time_the_progress_is_shorter(run):
    record = record_of(run)
    os.utime(run.record_file, (PREPARED + 110, PREPARED + 110))
    assert progress(run, record) == "step 100 of 400"
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
