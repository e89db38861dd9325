"""Every setting of conf/train.yaml has a type and a range, and is checked before any object is made."""

from dataclasses import fields, is_dataclass
from typing import get_type_hints

import pytest
from omegaconf import OmegaConf

from composing import composed, refused
from mandseg.runs.condition import run_name
from mandseg.runs.settings.check import check_settings
from mandseg.runs.settings.granularity import granularity, needs_more_than, normalisation
from mandseg.runs.settings.schema import Settings
from mandseg.runs.settings.typed_text import KEYS, quoted
from mandseg.system.errors import UserError

WRONG = [
    ("noise_ratio=1.5", "noise_ratio=1.5: a share of cases"),
    ("clean_budget=-1", "clean_budget=-1: expected a number of training cases, or a share of them between 0 and 1"),
    ("clean_budget=1.0", "clean_budget=1.0: expected a number of training cases"),
    ("clean_budget=2.5", "clean_budget=2.5: expected a number of training cases"),
    ("clean_budget=true", "clean_budget=true: expected a number of training cases"),
    ("clean_budget=few", "clean_budget=few: expected a number of training cases"),
    ("ranking=", "ranking=: expected a text"),
    ("seed=4294967296", "seed=4294967296: expected a whole number, 0 to 4294967295"),
    ("steps=abc", "steps=abc: expected a whole number, 1 or more"),
    ("steps=0", "steps=0: expected a whole number, 1 or more"),
    ("steps=4.0", "steps=4.0: expected a whole number, 1 or more"),
    ("steps=5", "steps=5 cannot be divided evenly by validations=2"),
    ("validations=true", "validations=true: expected a whole number, 1 or more"),
    ("memorisation=-1", "memorisation=-1: expected a whole number, 0 or more"),
    ("batch_size=0", "batch_size=0: expected a whole number, 1 or more"),
    ("batch_size=null", "batch_size=null: expected a whole number"),
    ("num_workers=-1", "num_workers=-1: expected auto, or a whole number, 0 to 1024"),
    ("num_workers=some", "num_workers=some: expected auto, or a whole number"),
    ("checkpoint_minutes=nan", "checkpoint_minutes=nan: expected a number, 0 or more"),
    ("checkpoint_minutes=-1", "checkpoint_minutes=-1: expected a number, 0 or more"),
    ("debug=3", "debug=3: expected true or false"),
    ("output_dir=", "output_dir=: expected a path"),
    ("study=", "study=: expected the name of a folder"),
    ("study=null", "study=null: expected the name of a folder"),
    ("study=../elsewhere", "study=../elsewhere: expected the name of a folder below output_dir"),
    ("study=/elsewhere", "study=/elsewhere: expected the name of a folder below output_dir"),
    ("study=[a,b]", "study=[a, b]: expected the name of a folder"),
    ('study="a\nb"', "study=a?b: expected the name of a folder"),
    ("model.name=a/b", "model.name=a/b: expected a name"),
    ("noise.name=..", "noise.name=..: expected a name"),
    ("preprocessing.spacing_mm=4", "preprocessing.spacing_mm=4: expected three lengths in mm"),
    ("preprocessing.spacing_mm=[5,5]", "preprocessing.spacing_mm=[5, 5]: expected three lengths in mm"),
    ("preprocessing.spacing_mm=[2,2,0]", "preprocessing.spacing_mm=[2, 2, 0]: expected three lengths in mm"),
    ("preprocessing.spacing_mm=[2,2,inf]", "preprocessing.spacing_mm=[2, 2, inf]: expected three lengths in mm"),
    ("preprocessing.margin_mm=-1", "preprocessing.margin_mm=-1: expected a length in mm"),
    ("+preprocessing.margin=1", "preprocessing.margin=1: expected one of margin_mm, spacing_mm"),
    ("hu_window.low=1500", "hu_window.low=1500: expected less than hu_window.high=1500"),
    ("hu_window.high=-300", "hu_window.low=-200: expected less than hu_window.high=-300"),
    ("hu_window.low=soft", "hu_window.low=soft: expected a number"),
    ("hu_window=5", "hu_window=5: expected a group of settings"),
    ("patches.patch_size=[32,32]", "patches.patch_size=[32, 32]: expected three whole numbers"),
    ("patches.patch_size=32", "patches.patch_size=32: expected three whole numbers"),
    ("patches.patch_size=[0,32,32]", "patches.patch_size=[0, 32, 32]: expected three whole numbers"),
    ("patches.patch_size=[64.0,64,64]", "patches.patch_size=[64.0, 64, 64]: expected three whole numbers"),
    ("patches.patch_size=[30,30,30]", "patches.patch_size=[30, 30, 30]: expected multiples of 8 for model=unet"),
    ("sliding_window.patch_size=[64,64,60]", "sliding_window.patch_size=[64, 64, 60]: expected multiples of 8"),
    ("patches.foreground_share=1.5", "patches.foreground_share=1.5: expected a share, 0 to 1"),
    ("patches.jitter_share=-0.1", "patches.jitter_share=-0.1: expected a share, 0 to 1"),
    ("+patches.overlap=0.5", "patches.overlap=0.5: expected one of augmentation"),
    ("optimizer.lr=-1", "optimizer.lr=-1: expected a number above 0"),
    ("optimizer.lr=fast", "optimizer.lr=fast: expected a number above 0"),
    ("optimizer.lr=inf", "optimizer.lr=inf: expected a number above 0"),
    ("optimizer.weight_decay=-1", "optimizer.weight_decay=-1: expected a number, 0 or more"),
    ("segmenter.warmup_steps=-1", "segmenter.warmup_steps=-1: expected a whole number, 0 or more"),
    ("segmenter.final_lr_share=2", "segmenter.final_lr_share=2: expected a share, 0 to 1"),
    ("segmenter.foreground_prior=2", "segmenter.foreground_prior=2: expected a share between 0 and 1"),
    ("segmenter.foreground_prior=0", "segmenter.foreground_prior=0: expected a share between 0 and 1"),
    (
        "sliding_window.patch_size=whole",
        "sliding_window.patch_size=whole: expected three whole numbers of voxels, each",
    ),
    ("sliding_window.memory_mib=0", "sliding_window.memory_mib=0: expected a whole number, 16 or more"),
    ("sliding_window.overlap=1", "sliding_window.overlap=1: expected a share, 0 to 0.95"),
    ("+sliding_window.batch_size=0", "sliding_window.batch_size=0: expected a whole number, 1 or more"),
    ("evaluation.checkpoint=foo", "evaluation.checkpoint=foo: expected one of last, best"),
    ("evaluation.smallest_piece=2", "evaluation.smallest_piece=2: expected a share, 0 to 1"),
    ("evaluation.save_predictions=maybe", "evaluation.save_predictions=maybe: expected true or false"),
    ("evaluation.shared_subjects=P1", "evaluation.shared_subjects=P1: expected a list of subject ids"),
    ("eval=far.csv", "eval=far.csv: expected eval.NAME=PATH of a manifest"),
    ("eval.far=null", "eval.far=null: expected a path"),
    ("+eval={../far: x.csv}", "eval.../far=x.csv: the name of a data set"),
    ("trainer.accelerator=abacus", "trainer.accelerator=abacus: expected one of auto, cpu, gpu, cuda"),
    ("trainer.precision=8", "trainer.precision=8: expected one of auto, 32-true, bf16-mixed"),
    ("trainer.devices=0", "trainer.devices=0: expected a number of devices, a list of them, or auto"),
    ("trainer.devices=two", "trainer.devices=two: expected a number of devices"),
    ("trainer.gradient_clip_val=-1", "trainer.gradient_clip_val=-1: expected a number, 0 or more, or null"),
    ("trainer.sync_batchnorm=3", "trainer.sync_batchnorm=3: expected true or false"),
    ("+trainer.max_epochs=3", "trainer.max_epochs=3: expected no such setting"),
    ("tracking.mode=loud", "tracking.mode=loud: expected one of auto, online, offline, disabled"),
    ("tracking.init_timeout_s=0", "tracking.init_timeout_s=0: expected a number above 0"),
    ("tracking.case_table=3", "tracking.case_table=3: expected true or false"),
    ("noise.severity=-1", "noise.severity=-1: expected a number, 0 or more"),
    ("noise.target_dice=0", "noise.target_dice=0: expected a Dice above 0, up to 1"),
    ("noise.bias_mm=much", "noise.bias_mm=much: expected a length in mm"),
    ("noise.annotators=a", "noise.annotators=a: expected a list of names"),
    ("noise.annotators=[]", "noise.annotators=[]: expected a list of names"),
    ("noise.leave_out=[a]", "noise.leave_out=[a]: expected a text"),
    ("model.network.out_channels=2", "model.network.out_channels=2: expected 1"),
    ("model.network.spatial_dims=2", "model.network.spatial_dims=2: expected 3"),
    ("analysis.primary=iou", "metric 'iou': expected one of assd_mm, dice"),
    ("analysis.margins.dice=0", "analysis.margins.dice=0: expected a positive number"),
    ("trusted_packages=os", "trusted_packages=os: expected a list of packages"),
    ("loss._target_=os.system", "loss._target_=os.system: expected a path in mandseg, torch"),
    ("patches.augmentation._target_=eval", "patches.augmentation._target_=eval: expected"),
    ("patches.augmentation=3", "patches.augmentation=3: expected a group of settings"),
    ("patches.augmentation.degrees=90", "patches.augmentation.degrees=90: expected an angle in degrees, 0 to 45"),
    ("patches.augmentation.noise_probability=2", "patches.augmentation.noise_probability=2: expected a probability"),
    ("+patches.augmentation.p=1", "patches.augmentation.p=1: expected one of affine_probability"),
]


