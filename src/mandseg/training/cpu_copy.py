"""Copies of small tensors on the CPU: the processor continues while a GPU computes, and reads the values later."""

from collections.abc import Sequence

import torch


class CpuCopy:
    """A copy of a tensor on the CPU. Where the tensor is on a GPU, the copy is queued behind the work that it has now.

    Args:
        values: The tensor; a tensor on the CPU is not copied.
    """

    def __init__(self, values: torch.Tensor) -> None:
        self._values, self._copied = values.detach(), None
        if values.device.type == "cuda":
            self._values = self._values.to("cpu", non_blocking=True)
            self._copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._copied.record(torch.cuda.current_stream(values.device))

    @property
    def is_ready(self) -> bool:
        """Whether the tensor was on the CPU, so that nothing has to be copied."""
        return self._copied is None

    def get(self) -> torch.Tensor:
        """The values; waits for the end of the copy."""
        if self._copied is not None:
            self._copied.synchronize()
        return self._values


def chosen_patches(values: torch.Tensor, chosen: Sequence[bool]) -> torch.Tensor:
    """The chosen patches of a batch, (b, ...) from (B, ...); an index by a tensor would wait for a GPU."""
    return torch.cat([values[k : k + 1] for k, is_chosen in enumerate(chosen) if is_chosen])
