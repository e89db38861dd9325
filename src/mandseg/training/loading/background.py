"""The training patches made in threads beside the training, where cores are free for them.

Threads are used instead of processes. They start at once: a forked process needed three times as long for its first
batch, and a new one imports torch first. They copy nothing. They end with their process, however the process ends. No
process that has threads is forked. numpy and torch release Python's lock while they compute.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from threading import Barrier
from typing import Generic, TypeVar

import torch

from mandseg.system.cores import cores_of_process

Batch = TypeVar("Batch")

AHEAD = 2  # batches of each thread that wait for the training
MOST_THREADS = 4


class BackgroundLoader(Generic[Batch]):
    """The batches of a pass, in their order, made in threads ahead of the training.

    Args:
        make: Makes the batch of these indices, in any thread, the same whichever batches are made beside it. It must
            not draw from torch's own random stream, which the training uses at the same time. Its errors are raised
            where the batch is taken.
        indices: The indices of each batch of a pass.
        n_batches: Batches in a pass.
        threads: Threads that make batches, 1 or more.
    """

    def __init__(
        self, make: Callable[[list[int]], Batch], indices: Iterable[list[int]], n_batches: int, threads: int = 1
    ) -> None:
        self.make, self.indices, self.n_batches, self.threads = make, indices, n_batches, threads

    def __len__(self) -> int:
        """Batches in a pass."""
        return self.n_batches

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches. The threads end with the pass, or when the iterator is closed."""
        indices = iter(self.indices)
        with ThreadPoolExecutor(self.threads, "patches") as threads:
            _compute_with_one_core_each(threads, self.threads)
            ahead = deque(threads.submit(self.make, batch) for batch in islice(indices, AHEAD * self.threads))
            try:
                while ahead:
                    batch = ahead.popleft().result()
                    ahead.extend(threads.submit(self.make, following) for following in islice(indices, 1))
                    yield batch
            finally:
                threads.shutdown(cancel_futures=True)


def free_cores(on_cpu: bool, processes: int) -> int:
    """Count the cores that are left beside the threads that the training computes with.

    ``OMP_NUM_THREADS`` sets these threads. The launchers set it so that runs side by side share the cores.

    Args:
        on_cpu: Whether the network is computed on the CPU; a GPU takes one thread to drive it.
        processes: Processes of the run on this machine.
    """
    threads = torch.get_num_threads() if on_cpu else 1
    return max(cores_of_process(processes) - threads, 0)


def _compute_with_one_core_each(executor: ThreadPoolExecutor, n: int) -> None:
    """Start the executor's ``n`` threads, each with one core for torch. Threads that start later compute as this one.

    Without the first question for the number a thread takes the training's number later.
    """
    threads, all_started = torch.get_num_threads(), Barrier(n)

    def start() -> None:
        torch.get_num_threads()
        torch.set_num_threads(1)
        all_started.wait()

    for started in [executor.submit(start) for _ in range(n)]:
        started.result()
    torch.set_num_threads(threads)