@pytest.mark.parametrize(("word", "line"), WRONG, ids=[word for word, _ in WRONG])
def test_a_wrong_setting_is_refused_in_one_line(word, line):
    with pytest.raises(UserError) as error:
        run_name(composed(word))
    assert len(error.value.problems) == 1
    assert error.value.problems[0].startswith(line)


@pytest.mark.parametrize(
    "words",
    [
        ["trainer.devices=[0,1]", "trainer.strategy=ddp", "+trainer.num_nodes=2"],
        ["trainer.precision=32", "trainer.gradient_clip_val=null", "checkpoint_minutes=0.5"],
        ["hu_window.low=-200.5", "preprocessing.spacing_mm=[1,1,2.5]", "segmenter.warmup_steps=0"],
        ["~patches.augmentation", "+patches.augmentation={_target_: torchio.RandomFlip, axes: [0]}"],
        ["patches.augmentation=null", "noise=recorded", "tracking=none", "tracking.entity=ours"],
        ["model=swin_unetr", "patches.patch_size=[64,64,32]"],
        ["model.network={_target_: mine.Network}", "trusted_packages=[mine]", "patches.patch_size=[30,30,30]"],
        ["hu_window._target_=mine.windows.Window", "+hu_window.levels=3", "trusted_packages=[mine.windows]"],
        ["study=clinic/first", "eval.2024=far.csv", "data.name=2024"],
        ["optimizer={_target_: torch.optim.Rprop, _partial_: true}"],
    ],
    ids=" ".join,
)
def test_what_is_possible_is_let_through(words):
    check_settings(composed(*words))


