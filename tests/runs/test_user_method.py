"""A method outside the package: two networks and a follower, named by its import path, trained by the real command."""

import json
import os
import subprocess
import sys
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir

from mandseg.data.volume import read_volume
from mandseg.runs.build import build_method
from mandseg.runs.trained.load import load_predictor
from mandseg.system.config_paths import config_folder
from tiny_cohort import SMALL, TESTED, words, write_tiny_cohort
from warm_processes import WarmProcesses

SOURCE = """
import torch
from torch import nn

from mandseg.training.methods.method import Method


class Followed(Method):
    def __init__(self, make_network, loss, decay):
        super().__init__()
        self.networks = nn.ModuleList([make_network(), make_network(), make_network()])
        self.networks[2].requires_grad_(False)
        self.criterion, self.decay = loss, decay
        self.register_buffer("seen", torch.zeros(4))  # how often each training case was seen

    def logits(self, image):
        return self.networks[0](image), self.networks[1](image + 0.1 * torch.randn_like(image))

    def loss(self, logits, batch, progress):
        self.seen += torch.bincount(batch["case"], minlength=4)
        apart = (logits[0] - logits[1]).square().mean()
        assert batch["trusted"].dtype == torch.bool
        losses = [self.criterion(one, batch["label"]) for one in logits]
        return {"loss": losses[0] + losses[1] + progress * apart, "apart": apart.detach()}

    def predict(self, image):
        return self.networks[2](image)

    def after_step(self, progress):
        for mean, value in zip(self.networks[2].parameters(), self.networks[0].parameters()):
            mean.lerp_(value, 1 - self.decay)
"""
METHOD = [
    "method._target_=own_method.Followed",
    "method.name=followed",
    "+method.decay=0.5",
    "trusted_packages=[own_method]",
]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("methods")
    write_tiny_cohort(folder / "cohort")
    (folder / "own_method.py").write_text(SOURCE)
    return folder


def command(world, name, *own):
    own = [*METHOD, "evaluation.save_predictions=true", f"cache_dir={world}/cache", *own]
    return [*words(world / "cohort", world / name / "outputs"), *own]


def run_folder(world, name):
    (folder,) = (p for p in (world / name / "outputs" / "s").iterdir() if p.is_dir())
    return folder


def train(world, nursery, name, *own):
    run = WarmProcesses(world, nursery)
    assert run.run(command(world, name, *own)) == 0, run.log.read_text()
    return run_folder(world, name)


def train_cold(world, name, *own):
    """The command as a user starts it: it and the processes that it starts import everything."""
    argv = [sys.executable, "-m", "mandseg.train", *command(world, name, *own)]
    env = os.environ | {"WANDB_MODE": "offline", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(argv, capture_output=True, text=True, cwd=world, env=env)
    assert done.returncode == 0, done.stderr
    return run_folder(world, name)


@pytest.fixture(scope="module")
def trained(world, nursery):
    return train(world, nursery, "alone")


def last(folder):
    return torch.load(folder / "checkpoints" / "train" / "last.ckpt", weights_only=True)


def test_a_users_method_is_trained_validated_and_tested(trained):
    assert json.loads((trained / "run.json").read_text())["condition"]["method"] == "followed"
    assert "_followed_" in trained.name
    assert sorted(pd.read_csv(trained / "cases.csv").case_id) == sorted(TESTED)
    curve = pd.read_csv(trained / "learning_curve.csv")
    assert (curve.train_apart.dropna() > 0).all()  # a term of its own
    assert last(trained)["state_dict"]["method.seen"].sum() == 12 * 2  # each patch of each step, in the checkpoint
    assert len(last(trained)["optimizer_states"][0]["state"]) == sum(
        "networks.2" not in name and name.endswith(("weight", "bias")) for name in last(trained)["state_dict"]
    )


def test_a_loaded_predictor_answers_as_the_method_was_tested(world, trained, monkeypatch):
    monkeypatch.syspath_prepend(str(world))
    predictor = load_predictor(trained, device="cpu")
    for file in trained.glob("predictions/*.nii.gz"):
        saved = read_volume(file)
        mask = predictor.mask(read_volume(world / "cohort" / f"{file.name.split('-')[0]}_image.nii.gz"), 0.2)
        assert np.array_equal(mask.array, saved.array > 0)


def test_the_first_network_of_any_method_is_the_supervised_one_and_the_others_are_others(world, monkeypatch):
    monkeypatch.syspath_prepend(str(world))
    small = [word for word in SMALL if word.startswith(("model.", "patches."))]
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        plain = build_method(compose("train", small)).networks
        own = build_method(compose("train", [*small, *METHOD])).networks
        other = build_method(compose("train", [*small, "seed=1"])).networks
    for name, value in plain[0].state_dict().items():
        assert torch.equal(own[0].state_dict()[name], value), name
    drawn = [network.state_dict()["model.0.conv.unit0.conv.weight"] for network in (*own, *other)]
    assert not any(torch.equal(a, b) for a, b in combinations(drawn, 2))  # no seed shares a network with another


@pytest.mark.slow
def test_two_processes_train_a_users_method_like_one(world, nursery):
    two = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.precision=32-true"]
    sgd = ["optimizer._target_=torch.optim.SGD", "optimizer.lr=0.1"]
    noise = "trainer.enable_progress_bar=false"
    one = last(train(world, nursery, "one", *sgd, noise))["state_dict"]
    both = last(train_cold(world, "two", *sgd, *two, noise))["state_dict"]
    assert torch.equal(both["method.seen"], one["method.seen"])
    assert one.keys() == both.keys()
