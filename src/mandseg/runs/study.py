"""Reads the run folders of a study into a ledger (done, running, failed, missing) and one table of cases; no torch."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from mandseg.metrics.catalogue import SCORES
from mandseg.metrics.declaration import Declaration, read_declaration
from mandseg.runs.dose.table import with_dose
from mandseg.runs.folder import KEYS, RECORD, RunFolder, RunState, share_line
from mandseg.runs.grid_file import GRID, no_run_in, refuse_no_study
from mandseg.runs.record import PHASES, RunRecord
from mandseg.runs.tables import read_conditions
from mandseg.runs.variants import Variants, describe, tell_apart
from mandseg.statistics.columns import ARM, CONDITION, USUAL
from mandseg.system.errors import UserError
from mandseg.system.names import name_problem
from mandseg.system.wording import count, similar_path

NO_COST = ("steps", "device", "precision", "started", "ended", "host", *(f"{part}_s" for part in PHASES))
STATES = ("done", "running", "failed", "missing")
MIXED: dict[str, Callable[[RunRecord], str]] = {
    "studies": lambda record: record.study,
    "code versions": lambda record: (record.versions or {}).get("code", ""),
    "mandseg versions": lambda record: (record.versions or {}).get("mandseg", ""),
    "precisions": lambda record: record.precision or "",
}
"""Properties that should be the same in all done runs of a study."""


@dataclass(frozen=True)
class Study:
    """The content of the run folders of a study.

    Attributes:
        path: The study folder.
        ledger: One row per expected run: ``run``, the condition, ``overrides``, ``variant``, ``state``, ``reason``,
            ``steps``, ``device``, ``precision``, ``started``, ``ended``, ``host``, ``prepare_s``, ``train_s``,
            ``evaluate_s``, ``n_noisy``, ``n_training``.
        cases: The rows of every done run's cases.csv: one per run, data set and case.
        learning_curves: ``run, noise_ratio, seed, step, ...`` of every run that has a curve, done or not.
        records: The record of every run that has a readable run.json.
        problems: One line for each problem, with what was left out or assumed.
        arm_differences: One line for each setting that separates arms, besides the condition's columns.
        declaration: The primary metric and the margins that the runs declared.
    """

    path: Path
    ledger: pd.DataFrame
    cases: pd.DataFrame
    learning_curves: pd.DataFrame
    records: dict[str, RunRecord]
    problems: tuple[str, ...]
    arm_differences: tuple[str, ...] = ()
    declaration: Declaration = field(default_factory=Declaration)

    @property
    def name(self) -> str:
        """The study's name: the name of its folder."""
        return self.path.resolve().name

    def counts(self) -> dict[str, int]:
        """Number of runs by state, ``expected`` first."""
        return count_states(list(self.ledger.state))


def open_study(path: Path) -> Study:
    """Read every run folder of a study; a run that cannot be used is in the ledger with the reason.

    Raises:
        UserError: The folder is missing, holds no run, or its grid.csv cannot be read.
    """
    problems: list[str] = []
    grid = read_expected_runs(path, problems)
    runs = [_read_run(path / str(row["run"]), row, problems) for row in grid.to_dict("records")]
    records = {str(run.row["run"]): run.record for run in runs if run.record}
    ledger, arm_differences = _with_variant(pd.DataFrame([run.row for run in runs]), records, problems)
    problems += share_lines(ledger.to_dict("records"))
    cases = _pool([run.cases for run in runs], ledger)
    problems += _incomplete_runs(cases)
    done = [str(run) for run in ledger.run[ledger.state == "done"]]
    problems += mixtures({run: records[run] for run in done})
    declaration = read_declaration([_declared_analysis(RunFolder(path / run), records[run], problems) for run in done])
    curves = _concat([run.curve for run in runs])
    return Study(path, ledger, cases, curves, records, tuple(problems), arm_differences, declaration)


@dataclass(frozen=True)
class _Run:
    row: dict[Hashable, Any]  # of the ledger
    record: RunRecord | None
    cases: pd.DataFrame
    curve: pd.DataFrame


