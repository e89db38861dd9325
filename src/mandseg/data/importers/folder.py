"""Your own files, by a table or by file name patterns, in NIfTI, NRRD or MetaImage: a cohort that points at them.

What is already HU and already binary stays where it is, and the manifest points at it by relative paths: a CT archive
is not doubled. Only what has to change is written into the cohort folder as NIfTI: images with an offset, labels with
several values.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from mandseg.data.case import Case
from mandseg.data.importers.cohort_folder import Imported, finish, imported, new_cohort_folder
from mandseg.data.importers.columns import read_drafts
from mandseg.data.importers.images import Image, convert_image, image_notes, majority_is_hu
from mandseg.data.importers.labels import read_label, refuse_values_of_no_label
from mandseg.data.importers.patterns import find_drafts
from mandseg.data.manifest import SPLITS
from mandseg.data.splits import FRACTIONS, split_by_subject
from mandseg.data.volume import Volume, write_volume
from mandseg.system.errors import UserError
from mandseg.system.names import name_problem
from mandseg.system.progress import for_each

TABLES = ("index.csv", "manifest.csv", "cases.csv")


@dataclass(frozen=True)
class Layout:
    """How the user describes the source: a table and its columns, or file name patterns."""

    table: Path | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    """Our column -> the table's column, or our column -> pattern where it holds a ``{case}``."""


@dataclass(frozen=True)
class Conversion:
    """What to change in the files."""

    hu_offset: float | None = None
    label_values: tuple[int, ...] = ()
    """Merged into one binary mask, e.g. 21 and 22 for the two halves; none: the label must be binary already."""

    def __post_init__(self) -> None:
        if self.hu_offset is not None and not math.isfinite(self.hu_offset):
            raise UserError(f"--hu-offset {self.hu_offset:g}: expected a finite number")


@dataclass(frozen=True)
class Splitting:
    """Where the splits come from when the source has none, or when all cases go into one."""

    fractions: Sequence[float] = FRACTIONS
    seed: int = 0
    all_in: str = ""


@dataclass(frozen=True)
class Outcome:
    """What came of one case."""

    draft: Case
    case: Case | None
    skipped: str = ""
    notes: tuple[str, ...] = ()
    image: Image | None = None
    label_values: tuple[frozenset[float], ...] = ()
    """The values of each of its labels, other than 0."""
    problems: tuple[str, ...] = ()


def import_folder(
    source: Path,
    dest: Path,
    layout: Layout = Layout(),
    conversion: Conversion = Conversion(),
    splitting: Splitting = Splitting(),
    overwrite: bool = False,
) -> Imported:
    """Make a cohort of files that the user describes.

    Args:
        source: A folder, or a CSV file.
        dest: The cohort folder to write.
        layout: Table and columns, or patterns; by default the table in the folder, its columns guessed.
        conversion: What has to change in the files.
        splitting: How to split by subject where the source does not say.
        overwrite: Replace a cohort that is there already.

    Raises:
        UserError: A file is missing or damaged, a label is not binary, a column cannot be found, ``dest`` exists.
    """
    with new_cohort_folder(source, dest, overwrite) as part:
        drafts = _drafts(source, layout)
        _refuse_names(drafts)
        skipped = [f"case {d.case_id} skipped: no label" for d in drafts if not (d.reference or d.noisy)]
        drafts = [draft for draft in drafts if draft.reference or draft.noisy]
        convert = partial(_convert, dest=part, conversion=conversion)
        outcomes = list(for_each(convert, drafts, "Reading"))
        if problems := [problem for outcome in outcomes for problem in outcome.problems]:
            raise UserError(problems)
        refuse_values_of_no_label(
            conversion.label_values, [values for outcome in outcomes for values in outcome.label_values]
        )
        outcomes = _as_the_others(outcomes, part, conversion)
        skipped += [outcome.skipped for outcome in outcomes if outcome.skipped]
        cases, split_note = _split([outcome.case for outcome in outcomes if outcome.case], splitting)
        notes = [note for outcome in outcomes for note in outcome.notes]
        notes += [note for note in (split_note, *_image_notes(outcomes, conversion.hu_offset)) if note]
        finish(part, dest, cases, skipped, notes)
    return imported(dest, skipped, notes)


def _drafts(source: Path, layout: Layout) -> list[Case]:
    patterns = {name: text for name, text in layout.names.items() if "{" in text}
    if patterns and (layout.table or len(patterns) < len(layout.names)):
        columns = [text for text in layout.names.values() if "{" not in text] + (
            [str(layout.table)] if layout.table else []
        )
        raise UserError(
            f"patterns ({', '.join(patterns.values())}) and a table ({', '.join(columns)}): give one of the two"
        )
    if patterns:
        return find_drafts(source, patterns)
    return read_drafts(_table(source, layout.table), layout.names)