def test_every_setting_of_the_config_is_in_the_schema():
    cfg = OmegaConf.to_container(composed(), resolve=True)
    free = {"analysis", "eval"}  # checked by the declaration of a study, and by name
    assert set(cfg) - free == {field.name for field in fields(Settings)}
    for name, schema in get_type_hints(Settings).items():
        if is_dataclass(schema) and not hasattr(schema, "OPEN"):
            assert {key for key in cfg[name] if key != "_target_"} <= {field.name for field in fields(schema)}, name


def test_a_multiple_is_the_product_of_the_strides_of_each_axis():
    unet = {"_target_": "monai.networks.nets.UNet", "strides": [2, [2, 2, 1], 3]}
    assert granularity(unet) == (12, 12, 6)
    assert granularity({"_target_": "monai.networks.nets.SegResNet", "blocks_down": [1, 1, 1]}) == (4, 4, 4)
    assert granularity({"_target_": "mine.Network", "strides": [2]}) == (1, 1, 1)


@pytest.mark.parametrize(
    ("words", "size"),
    [
        (["model=unet"], (72, 72, 80)),
        (["model=unet", "model.network.norm=INSTANCE"], (64, 64, 64)),
        (["model=dynunet"], (64, 64, 64)),
        (["model=dynunet", "+model.network.norm_name=batch"], (72, 72, 80)),
        (["model=dynunet", "+model.network.norm_name=[batch,{affine: true}]"], (72, 72, 80)),
        (["model=attention_unet"], (64, 64, 64)),
        (["model=segresnet"], (64, 64, 64)),
        (["model=unet", "sliding_window.patch_size=[32,32,32]"], (32, 32, 32)),
        (["model.network={_target_: torch.nn.Identity}"], (64, 64, 64)),
    ],
    ids=str,
)
def test_a_window_of_size_auto_is_the_volumes_where_the_network_takes_any_else_that_of_its_training(words, size):
    from mandseg.runs.build import build_method, build_sliding_window

    cfg = composed(*words)
    method = build_method(cfg, untrained=False)
    assert tuple(build_sliding_window(cfg, method).size((65, 70, 73))) == size


