"""Identities planted in every tag of every file are in no byte of what an import writes, prints or logs."""

import csv
import gzip
import logging
from pathlib import Path

import numpy as np
import pytest
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import generate_uid

from command import run
from dicom_files import Ids, ct_slices, dose, ids, save, square, structure_set
from mandseg.data.dicom.dataset import reading
from mandseg.data.dicom.pseudonyms import read_or_make_key
from mandseg.data.manifest import read_cohort
from mandseg.system.errors import UserError

Capture = pytest.CaptureFixture[str]

SECRET = "Geheim"  # in every text of every file, whatever its case
DATE = "19610203"
NUMBER = "4711471147114711"  # in every UID and every number written as text
TEXTS = {"PN", "LO", "SH", "LT", "ST", "UT", "UC", "AE", "UR", "CS"}
NEEDED = {  # without these a file is no CT, no structure set or no dose
    "Modality", "ImageType", "PhotometricInterpretation", "PatientPosition", "ContourGeometricType", "DoseUnits",
    "DoseSummationType", "SOPClassUID", "ReferencedSOPClassUID", "SpecificCharacterSet", "RescaleType", "ROIName",
}  # fmt: skip
KEYWORDS = [
    (tag, vr, keyword) for tag, (vr, _, _, retired, keyword) in DicomDictionary.items() if not retired and keyword
]


def plant(dataset: Dataset, depth: int = 0) -> None:
    """Fill every text, date, time and identifier of the dictionary and private tags, also below sequences."""
    for tag, vr, keyword in KEYWORDS:
        if tag >> 16 < 8 or tag >> 16 == 0xFFFE or keyword in NEEDED or (keyword in dataset and vr in ("CS", "UI")):
            continue
        if vr in TEXTS:
            dataset.add_new(tag, vr, f"{SECRET}^{keyword}"[:16])
        elif vr == "UI":
            dataset.add_new(tag, vr, f"1.2.{NUMBER}.1") if keyword not in dataset else None
        elif vr in ("DA", "DT"):
            dataset.add_new(tag, vr, DATE)
        elif vr == "TM":
            dataset.add_new(tag, vr, "101112")
    private = dataset.private_block(0x0009, SECRET, create=True)
    private.add_new(0x01, "LO", SECRET)
    item = Dataset()
    item.PatientName, item.PatientID = SECRET, f"{SECRET}{NUMBER}"
    dataset.RequestAttributesSequence = [item]
    dataset.OtherPatientIDsSequence = [item]
    for element in dataset:
        if element.VR == "SQ" and depth < 4 and element.tag != Tag("RequestAttributesSequence"):
            for nested in element.value:
                if len(nested) > 2 and "PatientName" not in nested:
                    nested.PatientName = SECRET


def write_planted(export: Path) -> None:
    """Two patients with two structure sets and a dose each, one of whom fails, and one broken file."""
    hu = np.full((24, 20, 6), -1000, np.int16)
    hu[8:16, 6:14] = 900
    for number in (1, 2):
        plain = ids(number)
        who = Ids(
            f"{SECRET}{NUMBER}{number}", f"{SECRET}^Erika{number}", *(f"1.2.{NUMBER}.{number}.{n}" for n in (1, 2, 3))
        )
        assert plain.study != who.study
        slices = ct_slices(hu, who)
        for count, plane in enumerate(slices):
            plane.SOPInstanceUID = f"1.2.{NUMBER}.{number}.9.{count}"
        rois = {
            "Mandible": [square(4, z, (-8.5, -20.5)) for z in (42.5, 45)],
            f"{SECRET}_PTV": [square(3, 45, (-8, -20))],
        }
        if number == 2:
            rois["Mandible"] = [square(4, z, (400, -20)) for z in (42.5, 45)]
        sets = [structure_set(slices, rois, who, StructureSetLabel=f"{SECRET}{n}") for n in (1, 2)]
        doses = [dose(np.ones((12, 10, 6)), who)]
        with reading():
            for dataset in [*slices, *sets, *doses]:
                label = dataset.get("StructureSetLabel")
                plant(dataset)
                dataset.PatientID, dataset.PatientName = who.patient, who.name
                if label:
                    dataset.StructureSetLabel = label
                    dataset.OperatorsName = f"{SECRET}^Operator"
        folder = export / f"{SECRET}_{number}_{NUMBER}"
        save(slices, folder / SECRET)
        save(sets, folder, f"RS_{SECRET}")
        save(doses, folder, f"RD_{SECRET}")
    (export / SECRET).mkdir()
    (export / SECRET / f"{SECRET}.dcm").write_bytes(b"\0" * 128 + b"DICM" + SECRET.encode())


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key lies in this test's own settings."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    export = tmp_path_factory.mktemp("planted") / "export"
    write_planted(export)
    return export


