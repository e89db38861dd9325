"""The number of voxels of which a patch side must be a multiple: the network must be able to undo its halvings."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

ANY = (1, 1, 1)
OF_A_NETWORK = {"SwinUNETR": 32, "MedNeXt": 16, "MedNeXtSmall": 16, "MedNeXtBase": 16, "MedNeXtLarge": 16}
"""Networks of MONAI whose number of halvings is fixed."""
BLOCKS_DOWN = (1, 2, 2, 4)  # SegResNet's default; one halving less than entries

NORMALISATION = {
    "UNet": ("norm", "INSTANCE"),
    "DynUNet": ("norm_name", "INSTANCE"),
    "SegResNet": ("norm", "GROUP"),
    "SwinUNETR": ("norm_name", "INSTANCE"),
    "AttentionUnet": ("", "BATCH"),
}
"""The argument that names the normalisation on the coarsest grid of a network of MONAI, if any, and its default."""
NORMALISATION |= dict.fromkeys(("MedNeXt", "MedNeXtSmall", "MedNeXtBase", "MedNeXtLarge"), ("", "CHANNEL"))
"""A group normalisation with one channel in each group."""
OF_ONE_WINDOW = {"SwinUNETR", "AttentionUnet"}
"""Networks that see a window's size in another way, too: by windows of their own, and by instance normalisation on the
way up."""


def normalisation(network: Mapping[str, Any]) -> str:
    """The kind of normalisation on the coarsest grid in MONAI's words (``INSTANCE``); empty for an unknown network.

    Args:
        network: Its node of the config, as plain values.
    """
    name = str(network.get("_target_", "")).rpartition(".")[2]
    if name not in NORMALISATION or not str(network["_target_"]).startswith("monai."):
        return ""
    argument, default = NORMALISATION[name]
    kind = network.get(argument, default)
    return str(kind[0] if isinstance(kind, list | tuple) and kind else kind).upper()


def takes_any_window(network: Mapping[str, Any]) -> bool:
    """Whether a network is known to answer alike in windows of any size, of the multiples that it takes.

    One that normalises over its window (instance or group normalisation) sees other means in a window of another size
    than in training. Batch normalisation uses the means that it learned. Of a network of the user's own nothing is
    known: it may take one size only.

    Args:
        network: Its node of the config, as plain values.
    """
    name = str(network.get("_target_", "")).rpartition(".")[2]
    return normalisation(network) == "BATCH" and granularity(network) != ANY and name not in OF_ONE_WINDOW


def granularity(network: Mapping[str, Any]) -> tuple[int, int, int]:
    """The multiples along each axis; 1 for an unknown network.

    Args:
        network: Its node of the config, as plain values.
    """
    target = str(network.get("_target_", ""))
    name = target.rpartition(".")[2]
    if not target.startswith("monai."):
        return ANY
    if name == "SegResNet":
        n = 2 ** (len(network.get("blocks_down") or BLOCKS_DOWN) - 1)
        return n, n, n
    if name in OF_A_NETWORK:
        n = OF_A_NETWORK[name]
        return n, n, n
    return _product(network.get("strides"))


def needs_more_than(patch_size: Sequence[int], network: Mapping[str, Any], batch_size: int) -> bool:
    """Whether a patch is one voxel on the coarsest grid, but the network's normalisation needs more.

    Args:
        patch_size: Voxels, (X, Y, Z).
        network: Its node of the config.
        batch_size: Patches in a step; a batch normalisation also averages over them. A channel normalisation refuses a
            single voxel in a single patch only.
    """
    kind = normalisation(network)
    if kind not in ("INSTANCE", "CHANNEL", "BATCH") or list(granularity(network)) != list(patch_size):
        return False
    return kind == "INSTANCE" or batch_size == 1


def _product(strides: Any) -> tuple[int, int, int]:
    """The product of the strides of all levels, each a number or three."""
    if not isinstance(strides, Sequence) or isinstance(strides, str):
        return ANY
    levels = [[s] * 3 if isinstance(s, int) else s for s in strides]
    if not all(isinstance(s, list) and len(s) == 3 and all(isinstance(k, int) and k > 0 for k in s) for s in levels):
        return ANY
    x, y, z = (prod(level[axis] for level in levels) for axis in range(3))
    return x, y, z
