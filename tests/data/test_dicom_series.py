"""CT series: any order of files in, one regular grid out; what makes no regular grid is refused with both values."""

from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRBigEndian, ImplicitVRLittleEndian, JPEGLSLossless, RLELossless

from dicom_files import Ids, ct_slices, read_planes, save
from mandseg.data.dicom.dataset import reading
from mandseg.data.dicom.pixels import read_ct
from mandseg.data.dicom.series import CT_CLASSES, Series, arrange
from mandseg.data.volume import to_canonical
from mandseg.system.errors import UserError


@pytest.fixture
def hu() -> np.ndarray:
    """(7 columns, 5 rows, 6 slices), every value once."""
    return (np.arange(7 * 5 * 6).reshape(7, 5, 6) - 100).astype(np.int16)


def read(folder: Path) -> Series:
    planes = [plane for path in sorted(folder.iterdir()) for plane in read_planes(path)]
    return arrange(planes, "1.2", "1.3", "1.4", CT_CLASSES[0])


def refusal(slices: list[Dataset], folder: Path) -> str:
    save(slices, folder)
    with pytest.raises(UserError) as error:
        read_ct(read(folder))
    assert len(error.value.problems) == 1
    return str(error.value)


def test_slices_are_sorted_by_position_and_the_affine_is_the_one_derived_by_hand(
    hu: np.ndarray, tmp_path: Path
) -> None:
    save(ct_slices(hu, spacing_mm=(0.5, 0.8, 2.5), origin_mm=(-20, -30, 40)), tmp_path)
    volume = read_ct(read(tmp_path))
    np.testing.assert_array_equal(volume.array, hu)
    expected = [[-0.5, 0, 0, 20], [0, -0.8, 0, 30], [0, 0, 2.5, 40], [0, 0, 0, 1]]
    np.testing.assert_allclose(volume.affine, expected, atol=1e-9)


@pytest.mark.parametrize("position", ["HFS", "HFP", "FFS", "FFP"])
def test_the_four_patient_positions_give_the_same_anatomy(position: str, tmp_path: Path) -> None:
    lps = (np.arange(4 * 6 * 5).reshape(4, 6, 5)).astype(np.int16)  # x to the left, y to posterior, z up, 1 x 2 x 3 mm
    x, y, z = {"HFS": (1, 1, 1), "HFP": (-1, -1, 1), "FFS": (-1, 1, -1), "FFP": (1, -1, -1)}[position]
    origin = [0 if sign > 0 else far for sign, far in zip((x, y, z), (3, 10, 12), strict=True)]
    scanned = lps[::x, ::y, ::z]
    save(ct_slices(scanned, patient_position=position, spacing_mm=(1, 2, 3), origin_mm=origin), tmp_path)
    volume = to_canonical(read_ct(read(tmp_path)))
    np.testing.assert_array_equal(volume.array, lps[::-1, ::-1])  # RAS+
    np.testing.assert_allclose(volume.affine, [[1, 0, 0, -3], [0, 2, 0, -10], [0, 0, 3, 0], [0, 0, 0, 1]], atol=1e-6)


@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 0.8, 0.6), (0, 1, 0, 0, 0, -1), (0.6, 0.8, 0, -0.8, 0.6, 0)])
def test_oblique_and_anisotropic_grids_lie_where_highdicom_puts_them(
    orientation: tuple[float, ...], hu: np.ndarray, tmp_path: Path
) -> None:
    slices = ct_slices(hu, spacing_mm=(0.7, 1.1, 1.9), orientation=orientation)
    save(slices, tmp_path)
    oracle = highdicom.get_volume_from_series(slices)  # [slice, row, column]
    series = read(tmp_path)
    corners = np.array([(0, 0, 0), (6, 4, 5), (6, 0, 0), (0, 4, 2)], float)  # column, row, slice
    for index, point in zip(corners, series.to_patient(corners), strict=True):
        at = np.linalg.inv(oracle.affine) @ [*point, 1]
        assert oracle.array[tuple(np.rint(at[:3]).astype(int))] == hu[tuple(index.astype(int))]
        np.testing.assert_allclose(at[:3], np.rint(at[:3]), atol=1e-4)
    np.testing.assert_allclose(series.to_index(series.to_patient(corners)), corners, atol=1e-9)


def test_slope_and_intercept_of_each_slice_are_applied_and_padding_is_air(hu: np.ndarray, tmp_path: Path) -> None:
    slices = ct_slices(hu)
    slices[2].RescaleSlope, slices[2].RescaleIntercept = 2, -500
    slices[4].PixelPaddingValue = int(hu[0, 0, 4]) + 1024
    save(slices, tmp_path / "in")
    array = read_ct(read(tmp_path / "in")).array
    np.testing.assert_array_equal(array[:, :, 2], (hu[:, :, 2] + 1024) * 2 - 500)
    assert array[0, 0, 4] == -1000
    slices[0].RescaleIntercept = -3024
    save(slices, tmp_path / "low")
    assert read_ct(read(tmp_path / "low")).array.min() == -1024
    np.testing.assert_array_equal(array[1:, :, 4], hu[1:, :, 4])


