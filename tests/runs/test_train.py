"""The complete process of ``python -m mandseg.train``: from a small cohort to run folders and an exit code."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from composing import composed
from mandseg.data.manifest import write_cohort
from mandseg.system.errors import UserError
from warm_processes import WarmProcesses

SMALL = [
    "data=folder",
    "tracking=none",
    "trainer=cpu",
    "trainer.precision=32-true",
    "steps=4",
    "validations=2",
    "patches.patch_size=[16,16,16]",
    "model.network.channels=[4,8]",
    "model.network.strides=[2]",
    "preprocessing.spacing_mm=[4,4,4]",
    "study=s",
]


@pytest.fixture
def cohort(make_case, bone):
    noisy = np.roll(bone, 1, axis=0)
    cases = [make_case(f"t{k}", "train", noisy=noisy) for k in range(4)]
    cases += [make_case("v", "val"), make_case("x", "test"), make_case("y", "test")]
    return write_cohort(cases[0].image.parent, cases)


def command(tmp_path, cohort, *words):
    own = [f"data.manifest={cohort.root}/manifest.csv", f"cache_dir={tmp_path}/cache", f"output_dir={tmp_path}/outputs"]
    multirun = [word for word in words if word == "-m"]  # options before settings, as Hydra wants them
    return [*multirun, *SMALL, *own, *[w for w in words if w != "-m"]]


@pytest.fixture
def process(tmp_path, nursery):
    return WarmProcesses(tmp_path, nursery)


@pytest.fixture
def train(tmp_path, cohort, process):
    """Runs the training command; its exit code."""
    return lambda *words: process.run(command(tmp_path, cohort, *words))


def test_a_cohort_of_another_structure_is_refused_before_it_is_prepared(tmp_path, cohort):
    """Otherwise the predictions of a parotid's network would be called Mandible."""
    from mandseg.runs.launchers.manifests import refuse_manifests
    from mandseg.runs.run import prepare

    cases = [replace(case, groups={"structure": "Parotid_L"}) for case in cohort.cases]
    words = command(tmp_path, write_cohort(cohort.root, cases))
    for refuse in (lambda cfg: refuse_manifests([cfg]), prepare):  # before a run is listed, and in the run
        with pytest.raises(UserError) as caught:
            refuse(composed(*words))
        assert caught.value.problems == [
            "case t0: its manifest says structure Parotid_L, the run has structure=Mandible; give structure=Parotid_L"
        ]
    refuse_manifests([composed(*words, "structure=Left_Parotid", "noise=expert")])
    assert not (tmp_path / "cache").exists()
    assert len(prepare(composed(*words, "structure=Left_Parotid", "noise=expert")).training) == 4


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["clean_budget=5"], "clean_budget=5: 5 cases, but 4 of 4 training cases have a reference; expected at most 4"),
        (["clean_budget=2", "ranking=LIST"], "ranking=LIST: does not rank the training case t1 and 2 more"),
    ],
)
def test_a_budget_that_the_manifest_forbids_is_refused_without_an_image(tmp_path, cohort, words, line):
    listed = tmp_path / "list.csv"
    listed.write_text("case_id\nt0\n")
    words = [word.replace("LIST", str(listed)) for word in words]
    from mandseg.runs.launchers.manifests import refuse_manifests

    with pytest.raises(UserError) as caught:
        refuse_manifests([composed(*command(tmp_path, cohort, *words))])
    assert caught.value.problems == [line.replace("LIST", str(listed))]
    refuse_manifests([composed(*command(tmp_path, cohort, "clean_budget=4"))])


def run_folders(tmp_path, study="s"):
    return sorted(p for p in (tmp_path / "outputs" / study).iterdir() if p.is_dir())


def scores(folder):
    return pd.read_csv(folder / "cases.csv").drop(columns="seconds")


