"""Reads CSV files of spreadsheets: comma, semicolon or tab, with or without a byte order mark, cells as text."""

import csv
import io
import re
from collections import Counter
from pathlib import Path

from mandseg.system.errors import UserError, in_plain_words
from mandseg.system.names import printable
from mandseg.system.wording import count

Row = dict[str, str]

DELIMITERS = ("\t", ",", ";")  # of two equally frequent ones the first is taken; no column name holds a tab
SEPARATOR = re.compile(r'"?sep=([,;|\t])"?[,;\t]*', re.IGNORECASE)
QUOTED = re.compile(r'"[^"]*"')


def read_table(path: Path) -> tuple[list[str], list[Row]]:
    """Read a CSV file with a header line; empty rows are dropped.

    Returns:
        The column names and one dictionary for each row; blanks around a cell are removed.

    Raises:
        UserError: The file is not UTF-8 or not a table, names a column twice, or has a row longer than the header.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError(f"{path}: line {line}: {in_plain_words(error)}; save the spreadsheet as 'CSV UTF-8'") from error
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error
    if "\0" in text:
        raise UserError(f"{path}: not a table (line {text[: text.index(chr(0))].count(chr(10)) + 1} contains NUL)")
    first, _, rest = text.lstrip("\n").partition("\n")
    if declared := SEPARATOR.fullmatch(first.strip(" \r")):  # a line for the spreadsheet, before the header
        text = rest
    delimiter = declared[1] if declared else _delimiter(text)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    try:
        table = list(reader)
    except csv.Error as error:
        raise UserError(f"{path}: not a table (line {reader.line_num}: {in_plain_words(error)})") from error
    lines = [[cell.strip() for cell in line] for line in table]
    lines = [line for line in lines if any(line)]
    header, body = (lines[0], lines[1:]) if lines else ([], [])
    problems = [f"column {name!r} is listed {n} times" for name, n in Counter(header).items() if n > 1 and name]
    problems += [
        f"row {number} ({printable(line[0])[:40]}) has {count(len(line), 'cell')}, the header {len(header)}"
        for number, line in enumerate(body, start=1)
        if any(line[len(header) :])
    ]
    if problems:
        raise UserError([f"{path}: {problem}" for problem in problems])
    return header, [dict(zip(header, line + [""] * len(header), strict=False)) for line in body]


def _delimiter(text: str) -> str:
    """Choose the delimiter: a comma, the semicolon of European spreadsheets, or the tab of copied cells."""
    header = QUOTED.sub("", text.lstrip().split("\n", 1)[0])
    return max(DELIMITERS, key=header.count) if any(map(header.count, DELIMITERS)) else ","
