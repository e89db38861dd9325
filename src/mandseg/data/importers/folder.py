"""Imports files that a table or file name patterns describe, in NIfTI, NRRD or MetaImage.

Images in HU and binary labels stay in their folder, and the manifest points at them by relative paths: a CT archive is
not copied. Only changed files are written into the cohort folder, as NIfTI: images with an offset, labels with several
values.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mandseg.data.case import Case
from mandseg.data.dose.planned import read_dose
from mandseg.data.importers.cohort_folder import Imported
from mandseg.data.importers.columns import read_drafts
from mandseg.data.importers.images import Image, convert_image, image_notes, majority_is_hu
from mandseg.data.importers.import_cases import Converted, Importer, import_cases
from mandseg.data.importers.labels import read_label, refuse_values_of_no_label
from mandseg.data.importers.patterns import find_drafts
from mandseg.data.splits import Splitting
from mandseg.data.structure import structure_name
from mandseg.data.volume import Volume, write_volume
from mandseg.system.errors import UserError
from mandseg.system.names import name_problem
from mandseg.system.wording import some_of

TABLES = ("index.csv", "manifest.csv", "cases.csv")


@dataclass(frozen=True)
class Layout:
    """The user's description of the source: a table and its columns, or file name patterns."""

    table: Path | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    """Our column -> the table's column, or our column -> a pattern with ``{case}``."""


@dataclass(frozen=True)
class Conversion:
    """The changes to the files."""

    hu_offset: float | None = None
    label_values: tuple[int, ...] = ()
    """Values to merge into one mask, e.g. 21 and 22 for the two halves; if empty, labels must be binary."""
    structure: str = ""
    """What the labels show; empty: what the table's column ``structure`` says, otherwise the mandible."""

    def __post_init__(self) -> None:
        if self.hu_offset is not None and not math.isfinite(self.hu_offset):
            raise UserError(f"--hu-offset {self.hu_offset:g}: expected a finite number")


@dataclass(frozen=True)
class ConvertedFiles(Converted):
    """A converted case with what was found in its files."""

    draft: Case | None = None
    """The case as the user describes it."""
    image: Image | None = None
    label_values: tuple[frozenset[float], ...] = ()
    """The values of each of its labels, other than 0."""


@dataclass(frozen=True)
class Folder(Importer[Case, ConvertedFiles]):
    """Points at files that the user describes, and writes those that have to change."""

    layout: Layout
    conversion: Conversion
    title = "Reading"

    def find(self, source: Path) -> list[Case]:
        """List the cases of the table or of the patterns, those without a label first: they are skipped."""
        drafts = _drafts(source, self.layout)
        _refuse_names(drafts)
        return sorted(drafts, key=lambda draft: bool(draft.reference or draft.noisy))

    def files(self, found: Case) -> list[Path]:
        """The files that the table or the patterns name, and the table itself."""
        table = [self.layout.table] if self.layout.table is not None else []
        return [*table, *(path for path in (found.image, found.reference, found.noisy, found.dose) if path is not None)]

    def convert(self, found: Case, folder: Path) -> ConvertedFiles:
        """Read a case's files, write those that have to change, and point the case at them."""
        if not (found.reference or found.noisy):
            return ConvertedFiles(skipped=f"case {found.case_id} skipped: no label")
        return _convert(found, folder, self.conversion)

    def conclude(self, converted: list[ConvertedFiles], folder: Path) -> tuple[list[ConvertedFiles], list[str]]:
        """Treat images that do not show whether they are in HU as the majority, and note the changes."""
        with_labels = [result for result in converted if result.draft]
        values = [values for result in with_labels for values in result.label_values]
        refuse_values_of_no_label(self.conversion.label_values, values)
        converted = _as_the_majority(converted, folder, self.conversion)
        converted = _all_written_or_none(converted, folder, self.conversion)
        return converted, _image_notes(converted, self.conversion.hu_offset)


def import_folder(
    source: Path,
    dest: Path,
    layout: Layout = Layout(),
    conversion: Conversion = Conversion(),
    splitting: Splitting | None = None,
    overwrite: bool = False,
) -> Imported:
    """Make a cohort of files that the user describes.

    Args:
        source: A folder, or a CSV file.
        dest: The cohort folder to write.
        layout: Table and columns, or patterns; by default the table in the folder, with guessed columns.
        conversion: What has to change in the files.
        splitting: How to split by subject, for cases to which the source gives no split.
        overwrite: Replace an existing cohort.

    Raises:
        UserError: A file is missing or damaged, a label is not binary, a column cannot be found, ``dest`` exists.
    """
    return import_cases(Folder(layout, conversion), source, dest, splitting, overwrite, conversion.structure)


def _drafts(source: Path, layout: Layout) -> list[Case]:
    patterns = {name: text for name, text in layout.names.items() if "{" in text}
    if patterns and (layout.table or len(patterns) < len(layout.names)):
        columns = [text for text in layout.names.values() if "{" not in text] + (
            [str(layout.table)] if layout.table else []
        )
        raise UserError(
            f"patterns ({', '.join(patterns.values())}) and a table ({', '.join(columns)}): give only one of them"
        )
    if patterns:
        return find_drafts(source, patterns)
    return read_drafts(_table(source, layout.table), layout.names)


