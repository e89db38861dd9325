"""Every file in conf/ and sweeps/ composes and fits the network's contract; the name of a run is its condition."""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from composing import composed
from mandseg.runs.condition import condition, config_hash, run_name
from mandseg.system.config_paths import config_folder, sweeps_folder
from mandseg.system.errors import UserError
from mandseg.system.instantiation import make, targets_in, trusted

GROUPS = sorted(p.relative_to(config_folder()) for p in config_folder().glob("*/*.yaml"))
SWEEPS = sorted(p.stem for p in sweeps_folder().glob("*.yaml"))
MANIFEST = "data.manifest=cohort/manifest.csv"


@pytest.mark.parametrize("file", GROUPS, ids=str)
def test_every_choice_of_every_group_composes_and_resolves(file: Path):
    overrides = [f"{file.parent}={file.stem}"] + ([MANIFEST] if file.stem in ("folder", "fold") else [])
    assert run_name(composed(*overrides)).startswith("ratio0_seed0_")


@pytest.mark.parametrize("file", GROUPS, ids=str)
def test_every_target_of_every_choice_is_there_and_trusted(file: Path):
    cfg = composed(f"{file.parent}={file.stem}")
    for key, target in targets_in(OmegaConf.to_container(cfg), ""):
        trusted(key, target)


@pytest.mark.parametrize("sweep", SWEEPS)
def test_every_sweep_composes_as_a_primary_config(sweep):
    cfg = composed(name=sweep)
    assert cfg.study == sweep
    assert cfg.steps % cfg.validations == 0


@pytest.mark.parametrize("model", ["unet", "dynunet", "segresnet", "attention_unet"])
def test_every_light_network_gives_one_logit_a_voxel_and_starts_at_the_prior(model):
    from mandseg.runs.build import build_method

    method = build_method(composed(f"model={model}", "segmenter.foreground_prior=0.01")).eval()
    with torch.inference_mode():
        logits = method(torch.zeros(1, 1, 32, 32, 32))
    assert logits.shape == (1, 1, 32, 32, 32)
    assert 0.001 < torch.sigmoid(logits).mean() < 0.1


@pytest.mark.parametrize(
    ("stages", "line"),
    [
        ("[{name: a, share: 0.5}, {name: b, share: 0.4}]", "method.stages: the shares add up to 0.9, expected 1"),
        ("[{name: a, share: 1, epochs: 3}]", "method.stages: unknown key 'epochs'"),
        ("[{name: a}]", "method.stages: a stage without share"),
    ],
)
def test_wrong_stages_of_a_method_are_refused(stages, line):
    from mandseg.runs.build import build_stages

    with pytest.raises(UserError, match=line):
        build_stages(composed(f"method.stages={stages}"))


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("torch.nn.Identity", "method._target_=torch.nn.Identity: expected a subclass of mandseg.*.Method"),
        (
            "mandseg.training.stages.Span",
            "method: mandseg.training.stages.Span needs first_step, steps, steps_per_epoch",
        ),
        ("mandseg.nowhere.Method", "method._target_=mandseg.nowhere.Method: cannot be found"),
    ],
)
def test_a_method_that_is_none_is_refused(target, line):
    from mandseg.runs.build import build_method

    with pytest.raises(UserError, match=line):
        build_method(composed(f"method._target_={target}"))


@pytest.mark.slow
@pytest.mark.parametrize("model", ["swin_unetr", "mednext"])
def test_every_heavy_network_can_be_made(model):
    network = make(composed(f"model={model}").model.network, "model.network", _convert_="all")
    with torch.inference_mode():
        assert network.eval()(torch.zeros(1, 1, 64, 64, 64)).shape == (1, 1, 64, 64, 64)


@pytest.mark.parametrize(
    "change",
    [
        *("noise_ratio=0.3", "seed=1", "steps=410", "optimizer.lr=0.001", "noise.source.severity=0.5"),
        *("clean_budget=5", "clean_budget=0.1", "model=segresnet", "loss.batch=false", "method.stages.0.name=other"),
    ],
)
def test_what_changes_the_result_changes_the_name(change):
    assert run_name(composed(change)) != run_name(composed())


@pytest.mark.parametrize(
    "change",
    [
        *("study=other", "output_dir=elsewhere", "cache_dir=/cache", "num_workers=4", "trainer=cpu", "tracking=none"),
        *("clean_budget=0.0", "ranking=oracle"),  # without a budget as before there were budgets
        *("analysis.primary=hd95_mm", "++analysis.margins.dice=0.01"),
    ],
)
def test_what_does_not_change_the_result_keeps_the_name(change):
    assert run_name(composed(change)) == run_name(composed())


