"""Imports task 1 of StructSeg 2019 (organs at risk of head and neck); the halves of the mandible are merged.

Each case is a numbered folder ``1`` to ``50`` with ``data.nii.gz`` and ``label.nii.gz``. The label's values 21 and 22
are the left and the right half of the mandible. The joints have values of their own and are left out.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from mandseg.data.case import Case
from mandseg.data.importers.cohort_folder import Imported
from mandseg.data.importers.import_cases import Converted, Importer, import_cases
from mandseg.data.importers.labels import label_values, read_label, refuse_other_grid
from mandseg.data.importers.organ_files import image_named
from mandseg.data.splits import Splitting
from mandseg.data.structure import MANDIBLE, is_same_structure
from mandseg.data.volume import write_volume
from mandseg.system.errors import UserError

MANDIBLE_VALUES = (21, 22)  # left, right


@dataclass(frozen=True)
class StructSeg(Importer[Path, Converted]):
    """Points at each image and writes the merged label.

    Args:
        structure: The structure, for messages.
        values: Its values.
    """

    structure: str
    values: tuple[int, ...]
    title = "StructSeg"

    def find(self, source: Path) -> list[Path]:
        """List the numbered folders with a label, sorted by number."""
        root = source / "HaN_OAR" if (source / "HaN_OAR").is_dir() else source
        cases = [path for path in root.iterdir() if path.name.isdigit() and image_named(path, "label")]
        if not cases:
            raise UserError(f"{root}: no numbered folder with label.nii.gz; is this HaN_OAR of StructSeg 2019?")
        return sorted(cases, key=lambda path: int(path.name))

    def convert(self, found: Path, folder: Path) -> Converted:
        """Write a case's merged label; a case without one of the values is skipped."""
        case_id = f"structseg_{found.name}"
        image, path = image_named(found, "data"), image_named(found, "label")
        if image is None or path is None:
            return Converted(skipped=f"case {case_id} skipped: no data.nii.gz in {found.name}")
        case, reference = Case(case_id, case_id, "", image, None), folder / f"reference/{case_id}.nii.gz"
        halves = MANDIBLE_VALUES if self.values == MANDIBLE_VALUES else None
        label = read_label(case, "reference", path, self.structure, self.values, halves)
        lacking = [str(value) for value in self.values if value not in label.values]
        if lacking or label.mask is None:
            return Converted(skipped=f"case {case_id} skipped: its label has no value {', '.join(lacking)}")
        refuse_other_grid(case, "reference", label.mask)
        write_volume(reference, label.mask)
        return Converted(replace(case, reference=reference), notes=label.notes)


def import_structseg(
    source: Path,
    dest: Path,
    structure: str = MANDIBLE,
    values: tuple[float, ...] | None = None,
    splitting: Splitting | None = None,
    overwrite: bool = False,
) -> Imported:
    """Make a cohort of StructSeg's CTs.

    Args:
        source: The set's folder, or its HaN_OAR.
        dest: The cohort folder to write.
        structure: The structure by any of its names.
        values: Its values, merged into one mask. Default: those of the mandible.
        splitting: How to split by subject, by default 0.7, 0.1, 0.2; the set has no split.
        overwrite: Replace an existing cohort.

    Raises:
        UserError: The source does not look like StructSeg, a file is damaged, ``dest`` exists, or the values of another
            structure are missing.
    """
    if values is None and not is_same_structure(MANDIBLE, structure):
        raise UserError(f"--structure {structure!r}: StructSeg's labels are numbers; add --label-values, e.g. 1")
    numbers = label_values(MANDIBLE_VALUES if values is None else values)
    return import_cases(StructSeg(structure, numbers), source, dest, splitting, overwrite, structure)
