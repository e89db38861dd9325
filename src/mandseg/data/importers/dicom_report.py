"""The records of a DICOM import: the outcome of every series and ROI, and optionally the identity of pseudonyms.

The report is part of the cohort and has pseudonyms only. It has the names of ROIs that are in the table of names or
that the user gave, because others may contain the name of a person. The linking table has the real names, outside the
cohort.
"""

import csv
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
from pathlib import Path

from mandseg.data.dicom.archive import Archive
from mandseg.data.dicom.pseudonyms import OWNER_ONLY, Pseudonyms
from mandseg.data.dicom.structures import StructureSet
from mandseg.data.dicom.vocabulary import Vocabulary
from mandseg.data.manifest import MANIFEST
from mandseg.system.errors import UserError
from mandseg.system.files import LIST, atomic_write, csv_text, write_csv

REPORT = "dicom_import.csv"
COLUMNS = ("patient", "kind", "id", "name", "files", "outcome")
LINK_COLUMNS = ("kind", "pseudonym", "identity")


@dataclass(frozen=True)
class Row:
    """One object of the export and its outcome."""

    patient: str  # pseudonym
    kind: str  # CT series, structure set, ROI, dose, other series, damaged file
    id: str  # pseudonym
    name: str  # of an ROI, if it may be printed; the modality of another series
    files: int
    outcome: str


@dataclass(frozen=True)
class Names:
    """The pseudonyms of everything with a name in an archive."""

    pseudonyms: Pseudonyms
    vocabulary: Vocabulary = field(default_factory=lambda: Vocabulary({}))
    wanted: tuple[str, ...] = ()  # structure names that the user gave

    def patient(self, patient: str) -> str:
        """The subject of a case."""
        return f"p{self.pseudonyms.of('patient', patient)}"

    def case(self, patient: str, series_uid: str, frame_of_reference_uid: str) -> str:
        """The name of a case: its subject and its CT series."""
        return f"{self.patient(patient)}-{self.pseudonyms.of('case', f'{series_uid}|{frame_of_reference_uid}', 6)}"

    def object(self, uid: str) -> str:
        """The name of a series, a structure set or a dose in the report."""
        return f"u{self.pseudonyms.of('uid', uid, 8)}"

    def roi(self, name: str) -> str:
        """The name of an ROI in the report."""
        return self.vocabulary.shown(name, self.wanted) or f"roi-{self.pseudonyms.of('roi', name.strip(), 8)}"


def write_report(path: Path, rows: Iterable[Row]) -> None:
    """Write the report as CSV."""
    write_csv(path, COLUMNS, [astuple(row) for row in rows])


def left_over_rows(archive: Archive, names: Names) -> list[Row]:
    """List the files without a CT series: structure sets, doses, other series, damaged files."""
    rows = []
    for record, why in archive.orphans:
        patient, uid = names.patient(record.patient), names.object(record.sop_uid)
        rows.append(Row(patient, "structure set", uid, "", 1, why))
        rois = record.structure_set.rois if record.structure_set else ()
        rows += [
            Row(patient, "ROI", uid, names.roi(roi.name), 1, "left out: its structure set has no CT") for roi in rois
        ]
    for record in archive.doses:
        rows.append(
            Row(names.patient(record.patient), "dose", names.object(record.sop_uid), "", 1, "left out: it has no CT")
        )
    counts: dict[tuple[str, str, str], int] = {}
    for record in archive.others:
        key = names.patient(record.patient), names.object(record.series_uid), record.modality
        counts[key] = counts.get(key, 0) + 1
    rows += [Row(p, "other series", uid, kind, n, "left out: no CT") for (p, uid, kind), n in counts.items()]
    for record in archive.damaged:
        rows.append(
            Row(names.patient(record.patient) if record.patient else "", "damaged file", "", "", 1, record.problem)
        )
    if archive.n_foreign:
        rows.append(Row("", "other files", "", "", archive.n_foreign, "left out: not DICOM"))
    return rows


def write_linking_table(path: Path, archive: Archive, names: Names, source: Path) -> None:
    """Write the identity of each pseudonym, readable only by the owner; existing rows are kept.

    Raises:
        UserError: The file exists but is not a linking table.
    """
    links = _read_links(path)

    def link(kind: str, pseudonym: str, *identity: str) -> None:
        links[kind, pseudonym, " | ".join(part for part in identity if part)] = None

    def link_set(one: StructureSet) -> None:
        link("structure set", names.object(one.sop_uid), _below(one.path, source), one.label, one.sop_uid)
        if one.annotator:
            link("annotator", names.pseudonyms.person(one.annotator), one.annotator)
        for roi in one.rois:
            link("ROI", names.roi(roi.name), roi.name)

    for scan in archive.scans:
        for record in scan.records:
            link("patient", names.patient(record.patient), record.patient, record.person)
        case = names.case(scan.patient, scan.uid, scan.frame_of_reference_uid)
        link("case", case, _below(scan.records[0].path.parent, source), scan.uid)
        link("series", names.object(scan.uid), scan.uid)
        for one in scan.structure_sets:
            link_set(one)
    for record in [*(record for record, _ in archive.orphans), *archive.doses, *archive.others]:
        link("patient", names.patient(record.patient), record.patient, record.person)
        link("object", names.object(record.sop_uid), _below(record.path, source), record.sop_uid)
        if record.structure_set:
            link_set(record.structure_set)
    for record in archive.damaged:
        link("damaged file", "", _below(record.path, source))
    _write_private(path, links)


def refuse_public_place(path: Path, dest: Path, what: str) -> None:
    """Refuse to store a secret in the folder that is written, or in one of an earlier import: they may be shared.

    Raises:
        UserError: ``path`` lies in ``dest``, or in a folder that an import wrote.
    """
    above = path.resolve().parents
    written = [folder for folder in above if (folder / LIST).is_file() and (folder / MANIFEST).is_file()]
    for cohort in (dest, *written):
        if cohort.resolve() in above or path.resolve() == cohort.resolve():
            raise UserError(f"{path}: {what} would lie in {cohort}, which may be shared; expected a folder outside it")


def _read_links(path: Path) -> dict[tuple[str, ...], None]:
    """Read the links of earlier imports; none without a file."""
    if not path.exists():
        return {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = [tuple(row) for row in csv.reader(file)] or [()]
    except (OSError, UnicodeDecodeError, csv.Error):
        header, rows = (), []
    if header != LINK_COLUMNS:
        raise UserError(f"{path}: exists but is not a linking table, expected the columns {', '.join(LINK_COLUMNS)}")
    return dict.fromkeys(rows)


def _write_private(path: Path, links: Iterable[tuple[str, ...]]) -> None:
    try:
        with atomic_write(path) as file:
            Path(file.name).chmod(OWNER_ONLY)
            file.write(csv_text(LINK_COLUMNS, sorted(links)).encode())
    except UserError as error:
        reason = error.problems[0].removeprefix(f"{path}: ")
        raise UserError(f"{path}: the linking table {reason}") from error


def _below(path: Path, source: Path) -> str:
    return path.relative_to(source).as_posix() if path.is_relative_to(source) else path.name
