"""What a file is that was given as a checkpoint and is none of mandseg. It is looked at without running its code."""

import pickletools
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

ENTRIES: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"network_weights", "trainer_name"}), "a checkpoint of nnU-Net"),
    (frozenset({"plot_stuff", "best_stuff"}), "a checkpoint of nnU-Net 1"),
    (frozenset({"pytorch-lightning_version"}), "a Lightning checkpoint of another project"),
)
"""The entries by which a checkpoint is known, and what it is called."""
SHOWN = 4  # entries of an unknown checkpoint
PICKLED = b"\x80"  # files of torch before its version 1.6
SAFETENSORS_HEADER = 8  # bytes: the length of the header, which is JSON


def kind_of_content(content: Mapping[Any, Any]) -> str:
    """Say what a checkpoint is that could be read and describes no network of mandseg."""
    if known := _known(frozenset(key for key in content if isinstance(key, str))):
        return known
    states = content.get("state_dict", content)
    if isinstance(states, Mapping) and all(isinstance(state, torch.Tensor) for state in states.values()):
        return "a file of weights without a description of their network"
    names = [str(key) for key in content]
    return f"a file with the entries {', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''}"


def kind_of_file(file: Path) -> str:
    """Say what a file is that cannot be read as a checkpoint; empty where it may be a damaged one."""
    if zipfile.is_zipfile(file):
        return _kind_of_archive(file)
    with file.open("rb") as content:
        start = content.read(SAFETENSORS_HEADER + 1)
    if (
        start[SAFETENSORS_HEADER:] == b"{"
        and int.from_bytes(start[:SAFETENSORS_HEADER], "little") < file.stat().st_size
    ):
        return "a safetensors file"
    return "" if start.startswith((PICKLED, b"PK")) else "a file that torch did not write"


def _kind_of_archive(file: Path) -> str:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            if any(name.endswith("/constants.pkl") for name in names):
                return "a TorchScript model"
            pickles = [name for name in names if name.endswith("/data.pkl")]
            if not pickles:
                return "an archive without weights of torch"
            entry = archive.getinfo(pickles[0])
            if entry.compress_type != zipfile.ZIP_STORED:
                return ""  # torch packs nothing, and a small entry may unpack to any size
            pickled = archive.read(entry)
        words = frozenset(word for _, word, _ in pickletools.genops(pickled) if isinstance(word, str))
    except Exception:  # zipfile and pickletools raise many kinds for damaged content
        return ""
    return _known(words)


def _known(words: frozenset[str]) -> str:
    return next((name for entries, name in ENTRIES if entries <= words), "")