@pytest.mark.parametrize(
    "words",
    [
        ["model=unet"],
        ["model=unet", "model.network.norm=INSTANCE"],
        ["model=unet", "~model.network.norm"],
        ["model=dynunet"],
        ["model=dynunet", "+model.network.norm_name=batch"],
        ["model=segresnet"],
        ["model=segresnet", "+model.network.norm=BATCH"],
    ],
    ids=str,
)
def test_the_table_of_normalisations_agrees_with_the_layers_of_the_networks(words):
    from mandseg.runs.build import made

    cfg = composed(*words)
    layers = {type(layer).__name__ for layer in made(cfg, "model.network").modules()}
    found = {kind.removesuffix("Norm3d").removesuffix("Norm").upper() for kind in layers if "Norm" in kind}
    assert found == {normalisation(OmegaConf.to_container(cfg.model.network))}


def test_attention_unet_normalises_over_its_window_on_the_way_up_only():
    from mandseg.runs.build import made

    cfg = composed("model=attention_unet")
    kinds = [type(layer).__name__ for layer in made(cfg, "model.network").modules() if "Norm" in type(layer).__name__]
    assert set(kinds) == {"BatchNorm3d", "InstanceNorm3d"}
    assert normalisation(OmegaConf.to_container(cfg.model.network)) == "BATCH"  # on the coarsest grid


def test_a_batch_normalisation_of_dynunet_needs_two_voxels_in_a_batch_only():
    dynunet = {"_target_": "monai.networks.nets.DynUNet", "strides": [1, 2, 2], "norm_name": "batch"}
    assert [needs_more_than([4, 4, 4], dynunet, size) for size in (1, 2)] == [True, False]
    assert needs_more_than([4, 4, 4], dynunet | {"norm_name": ["INSTANCE", {"affine": True}]}, 2)


