"""An export becomes a cohort: the choice of structures, failures with one line, the import of other patients."""

import csv
import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import MPEG4HP41, generate_uid

from command import run
from dicom_files import Ids, blank, dose, ids, save, square, structure_set, write_series, write_structure_set
from mandseg.data.check import check_cohort
from mandseg.data.dicom.archive import read_archive
from mandseg.data.dicom.dataset import reading
from mandseg.data.dicom.dose import read_dose as read_rtdose
from mandseg.data.dicom.rasterisation import Rasterised, rasterise
from mandseg.data.dicom.selection import Selection
from mandseg.data.dicom.series import Series
from mandseg.data.dicom.structures import Roi
from mandseg.data.dicom.vocabulary import read_vocabulary
from mandseg.data.dose.planned import read_dose
from mandseg.data.dose.sampling import dose_at
from mandseg.data.importers import dicom_case
from mandseg.data.manifest import Cohort, read_cohort
from mandseg.data.volume import read_volume

Capture = pytest.CaptureFixture[str]
MonkeyPatch = pytest.MonkeyPatch

HU = np.full((48, 60, 6), -1000, np.int16)
HU[20:28, 26:34, 1:5] = 900
HEIGHTS_MM = (42.5, 45.0, 47.5, 50.0)  # slices 1 to 4; the first voxel's centre is at (-20, -30, 40) mm LPS
BLOCK = [square(4, z, (3.5, -0.5)) for z in HEIGHTS_MM]  # columns 20 to 27, rows 26 to 33
SMALLER = [square(3, z, (3.5, -0.5)) for z in HEIGHTS_MM]


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key lies in this test's own settings."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return tmp_path / "export"


def write_patient(export: Path, number: int = 1, name: str = "Mandible") -> list[Dataset]:
    """A CT with a structure set CORRECTED, and a smaller one PLANNING drawn by Dr Miller; gives the CT's slices."""
    who, folder = ids(number), export / f"patient{number}"
    hu = HU.copy()
    hu[0, 0, 0] = number  # the check detects a copied CT
    slices = write_series(folder, hu, who)
    write_structure_set(folder / "RS_1.dcm", slices, {name: BLOCK, "Body": []}, who, StructureSetLabel="CORRECTED")
    planning = {"StructureSetLabel": "PLANNING", "OperatorsName": "Miller^John" if number % 2 else "MILLER^JOHN"}
    write_structure_set(folder / "RS_2.dcm", slices, {"Body": [], name: SMALLER}, who, **planning)
    return slices


def prepare(export: Path, *options: object, all_in: str = "test") -> int:
    words = ("--all-in", all_in) if all_in else ()
    return run("prepare", "dicom", export, export.parent / "cohort", *words, *options)


def cohort_of(export: Path) -> Cohort:
    return read_cohort(export.parent / "cohort")


def report_of(export: Path) -> list[dict[str, str]]:
    with (export.parent / "cohort" / "dicom_import.csv").open() as file:
        return list(csv.DictReader(file))


def voxels(path: Path | None) -> int:
    assert path is not None
    return int(np.count_nonzero(read_volume(path).array))


# What is chosen -------------------------------------------------------------------------------------------------------


def test_two_structure_sets_become_reference_and_noisy_label_on_the_ct(export: Path) -> None:
    for number in (1, 2):
        write_patient(export, number)
    assert prepare(export, "--reference", "corrected", "--noisy", "plan*") == 0
    cases = cohort_of(export).cases
    assert len({case.subject_id for case in cases}) == 2
    assert len({case.annotator for case in cases}) == 1  # one person, however capitalised
    for case in cases:
        image, reference, noisy = (read_volume(path) for path in (case.image, case.reference, case.noisy) if path)
        assert image.geometry.disagreement(reference.geometry) is None
        np.testing.assert_array_equal(reference.array, HU == 900)
        assert np.count_nonzero(noisy.array) == 6 * 6 * 4
        assert image.array[0, 0, 0] in (1, 2)
    assert check_cohort(cohort_of(export).root).errors == []


