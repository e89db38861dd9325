"""An audit on the terminal: one row for each annotator, and the result in words."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from mandseg.audit.page import Audit
from mandseg.audit.tables import bias_column, regions_of
from mandseg.report.wording import number

COLUMNS = (
    *("annotator", "cases", "Dice", "HD95", "ASSD", "NSD 1 mm", "NSD 2 mm", "bias", "volume", "largest bias"),
    *("empty", "in pieces"),
)
LEAST_FIRST = ("in pieces", "ASSD", "NSD 1 mm", "empty", "volume", "largest bias", "HD95", "Dice")
"""The columns that a narrow terminal leaves out, in this order."""
WIDEST = 500  # columns, for the measurement of a table


def print_audit(audit: Audit, console: Console) -> None:
    """Print medians over the cases of each annotator, mean bias and volume, and the result in words."""
    title = (
        f"Cohort {escape(audit.cohort.name)}: noisy labels against the reference, lowest NSD 2 mm first; "
        "mm, medians (bias, volume: means)"
    )
    shown = list(COLUMNS)
    while (table := _table(audit, title, shown)).columns and Measurement.get(
        console, console.options.update(max_width=WIDEST), table
    ).maximum > console.width:
        if not (left := [name for name in LEAST_FIRST if name in shown]):
            break
        shown.remove(left[0])
    console.print(table)
    if len(shown) < len(COLUMNS):
        hidden = ", ".join(name for name in COLUMNS if name not in shown)
        console.print(f"Not shown on this narrow terminal, all in annotators.csv: {hidden}.", soft_wrap=True)
    for line in [audit.headline, *audit.sentences]:
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def _table(audit: Audit, title: str, shown: Sequence[str]) -> Table:
    """The table of annotators with some of its columns."""
    table = Table(title=title, title_justify="left")
    for name in shown:
        words = name in ("annotator", "largest bias")
        table.add_column(name, justify="left" if words else "right", overflow="fold")
    regions = regions_of(audit.annotators)
    for row in audit.annotators.to_dict("records"):
        cells = dict(zip(COLUMNS, _cells(row, regions), strict=True))
        table.add_row(*(cells[name] for name in shown))
    return table


def _cells(row: dict[Any, Any], regions: Sequence[str]) -> list[str]:
    return [
        escape(row["annotator"]),
        str(row["n_cases"]),
        f"{row['dice_median']:.3f}",
        f"{row['hd95_mm_median']:.1f}",
        f"{row['assd_mm_median']:.2f}",
        f"{row['nsd_1mm_median']:.3f}",
        f"{row['nsd_2mm_median']:.3f}",
        _signed(row["bias_mm"], 2),
        f"{_signed(row['volume_bias_percent'], 1)} %",
        _farthest(row, regions),
        str(row["n_empty"]),
        str(row["n_in_more_pieces"]),
    ]


def _farthest(row: dict[Any, Any], regions: Sequence[str]) -> str:
    """The region with the largest mean displacement."""
    biases = [(row[bias_column(region)], region) for region in regions]
    known = [(bias, region) for bias, region in biases if np.isfinite(bias)]
    bias, region = max(known, key=lambda pair: abs(pair[0]), default=(np.nan, ""))
    return f"{region} {_signed(bias, 1)}" if region else ""


def _signed(value: float, decimals: int) -> str:
    return number(value if np.isfinite(value) else None, decimals, signed=True)
