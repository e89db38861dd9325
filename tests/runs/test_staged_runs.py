"""A run of two stages that is killed anywhere between or inside them ends bit for bit like an undisturbed one."""

import json
import signal

import numpy as np
import pandas as pd
import pytest
import torch

from tiny_cohort import words, write_tiny_cohort
from two_stages import SHARE, STAGES, TRUSTED
from warm_processes import WarmProcesses

KILLS = [
    ("relabelling", 2, 5),  # the second of two corrected labels is written, the folder has not its name
    ("relabelled", 1, 5),  # the labels are whole, nothing is trained on them
    ("step", 5, 0),  # the first step of the second stage
    ("step", 11, 0),
    ("saved", 9, 0),  # the first stage's last checkpoint; the labels are not begun
]


@pytest.fixture(scope="module")
def world(tmp_path_factory, nursery):
    folder = tmp_path_factory.mktemp("stages")
    write_tiny_cohort(folder / "cohort")
    return WarmProcesses(folder, nursery)


def settings(world, name, minutes=5):
    return [
        *words(world.folder / "cohort", world.folder / name / "outputs"),
        STAGES,
        TRUSTED,
        f"checkpoint_minutes={minutes}",
        f"cache_dir={world.folder}/cache",
    ]


def run_folder(world, name):
    (folder,) = (p for p in (world.folder / name / "outputs" / "s").iterdir() if p.is_dir())
    return folder


def checkpoint(folder, stage, name="last"):
    return torch.load(folder / "checkpoints" / stage / f"{name}.ckpt", weights_only=True)


@pytest.fixture(scope="module")
def undisturbed(world):
    assert world.run(settings(world, "undisturbed")) == 0, world.log.read_text()
    return run_folder(world, "undisturbed")


def labels(folder):
    return {file.stem: np.load(file) for file in (folder / "labels" / "corrected").glob("*.npy")}


def test_the_second_stage_continues_from_the_first_and_is_trained_on_the_networks_labels(undisturbed):
    folder = undisturbed
    assert [checkpoint(folder, stage)["global_step"] for stage in ("warm-up", "corrected")] == [4, 8]
    plan = pd.read_csv(folder / "noise_plan.csv").set_index("case_id").label
    made = pd.read_csv(folder / "labels" / "corrected" / "labels.csv").set_index("case_id").label
    assert plan.value_counts().to_dict() == {"noisy": 2, "reference": 2}
    assert made.to_dict() == plan.replace("noisy", "corrected").to_dict()
    assert set(labels(folder)) == set(plan[plan == "noisy"].index)
    assert all(label.mean() == pytest.approx(SHARE, abs=0.02) for label in labels(folder).values())
    marks = [checkpoint(folder, stage)["mandseg_run"]["labels"] for stage in ("warm-up", "corrected")]
    assert marks[0] == json.loads((folder / "run.json").read_text())["noise_plan"] != marks[1]


def batches_seen(folder, stage):
    """How many batches went through the network's first batch normalisation since it was made."""
    states = checkpoint(folder, stage)["state_dict"]
    return int(next(value for name, value in states.items() if name.endswith("num_batches_tracked")))


def test_a_stage_starts_from_the_former_weights_or_from_new_ones(world, undisturbed):
    assert [batches_seen(undisturbed, stage) for stage in ("warm-up", "corrected")] == [4, 12]
    new = [word.replace("start: former", "start: new") for word in settings(world, "new")]
    assert world.run(new) == 0, world.log.read_text()
    assert [batches_seen(run_folder(world, "new"), stage) for stage in ("warm-up", "corrected")] == [4, 8]


def test_a_checkpoint_describes_the_labels_of_its_own_stage(undisturbed):
    own = [checkpoint(undisturbed, stage)["mandseg_network"]["training"] for stage in ("warm-up", "corrected")]
    first, corrected = (np.array(summary["volume_ml"]) for summary in own)
    made = sum(label.sum() for label in labels(undisturbed).values()) / 2 * 0.064  # two alike in size, 4 mm voxels
    assert corrected.max() == pytest.approx(made, rel=0.1)
    assert corrected.max() != pytest.approx(first.max(), rel=0.1)


def test_the_learning_curve_has_every_step_of_the_run_once(undisturbed):
    curve = pd.read_csv(undisturbed / "learning_curve.csv").set_index("step")
    assert list(curve.index[curve.train_loss.notna()]) == [3, 11]  # the last step of a stage
    assert list(curve.index[curve.val_dice.notna()]) == [3, 7, 11]
    assert list(curve.index[curve["lr-AdamW"].notna()])[-1] == 11
    watched = curve.noisy_cases_dice_to_noisy.dropna()
    assert list(watched.index) == [1, 4, 6, 9, 11]  # five measurements over the twelve steps


def test_the_seconds_of_each_stage_are_kept(undisturbed):
    seconds = json.loads((undisturbed / "run.json").read_text())["seconds"]
    assert list(seconds) == ["prepare", "train/warm-up", "relabel/corrected", "train/corrected", "evaluate"]


@pytest.mark.slow
@pytest.mark.parametrize("kill", KILLS, ids=lambda kill: "-".join(map(str, kill)))
def test_a_run_killed_in_or_between_its_stages_ends_like_an_undisturbed_one(world, undisturbed, kill):
    moment, count, minutes = kill
    name = f"{moment}{count}"
    assert world.run(settings(world, name, minutes), [moment, count, signal.SIGKILL]) == -signal.SIGKILL
    assert (run_folder(world, name) / "labels" / "corrected").exists() == (moment in ("relabelled", "step"))
    assert world.run(settings(world, name, minutes)) == 0, world.log.read_text()
    folder = run_folder(world, name)
    for stage in ("warm-up", "corrected"):
        for file in ("last", "best"):
            found, wanted = (checkpoint(f, stage, file)["state_dict"] for f in (folder, undisturbed))
            assert [key for key in wanted if not torch.equal(found[key], wanted[key])] == []
    assert labels(folder).keys() == labels(undisturbed).keys()
    assert all(np.array_equal(label, labels(undisturbed)[case]) for case, label in labels(folder).items())
    curves = [pd.read_csv(f / "learning_curve.csv", dtype=str).set_index("step") for f in (folder, undisturbed)]
    pd.testing.assert_frame_equal(curves[0], curves[1][curves[0].columns])
    tables = [pd.read_csv(f / "cases.csv").drop(columns="seconds") for f in (folder, undisturbed)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    assert [p.name for p in folder.glob("labels/.*")] == []


def test_labels_that_changed_since_a_stage_began_are_refused(world):
    assert world.run(settings(world, "changed", 0), ["step", 7, signal.SIGTERM]) == 75
    file = next((run_folder(world, "changed") / "labels" / "corrected").glob("*.npy"))
    np.save(file, 1 - np.load(file))
    assert world.run(settings(world, "changed", 0)) == 2
    (line,) = world.error_lines()
    assert "corrected/last.ckpt: a checkpoint of another condition (labels " in line


def test_a_stage_without_a_case_is_one_line_and_exit_code_2_before_anything_is_trained(world):
    stages = "method.stages=[{name: a, share: 0.5}, {name: b, share: 0.5, trusted_only: true}]"
    assert world.run([word if word != STAGES else stages for word in settings(world, "nobody")]) == 2
    (line,) = world.error_lines()
    assert "stage b: trained on trusted cases only, and the label plan has none" in line
    assert not list((world.folder / "nobody").rglob("*.ckpt"))
