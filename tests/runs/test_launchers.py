"""Grids for SLURM or for one machine: what is composed, requested and refused, without a cluster."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf, open_dict

from composing import VERSION, refused
from mandseg.runs.folder import RunFolder
from mandseg.runs.launchers.cells import cell_of, command, expand
from mandseg.runs.launchers.cells import compose as compose_cells
from mandseg.runs.launchers.local import LocalSettings, share_out, visible_gpus
from mandseg.runs.launchers.slurm import Resources, SlurmSettings, parameters, resources
from mandseg.runs.launchers.slurm_queue import queued_runs
from mandseg.system.config_paths import config_folder
from mandseg.system.errors import UserError
from warm_processes import WarmProcesses

CELLS = [
    ["noise_ratio=0.5", "seed=1"],
    ["seed=2", "noise_ratio=0"],
    ["model=segresnet", "seed=1"],
    ["model=segresnet", "seed=2", "+eval.far=x.csv"],
    ["noise=expert", "noise.severity=2", "seed=0"],
    ["patches={patch_size: [32, 32, 32]}", "patches.jitter_share=0.5"],
    ["eval.far=x.csv", "analysis.margins.dice=0.01"],
]


@pytest.fixture
def loader():
    with initialize_config_dir(str(config_folder()), **VERSION):
        yield GlobalHydra.instance().config_loader()


@pytest.fixture
def launch_config(loader):
    words = ["hydra/launcher=slurm", "hydra.launcher.partition=gpu"]
    return loader.load_configuration("train", words, run_mode=RunMode.MULTIRUN)


def test_cells_are_composed_as_hydra_composes_them(loader, launch_config):
    for cell, words in zip(compose_cells(launch_config, CELLS), CELLS, strict=True):
        expected = loader.load_sweep_config(launch_config, words)
        with open_dict(expected):
            del expected["hydra"]
        assert OmegaConf.to_container(cell.cfg) == OmegaConf.to_container(expected)
        assert cell.run == cell_of(expected, words).run


@pytest.mark.parametrize(
    "words",
    [
        ["seed=0,1", "noise_ratio=0,0.5", "steps=10"],
        ["seed=range(3)", "model=unet,dynunet", "seed=5,6"],
        ["noise.annotators=[a,b],[c]", "noise.leave_out='1','2'", "+eval.far=x.csv", "~tracking"],
        ["steps=10"],
    ],
)
def test_a_grid_is_expanded_as_hydra_expands_it(loader, words):
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser

    overrides = OverridesParser.create(config_loader=loader).parse_overrides(words)
    assert expand(words) == BasicSweeper.split_arguments(overrides, None)[0]


def test_an_interval_is_no_axis_of_a_grid(loader):
    with pytest.raises(UserError, match=r"optimizer\.lr=interval"):
        expand(["optimizer.lr=interval(0.1,1)"])


@pytest.mark.parametrize("name", ["train", "demo", "openkbp"])
def test_the_checked_grid_is_chosen_in_conf(loader, name):
    config = loader.load_configuration(name, [], run_mode=RunMode.MULTIRUN)
    assert config.hydra.sweeper._target_ == "hydra_plugins.mandseg_launchers.CheckedGrid"
    assert config.hydra.runtime.choices["hydra/sweeper"] == "checked_grid"


def test_another_sweeper_is_chosen_on_the_command_line(loader):
    config = loader.load_configuration("train", ["hydra/sweeper=basic"], run_mode=RunMode.MULTIRUN)
    assert config.hydra.sweeper._target_.endswith("BasicSweeper")


def test_the_command_of_a_cell_has_no_settings_of_the_grid(launch_config):
    (cell,) = compose_cells(launch_config, [["noise_ratio=0.5", "seed=1"]])
    words = command(launch_config, cell)
    assert words[:6] == [sys.executable, "-P", "-m", "mandseg.train", "--config-name", "train"]
    assert words[-3:] == ["hydra.mode=RUN", "noise_ratio=0.5", "seed=1"]
    assert not [word for word in words if "launcher" in word]


def settings(**changes) -> SlurmSettings:
    with initialize_config_dir(str(config_folder()), **VERSION):
        cfg = compose("train", ["hydra/launcher=slurm"], return_hydra_config=True)
    values = {k: v for k, v in OmegaConf.to_container(cfg.hydra.launcher).items() if k != "_target_"}
    return SlurmSettings(**{**values, **changes})


@pytest.mark.parametrize(
    ("trainer", "changes", "expected"),
    [
        ({"devices": 1, "accelerator": "auto"}, {}, Resources(tasks=1, gpus=0)),
        ({"devices": 1, "accelerator": "gpu"}, {}, Resources(tasks=1, gpus=1)),
        ({"devices": 4, "accelerator": "gpu"}, {}, Resources(tasks=4, gpus=4)),
        ({"devices": 2, "accelerator": "auto"}, {"gpus_per_node": 2}, Resources(tasks=2, gpus=2)),
    ],
)
def test_a_run_gets_one_task_for_each_device(trainer, changes, expected):
    assert resources(OmegaConf.create(trainer), settings(**changes)) == expected


@pytest.mark.parametrize(
    ("devices", "tasks", "line"),
    [
        ("auto", None, "trainer.devices=auto: a SLURM job needs the number"),
        (4, 2, "trainer.devices=4 and hydra.launcher.tasks_per_node=2"),
    ],
)
def test_devices_that_are_not_the_tasks_are_refused(devices, tasks, line):
    with pytest.raises(UserError, match=line):
        resources(OmegaConf.create({"devices": devices, "accelerator": "gpu"}), settings(tasks_per_node=tasks))


def test_sbatch_gets_cores_for_srun_and_a_requeue():
    asked = parameters(Resources(tasks=2, gpus=2), settings(cpus_per_task=6, mem_gb=0.5, partition="gpu"))
    assert asked["srun_args"] == ["--cpus-per-task=6", "--kill-on-bad-exit=1", "--wait=0"]
    assert asked["additional_parameters"] == {"requeue": True}
    assert (asked["mem"], asked["partition"], asked["gpus_per_node"]) == ("512M", "gpu", 2)
    assert not {"account", "qos", "constraint", "setup"} & set(asked)


@pytest.mark.parametrize(
    ("devices", "gpus", "jobs", "expected"),
    [
        (1, ["0", "1"], None, ["0", "1"]),
        (2, ["0", "1", "2", "3"], None, ["0,1", "2,3"]),
        (1, ["0", "1"], 4, ["0", "1", "0", "1"]),
        (2, ["3", "5", "7"], None, ["3,5"]),
    ],
)
def test_gpus_are_shared_out(monkeypatch, devices, gpus, jobs, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    shares = share_out(devices, gpus, LocalSettings(jobs, None))
    assert [share["CUDA_VISIBLE_DEVICES"] for share in shares] == expected
    assert {share["OMP_NUM_THREADS"] for share in shares} == {"3"}


@pytest.mark.parametrize(("cores", "jobs", "expected"), [(8, None, ["2"] * 4), (8, 2, ["4"] * 2), (1, None, ["1"])])
def test_without_gpus_cores_are_shared_out(monkeypatch, cores, jobs, expected):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    shares = share_out(1, [], LocalSettings(jobs, None))
    assert [share["OMP_NUM_THREADS"] for share in shares] == expected
    assert not any("CUDA_VISIBLE_DEVICES" in share for share in shares)


def test_the_gpus_of_the_environment_are_the_ones_to_share(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-ab")
    assert visible_gpus() == ["2", "GPU-ab"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []


def test_queued_runs_are_those_whose_last_job_is_in_the_queue(monkeypatch, tmp_path):
    for when, jobs in (("1", "a,7_0\nb,7_1\n"), ("2", "b,8\n")):
        (tmp_path / "slurm" / when).mkdir(parents=True)
        (tmp_path / "slurm" / when / "jobs.csv").write_text(f"run,job\n{jobs}")
    program = tmp_path / "squeue"
    program.write_text("#!/bin/sh\necho 7_1 RUNNING\necho 8 PENDING\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert {run: (job.job, job.state) for run, job in queued_runs(tmp_path).items()} == {"b": ("8", "pending")}


@pytest.mark.parametrize("content", [b"", b"run\na\n", b"\xff\xfe", b'run,job\n"a'])
def test_a_damaged_list_of_jobs_is_left_out_with_a_warning(tmp_path, caplog, content):
    (tmp_path / "slurm" / "1").mkdir(parents=True)
    (tmp_path / "slurm" / "1" / "jobs.csv").write_bytes(content)
    assert queued_runs(tmp_path) == {}
    assert "its jobs are not counted as queued: jobs.csv" in caplog.text


def test_a_search_gets_the_last_validation_dice(tmp_path):
    assert RunFolder(tmp_path).validation_dice() is None
    (tmp_path / "learning_curve.csv").write_text("step,loss,val_dice\n1,0.5,\n2,0.4,0.25\n3,0.3,\n4,0.2,0.75\n5,0.1,\n")
    assert RunFolder(tmp_path).validation_dice() == 0.75


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["hydra/launcher=slurm"], "hydra/launcher=slurm: no sbatch on this machine"),
        (["hydra/launcher=slurm", "hydra.launcher.partion=gpu"], "hydra.launcher.partion"),
        (["hydra/launcher=local", "hydra.launcher.jobs=0"], "hydra.launcher.jobs=0: expected a whole number"),
        (["output_dir=/proc/outputs"], "cannot be written"),
    ],
)
def test_a_launch_that_cannot_be_is_refused_in_one_line(tmp_path, launch, words, line):
    assert launch.run(["-m", "noise_ratio=0,1", "tracking=none", *words], env={"PATH": "/nowhere"}) == 2
    (printed,) = launch.error_lines()
    assert line in printed
    assert "Traceback" not in launch.log.read_text()
    assert not list(tmp_path.glob("outputs/*/*.csv")), "a refused launch lists nothing"


@pytest.mark.parametrize(
    "content", [b"a,b\n1,2\n", b"my notes\n", b"a,b\n", b"\xff\xfe\x00", b'run,seed\n"' + b"x" * 200_000]
)
def test_a_grid_file_that_is_none_is_refused_before_a_run_starts(monkeypatch, capsys, tmp_path, content):
    file = tmp_path / "outputs" / "phantom" / "grid.csv"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    for words in ([], ["-m", "seed=0,1"]):
        line = refused(monkeypatch, capsys, tmp_path, *words, "tracking=none")
        assert line.startswith("outputs/phantom/grid.csv: cannot be read as a list of runs")


@pytest.fixture
def launch(tmp_path, nursery):
    """Starts a launch in tmp_path; its runs start in a moment, too."""
    return WarmProcesses(tmp_path, nursery)


def states(folder):
    return sorted(json.loads(file.read_text())["state"] for file in folder.glob("outputs/s/*/run.json"))


@pytest.fixture
def small(make_case, bone, tmp_path):
    """The settings of a training of seconds."""
    from mandseg.data.manifest import write_cohort

    cases = [make_case(f"t{k}") for k in range(2)] + [make_case("v", "val"), make_case("x", "test")]
    cohort = write_cohort(cases[0].image.parent, cases)
    return [
        "data=folder",
        f"data.manifest={cohort.root}/manifest.csv",
        f"cache_dir={tmp_path}/cache",
        "tracking=none",
        "trainer=cpu",
        "trainer.precision=32-true",
        "trainer.enable_progress_bar=false",
        "steps=2",
        "validations=1",
        "patches.patch_size=[16,16,16]",
        "model.network.channels=[4,8]",
        "model.network.strides=[2]",
        "preprocessing.spacing_mm=[4,4,4]",
        "study=s",
    ]


@pytest.mark.slow
def test_parallel_cells_on_one_machine_continue_when_one_fails(tmp_path, small, launch):
    own = ["loss._target_=failing.Loss", "trusted_packages=[failing]", "+loss.fails=false,true"]
    words = ["-m", *small, *own, "hydra/launcher=local", "hydra.launcher.jobs=2"]
    assert launch.run(words) == 1, launch.log.read_text()
    assert "2 runs, 2 at a time; done already: 0" in launch.log.read_text()
    assert states(tmp_path) == ["done", "failed"]
    assert any("the loss failed" in file.read_text() for file in tmp_path.glob("outputs/s/*/console.log"))


@pytest.mark.slow
def test_a_launch_that_is_stopped_lets_its_runs_save_their_state(tmp_path, small, launch):
    words = ["-m", *small, "steps=5000", "seed=0,1,2", "hydra/launcher=local", "hydra.launcher.jobs=2"]
    pid = launch.start(words)
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("outputs/s/*/learning_curve.csv"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(pid, signal.SIGTERM)
    assert launch.end() == 128 + signal.SIGTERM
    assert states(tmp_path) == ["interrupted", "interrupted"]
    assert len(list(tmp_path.glob("outputs/s/*/checkpoints/train/last.ckpt"))) == 2


@pytest.mark.slow
def test_the_joblib_launcher_runs_our_grid(tmp_path, small):
    """Started as a user starts it: nothing is imported beforehand, neither in the launch nor in its two processes."""
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    words = ["-m", *small, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=0,1"]
    done = subprocess.run([sys.executable, "-m", "mandseg.train", *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert states(tmp_path) == ["done", "done"]
    drawn = [picture for picture in tmp_path.glob("outputs/s/*/overlays/*.png") if picture.stat().st_size > 1000]
    assert {picture.name.split("--")[0] for picture in drawn} == {"validation", "test"}


@pytest.mark.slow
def test_an_optuna_search_maximises_the_validation_dice(tmp_path, small, launch):
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    if "version_base" not in VERSION:
        pytest.skip("hydra-optuna-sweeper 1.3 does not run with Hydra 1.4: its own settings are refused")
    search = ["hydra/sweeper=optuna", "hydra.sweeper.direction=maximize", "hydra.sweeper.n_trials=2"]
    search += ["hydra.sweeper.n_jobs=2", "hydra/launcher=local", "hydra.launcher.jobs=2"]
    assert launch.run(["-m", *small, *search, "optimizer.lr=interval(0.0001,0.01)"]) == 0, launch.log.read_text()
    assert states(tmp_path) == ["done", "done"]
    rows = (tmp_path / "outputs" / "s" / "grid.csv").read_text().splitlines()[1:]
    runs = [file.parent.name for file in tmp_path.glob("outputs/s/*/run.json")]
    assert sorted(row.split(",")[0] for row in rows) == sorted(runs)
    found = OmegaConf.load(tmp_path / "outputs" / "s" / "optimization_results.yaml")
    curves = [RunFolder(file.parent).validation_dice() for file in tmp_path.glob("outputs/s/*/run.json")]
    assert found.best_value == max(curves)