def test_files_may_lie_in_any_tree_under_any_name(export: Path) -> None:
    write_patient(export, 1)
    write_patient(export, 2)
    for number, path in enumerate(sorted(export.rglob("*.dcm"))):
        folder = export / "x" / str(number % 3)
        folder.mkdir(parents=True, exist_ok=True)
        path.rename(folder / f"{number}")
    (export / "loop").symlink_to(export, target_is_directory=True)
    assert prepare(export, "--reference", "CORRECTED") == 0
    assert [voxels(case.reference) for case in cohort_of(export).cases] == [256, 256]


@pytest.mark.parametrize("name", ["mandible", "Bone_Mandible", "UNTERKIEFER", "Mandíbula", "lower jaw", "Kinn"])
def test_the_structure_is_found_under_many_names(name: str, export: Path, tmp_path: Path) -> None:
    write_patient(export, name=name)
    (tmp_path / "own.yaml").write_text("names:\n  Bone_Mandible: [Kinn]\n")
    assert prepare(export, "--reference", "RS_1", "--synonyms", tmp_path / "own.yaml") == 0
    assert voxels(cohort_of(export).cases[0].reference) == 256


def test_a_name_outside_the_table_is_found_only_if_the_user_gives_it(export: Path, tmp_path: Path) -> None:
    write_patient(export, name="Kinnlade")
    assert prepare(export, "--reference", "RS_1") == 2
    assert prepare(export, "--reference", "RS_1", "--structure", "Mandible, kinnlade") == 0


def test_another_structure_than_the_mandible_is_in_the_manifest(export: Path) -> None:
    """The structure set has it by a German name."""
    write_patient(export, name="Auge links")
    assert prepare(export, "--reference", "RS_1", "--structure", "Eye_L") == 0
    (case,) = cohort_of(export).cases
    assert case.groups == {"structure": "Eye_L"}


