"""A run that is killed or interrupted at any time and started again ends bit for bit like an undisturbed one."""

import json
import os
import random
import signal
import time
from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
import torch

from mandseg.system.signals import Interrupted, interruptible
from mandseg.training.checkpoint import loops_at
from tiny_cohort import words, write_tiny_cohort
from warm_processes import WarmProcesses

STEPS_PER_EPOCH = 4  # tiny_cohort.SMALL has 12 steps and three validations of three cases, then three tests

rng = random.Random(2026)
KILLS = [
    ("saved", rng.randint(1, 8), "checkpoint_minutes=0"),
    ("saved", 9, "checkpoint_minutes=0"),  # last.ckpt has just followed best.ckpt
    ("saving", rng.randint(2, 14), "checkpoint_minutes=0"),
    *(("step", 7, word) for word in ("checkpoint_minutes=0", "checkpoint_minutes=5")),
    ("validation", rng.randint(1, 8), "checkpoint_minutes=0"),
    ("validation", 9, "checkpoint_minutes=0"),  # the last case of the last validation
    ("evaluation", rng.randint(1, 3), "checkpoint_minutes=5"),
    ("cases", 1, "checkpoint_minutes=5"),
    ("cache", rng.randint(1, 10), "checkpoint_minutes=5"),
    ("cached", rng.randint(1, 10), "checkpoint_minutes=5"),
]
SAVED = {"checkpoint_minutes=0": 6, "checkpoint_minutes=5": 4}
"""The steps that a kill in the seventh leaves: six are whole; four were saved at the validation."""


@pytest.fixture(scope="module")
def world(tmp_path_factory, nursery):
    """A cohort, and runs with their log in a folder."""
    folder = tmp_path_factory.mktemp("resume")
    write_tiny_cohort(folder / "cohort")
    return WarmProcesses(folder, nursery)


def settings(world, name, own_cache=False):
    """The words of a run, which shares the cache of prepared cases unless that is disturbed, too."""
    own = words(world.folder / "cohort", world.folder / name / "outputs")
    return own if own_cache else [*own, f"cache_dir={world.folder}/cache"]


def run_folder(world, name):
    (folder,) = (p for p in (world.folder / name / "outputs" / "s").iterdir() if p.is_dir())
    return folder


def record(world, name):
    return json.loads((run_folder(world, name) / "run.json").read_text())


@pytest.fixture(scope="module")
def undisturbed(world):
    assert world.run(settings(world, "undisturbed")) == 0, world.log.read_text()
    return outcome(world, "undisturbed")


def outcome(world, name):
    """Weights, moments and learning curve of a run, bit for bit, and its scores."""
    folder = run_folder(world, name)
    last = torch.load(folder / "checkpoints" / "train" / "last.ckpt", weights_only=True)
    best = torch.load(folder / "checkpoints" / "train" / "best.ckpt", weights_only=True)["state_dict"]
    moments = {(k, n): v for k, of in last["optimizer_states"][0]["state"].items() for n, v in of.items()}
    curve = pd.read_csv(folder / "learning_curve.csv", dtype=str).set_index("step")
    cases = pd.read_csv(folder / "cases.csv").drop(columns="seconds")
    return last["state_dict"], best, moments, curve, cases


def assert_same(found, wanted):
    for a, b in zip(found[:3], wanted[:3], strict=True):
        assert a.keys() == b.keys()
        assert [key for key in a if not torch.equal(a[key], b[key])] == []
    pd.testing.assert_frame_equal(found[3], wanted[3][found[3].columns])
    pd.testing.assert_frame_equal(found[4], wanted[4], check_exact=True)


@pytest.mark.slow
@pytest.mark.parametrize("kill", KILLS, ids=lambda kill: "-".join(map(str, kill)))
def test_a_run_killed_at_any_moment_ends_like_an_undisturbed_one(world, undisturbed, kill):
    moment, count, interval = kill
    name = f"kill{KILLS.index(kill)}"
    own = [*settings(world, name, own_cache=moment in ("cache", "cached")), interval]
    assert world.run(own, [moment, count, signal.SIGKILL]) == -signal.SIGKILL
    assert not list((world.folder / name).rglob("cases.csv"))
    if moment == "step":
        last = torch.load(run_folder(world, name) / "checkpoints" / "train" / "last.ckpt", weights_only=True)
        assert last["global_step"] == SAVED[interval]
        assert record(world, name)["began"] == {"step": 0, "logged": 0}
    assert world.run(own) == 0, world.log.read_text()
    if moment == "step":
        assert record(world, name)["began"]["step"] == SAVED[interval]
    assert_same(outcome(world, name), undisturbed)
    left = [p for p in (world.folder / name).rglob(".*") if p.name != ".hydra"]
    left = [p for p in left if not (p.suffix == ".lease" and p.parent.name == "cases")]  # of an entry that was complete
    assert left == []  # no half-written file, no predictions of a killed evaluation
    assert not (run_folder(world, name) / "run.lease").exists()


