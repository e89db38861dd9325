"""The cohort folder that an import writes: it is written completely or not at all, and no file of the user is lost."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mandseg.data.case import Case
from mandseg.data.manifest import MANIFEST, Cohort, without_dots, write_cohort
from mandseg.system.errors import UserError
from mandseg.system.files import Kind, replaced_folder
from mandseg.system.wording import count, summed_up

FOLDER = Kind(
    "an import",
    "choose another folder as DEST",
    frozenset({MANIFEST, "import.txt"}),
    re.compile(rf"{re.escape(MANIFEST)}|import\.txt|(images|labels|reference|noisy|dose)/[^/]+\.nii\.gz"),
)


@dataclass(frozen=True)
class Imported:
    """The result of an import."""

    cohort: Cohort
    skipped: tuple[str, ...] = ()
    """Cases left out, one line each with the reason."""
    notes: tuple[str, ...] = ()
    """What was assumed, measured or looked odd, one line each."""
    failed: tuple[str, ...] = ()
    """Broken cases that did not stop the import, one line each."""


@contextmanager
def new_cohort_folder(sources: Sequence[Path], dest: Path, overwrite: bool) -> Iterator[Path]:
    """Make a folder that is renamed to ``dest`` if the block ends without an error.

    It is a sibling of ``dest``, so that relative paths written in it stay correct.

    Raises:
        UserError: One of ``sources`` is missing, or ``dest`` exists and may not be replaced.
    """
    refuse_destination(sources, dest, overwrite)
    with replaced_folder(dest, FOLDER) as part:
        yield part


def refuse_destination(sources: Sequence[Path], dest: Path, overwrite: bool) -> None:
    """Refuse a destination that exists, except an earlier import that is and holds none of the sources."""
    for source in sources:
        if not source.exists():
            raise UserError(f"{source}: no such file or folder")
    if not dest.exists():
        return
    if not overwrite:
        raise UserError(f"{dest}: exists already; --overwrite replaces it")
    if not (dest / MANIFEST).is_file():
        raise UserError(f"{dest}: holds no {MANIFEST}, so it is not a cohort and is not replaced")
    for source in sources:
        if lies_in(source, dest):
            raise UserError(f"{dest}: holds the source {source}, so it is not replaced")


def refuse_files_in(files: Sequence[Path], dest: Path) -> None:
    """Refuse a destination that holds one of the files that the new cohort is made of."""
    if dest.exists() and (inside := [path for path in files if lies_in(path, dest)]):
        raise UserError(f"{dest}: holds {count(len(inside), 'file')} of the source, e.g. {inside[0]}: not replaced")


def finish(
    part: Path,
    dest: Path,
    cases: Sequence[Case],
    skipped: Sequence[str] = (),
    notes: Sequence[str] = (),
    structure: str = "",
) -> None:
    """Write the manifest and import.txt, the list of notes and skipped cases, into the new folder.

    Args:
        part: The new folder.
        dest: The folder that it replaces.
        cases: Its cases.
        skipped: Cases left out, one line each with the reason.
        notes: What was assumed, measured or looked odd, one line each.
        structure: The structure that the labels should show, for messages.

    Raises:
        UserError: There is no case, a case breaks a rule of the manifest, or its file lies in the replaced folder.
    """
    if not cases:
        raise UserError([f"{dest}: nothing written, no case has {structure or 'a label'}", *summed_up(skipped)])
    for case in cases:
        for path in (case.image, case.reference, case.noisy, case.dose):
            if path is not None and lies_in(path, dest):
                raise UserError(f"case {case.case_id}: {path} lies in {dest}, which would be replaced")
    write_cohort(part, cases)
    (part / "import.txt").write_text("".join(f"{line}\n" for line in [*notes, *skipped]), encoding="utf-8")


def lies_in(path: Path, folder: Path) -> bool:
    """Whether a file, or a link in its path, lies in a folder."""
    folder = folder.resolve()
    return any(part.resolve().is_relative_to(folder) for part in (path, *without_dots(path.absolute()).parents))


def stem(name: str) -> str:
    """Remove the suffixes from the name of an image file or table.

    >>> stem("Mandible.seg.nrrd"), stem("image.nii.gz")
    ('Mandible', 'image')
    """
    for suffix in (".gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".seg", ".csv"):
        name = name[: -len(suffix)] if name.lower().endswith(suffix) else name
    return name


def plain_name(name: str) -> str:
    """Remove suffix, case, ``-``, ``_``, blanks and dots from the name of a file or column.

    >>> plain_name("CT_Image.nrrd"), plain_name("left-Parotid.nii.gz")
    ('ctimage', 'leftparotid')
    """
    return "".join(letter for letter in stem(name).lower() if letter.isalnum())
