"""The methods text describes the settings of the real configuration, and no sentence is lost."""

import copy
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from mandseg.report.methods import describe_run
from mandseg.report.run_settings import MissingSettingError, RunSettings, run_settings
from mandseg.report.wording import without_tags

CONF = Path(__file__).parents[2] / "conf"
GROUPS = ("model", "noise", "method", "loss", "trainer", "data", "tracking")
CHOICES = [f"{group}={file.stem}" for group in GROUPS for file in sorted((CONF / group).glob("*.yaml"))]
NOT_MEASURED = pd.DataFrame()
SENTENCES = (
    "Noisy labels of data set `",
    "CTs were cropped to the body with ",
    "HU were clipped to -200 to 1500",
    "Network: ",
    "Training: method ",
    "Augmentation of each patch: with probability 0.5 a rotation of up to 10 degrees about each axis and a change of",
    "The last weights were tested, ",
)


@cache
def composed(*overrides: str) -> dict:
    """The settings as a run's config.yaml holds them."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return OmegaConf.to_container(compose("train", ["cache_dir=cache", *overrides]), resolve=True)


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_of_the_configuration_is_described_in_every_sentence(choice):
    overrides = [choice, "data.manifest=manifest.csv"] if choice in ("data=folder", "data=fold") else [choice]
    config = composed(*overrides)
    words = "\n".join(describe_run(run_settings(config), NOT_MEASURED))
    assert [sentence for sentence in SENTENCES if sentence not in words] == []
    assert "None" not in words
    for target in (config["model"]["network"]["_target_"], config["noise"]["source"]["_target_"]):
        assert f"`{target}`" in words
    assert config["noise"]["name"] in words
    assert config["method"]["name"] in words
    loss = config["loss"] if "loss" in config else config["method"]["loss"]
    assert f"loss `{loss['_target_']}`" in words


def test_the_numbers_are_those_of_the_settings():
    config = composed("optimizer.lr=0.00125", "steps=1234", "patches.patch_size=[32,48,64]", "noise.bias_mm=0.75")
    words = "\n".join(describe_run(run_settings(config), NOT_MEASURED))
    for phrase in (
        "lr 0.00125",
        "1234 steps",
        "patches of 32 x 48 x 64 voxels",
        "bias_mm 0.75",
        "TeethIncluded (height_mm 7)",
        "loss `monai.losses.DiceCELoss` (sigmoid true",
    ):
        assert phrase in words
    assert "with probability 0.3 Gaussian noise with a standard deviation of up to 0.05 on the scale" in words


def test_shares_are_not_rounded():
    shares = ["patches.foreground_share=0.125", "segmenter.final_lr_share=0.001", "evaluation.smallest_piece=0.07"]
    words = "\n".join(describe_run(run_settings(composed(*shares)), NOT_MEASURED))
    for phrase in (
        "12.5% of them centred",
        "half a cosine to 0.1% of the learning rate",
        "Pieces below 7% of the largest",
    ):
        assert phrase in words


def test_torchio_s_transforms_are_described_in_their_order():
    config = copy.deepcopy(composed())
    flip = {"_target_": "torchio.RandomFlip", "axes": [0], "p": 0.5}
    noise = {"_target_": "torchio.RandomNoise", "std": [0.0, 0.05]}
    config["patches"]["augmentation"] = {"_target_": "torchio.Compose", "transforms": [flip, noise]}
    words = "\n".join(describe_run(run_settings(config), NOT_MEASURED))
    assert "in this order: `torchio.RandomFlip` (axes [0], p 0.5) and `torchio.RandomNoise` (std [0.0, 0.05])." in words


def test_the_loss_and_the_stages_are_described_where_a_method_has_a_loss_beside_it():
    config = copy.deepcopy(composed())
    config["loss"] = {"name": "gce", "_target_": "losses.GCE", "q": 0.7}
    config["method"] = {
        "name": "two_stages",
        "stages": [{"name": "warm", "share": 0.25}, {"name": "train", "share": 0.75}],
    }
    words = "\n".join(describe_run(run_settings(config), NOT_MEASURED))
    stages = "[{name warm, share 0.25}, {name train, share 0.75}]"
    assert f"method two_stages (stages {stages}), loss `losses.GCE` (q 0.7), 400 steps" in words
    assert "method supervised, loss" in "\n".join(describe_run(run_settings(composed()), NOT_MEASURED))
    bias = "\n".join(describe_run(run_settings(composed("method=bias_correction")), NOT_MEASURED))
    assert "(stages [{name moved, share 1.0, relabel AnnotatorBias (" in bias


def test_the_windows_of_the_test_are_those_that_the_network_gets():
    def words(*overrides):
        return "\n".join(describe_run(run_settings(composed(*overrides)), NOT_MEASURED))

    assert "tested, each CT in one window where memory allowed it, else in the largest equal windows, " in words()
    assert "tested, in windows of 64 x 64 x 64 voxels, overlapping by 25%" in words("model=dynunet")
    assert "tested, in windows of 96 x 64 x 32 voxels" in words("sliding_window.patch_size=[96,64,32]")


def test_the_methods_text_states_that_patches_were_not_augmented():
    words = "\n".join(describe_run(run_settings(composed("patches.augmentation=null")), NOT_MEASURED))
    assert "Patches were not augmented." in words


def test_chosen_annotators_are_not_named():
    config = composed("noise=recorded", "noise.annotators=[jones]", "+noise.source.annotators=[jones]")
    assert "jones" not in "\n".join(describe_run(run_settings(config), NOT_MEASURED))


@pytest.mark.parametrize("key", [field.metadata["key"] for field in RunSettings.__dataclass_fields__.values()])
def test_a_setting_that_is_not_there_is_named(key):
    config = copy.deepcopy(composed())
    for path in key.split(" or "):
        *groups, last = path.split(".")
        node = config
        for group in groups:
            node = node.get(group, {})
        node.pop(last, None)
    with pytest.raises(MissingSettingError, match=f"the settings lack {key}"):
        run_settings(config)


def test_an_object_without_a_type_is_refused():
    config = copy.deepcopy(composed())
    del config["model"]["network"]["_target_"]
    with pytest.raises(MissingSettingError, match=r"a setting with spatial_dims, .* lacks _target_"):
        describe_run(run_settings(config), NOT_MEASURED)


def test_a_name_of_a_hostile_run_folder_is_no_html():
    assert without_tags("model <script>x</script>, p < 0.05, <!-- -->") == (
        "model &lt;script>x&lt;/script>, p < 0.05, &lt;!-- -->"
    )