def read_pilot(path: Path) -> pd.DataFrame:
    """The cases of a study folder, or of a pooled cases.csv such as a report's.

    Raises:
        UserError: There is neither, no run is done, or a row of the file has no noise ratio or seed.
    """
    if not path.exists():
        raise UserError(f"pilot {path}: no such file or folder{similar_path(path)}")
    if path.is_dir():
        cases = open_study(path).cases
    else:
        found = read_conditions(path, KEYS)
        if isinstance(found, str):
            raise UserError(f"pilot {path}: {found}; expected a study's folder, or the cases.csv of its report")
        for column in ("noise_ratio", "seed"):
            if (wrong := found[found[column].isna()].index).size:
                raise UserError(f"pilot {path}: line {wrong[0] + 2}: {column} is no number")
        cases = found if "variant" in found else found.assign(variant="")
        cases = cases if "subject_id" in cases else cases.assign(subject_id=cases.case_id)
    if cases.empty:
        raise UserError(f"pilot {path}: no run is done, there is nothing to plan from")
    return cases


def _read_run(folder: Path, expected: dict[Hashable, Any], problems: list[str]) -> _Run:
    run = RunFolder(folder)
    state, reason, record = run.state()
    condition = dict(record.condition) if record else {}
    cases = pd.DataFrame()
    if state == "done":
        checked = run.cases(condition, problems)
        if isinstance(checked, str):
            state, reason = "failed", checked
        else:
            cases = with_dose(run, checked, problems)
    cost = record.cost() if record else dict.fromkeys(NO_COST)
    row = expected | condition | {"state": state, "reason": reason} | cost | run.noisy_share()
    return _Run(row, record, cases, run.curve(row, problems))


def _declared_analysis(run: RunFolder, record: RunRecord, problems: list[str]) -> object:
    try:
        return run.declared_analysis(record)
    except ValueError as error:
        problems.append(str(error))
        return None


def share_lines(rows: Iterable[Mapping[Any, Any]]) -> list[str]:
    """One line for each noise ratio for which the training cases are too few; runs with a clean budget are left out."""
    plain = [row for row in rows if row.get("clean_budget", USUAL["clean_budget"]) == USUAL["clean_budget"]]
    counts = [(row["noise_ratio"], row.get("n_noisy"), row.get("n_training")) for row in plain]
    lines = [share_line(ratio, int(n), int(of)) for ratio, n, of in counts if pd.notna(n) and pd.notna(of) and of]
    return list(dict.fromkeys(filter(None, lines)))


def rows_with_state(grid: pd.DataFrame, found: Mapping[str, RunState]) -> list[dict[Hashable, Any]]:
    """The rows of the grid with each run's state and condition."""
    rows: list[dict[Hashable, Any]] = grid.to_dict("records")
    states = [(row, found[str(row["run"])]) for row in rows]
    return [row | dict(run.record.condition if run.record else {}) | {"state": run.state} for row, run in states]


def count_states(states: Sequence[str]) -> dict[str, int]:
    """Number of runs by state, ``expected`` first."""
    return {"expected": len(states)} | {state: states.count(state) for state in STATES}


def mixtures(records: Mapping[str, RunRecord]) -> list[str]:
    """One line for each property that should be the same in all done runs and is not: the study, the code."""
    lines = []
    for what, of in MIXED.items():
        runs: dict[str, list[str]] = {}
        for run, record in records.items():
            if value := of(record):
                runs.setdefault(value, []).append(run)
        if len(runs) > 1:
            usual, *others = sorted(runs, key=lambda value: -len(runs[value]))
            rest = "; ".join(f"{value} ({_run_names(runs[value])})" for value in others)
            lines.append(f"runs of different {what}, all included: {usual} ({count(len(runs[usual]), 'run')}); {rest}")
    return lines


def _run_names(runs: Sequence[str]) -> str:
    return ", ".join(runs) if len(runs) <= 3 else f"{len(runs)} runs"