def _refuse_names(drafts: Sequence[Case]) -> None:
    """Refuse cases whose names cannot be file names, before a file is written."""
    problems = [f"case_id {problem}" for draft in drafts if (problem := name_problem(draft.case_id))]
    problems += ["a case has no name" for draft in drafts if not draft.case_id][:1]
    if problems:
        raise UserError(problems)


def _table(source: Path, said: Path | None) -> Path:
    """Find the CSV file: the one said, the source itself, or the one in it."""
    if said is not None:
        return source / said if (source / said).is_file() else said
    if source.is_file():
        return source
    found = [source / name for name in TABLES if (source / name).is_file()] or sorted(source.glob("*.csv"))
    if not found:
        raise UserError(f"{source}: no CSV file; give --csv, or patterns such as --image '{{case}}/img.nrrd'")
    return found[0]


def _split(cases: list[Case], splitting: Splitting) -> tuple[list[Case], str]:
    if splitting.all_in and splitting.all_in not in SPLITS:
        raise UserError(f"all in {splitting.all_in!r}: expected one of {', '.join(SPLITS)}")
    if splitting.all_in:
        return [replace(case, split=splitting.all_in) for case in cases], ""
    if not cases or any(case.split for case in cases):
        return cases, ""
    shares = ", ".join(f"{share:g}" for share in splitting.fractions)
    note = f"no splits given: subjects drawn with seed {splitting.seed}, fractions {shares}"
    return split_by_subject(cases, splitting.fractions, splitting.seed), note


def _convert(draft: Case, dest: Path, conversion: Conversion, is_hu: bool | None = None) -> Outcome:
    """Read one case's files, write those that have to change, and point the case at them."""
    values = conversion.label_values
    given = {"reference": draft.reference, "noisy": draft.noisy}
    try:
        labels = {name: read_label(draft, name, path, values) for name, path in given.items() if path is not None}
        found = tuple(label.values for label in labels.values())
        notes = tuple(note for label in labels.values() for note in label.notes)
        masks = {name: label.mask for name, label in labels.items() if label.mask is not None}
        if not masks or (draft.reference and "reference" not in masks):
            lacking = next(label for name, label in labels.items() if name not in masks)
            return Outcome(draft, None, skipped=f"{lacking.notes[0]}, case skipped", label_values=found)
        paths = {name: _label_path(dest, draft, name, masks, bool(values)) for name in given}
        case = replace(draft, reference=paths["reference"], noisy=paths["noisy"])
        if draft.image is None:
            return Outcome(draft, case, notes=notes, label_values=found)
        first = next(iter(masks.values())).array != 0
        place = dest / f"images/{draft.case_id}.nii.gz"
        image = convert_image(draft, draft.image, first, place, conversion.hu_offset, is_hu)
        return Outcome(draft, replace(case, image=image.path), notes=notes, image=image, label_values=found)
    except UserError as error:
        return Outcome(draft, None, problems=tuple(error.problems))


def _label_path(dest: Path, draft: Case, name: str, masks: Mapping[str, Volume], is_merged: bool) -> Path | None:
    """Where a label lies: in its own file, or in the cohort if its values were merged."""
    if name not in masks:
        return None
    if not is_merged:
        return draft.reference if name == "reference" else draft.noisy
    path = dest / f"{name}/{draft.case_id}.nii.gz"
    write_volume(path, masks[name])
    return path


def _as_the_others(outcomes: list[Outcome], dest: Path, conversion: Conversion) -> list[Outcome]:
    """Treat the images that do not tell whether they are in HU as most of those that do."""
    images = [outcome.image for outcome in outcomes if outcome.image]
    is_hu = majority_is_hu(images)
    if is_hu is None or conversion.hu_offset is None:
        return outcomes
    return [
        _convert_again(outcome, dest, conversion, is_hu)
        if outcome.image and not outcome.image.is_sure and outcome.image.is_hu is not is_hu
        else outcome
        for outcome in outcomes
    ]


def _convert_again(outcome: Outcome, dest: Path, conversion: Conversion, is_hu: bool) -> Outcome:
    (dest / f"images/{outcome.draft.case_id}.nii.gz").unlink(missing_ok=True)
    return _convert(outcome.draft, dest, conversion, is_hu)


def _image_notes(outcomes: Sequence[Outcome], hu_offset: float | None) -> list[str]:
    cases = [outcome.case for outcome in outcomes if outcome.case]
    notes = image_notes({o.case.case_id: o.image for o in outcomes if o.case and o.image}, hu_offset)
    if without := [case.case_id for case in cases if case.image is None]:
        notes.append(f"WARNING: {len(without)} of {len(cases)} cases have no image (first: {without[0]})")
    return notes
