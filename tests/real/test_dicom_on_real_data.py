"""Real CT series and structure sets: contours on the anatomy, broken exports refused, masks out and back."""

import shutil
import subprocess
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from scipy import ndimage

from bone_network import write_checkpoint
from command import run
from mandseg.data.check import check_cohort
from mandseg.data.dicom.archive import read_series
from mandseg.data.dicom.pixels import read_ct
from mandseg.data.dicom.rasterisation import rasterise
from mandseg.data.dicom.rtstruct import write_rtstruct
from mandseg.data.dicom.series import Series
from mandseg.data.dicom.structures import read_structure_set
from mandseg.data.manifest import read_cohort
from mandseg.data.volume import Volume, read_volume

pytestmark = pytest.mark.real_data

CHEST = [f"pat_{number}" for number in range(1, 5)]


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key lies in this test's own settings."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))


@pytest.fixture(scope="module")
def head(real_data: Path) -> Series:
    return read_series(real_data / "dicom" / "head_neck_ct")


def polygon_volume_mm3(path: Path, series: Series) -> float:
    """The contours' areas by the shoelace formula, times the slice spacing."""
    (roi,) = read_structure_set(path).rois
    areas = []
    for contour in roi.contours:
        x, y = contour.points[:, 0], contour.points[:, 1]
        areas.append(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)
    return float(np.sum(areas)) * series.slice_mm


def test_the_head_and_neck_series_is_one_regular_grid_in_hu(head: Series) -> None:
    volume = read_ct(head)
    assert volume.array.shape == (511, 511, 90)
    assert volume.geometry.spacing_mm == pytest.approx((1, 1, 3))
    assert volume.array.min() == -1024
    assert -110 < np.median(volume.array[(volume.array > -200) & (volume.array < -50)]) < -70  # fat


def test_highdicom_puts_the_head_and_neck_series_in_the_same_place(head: Series) -> None:
    oracle = highdicom.get_volume_from_series([pydicom.dcmread(plane.path) for plane in head.planes])
    ours = head.to_patient(np.array([[0, 0, 0], [510, 510, 89.0]]))
    at = (np.linalg.inv(oracle.affine) @ np.column_stack([ours, [1, 1]]).T)[:3].T  # slice, row, column
    np.testing.assert_allclose(np.sort(at, axis=0), [[0, 0, 0], [89, 510, 510]], atol=1e-3)


@pytest.mark.parametrize("patient", CHEST)
def test_contours_without_image_references_have_their_polygons_volume(patient: str, real_data: Path) -> None:
    folder = real_data / "dicom" / "chest_ct_rtstruct" / patient
    series = read_series(folder)
    (path,) = folder.glob("DCM_RS_*")
    found = rasterise(read_structure_set(path).rois[0], series)
    volume_mm3 = found.mask.sum() * series.geometry.voxel_ml * 1000
    # Drawn on a coarse screen grid, with long runs along rows: the smallest, of 4,047 voxels, is off by 1.7 %.
    assert volume_mm3 == pytest.approx(polygon_volume_mm3(path, series), rel=0.02)
    assert found.notes == ()


