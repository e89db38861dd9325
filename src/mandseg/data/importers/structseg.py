"""Imports task 1 of StructSeg 2019 (organs at risk of head and neck); the halves of the mandible are merged.

Each case is a numbered folder ``1`` to ``50`` with ``data.nii.gz`` and ``label.nii.gz``. The label's values 21 and 22
are the left and the right half of the mandible. The joints have values of their own and are left out.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from mandseg.data.case import Case
from mandseg.data.importers.cohort_folder import Imported
from mandseg.data.importers.import_cases import Converted, Importer, import_cases
from mandseg.data.importers.labels import label_values, read_label
from mandseg.data.importers.organ_files import image_named
from mandseg.data.splits import Splitting
from mandseg.data.volume import write_volume
from mandseg.system.errors import UserError

MANDIBLE = (21, 22)  # left, right


@dataclass(frozen=True)
class StructSeg(Importer[Path, Converted]):
    """Points at each image and writes the merged label.

    Args:
        values: The values of the structure.
    """

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
        label = read_label(case, "reference", path, self.values)
        lacking = [str(value) for value in self.values if value not in label.values]
        if lacking or label.mask is None:
            return Converted(skipped=f"case {case_id} skipped: its label has no value {', '.join(lacking)}")
        write_volume(reference, label.mask)
        return Converted(replace(case, reference=reference), notes=label.notes)


def import_structseg(
    source: Path,
    dest: Path,
    values: tuple[float, ...] = MANDIBLE,
    splitting: Splitting | None = None,
    overwrite: bool = False,
) -> Imported:
    """Make a cohort of StructSeg's CTs.

    Args:
        source: The set's folder, or its HaN_OAR.
        dest: The cohort folder to write.
        values: The values of the structure, merged into one mask.
        splitting: How to split by subject, by default 0.7, 0.1, 0.2; the set has no split.
        overwrite: Replace an existing cohort.

    Raises:
        UserError: The source does not look like StructSeg, a file is damaged, or ``dest`` exists.
    """
    return import_cases(StructSeg(label_values(values)), source, dest, splitting, overwrite)
