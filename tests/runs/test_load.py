"""A trained network is loaded from its run folder alone, and predicts like the run, voxel for voxel."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from mandseg.data.volume import read_volume
from mandseg.runs.trained.load import load_network, load_predictor
from mandseg.system.errors import UserError
from tiny_cohort import TESTED, words, write_tiny_cohort
from warm_processes import WarmProcesses


@pytest.fixture(scope="module")
def world(tmp_path_factory, nursery):
    folder = tmp_path_factory.mktemp("load")
    write_tiny_cohort(folder / "cohort")
    return WarmProcesses(folder, nursery)


def trained(world, checkpoint):
    """A run that was tested with some checkpoint and kept its predictions; its learning rate is high from the start."""
    outputs = world.folder / checkpoint / "outputs"
    own = ["segmenter.warmup_steps=1", "optimizer.lr=0.03", f"evaluation.checkpoint={checkpoint}"]
    argv = [*words(world.folder / "cohort", outputs), *own, "evaluation.save_predictions=true"]
    assert world.run(argv) == 0, world.log.read_text()
    (folder,) = (p for p in (outputs / "s").iterdir() if p.is_dir())
    return folder


@pytest.fixture(scope="module")
def run(world):
    return trained(world, "last")


def saved(folder, case_id):
    (file,) = folder.glob(f"predictions/{case_id}-*.nii.gz")
    return read_volume(file)


@pytest.mark.parametrize("checkpoint", ["last", pytest.param("best", marks=pytest.mark.slow)])
def test_its_mask_is_the_runs_saved_prediction(world, run, checkpoint):
    folder = run if checkpoint == "last" else trained(world, "best")
    shutil.rmtree(world.folder / checkpoint / "cache", ignore_errors=True)
    predictor = load_predictor(folder, checkpoint)
    some = 0
    for case_id in TESTED:
        mask = predictor.mask(read_volume(world.folder / "cohort" / f"{case_id}_image.nii.gz"), 0.2)
        assert np.array_equal(mask.array, saved(folder, case_id).array > 0)
        assert mask.geometry.disagreement(saved(folder, case_id).geometry) is None
        some += mask.array.sum()
    assert some > 0


def test_it_predicts_in_the_arithmetic_in_which_the_run_was_tested(run, tmp_path):
    record = json.loads((run / "run.json").read_text())
    assert record["test_precision"] == record["precision"] == load_predictor(run).precision


def test_a_trained_checkpoint_moved_alone_predicts_as_its_run_and_carries_the_range_of_its_labels(world, run, tmp_path):
    for name in ("last", "best"):
        moved = Path(shutil.copy(run / "checkpoints" / "train" / f"{name}.ckpt", tmp_path / f"{name}-moved.ckpt"))
        alone, of_run = load_network(moved), load_network(run, name)
        image = read_volume(world.folder / "cohort" / f"{next(iter(TESTED))}_image.nii.gz")
        assert np.array_equal(alone.predictor.mask(image, 0.2).array, of_run.predictor.mask(image, 0.2).array)
        assert (alone.name, alone.structure, alone.smallest_piece) == (run.name, "Mandible", 0.2)
        assert alone.training.n_cases == 4
        low_ml, high_ml = alone.training.volume_ml
        assert 40 < low_ml <= high_ml < 50  # 729 voxels of 0.064 ml, some of them in a noisy label


def test_weights_are_read_without_running_code(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    torch.save({"state_dict": {}, "call": print}, copy / "checkpoints" / "train" / "last.ckpt")
    with pytest.raises(UserError, match=r"last.ckpt: cannot be read as a checkpoint"):
        load_predictor(copy)


def test_weights_of_another_network_are_refused(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    config = (copy / "config.yaml").read_text()
    (copy / "config.yaml").write_text(config.replace("num_res_units: 2", "num_res_units: 1"))
    with pytest.raises(UserError, match=r"last.ckpt: a checkpoint of another network"):
        load_predictor(copy)


def test_what_cannot_be_loaded_is_one_line(run, tmp_path):
    with pytest.raises(UserError, match=r"nowhere: not a run folder, it has no config.yaml"):
        load_predictor(tmp_path / "nowhere")
    copy = shutil.copytree(run, tmp_path / "run")
    with pytest.raises(UserError, match="checkpoint 'newest': expected one of last, best"):
        load_predictor(copy, "newest")
    with pytest.raises(UserError, match="device abacus: there is no such device; expected auto, cpu, cuda or cuda:1"):
        load_predictor(copy, device="abacus")
    (copy / "checkpoints" / "train" / "best.ckpt").unlink()
    with pytest.raises(UserError, match=r"best.ckpt: no such checkpoint"):
        load_predictor(copy, "best")
    (copy / "config.yaml").write_text("method: {name: supervised}\n")
    with pytest.raises(UserError, match=r"config.yaml: not the config of a run of this version"):
        load_predictor(copy)
