"""A checkpoint is read only if a training can go on from it, and it names no folder."""

import pytest
import torch

from mandseg.runs.trained.load import load_network
from mandseg.system.errors import UserError
from mandseg.training.checkpoint import BestCheckpoint, RunCheckpointIO, best_checkpoint

MARK = {"noise_ratio": 0.5}
COMPLETE = {
    "state_dict": {"a": torch.zeros(2)},
    "loops": {"fit_loop": {"epoch_progress": {"current": {"completed": 1}}, "is_last_batch": False, "state_dict": {}}},
    "callbacks": {},
    "optimizer_states": [{}],
    "lr_schedulers": [],
    "epoch": 1,
    "global_step": 4,
    "pytorch-lightning_version": "2.6.0",
}


def test_a_complete_checkpoint_is_read(tmp_path):
    RunCheckpointIO(MARK).save_checkpoint(COMPLETE, tmp_path / "last.ckpt")
    assert RunCheckpointIO(MARK).load_checkpoint(tmp_path / "last.ckpt")["global_step"] == 4


@pytest.mark.parametrize("key", COMPLETE)
@pytest.mark.parametrize("value", [None, "text", torch.zeros(3), {"a": "b"}])
def test_a_checkpoint_from_which_no_training_can_continue_is_one_line(tmp_path, key, value):
    if isinstance(value, type(COMPLETE[key])) and key != "loops":
        pytest.skip("this is a value that it may have")
    damaged = {name: entry for name, entry in COMPLETE.items() if name != key} | ({} if value is None else {key: value})
    RunCheckpointIO(MARK).save_checkpoint(damaged, tmp_path / "last.ckpt")
    with pytest.raises(UserError, match=f"last.ckpt: {key} is missing or damaged; remove it to train from the start"):
        RunCheckpointIO(MARK).load_checkpoint(tmp_path / "last.ckpt")


@pytest.mark.parametrize("mark", ["text", torch.zeros(2), {"noise_ratio": torch.zeros(2)}, {"noise_ratio": "half"}])
def test_a_checkpoint_that_names_no_run_or_another_is_one_line(tmp_path, mark):
    torch.save(COMPLETE | {"mandseg_run": mark}, tmp_path / "last.ckpt")
    with pytest.raises(UserError, match=r"does not name its run|a checkpoint of another condition"):
        RunCheckpointIO(MARK).load_checkpoint(tmp_path / "last.ckpt")


def test_the_state_of_the_best_checkpoint_names_no_folder_and_moves_with_the_run(tmp_path):
    here, there = tmp_path / "DOE^JANE" / "train", tmp_path / "moved"
    first, second = best_checkpoint(here), best_checkpoint(there)
    first.best_model_path, first.best_model_score = str(here / "best.ckpt"), torch.tensor(0.8)
    first.best_k_models, first.kth_best_model_path = {first.best_model_path: torch.tensor(0.8)}, first.best_model_path
    state = first.state_dict()
    assert "DOE" not in str(state)
    assert state["best_model_path"] == "./best.ckpt"
    second.load_state_dict(state)
    assert second.best_model_path == str(there / "best.ckpt")
    assert second.best_k_models == {str(there / "best.ckpt"): torch.tensor(0.8)}
    assert second.best_model_score == torch.tensor(0.8)
    assert isinstance(second, BestCheckpoint)


@pytest.mark.parametrize("settings", [{"seed": "${oc.env:HOME}"}, {"seed": torch.zeros(2)}, {"seed": print}, [1], None])
def test_stored_settings_are_plain_values_that_read_nothing_of_this_machine(tmp_path, settings):
    torch.save({"state_dict": {}, "mandseg_network": {"format": 1, "settings": settings}}, tmp_path / "x.ckpt")
    with pytest.raises(UserError, match=r"interpolation|damaged|format|cannot be read as a checkpoint"):
        load_network(tmp_path / "x.ckpt")
