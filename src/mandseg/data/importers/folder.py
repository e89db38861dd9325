"""Your own files, by a table or by file name patterns, in NIfTI, NRRD or MetaImage: a cohort that points at them.

What is already HU and already binary stays where it is, and the manifest points at it by relative paths: a CT archive
is not doubled. Only what has to change is written into the cohort folder as NIfTI: images with an offset, labels with
several values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mandseg.data.case import Case, image_problems, odd_label_values
from mandseg.data.importers.cohort_folder import Imported, finish, imported, new_cohort_folder
from mandseg.data.importers.columns import read_drafts
from mandseg.data.importers.hounsfield import HU_IF_BELOW, from_stored, histogram, looks_like_hu, peaks_note
from mandseg.data.importers.patterns import find_drafts
from mandseg.data.manifest import SPLITS
from mandseg.data.splits import FRACTIONS, split_by_subject
from mandseg.data.volume import Volume, read_volume, write_volume
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


@dataclass(frozen=True)
class Splitting:
    """Where the splits come from when the source has none, or when all cases go into one."""

    fractions: Sequence[float] = FRACTIONS
    seed: int = 0
    all_in: str = ""


@dataclass(frozen=True)
class Outcome:
    """What came of one case."""

    case: Case | None
    skipped: str = ""
    notes: tuple[str, ...] = ()
    is_hu: bool = True
    histogram: npt.NDArray[np.int64] | None = None  # of an image that was turned into HU
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


def _convert(draft: Case, dest: Path, conversion: Conversion) -> Outcome:
    """Read one case's files, write those that have to change, and point the case at them."""
    try:
        reference, reference_note = _label(draft, "reference", draft.reference, dest, conversion.label_values)
        noisy, noisy_note = _label(draft, "noisy", draft.noisy, dest, conversion.label_values)
        if reference is None and (draft.reference or noisy is None):
            return Outcome(None, skipped=f"{reference_note or noisy_note}, case skipped")
        labelled = replace(draft, reference=reference, noisy=noisy)
        return replace(_image(labelled, dest, conversion.hu_offset), notes=(noisy_note,) if noisy_note else ())
    except UserError as error:
        return Outcome(None, problems=tuple(error.problems))


def _label(draft: Case, name: str, path: Path | None, dest: Path, values: tuple[int, ...]) -> tuple[Path | None, str]:
    """Give the path of a binary label, written if it had to be made; None and a note if no voxel is set."""
    if path is None:
        return None, ""
    label = _read(draft, name, path)
    if values:
        label = Volume(np.isin(label.array, values), label.affine)
    elif odd := odd_label_values(label):
        text = f"{odd}, expected 0 and 1; --label-values says which are the mandible"
        raise UserError(f"case {draft.case_id}: {name} has the values {text}")
    if not label.array.any():
        what = f"value {', '.join(map(str, values))}" if values else "voxel set"
        return None, f"case {draft.case_id}: {name} has no {what}"
    return (_written(dest / f"{name}/{draft.case_id}.nii.gz", label) if values else path), ""


def _image(draft: Case, dest: Path, hu_offset: float | None) -> Outcome:
    """Say where the image is, written in HU if an offset was said and is needed, and whether it looks like HU."""
    if draft.image is None:
        return Outcome(draft)
    image = _read(draft, "image", draft.image)
    if problems := image_problems(draft, image):
        raise UserError(problems)
    if looks_like_hu(image.array) or hu_offset is None:
        return Outcome(draft, is_hu=looks_like_hu(image.array))
    hu = from_stored(image.array, hu_offset)
    path = _written(dest / f"images/{draft.case_id}.nii.gz", Volume(hu, image.affine))
    return Outcome(replace(draft, image=path), histogram=histogram(hu))


def _read(draft: Case, name: str, path: Path) -> Volume:
    try:
        return read_volume(path)
    except UserError as error:
        raise UserError([f"case {draft.case_id}: {name} {line}" for line in error.problems]) from error


def _written(path: Path, volume: Volume) -> Path:
    write_volume(path, volume)
    return path


def _image_notes(outcomes: Sequence[Outcome], hu_offset: float | None) -> list[str]:
    notes = []
    counts = [outcome.histogram for outcome in outcomes if outcome.histogram is not None]
    if counts and hu_offset is not None:
        notes.append(f"{len(counts)} images: {peaks_note(np.sum(counts, axis=0), hu_offset)}")
    kept = [(outcome.case, outcome) for outcome in outcomes if outcome.case]
    if odd := [case.case_id for case, outcome in kept if not outcome.is_hu]:
        text = f"(first: {odd[0]}): not HU? --hu-offset 1000 would turn stored values into HU"
        notes.append(f"WARNING: {len(odd)} of {len(kept)} images have no value below {HU_IF_BELOW} {text}")
    if without := [case.case_id for case, _ in kept if case.image is None]:
        notes.append(f"WARNING: {len(without)} of {len(kept)} cases have no image (first: {without[0]})")
    return notes
