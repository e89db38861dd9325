"""What the processes of one run do together: batch normalisation, the loss of a whole batch, the scores of cases."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.plugins import LayerSync
from torch import nn

from mandseg.training.precision import device_kind

Result = TypeVar("Result")

A_WEEK = timedelta(days=7)  # a process may wait for one with larger cases; a dead one is noticed by its connection
VARIABLES = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "NODE_RANK", "LOCAL_RANK", "RANK")


def process_settings(trainer_settings: Mapping[str, Any], size: int) -> dict[str, Any]:
    """What the trainer needs to know of the run's processes: who started them, and the batch normalisation on a CPU.

    Signals stay with mandseg.system.signals: Lightning does not requeue.
    """
    settings = dict(trainer_settings)
    plugins: list[Any] = list(settings.pop("plugins", None) or [])
    if size > 1 and not any(isinstance(plugin, ClusterEnvironment) for plugin in plugins):
        if SLURMEnvironment.detect() and "SLURM_STEP_ID" in os.environ:
            plugins.append(SLURMEnvironment(auto_requeue=False))
        elif "TORCHELASTIC_RUN_ID" not in os.environ:
            plugins.append(LightningEnvironment())
    if settings.get("sync_batchnorm") and device_kind(settings["accelerator"]) == "cpu":
        settings["sync_batchnorm"] = False
        plugins.append(SharedBatchNorm())
    return settings | {"plugins": plugins}


class SharedBatchNorm(LayerSync):
    """Batch normalisation over the patches of all processes; torch's own SyncBatchNorm works on GPUs only."""

    def apply(self, model: nn.Module) -> nn.Module:
        """Let the batch normalisations of a model share their statistics."""
        for module in model.modules():
            if type(module) is nn.BatchNorm3d:
                module.__class__ = cast(Any, _SharedBatchNorm3d)  # the module, its name and its parameters stay
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """Take it back."""
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
        self._follow(mean.detach(), variance.detach() * n / (n - 1))
        scaled = centred * (variance + self.eps).rsqrt()[:, None, None, None]
        if self.affine:
            scaled = scaled * self.weight[:, None, None, None] + self.bias[:, None, None, None]
        return scaled.to(input.dtype)

    def _follow(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


class _Sum(torch.autograd.Function):
    """The sum over all processes; backwards, too, as every process has a loss that depends on it."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        return _summed(values)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return _summed(gradients[0])


class _Gather(torch.autograd.Function):
    """What every process has, (processes, ...); backwards the sum of what they all say of this process's part."""

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


def whole_batch(share: torch.Tensor) -> torch.Tensor:
    """The patches of all processes, (B, ...), from those of this one, (B / processes, ...), in one process's order.

    A loss that mixes the patches of a batch (a Dice over the batch) is then the same for any number of processes. So
    are its gradients: backwards the parts of all processes are summed, and DDP averages over the processes.
    """
    if here()[1] == 1:
        return share
    gathered: torch.Tensor = _Gather.apply(share)  # type: ignore[no-untyped-call]
    return gathered.transpose(0, 1).flatten(0, 1)


def from_all(mine: Result) -> list[Result]:
    """What every process has, by rank; a list of one without a process group."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return [mine]
    everyones: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everyones, mine, group=_patient_group())
    return everyones


def here() -> tuple[int, int]:
    """Rank of this process and number of processes."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


@contextmanager
def one_process_group() -> Iterator[None]:
    """Leave the process group that a run made, and its environment, so that the next run in this process has none."""
    before = {key: os.environ.get(key) for key in VARIABLES}
    try:
        yield
    finally:
        _patient_group.cache_clear()
        if dist.is_available() and dist.is_initialized():
            dist.destroy_process_group()
        for key, value in before.items():
            os.environ.pop(key, None)
            os.environ |= {key: value} if value is not None else {}


@cache
def _patient_group() -> Any:
    """All processes, on the CPU, and however long one may have to wait for another."""
    return dist.new_group(backend="gloo", timeout=A_WEEK)