@pytest.mark.parametrize(
    ("names", "structure"),
    [
        (("Mandible",), "Mandible"),
        (("Kinnlade", "Unterkiefer"), "Mandible"),
        (("Mandib*",), "Mandible"),
        (("Knochen",), "Mandible"),
        (("*corrected*", "Eye_L"), "Eye_L"),
        (("*corrected*",), ""),
    ],
)
def test_the_names_of_a_selection_mean_one_structure(names: tuple[str, ...], structure: str, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("names: {Bone_Mandible: [Knochen]}")
    assert Selection(names, vocabulary=read_vocabulary(tmp_path / "own.yaml")).structure == structure


@pytest.mark.parametrize("name", ["PRV_Mandible+3mm", "Bone_Mandible~"])  # ~: a partial contour, by TG-263
def test_an_expanded_or_partial_mandible_is_not_the_structure_and_is_reported(
    export: Path, capsys: Capture, name: str
) -> None:
    write_patient(export, name=name)
    assert prepare(export, "--reference", "RS_1") == 2
    line = "no ROI of 1 structure set means Mandible (1 ROI has it in the name: --show-names lists all)"
    assert line in capsys.readouterr().err


def test_halves_are_merged_and_one_half_alone_fails(export: Path, capsys: Capture) -> None:
    for number, sides in (
        (1, ("Mandible_L", "Rt Mandible")),
        (2, ("Unterkiefer links", "Unterkiefer re")),
        (3, ("L_Mandible",)),
    ):
        slices = write_series(export / str(number), HU, ids(number))
        halves = [[square(2, z, (3.5 + side, -0.5)) for z in HEIGHTS_MM] for side in (4, -4)]
        rois = dict(zip(sides, halves, strict=False))
        write_structure_set(export / str(number) / "RS.dcm", slices, rois, ids(number))
    assert prepare(export) == 2
    assert [voxels(case.reference) for case in cohort_of(export).cases] == [2 * 4 * 4 * 4] * 2
    assert "Mandible has a left half but no right half, expected both" in capsys.readouterr().err


@pytest.mark.parametrize(("several", "expected"), [("refuse", None), ("merge", 256 + 36 * 4), ("first", 256)])
def test_an_option_decides_on_several_rois_that_fit(
    several: str, expected: int | None, export: Path, capsys: Capture
) -> None:
    slices = write_series(export, HU, ids(1))
    far = [square(3, z, (15.5, -15.5)) for z in HEIGHTS_MM]
    rois = {"Mandibula": far, "Mandible": BLOCK, "Unterkiefer": []}
    write_structure_set(export / "RS.dcm", slices, rois, ids(1))
    code = prepare(export, "--structure", "Mandible", "--several", several)
    if expected is None:
        assert code == 2
        line = "2 ROIs mean Mandible (Mandible, Mandibula), expected 1; choose with --several"
        assert line in capsys.readouterr().err
    else:
        assert code == 0
        assert voxels(cohort_of(export).cases[0].reference) == expected


def test_reference_and_noisy_label_may_be_rois_of_one_structure_set(export: Path) -> None:
    slices = write_series(export, HU, ids(1))
    rois = {"Mandible": BLOCK, "Mandible_trainee": SMALLER}
    write_structure_set(export / "RS.dcm", slices, rois, ids(1), OperatorsName="")
    assert prepare(export, "--noisy-structure", "Mandible_trainee") == 0
    (case,) = cohort_of(export).cases
    assert (voxels(case.reference), voxels(case.noisy), case.annotator) == (256, 144, "")
    outcomes = {row["name"]: row["outcome"] for row in report_of(export) if row["kind"] == "ROI"}
    assert outcomes == {"Mandible": "reference", "Mandible_trainee": "noisy"}


def test_several_structure_sets_need_a_pattern_unless_one_alone_has_the_structure(
    export: Path, capsys: Capture
) -> None:
    slices = write_patient(export, 1)
    assert prepare(export) == 2
    assert "2 structure sets hold Mandible, expected 1; choose one with --reference" in capsys.readouterr().err
    assert prepare(export, "--reference", "*", "--noisy", "*") == 2
    (export / "patient1" / "RS_2.dcm").unlink()
    write_structure_set(export / "patient1" / "RS_3.dcm", slices, {"PTV": BLOCK}, ids(1))
    assert prepare(export) == 0


def test_several_cts_of_a_patient_are_cases_of_one_subject(export: Path) -> None:
    first, again = ids(1), ids(2)
    again = Ids(first.patient, first.name, again.study, again.series, again.frame)
    write_series(export / "unused", HU, Ids(first.patient, first.name, first.study, generate_uid(), first.frame))
    for number, who in enumerate((first, again)):
        slices = write_series(export / str(number), HU + np.int16(number), who)
        write_structure_set(export / str(number) / "RS.dcm", slices, {"Mandible": BLOCK}, who)
    assert prepare(export) == 0
    cases = cohort_of(export).cases
    assert len({case.subject_id for case in cases}) == 1
    assert len({case.case_id for case in cases}) == 2
    assert [row["outcome"] for row in report_of(export) if row["kind"] == "CT series"].count(
        "left out: no structure set refers to this CT"
    ) == 1


def test_a_series_in_two_frames_of_reference_is_two_and_the_structure_set_has_one(export: Path) -> None:
    who = ids(1)
    moved = Ids(who.patient, who.name, who.study, who.series, generate_uid())
    slices = write_series(export / "a", HU, who)
    write_series(export / "b", HU, moved)
    write_structure_set(export / "RS.dcm", slices, {"Mandible": BLOCK}, who)
    assert prepare(export) == 0
    assert voxels(cohort_of(export).cases[0].reference) == 256


def test_a_structure_set_that_names_no_series_belongs_to_the_one_in_its_frame(export: Path) -> None:
    slices = write_series(export, HU, ids(1))
    dataset = structure_set(slices, {"Mandible": BLOCK}, ids(1), image_uids=False)
    del dataset.ReferencedFrameOfReferenceSequence
    save([dataset], export / "rs")
    assert prepare(export) == 0


def test_prone_and_feet_first_patients_keep_their_contours_on_the_bone(export: Path) -> None:
    for number, (position, origin) in enumerate(
        {"HFP": (27, 29, 40), "FFS": (27, -30, 52.5), "FFP": (-20, 29, 52.5)}.items()
    ):
        folder = export / position
        flips = {"HFP": np.s_[::-1, ::-1], "FFS": np.s_[::-1, :, ::-1], "FFP": np.s_[:, ::-1, ::-1]}[position]
        slices = write_series(folder, HU[flips], ids(number), patient_position=position, origin_mm=origin)
        write_structure_set(folder / "RS.dcm", slices, {"Mandible": BLOCK}, ids(number))
    assert prepare(export) == 0
    for case in cohort_of(export).cases:
        assert case.image is not None
        assert case.reference is not None
        np.testing.assert_array_equal(read_volume(case.reference).array > 0, read_volume(case.image).array == 900)


def test_splits_are_drawn_by_patient(export: Path) -> None:
    for number in range(5):
        write_patient(export, number)
    assert prepare(export, "--reference", "RS_1", "--fractions", "0.6,0.2,0.2", all_in="") == 0
    assert sorted(case.split for case in cohort_of(export).cases) == ["test", "train", "train", "train", "val"]


def test_too_few_patients_for_splits_are_all_in_test_unless_shares_are_given(export: Path, capsys: Capture) -> None:
    for number in range(2):
        write_patient(export, number)
    assert prepare(export, "--reference", "RS_1", all_in="") == 0
    assert [case.split for case in cohort_of(export).cases] == ["test", "test"]
    assert "2 subjects are too few for these fractions" in capsys.readouterr().err
    assert prepare(export, "--reference", "RS_1", "--overwrite", "--fractions", "0.7,0.1,0.2", all_in="") == 2


def test_the_report_lists_everything_that_was_seen(export: Path) -> None:
    write_patient(export, 1)
    other = blank("1.2.840.10008.5.1.4.1.1.4", "MR", ids(1))
    other.SeriesInstanceUID = generate_uid()
    save([other], export / "patient1", "MR")
    (export / "notes.txt").write_text("no DICOM")
    assert prepare(export, "--reference", "RS_1") == 0
    rows = [(row["kind"], row["name"], row["files"], row["outcome"]) for row in report_of(export)]
    assert rows == [
        ("CT series", "", "6", "imported"),
        ("structure set", "", "1", "reference"),
        ("ROI", "Mandible", "1", "reference"),
        ("ROI", "Body", "1", "left out: not chosen"),
        ("structure set", "", "1", "left out: not chosen"),
        ("ROI", "Body", "1", "left out: not chosen"),
        ("ROI", "Mandible", "1", "left out: not chosen"),
        ("other series", "MR", "1", "left out: no CT"),
        ("other files", "", "1", "left out: not DICOM"),
    ]


# Dose -----------------------------------------------------------------------------------------------------------------


def test_a_dose_lies_in_the_patient_where_the_planning_system_has_it(export: Path) -> None:
    """A dose of 1 Gy a centimetre towards the patient's left, linear, so that interpolation gives it exactly."""
    slices = write_series(export, HU, ids(1))
    write_structure_set(export / "RS.dcm", slices, {"Mandible": BLOCK}, ids(1))
    gray = np.broadcast_to((np.arange(20) * 0.2)[:, None, None], (20, 30, 6))
    save([dose(gray, ids(1)), dose(gray * 0 + 7, ids(1), DoseSummationType="BEAM")], export, "RD")
    assert prepare(export) == 0
    (case,) = cohort_of(export).cases
    assert case.dose is not None
    assert case.image is not None
    assert case.groups == {}
    grid = read_volume(case.image).geometry
    line = np.zeros(grid.shape, bool)
    line[:, 5, 3] = True
    column = np.append(np.arange(39), 38) * 0.1  # beyond the last centre, half a voxel has the border's value
    found = dose_at(read_dose(case.dose), line, grid)
    np.testing.assert_allclose(found, np.append(column, [np.nan] * 8), atol=1e-6)
    assert [row["outcome"] for row in report_of(export) if row["kind"] == "dose"].count("imported") == 1


def test_a_dose_of_another_patient_in_the_same_frame_of_reference_is_not_taken(export: Path) -> None:
    """Some anonymisers give all patients one frame of reference."""
    for who in (ids(1), replace(ids(2), frame=ids(1).frame)):
        slices = write_series(export / who.patient, HU, who)
        write_structure_set(export / who.patient / "RS.dcm", slices, {"Mandible": BLOCK}, who)
    save([dose(np.ones((20, 30, 6)), ids(1))], export, "RD")
    assert prepare(export) == 0
    assert sorted(case.dose is None for case in cohort_of(export).cases) == [False, True]


@pytest.mark.parametrize(
    ("offsets", "first_mm"),
    [((0, 2.5, 5, 7.5), 40), ((40, 42.5, 45, 47.5), 40), ((0, -2.5, -5, -7.5), 47.5), ((47.5, 45, 42.5, 40), 47.5)],
    ids=["offsets", "positions", "offsets downwards", "positions downwards"],
)
def test_both_conventions_of_frame_offsets_put_the_frames_where_they_are(
    tmp_path: Path, offsets: tuple[float, ...], first_mm: float
) -> None:
    """Each frame has its z in mm as its dose."""
    z_mm = np.array([first_mm + abs(o - offsets[0]) * np.sign(offsets[-1] - offsets[0]) for o in offsets])
    gray = np.broadcast_to(z_mm, (4, 5, 4))
    tags = {"GridFrameOffsetVector": list(offsets)}
    save([dose(gray, ids(1), origin_mm=(0, 0, first_mm), **tags)], tmp_path, "RD")
    volume = read_rtdose(next(tmp_path.glob("RD*"))).volume
    for k in range(4):
        assert (volume.affine @ [0, 0, k, 1])[2] == pytest.approx(volume.array[0, 0, k], abs=1e-3)


@pytest.mark.parametrize(
    ("tags", "why"),
    [
        ({"DoseUnits": "RELATIVE"}, "DoseUnits RELATIVE, expected GY"),
        ({"GridFrameOffsetVector": [0, 2.5, 5, 7.5, 10, 20]}, "the dose's frames lie 2.5 to 10 mm apart"),
        (
            {"GridFrameOffsetVector": [7, 9.5, 12, 14.5, 17, 19.5]},
            "GridFrameOffsetVector begins with 7, expected 0 (off",
        ),
        ({"PixelData": b"\0\0"}, "cannot be read, the file is damaged"),
        ({"PixelSpacing": [0, 2]}, "PixelSpacing of the dose is 0, 2 mm, expected more than 0"),
        ({"PixelSpacing": [2, -2]}, "PixelSpacing of the dose is 2, -2 mm, expected more than 0"),
        ({"DoseSummationType": "BEAM"}, "none of 1 is that of a whole plan (DoseSummationType BEAM)"),
        ({"DoseType": "ERROR"}, "DoseType ERROR is a difference of two doses"),
        ({"DoseGridScaling": 0.5}, "the dose has a maximum of 500, expected 1 to 200 Gy; is it in cGy? Divide by 100"),
    ],
)
def test_a_dose_that_cannot_be_used_is_noted_and_the_case_continues(
    tags: dict[str, object], why: str, export: Path, capsys: Capture
) -> None:
    slices = write_series(export, HU, ids(1))
    write_structure_set(export / "RS.dcm", slices, {"Mandible": BLOCK}, ids(1))
    save([dose(np.ones((20, 30, 6)), ids(1), **tags)], export, "RD")
    assert prepare(export) == 0
    assert cohort_of(export).cases[0].dose is None
    assert f"no dose: {why}" in capsys.readouterr().err


# Bad input: one line a patient, the others go on ----------------------------------------------------------------------

Spoil = Callable[[Path, list[Dataset]], None]


def rewrite(folder: Path, slices: list[Dataset], rois: dict[str, list[np.ndarray]], **options: object) -> None:
    write_structure_set(folder / "RS_1.dcm", slices, rois, ids(1), **options)


def spoil_ct(keyword: str, value: object, **further: object) -> Spoil:
    def spoil(folder: Path, slices: list[Dataset]) -> None:
        with reading():
            for name, each in {keyword: value, **further}.items():
                setattr(slices[2], name, each)
        save(slices, folder / "new")
        for path in folder.glob("CT_*"):
            path.unlink()

    return spoil


def without_slices(folder: Path, slices: list[Dataset]) -> None:
    for path in folder.glob("CT_*"):
        path.unlink()


def without_one_slice(folder: Path, slices: list[Dataset]) -> None:
    next(folder.glob("CT_*")).unlink()


def cut(name: str, share: float) -> Spoil:
    def spoil(folder: Path, slices: list[Dataset]) -> None:
        path = next(folder.glob(name))
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    return spoil


def edit_set(edit: Callable[[Dataset], None]) -> Spoil:
    def spoil(folder: Path, slices: list[Dataset]) -> None:
        with reading():
            dataset = structure_set(
                slices, {"Mandible": BLOCK, "Body": BLOCK[:1]}, ids(1), StructureSetLabel="CORRECTED"
            )
            edit(dataset)
            dataset.save_as(folder / "RS_1.dcm", enforce_file_format=True)

    return spoil


def of_no_ct(dataset: Dataset) -> None:
    """It names no series, and a frame of reference without a CT. The other structure set is sound."""
    frame = dataset.ReferencedFrameOfReferenceSequence[0]
    frame.FrameOfReferenceUID, frame.RTReferencedStudySequence = generate_uid(), []
    for roi in dataset.StructureSetROISequence:
        roi.ReferencedFrameOfReferenceUID = frame.FrameOfReferenceUID


def number_twice(dataset: Dataset) -> None:
    dataset.StructureSetROISequence[1].ROINumber = 1


def contours_twice(dataset: Dataset) -> None:
    dataset.ROIContourSequence[1].ReferencedROINumber = 1


def dead_link(folder: Path, slices: list[Dataset]) -> None:
    path = next(folder.glob("RS_2*"))
    path.unlink()
    path.symlink_to(folder / "not-there.dcm")


def other_syntax(folder: Path, slices: list[Dataset]) -> None:
    path = next(folder.glob("CT_*"))
    with reading():
        dataset = dcmread(path)
        dataset.file_meta.TransferSyntaxUID = MPEG4HP41
        dataset.PixelData = encapsulate([b"mpeg"])
        dataset["PixelData"].is_undefined_length = True
        dataset.save_as(path, enforce_file_format=True)


SPOILT: dict[str, tuple[Spoil, str]] = {
    "zero slices": (without_slices, "the structure set refers to a CT series that is missing"),
    "missing slice": (without_one_slice, "the structure set refers to 6 images, 1 of them not among the 5"),
    "NaN position": (spoil_ct("ImagePositionPatient", ["nan", 0, 45]), "ImagePositionPatient is nan, 0, 45, expected"),
    "no position": (spoil_ct("ImagePositionPatient", None), "ImagePositionPatient has 0 values, expected 3"),
    "tilt": (spoil_ct("GantryDetectorTilt", 20), "slices"),
    "truncated pixels": (cut("CT_*", 0.9), "the pixels of a slice cannot be read"),
    "truncated header": (cut("CT_*", 0.05), "1 file beside the patient's cannot be read, the file is damaged"),
    "truncated structure set": (
        cut("RS_1*", 0.6),
        "the structure set cannot be read, the file is damaged or truncated",
    ),
    "empty ROI": (lambda f, s: rewrite(f, s, {"Mandible": []}), "ROI Mandible has no closed contour, it is empty"),
    "one point": (
        lambda f, s: rewrite(f, s, {"Mandible": [("POINT", np.array([[0, 0, 45.0]]))]}),  # type: ignore[list-item]
        "ROI Mandible has no closed contour, only 1 POINT contour left out",
    ),
    "outside above": (
        lambda f, s: rewrite(f, s, {"Mandible": [*BLOCK, square(4, 80)]}, image_uids=False),
        "ROI Mandible has a contour that lies 26.25 mm beyond the image's upper or lower edge, expected it inside",
    ),
    "outside beside": (
        lambda f, s: rewrite(f, s, {"Mandible": [square(4, 45, (90, 0))]}),
        "ROI Mandible has a contour that lies 66.5 mm beyond the image's left or right edge, expected it inside",
    ),
    "NaN contour": (
        lambda f, s: rewrite(f, s, {"Mandible": [square(4, 45) * [np.nan, 1, 1]]}),
        "4 coordinates of a contour are NaN or infinite",
    ),
    "frame of no CT": (edit_set(of_no_ct), "the structure set has 0 CT series in its frame of reference, expected 1"),
    "number of an ROI twice": (edit_set(number_twice), "2 ROIs have the ROI number 1, expected 1"),
    "contours of an ROI twice": (
        edit_set(contours_twice),
        "2 groups of contours refer to the ROI number 1, expected 1",
    ),
    "link that leads nowhere": (dead_link, "1 file beside the patient's cannot be opened: a link that leads nowhere"),
    "more pixels than stated": (
        spoil_ct("BitsAllocated", 8, BitsStored=8, HighBit=7),
        "the pixels of a file make 2 images, its header has 1",
    ),
    "syntax nobody decodes": (other_syntax, "they are damaged, or MPEG-4 AVC/H.264 High Profile / Level 4.1 cannot"),
    "foreign frame": (
        lambda f, s: rewrite(f, s, {"Mandible": BLOCK}, StructureSetROISequence=[foreign_roi()]),
        "ROI Mandible lies in another frame of reference than the CT, expected the same",
    ),
    "path as patient": (
        spoil_ct("PatientID", "../../etc/passwd"),
        "the slices of one series name 2 patients, expected 1",
    ),
}


def foreign_roi() -> Dataset:
    item = Dataset()
    item.ROINumber, item.ROIName, item.ReferencedFrameOfReferenceUID = 1, "Mandible", generate_uid()
    return item


@pytest.mark.parametrize("what", SPOILT)
def test_a_damaged_patient_is_one_line_and_the_others_are_imported(what: str, export: Path, capsys: Capture) -> None:
    spoil, message = SPOILT[what]
    slices = write_patient(export, 1)
    write_patient(export, 2)
    spoil(export / "patient1", slices)
    if what == "tilt":
        message = "gantry tilt: GantryDetectorTilt is 20 degrees, the slices' positions give 0"
        for plane in slices:
            plane.GantryDetectorTilt = 20
        save(slices, export / "patient1" / "again")
        for path in (export / "patient1" / "new").iterdir():
            path.unlink()
    assert prepare(export, "--reference", "RS_1") == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("mandseg: ")]
    assert len(lines) == 1
    assert message in lines[0]
    (case,) = cohort_of(export).cases
    assert voxels(case.reference) == 256
    files = {path.name for path in cohort_of(export).root.rglob("*") if path.is_file()}
    assert files == {".mandseg.json", "manifest.csv", "import.txt", "dicom_import.csv", f"{case.case_id}.nii.gz"}
    assert lines[0].removeprefix("mandseg: ") in (cohort_of(export).root / "import.txt").read_text().splitlines()


