"""The table of the checks, on the terminal and as CSV, with the versions that were checked."""

import platform
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from rich.table import Table

from mandseg.evaluation.commissioning.checks import Check
from mandseg.system.files import Kind, csv_text, refuse_foreign_file, write_text
from mandseg.system.terminal import open_console

KIND = Kind("a commissioning set", "choose another folder with --out", frozenset(), re.compile("(?!)"))
COLUMNS = ("check", "measured", "expected", "outcome")
WORDS = {True: "pass", False: "FAIL", None: "not run"}
STYLES = {True: "green", False: "bold red", None: "yellow"}
PACKAGES = ("mandseg", "pydicom", "numpy", "scipy", "shapely", "nibabel", "SimpleITK", "torch", "torchio", "monai")


def print_checks(checks: Sequence[Check]) -> None:
    """Print a row for each check."""
    table = Table(*COLUMNS, box=None, pad_edge=False)
    for check in checks:
        word = f"[{STYLES[check.passed]}]{WORDS[check.passed]}[/]"
        table.add_row(check.name, check.measured, check.expected, word)
    open_console().print(table)


def check_table_file(path: Path) -> None:
    """Refuse to replace a file that is no table of checks.

    Raises:
        UserError: It is another file.
    """
    refuse_foreign_file(path, ",".join(COLUMNS), "a table of checks", "choose another file with --csv")


def write_checks(path: Path, checks: Sequence[Check]) -> None:
    """Write the table, with the versions as its last row."""
    rows = [(check.name, check.measured, check.expected, WORDS[check.passed]) for check in checks]
    write_text(path, csv_text(COLUMNS, [*rows, ("versions", versions_line(), "", "")]))


def versions_line() -> str:
    """The versions of Python and of the packages that the checks depend on."""
    return f"Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in PACKAGES)
