"""Imports SegRap 2023: original contours as noisy labels and, where they are there, updated ones as references.

Luo et al., SegRap2023 (arXiv 2312.09576). Images: ``segrap_NNNN/image.nii.gz``. Contours: files in a folder
``segrap_NNNN`` (``Mandible_L.nii.gz``, ``Mandible_R.nii.gz``), or one file ``segrap_NNNN.nii.gz`` in which the values
36 and 37 are the left and the right half of the mandible. Contours below a folder whose name has ``update`` in it are
the updated ones. The file of a second task (tumours) has the same name and is not used.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mandseg.data.case import Case
from mandseg.data.importers.cohort_folder import Imported, plain_name, stem
from mandseg.data.importers.import_cases import Converted, Importer, import_cases
from mandseg.data.importers.labels import label_values, read_label, refuse_other_grid
from mandseg.data.importers.organ_files import find_organ, image_files, image_named, one_label
from mandseg.data.importers.sides import side_notes
from mandseg.data.splits import Splitting
from mandseg.data.structure import MANDIBLE, is_same_structure
from mandseg.data.volume import is_image_file, write_volume
from mandseg.system.errors import UserError

CASE = re.compile(r"segrap_\d+", re.IGNORECASE)
MANDIBLE_VALUES = (36, 37)  # left, right
OTHER_TASK = ("task002", "task2", "gtv")
IMAGES = ("image", "imagecontrast")
ORIGINAL, UPDATED = "original", "updated"


@dataclass(frozen=True)
class Contours:
    """Where one set of labels of a case lies: a folder with a file for each structure, a file with values, or both."""

    folder: Path | None = None
    file: Path | None = None


@dataclass(frozen=True)
class Patient:
    """One case: its image and its sets of labels by name, original and updated."""

    case_id: str
    image: Path
    contours: dict[str, Contours]
    has_two_sets: bool
    """Whether the source holds updated labels of any case."""


@dataclass(frozen=True)
class SegRap(Importer[Patient, Converted]):
    """Points at each image and at its contours, and writes merged halves.

    Args:
        structure: The structure by any of its names.
        values: Its values where one file holds all structures.
    """

    structure: str
    values: tuple[int, ...]
    title = "SegRap"

    def find(self, source: Path) -> list[Patient]:
        """List the cases with an image and their sets of labels."""
        images: dict[str, Path] = {}
        found: dict[str, dict[str, Contours]] = {}
        for name, which, path in _entries(source):
            if path.is_dir() and (image := image_named(path, "image")):
                images[name] = image
            known = found.setdefault(name, {}).get(which, Contours())
            if path.is_dir() and any(plain_name(file) not in IMAGES for file in image_files(path)):
                found[name][which] = Contours(path, known.file)
            elif path.is_file():
                found[name][which] = Contours(known.folder, path)
        if not images:
            raise UserError(f"{source}: no segrap_NNNN/image.nii.gz; is this SegRap 2023?")
        has_two_sets = any(UPDATED in sets for sets in found.values())
        return [Patient(name, images[name], found[name], has_two_sets) for name in sorted(images)]

    def convert(self, found: Patient, folder: Path) -> Converted:
        """Point at a case's files; updated contours are the reference, or the original ones if there are no others."""
        labels: dict[str, Path] = {}
        missing: dict[str, str] = {}
        notes: list[str] = []
        wanted = {"reference": UPDATED, "noisy": ORIGINAL} if found.has_two_sets else {"reference": ORIGINAL}
        for column, which in wanted.items():
            dest = folder / f"{column}/{found.case_id}.nii.gz"
            label, own_notes = self._label(found, column, found.contours.get(which, Contours()), dest)
            notes += own_notes
            if isinstance(label, str):
                missing[column] = label
            else:
                labels[column] = label
        if "reference" in missing:
            kind = f"{wanted['reference']} " if found.has_two_sets else ""
            return Converted(skipped=f"case {found.case_id} skipped: {kind}contours: {missing['reference']}")
        notes += [f"case {found.case_id}: original contours: {text}, no noisy label" for text in missing.values()]
        annotator = ORIGINAL if "noisy" in labels else ""
        case = Case(found.case_id, found.case_id, "", found.image, labels["reference"], labels.get("noisy"), annotator)
        return Converted(case, notes=tuple(notes))

    def _label(self, found: Patient, column: str, contours: Contours, dest: Path) -> tuple[Path | str, tuple[str, ...]]:
        """Give the label of one set of contours, or what is missing; and notes."""
        files = image_files(contours.folder) if contours.folder else {}
        organ = find_organ(files, self.structure) if contours.folder else None
        if organ and organ.paths:
            path = one_label(found.case_id, column, organ.paths, found.image, dest)
            return path or f"{self.structure} is empty", side_notes(found.case_id, files)
        if contours.file is None or not self.values:
            return organ.missing if organ else "none", ()
        case = Case(found.case_id, found.case_id, "", found.image, None)
        halves = MANDIBLE_VALUES if self.values == MANDIBLE_VALUES else None
        label = read_label(case, column, contours.file, self.structure, self.values, halves)
        if lacking := [str(value) for value in self.values if value not in label.values]:
            return f"no value {', '.join(lacking)} in {contours.file.name}", ()
        assert label.mask is not None  # all values are there
        refuse_other_grid(case, column, label.mask)
        write_volume(dest, label.mask)
        return dest, label.notes


def import_segrap(
    source: Path,
    dest: Path,
    structure: str = MANDIBLE,
    values: tuple[float, ...] | None = None,
    splitting: Splitting | None = None,
    overwrite: bool = False,
) -> Imported:
    """Make a cohort of SegRap's CTs without contrast.

    Args:
        source: The folder that holds the training set, and the updated labels if they are to be the references.
        dest: The cohort folder to write.
        structure: The structure by any of its names, where each structure is a file.
        values: Its values, where one file holds all structures; merged into one mask. Default: those of the mandible.
        splitting: How to split by subject, by default 0.7, 0.1, 0.2; the set has no split.
        overwrite: Replace an existing cohort.

    Raises:
        UserError: The source does not look like SegRap, a file is damaged, or ``dest`` exists.
    """
    if values is None:
        values = MANDIBLE_VALUES if is_same_structure(MANDIBLE, structure) else ()
    return import_cases(SegRap(structure, label_values(values)), source, dest, splitting, overwrite, structure)


def _entries(source: Path) -> Iterator[tuple[str, str, Path]]:
    """List what belongs to a case, at any depth: its name, the set of labels that it would be, the folder or file."""
    for path in sorted(source.rglob("segrap_*")):
        name, above = stem(path.name).lower(), path.relative_to(source).parts[:-1]
        words = [plain_name(part) for part in above]
        if not CASE.fullmatch(name) or any(other in word for word in words for other in OTHER_TASK):
            continue
        if path.is_dir() or is_image_file(path):
            yield name, UPDATED if any("update" in word for word in words) else ORIGINAL, path
