"""Prints the state of a study."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mandseg.runs.folder import RunFolder, RunState
from mandseg.runs.launchers.slurm_queue import QueuedJob, queued_runs
from mandseg.runs.progress import progress
from mandseg.runs.study import count_states, find_variants, mixtures, read_expected_runs, rows_with_state, share_lines
from mandseg.system.terminal import open_console
from mandseg.system.wording import count, typed

LISTED_RUNS = 200


def status(path: Path, console: Console | None = None) -> int:
    """Print the numbers of done, running, failed and missing runs, and the reason for each run that is not done.

    Only the run.json of each run is read, and for a done run whether cases.csv is complete.

    Returns:
        0 if every expected run is done, else 1.
    """
    console, problems = console or open_console(), list[str]()
    grid = read_expected_runs(path, problems)
    runs = [str(run) for run in grid.run]
    found = {run: RunFolder(path / run).state() for run in runs}
    counts = count_states([state for state, _, _ in found.values()])
    records = {run: record for run, (_, _, record) in found.items() if record}
    counted = [{**r.condition, "n_noisy": r.n_noisy, "n_training": r.n_training} for r in records.values()]
    problems += share_lines(counted)
    apart = find_variants(rows_with_state(grid, found), records)
    problems += mixtures({run: record for run, record in records.items() if found[run].state == "done"})
    table = Table(title=escape(f"Study {path.resolve().name}"), title_justify="left")
    for name in counts:
        table.add_column(name, justify="right")
    table.add_row(*(str(count) for count in counts.values()))
    console.print(table)
    open_runs = {run: state for run, state in found.items() if state.state != "done"}
    for run, state in open_runs.items():
        if state.state == "running":
            open_runs[run] = state._replace(reason=progress(RunFolder(path / run), state.record))
    _print_open_runs(open_runs, queued_runs(path), console)
    for problem in [*problems, *apart.content, *apart.settings]:
        console.print(problem, style="yellow", markup=False, highlight=False, soft_wrap=True)
    return 0 if counts["done"] == counts["expected"] else 1


def next_step(path: Path) -> str:
    """What to do after a launch: write the report, or correct what failed."""
    states = [RunFolder(path / str(run)).state().state for run in read_expected_runs(path, []).run]
    n_open = sum(state != "done" for state in states)
    report = f"mandseg report {typed(path)}"
    if not n_open:
        return f"next: {report}"
    is_are = "is" if n_open == 1 else "are"
    return f"next: repeat the command, {count(n_open, 'run')} {is_are} not done; {report} uses the others"


def _print_open_runs(runs: Mapping[str, RunState], queued: Mapping[str, QueuedJob], console: Console) -> None:
    """Print at most ``LISTED_RUNS`` of the runs that are not done, and the number of the others."""
    if not runs:
        return
    table = Table(title="Not done", title_justify="left")
    for name in ("run", "state", "reason"):
        table.add_column(name, overflow="fold")  # a name that is cut looks like that of another variant
    for run, (state, reason, _) in list(runs.items())[:LISTED_RUNS]:
        job = queued.get(run)
        words = [reason, f"SLURM job {job.job} {job.state}" if job else ""]
        table.add_row(escape(run), state, escape("; ".join(filter(None, words))))
    console.print(table)
    if len(runs) > LISTED_RUNS:
        console.print(f"and {len(runs) - LISTED_RUNS} more")
