"""The importers on the data sets in the form of their providers."""

from pathlib import Path

import numpy as np
import pytest

from mandseg.data.check import check_cohort
from mandseg.data.importers.deepmind_tcia import import_deepmind_tcia
from mandseg.data.importers.folder import Conversion, import_folder
from mandseg.data.importers.openkbp import find_patients, import_openkbp, protocol, read_mask
from mandseg.data.spreadsheet import read_table
from mandseg.data.volume import read_volume, to_canonical

pytestmark = pytest.mark.real_data


def test_openkbp_equals_the_same_patients_in_nifti_voxel_by_voxel(real_data: Path, tmp_path: Path) -> None:
    result = import_openkbp(real_data / "openkbp_original", tmp_path / "cohort")
    assert {case.case_id: case.split for case in result.cohort.cases} == {
        **dict.fromkeys(("pt_1", "pt_2", "pt_4"), "train"),
        "pt_201": "val",
        "pt_243": "test",
    }
    for case in result.cohort.cases:
        stored = to_canonical(read_volume(real_data / "openkbp" / "images" / f"{case.case_id}.nii.gz"))
        mask = to_canonical(read_volume(real_data / "openkbp" / "masks" / f"{case.case_id}.nii.gz"))
        image, reference = read_volume(case.image), read_volume(case.reference)
        expected = np.clip(stored.array.astype(int) - 1000, -1000, 3071)
        np.testing.assert_array_equal(image.array, expected)
        np.testing.assert_array_equal(reference.array, mask.array)
        np.testing.assert_allclose(image.affine[:3, :3], stored.affine[:3, :3], atol=1e-4)
    assert "as expected" in result.notes[0]
    assert check_cohort(tmp_path / "cohort").errors == []


def test_left_parotid_is_on_the_patients_left(real_data: Path) -> None:
    patients = find_patients(real_data / "openkbp_original")
    assert len(patients) == 5
    for patient in patients:
        left, right = (np.argwhere(read_mask(patient.folder / f"{side}Parotid.csv")) for side in ("Left", "Right"))
        cord = np.argwhere(read_mask(patient.folder / "SpinalCord.csv"))
        mandible = np.argwhere(read_mask(patient.folder / "Mandible.csv"))
        assert left[:, 0].mean() < right[:, 0].mean()  # x runs to the patient's right
        assert mandible[:, 1].mean() > cord[:, 1].mean()  # y to anterior
        assert mandible[:, 2].mean() > cord[:, 2].min()  # z to superior


def test_protocol_rule_gives_the_index_s_groups(real_data: Path) -> None:
    _, rows = read_table(real_data / "openkbp" / "index.csv")
    assert len(rows) == 150
    assert [protocol(float(row["sx_mm"])) for row in rows] == [row["protocol"] for row in rows]


@pytest.mark.slow
def test_every_fifth_row_of_the_index_goes_in_and_passes_the_check(real_data: Path, tmp_path: Path) -> None:
    lines = (real_data / "openkbp" / "index.csv").read_text().splitlines()
    folder = real_data / "openkbp"
    rows = [line.replace(",images/", f",{folder}/images/").replace(",masks/", f",{folder}/masks/") for line in lines]
    (tmp_path / "index.csv").write_text("\n".join([rows[0], *rows[1::5]]))
    result = import_folder(tmp_path / "index.csv", tmp_path / "cohort", conversion=Conversion(hu_offset=1000))
    assert len(result.cohort.cases) == 30
    assert {case.split for case in result.cohort.cases} == {"train", "val", "test"}
    assert {case.groups["protocol"] for case in result.cohort.cases} == {"fov500", "fov600", "other"}
    assert "as expected" in result.notes[0]
    checkup = check_cohort(tmp_path / "cohort")
    assert checkup.errors == []
    assert {i.hu_min for i in checkup.inspections} == {-1000}
    assert max(i.hu_max or 0 for i in checkup.inspections) == 3071
    assert not any("lies on" in finding.line for finding in checkup.warnings)


@pytest.mark.slow
def test_two_annotators_of_deepmind_are_paired_and_the_copy_is_found(real_data: Path, tmp_path: Path) -> None:
    result = import_deepmind_tcia(real_data / "deepmind_tcia", tmp_path / "cohort")
    assert len(result.cohort.cases) == 28
    assert all(case.image is None and case.reference and case.noisy for case in result.cohort.cases)
    assert result.notes[0] == "case 0522c0457: the two drawings differ in 3 of 13103 voxels, one is a copy"
    assert "28 of 28 cases have no CT_IMAGE.nrrd" in result.notes[1]
