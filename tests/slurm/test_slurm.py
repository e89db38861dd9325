"""A grid on a real SLURM: each cell runs once under every event of the cluster, with the result of other launchers."""

import os
import signal
from pathlib import Path

import pandas as pd
import pytest
from bench import ON_SLURM, Bench

FIXTURES = Path(__file__).parents[1] / "fixtures"
FAILING = ["loss._target_=failing.Loss", "trusted_packages=[failing]"]
pytestmark = pytest.mark.slurm

GRID = ["noise_ratio=0,0.2,0.5,1.0", "seed=0,1"]
LONG = ["steps=3000", "validations=4"]  # long enough to be disturbed, also on a fast machine
PAUSING = ["loss._target_=pausing.Loss", "trusted_packages=[pausing]", "steps=400", "validations=5"]
PAUSE = {"PAUSE_S": "0.2"}  # 400 steps then take 80 s on any machine: longer than SLURM's shortest time limit


@pytest.fixture(scope="module")
def undisturbed(bench: Bench) -> pd.DataFrame:
    """What the long run gives on this machine without SLURM."""
    return scores_without_slurm(bench, "undisturbed", LONG)


def scores_without_slurm(bench: Bench, study: str, words: list[str], **env: str) -> pd.DataFrame:
    done = bench.train(f"study={study}", *words, **env)
    assert done.returncode == 0, done.stderr
    return bench.scores(study)


def assert_done_as(bench: Bench, study: str, expected: pd.DataFrame) -> None:
    assert bench.record(study)["state"] == "done", bench.logs(study)
    pd.testing.assert_frame_equal(bench.scores(study), expected)


def test_a_grid_submitted_twice_at_once_runs_each_cell_once_and_equals_the_local_one(bench: Bench):
    local = bench.train("-m", "study=local", "hydra/launcher=local", "hydra.launcher.jobs=2", *GRID)
    assert local.returncode == 0, local.stderr
    twice = [bench.start("-m", "study=grid", *ON_SLURM, *GRID) for _ in range(2)]
    for process in twice:
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
    bench.cluster.wait_until_empty()
    assert len(bench.runs("grid")) == 8
    pd.testing.assert_frame_equal(bench.scores("grid"), bench.scores("local"))
    trained = [text for text in bench.logs("grid") if "left to it" not in text and "nothing to do" not in text]
    assert len(trained) == 8
    again = bench.train("-m", "study=grid", *ON_SLURM, *GRID)
    assert "0 jobs submitted; queued already: 0, done: 8" in again.stdout


def test_a_run_in_two_tasks_tests_each_case_once(bench: Bench):
    words = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "hydra.launcher.wait=true"]
    bench.submit("ddp", *words)
    assert bench.record("ddp")["state"] == "done"
    assert sorted(bench.scores("ddp").case_id) == ["x", "y"]


def test_a_run_that_raises_is_a_failed_job_and_the_grid_continues(bench: Bench):
    words = [*FAILING, "+loss.fails=true,false", "hydra.launcher.wait=true"]
    done = bench.train("-m", "study=raises", *ON_SLURM, *words, PYTHONPATH=str(FIXTURES))
    assert done.returncode == 1, done.stderr
    jobs = [bench.cluster.job(job) for job in bench.jobs("raises")]
    assert sorted((j["JobState"], j["ExitCode"]) for j in jobs) == [("COMPLETED", "0:0"), ("FAILED", "1:0")]


def test_a_run_continues_after_its_time_limit(bench: Bench):
    limit = ["hydra.launcher.timeout_min=1", "hydra.launcher.signal_delay_s=10"]
    job = bench.submit("limit", *PAUSING, *limit, PYTHONPATH=str(FIXTURES), **PAUSE)
    bench.cluster.wait_until_empty()
    assert int(bench.cluster.job(job)["Restarts"]) >= 1
    assert_done_as(bench, "limit", scores_without_slurm(bench, "limitless", PAUSING, PYTHONPATH=str(FIXTURES)))