def test_a_patient_larger_than_the_memory_fails_alone(export: Path, monkeypatch: MonkeyPatch, capsys: Capture) -> None:
    write_patient(export, 1)
    write_patient(export, 2)
    tried: list[Series] = []

    def rasterised(roi: Roi, series: Series) -> Rasterised:
        tried.append(series)
        if len(tried) == 1:
            raise MemoryError
        return rasterise(roi, series)

    monkeypatch.setattr(dicom_case, "rasterise", rasterised)
    assert prepare(export, "--reference", "RS_1") == 2
    assert "its voxels need more memory than this machine has" in capsys.readouterr().err
    assert len(cohort_of(export).cases) == 1


def test_a_pipe_is_listed_and_never_opened(export: Path) -> None:
    """Opening it would wait for a writer."""
    write_patient(export, 1)
    os.mkfifo(export / "patient1" / "pipe.dcm")
    assert prepare(export, "--reference", "RS_1") == 0
    assert report_of(export)[-1] | {"files": "1", "outcome": "left out: not DICOM"} == report_of(export)[-1]


def test_folders_and_links_that_cannot_be_opened_are_records_with_a_problem(
    export: Path, monkeypatch: MonkeyPatch
) -> None:
    """The superuser may open every folder, so the error of the operating system is made here."""
    write_patient(export, 1)
    (export / "closed").mkdir()
    (export / "loop.dcm").symlink_to(export / "loop.dcm")
    (export / "again").symlink_to(export)
    scan = os.scandir

    def scandir(path: str) -> Any:
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    problems = {record.path.name: record.problem for record in read_archive(export).damaged}
    assert problems == {
        "closed": "cannot be opened: a closed folder",
        "loop.dcm": "cannot be opened: a link that leads nowhere",
    }