@pytest.mark.slow
def test_a_run_killed_again_and_again_at_random_times_ends_like_an_undisturbed_one(world, undisturbed):
    pause, kills = random.Random(7), 0
    own = [*settings(world, "often", own_cache=True), "checkpoint_minutes=0"]
    for _ in range(4):
        pid = world.start(own)
        time.sleep(pause.uniform(0.3, 1.5))
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        if world.end() == 0:
            break
        kills += 1
    else:
        assert world.run(own) == 0
    assert kills > 0
    assert_same(outcome(world, "often"), undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "count", "signum", "steps"),
    [
        ("step", 6, signal.SIGTERM, 6),
        ("step", 8, signal.SIGUSR2, 8),  # the last step of an epoch: its validation is still to be done
        ("step", 12, signal.SIGINT, 12),  # the run's last step
        ("validation", 5, signal.SIGUSR1, 8),
        ("cached", 3, signal.SIGTERM, None),
    ],
)
def test_a_signal_ends_a_run_as_interrupted_with_everything_saved(world, undisturbed, moment, count, signum, steps):
    name = f"{moment}{count}-{signum}"
    own = settings(world, name, own_cache=moment == "cached")
    assert world.run(own, [moment, count, signum]) == 75
    assert record(world, name)["state"] == "interrupted"
    assert signal.Signals(signum).name in record(world, name)["error"]
    last = run_folder(world, name) / "checkpoints" / "train" / "last.ckpt"
    assert (torch.load(last, weights_only=True)["global_step"] if last.exists() else None) == steps
    assert world.run(own) == 0, world.log.read_text()
    assert_same(outcome(world, name), undisturbed)


def test_sigterm_from_slurm_saves_and_continues_until_the_kill(world, undisturbed):
    fault, env = ["step", 7, signal.SIGTERM], {"SLURM_JOB_ID": "1"}
    assert world.run(settings(world, "slurm"), fault, env=env) == 0  # nobody killed it
    assert "SLURM is about to kill this job" in world.log.read_text()
    assert_same(outcome(world, "slurm"), undisturbed)


def test_a_checkpoint_of_another_condition_or_a_broken_one_is_one_line_and_exit_code_2(world, undisturbed):
    assert world.run(settings(world, "foreign"), ["step", 7, signal.SIGTERM]) == 75
    last = run_folder(world, "foreign") / "checkpoints" / "train" / "last.ckpt"
    checkpoint = torch.load(last, weights_only=True)
    checkpoint["mandseg_run"]["noise_ratio"] = 0.2
    torch.save(checkpoint, last)
    assert world.run(settings(world, "foreign")) == 2
    (line,) = world.error_lines()
    assert "last.ckpt: a checkpoint of another condition (noise_ratio 0.2, this run has 0.5)" in line
    last.write_bytes(last.read_bytes()[:1000])
    assert world.run(settings(world, "foreign")) == 2
    (line,) = world.error_lines()
    assert "last.ckpt: cannot be read as a checkpoint" in line
    assert "Traceback" not in world.log.read_text()
    last.unlink()
    assert world.run(settings(world, "foreign")) == 0
    assert_same(outcome(world, "foreign"), undisturbed)


def test_an_output_folder_that_cannot_be_written_is_one_line_and_exit_code_2(world):
    (world.folder / "file").write_text("")
    assert world.run([*settings(world, "nowhere"), f"output_dir={world.folder}/file/outputs"]) == 2
    (line,) = world.error_lines()
    assert "file/outputs/s cannot be written (Not a directory)" in line


def run_that_is_signalled(order):
    with interruptible() as interruption, interruption.waits():
        os.kill(os.getpid(), signal.SIGUSR2)
        assert interruption.save_wanted
        order.append("saved")


def test_the_former_owner_of_a_signal_has_its_turn_when_everything_is_saved():
    order = []
    former = signal.signal(signal.SIGUSR2, lambda *_: order.append("requeued"))
    try:
        with pytest.raises(Interrupted):
            run_that_is_signalled(order)
        assert order == ["saved", "requeued"]
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGUSR2, former)


@pytest.mark.parametrize(
    ("step", "validates", "epochs", "begun", "batch"),
    [(0, False, 0, 0, 0), (1, False, 0, 1, 1), (4, True, 0, 1, 4), (4, False, 1, 1, 0), (11, False, 2, 3, 3)],
)
def test_where_the_loops_stand_follows_from_the_step(step, validates, epochs, begun, batch):
    loops = loops_at({}, step, STEPS_PER_EPOCH, validates)
    assert loops["epoch_progress"]["total"] == {
        "ready": begun, "started": begun, "processed": epochs, "completed": epochs,
    }  # fmt: skip
    assert loops["epoch_loop.batch_progress"]["current"]["completed"] == batch
    assert loops["epoch_loop.batch_progress"]["total"]["completed"] == step
    assert loops["epoch_loop.batch_progress"]["is_last_batch"] is (batch == STEPS_PER_EPOCH)
    assert loops["epoch_loop.val_loop.batch_progress"]["current"]["started"] == int(validates)
    assert np.sign(loops["epoch_loop.state_dict"]["_batches_that_stepped"] - step) == -int(validates)
