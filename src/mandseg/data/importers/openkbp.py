"""Imports OpenKBP: converts its folders of sparse voxel lists to NIfTI files in HU.

Babier et al., Med Phys 48:5549 (2021). Each patient is a folder of CSV files ``index,value``; the index is into a
flattened 128 x 128 x 128 array whose axes run [posterior, left, inferior].

The data set stores HU + 1000. Over 150 patients, the peak of fat is stored as 903 (-97 HU) and the peak of soft tissue
as 1037 (+37 HU). The highest value of 12-bit scanners, 3071 HU, is stored as 4071. An offset of 1024 would give fat
-121 HU and muscle +13 HU. Voxels without data store 0: outside the body, or above and below the planned region. They
become air. Of a patient with a dose.csv, the planned dose in Gy is written, too; it stores no voxel outside the region
that a dose may reach, and these are 0.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mandseg.data.case import Case
from mandseg.data.dose.planned import implausible
from mandseg.data.importers.cohort_folder import Imported
from mandseg.data.importers.hounsfield import from_stored, histogram, peaks_note
from mandseg.data.importers.import_cases import Converted, Importer, import_cases
from mandseg.data.importers.organ_files import find_organ
from mandseg.data.importers.sides import side_notes
from mandseg.data.structure import MANDIBLE
from mandseg.data.volume import Affine, Volume, write_volume
from mandseg.system.errors import UserError, in_plain_words
from mandseg.system.wording import count, verb

SHAPE = (128, 128, 128)
HU_OFFSET = 1000.0
FOLDERS = {"train-pats": "train", "valid-pats": "val", "validation-pats": "val", "test-pats": "test"}
"""The README of the data set names valid-pats, its repository has validation-pats."""
PROTOCOLS_MM = {"fov500": 500.0, "fov600": 600.0}
PROTOCOL_TOLERANCE = 0.02  # of the field of view: 490-510 and 588-612 mm; the nearest others are 480, 515, 580, 618


@dataclass(frozen=True)
class Patient:
    """The folder of a patient and its official split."""

    folder: Path
    split: str


@dataclass(frozen=True)
class ConvertedPatient(Converted):
    """A converted patient with the HU of its image."""

    histogram: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True)
class OpenKbp(Importer[Patient, ConvertedPatient]):
    """Converts patients who have the structure and keeps their official split.

    Args:
        hu_offset: Stored value of 0 HU.
        structure: The structure by any of its names.
    """

    hu_offset: float
    structure: str = MANDIBLE
    title = "OpenKBP"

    def find(self, source: Path) -> list[Patient]:
        """List the patients' folders, see ``find_patients``."""
        return find_patients(source)

    def convert(self, found: Patient, folder: Path) -> ConvertedPatient:
        """Write a patient's image in HU and its structure; a patient without it is skipped."""
        name = found.folder.name
        files = {path.stem: path for path in found.folder.glob("*.csv")}
        organ = find_organ(files, self.structure)
        if organ.missing:
            return ConvertedPatient(skipped=f"case {name} skipped: {organ.missing}.csv in {found.folder.parent.name}")
        try:
            mask = np.logical_or.reduce([read_mask(path) for path in organ.paths])
            if not mask.any():
                return ConvertedPatient(skipped=f"case {name} skipped: {organ.paths[0].name} lists no voxel")
            affine = read_affine(found.folder)
            hu = from_stored(read_image(found.folder), self.hu_offset)
        except UserError as error:
            raise UserError(f"case {name}: {error}") from error
        image, reference = folder / f"images/{name}.nii.gz", folder / f"labels/{name}.nii.gz"
        write_volume(image, Volume(hu, affine))
        write_volume(reference, Volume(mask, affine))
        groups = {"protocol": protocol(affine[0, 0])}
        dose = _write_dose(found.folder, folder / f"dose/{name}.nii.gz", affine)
        case = Case(name, name, found.split, image, reference, groups=groups, dose=dose)
        notes = side_notes(name, files, lambda path: Volume(read_mask(path), affine))
        return ConvertedPatient(case, notes=notes, histogram=histogram(hu))

    def conclude(self, converted: list[ConvertedPatient], folder: Path) -> tuple[list[ConvertedPatient], list[str]]:
        """Note where the peaks of fat and of soft tissue lie in all images together."""
        counts = [result.histogram for result in converted if result.histogram is not None]
        return converted, [peaks_note(np.sum(counts, axis=0), self.hu_offset)] if counts else []


def import_openkbp(
    source: Path, dest: Path, hu_offset: float = HU_OFFSET, overwrite: bool = False, structure: str = MANDIBLE
) -> Imported:
    """Convert every patient who has the structure, keeping the official split.

    Args:
        source: The repository's folder, or its provided-data.
        dest: The cohort folder to write; grouping column ``protocol`` (fov500, fov600 or other).
        hu_offset: Stored value of 0 HU.
        overwrite: Replace an existing cohort.
        structure: The structure by any of its names.

    Raises:
        UserError: The source does not look like OpenKBP, files are damaged, or ``dest`` exists.
    """
    return import_cases(OpenKbp(hu_offset, structure), source, dest, overwrite=overwrite, structure=structure)