@pytest.mark.skipif(shutil.which("plastimatch") is None, reason="plastimatch is not installed")
@pytest.mark.parametrize("patient", CHEST)
def test_plastimatch_makes_the_same_mask(patient: str, real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "dicom" / "chest_ct_rtstruct" / patient
    series = read_series(folder)
    (path,) = folder.glob("DCM_RS_*")
    ours = rasterise(read_structure_set(path).rois[0], series).mask
    command = ["plastimatch", "convert", "--input", path, "--referenced-ct", folder, "--xor-contours"]
    subprocess.run([*command, "--output-prefix", tmp_path, "--prefix-format", "nrrd"], check=True, capture_output=True)
    (file,) = tmp_path.glob("*.nrrd")
    theirs = read_volume(file).array > 0
    dice = 2 * (ours & theirs).sum() / (ours.sum() + theirs.sum())
    assert dice >= 0.99  # measured: 1.000 on all four


def test_the_whole_folder_is_imported_and_the_broken_exports_are_refused(
    real_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ("--structure", "GTV-1,ROI-1,Heart", "--several", "first", "--all-in", "test")
    assert run("prepare", "dicom", real_data / "dicom", tmp_path / "cohort", *options) == 2
    printed = capfd.readouterr().err
    assert "the structure set refers to 98 images, 97 of them not among the 1 of the CT series" in printed
    assert "the structure set refers to 5 images, 3 of them not among the 2 of the CT series" in printed
    assert "skipped: no structure set refers to this CT" in printed
    cases = read_cohort(tmp_path / "cohort").cases
    assert len(cases) == 4
    volumes_ml = sorted(round(i.reference_ml or 0) for i in check_cohort(tmp_path / "cohort").inspections)
    assert volumes_ml == [6, 12, 123, 359]
    for case in cases:
        assert case.image is not None
        assert case.reference is not None
        image, label = read_volume(case.image).array, read_volume(case.reference).array > 0
        rim = ndimage.binary_dilation(label, iterations=3) & ~ndimage.binary_dilation(label)
        assert np.mean(image[label]) > np.mean(image[rim])  # a tumour is denser than the lung around it


def test_a_mask_of_real_bone_comes_back_from_its_structure_set(head: Series, tmp_path: Path) -> None:
    bone = read_ct(head).array > 300
    labels, _ = ndimage.label(bone)
    largest = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    write_rtstruct(tmp_path / "RS.dcm", Volume(largest, head.geometry.affine), head, "Bone")
    np.testing.assert_array_equal(rasterise(read_structure_set(tmp_path / "RS.dcm").rois[0], head).mask, largest)
    if shutil.which("dciodvfy"):
        done = subprocess.run(["dciodvfy", tmp_path / "RS.dcm"], capture_output=True, text=True)
        assert [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")] == []


def test_a_prediction_of_a_real_series_comes_back_from_its_structure_set(real_data: Path, tmp_path: Path) -> None:
    """A network that finds bone by a threshold stands in for a trained one: the way is tested, not the contour."""
    source, out = real_data / "dicom" / "head_neck_ct", tmp_path / "out"
    network = write_checkpoint(tmp_path / "bone.ckpt", 500.0)
    assert run("predict", network, source, "--out", out, "--rtstruct", "--device", "cpu") == 0
    mask, head = read_volume(out / "head_neck_ct.nii.gz"), read_series(source)
    assert mask.geometry.disagreement(head.geometry) is None
    assert np.median(read_ct(head).array[mask.array > 0]) > 400
    (roi,) = read_structure_set(out / "head_neck_ct.rtstruct.dcm").rois
    np.testing.assert_array_equal(rasterise(roi, head).mask, mask.array > 0)
    if shutil.which("plastimatch"):
        command = ["plastimatch", "convert", "--input", out / "head_neck_ct.rtstruct.dcm", "--referenced-ct", source]
        subprocess.run([*command, "--output-prefix", tmp_path / "p", "--prefix-format", "nrrd"], check=True)
        (file,) = (tmp_path / "p").glob("*.nrrd")
        np.testing.assert_array_equal(read_volume(file).array > 0, mask.array > 0)


def test_broken_and_other_series_are_refused_one_by_one_and_the_others_are_predicted(
    real_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    network, source = write_checkpoint(tmp_path / "bone.ckpt"), real_data / "dicom"
    images = [source / "broken_rtstruct", source / "chest_ct_rtstruct" / "pat_2"]
    assert run("predict", network, *images, "--out", tmp_path / "out", "--device", "cpu") == 2
    said = capfd.readouterr()
    assert "missing_slices: the series has 1 slice, expected at least 2" in said.err
    assert "missing_reference: has 512 x 512 x 2 voxels, expected at least 4 along each axis" in said.err
    assert said.out.startswith("pat_2: ")
