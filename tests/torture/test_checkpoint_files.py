"""A checkpoint that was changed after it was written is refused in one line."""

import pytest
import torch
from readers import READERS

from mandseg.runs.trained.load import load_network
from mandseg.system.errors import UserError


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A checkpoint that predicts alone."""
    (file,) = READERS["checkpoint"].write(tmp_path_factory.mktemp("sound"))
    return torch.load(file, weights_only=True)


def without(checkpoint, group):
    record = checkpoint["mandseg_network"]
    settings = {key: value for key, value in record["settings"].items() if key != group}
    return checkpoint | {"mandseg_network": record | {"settings": settings}}


@pytest.mark.parametrize("group", ["model", "method", "loss", "patches", "preprocessing", "evaluation", "batch_size"])
def test_a_checkpoint_without_a_group_of_settings_is_one_line(sound, tmp_path, group):
    torch.save(without(sound, group), tmp_path / "x.ckpt")
    with pytest.raises(UserError, match=rf"x\.ckpt: {group}: is missing$"):
        load_network(tmp_path / "x.ckpt", device="cpu")


def test_a_checkpoint_with_a_weight_that_is_not_finite_is_one_line(sound, tmp_path):
    name, weight = next((key, value) for key, value in sound["state_dict"].items() if value.is_floating_point())
    torch.save(sound | {"state_dict": sound["state_dict"] | {name: weight * float("nan")}}, tmp_path / "x.ckpt")
    with pytest.raises(UserError, match=r"x\.ckpt: checkpoint x\.ckpt: the weights of .* are not finite"):
        load_network(tmp_path / "x.ckpt", device="cpu")
