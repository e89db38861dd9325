"""Objects from a config: only of trusted packages, by the object to which a target leads and not by its spelling."""

import subprocess
import sys

import pytest
import torch

from mandseg.system.errors import UserError
from mandseg.system.instantiation import make

OWN = """
import os, shutil
class Loss:
    def __init__(self, weight): self.weight = weight
def window(low): return lambda hu: hu - low
remove = shutil.rmtree
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A user's package ``mine_{n}``, importable; its name."""
    name = f"mine_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield name
    sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("os.system", "expected a path in mandseg, torch"),
        ("builtins.eval", "expected a path in mandseg, torch"),
        ("eval", "expected the path of a class or a function"),
        (3, "expected the path of a class or a function"),
        ("torch..nn", "expected the path of a class or a function"),
        ("logging.os.system", "expected a path in mandseg, torch"),
        ("torch.os.system", "expected a class or a function of a module"),
        ("torch.serialization.os.makedirs", "is os.makedirs, which is not let through"),
        ("torch.load", "is torch.serialization.load, which is not let through"),
        ("torch.hub.load", "is torch.hub.load, which is not let through"),
        ("monai.bundle.run", "which is not let through"),
        ("mandseg.system.files.shutil.rmtree", "is shutil.rmtree, which is not let through"),
        ("mandseg.training.module.Segmenter.load_from_checkpoint", "expected a class or a function of a module"),
        ("mandseg.training.module", "expected a class or a function of a module"),
        ("mandseg.nowhere.Thing", "cannot be found"),
        ("torch.nn.Lineer", "cannot be found"),
    ],
)
def test_what_is_of_another_package_is_refused(target, line):
    with pytest.raises(UserError, match=line) as error:
        make({"_target_": target}, "model.network")
    assert str(error.value).startswith(f"model.network._target_={target}: ")


def test_a_node_inside_another_is_judged_too():
    inner = {"_target_": "mandseg.system.files.shutil.rmtree", "path": "nowhere"}
    with pytest.raises(
        UserError, match=r"augmentation.transforms\[1\]._target_=mandseg.system.files.shutil.rmtree: is shutil"
    ):
        make({"_target_": "torchio.Compose", "transforms": [{"_target_": "torchio.RandomFlip"}, inner]}, "augmentation")
    with pytest.raises(UserError, match=r"patches.augmentation._target_=os.remove"):
        make({"patch_size": [8, 8, 8], "augmentation": {"_target_": "os.remove"}}, "patches")


def test_nothing_of_an_untrusted_package_is_imported(tmp_path, monkeypatch):
    (tmp_path / "untrusted_module.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserError, match=r"trusted_packages=\[untrusted_module\]"):
        make({"_target_": "untrusted_module.Thing"}, "method.loss")


def test_a_package_that_the_user_lists_is_trusted(own):
    assert make({"_target_": f"{own}.Loss", "weight": 2}, "method.loss", [own]).weight == 2
    assert make({"_target_": f"{own}.window", "low": 1}, "hu_window", [own])(3) == 2
    with pytest.raises(UserError, match=rf"trusted_packages=\[{own}\]"):
        make({"_target_": f"{own}.Loss", "weight": 2}, "method.loss")


def test_an_alias_in_a_trusted_package_is_no_way_out(own):
    for target in (f"{own}.remove", f"{own}.os.system", f"{own}.shutil.rmtree"):
        with pytest.raises(UserError, match=f"method.loss._target_={target}"):
            make({"_target_": target}, "method.loss", [own])


NET = "monai.networks.nets.UNet"


@pytest.mark.parametrize(
    ("node", "line"),
    [
        ({"in_features": 2}, ": torch.nn.Linear needs out_features"),
        (
            {"in_features": 2, "outfeatures": 2},
            ".outfeatures=2: torch.nn.Linear has no such argument; did you mean out_features? Expected one of bias, ",
        ),
        ({"in_features": 2, "out_features": 2.5}, ".out_features=2.5: expected a whole number"),
        ({"in_features": 2, "out_features": 2, "bias": "no"}, ".bias=no: expected true or false"),
        ({"_target_": "torch.nn.Dropout", "p": 2}, ": torch.nn.Dropout cannot be made: dropout probability has to be "),
        ({"_target_": "torch.nn.Dropout", "p": "half"}, ".p=half: expected a number"),
        ({"_target_": NET, "channels": 5}, ".channels=5: expected a list of whole numbers"),
        ({"_target_": NET, "kernel_size": "x"}, ".kernel_size=x: expected a list of whole numbers or a whole number"),
        ({"_target_": "torch.nn.Softplus", "beta": None, "gamma": [1]}, ".gamma=[1]: torch.nn.Softplus has no such"),
    ],
)
def test_a_wrong_argument_is_one_line_that_names_it(node, line):
    with pytest.raises(UserError) as error:
        make({"_target_": "torch.nn.Linear"} | node, "model.network")
    (printed,) = error.value.problems
    assert printed.startswith(f"model.network{line}")


def test_arguments_of_nodes_inside_and_those_that_mandseg_adds_are_compared_too(own, tmp_path):
    (tmp_path / f"{own}.py").write_text("def pair(first, second, *, third=1): return first, second, third")
    node = {"_target_": f"{own}.pair", "first": {"_target_": "torch.nn.Linear", "in_features": 2}}
    with pytest.raises(UserError) as error:
        make(node, "method", [own], second=2)
    assert error.value.problems == ["method.first: torch.nn.Linear needs out_features"]
    assert make({**node, "first": 5, "third": 7}, "method", [own], second=2) == (5, 2, 7)
    partial = make({"_target_": f"{own}.pair", "_partial_": True, "second": 2}, "method", [own])
    assert partial(1) == (1, 2, 1)


def test_an_error_of_ours_is_unchanged():
    with pytest.raises(UserError, match=r"^preprocessing.spacing_mm="):
        make({"_target_": "mandseg.data.preprocessing.Preprocessing", "spacing_mm": [1, 2]}, "preprocessing")


def test_a_disk_that_is_full_is_no_wrong_input(own, tmp_path):
    (tmp_path / f"{own}.py").write_text("def full(): raise OSError(28, 'No space left on device')")
    with pytest.raises(Exception, match="No space left") as error:
        make({"_target_": f"{own}.full"}, "data.source", [own])
    assert not isinstance(error.value, UserError)


def test_what_the_configs_name_is_made():
    optimizer = make({"_target_": "torch.optim.AdamW", "_partial_": True, "lr": 0.1}, "optimizer")
    made = optimizer([torch.nn.Parameter(torch.zeros(1))])
    assert (type(made), made.defaults["lr"]) == (torch.optim.AdamW, 0.1)


def test_modules_of_the_current_folder_are_not_run(tmp_path):
    for name in ("torch", "hydra", "random", "omegaconf", "yaml", "numpy"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name} of the current folder ran')")
    (tmp_path / "hydra_plugins").mkdir()
    (tmp_path / "hydra_plugins" / "evil.py").write_text("raise SystemExit('a plugin of the current folder ran')")
    command = [sys.executable, "-m", "mandseg.train", "--cfg", "job", "seed=3"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "seed: 3" in done.stdout
