"""Masks become structure sets that give the same mask back, in this reader and in others; a validator accepts them."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest

from dicom_files import Ids, arch, ct_slices, save
from mandseg.data.dicom.archive import read_series
from mandseg.data.dicom.contours import outlines
from mandseg.data.dicom.pixels import read_ct
from mandseg.data.dicom.rasterisation import fill, rasterise
from mandseg.data.dicom.rtstruct import write_rtstruct
from mandseg.data.dicom.series import Series
from mandseg.data.dicom.structures import Contour, Roi, read_structure_set
from mandseg.data.volume import Volume, read_volume
from mandseg.system.errors import UserError

SHAPE = (100, 90, 8)
SPACING_MM = (0.98, 0.98, 2.5)


def write_ct(folder: Path, **options: object) -> Series:
    hu = np.full(SHAPE, -1000, np.int16)
    save(ct_slices(hu, spacing_mm=SPACING_MM, origin_mm=(-48.3, -41.7, 12.5), **options), folder)  # type: ignore[arg-type]
    return read_series(folder)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Series:
    return write_ct(tmp_path_factory.mktemp("series"))


def arch_mask(series: Series) -> np.ndarray:
    heights = [plane.position_mm[2] for plane in series.planes[2:6]]
    contours = tuple(Contour("CLOSED_PLANAR", arch(z), ()) for z in heights)
    return rasterise(Roi(1, "", "", "", contours), series).mask


def odd_mask() -> np.ndarray:
    """One voxel, a diagonal pair, holes in holes, a hole that touches the edge at a corner, the image's border."""
    mask = np.zeros(SHAPE, bool)
    mask[5, 5, 1] = True
    mask[10, 10, 1] = mask[11, 11, 1] = mask[12, 10, 1] = True
    mask[20:40, 20:40, 1] = True
    mask[23:37, 23:37, 1] = False
    mask[26:34, 26:34, 1] = True
    mask[28:30, 28:32, 1] = mask[31, 29, 1] = mask[30, 32, 1] = False
    mask[50:60, 20:30, 1] = True
    mask[52, 22, 1] = mask[53, 23, 1] = mask[56, 22, 1] = mask[57, 22, 1] = mask[50, 29, 1] = mask[51, 28, 1] = False
    mask[0:3, 0:4, 3] = mask[98:, 85:, 3] = mask[:, 40, 3] = True
    return mask


def random_mask() -> np.ndarray:
    mask = np.random.default_rng(0).random(SHAPE) < 0.6
    mask[:, :, [0, 2, 3, 4, 6]] = False
    return mask


def sphere_mask() -> np.ndarray:
    x, y, z = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    return ((x - 50) * 0.98) ** 2 + ((y - 45) * 0.98) ** 2 + ((z - 3.5) * 2.5) ** 2 < 9**2


MASKS = {"sphere": sphere_mask, "odd": odd_mask, "random": random_mask}


def masks(name: str, series: Series) -> np.ndarray:
    return arch_mask(series) if name == "arch" else MASKS[name]()


@pytest.mark.parametrize("name", ["arch", "sphere", "odd", "random"])
def test_a_mask_comes_back_voxel_by_voxel(name: str, series: Series, tmp_path: Path) -> None:
    mask = masks(name, series)
    write_rtstruct(tmp_path / "RS.dcm", Volume(mask, series.geometry.affine), series, "Mandible_auto")
    (roi,) = read_structure_set(tmp_path / "RS.dcm").rois
    assert roi.name == "Mandible_auto"
    np.testing.assert_array_equal(rasterise(roi, series).mask, mask)


@pytest.mark.parametrize("name", ["arch", "sphere", "odd", "random"])
def test_a_reader_that_unites_contours_sees_the_holes_too(name: str, series: Series) -> None:
    """Each outline is filled alone, and all are put together by or instead of exclusive or."""
    mask = masks(name, series)
    for number in range(SHAPE[2]):
        found = np.zeros(SHAPE[:2], bool)
        for outline in outlines(mask[:, :, number]):
            found |= fill([outline], SHAPE[:2])
        np.testing.assert_array_equal(found, mask[:, :, number])


def test_outlines_run_along_the_voxels_edges() -> None:
    mask = np.zeros((6, 5), bool)
    mask[2:4, 1] = True
    (outline,) = outlines(mask)
    assert sorted(map(tuple, outline.tolist())) == [(1.5, 0.5), (1.5, 1.5), (3.5, 0.5), (3.5, 1.5)]
    ring = np.ones((5, 5), bool)
    ring[2, 2] = False
    (keyhole,) = outlines(ring)
    assert len(keyhole) == 4 + 2 + 4 + 1  # corners, the channel's two ends, the hole and its first corner again
    assert outlines(np.zeros((4, 4), bool)) == []


