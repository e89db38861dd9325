"""Networks before the training: each has its own seed, output layers set to the prior, and channels-last memory."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import cast

import numpy as np
import torch
from torch import nn

TRIAL_VOXELS = 32  # per side
SEED_STRIDE = 1_000_003  # larger than any seed of a study; torch uses the lowest 32 bits


class NetworkFactory:
    """Makes the networks of a run in order, each with its own seed. The first one is the same for every method.

    The k-th network (from 0) is drawn with ``seed + k * SEED_STRIDE``. With ``seed + k``, the second network of seed 0
    would equal the first network of seed 1, but the analysis assumes that the seeds of a study are independent.

    Args:
        make: Makes a network of one input and one output channel, with weights drawn from torch's random state.
        seed: Seed of the first network.
        foreground_prior: Share of foreground voxels that an untrained network predicts: the bias of its output layers
            starts at the log-odds (Lin et al. 2017, arXiv 1708.02002). Otherwise a short training spends its steps on
            the class frequency. None leaves the bias as it was drawn, for weights that are replaced later.
        batch_shape: (B, 1, X, Y, Z) of a training step; the output layers are found by a trial on such a batch.
    """

    def __init__(
        self, make: Callable[[], nn.Module], seed: int, foreground_prior: float | None, batch_shape: Sequence[int]
    ) -> None:
        self.make, self.seed, self.foreground_prior, self.batch_shape = make, seed, foreground_prior, batch_shape
        self.made = 0

    def __call__(self) -> nn.Module:
        """The next network; torch's random state does not change."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed + self.made * SEED_STRIDE)
            network = self.make()
        self.made += 1
        network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        if self.foreground_prior is not None:
            set_output_prior(network, self.foreground_prior, self.batch_shape)
        return network


def set_output_prior(network: nn.Module, foreground_prior: float, batch_shape: Sequence[int]) -> None:
    """Set the bias of a network's output layers to the log-odds of the prior.

    Raises:
        ValueError: The network has no output layer with a bias.
    """
    layers = output_layers(network, batch_shape)
    if not layers:
        raise ValueError(f"{type(network).__name__} has no output convolution with one channel and a bias")
    for layer in layers:
        nn.init.constant_(layer.bias, float(np.log(foreground_prior / (1 - foreground_prior))))  # type: ignore[arg-type]


def output_layers(network: nn.Module, batch_shape: Sequence[int]) -> list[nn.Conv3d | nn.ConvTranspose3d]:
    """The convolutions whose bias is the bias of the logits, one for each head of the network.

    The position in a network's list of modules does not identify them: attention gates also have one-channel
    convolutions, and heads of deep supervision can come before or after the last layer. Therefore each convolution of
    one channel is tested, the last one first. Its bias is raised by 1. It is an output layer if this raises some logits
    by 1 and changes no others. If two such layers are added up (a residual connection), the later one is used.

    Args:
        network: The network; a copy of it is tested in training mode, in which all heads give logits.
        batch_shape: (B, 1, X, Y, Z) of a training step. Smaller patches are tried first, for speed.
    """
    small = [*batch_shape[:2], *(min(n, TRIAL_VOXELS) for n in batch_shape[2:])]
    try:
        return _output_layers(network, small)
    except (RuntimeError, ValueError):  # too small for this network's strides
        return _output_layers(network, batch_shape)


def _output_layers(network: nn.Module, batch_shape: Sequence[int]) -> list[nn.Conv3d | nn.ConvTranspose3d]:
    trial = deepcopy(network).train()
    image = torch.zeros(*batch_shape).contiguous(memory_format=torch.channels_last_3d)
    before = _all_logits(trial, image)
    open_logits = torch.ones_like(before, dtype=torch.bool)
    found = []
    for own, copied in reversed(list(zip(network.modules(), trial.modules(), strict=True))):
        if not open_logits.any():
            break
        if not isinstance(own, nn.Conv3d | nn.ConvTranspose3d) or own.out_channels != 1 or own.bias is None:
            continue
        nn.init.constant_(bias := cast(nn.Parameter, copied.bias), own.bias.item() + 1)
        rise = _all_logits(trial, image) - before
        nn.init.constant_(bias, own.bias.item())
        raised = torch.isclose(rise, torch.ones(()), atol=1e-3)
        still = torch.isclose(rise, torch.zeros(()), atol=1e-3)
        if (raised | still).all() and (raised & open_logits).any():
            open_logits &= ~raised
            found.append(own)
    return found[::-1]


def _all_logits(network: nn.Module, image: torch.Tensor) -> torch.Tensor:
    """The logits of all heads in one row; dropout is the same in every call."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        answer = network(image)
    return torch.cat([head.flatten() for head in (answer if isinstance(answer, list | tuple) else [answer])])
