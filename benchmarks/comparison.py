"""What the benchmarks share: competitors in turn, ratios within a round with their spread, one table, one JSON file.

Other programs on the machine change every time. So the competitors take turns within a round, in an order that
turns round from one round to the next, and only ratios within a round are compared: their median, and as the spread
their lowest and highest. Beside the wall time stands the processor time of a competitor and its child processes, which
other programs change much less. On a Linux desktop kernel (sched_autogroup) ``nice`` protects no timing: all
competitors run in one session, so the scheduler treats them alike.
"""

import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = Path("outputs/benchmarks")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Timing:
    """Seconds of one turn, by the clock and of the processor."""

    wall_s: float
    processor_s: float


@dataclass(frozen=True)
class Row:
    """One line of a table. A ratio above 1 means that mandseg is faster.

    Args:
        work: What was done.
        peer: The competitor.
        peer_value: Its median, in ``unit``.
        value: The median of mandseg.
        unit: Of both.
        ratio: Median over the rounds.
        lowest: The lowest ratio of a round.
        highest: The highest.
        processor_ratio: The median ratio by processor time.
    """

    work: str
    peer: str
    peer_value: float
    value: float
    unit: str
    ratio: float
    lowest: float
    highest: float
    processor_ratio: float


def in_turn(calls: Mapping[str, Callable[[], Timing]], rounds: int) -> dict[str, list[Timing]]:
    """Let all competitors time themselves once in each round; every second round goes backwards."""
    timings: dict[str, list[Timing]] = {name: [] for name in calls}
    for k in range(rounds):
        for name in list(calls)[:: 1 if k % 2 == 0 else -1]:
            timings[name].append(calls[name]())
    return timings


def timed(call: Callable[[], object]) -> Timing:
    """One call, with the processor time of child processes that live on."""
    before = time.perf_counter(), _processor_seconds()
    call()
    return Timing(time.perf_counter() - before[0], _processor_seconds() - before[1])


def rate_row(work: str, peer: str, own: Sequence[Timing], others: Sequence[Timing], n: int, n_other: int) -> Row:
    """A row of rates: ``n`` pieces of work in a turn of mandseg, ``n_other`` in a turn of the peer."""
    scale = n / n_other
    ratios = [b.wall_s / a.wall_s * scale for a, b in zip(own, others, strict=True)]
    processor = [b.processor_s / max(a.processor_s, 1e-9) * scale for a, b in zip(own, others, strict=True)]
    rates = [statistics.median(k / t.wall_s for t in turns) for k, turns in ((n_other, others), (n, own))]
    middle = statistics.median(ratios)
    return Row(work, peer, *rates, "1/s", middle, min(ratios), max(ratios), statistics.median(processor))


def time_row(work: str, peer: str, own: Sequence[Timing], others: Sequence[Timing]) -> Row:
    """A row of seconds. A peer that was not timed in every round is compared by its median."""
    pairs = list(zip(own, others, strict=True)) if len(own) == len(others) else [(a, _median(others)) for a in own]
    ratios = [b.wall_s / a.wall_s for a, b in pairs]
    processor = statistics.median(b.processor_s / max(a.processor_s, 1e-9) for a, b in pairs)
    seconds = [statistics.median(turn.wall_s for turn in turns) for turns in (others, own)]
    return Row(work, peer, *seconds, "s", statistics.median(ratios), min(ratios), max(ratios), processor)


def _median(turns: Sequence[Timing]) -> Timing:
    return Timing(
        *(statistics.median(values) for values in zip(*((t.wall_s, t.processor_s) for t in turns), strict=True))
    )


def show(name: str, rows: Sequence[Row], folder: Path = FOLDER) -> None:
    """Print the table and write ``folder/name.json``."""
    widths = max(len(row.work) for row in rows), max(len(row.peer) for row in rows)
    print(
        f"{'work':<{widths[0]}}  {'peer':<{widths[1]}}  peer    mandseg  unit  ratio  spread        by processor time"
    )
    for row in rows:
        spread = f"{row.lowest:.2f} to {row.highest:.2f}"
        print(
            f"{row.work:<{widths[0]}}  {row.peer:<{widths[1]}}  {row.peer_value:<7.4g} {row.value:<8.4g} {row.unit:<5} "
            f"{row.ratio:<6.2f} {spread:<13} {row.processor_ratio:.2f}"
        )
    keep(name, [asdict(row) for row in rows], folder)


def keep(name: str, rows: Sequence[Mapping[str, object]], folder: Path = FOLDER) -> None:
    """Write ``folder/name.json``, from which ``tables.py`` makes the tables of docs/performance.md."""
    folder.mkdir(parents=True, exist_ok=True)
    machine = {"cores": len(os.sched_getaffinity(0)), "load": round(os.getloadavg()[0], 1)}
    (folder / f"{name}.json").write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


def _processor_seconds() -> float:
    ended = os.times()  # of child processes that have ended
    total = time.process_time() + ended.children_user + ended.children_system
    for child in multiprocessing.active_children():
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / TICKS_PER_S
    return total