def _refuse_names(drafts: Sequence[Case]) -> None:
    """Refuse cases whose names cannot be file names before any file is written."""
    problems = [f"case_id {problem}" for draft in drafts if (problem := name_problem(draft.case_id))]
    problems += ["a case has no name" for draft in drafts if not draft.case_id][:1]
    if problems:
        raise UserError(problems)


def _table(source: Path, given: Path | None) -> Path:
    """Find the CSV file: the given one, the source itself, or the one in it."""
    if given is not None:
        return source / given if (source / given).is_file() else given
    if source.is_file():
        return source
    found = [source / name for name in TABLES if (source / name).is_file()] or sorted(source.glob("*.csv"))
    if not found:
        raise UserError(f"{source}: no CSV file; give --csv, or patterns such as --image '{{case}}/img.nrrd'")
    return found[0]


def _convert(
    draft: Case, folder: Path, conversion: Conversion, is_hu: bool | None = None, is_wanted: bool = False
) -> ConvertedFiles:
    """Convert one case with a label; for ``is_hu`` and ``is_wanted`` see ``convert_image``."""
    _refuse_bad_dose(draft)
    values = conversion.label_values
    given = {"reference": draft.reference, "noisy": draft.noisy}
    what = conversion.structure or structure_name(draft)
    labels = {name: read_label(draft, name, path, what, values) for name, path in given.items() if path is not None}
    found = tuple(label.values for label in labels.values())
    notes = tuple(note for label in labels.values() for note in label.notes)
    masks = {name: label.mask for name, label in labels.items() if label.mask is not None}
    if not masks or (draft.reference and "reference" not in masks):
        lacking = next(label for name, label in labels.items() if name not in masks)
        return ConvertedFiles(skipped=f"{lacking.notes[0]}, case skipped", draft=draft, label_values=found)
    paths = {name: _label_path(folder, draft, name, masks, bool(values)) for name in given}
    case = replace(draft, reference=paths["reference"], noisy=paths["noisy"])
    if draft.image is None:
        return ConvertedFiles(case, notes=notes, draft=draft, label_values=found)
    first = next(iter(masks.values())).array != 0
    place = folder / f"images/{draft.case_id}.nii.gz"
    image = convert_image(draft, draft.image, first, place, conversion.hu_offset, is_hu, is_wanted)
    return ConvertedFiles(replace(case, image=image.path), notes=notes, draft=draft, image=image, label_values=found)


def _refuse_bad_dose(draft: Case) -> None:
    try:
        if draft.dose is not None:
            read_dose(draft.dose)
    except UserError as error:
        raise UserError([f"case {draft.case_id}: dose {line}" for line in error.problems]) from error


def _label_path(folder: Path, draft: Case, name: str, masks: Mapping[str, Volume], is_merged: bool) -> Path | None:
    """Give the path of a label: its own file, or a new one in the cohort if its values were merged."""
    if name not in masks:
        return None
    if not is_merged:
        return draft.reference if name == "reference" else draft.noisy
    path = folder / f"{name}/{draft.case_id}.nii.gz"
    write_volume(path, masks[name])
    return path


def _as_the_majority(converted: list[ConvertedFiles], folder: Path, conversion: Conversion) -> list[ConvertedFiles]:
    """Convert the images that do not show whether they are in HU again, in the way of most of the sure images."""
    is_hu = majority_is_hu([result.image for result in converted if result.image])
    if is_hu is None or conversion.hu_offset is None:
        return converted
    results = []
    for result in converted:
        if result.draft and result.image and not result.image.is_sure and result.image.is_hu is not is_hu:
            (folder / f"images/{result.draft.case_id}.nii.gz").unlink(missing_ok=True)
            result = _convert(result.draft, folder, conversion, is_hu)
        results.append(result)
    return results


def _all_written_or_none(converted: list[ConvertedFiles], folder: Path, conversion: Conversion) -> list[ConvertedFiles]:
    """Write all images if some were converted, so that the images of a cohort are in one folder."""
    if not any(result.image and result.image.is_written for result in converted):
        return converted
    return [
        _convert(result.draft, folder, conversion, result.image.is_hu, is_wanted=True)
        if result.draft and result.image and not result.image.is_written
        else result
        for result in converted
    ]


def _image_notes(converted: Sequence[ConvertedFiles], hu_offset: float | None) -> list[str]:
    cases = [result.case for result in converted if result.case]
    notes = image_notes({r.case.case_id: r.image for r in converted if r.case and r.image}, hu_offset)
    if without := [case.case_id for case in cases if case.image is None]:
        notes.append(f"WARNING: {some_of(len(without), len(cases), 'case', 'have')} no image (first: {without[0]})")
    return notes
