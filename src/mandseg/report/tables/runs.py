"""The runs of a study: runs that are not done, the cost of the done runs, and all runs."""

import pandas as pd

from mandseg.report.settings import PHASE_COLUMNS, cost
from mandseg.report.tables.table import Cell, Column, Table
from mandseg.report.wording import ABSENT, number
from mandseg.runs.study import Study
from mandseg.system.wording import count

LISTED_RUNS = 1000
WHOLE_DIGITS = 10  # a seed or a number of steps is written out


def study_tables(study: Study) -> list[Table]:
    """The tables of the study as a whole: runs that are not done, cost, all runs."""
    tables = []
    undone = study.ledger[study.ledger.state != "done"]
    if len(undone):
        columns = [Column("Run"), Column("State", words=True), Column("Reason", words=True)]
        rows = [[Cell(str(r.run)), Cell(str(r.state)), Cell(str(r.reason))] for r in undone.head(200).itertuples()]
        more = [f"And {len(undone) - 200} more: see not-done.csv."] if len(undone) > 200 else []
        data = undone[["run", "state", "reason"]]
        tables.append(Table("not-done", "Runs that are not done", columns, rows, data, more))
    if (study.ledger.state == "done").any():
        tables.append(_cost_table(cost(study)))
    tables.append(_run_table(study.ledger))
    return tables


def _cost_table(costs: pd.DataFrame) -> Table:
    columns = [
        *(Column("Noise ratio"), Column("Runs"), Column("Prepare, s", "mean"), Column("Train, s", "mean")),
        *(Column("Evaluate, s", "mean"), Column("All runs, h")),
    ]
    rows = [
        [
            *(Cell(f"{row['noise_ratio']:g}"), Cell(str(row["runs"]))),
            *(Cell(number(_known(row[phase]), 1)) for phase in PHASE_COLUMNS),
            Cell(number(_known(row["hours"]), 2)),
        ]
        for row in costs.to_dict("records")
    ]
    return Table("cost", "Cost of the done runs", columns, rows, costs)


def _run_table(ledger: pd.DataFrame) -> Table:
    columns = [
        *(Column("Run"), Column("Ratio"), Column("Seed"), Column("State", words=True), Column("Noisy labels")),
        *(Column("Steps"), Column("Device", words=True), Column("Precision", words=True), Column("Train, s")),
    ]
    rows = [
        [
            *(Cell(str(row["run"])), Cell(_g(row["noise_ratio"])), Cell(_g(row["seed"])), Cell(str(row["state"]))),
            Cell(_noisy(row["n_noisy"], row["n_training"])),
            *(Cell(_g(row["steps"])), Cell(_word(row["device"])), Cell(_word(row["precision"]))),
            Cell(number(_known(row["train_s"]), 1)),
        ]
        for row in ledger.head(LISTED_RUNS).to_dict("records")
    ]
    more = [f"And {len(ledger) - LISTED_RUNS} more: see runs.csv."] if len(ledger) > LISTED_RUNS else []
    return Table("runs", f"All {count(len(ledger), 'run')}", columns, rows, ledger, more)


def _noisy(n_noisy: object, n_training: object) -> str:
    """Number and share of training cases with the noisy label: ``3 of 10 (0.300)``."""
    n, of = _known(n_noisy), _known(n_training)
    return ABSENT if n is None or not of else f"{n:g} of {of:g} ({n / of:.3f})"


def _known(value: object) -> float | None:
    number_of = pd.to_numeric(value, errors="coerce")  # type: ignore[call-overload]
    return None if pd.isna(number_of) else float(number_of)


def _g(value: object) -> str:
    known = _known(value)
    return ABSENT if known is None else f"{known:.{WHOLE_DIGITS}g}"


def _word(value: object) -> str:
    return ABSENT if pd.isna(value) or not value else str(value)  # type: ignore[call-overload]
