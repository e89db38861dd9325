"""Batch normalisation and the loss over the patches of all processes, as in one process."""

from typing import Any, cast

import torch
import torch.distributed as dist
from lightning.pytorch.plugins import LayerSync
from torch import nn

from mandseg.system.distributed import rank_and_size


class SharedBatchNorm(LayerSync):
    """Batch normalisation over the patches of all processes; torch's own SyncBatchNorm works on GPUs only."""

    def apply(self, model: nn.Module) -> nn.Module:
        """Let the batch normalisations of a model share their statistics."""
        for module in model.modules():
            if type(module) is nn.BatchNorm3d:
                module.__class__ = cast(Any, _SharedBatchNorm3d)  # the module, its name and its parameters stay
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """Restore the batch normalisations of torch."""
        for module in model.modules():
            if type(module) is _SharedBatchNorm3d:
                module.__class__ = cast(Any, nn.BatchNorm3d)
        return model


class _SharedBatchNorm3d(nn.BatchNorm3d):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if not self.training or not dist.is_initialized():
            return super().forward(input)
        axes = (0, 2, 3, 4)
        n = input.numel() // input.shape[1] * dist.get_world_size()  # every process has as many patches
        x = input.float()
        mean = _sum_over_processes(x.sum(axes)) / n
        centred = x - mean[:, None, None, None]
        variance = _sum_over_processes(centred.square().sum(axes)) / n
        self._update_running(mean.detach(), variance.detach() * n / (n - 1))
        scaled = centred * (variance + self.eps).rsqrt()[:, None, None, None]
        if self.affine:
            scaled = scaled * self.weight[:, None, None, None] + self.bias[:, None, None, None]
        return scaled.to(input.dtype)

    def _update_running(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


class _Sum(torch.autograd.Function):
    """The sum over all processes. The gradient is also a sum, because the loss of every process depends on the sum."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        return _summed(values)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return _summed(gradients[0])


class _Gather(torch.autograd.Function):
    """The tensors of all processes, (processes, ...). The gradient for this process's tensor is summed over all."""

    @staticmethod
    def forward(ctx: Any, share: torch.Tensor) -> torch.Tensor:
        shares = [torch.empty_like(share, memory_format=torch.contiguous_format) for _ in range(dist.get_world_size())]
        dist.all_gather(shares, share.contiguous())
        return torch.stack(shares)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return _summed(gradients[0])[dist.get_rank()]


def _summed(values: torch.Tensor) -> torch.Tensor:
    total = values.contiguous().clone()
    dist.all_reduce(total)
    return total


def _sum_over_processes(values: torch.Tensor) -> torch.Tensor:
    total: torch.Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return total


def gather_batch(share: torch.Tensor) -> torch.Tensor:
    """Gather the patches of all processes, (B, ...), from (B / processes, ...), in the order of a single process.

    A loss that mixes the patches of a batch (a Dice over the batch) is then the same for any number of processes. Its
    gradients are the same, too: they are summed over the processes, and DDP averages them.
    """
    if rank_and_size()[1] == 1:
        return share
    gathered: torch.Tensor = _Gather.apply(share)  # type: ignore[no-untyped-call]
    return gathered.transpose(0, 1).flatten(0, 1)
