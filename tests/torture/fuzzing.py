"""Damages the files of a reader many times and counts what becomes of them, in a child process with limits."""

import contextlib
import io
import logging
import multiprocessing
import resource
import shutil
import signal
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from readers import READERS

from mandseg.system.errors import UserError

LONGEST_S = 20.0  # of one file
MOST_MIB = 700  # more than the process had before


@dataclass
class Tally:
    """What became of the damaged files of one reader.

    Attributes:
        read: Files that were read.
        refused: Files that were refused by a UserError.
        slowest_s: Seconds of the slowest file.
        peak_mib: Memory above that of the process at its start.
        faults: By kind of exception: how often, and the first traceback with the number of its file.
    """

    read: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    peak_mib: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    @property
    def n(self) -> int:
        return self.read + self.refused + sum(self.faults.values())


def fuzz(name: str, n: int, seed: int, folder: Path) -> Tally:
    """Damage and read ``n`` files in a child process; its death is a fault, too."""
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(name, n, seed, folder, send))
    process.start()
    send.close()
    tally, last = Tally(), 0
    with contextlib.suppress(EOFError):
        while True:
            message = receive.recv()
            if isinstance(message, Tally):
                tally = message
                break
            last = message
    process.join()
    if process.exitcode != 0:
        kind = f"the process died with {process.exitcode}"
        tally.faults[kind] += 1
        tally.examples[kind] = f"file {last} of seed {seed}"
    return tally


class TooSlow(BaseException):
    """A file took longer than ``LONGEST_S``."""


def _too_slow(*_: object) -> None:
    raise TooSlow


def _child(name: str, n: int, seed: int, folder: Path, send: Any) -> None:
    signal.signal(signal.SIGALRM, _too_slow)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    reader, tally = READERS[name], Tally()
    paths = reader.write(folder)
    sound = {path: path.read_bytes() for path in paths}
    reader.read(paths[0])  # imports are not of a file
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(n):
        rng = Random(f"{name}-{seed}-{number}")
        path = rng.choice(paths)
        send.send(number)
        path.write_bytes(reader.damage(rng, sound[path], list(sound.values())))
        start = time.perf_counter()
        try:
            signal.setitimer(signal.ITIMER_REAL, LONGEST_S)
            try:
                with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
                    reader.read(path)
                tally.read += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except UserError as error:
            if all(line.strip() and "\n" not in line for line in error.problems):
                tally.refused += 1
            else:
                _note(tally, "a refusal that is not one line", number, path, folder)
        except (Exception, TooSlow) as error:
            frames = [f for f in traceback.extract_tb(error.__traceback__) if "/mandseg/" in f.filename]
            at = f"{frames[-1].filename.partition('/mandseg/')[2]}:{frames[-1].lineno}" if frames else "?"
            _note(tally, f"{type(error).__name__} at {at}", number, path, folder)
        tally.slowest_s = max(tally.slowest_s, time.perf_counter() - start)
        path.write_bytes(sound[path])
    tally.peak_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    send.send(tally)
    send.close()


def _note(tally: Tally, kind: str, number: int, path: Path, folder: Path) -> None:
    tally.faults[kind] += 1
    if kind not in tally.examples:
        tally.examples[kind] = f"file {number} ({path.name}):\n{traceback.format_exc()}"
        kept = folder.parent / "kept"
        kept.mkdir(exist_ok=True)
        shutil.copy(path, kept / f"{number}-{path.name}")
