"""Reads a folder tree and sorts its DICOM files into CT series, structure sets, doses and others."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydicom.dataset import Dataset

from mandseg.data.dicom.dataset import looks_like_dicom, read_header, reading, text, walk
from mandseg.data.dicom.series import CT_CLASSES, Plane, Series, arrange, planes_of
from mandseg.data.dicom.structures import STRUCTURE_SET_CLASS, StructureSet, read_structure_set
from mandseg.system.errors import UserError
from mandseg.system.progress import default_workers, for_each
from mandseg.system.wording import count

DOSE_CLASS = "1.2.840.10008.5.1.4.1.1.481.2"
CT, STRUCTURES, DOSE, OTHER, DAMAGED, FOREIGN = "CT", "RTSTRUCT", "RTDOSE", "other", "damaged", "not DICOM"
MODALITIES = ("MR", "PT", "RTPLAN", "RTIMAGE", "RTRECORD", "REG", "SR", "PR", "KO", "SEG", "OT", "SC", "CR", "DX", "US")
"""Modalities that may be printed; the tag of a file could hold any text."""
POOL_FROM = 3000  # number of files from which on several processes are faster


@dataclass(frozen=True)
class Record:
    """The kind, the owner and the identifiers of a file."""

    path: Path
    kind: str
    patient: str = ""  # identifies the patient; must never be printed
    person: str = ""  # name and birth date; must never be printed
    modality: str = ""
    sop_class_uid: str = ""
    sop_uid: str = ""
    study_uid: str = ""
    series_uid: str = ""
    frame_of_reference_uid: str = ""
    planes: tuple[Plane, ...] = ()
    structure_set: StructureSet | None = None  # without contours
    problem: str = ""


@dataclass(frozen=True)
class Scan:
    """The files of one CT series in one frame of reference, with its structure sets and doses."""

    records: tuple[Record, ...]
    structure_sets: tuple[StructureSet, ...] = ()
    doses: tuple[Record, ...] = ()
    problem: str = ""
    """A problem in other files of the patient; this series may then be incomplete."""
    orphans: tuple[tuple[StructureSet, str], ...] = ()
    """The patient's structure sets that belong to no CT series, and the reason."""

    @property
    def uid(self) -> str:
        """The UID of the series."""
        return self.records[0].series_uid

    @property
    def frame_of_reference_uid(self) -> str:
        """The UID of its frame of reference."""
        return self.records[0].frame_of_reference_uid

    @property
    def patient(self) -> str:
        """The patient."""
        return self.records[0].patient

    def refuse_problem(self) -> None:
        """Refuse a series that may be incomplete.

        Raises:
            UserError: One of the patient's files cannot be read, or its structure sets have another CT.
        """
        if self.problem:
            raise UserError(self.problem)

    def series(self) -> Series:
        """Sort the slices.

        Raises:
            UserError: A slice cannot be read, or the slices name several patients or form no regular grid.
        """
        first = self.records[0]
        if problems := [record.problem for record in self.records if record.problem]:
            raise UserError(f"{problems[0]} ({len(problems)} of {count(len(self.records), 'slice')})")
        if n_patients := len({record.patient for record in self.records}) - 1:
            raise UserError(f"the slices of one series name {n_patients + 1} patients, expected 1")
        planes = [plane for record in self.records for plane in record.planes]
        return arrange(planes, first.series_uid, first.study_uid, first.frame_of_reference_uid, first.sop_class_uid)


@dataclass(frozen=True)
class Archive:
    """The sorted files of a folder tree."""

    scans: tuple[Scan, ...]
    orphans: tuple[tuple[Record, str], ...]  # structure sets without a CT, and the reason
    doses: tuple[Record, ...]
    others: tuple[Record, ...]
    damaged: tuple[Record, ...]  # with a patient if all other files of the folder belong to one
    n_foreign: int


def read_archive(source: Path) -> Archive:
    """Read the headers of all files of a tree and sort them.

    A structure set belongs to the CT series whose UID it names; if it names none, to the only series in its frame of
    reference. A dose belongs to every series of its patient or study in its frame of reference.

    Raises:
        UserError: There is no such folder, or no file of the tree is DICOM.
    """
    if not source.exists():
        raise UserError(f"{source}: no such file or folder")
    if not source.is_dir():
        raise UserError(f"{source}: is a file, expected a folder with DICOM files")
    files = walk(source)
    workers = 1 if len(files) < POOL_FROM else default_workers(len(files))
    records = list(for_each(read_record, files, "DICOM headers", workers))
    by_kind = defaultdict(list)
    for record in records:
        by_kind[record.kind].append(record)
    if len(by_kind[FOREIGN]) == len(records):
        raise UserError(f"{source}: {count(len(records), 'file')}, none is DICOM")
    groups = _grouped(by_kind[CT])
    sets: dict[int, list[StructureSet]] = defaultdict(list)
    orphans = []
    for record in by_kind[STRUCTURES]:
        number, why = _series_of(record, groups)
        if number is None or record.structure_set is None:
            orphans.append((record, why))
        else:
            sets[number].append(record.structure_set)
    owners = {folder: patients.pop() for folder, patients in _owners(records).items() if len(patients) == 1}
    damaged = [replace(one, patient=owners.get(one.path.parent, one.patient)) for one in by_kind[DAMAGED]]
    scans = []
    for number, group in enumerate(groups):
        problem = _problem(group[0].patient, bool(sets[number]), orphans, damaged)
        doses = tuple(dose for dose in by_kind[DOSE] if _lies_in(dose, group[0]))
        without_ct = tuple(
            (record.structure_set, why)
            for record, why in orphans
            if record.structure_set is not None and record.patient == group[0].patient
        )
        scans.append(Scan(tuple(group), tuple(sets[number]), doses, problem, without_ct))
    used = {record.path for scan in scans for record in scan.doses}
    unused = tuple(record for record in by_kind[DOSE] if record.path not in used)
    others = tuple(by_kind[OTHER])
    return Archive(tuple(scans), tuple(orphans), unused, others, tuple(damaged), len(by_kind[FOREIGN]))


