"""The number of voxels of which a patch side must be a multiple: the network must be able to undo its halvings."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

ANY = (1, 1, 1)
OF_A_NETWORK = {"SwinUNETR": 32, "MedNeXt": 16, "MedNeXtSmall": 16, "MedNeXtBase": 16, "MedNeXtLarge": 16}
"""Networks of MONAI whose number of halvings is fixed."""
OVER_VOXELS = {"UNet": "INSTANCE", "DynUNet": "INSTANCE", "SwinUNETR": "INSTANCE", "AttentionUnet": "BATCH"}
OVER_VOXELS |= dict.fromkeys(("MedNeXt", "MedNeXtSmall", "MedNeXtBase", "MedNeXtLarge"), "BATCH")
"""Networks that normalise over the voxels of the coarsest grid, and their default normalisation."""
BLOCKS_DOWN = (1, 2, 2, 4)  # SegResNet's default; one halving less than entries


BATCH_NORM = {"UNet": ("norm", "INSTANCE"), "DynUNet": ("norm_name", "INSTANCE"), "SegResNet": ("norm", "GROUP")}
"""Networks that can be told to have batch normalisation only: the argument and its default."""


def takes_any_window(network: Mapping[str, Any]) -> bool:
    """Whether a network is known to answer alike in windows of any size, of the multiples that it takes.

    One that normalises over its window (instance or group normalisation) sees other means in a window of another size
    than in training. Batch normalisation uses the means that it learned. Of a network of the user's own nothing is
    known: it may take one size only.

    Args:
        network: Its node of the config, as plain values.
    """
    name = str(network.get("_target_", "")).rpartition(".")[2]
    if name not in BATCH_NORM or granularity(network) == ANY:
        return False
    return str(network.get(*BATCH_NORM[name])).upper() == "BATCH"


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
        batch_size: Patches in a step; a batch normalisation also averages over them.
    """
    name = str(network.get("_target_", "")).rpartition(".")[2]
    if name not in OVER_VOXELS or list(granularity(network)) != list(patch_size):
        return False
    return str(network.get("norm", OVER_VOXELS[name])).upper() == "INSTANCE" or batch_size == 1


def _product(strides: Any) -> tuple[int, int, int]:
    """The product of the strides of all levels, each a number or three."""
    if not isinstance(strides, Sequence) or isinstance(strides, str):
        return ANY
    levels = [[s] * 3 if isinstance(s, int) else s for s in strides]
    if not all(isinstance(s, list) and len(s) == 3 and all(isinstance(k, int) and k > 0 for k in s) for s in levels):
        return ANY
    x, y, z = (prod(level[axis] for level in levels) for axis in range(3))
    return x, y, z