@pytest.mark.parametrize("model", ["unet", "dynunet", "segresnet", "attention_unet"])
@pytest.mark.parametrize("size", [[8, 8, 8], [8, 8, 16], [12, 16, 16], [24, 8, 16]], ids=str)
@pytest.mark.parametrize("batch_size", [1, 2])
def test_sizes_are_refused_at_the_launch_where_the_network_cannot_take_them(model, size, batch_size):
    from mandseg.runs.build import refuse_unfit

    cfg = composed(f"model={model}", f"patches.patch_size={size}", f"batch_size={batch_size}")
    with_primary = [check_settings, refuse_unfit]
    assert len({_is_refused(ask, cfg) for ask in with_primary}) == 1


def _is_refused(ask, cfg) -> bool:
    try:
        ask(cfg)
    except UserError:
        return True
    return False


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["batch_size=0"], "batch_size=0: expected a whole number"),
        (["-m", "noise_ratio=0,2"], "noise_ratio=2: a share of cases"),
        (["-m", "noise_ratio=0,0.5", "patches.patch_size=[64,64,64],[30,30,30]"], "patches.patch_size=[30, 30, 30]"),
        (["nois_ratio=0.5"], "nois_ratio"),
        (["-m", "seed=0,1", "nois_ratio=0.5"], "nois_ratio"),
        (["model=unett"], "unett"),
        (["study=null"], "study=null: expected the name of a folder"),
        (["data=folder"], "data.manifest"),
        (["-m", "seed=0,1", "hydra.sweeper.max_batch_size=-1"], "hydra.sweeper.max_batch_size=-1: expected a whole"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_is_made(monkeypatch, capsys, tmp_path, words, line):
    assert line in refused(monkeypatch, capsys, tmp_path, *words)


def test_without_home_and_cache_the_setting_is_named(monkeypatch, capsys, tmp_path):
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("MANDSEG_CACHE", raising=False)
    assert refused(monkeypatch, capsys, tmp_path).startswith("cache_dir: neither MANDSEG_CACHE nor HOME is set")


def test_home_is_not_needed_where_the_cache_is_named(monkeypatch):
    monkeypatch.delenv("HOME", raising=False)
    assert composed("cache_dir=elsewhere").data.source.cache_dir == "elsewhere"
    monkeypatch.setenv("MANDSEG_CACHE", "/cache")
    assert composed().cache_dir == "/cache"
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("MANDSEG_CACHE", "")
    assert composed().cache_dir == "/home/someone/.cache/mandseg"


@pytest.mark.parametrize("typed", ["2024", "1e5", "1_000", "007", "1.50", "-5", "true", "nan", "2024-11-26", "1:30"])
def test_a_name_is_what_was_typed(typed):
    assert composed(f"study={typed}").study == typed
    assert composed(f"noise.leave_out={typed}").noise.leave_out == typed
    assert composed(f"noise.annotators=[a,{typed}]").noise.annotators == ["a", typed]
    assert composed(f"evaluation.shared_subjects=[{typed}, {typed}]").evaluation.shared_subjects == [typed, typed]
    assert composed(f"eval.far={typed}").eval.far == typed


@pytest.mark.parametrize(
    "word", ["seed=1", "noise_ratio=0.5", "study='1e5'", "study=${data.name}", "noise.leave_out=null"]
)
def test_other_words_stay_as_they_are(word):
    assert quoted(word) == word


def test_names_that_are_numbers_are_axes_of_a_grid():
    assert quoted("noise.annotators=[1,2],[3]") == "noise.annotators=['1','2'],['3']"
    assert quoted("noise.leave_out=1,b") == "noise.leave_out='1',b"


def test_a_whole_number_in_a_config_file_is_its_digits():
    cfg = composed()
    cfg.study, cfg.noise.leave_out = 2024, 1
    assert run_name(cfg) == run_name(composed("study=other", "noise.leave_out=1"))
    assert "-without_1_" in run_name(cfg)


def test_every_name_and_path_is_a_key_of_the_config():
    cfg = composed("data=openkbp")
    assert [key for key in KEYS if OmegaConf.select(cfg, key, default="absent") == "absent"] == []
