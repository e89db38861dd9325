"""``make torture``: damages files and sweeps many times and writes the counts to docs/reliability.md.

``python tests/torture/torture.py --mutations 10000 --kills 50`` takes hours; ``--readers NIfTI,NRRD`` some of it.
"""

import argparse
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from disasters import AS_ROOT, DISASTERS, Sweep, can_mount, kill
from fuzzing import MOST_MIB, Tally, fuzz
from readers import READERS

from warm_processes import running_nursery

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"


def main() -> int:
    """Run both parts, print each result at once, write the tables; 1 if something failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=10_000, help="damaged files of each reader")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--readers", default=",".join(READERS))
    parser.add_argument("--no-write", action="store_true", help="leave docs/reliability.md as it is")
    options = parser.parse_args()
    tallies = {
        name: _fuzz(name, options.mutations, options.seed)
        for name in options.readers.split(",")
        if name and options.mutations
    }
    disasters = _disasters(options.kills, options.seed) if options.kills else {}
    if tallies and not options.no_write:
        _write("files", options.seed, _table_of_files(tallies))
    if disasters and not options.no_write:
        _write("disasters", options.seed, _table_of_disasters(disasters))
    return int(any(t.faults or t.peak_mib > MOST_MIB for t in tallies.values()) or "FAILED" in str(disasters))


def _fuzz(name: str, n: int, seed: int) -> Tally:
    with tempfile.TemporaryDirectory(prefix="torture-") as folder:
        (Path(folder) / "files").mkdir()
        tally = fuzz(name, n, seed, Path(folder) / "files")
    print(_row(name, tally), flush=True)
    for kind, example in tally.examples.items():
        print(kind, example, file=sys.stderr, flush=True)
    return tally


def _disasters(kills: int, seed: int) -> dict[str, str]:
    found = {}
    with running_nursery() as nursery, tempfile.TemporaryDirectory(prefix="torture-") as folder:
        sweep = Sweep(Path(folder), nursery, "undisturbed")
        assert sweep.run() == 0, sweep.processes.log.read_text()
        wanted, root = sweep.outcome(), can_mount()
        tasks = {"SIGKILL at a random moment": lambda *place: kill(*place, kills, seed), **DISASTERS}
        for name, disaster in tasks.items():
            start = time.monotonic()
            try:
                found[name] = disaster(Path(folder), nursery, wanted) if root or disaster not in AS_ROOT else "not root"
            except (AssertionError, TimeoutError) as error:
                found[name] = "FAILED"
                print(name, str(error)[-3000:], file=sys.stderr, flush=True)
            print(f"{name}: {found[name]} ({time.monotonic() - start:.0f} s)", flush=True)
    return found


def _row(name: str, tally: Tally) -> str:
    faults = "; ".join(f"{n} x {kind}" for kind, n in tally.faults.items()) or "0"
    slowest, peak = f"{tally.slowest_s:.1f}", f"{max(tally.peak_mib, 0):.0f}"
    return f"| {name} | {tally.n} | {tally.read} | {tally.refused} | {faults} | {slowest} | {peak} |"


def _table_of_files(tallies: dict[str, Tally]) -> list[str]:
    head = "| reader | damaged files | read | refused in a line | other ends | slowest (s) | memory (MiB) |"
    return [
        head,
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(_row(name, tally) for name, tally in tallies.items()),
    ]


def _table_of_disasters(found: dict[str, str]) -> list[str]:
    results = {"FAILED": "FAILED", "not root": "not tried"}
    rows = [
        f"| {name} | {tried} | {results.get(tried, 'bit for bit as undisturbed')} |" for name, tried in found.items()
    ]
    return ["| disaster | tried | result |", "| --- | --- | --- |", *rows]


def _write(name: str, seed: int, table: list[str]) -> None:
    """Replace one of the tables of the page."""
    start, end = f"<!-- {name}: start -->\n", f"<!-- {name}: end -->\n"
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(start)
    text = "\n".join([f"Measured on {datetime.now(UTC):%Y-%m-%d}, seed {seed}.", "", *table, ""])
    PAGE.write_text(f"{before}{start}{text}{end}{rest.partition(end)[2]}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