def test_equal_numbers_are_one_condition_however_they_are_typed():
    assert {run_name(composed(f"noise_ratio={r}")) for r in ("0", "0.0", "0.00")} == {run_name(composed())}
    assert config_hash(composed("noise_ratio=1")) == config_hash(composed("noise_ratio=1.0"))


def test_a_ranking_file_counts_by_its_order_and_not_by_its_place(tmp_path):
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "worklist.csv").write_text(f"case_id,why\nc1,{place}\nc2,\n")
    names = [
        run_name(composed("clean_budget=1", f"ranking={tmp_path}/{place}/worklist.csv")) for place in ("here", "there")
    ]
    assert names[0] == names[1] != run_name(composed("clean_budget=1"))
    (tmp_path / "there" / "worklist.csv").write_text("case_id\nc2\nc1\n")
    assert run_name(composed("clean_budget=1", f"ranking={tmp_path}/there/worklist.csv")) != names[0]
    with pytest.raises(UserError, match="ranking=worklist: expected one of oracle, random, stratified, or a CSV file"):
        run_name(composed("clean_budget=1", "ranking=worklist"))
    assert condition(composed("clean_budget=5", "ranking=stratified"))["clean_budget"] == "5"
    assert condition(composed("ranking=stratified"))["ranking"] == "none"


def test_the_hash_of_the_default_config_is_known():
    """A change of this text renames every run and refuses every checkpoint: let it be a decision."""
    assert config_hash(composed()) == "6889e04c"
    assert config_hash(composed("data=folder", MANIFEST, "noise=recorded")) == "3a13a3f0"


def test_case_ids_and_pictures_of_the_user_s_own_data_are_sent_only_if_allowed():
    def sent(*words):
        tracking = composed(*words).tracking
        return tracking.case_table, tracking.overlays

    assert sent() == sent("data=openkbp") == (True, True)
    assert sent("data=folder", MANIFEST) == (False, False)
    assert sent("data=folder", MANIFEST, "data.public=true") == (True, True)
    assert sent("data=folder", MANIFEST, "tracking.case_table=true") == (True, False)
    assert run_name(composed("data.public=false")) == run_name(composed())


def test_the_same_cohort_by_another_path_is_the_same_condition():
    paths = ("cohort/manifest.csv", "/elsewhere/cohort/manifest.csv", "../cohort")
    assert len({run_name(composed("data=folder", f"data.manifest={path}")) for path in paths}) == 1


def test_a_module_that_moves_renames_no_run():
    target = "mandseg.elsewhere.Preprocessing"
    assert run_name(composed(f"preprocessing._target_={target}")) == run_name(composed())
    assert run_name(composed("preprocessing._target_=mandseg.data.preprocessing.Other")) != run_name(composed())
    assert run_name(
        composed("preprocessing._target_=other.preprocess.Preprocessing", "trusted_packages=[other]")
    ) != run_name(composed())


@pytest.mark.parametrize("ratio", ["-0.1", "1.01", "nan", "abc", "true"])
def test_a_ratio_outside_0_to_1_is_refused(ratio):
    with pytest.raises(UserError, match=f"noise_ratio={ratio}: a share of cases"):
        run_name(composed(f"noise_ratio={ratio}"))


@pytest.mark.parametrize(
    "change",
    ["noise_ratio=1.2", "noise_ratio=few", "seed=-1", "seed=0.5", "++analysis.margins.dice=0", "++analysis.second=x"],
)
def test_an_impossible_condition_is_refused(change):
    with pytest.raises(UserError, match=change.split("=")[0].lstrip("+")):
        run_name(composed(change))


def test_annotators_and_the_one_left_out_reach_the_panel_and_the_name():
    some = composed("noise.annotators=[dosimetrist_01,dosimetrist_02]")
    without = composed("noise.leave_out=dosimetrist_03")
    assert "_planning-by_dosimetrist_01+dosimetrist_02_" in run_name(some)
    assert "_planning-without_dosimetrist_03_" in run_name(without)
    assert make(some.noise.source, "noise.source").annotators == ("dosimetrist_01", "dosimetrist_02")
    assert make(without.noise.source, "noise.source").leave_out == "dosimetrist_03"


def test_a_long_list_of_annotators_still_gives_a_folder_name():
    names = [f"Dr_A_Long_Name_{k:02d}" for k in range(20)]
    lists = [composed(f"noise.annotators=[{','.join(names[:n])}]") for n in (19, 20)]
    assert all(len(run_name(cfg)) < 200 for cfg in lists)
    assert run_name(lists[0]) != run_name(lists[1])


def test_an_unknown_primary_metric_is_refused_before_the_run():
    with pytest.raises(UserError, match="metric 'iou': expected one of assd_mm, dice, hd95_mm"):
        run_name(composed("analysis.primary=iou"))
