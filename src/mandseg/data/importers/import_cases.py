"""The steps that all importers share: find the cases of a source, convert each, split them, write the cohort.

An importer of a further source is a class with two methods, ``find`` and ``convert``; docs/data.md names an example.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from mandseg.data.case import Case
from mandseg.data.importers.cohort_folder import Imported, finish, new_cohort_folder, refuse_files_in
from mandseg.data.manifest import read_cohort
from mandseg.data.splits import Splitting, split_cases
from mandseg.data.structure import with_structure
from mandseg.system.errors import UserError
from mandseg.system.progress import for_each


@dataclass(frozen=True)
class Converted:
    """The result for one found case: a case of the cohort, or the reason why it is left out."""

    case: Case | None = None
    skipped: str = ""
    """Why the case does not belong in the cohort."""
    failed: tuple[str, ...] = ()
    """What is broken, if the other cases are imported nevertheless."""
    notes: tuple[str, ...] = ()
    """What was assumed, measured or looked odd."""


Found = TypeVar("Found")
Result = TypeVar("Result", bound=Converted)


class Importer(Protocol[Found, Result]):
    """A kind of source. It is sent to other processes, so it holds settings and no data."""

    @property
    def title(self) -> str:
        """The text left of the progress bar."""

    def find(self, source: Path) -> Sequence[Found]:
        """List the cases of a source.

        Raises:
            UserError: The source is not of this kind.
        """

    def files(self, found: Found) -> Sequence[Path]:
        """The files of a case that may lie outside the source; by default none."""
        return ()

    def convert(self, found: Found, folder: Path) -> Result:
        """Convert one case.

        Args:
            found: What ``find`` listed.
            folder: The cohort folder that grows; new files go below it.

        Raises:
            UserError: The case is broken. Then nothing is imported, and the lines of all broken cases are printed.
        """

    def conclude(self, converted: list[Result], folder: Path) -> tuple[list[Result], list[str]]:
        """Do the work that needs all cases at once; by default nothing.

        Returns:
            The results, possibly changed, and notes on the cohort.
        """
        return converted, []


def import_cases(
    importer: Importer[Found, Result],
    source: Path,
    dest: Path,
    splitting: Splitting | None = None,
    overwrite: bool = False,
    structure: str = "",
) -> Imported:
    """Make a cohort of a source.

    Args:
        importer: How to find and convert its cases.
        source: The folder or file of the provider.
        dest: The cohort folder to write.
        splitting: How to split by subject, for cases to which the source gives no split.
        overwrite: Replace an existing cohort.
        structure: What all labels show, by any name of structures.yaml; the manifest names it unless it is the
            mandible. Empty: the source says it.

    Raises:
        UserError: The source is missing, a case is broken or shows another structure, no case is left, or ``dest``
            exists.
    """
    if set(structure) & set("*?"):
        raise UserError(f"--structure {structure!r}: expected a name without * and ?")
    with new_cohort_folder((source,), dest, overwrite) as part:
        found = importer.find(source)
        refuse_files_in([path for each in found for path in importer.files(each)], dest)
        work = partial(_convert_or_problems, importer=importer, folder=part)
        results = list(for_each(work, found, importer.title))
        if problems := [line for result in results if isinstance(result, list) for line in result]:
            raise UserError(problems)
        converted = [result for result in results if not isinstance(result, list)]
        converted, cohort_notes = importer.conclude(converted, part)
        failed = tuple(line for result in converted for line in result.failed)
        skipped = tuple(result.skipped for result in converted if result.skipped)
        cases, split_note = split_cases(
            [with_structure(result.case, structure) for result in converted if result.case], splitting or Splitting()
        )
        of_cases = [note for result in converted for note in result.notes]
        notes = tuple(note for note in (*of_cases, split_note, *cohort_notes) if note)
        finish(part, dest, cases, [*failed, *skipped], notes, structure)
    return Imported(read_cohort(dest), skipped, notes, failed)


def _convert_or_problems(found: Found, importer: Importer[Found, Result], folder: Path) -> Result | list[str]:
    try:
        return importer.convert(found, folder)
    except UserError as error:
        return error.problems