def test_where_every_patient_fails_nothing_is_written(export: Path, capsys: Capture) -> None:
    write_patient(export, 1)
    without_one_slice(export / "patient1", [])
    assert prepare(export, "--reference", "RS_1") == 2
    assert sorted(path.name for path in export.parent.iterdir()) == ["export", "settings"]
    assert "1 of them not among the 5" in capsys.readouterr().err


def test_a_folder_without_dicom_is_refused(export: Path, capsys: Capture) -> None:
    export.mkdir()
    (export / "a.txt").write_text("hello")
    assert prepare(export) == 2
    assert "1 file, none is DICOM" in capsys.readouterr().err
    assert run("prepare", "dicom", str(export / "missing"), "--show-names") == 2
    assert capsys.readouterr().err == f"mandseg: {export / 'missing'}: no such file or folder\n"
    assert run("prepare", "dicom", str(export / "a.txt"), str(export / "cohort")) == 2
    assert "a.txt: is a file, expected a folder with DICOM files" in capsys.readouterr().err


def test_bytes_flipped_anywhere_never_end_in_a_traceback(export: Path) -> None:
    slices = write_patient(export, 1)
    write_patient(export, 2)
    assert slices
    rng = np.random.default_rng(0)
    targets = sorted((export / "patient1").iterdir())
    whole = {path: path.read_bytes() for path in targets}
    for _ in range(25):
        path = targets[int(rng.integers(len(targets)))]
        spoilt = bytearray(whole[path])
        for at in rng.integers(0, min(len(spoilt), 1500), 3):
            spoilt[at] = int(rng.integers(256))
        path.write_bytes(bytes(spoilt))
        assert prepare(export, "--reference", "RS_1", "--overwrite") in (0, 2)
        assert len(cohort_of(export).cases) in (1, 2)
        path.write_bytes(whole[path])
