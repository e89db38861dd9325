"""The loader of the training patches in a thread beside the training, where a core is free for it.

A thread is used instead of a process. It starts at once: a forked process needed three times as long for its first
batch, and a new one imports torch first. It copies nothing. It ends with its process, however the process ends. No
process that has threads is forked. numpy and torch release Python's lock while they compute.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

import torch

from mandseg.system.cores import cores_of_process

Batch = TypeVar("Batch")

AHEAD = 2  # batches that wait for the training


class BackgroundLoader(Generic[Batch]):
    """The batches of a loader, in their order, made in one thread ahead of the training.

    The thread must not draw from torch's own random stream, which the training uses at the same time.

    Args:
        loader: Makes the batches; its errors are raised where the batch is taken.
        n_batches: Batches in a pass.
    """

    def __init__(self, loader: Iterable[Batch], n_batches: int) -> None:
        self.loader, self.n_batches = loader, n_batches

    def __len__(self) -> int:
        """Batches in a pass."""
        return self.n_batches

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches. The thread ends with the pass, or when the iterator is closed."""
        batches = iter(self.loader)
        with ThreadPoolExecutor(1, "patches") as thread:
            _compute_with_one_thread(thread)
            ahead = deque(thread.submit(next, batches, None) for _ in range(AHEAD))
            try:
                while (batch := ahead.popleft().result()) is not None:
                    ahead.append(thread.submit(next, batches, None))
                    yield batch
            finally:
                thread.shutdown(cancel_futures=True)


def has_free_core(on_cpu: bool, processes: int) -> bool:
    """Whether a core is left beside the threads that the training computes with.

    ``OMP_NUM_THREADS`` sets these threads. The launchers set it so that runs side by side share the cores.

    Args:
        on_cpu: Whether the network is computed on the CPU; a GPU takes one thread to drive it.
        processes: Processes of the run on this machine.
    """
    threads = torch.get_num_threads() if on_cpu else 1
    return cores_of_process(processes) > threads


def _compute_with_one_thread(executor: ThreadPoolExecutor) -> None:
    """Let torch use one core in the executor's thread. Threads that start later compute as this one does."""
    threads = torch.get_num_threads()
    executor.submit(torch.get_num_threads).result()  # without it the thread takes the training's number later
    executor.submit(torch.set_num_threads, 1).result()
    torch.set_num_threads(threads)
