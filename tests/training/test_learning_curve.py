"""The learning curve is complete after kills, resumes and new columns, and has no step twice."""

import pandas as pd
import pytest

from mandseg.system.errors import UserError
from mandseg.training.learning_curve import LearningCurve


def read(path):
    return pd.read_csv(path).set_index("step")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "learning_curve.csv"


def test_columns_are_the_union_of_what_was_logged(path):
    curve = LearningCurve(path)
    curve.log_metrics({"train_loss": 0.5}, 10)
    curve.log_metrics({"val_dice": 0.8}, 10)
    curve.log_metrics({"train_loss": 0.25, "lr": 0.001}, 20)
    assert path.read_text() == "step,train_loss,val_dice,lr\n10,0.5,0.8,\n20,0.25,,0.001\n"


def test_each_step_is_on_disk_as_soon_as_it_is_logged(path):
    curve = LearningCurve(path)
    for step in (10, 20, 30):
        curve.log_metrics({"train_loss": 1 / step}, step)
        assert read(path).loc[step, "train_loss"] == 1 / step


def test_a_resumed_run_continues_the_file_and_repeats_no_step(path):
    killed = LearningCurve(path)
    for step in (10, 20, 30, 40):
        killed.log_metrics({"train_loss": float(step)}, step)
    resumed = LearningCurve(path)  # from the checkpoint at step 20
    for step in (30, 40, 50):
        resumed.log_metrics({"train_loss": step + 0.5}, step)
    assert read(path)["train_loss"].to_dict() == {10: 10, 20: 20, 30: 30.5, 40: 40.5, 50: 50.5}


@pytest.mark.parametrize("resumed_at", [30, 50])
def test_a_killed_and_resumed_curve_is_byte_for_byte_that_of_an_uninterrupted_run(path, tmp_path, resumed_at):
    def train(curve, steps):
        for step in steps:
            curve.log_metrics({"train_loss": 1 / (step + 3)}, step)
            if step % 20 == 0:
                curve.log_metrics({"val_dice": step / 70}, step)

    train(LearningCurve(path), range(0, 50, 10))
    with path.open("a") as file:
        file.write("50,0.0188")  # the kill came in the middle of a line
    train(LearningCurve(path), range(resumed_at, 70, 10))
    train(LearningCurve(tmp_path / "whole.csv"), range(0, 70, 10))
    assert path.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_step_logged_again_keeps_the_values_that_did_not_come_again(path):
    LearningCurve(path).log_metrics({"train_loss": 0.5, "val_dice": 0.7}, 10)
    LearningCurve(path).log_metrics({"train_loss": 0.4}, 10)
    assert read(path).loc[10].to_dict() == {"train_loss": 0.4, "val_dice": 0.7}


def test_a_value_that_is_not_a_number_stays_visible(path):
    LearningCurve(path).log_metrics({"train_loss": float("nan")}, 10)
    assert path.read_text() == "step,train_loss\n10,nan\n"


def test_rows_of_a_forked_process_survive_the_parents_next_column(path):
    parent = LearningCurve(path)
    parent.log_metrics({"train_loss": 0.5}, 10)
    LearningCurve(path).log_metrics({"train_loss": 0.25}, 20)  # as rank 0 of ddp_fork does
    parent.log_metrics({"val_dice": 0.75}, 20)
    assert path.read_text() == "step,train_loss,val_dice\n10,0.5,\n20,0.25,0.75\n"


def test_a_file_cut_within_its_header_is_begun_again(path):
    path.parent.mkdir()
    path.write_text("step,train_l")
    LearningCurve(path).log_metrics({"train_loss": 1.0}, 10)
    assert path.read_text() == "step,train_loss\n10,1.0\n"


@pytest.mark.parametrize(
    "content",
    [b"garbage\nmore\n", b"step,a\nx,1\n", b"step,a\n1,2,3\n", b"\xff\xfe\x00\n", b"step,a\n" + b"9" * 5000 + b",1\n"],
)
def test_a_file_that_is_no_curve_is_one_line_and_stays(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"learning_curve\.csv: not a learning curve") as error:
        LearningCurve(path)
    assert len(error.value.problems) == 1
    assert path.read_bytes() == content
