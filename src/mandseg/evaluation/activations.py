"""Fits windows of size ``auto`` to a network: what it needs for a voxel, found by a trial without values."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from math import prod
from typing import Any

import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mandseg.evaluation.sliding_window import SlidingWindow

WORKSPACE = 1.5
"""Memory of a prediction on a CPU in float32 over the bytes of its tensors, as libraries copy tensors to other layouts.

Measured: 1.47 (UNet, 160^3), 1.32 (SegResNet, 128^3), 1.16 (DynUNet, 128^3); in bf16 0.56 to 0.78.
"""


class _LiveBytes(TorchDispatchMode):
    """Counts the bytes of all tensors that operations made and that are still alive; keeps the highest count."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.alive: dict[StorageWeakRef, int] = {}
        self.highest = 0

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                self.alive[StorageWeakRef(storage)] = storage.nbytes()  # type: ignore[no-untyped-call]
        self.alive = {storage: n for storage, n in self.alive.items() if not storage.expired()}  # type: ignore[no-untyped-call]
        self.highest = max(self.highest, sum(self.alive.values()))
        return made


def bytes_per_voxel(network: nn.Module, patch_size: Sequence[int]) -> float | None:
    """The memory that a prediction in float32 needs at its highest, beside the weights, for a voxel of the window.

    The network runs on tensors that have a shape and no values (torch's device ``meta``), and the bytes of all tensors
    that are alive at once are counted. They grow in proportion to the window.

    Args:
        network: A copy of it is tried, in evaluation mode.
        patch_size: Voxels of the window of the trial, (X, Y, Z).

    Returns:
        None for a network that cannot run without values.
    """
    try:
        trial = deepcopy(network).eval().to("meta")
        with torch.no_grad(), _LiveBytes() as count:
            trial(torch.empty(1, 1, *patch_size, device="meta"))
    except Exception:  # a network may look at values, or raise anything
        return None
    return float(count.highest / prod(patch_size))


def fitted(
    window: SlidingWindow, network: nn.Module, multiple: Sequence[int], patch_size: Sequence[int]
) -> SlidingWindow:
    """A window of size ``auto`` with the memory that a network needs.

    Args:
        window: Of size ``auto``.
        network: Maps (1, 1, X, Y, Z) to logits. One that cannot run without values gets windows of ``patch_size``.
        multiple: The network takes multiples of these voxels only, (X, Y, Z).
        patch_size: Voxels of a training patch, (X, Y, Z).
    """
    needed = bytes_per_voxel(network, patch_size)
    if needed is None:
        return replace(window, patch_size=tuple(patch_size))
    return replace(window, multiple=tuple(multiple), bytes_per_voxel=WORKSPACE * needed)