@pytest.mark.parametrize("position", ["HFP", "FFS", "FFP"])
def test_every_patient_position_comes_back(position: str, tmp_path: Path) -> None:
    series = write_ct(tmp_path / "ct", patient_position=position)
    mask = odd_mask()
    write_rtstruct(tmp_path / "RS.dcm", Volume(mask, series.geometry.affine), series, "Mandible")
    (roi,) = read_structure_set(tmp_path / "RS.dcm").rois
    np.testing.assert_array_equal(rasterise(roi, series).mask, mask)


def test_it_belongs_to_the_ct_s_study_and_is_a_series_of_its_own(series: Series, tmp_path: Path) -> None:
    write_rtstruct(tmp_path / "RS.dcm", Volume(odd_mask(), series.geometry.affine), series, "Mandible")
    dataset, ct = pydicom.dcmread(tmp_path / "RS.dcm"), pydicom.dcmread(series.planes[0].path)
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert dataset[keyword].value == ct[keyword].value
    assert dataset.SeriesInstanceUID != ct.SeriesInstanceUID
    assert dataset.ApprovalStatus == "UNAPPROVED"
    (frame,) = dataset.ReferencedFrameOfReferenceSequence
    (referenced,) = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence
    assert referenced.SeriesInstanceUID == Ids().series
    uids = [image.ReferencedSOPInstanceUID for image in referenced.ContourImageSequence]
    assert uids == [plane.sop_uid for plane in series.planes]
    for contour in dataset.ROIContourSequence[0].ContourSequence:
        (image,) = contour.ContourImageSequence
        (plane,) = [plane for plane in series.planes if plane.sop_uid == image.ReferencedSOPInstanceUID]
        assert set(contour.ContourData[2::3]) == {plane.position_mm[2]}


@pytest.mark.parametrize("letters", [None, "ISO_IR 100", "ISO_IR 192"])
def test_a_name_with_any_letters_is_written_whatever_letters_the_ct_has(letters: str | None, tmp_path: Path) -> None:
    slices = ct_slices(np.full(SHAPE, -1000, np.int16))
    for one in slices:
        if letters:
            one.SpecificCharacterSet, one.PatientName = letters, "Müller^Jörg"
    save(slices, tmp_path / "ct")
    series = read_series(tmp_path / "ct")
    mask = np.zeros(SHAPE, bool)
    mask[4:9, 4:9, 3] = True
    for name in ("Żuchwa", "Mandible"):
        write_rtstruct(tmp_path / "rs.dcm", Volume(mask, series.geometry.affine), series, name)
        assert read_structure_set(tmp_path / "rs.dcm").rois[0].name == name
        assert str(pydicom.dcmread(tmp_path / "rs.dcm").PatientName) == str(slices[0].PatientName)


def test_what_cannot_be_drawn_is_refused_and_nothing_is_written(series: Series, tmp_path: Path) -> None:
    affine, path = series.geometry.affine, tmp_path / "RS.dcm"
    with pytest.raises(UserError, match="mask of Mandible is empty"):
        write_rtstruct(path, Volume(np.zeros(SHAPE, bool), affine), series, "Mandible")
    with pytest.raises(UserError, match=r"mask shape \(100, 90, 7\) differs from \(100, 90, 8\) of the CT series"):
        write_rtstruct(path, Volume(odd_mask()[:, :, :7], affine), series, "Mandible")
    with pytest.raises(UserError, match="expected 1 to 64 characters"):
        write_rtstruct(path, Volume(odd_mask(), affine), series, "M" * 65)
    assert not path.exists()


# Other programs' eyes -------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian's dicom3tools) is not installed")
def test_a_validator_finds_no_error(series: Series, tmp_path: Path) -> None:
    write_rtstruct(tmp_path / "RS.dcm", Volume(odd_mask(), series.geometry.affine), series, "Mandible")
    done = subprocess.run(["dciodvfy", tmp_path / "RS.dcm"], capture_output=True, text=True)
    printed = (done.stdout + done.stderr).splitlines()
    assert "RTStructureSet" in printed
    assert [line for line in printed if line.startswith("Error")] == []


@pytest.mark.skipif(shutil.which("plastimatch") is None, reason="plastimatch is not installed")
@pytest.mark.parametrize("options", [[], ["--xor-contours"]])
@pytest.mark.parametrize("name", ["arch", "sphere", "odd"])
def test_plastimatch_reads_the_same_mask(name: str, options: list[str], series: Series, tmp_path: Path) -> None:
    mask = masks(name, series)
    write_rtstruct(tmp_path / "RS.dcm", Volume(mask, series.geometry.affine), series, "Mandible")
    command = [
        "plastimatch",
        "convert",
        "--input",
        tmp_path / "RS.dcm",
        "--referenced-ct",
        series.planes[0].path.parent,
    ]
    command += ["--output-prefix", tmp_path / "out", "--prefix-format", "nrrd", *options]
    subprocess.run(command, check=True, capture_output=True)
    (file,) = (tmp_path / "out").glob("*.nrrd")
    found = read_volume(file)
    assert found.geometry.disagreement(read_ct(series).geometry) is None
    np.testing.assert_array_equal(found.array > 0, mask)