def read_series(source: Path) -> Series:
    """Read the slice positions of the only CT series below a folder.

    Raises:
        UserError: There is not exactly one CT series, or its slices form no regular grid.
    """
    scans = read_archive(source).scans
    if len(scans) != 1:
        raise UserError(f"{source}: {len(scans)} CT series, expected 1")
    return scans[0].series()


def read_record(path: Path) -> Record:
    """Read the header of a file; an unreadable file, link or folder becomes a record with a problem."""
    if path.is_dir():
        return Record(path, DAMAGED, problem="cannot be opened: a closed folder")
    if not path.exists():
        return Record(path, DAMAGED, problem="cannot be opened: a link that leads nowhere")
    try:
        if not path.is_file() or not looks_like_dicom(path):  # opening a pipe would wait for ever
            return Record(path, FOREIGN)
        return _record(path)
    except OSError:
        return Record(path, DAMAGED, problem="cannot be opened")
    except UserError as error:
        return Record(path, DAMAGED, problem=error.problems[0])


def _record(path: Path) -> Record:
    with reading():
        dataset = read_header(path)
        record = _identified(path, dataset)
    try:
        with reading():
            if record.kind == CT:
                return replace(record, planes=tuple(planes_of(path, dataset)))
        if record.kind == STRUCTURES:
            return replace(record, structure_set=read_structure_set(path, only=()))
    except UserError as error:
        return replace(record, problem=error.problems[0])
    return record


def _identified(path: Path, dataset: Dataset) -> Record:
    sop_class, modality = text(dataset, "SOPClassUID"), text(dataset, "Modality").upper()
    kind = {STRUCTURE_SET_CLASS: STRUCTURES, DOSE_CLASS: DOSE}.get(sop_class, OTHER)
    person = f"{text(dataset, 'PatientName')}|{text(dataset, 'PatientBirthDate')}"
    study = text(dataset, "StudyInstanceUID")
    return Record(
        path=path,
        kind=CT if sop_class in CT_CLASSES else kind,
        patient=text(dataset, "PatientID") or (person if len(person) > 1 else study),
        person=person,
        modality=modality if modality in MODALITIES else "other",
        sop_class_uid=sop_class,
        sop_uid=text(dataset, "SOPInstanceUID"),
        study_uid=study,
        series_uid=text(dataset, "SeriesInstanceUID"),
        frame_of_reference_uid=text(dataset, "FrameOfReferenceUID"),
    )


def _grouped(records: Iterable[Record]) -> list[list[Record]]:
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        groups[record.series_uid, record.frame_of_reference_uid].append(record)
    return list(groups.values())


def _series_of(record: Record, groups: Sequence[Sequence[Record]]) -> tuple[int | None, str]:
    """Find the number of the CT series of a structure set, or the reason why there is none."""
    structure_set = record.structure_set
    if structure_set is None:
        return None, f"the structure set {record.problem}"
    frames = {*structure_set.frame_of_reference_uids, *(roi.frame_of_reference_uid for roi in structure_set.rois)} - {
        ""
    }
    named = [number for number, group in enumerate(groups) if group[0].series_uid in structure_set.image_uids]
    if structure_set.image_uids and not named:
        return None, "the structure set refers to a CT series that is missing"
    candidates = named or list(range(len(groups)))
    if len(candidates) > 1 or not named:
        candidates = [number for number in candidates if groups[number][0].frame_of_reference_uid in frames]
    if len(candidates) == 1:
        return candidates[0], ""
    what = "series that it refers to" if named else "series in its frame of reference"
    return None, f"the structure set has {len(candidates)} CT {what}, expected 1"


def _lies_in(dose: Record, image: Record) -> bool:
    """Whether a dose lies in a CT; the same frame is not enough, because some anonymisers give it to all patients."""
    is_of_patient = dose.patient == image.patient or dose.study_uid == image.study_uid
    return is_of_patient and dose.frame_of_reference_uid == image.frame_of_reference_uid != ""


def _owners(records: Iterable[Record]) -> dict[Path, set[str]]:
    """Find the patients of each folder."""
    owners: dict[Path, set[str]] = defaultdict(set)
    for record in records:
        if record.kind not in (DAMAGED, FOREIGN):
            owners[record.path.parent].add(record.patient)
    return owners


def _problem(patient: str, has_sets: bool, orphans: Iterable[tuple[Record, str]], damaged: Iterable[Record]) -> str:
    """Describe why a patient's series may be incomplete: a damaged file, or structure sets of a missing CT."""
    if own := [record for record in damaged if record.patient == patient]:
        return f"{count(len(own), 'file')} beside the patient's {own[0].problem}"
    for record, why in orphans:
        if record.patient == patient and (record.problem or not has_sets):
            return why
    return ""
