"""The command ``mandseg commission``: checks with known answers, on the machine that will be used."""

import sys
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from mandseg.system.wording import count

FAILED = 1  # exit code


def commission(
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Keep the synthetic CT and its structure set here, for the planning system."),
    ] = None,
    series: Annotated[Path | None, typer.Option("--series", help="Check a CT series of your own, too.")] = None,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write the table to this CSV file.")] = None,
) -> None:
    """Check contours, masks, structure sets and orientations against known answers; print a table and the versions.

    Exit code 0 if every check passed or could not be run, 1 if one failed. Needs no data and no network.

    Example: [bold]mandseg commission[/bold]

    Example: [bold]mandseg commission --series export/patient1/CT --out phantom --csv commissioning.csv[/bold]
    """
    from mandseg.evaluation.commissioning.checks import run_checks
    from mandseg.evaluation.commissioning.table import KIND, check_table_file, print_checks, versions_line, write_checks
    from mandseg.system.files import replaced_folder

    if csv is not None:
        check_table_file(csv)
    place = nullcontext() if out is None else replaced_folder(out, KIND)
    with place as kept, TemporaryDirectory() as temporary:
        checks = list(run_checks(kept or Path(temporary), series))
    print_checks(checks)
    if csv is not None:
        write_checks(csv, checks)
    print(versions_line())
    if failed := [check for check in checks if check.passed is False]:
        print(
            f"mandseg: {len(failed)} of {count(len(checks), 'check')} failed, the first: {failed[0].name}",
            file=sys.stderr,
        )
        raise typer.Exit(FAILED)