def every_byte(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, unpacked where it is packed, under its name."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        found[str(path.relative_to(folder))] = data + (gzip.decompress(data) if path.suffix == ".gz" else b"")
    return found


def leaks(text: str | bytes) -> list[bytes]:
    data = text.encode() if isinstance(text, str) else text
    return [word for word in (SECRET.lower().encode(), DATE.encode(), NUMBER.encode()) if word in data.lower()]


def test_no_identity_is_in_any_byte_of_the_cohort_or_of_what_is_printed_or_logged(
    planted: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    options = ("--reference", f"{SECRET}1", "--noisy", f"{SECRET}2", "--all-in", "test")
    assert run("prepare", "dicom", planted, tmp_path / "cohort", *options) == 2  # the second one's contours lie outside
    (case,) = read_cohort(tmp_path / "cohort").cases
    assert case.annotator
    assert case.dose
    assert run("check", tmp_path / "cohort", "--csv", tmp_path / "cohort" / "check.csv") == 0
    written = every_byte(tmp_path / "cohort")
    assert len(written) == 9  # list of files, manifest, import.txt, report, check, image, two labels, dose
    for name, data in written.items():
        assert leaks(name) + leaks(data) == [], name
    printed = capfd.readouterr()
    own_words = printed.err.replace(str(planted), "").replace(str(tmp_path), "")
    assert "a contour that lies" in own_words
    assert leaks(printed.out) + leaks(own_words) + leaks(caplog.text) == []


def test_the_planted_files_do_hold_the_identities(planted: Path) -> None:
    for name, data in every_byte(planted).items():
        assert SECRET.encode() in data, name
    assert sum(DATE.encode() in data for data in every_byte(planted).values()) == 2 * (6 + 2 + 1)
    assert min(data.count(SECRET.encode()) for name, data in every_byte(planted).items() if "RS" in name) > 500


def test_the_key_is_private_made_once_and_in_no_output(planted: Path, tmp_path: Path, capfd: Capture) -> None:
    options = ("--reference", f"{SECRET}1", "--all-in", "test", "--linking-table", tmp_path / "link.csv")
    run("prepare", "dicom", planted, tmp_path / "cohort", *options)
    key = tmp_path / "settings" / "mandseg" / "pseudonyms.key"
    assert key.stat().st_mode & 0o777 == 0o600
    secret = key.read_text().strip()
    assert len(secret) == 64
    printed = capfd.readouterr()
    assert secret not in printed.out + printed.err + (tmp_path / "link.csv").read_text()
    assert not any(secret.encode() in data for data in every_byte(tmp_path / "cohort").values())
    first = read_cohort(tmp_path / "cohort").cases[0].case_id
    run("prepare", "dicom", planted, tmp_path / "again", "--reference", f"{SECRET}1", "--all-in", "test")
    run("prepare", "dicom", planted, tmp_path / "other", *options[:4], "--key", tmp_path / "other.key")
    assert read_cohort(tmp_path / "again").cases[0].case_id == first
    assert read_cohort(tmp_path / "other").cases[0].case_id != first


def test_the_linking_table_names_every_patient_and_is_private(planted: Path, tmp_path: Path) -> None:
    link = tmp_path / "safe" / "link.csv"
    options = ("--reference", f"{SECRET}1", "--noisy", f"{SECRET}2", "--all-in", "test", "--linking-table", link)
    run("prepare", "dicom", planted, tmp_path / "cohort", *options)
    assert link.stat().st_mode & 0o777 == 0o600
    with link.open() as file:
        rows = list(csv.DictReader(file))
    patients = {row["pseudonym"]: row["identity"] for row in rows if row["kind"] == "patient"}
    (case,) = read_cohort(tmp_path / "cohort").cases
    assert f"{SECRET}{NUMBER}1" in patients[case.subject_id]
    assert len(patients) == 2  # the one that failed too
    assert {row["pseudonym"] for row in rows if row["kind"] == "annotator"} == {case.annotator}


def test_a_linking_table_keeps_earlier_links_and_no_other_file_is_overwritten(
    planted: Path, tmp_path: Path, capfd: Capture
) -> None:
    link = tmp_path / "link.csv"
    options = ("--reference", f"{SECRET}1", "--all-in", "test", "--linking-table", link)
    link.write_text("kind,pseudonym,identity\npatient,p1,earlier\n")
    run("prepare", "dicom", planted, tmp_path / "cohort", *options)
    assert "patient,p1,earlier" in link.read_text()
    assert len(link.read_text().splitlines()) > 10
    link.write_text("my thesis")
    assert run("prepare", "dicom", planted, tmp_path / "again", *options) == 2
    assert link.read_text() == "my thesis"
    assert "is not a linking table" in capfd.readouterr().err


@pytest.mark.parametrize(("option", "what"), [("--key", "the key"), ("--linking-table", "the linking table")])
def test_no_secret_may_lie_in_the_cohort(option: str, what: str, planted: Path, tmp_path: Path, capfd: Capture) -> None:
    dest = tmp_path / "cohort"
    assert run("prepare", "dicom", planted, dest, option, dest / "x" / ".." / "secret") == 2
    assert f"{what} would lie in {dest}, which may be shared" in capfd.readouterr().err
    assert not dest.exists()


@pytest.mark.parametrize(("option", "what"), [("--key", "the key"), ("--linking-table", "the linking table")])
def test_no_secret_may_lie_in_the_cohort_of_an_earlier_import(
    option: str, what: str, planted: Path, tmp_path: Path, capfd: Capture
) -> None:
    options = ("--reference", f"{SECRET}1", "--all-in", "test")
    run("prepare", "dicom", planted, tmp_path / "first", *options)
    before = every_byte(tmp_path / "first")
    assert run("prepare", "dicom", planted, tmp_path / "second", *options, option, tmp_path / "first/secret") == 2
    assert f"{what} would lie in {tmp_path / 'first'}, which may be shared" in capfd.readouterr().err
    assert every_byte(tmp_path / "first") == before
    assert not (tmp_path / "second").exists()


def test_a_key_that_others_may_read_or_that_is_too_short_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("0123456789abcdef")
    key.chmod(0o644)
    with pytest.raises(UserError, match="mode 644, expected 600"):
        read_or_make_key(key)
    key.chmod(0o600)
    assert read_or_make_key(key).of("patient", "1") == read_or_make_key(key).of("patient", "1")
    assert "0123" not in repr(read_or_make_key(key))
    key.write_text("short")
    with pytest.raises(UserError, match="5 bytes, expected at least 16"):
        read_or_make_key(key)


def test_secrets_that_cannot_be_written_are_one_line(planted: Path, tmp_path: Path, capfd: Capture) -> None:
    (tmp_path / "file").write_text("")
    for option in ("--key", "--linking-table"):
        assert run("prepare", "dicom", planted, tmp_path / "cohort", option, tmp_path / "file" / "x") == 2
        (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("mandseg: ")]
        assert "cannot be written" in line


def test_one_person_has_one_pseudonym_and_a_patient_of_that_name_another(tmp_path: Path) -> None:
    pseudonyms = read_or_make_key(tmp_path / "key")
    assert pseudonyms.person("Miller^John") == pseudonyms.person(" MILLER JOHN ")
    assert pseudonyms.person("Miller^Jane") != pseudonyms.person("Miller^John")
    assert pseudonyms.of("patient", "miller john", 8) not in pseudonyms.person("Miller^John")
    assert pseudonyms.person("") == ""


def test_names_are_shown_on_request_and_nothing_is_written(planted: Path, tmp_path: Path, capfd: Capture) -> None:
    before = every_byte(tmp_path)
    assert run("prepare", "dicom", planted, "--show-names") == 0
    shown = capfd.readouterr().out.splitlines()
    assert len(shown) == 4
    assert f"'{SECRET}_PTV'" in shown[0]
    assert every_byte(tmp_path) == before


def test_two_people_under_one_patient_id_are_warned_of(tmp_path: Path, capfd: Capture) -> None:
    hu = np.full((24, 20, 4), -1000, np.int16)
    for number in (1, 2):
        who = Ids("ANONYMOUS", f"Name{number}", *(generate_uid() for _ in range(3)))
        slices = ct_slices(hu + np.int16(number), who)
        save(slices, tmp_path / "export" / str(number))
        save(
            [structure_set(slices, {"Mandible": [square(4, 42.5, (-8, -20))]}, who)],
            tmp_path / "export" / str(number),
            "RS",
        )
    assert run("prepare", "dicom", tmp_path / "export", tmp_path / "cohort", "--all-in", "test") == 0
    assert len({case.subject_id for case in read_cohort(tmp_path / "cohort").cases}) == 1
    assert "2 names or birth dates share a PatientID and count as one subject" in capfd.readouterr().err