@pytest.mark.slow
def test_a_grid_runs_end_to_end_is_found_done_and_tested_on_further_data(tmp_path, cohort, make_case, train, process):
    assert train("-m", "noise_ratio=0,0.5", "noise=recorded") == 0, process.log.read_text()
    noisy, clean = run_folders(tmp_path)  # ratio0.5_..., ratio0_...
    assert json.loads((clean / "run.json").read_text())["state"] == "done"
    table = pd.concat([scores(clean), scores(noisy)])
    assert sorted(table.case_id) == ["x", "x", "y", "y"]
    assert set(table.noise_ratio) == {0.0, 0.5}
    assert table[["dice", "hd95_mm", "assd_mm", "nsd_1mm", "nsd_2mm"]].notna().all().all()
    assert sorted(pd.read_csv(noisy / "noise_plan.csv").label) == ["noisy", "noisy", "reference", "reference"]
    assert {f"{group}_cases_dice_to_noisy" for group in ("noisy", "clean")} <= set(
        pd.read_csv(clean / "learning_curve.csv").dropna(axis=1, how="all")
    )
    applied = pd.read_csv(noisy / "noise_applied.csv")
    assert sorted(applied.label) == ["noisy", "noisy", "reference", "reference"]
    assert applied.dice.between(0.7, 0.99).all()
    pictures = {picture.name.split("--")[0] for picture in clean.glob("overlays/*.png")}
    assert pictures == {"validation", "test"}
    slices = {picture.stem for picture in clean.glob("overlays/*.webp")}
    assert slices == {picture.stem for picture in clean.glob("overlays/test--*.png")}
    assert not list(clean.glob(".predictions*"))
    made = (clean / "cases.csv").stat().st_mtime_ns
    assert train("-m", "noise_ratio=0.0,0.50", "noise=recorded") == 0, process.log.read_text()
    assert run_folders(tmp_path) == [noisy, clean]
    assert (clean / "cases.csv").stat().st_mtime_ns == made
    external = write_cohort(cohort.root / "far", [make_case("z", "test")])
    trained = (clean / "checkpoints" / "train" / "last.ckpt").read_bytes()
    further = ["noise_ratio=0", "noise=recorded", f"eval.far={external.root}/manifest.csv"]
    assert train(*further) == 0, process.log.read_text()
    assert set(scores(clean).dataset) == {"test", "far"}
    assert (clean / "checkpoints" / "train" / "last.ckpt").read_bytes() == trained


@pytest.mark.slow
def test_annotators_are_axes_of_a_grid(tmp_path, train, process):
    axis = "noise.annotators=[dosimetrist_01,dosimetrist_02],[dosimetrist_03]"
    words = ["-m", "noise=planning", "noise_ratio=1", axis, "steps=2", "validations=1"]
    assert train(*words) == 0, process.log.read_text()
    grid = pd.read_csv(tmp_path / "outputs/s/grid.csv")
    assert list(grid.noise) == ["planning-by_dosimetrist_01+dosimetrist_02", "planning-by_dosimetrist_03"]
    for run, names in zip(grid.run, [{"dosimetrist_01", "dosimetrist_02"}, {"dosimetrist_03"}], strict=True):
        assert set(pd.read_csv(tmp_path / "outputs/s" / run / "noise_plan.csv").annotator) <= names
        assert set(pd.read_csv(tmp_path / "outputs/s" / run / "cases.csv").noise) == {
            grid.noise[grid.run == run].item()
        }


@pytest.mark.slow
def test_a_failing_job_does_not_stop_the_others(tmp_path, cohort, train, process):
    case = cohort.split("train")[0]
    own = ["noise=recorded", "loss._target_=failing.Loss", "trusted_packages=[failing]"]
    assert train("-m", *own, "noise_ratio=0", "+loss.fails=false,true") == 1, process.log.read_text()
    states = {json.loads((f / "run.json").read_text())["state"] for f in run_folders(tmp_path)}
    assert states == {"done", "failed"}
    log = process.log.read_text().replace(str(tmp_path), "")  # its last letters may be a case's name
    assert case.case_id not in log
    reasons = {json.loads((f / "run.json").read_text())["error"] for f in run_folders(tmp_path)}
    assert reasons == {None, "the loss failed"}
    assert train(*own, "+loss.fails=true") == 1  # rerun, and it fails again


L1 = ["loss._target_=torch.nn.L1Loss", "~loss.sigmoid", "~loss.batch"]