def read_expected_runs(path: Path, problems: list[str]) -> pd.DataFrame:
    """The expected runs: those of grid.csv, then run folders that grid.csv does not list."""
    refuse_no_study(path)
    columns = ["run", *CONDITION, "overrides"]
    found = sorted(file.parent.name for file in path.glob(f"*/{RECORD}"))
    if (path / GRID).exists():
        grid = read_conditions(path / GRID, ("run", "overrides"))
        if isinstance(grid, str):
            raise UserError(f"study {path}: {grid}")
        for run in grid.run:
            if problem := name_problem(run) if run else "without a name":
                raise UserError(f"study {path}: {GRID}: run {problem}")
        grid = grid.drop_duplicates("run", ignore_index=True)
    else:
        problems.append(f"{GRID} is missing: only runs with a folder are counted")
        grid = pd.DataFrame(columns=columns)
    listed = set(grid.run)
    strays = [run for run in found if run not in listed]
    if not len(grid) and not strays:
        raise UserError(f"study {path}: {no_run_in(path)}")
    if len(grid) and strays:
        problems.append(f"not listed in grid.csv, but included: {', '.join(strays)}")
    extra = [dict.fromkeys(columns, "") | {"run": run} for run in strays]
    rows: list[dict[Any, Any]] = [*grid.to_dict("records"), *extra]
    return pd.DataFrame(rows, columns=columns)


def _with_variant(
    ledger: pd.DataFrame, records: Mapping[str, RunRecord], problems: list[str]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Add the column ``variant``: the differences of a run from other runs besides its condition; empty if none."""
    for key in ("noise_ratio", "seed"):
        ledger[key] = pd.to_numeric(ledger[key], errors="coerce")
    apart = find_variants(ledger.to_dict("records"), records)
    problems += apart.content
    ledger["variant"] = [apart.names.get(str(run), "") for run in ledger.run]
    for _, runs in ledger[ledger.state == "done"].groupby([*CONDITION, "variant"]):
        if len(runs) > 1:
            problems.append(f"the same condition was run more than once, the first is used: {', '.join(runs.run)}")
    problems += _other_cohorts(ledger, records)
    return ledger, apart.settings


def _other_cohorts(ledger: pd.DataFrame, records: Mapping[str, RunRecord]) -> list[str]:
    """One line for each arm in which runs of an older version, which recorded no content, have different cohorts."""
    lines = []
    for _, runs in ledger[ledger.state == "done"].groupby(list(ARM), sort=False):
        own = {str(run): records[str(run)] for run in runs.run}
        found: dict[str, list[str]] = {}
        for run, record in own.items():
            found.setdefault(record.cohort or "", []).append(run)
        found.pop("", None)
        if len(found) > 1 and not all(record.content is not None for record in own.values()):
            cohorts = "; ".join(f"{digest} ({_run_names(names)})" for digest, names in found.items())
            lines.append(f"runs of different prepared training cases, all included: {cohorts}")
    return lines


def find_variants(rows: Sequence[Mapping[Any, Any]], records: Mapping[str, RunRecord]) -> Variants:
    """The differences between the done runs; the other runs may still change."""
    done = [row for row in rows if row["state"] == "done"]
    return tell_apart([describe(str(r["run"]), r, records.get(str(r["run"])), r.get("overrides")) for r in done])


def _pool(tables: list[pd.DataFrame], ledger: pd.DataFrame) -> pd.DataFrame:
    """All rows of the done runs with the condition of the ledger; one run per arm, ratio and seed."""
    pooled = _concat(tables)
    if pooled.empty:
        return pd.DataFrame(columns=[*KEYS, *ARM, "subject_id", *SCORES])
    done = ledger[ledger.state == "done"].drop_duplicates([*CONDITION, "variant"])
    kept = pooled.drop(columns=[*CONDITION, "variant"], errors="ignore")
    cases: pd.DataFrame = kept.merge(done[["run", *CONDITION, "variant"]], on="run", how="inner", sort=False)
    if "subject_id" not in cases:
        cases["subject_id"] = cases.case_id
    cases["subject_id"] = cases.subject_id.where(cases.subject_id.fillna("") != "", cases.case_id)
    return cases


def _incomplete_runs(cases: pd.DataFrame) -> list[str]:
    """One line for each run without some cases that other runs of the same arm have."""
    lines = []
    for (*_, dataset), rows in cases.groupby([*ARM, "dataset"], sort=False):
        expected = rows.case_id.nunique()
        scored = rows.groupby("run").case_id.nunique()
        lines += [
            f"run {run}: {n} of {count(expected, 'case')} of data set {dataset}"
            for run, n in scored[scored < expected].items()
        ]
    return lines


def _concat(tables: list[pd.DataFrame]) -> pd.DataFrame:
    full = [table for table in tables if not table.empty]
    return pd.concat(full, ignore_index=True) if full else pd.DataFrame()