def find_patients(source: Path) -> list[Patient]:
    """List the folders of the patients in train, validation and test, sorted by number.

    Raises:
        UserError: There are none, or a patient is in two splits.
    """
    root = source / "provided-data" if (source / "provided-data").is_dir() else source
    found: dict[str, Patient] = {}
    problems = []
    for name, split in FOLDERS.items():
        for folder in sorted((root / name).glob("pt_*"), key=_number):
            if other := found.get(folder.name):
                problems.append(f"case {folder.name}: in {name} and in {other.folder.parent.name}, expected in one")
            found[folder.name] = Patient(folder, split)
    if not found:
        problems.append(f"{root}: no pt_* folder in any of {', '.join(FOLDERS)}; is this OpenKBP's provided-data?")
    if problems:
        raise UserError(problems)
    return list(found.values())


def read_gray(path: Path) -> npt.NDArray[np.float32]:
    """Read a patient's dose.csv: Gy (128, 128, 128) on RAS+ axes, 0 where nothing is stored."""
    table = _read_csv(path, columns=(0, 1))
    return _on_ras_axes(path, table[:, 0], table[:, 1])


def _write_dose(patient: Path, file: Path, affine: Affine) -> Path | None:
    """Write the dose of a patient if there is one.

    Raises:
        UserError: It cannot be a planned dose in Gy.
    """
    if not (patient / "dose.csv").is_file():
        return None
    dose = Volume(read_gray(patient / "dose.csv"), affine)
    if reason := implausible(dose):
        raise UserError(f"case {patient.name}: {reason}")
    write_volume(file, dose)
    return file


def read_image(folder: Path) -> npt.NDArray[np.float32]:
    """Read a patient's ct.csv: stored values (128, 128, 128) on RAS+ axes, 0 where nothing is stored."""
    table = _read_csv(folder / "ct.csv", columns=(0, 1))
    return _on_ras_axes(folder / "ct.csv", table[:, 0], table[:, 1])


def read_mask(path: Path) -> npt.NDArray[np.bool_]:
    """Read the CSV of a structure, which lists voxels without values: a mask (128, 128, 128) on RAS+ axes."""
    table = _read_csv(path, columns=(0,))
    return _on_ras_axes(path, table[:, 0], np.ones(len(table))) > 0


def read_affine(folder: Path) -> Affine:
    """Make the affine to RAS+ mm from voxel_dimensions.csv; without an origin, the grid's centre is at 0."""
    path = folder / "voxel_dimensions.csv"
    spacing_mm = _read_numbers(path, skiprows=0, usecols=(0,))[:, 0]
    if spacing_mm.shape != (3,) or not (spacing_mm > 0).all():
        raise UserError(f"{path}: {spacing_mm.tolist()}, expected three voxel edges in mm")
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = -spacing_mm * (np.array(SHAPE) - 1) / 2
    return affine


def protocol(spacing_x_mm: float) -> str:
    """Name the in-plane field of view: fov500 or fov600 within 2 %, otherwise other."""
    field_mm = spacing_x_mm * SHAPE[0]
    for name, nominal_mm in PROTOCOLS_MM.items():
        if abs(field_mm - nominal_mm) <= PROTOCOL_TOLERANCE * nominal_mm:
            return name
    return "other"


def _on_ras_axes(
    path: Path, indices: npt.NDArray[np.float64], values: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """Fill a dense array from voxel lists and turn its axes [P+, L+, I+] into [R+, A+, S+]."""
    size = int(np.prod(SHAPE))
    if indices.size and (indices.min() < 0 or indices.max() >= size):
        raise UserError(f"{path}: voxel index {indices.min():.0f} to {indices.max():.0f}, expected 0 to {size - 1}")
    dense = np.zeros(size, np.float32)
    dense[indices.astype(np.int64)] = values
    return np.ascontiguousarray(dense.reshape(SHAPE).transpose(1, 0, 2)[::-1, ::-1, ::-1])


def _read_csv(path: Path, columns: tuple[int, ...]) -> npt.NDArray[np.float64]:
    return _read_numbers(path, skiprows=1, usecols=columns)


def _read_numbers(path: Path, skiprows: int, usecols: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Read the numbers of a CSV file; (0, columns) if it has none."""
    if not path.is_file():
        raise UserError(f"{path.name}: no such file in {path.parent}")
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[skiprows:]
        if not any(line.strip() for line in lines):
            return np.empty((0, len(usecols)))
        table = np.loadtxt(lines, delimiter=",", usecols=usecols, ndmin=2)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: {in_plain_words(error)}") from error
    except ValueError as error:
        wanted = f"numbers in the columns {', '.join(str(column + 1) for column in usecols)}"
        raise UserError(f"{path}: not a table of numbers (expected {wanted} of each row)") from error
    if not np.isfinite(table).all():
        n = int(np.count_nonzero(~np.isfinite(table)))
        raise UserError(f"{path}: {count(n, 'value')} {verb(n, 'are')} NaN or infinite")
    return table


def _number(folder: Path) -> tuple[int, str]:
    digits = "".join(letter for letter in folder.name if letter.isdigit())
    return int(digits or 0), folder.name
