"""What the commands ``mandseg prepare ...`` share: their options, and how a result is printed."""

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mandseg.system.errors import UserError
from mandseg.system.wording import count, summed_up, typed

if TYPE_CHECKING:
    from mandseg.data.importers.cohort_folder import Imported

Dest = Annotated[Path, typer.Argument(help="The cohort folder to write; must not exist.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the cohort that is there already.")]
AllIn = Annotated[str, typer.Option(help="Put all cases into this split: train, val or test.")]
Fractions = Annotated[str, typer.Option(help="Shares of train, val, test, if the source has no splits.")]
SplitSeed = Annotated[int, typer.Option(help="Seed of that split, drawn by subject.")]
Structure = Annotated[str, typer.Option(help="The structure, by any of its names: Mandible, Parotid_L, Brainstem, ...")]


def words(option: str, text: str) -> tuple[str, ...]:
    """Split the text of an option at its commas.

    Raises:
        UserError: There is no word in it.
    """
    found = tuple(word.strip() for word in text.split(",") if word.strip())
    if not found:
        raise UserError(f"{option} {text!r}: expected a name, or names with commas between")
    return found


def numbers(option: str, text: str) -> tuple[float, ...]:
    """Split the text of an option into numbers at its commas.

    Raises:
        UserError: A part is no number.
    """
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise UserError(f"{option} {text!r}: expected numbers with commas between") from None


def show(result: "Imported") -> None:
    """Print what was written, what was assumed and what was left out."""
    from mandseg.data.identities import identity_warnings
    from mandseg.data.manifest import SPLITS

    warnings = [f"WARNING: {line}" for line in identity_warnings(result.cohort.cases)]
    for line in summed_up([*result.notes, *result.skipped, *warnings]):
        print(line, file=sys.stderr)
    cases, root = result.cohort.cases, result.cohort.root
    counts = Counter(case.split for case in cases)
    splits = ", ".join(f"{counts[split]} {split}" for split in SPLITS if counts[split])
    print(f"{root}: {count(len(cases), 'case')} ({splits}), {len(result.skipped)} skipped")
    print(f"next: mandseg check {typed(root.relative_to(Path.cwd()) if root.is_relative_to(Path.cwd()) else root)}")
