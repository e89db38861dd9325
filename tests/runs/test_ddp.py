"""Several processes for one run: the result of one process, every case once, and a crash that ends only its run."""

import json
import os
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

from mandseg.runs.ddp.devices import ProcessRank, announce, is_run, process_rank, processes_wanted, refuse_wrong_number
from mandseg.system.errors import UserError
from mandseg.training.loading.datamodule import StepSampler, shared_out
from tiny_cohort import TESTED, words, write_tiny_cohort
from warm_processes import WarmProcesses

# Plain gradient descent: Adam turns the rounding of gradients that are zero (biases before a normalisation) into steps.
SGD = ["optimizer._target_=torch.optim.SGD", "optimizer.lr=0.1", "loss._target_=crashing.Loss"]
SGD += ["trusted_packages=[crashing]"]
LOSS = ["~loss.sigmoid", "~loss.batch", "+loss.seed=${seed}"]
TWO = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.precision=32-true"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ddp")
    write_tiny_cohort(folder / "cohort")
    return folder


@pytest.fixture(scope="module")
def launch(world, nursery):
    return WarmProcesses(world, nursery)


def command(world, name, *own):
    settings = [w for w in words(world / "cohort", world / name / "outputs") if not w.startswith("trainer")]
    return [*settings, *SGD, *LOSS, *own, "trainer.enable_progress_bar=false", f"cache_dir={world}/cache"]


def runs(world, name):
    folders = sorted(p for p in (world / name / "outputs" / "s").iterdir() if p.is_dir())
    return {int(folder.name.split("_seed")[1].split("_")[0]): folder for folder in folders}


def state(folder):
    return json.loads((folder / "run.json").read_text())


def weights(folder):
    return torch.load(folder / "checkpoints" / "train" / "last.ckpt", weights_only=True)["state_dict"]