def test_a_run_continues_after_preemption_with_and_without_grace(bench: Bench, undisturbed):
    jobs = {p: bench.submit(p, *LONG, f"hydra.launcher.partition={p}") for p in ("scavenge", "graceful")}
    for study in jobs:
        bench.wait_for_step(study, 100)
    bench.cluster.ask("sbatch", "--partition=main", "--cpus-per-task=4", "--output=/dev/null", "--wrap=sleep 1")
    bench.cluster.wait_until_empty()
    for study, job in jobs.items():
        assert bench.cluster.job(job)["Restarts"] == "1"
        assert_done_as(bench, study, undisturbed)


def test_a_run_continues_after_requeue_as_the_same_wandb_run(bench: Bench, undisturbed):
    job = bench.submit("requeued", *LONG, "tracking=wandb")
    bench.wait_for_step("requeued", 100)
    bench.cluster.ask("scontrol", "requeue", job)
    bench.cluster.wait_until_empty()
    assert bench.cluster.job(job)["Restarts"] == "1"
    assert_done_as(bench, "requeued", undisturbed)
    (run,) = bench.runs("requeued")
    records = [file.stem for file in run.glob("wandb/offline-run-*/run-*.wandb")]
    assert len(records) == 2
    assert len(set(records)) == 1


def test_a_run_continues_after_its_node_failed(bench: Bench, undisturbed):
    job = bench.submit("node", *LONG)
    bench.wait_for_step("node", 100)
    node = bench.cluster.ask("sinfo", "--noheader", "--Node", "--format", "%N").split()[0]
    bench.cluster.ask("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    bench.cluster.ask("scontrol", "update", f"nodename={node}", "state=resume")
    bench.cluster.wait_until_empty()
    assert int(bench.cluster.job(job)["Restarts"]) == 1
    assert_done_as(bench, "node", undisturbed)


def test_a_killed_training_is_a_failed_job_that_the_next_launch_continues(bench: Bench, undisturbed):
    job = bench.submit("killed", *LONG)
    bench.wait_for_step("killed", 100)
    os.kill(bench.record("killed")["pid"], signal.SIGKILL)
    bench.cluster.wait_until_empty()
    assert (bench.cluster.job(job)["JobState"], bench.cluster.job(job)["ExitCode"]) == ("FAILED", "137:0")
    assert bench.record("killed")["state"] == "running"
    bench.submit("killed", *LONG)
    bench.cluster.wait_until_empty()
    assert_done_as(bench, "killed", undisturbed)


def test_a_cancelled_run_stays_cancelled_and_status_lists_queued_runs(bench: Bench):
    job = bench.submit("cancelled", *LONG)
    bench.wait_for_step("cancelled", 50)
    assert f"SLURM job {job} running" in bench.status("cancelled")
    bench.cluster.ask("scancel", job)
    bench.cluster.wait_until_empty()
    assert bench.cluster.job(job)["JobState"] == "CANCELLED"
    assert bench.record("cancelled")["state"] != "done"
    assert "SLURM job" not in bench.status("cancelled")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["hydra.launcher.partition=nosuch"], "SLURM refuses the jobs: invalid partition specified: nosuch"),
        (["hydra.launcher.gpus_per_node=2"], "SLURM refuses the jobs: Invalid generic resource"),
        (
            ["trainer.devices=4", "hydra.launcher.tasks_per_node=2"],
            "trainer.devices=4 and hydra.launcher.tasks_per_node=2: a run has one task for each device",
        ),
        (["trainer=ddp"], "trainer.devices=auto: a SLURM job needs the number"),
        (["output_dir=/proc/outputs"], "output_dir=/proc/outputs: study /proc/outputs/bad cannot be written"),
    ],
)
def test_what_slurm_cannot_run_gives_one_line_and_exit_code_2(bench: Bench, words, line):
    done = bench.train("-m", "study=bad", *ON_SLURM, "noise_ratio=0,1", *words)
    assert done.returncode == 2
    printed = [text for text in done.stderr.splitlines() if text.startswith("mandseg:")]
    assert len(printed) == 1
    assert line in printed[0]
    assert "Traceback" not in done.stderr
    assert not (bench.folder / "outputs" / "bad" / "slurm").exists()
    listed = bench.folder / "outputs" / "bad" / "grid.csv"
    assert not listed.exists() or len(listed.read_text().splitlines()) == 1  # the line of the columns
