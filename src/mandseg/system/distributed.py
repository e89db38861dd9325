"""The process group of one run: gathering objects, and leaving the group. torch is imported where it is used."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch

Result = TypeVar("Result")

A_WEEK = timedelta(days=7)  # a process may wait for one with larger cases; a dead one is noticed by its connection
VARIABLES = ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "NODE_RANK", "LOCAL_RANK", "RANK")


def gather_objects(mine: Result) -> list[Result]:
    """What every process has, by rank; a list of one without a process group."""
    import torch.distributed as dist

    if not dist.is_initialized() or dist.get_world_size() == 1:
        return [mine]
    everyones: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everyones, mine, group=_patient_group())
    return everyones


def rank_and_size() -> tuple[int, int]:
    """Rank of this process and number of processes."""
    import torch.distributed as dist

    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def mean_over_processes(values: "torch.Tensor") -> "torch.Tensor":
    """The mean of the tensors of all processes, which have the same shape; in a single process the tensor itself."""
    import torch.distributed as dist

    size = rank_and_size()[1]
    if size == 1:
        return values
    total = values.contiguous().clone()
    dist.all_reduce(total)
    return total / size


@contextmanager
def process_group() -> Iterator[None]:
    """Leave the process group that a run made, and its environment, so that the next run in this process has none."""
    import torch.distributed as dist

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
    import torch.distributed as dist

    return dist.new_group(backend="gloo", timeout=A_WEEK)
