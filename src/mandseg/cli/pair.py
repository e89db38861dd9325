"""The command ``mandseg pair``: a cohort of the scans that two cohorts share."""

from pathlib import Path
from typing import Annotated

import typer

from mandseg.cli.import_options import Overwrite, show
from mandseg.system.errors import UserError


def pair(
    first: Annotated[Path, typer.Argument(help="A cohort; its labels become the noisy ones.")],
    second: Annotated[Path, typer.Argument(help="A cohort; its labels become the references.")],
    out: Annotated[Path, typer.Option(help="The cohort folder to write; must not exist.")],
    split: Annotated[str, typer.Option(help="The split of all pairs: train, val or test.")] = "test",
    overwrite: Overwrite = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that read the files.")] = None,
) -> None:
    """Find the scans that two cohorts share, align them, and write the pairs of contours as a cohort.

    The images and labels of the first cohort stay where they are; the references are written on their grid.
    Look at suspected pairs before you use them: mandseg audit OUT --all-figures.

    Example: [bold]mandseg pair cohorts/openkbp cohorts/deepmind --out cohorts/planning-pairs[/bold]
    """
    from mandseg.data.manifest import SPLITS
    from mandseg.data.same_patient.pairing import pair_cohorts

    if split not in SPLITS:
        raise UserError(f"--split {split!r}: expected one of {', '.join(SPLITS)}")
    show(pair_cohorts(first, second, out, split, overwrite, workers))