def test_a_wrong_path_gives_one_line_and_exit_code_2(train, process):
    assert train("eval.far=nowhere.csv") == 2
    (line,) = process.error_lines()
    assert "nowhere.csv: no such manifest" in line
    assert "Traceback" not in process.log.read_text()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["+model.network.colour=red"], "model.network.colour=red: monai.networks.nets.UNet has no such argument; "),
        (
            ["optimizer._target_=torch.optim.SGD", "+optimizer.colour=red"],
            "optimizer.colour=red: torch.optim.SGD has no such ",
        ),
        (["loss._target_=monai.losses.Nope"], "loss._target_=monai.losses.Nope: cannot be found"),
        (["loss._target_=torch.nn.Linear"], "loss.sigmoid=true: torch.nn.Linear has no such argument; "),
        ([*L1, "+loss.reduction=none"], "loss: expected one number, got a tensor of [2, 1, 8, 8, 8]"),
        (["trainer.strategy=waltz"], "trainer.strategy=waltz: expected one of auto, "),
        (["+trainer.colour=red"], "trainer.colour=red: Lightning's Trainer has no such argument"),
        (
            ["~patches.augmentation", "+patches.augmentation={_target_: torchio.RandomFlip, p: 2}"],
            "patches.augmentation: torchio.Ran",
        ),
        (["model.network.channels=[4]"], "model.network: monai.networks.nets.UNet cannot be made: "),
    ],
)
def test_what_the_objects_refuse_is_one_line_before_any_data_is_read(words, line):
    from mandseg.runs.run import refuse_unfit

    with pytest.raises(UserError) as error:
        refuse_unfit(composed(*SMALL, *words))
    assert error.value.problems[0].startswith(line)


def test_nothing_random_is_used_up_before_the_run():
    from mandseg.runs.run import refuse_unfit

    before = torch.random.get_rng_state()
    refuse_unfit(composed(*SMALL))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.slow
def test_names_and_paths_are_those_that_were_typed(tmp_path, train, process):
    own = ["data.manifest=cohort/manifest.csv", "cache_dir=cache", "output_dir=outputs", "eval.far=cohort/manifest.csv"]
    own += ["hydra.job.chdir=true", "evaluation.shared_subjects=[]", "noise=recorded", "steps=2", "validations=1"]
    words = ["-m", *own, "study=1e5", "tracking=wandb", "tracking.mode=offline"]
    assert train(*words) == 0, process.log.read_text()
    (folder,) = run_folders(tmp_path, "1e5")
    assert list(folder.glob("wandb/offline-run-*"))
    assert set(scores(folder).dataset) == {"test", "far"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache", "cohort", "outputs"]


def test_a_case_that_is_unusable_is_named_with_both_values(tmp_path, make_case, affine, train, process):
    from mandseg.data.volume import Volume

    make_case("t0", "train", reference=Volume(np.ones((24, 24, 23), bool), affine))
    assert train() == 2
    assert "case t0: reference shape (24, 24, 23) differs from (24, 24, 24)" in process.log.read_text()
    assert not list(tmp_path.glob("outputs/s/*/cases.csv"))


def test_a_subject_in_training_and_in_an_external_test_set_is_refused(cohort, make_case, train, process):
    external = write_cohort(cohort.root / "far", [make_case("z", "test", subject_id="t1")])
    assert train(f"eval.far={external.root}/manifest.csv") == 2
    assert "subject t1: case t1 is used for training and case z for testing" in process.log.read_text()


def test_noise_that_the_manifest_does_not_record_is_refused(cohort, make_case, train, process):
    write_cohort(cohort.root, [make_case(n, s) for n, s in (("a", "train"), ("b", "val"), ("c", "test"))])
    assert train("noise=recorded", "noise_ratio=1") == 2
    assert "noise=recorded: none of the 1 training cases of" in process.log.read_text()


def test_help_and_the_launch_import_neither_torch_nor_other_large_libraries(tmp_path):
    heavy = "{'torch', 'lightning', 'monai', 'pandas', 'scipy', 'nibabel', 'matplotlib', 'wandb'}"
    code = f"import sys; import mandseg.train, mandseg.runs.launchers.grid; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=os.environ)
    assert done.stdout.strip() == "[]"


def test_the_configs_are_found_from_any_folder(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mandseg.train", "--config-name", "demo", "--cfg", "job"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert "study: demo" in done.stdout
    assert not list(Path(tmp_path).iterdir())