def test_padding_that_is_written_with_the_other_sign_than_the_pixels_is_air(hu: np.ndarray, tmp_path: Path) -> None:
    slices = ct_slices(hu)
    for one in slices:
        stored = np.frombuffer(one.PixelData, "<u2").copy()
        stored[0] = 2**16 - 2000
        one.PixelData = stored.tobytes()
        one.add_new("PixelPaddingValue", "SS", -2000)
    save(slices, tmp_path)
    array = read_ct(read(tmp_path)).array
    assert (array[0, 0] == -1000).all()
    np.testing.assert_array_equal(array[1:], hu[1:])


@pytest.mark.parametrize("syntax", [ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless, JPEGLSLossless])
def test_other_encodings_give_the_same_hu(syntax: UID, hu: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number, plane in enumerate(ct_slices(hu)):
        path = tmp_path / "in" / f"{number}.dcm"
        if syntax.is_compressed:
            plane.compress(syntax)
        elif syntax == ExplicitVRBigEndian:
            plane.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
            plane.PixelData = np.frombuffer(plane.PixelData, "<u2").astype(">u2").tobytes()
        elif syntax == ImplicitVRLittleEndian:
            plane.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        plane.save_as(path, enforce_file_format=True)
    np.testing.assert_array_equal(read_ct(read(tmp_path / "in")).array, hu)


def test_a_file_without_preamble_is_read(hu: np.ndarray, tmp_path: Path) -> None:
    for number, plane in enumerate(ct_slices(hu)):
        del plane.file_meta
        plane.save_as(tmp_path / str(number), implicit_vr=True, little_endian=True)
    np.testing.assert_array_equal(read_ct(read(tmp_path)).array, hu)


def enhanced(slices: list[Dataset]) -> Dataset:
    """All slices as frames of one file, in reversed order."""
    whole = pydicom.dataset.Dataset()
    whole.file_meta = slices[0].file_meta
    whole.SOPClassUID = CT_CLASSES[1]
    for keyword in (
        "SOPInstanceUID",
        "Rows",
        "Columns",
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "BitsAllocated",
    ):
        setattr(whole, keyword, getattr(slices[0], keyword))
    whole.BitsStored, whole.HighBit, whole.PixelRepresentation = 16, 15, 0
    shared, measures, turned, values = (Dataset() for _ in range(4))
    measures.PixelSpacing = slices[0].PixelSpacing
    turned.ImageOrientationPatient = slices[0].ImageOrientationPatient
    values.RescaleSlope, values.RescaleIntercept = 1, -1024
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [turned]
    shared.PixelValueTransformationSequence = [values]
    whole.SharedFunctionalGroupsSequence, whole.PerFrameFunctionalGroupsSequence = [shared], []
    for plane in slices[::-1]:
        group, position = Dataset(), Dataset()
        position.ImagePositionPatient = plane.ImagePositionPatient
        group.PlanePositionSequence = [position]
        whole.PerFrameFunctionalGroupsSequence.append(group)
    whole.NumberOfFrames = len(slices)
    whole.PixelData = b"".join(plane.PixelData for plane in slices[::-1])
    return whole


def test_the_frames_of_an_enhanced_file_are_slices(hu: np.ndarray, tmp_path: Path) -> None:
    slices = ct_slices(hu)
    save([enhanced(slices)], tmp_path / "enhanced")
    save(slices, tmp_path / "classic")
    one, many = (read_ct(read(tmp_path / name)) for name in ("enhanced", "classic"))
    np.testing.assert_array_equal(one.array, many.array)
    np.testing.assert_allclose(one.affine, many.affine)


def test_a_missing_slice_is_refused_with_the_gap_and_the_spacing(hu: np.ndarray, tmp_path: Path) -> None:
    slices = ct_slices(hu)
    del slices[3]
    assert refusal(slices, tmp_path) == "slices are missing: a gap of 5 mm above 45 mm, 2.5 mm elsewhere"


def test_a_slice_that_is_there_twice_is_refused(hu: np.ndarray, tmp_path: Path) -> None:
    slices = ct_slices(hu)
    message = refusal([*slices, slices[2]], tmp_path)
    assert message == "7 slices at 6 positions: two lie at 45 mm, expected one"


def test_varying_spacing_is_refused(tmp_path: Path) -> None:
    slices = ct_slices(np.zeros((4, 4, 10), np.int16))
    for number, plane in enumerate(slices[5:], start=1):
        plane.ImagePositionPatient = [-20, -30, 50 + 5 * number]
    assert refusal(slices, tmp_path) == "slice spacing varies from 2.5 to 5 mm, expected one spacing"


def test_positions_rounded_to_a_tenth_of_a_millimetre_are_regular(tmp_path: Path) -> None:
    slices = ct_slices(np.zeros((4, 4, 21), np.int16), spacing_mm=(1, 1, 1.25))
    for plane in slices:
        plane.ImagePositionPatient = [round(float(x), 1) for x in plane.ImagePositionPatient]
    save(slices, tmp_path)
    assert read(tmp_path).slice_mm == pytest.approx(1.25, abs=1e-3)


def test_a_tilted_gantry_is_refused_with_its_angle(hu: np.ndarray, tmp_path: Path) -> None:
    angle = np.radians(12)
    slices = ct_slices(hu, orientation=(1, 0, 0, 0, np.cos(angle), np.sin(angle)))
    for number, plane in enumerate(slices):
        plane.ImagePositionPatient = [-20, -30, 40 + 2.5 * number]  # the table moves along z
    assert refusal(slices, tmp_path) == "gantry tilt: slices are stacked at 12.00 degrees to their normal, expected 0"


def test_a_tilt_in_the_header_alone_is_refused(hu: np.ndarray, tmp_path: Path) -> None:
    message = refusal(ct_slices(hu, GantryDetectorTilt=-15.5), tmp_path)
    assert message == "gantry tilt: GantryDetectorTilt is -15.5 degrees, the slices' positions give 0"


@pytest.mark.parametrize(
    ("keyword", "value", "message"),
    [
        ("PixelSpacing", [2, 1], "pixel spacing is (2, 1) mm at (-20, -30, 45) mm, (1, 1) at (-20, -30, 40) mm"),
        ("ImageOrientationPatient", [0, 1, 0, 1, 0, 0], "orientation is (0, 1, 0, 1, 0, 0)"),
        ("ImagePositionPatient", ["nan", -30, 45], "ImagePositionPatient is nan, -30, 45, expected finite numbers"),
        ("ImagePositionPatient", [-20, 45], "ImagePositionPatient has 2 values, expected 3"),
        ("ImagePositionPatient", None, "ImagePositionPatient has 0 values, expected 3"),
        ("ImagePositionPatient", [-12, -30, 45], "a slice lies at (-12, -30, 45) mm, expected at (-20, -30, 45) mm"),
        ("PixelSpacing", [0, 1], "PixelSpacing is 0, 1 mm, expected more than 0"),
        ("RescaleSlope", 0, "RescaleSlope is 0, expected another number"),
        ("RescaleIntercept", None, "RescaleIntercept has 0 values, expected 1"),
        ("Rows", 4, "a slice has (4, 7) rows and columns at (-20, -30, 45) mm, (5, 7) at (-20, -30, 40) mm"),
        ("PixelData", b"\0\0", "the pixels of a slice cannot be read: 2 bytes, 70 where they are not compressed"),
    ],
)
def test_one_odd_slice_is_refused_with_both_values(
    keyword: str, value: object, message: str, hu: np.ndarray, tmp_path: Path
) -> None:
    slices = ct_slices(hu)
    with reading():
        setattr(slices[2], keyword, value)
    assert refusal(slices, tmp_path).startswith(message)


def test_one_slice_alone_is_refused(hu: np.ndarray, tmp_path: Path) -> None:
    assert refusal(ct_slices(hu)[:1], tmp_path) == "the series has 1 slice, expected at least 2"


def test_a_localizer_in_the_series_is_left_out_and_noted(hu: np.ndarray, tmp_path: Path) -> None:
    slices = ct_slices(hu)
    scout = ct_slices(hu[:, :, :1], orientation=(1, 0, 0, 0, 0, -1))[0]
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    save([scout, *slices], tmp_path)
    series = read(tmp_path)
    assert series.notes == ("1 localizer images of the series left out",)
    assert series.geometry.shape == hu.shape


def test_a_patient_position_that_contradicts_the_orientation_is_noted(hu: np.ndarray, tmp_path: Path) -> None:
    save(ct_slices(hu, patient_position="FFP", orientation=(1, 0, 0, 0, 1, 0)), tmp_path)
    assert read(tmp_path).notes[0].startswith("WARNING: PatientPosition FFP does not fit")


def test_no_message_names_the_patient_or_the_file(hu: np.ndarray, tmp_path: Path) -> None:
    slices = ct_slices(hu, Ids(patient="SECRET", name="SECRET"))
    slices[1].PixelData = b""
    assert "SECRET" not in refusal(slices, tmp_path / "SECRET")
