"""A checkpoint that was changed after it was written is refused in one line."""

import copy
import zipfile
from pathlib import Path

import numpy as np
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


def test_settings_of_a_network_that_cannot_be_in_the_file_take_no_memory(sound, tmp_path):
    changed = copy.deepcopy(sound)
    changed["mandseg_network"]["settings"]["model"]["network"]["channels"] = [2048, 65536]
    torch.save(changed, tmp_path / "x.ckpt")
    with pytest.raises(UserError, match=r"x\.ckpt: its settings describe a network of .* GiB, and the file has"):
        load_network(tmp_path / "x.ckpt", device="cpu")


def torch_file(content: object):
    return lambda file: torch.save(content, file)


def archive(*names: str):
    def write(file: Path) -> None:
        with zipfile.ZipFile(file, "w") as content:
            for name in names:
                content.writestr(name, "text")

    return write


WEIGHTS = {"conv.weight": torch.zeros(2, 1)}
NNUNET = {"network_weights": WEIGHTS, "trainer_name": "nnUNetTrainer", "_best_ema": np.float64(0.9), "init_args": {}}
FOREIGN = {
    "a checkpoint of nnU-Net": torch_file(NNUNET),
    "a Lightning checkpoint of another project": torch_file(
        {"pytorch-lightning_version": "2.6.0", "state_dict": WEIGHTS, "hyper_parameters": Path("x")}
    ),
    "a file of weights without a description of their network": torch_file(WEIGHTS),
    "a file with the entries model, epoch, lr, loss, ...": torch_file(
        {"model": WEIGHTS, "epoch": 3, "lr": 0.1, "loss": 0.2, "best": 1}
    ),
    "a TorchScript model": archive("model/data.pkl", "model/constants.pkl"),
    "an archive without weights of torch": archive("fold_0/notes.txt"),
    "a safetensors file": lambda file: file.write_bytes((20).to_bytes(8, "little") + b"{" + bytes(40)),
    "a file that torch did not write": lambda file: file.write_text("hi"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_checkpoint_of_another_program_is_called_what_it_is(tmp_path, kind):
    FOREIGN[kind](tmp_path / "x.pt")
    with pytest.raises(UserError) as caught:
        load_network(tmp_path / "x.pt", device="cpu")
    (line,) = caught.value.problems
    assert line == f"{tmp_path / 'x.pt'}: is {kind}, expected a checkpoint, a run folder or a study of mandseg"


def test_a_half_copied_checkpoint_is_not_called_foreign(sound, tmp_path):
    torch.save(sound, tmp_path / "x.ckpt")
    whole = (tmp_path / "x.ckpt").read_bytes()
    (tmp_path / "x.ckpt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        UserError, match=r"x\.ckpt: cannot be read as a checkpoint .*; is it a checkpoint of mandseg\?$"
    ):
        load_network(tmp_path / "x.ckpt", device="cpu")


DAMAGE = {
    "no directory": (b"PK\x01\x02", b"PK\x01\x09"),
    "a version that nobody reads": (b"PK\x01\x02\x14\x03\x14", b"PK\x01\x02\x14\x03\xff"),
    "an encrypted entry": (b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_an_archive_with_a_damaged_directory_is_one_line(tmp_path, damage):
    archive("model/data.pkl")(tmp_path / "x.ckpt")
    whole, (sound, damaged) = (tmp_path / "x.ckpt").read_bytes(), DAMAGE[damage]
    assert sound in whole
    (tmp_path / "x.ckpt").write_bytes(whole.replace(sound, damaged))
    with pytest.raises(UserError, match=r"x\.ckpt: cannot be read as a checkpoint \(.*\); is it"):
        load_network(tmp_path / "x.ckpt", device="cpu")


def test_a_packed_entry_is_not_unpacked(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "x.ckpt", "w", zipfile.ZIP_DEFLATED) as content:
        content.writestr("model/data.pkl", bytes(10**6))
    for reader, name in ((zipfile.ZipFile, "read"), (torch, "load")):
        monkeypatch.setattr(reader, name, lambda *_, **__: pytest.fail("unpacked"))
    with pytest.raises(UserError, match=r"x\.ckpt: cannot be read as a checkpoint \(it is packed"):
        load_network(tmp_path / "x.ckpt", device="cpu")
