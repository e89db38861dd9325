"""The same work for every case, with a progress bar on a terminal; many cases are divided among processes."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

from mandseg.system.cores import usable_cores

Item = TypeVar("Item")
Result = TypeVar("Result")

POOL_FROM = 16  # items; below, starting processes takes longer than the work


def for_each(
    function: Callable[[Item], Result], items: Sequence[Item], title: str, workers: int | None = None
) -> Iterator[Result]:
    """Yield ``function(item)`` for every item, in their order.

    Args:
        function: A module-level function or a partial of one, so that it can be sent to another process.
        items: The arguments of the calls.
        title: Shown left of the bar.
        workers: Processes; 1 works in this one. Default: one per core if there are many items, otherwise 1.
    """
    from rich.console import Console
    from rich.progress import track

    workers = workers if workers is not None else default_workers(len(items))
    console = Console(stderr=True)
    results = map(function, items) if workers == 1 else _in_processes(function, items, workers)
    yield from track(results, title, total=len(items), console=console, disable=not console.is_terminal)


def default_workers(n_items: int) -> int:
    """The number of processes for a number of items: one per core that this process may use."""
    return 1 if n_items < POOL_FROM else min(usable_cores(), n_items)


def _in_processes(function: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))  # fork and the bar's thread do not mix
    try:
        yield from pool.map(function, items)
    finally:
        pool.shutdown(cancel_futures=True)