def processes_of(world):
    """The processes that have a folder of this test on their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(world).encode() in entry.read_bytes():
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


def start_task(world, nursery, rank, argv):
    """What srun starts on one node for a step of two tasks."""
    slurm = {"JOB_ID": 4242, "STEP_ID": 0, "STEP_NUM_TASKS": 2, "NTASKS": 2, "NTASKS_PER_NODE": 2, "NODEID": 0}
    slurm |= {"PROCID": rank, "LOCALID": rank, "NODELIST": "127.0.0.1", "JOB_NAME": "grid"}
    task = WarmProcesses(world, nursery)
    task.start(argv, env={f"SLURM_{key}": str(value) for key, value in slurm.items()})
    return task


@pytest.fixture(scope="module")
def grid(world, launch):
    """Three cells on two processes each; the second process of the second cell is killed. The exit code."""
    return launch.run(["-m", *command(world, "two", *TWO, "seed=0,1,2", "tracking=wandb")])


@pytest.mark.slow
def test_a_crashing_rank_ends_its_run_with_a_reason_and_not_the_sweep(world, grid, launch):
    assert grid == 1, launch.log.read_text()
    folders = runs(world, "two")
    assert {seed: state(folder)["state"] for seed, folder in folders.items()} == {0: "done", 1: "failed", 2: "done"}
    assert state(folders[1])["error"] == "rank 1 of 2 was killed by SIGKILL"
    assert not (folders[1] / "cases.csv").exists()
    assert processes_of(world) == []


@pytest.mark.slow
def test_each_run_of_a_grid_has_its_folder_its_cases_once_and_one_run_on_wandb(world, grid):
    for seed in (0, 2):
        folder = runs(world, "two")[seed]
        cases = pd.read_csv(folder / "cases.csv")
        assert sorted(cases.case_id) == sorted(TESTED)  # three cases, two processes
        assert set(cases.seed) == {seed}
        assert len(list(folder.glob("wandb/offline-run-*"))) == 1
        assert not list(folder.glob(".predictions"))
        assert (folder / "train.log").stat().st_size > 0


@pytest.mark.slow
def test_two_processes_end_like_one_with_the_same_batches(world, grid, launch):
    alone = launch.run(command(world, "one", "trainer=cpu", "trainer.precision=32-true"))
    assert alone == 0, launch.log.read_text()
    one, two = runs(world, "one")[0], runs(world, "two")[0]
    first, second = weights(one), weights(two)
    for name, values in first.items():  # without the shared normalisation they are 8e-3 apart
        torch.testing.assert_close(
            second[name], values, rtol=0, atol=2e-4, msg=name
        )  # without shared normalisation 8e-3
    curves = [pd.read_csv(folder / "learning_curve.csv").set_index("step") for folder in (one, two)]
    pd.testing.assert_frame_equal(curves[0], curves[1][curves[0].columns], rtol=1e-4)
    tables = [pd.read_csv(folder / "cases.csv").drop(columns=["seconds", "run"]) for folder in (one, two)]
    pd.testing.assert_frame_equal(*tables, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "kept"),
    [
        (["method=co_teaching", "method.wrong_share=0.3"], "method.networks.1."),
        (["method=learned_weighting", "clean_budget=2"], "method.gradient"),
    ],
)
def test_a_method_that_selects_voxels_does_so_in_two_processes_as_in_one(world, launch, method, kept):
    own = [*method, "seed=0", "tracking=none"]
    alone = ["trainer=cpu", "trainer.precision=32-true"]
    names = f"one-{method[0][7:]}", f"two-{method[0][7:]}"
    for name, devices in zip(names, (alone, TWO), strict=True):
        ours = [word for word in command(world, name, *devices, *own) if "loss" not in word and "crash" not in word]
        assert launch.run(ours) == 0, launch.log.read_text()
    one, two = (weights(runs(world, name)[0]) for name in names)
    assert any(name.startswith(kept) for name in one)
    for name, values in one.items():
        torch.testing.assert_close(two[name], values, rtol=0, atol=2e-4, msg=name)


@pytest.mark.slow
def test_ranks_end_with_a_killed_parent_and_the_run_resumed_under_srun_ends_like_an_undisturbed_one(
    world, grid, launch, nursery
):
    own = [*TWO, "seed=2", "checkpoint_minutes=0"]
    parent = launch.start(command(world, "killed", *own))
    deadline = time.monotonic() + 300
    while not list((world / "killed").rglob("last.ckpt")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(parent, signal.SIGKILL)
    assert launch.end() == -signal.SIGKILL
    while processes_of(world) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(world) == []
    tasks = [start_task(world, nursery, rank, command(world, "killed", *own)) for rank in (0, 1)]
    assert [task.end() for task in tasks] == [0, 0]
    assert state(runs(world, "killed")[2])["state"] == "done"
    first, second = weights(runs(world, "two")[2]), weights(runs(world, "killed")[2])
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_more_devices_than_tasks_is_one_line_and_exit_code_2(world, tmp_path, nursery):
    slurm = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"}
    launch = WarmProcesses(tmp_path, nursery)
    assert launch.run([*words(world / "cohort", tmp_path / "outputs"), "trainer.devices=2"], env=slurm) == 2
    (line,) = launch.error_lines()
    assert "trainer.devices=2 needs 2 processes, SLURM started 1 task" in line


def trainer(**changes):
    return OmegaConf.create({"strategy": "auto", "devices": 1, "accelerator": "cpu"} | changes)


@pytest.mark.parametrize(
    ("changes", "size"),
    [({}, 1), ({"devices": 4}, 4), ({"devices": [0, 2]}, 2), ({"devices": "0,1,2"}, 3), ({"devices": "auto"}, 1)],
)
def test_the_number_of_processes_follows_from_the_devices(changes, size):
    assert processes_wanted(trainer(**changes)) == size
    assert processes_wanted(trainer(**changes, num_nodes=2)) == 2 * size


@pytest.mark.parametrize("changes", [{"strategy": "ddp_spawn", "devices": 2}, {"devices": 0}, {"devices": "two"}])
def test_devices_and_strategies_that_cannot_be_are_refused(changes):
    with pytest.raises(UserError, match=r"trainer\.(strategy|devices)="):
        processes_wanted(trainer(**changes))


def test_a_batch_that_cannot_be_shared_out_and_a_wrong_number_of_tasks_are_refused(monkeypatch):
    cfg = OmegaConf.create({"batch_size": 3, "trainer": {"devices": 2, "accelerator": "cpu"}})
    with pytest.raises(UserError, match="batch_size=3 cannot be divided evenly among 2 processes"):
        refuse_wrong_number(cfg, 2, ProcessRank(0, 1))
    with pytest.raises(UserError, match="needs 2 processes, 4 tasks were started"):
        refuse_wrong_number(cfg, 2, ProcessRank(0, 4))
    cfg = OmegaConf.create({"batch_size": 2, "trainer": trainer(devices=2, accelerator="gpu")})
    if torch.cuda.device_count() < 2:
        with pytest.raises(UserError, match="GPUs found"):
            refuse_wrong_number(cfg, 2, ProcessRank(0, 1))


def test_who_started_the_processes_is_read_from_the_environment(monkeypatch):
    for key in [*os.environ]:
        if key.startswith(("SLURM_", "TORCHELASTIC", "RANK", "LOCAL_RANK", "WORLD_SIZE")):
            monkeypatch.delenv(key)
    assert process_rank() == ProcessRank(0, 1)
    monkeypatch.setenv("SLURM_PROCID", "0")  # a batch script without srun: nobody else is there
    monkeypatch.setenv("SLURM_NTASKS", "2")
    assert process_rank() == ProcessRank(0, 1)
    monkeypatch.setenv("SLURM_STEP_ID", "0")
    monkeypatch.setenv("SLURM_PROCID", "1")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    assert process_rank() == ProcessRank(1, 2)
    monkeypatch.setenv("SLURM_JOB_NAME", "interactive")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert process_rank() == ProcessRank(1, 4)


def test_the_first_process_announces_to_the_others_whether_they_run(tmp_path):
    announce(tmp_path, "1-0-0", runs=False)
    assert not is_run(tmp_path, "1-0-0")
    announce(tmp_path, "1-0-1", runs=True)
    assert is_run(tmp_path, "1-0-1")
    assert [p.name for p in tmp_path.iterdir()] == [".launch-1-0-1"]


@pytest.mark.parametrize(("n", "size"), [(3, 2), (4, 2), (1, 4), (5, 1)])
def test_cases_are_shared_out_once_and_in_equal_numbers(n, size):
    shares = [list(shared_out(n, rank, size)) for rank in range(size)]
    assert len({len(share) for share in shares}) == 1
    assert sorted(k for share in shares for k in share if k < n) == list(range(n))


def test_a_resumed_epoch_ends_where_it_would_have_ended():
    assert list(StepSampler(2, 4, lambda: 6)) == [[12, 13], [14, 15]]
