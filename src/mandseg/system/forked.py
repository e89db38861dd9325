"""The same work for several items, divided among copies of this process that share its memory."""

import signal
import sys
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from mandseg.system.cores import usable_cores

Item = TypeVar("Item")
Result = TypeVar("Result")

LEAST_ITEMS = 4
"""Items of a process. For fewer, a further process is not worth its start."""


def in_forks(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """``[function(item) for item in items]``, on as many cores as are worth it.

    A forked process knows all modules and objects of this one, so it costs a hundredth of a second, and ``function``
    and ``items`` may be anything. Only the results travel by pickle. Not for work that uses torch or threads.
    """
    # other systems have no fork, or libraries that do not survive it (macOS)
    n = min(usable_cores(), len(items) // LEAST_ITEMS) if sys.platform == "linux" else 1
    if n < 2:
        return [function(item) for item in items]
    results: list[Any] = [None] * len(items)
    with_forks = [_Fork(function, items[k::n]) for k in range(1, n)]
    try:
        results[::n] = [function(item) for item in items[::n]]
        for k, fork in enumerate(with_forks, start=1):
            results[k::n] = fork.results()
    finally:
        for fork in with_forks:
            fork.end()
    return results


class _Fork:
    """A copy of this process that works on its items."""

    def __init__(self, function: Callable[[Any], Any], items: Sequence[Any]) -> None:
        context = get_context("fork")
        self._receive, send = context.Pipe(duplex=False)
        self._process = context.Process(target=_work, args=(function, items, send, self._receive), daemon=True)
        self._process.start()
        send.close()  # of this process; so the end of the other process ends the pipe

    def results(self) -> list[Any]:
        """The results in the order of the items. An error of the other process is raised here.

        Raises:
            RuntimeError: The other process was killed.
        """
        try:
            results, error = self._receive.recv()
        except EOFError as ended:
            raise RuntimeError("a process of this command was killed; was there too little memory?") from ended
        if error is not None:
            raise error
        return list(results)

    def end(self) -> None:
        """End the process. What it still wants to send is lost."""
        self._receive.close()
        self._process.kill()
        self._process.join()


def _work(function: Callable[[Any], Any], items: Sequence[Any], send: Connection, receive: Connection) -> None:
    receive.close()  # if the first process dies, sending is then an error and not a wait without end
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the first process
    try:
        outcome: tuple[list[Any], Exception | None] = [function(item) for item in items], None
    except Exception as error:  # raised again in the first process
        outcome = [], error
    send.send(outcome)
