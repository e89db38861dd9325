"""CSV files of runs and studies as tables, or one line with the reason why a file cannot be read."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mandseg.metrics.catalogue import MEASURED
from mandseg.statistics.columns import EARLIEST, LATER, NOT_STATED, USUAL
from mandseg.system.errors import one_line

if TYPE_CHECKING:
    import pandas as pd  # a launch reads no table, so it does not import pandas

NUMBERS = ["noise_ratio", "seed", *MEASURED, "seconds"]
"""Columns that hold numbers."""


def read_table(file: Path, required: Sequence[str]) -> "pd.DataFrame | str":
    """A CSV file with identifiers as text and scores as numbers, or one line with the reason why it cannot be read."""
    import pandas as pd

    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8")
    except FileNotFoundError:
        return f"{file.name} is missing"
    except pd.errors.EmptyDataError:
        return f"{file.name} is empty"
    except pd.errors.ParserError:
        return f"{file.name} cannot be read: a row has more cells than the header, or a quote is open"
    except UnicodeDecodeError:
        return f"{file.name} cannot be read: it is not UTF-8 text"
    except (OSError, ValueError) as error:
        return f"{file.name} cannot be read: {one_line(error)}"
    absent = [column for column in dict.fromkeys(required) if column not in table]
    if absent:
        return f"{file.name} lacks the column{'s' if len(absent) > 1 else ''} {', '.join(absent)}"
    for column in set(NUMBERS) & set(table.columns):
        table[column] = pd.to_numeric(table[column], errors="coerce")
    return table


def read_conditions(file: Path, required: Sequence[str]) -> "pd.DataFrame | str":
    """:func:`read_table` of a file with the columns of the condition; columns of later versions may be missing."""
    table = read_table(file, [*EARLIEST, *required])
    if isinstance(table, str):
        return table
    return table.assign(**{column: USUAL.get(column, NOT_STATED) for column in LATER if column not in table})
