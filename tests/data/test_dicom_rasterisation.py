"""Contours become masks whose volumes are those of the shapes: nothing is thickened, holes stay holes."""

from pathlib import Path

import numpy as np
import pytest

from dicom_files import (
    Ids,
    Points,
    arch,
    arch_area_mm2,
    circle,
    ct_slices,
    read_planes,
    save,
    square,
    write_structure_set,
)
from mandseg.data.dicom.rasterisation import Rasterised, fill, rasterise
from mandseg.data.dicom.series import CT_CLASSES, Series, arrange
from mandseg.data.dicom.structures import Contour, Roi, read_structure_set
from mandseg.system.errors import UserError

SPACING_MM = (1.0, 1.0, 2.5)
HEIGHTS_MM = 40 + 2.5 * np.arange(12)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Series:
    """100 columns, 90 rows and 12 slices, 1 x 1 x 2.5 mm; the first voxel's centre is at (-50, -45, 40) mm LPS."""
    folder = tmp_path_factory.mktemp("series")
    save(ct_slices(np.zeros((100, 90, 12), np.int16), spacing_mm=SPACING_MM, origin_mm=(-50, -45, 40)), folder)
    planes = [plane for path in sorted(folder.iterdir()) for plane in read_planes(path)]
    return arrange(planes, Ids().series, Ids().study, Ids().frame, CT_CLASSES[0])


def roi(*contours: Points | Contour) -> Roi:
    made = [c if isinstance(c, Contour) else Contour("CLOSED_PLANAR", np.asarray(c, float), ()) for c in contours]
    return Roi(1, "Mandible", "", "", tuple(made))


def volume_mm3(rasterised: Rasterised, series: Series) -> float:
    return float(rasterised.mask.sum() * series.geometry.voxel_ml * 1000)


def refusal(series: Series, *contours: Points | Contour) -> str:
    with pytest.raises(UserError) as error:
        rasterise(roi(*contours), series)
    return str(error.value)


# Volumes --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("centre", [(0.3, -0.2), (0.5, 0.5), (0.1, 0.4)])
@pytest.mark.parametrize("radius", [12, 25])
def test_a_cylinder_has_its_volume_within_one_percent(
    radius: float, centre: tuple[float, float], series: Series
) -> None:
    found = rasterise(roi(*(circle(radius, z, centre) for z in HEIGHTS_MM[2:8])), series)
    assert volume_mm3(found, series) == pytest.approx(np.pi * radius**2 * 15, rel=0.01)
    assert found.notes == ()


@pytest.mark.parametrize("thick", [2.0, 3.0, 5.0])
def test_an_arch_of_a_mandible_s_thickness_has_its_volume_within_one_percent(thick: float, series: Series) -> None:
    found = rasterise(roi(*(arch(z, thick_mm=thick) for z in HEIGHTS_MM[3:7])), series)
    assert volume_mm3(found, series) == pytest.approx(arch_area_mm2(thick_mm=thick) * 10, rel=0.01)


def test_a_sphere_has_its_volume_within_one_percent(series: Series) -> None:
    z0 = HEIGHTS_MM[5] + 0.7
    circles = [circle(np.sqrt(12**2 - (z - z0) ** 2), z, (0.3, 0.1)) for z in HEIGHTS_MM if abs(z - z0) < 12]
    assert volume_mm3(rasterise(roi(*circles), series), series) == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.01)


def test_an_oblique_prism_has_its_volume_on_pixels_of_half_a_millimetre(tmp_path: Path) -> None:
    save(ct_slices(np.zeros((160, 120, 4), np.int16), spacing_mm=(0.5, 0.7, 2)), tmp_path)
    grid = arrange([plane for path in tmp_path.iterdir() for plane in read_planes(path)], "", "", "", "")
    angle = np.radians(17)
    corners = np.array([[-20, -6], [20, -6], [20, 6], [-20, 6]]) @ [
        [np.cos(angle), -np.sin(angle)],
        [np.sin(angle), np.cos(angle)],
    ]
    prism = [np.column_stack([corners + np.array([20, 10]), np.full(4, z)]) for z in (40, 42, 44)]
    assert volume_mm3(rasterise(roi(*prism), grid), grid) == pytest.approx(40 * 12 * 6, rel=0.01)


# Voxels ---------------------------------------------------------------------------------------------------------------


def test_a_voxel_is_in_where_its_centre_is(series: Series) -> None:
    """A square from -2.4 to 2.4 mm holds the centres -2 to 2 of columns 48 to 52 and rows 43 to 47."""
    mask = rasterise(roi(square(2.4, 45)), series).mask
    expected = np.zeros_like(mask)
    expected[48:53, 43:48, 2] = True
    np.testing.assert_array_equal(mask, expected)


def test_edges_through_centres_are_half_open_so_that_neighbours_share_no_voxel() -> None:
    left, right = np.array([[1, 1], [4, 1], [4, 5], [1, 5.0]]), np.array([[4, 1], [7, 1], [7, 5], [4, 5.0]])
    shape = (9, 9)
    np.testing.assert_array_equal(fill([left], shape) ^ fill([right], shape), fill([left, right], shape))
    assert not (fill([left], shape) & fill([right], shape)).any()
    assert fill([left], shape).sum() == 3 * 4


def test_even_odd_agrees_with_counting_crossings_one_pixel_at_a_time() -> None:
    rng = np.random.default_rng(0)
    polygon = rng.uniform(-2, 14, (11, 2))  # crosses itself, and leaves the image
    expected = np.zeros((12, 10), bool)
    for column, row in np.ndindex(expected.shape):
        crossings = 0
        for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            if (y0 <= row) != (y1 <= row) and x0 + (row - y0) * (x1 - x0) / (y1 - y0) < column:
                crossings += 1
        expected[column, row] = crossings % 2
    np.testing.assert_array_equal(fill([polygon], expected.shape), expected)


# Holes, several contours ----------------------------------------------------------------------------------------------


def ring_with_keyhole(z: float, width_mm: float) -> Points:
    outer, inner = circle(12, z, (0.3, 0.2)), circle(9, z, (0.3, 0.2))[::-1]
    inner = np.roll(inner, 1, axis=0)  # both begin and end on the x axis
    channel = [0, width_mm, 0]
    return np.concatenate([outer, outer[:1] - channel, inner[:1] - channel, inner[1:], inner[:1]])


def test_a_hole_is_a_hole_as_a_contour_of_its_own_and_by_a_keyhole(series: Series) -> None:
    xor = rasterise(roi(circle(12, 45, (0.3, 0.2)), circle(9, 45, (0.3, 0.2))), series)
    np.testing.assert_array_equal(rasterise(roi(ring_with_keyhole(45, 0)), series).mask, xor.mask)
    np.testing.assert_array_equal(rasterise(roi(ring_with_keyhole(45, 0.01)), series).mask, xor.mask)
    assert volume_mm3(xor, series) == pytest.approx(np.pi * (12**2 - 9**2) * 2.5, rel=0.01)


def test_an_island_in_a_hole_and_a_second_piece_are_there(series: Series) -> None:
    mask = rasterise(roi(square(9.5, 45), square(5.5, 45), square(2.5, 45), square(2.5, 45, (30, 20))), series).mask
    assert mask[:, :, 2].sum() == 19**2 - 11**2 + 5**2 + 5**2
    assert mask[50, 45, 2]
    assert mask[80, 65, 2]


def test_a_contour_that_is_there_twice_counts_once(series: Series) -> None:
    found = rasterise(roi(square(5.5, 45), np.roll(square(5.5, 45), 1, axis=0), square(5.5, 47.5)), series)
    assert found.mask.sum() == 2 * 11**2
    assert found.notes == ("1 contour left out, equal to another",)


def test_contours_that_overlap_in_part_are_warned_of(series: Series) -> None:
    """Squares of 11 x 11 voxels that share 5 x 11: those are outside."""
    found = rasterise(roi(square(5.5, 45), square(5.5, 45, (6, 0))), series)
    assert found.mask.sum() == 121 + 121 - 2 * 55
    assert found.notes == ("WARNING: contours overlap in part on 1 slice: the overlap is outside",)


# Slices ---------------------------------------------------------------------------------------------------------------


def test_contours_between_slices_go_to_the_nearest_and_it_is_reported(series: Series) -> None:
    found = rasterise(roi(*(square(5.5, z + 0.9) for z in HEIGHTS_MM[2:6])), series)
    assert np.flatnonzero(found.mask.any(axis=(0, 1))).tolist() == [2, 3, 4, 5]
    assert found.notes == (
        "contours lie between the slices, up to 0.9 mm from the nearest: each slice takes the nearest of 4 planes",
    )


def test_contours_halfway_between_slices_neither_vanish_nor_double(series: Series) -> None:
    found = rasterise(roi(*(square(5.5, z + 1.25) for z in HEIGHTS_MM[2:6])), series)
    assert found.mask.any(axis=(0, 1)).sum() == 4


@pytest.mark.parametrize("apart_mm", [1.0, 1.5, 4.0])
def test_contours_of_another_stack_of_slices_keep_the_height(apart_mm: float, series: Series) -> None:
    heights = np.arange(45.3, 60.3, apart_mm)
    found = rasterise(roi(*(square(5.5, z) for z in heights)), series)
    n_slices = found.mask.any(axis=(0, 1)).sum()
    assert n_slices * 2.5 == pytest.approx(len(heights) * apart_mm, abs=2.5)
    assert np.ptp(np.flatnonzero(found.mask.any(axis=(0, 1)))) == n_slices - 1  # no gap


def test_slices_without_a_contour_stay_empty_and_are_counted(series: Series) -> None:
    found = rasterise(roi(*(square(5.5, z) for z in HEIGHTS_MM[[2, 3, 5, 7]])), series)
    assert np.flatnonzero(found.mask.any(axis=(0, 1))).tolist() == [2, 3, 5, 7]
    assert found.notes == ("WARNING: 2 slices between contoured ones have no contour",)


def test_a_feet_first_prone_series_gets_the_same_voxels_in_the_patient(tmp_path: Path) -> None:
    options = {"patient_position": "FFP", "origin_mm": (-50, 44, 67.5), "spacing_mm": SPACING_MM}
    save(ct_slices(np.zeros((100, 90, 12), np.int16), **options), tmp_path)
    series = arrange([plane for path in tmp_path.iterdir() for plane in read_planes(path)], "", "", "", "")
    mask = rasterise(roi(square(2.4, 45, (10, 0))), series).mask
    indices = np.argwhere(mask)
    np.testing.assert_allclose(series.to_patient(indices).mean(axis=0), (10, 0, 45))


# Refusals and notes ---------------------------------------------------------------------------------------------------


def test_points_and_open_contours_are_left_out_and_counted(series: Series) -> None:
    point = Contour("POINT", np.zeros((1, 3)), ())
    line = Contour("OPEN_PLANAR", square(5, 45), ())
    flat = Contour("CLOSED_PLANAR", square(5, 45)[:2], ())
    found = rasterise(roi(square(5.5, 45), point, line, line, flat), series)
    assert found.mask.sum() == 121
    assert found.notes == (
        "2 OPEN_PLANAR contours left out",
        "1 POINT contour left out",
        "1 closed contour with fewer than three points left out",
    )
    assert refusal(series, point) == "has no closed contour, only 1 POINT contour left out"
    assert refusal(series) == "has no closed contour, it is empty"


def test_contours_outside_the_image_are_refused_with_the_distance(series: Series) -> None:
    above = refusal(series, square(5, 72.5))
    assert above == "has a contour that lies 3.75 mm beyond the image's upper or lower edge, expected it inside"
    beside = refusal(series, square(5, 45, (48, 0)))
    assert beside == "has a contour that lies 3.5 mm beyond the image's left or right edge, expected it inside"
    both = refusal(series, square(5, 45), square(5, 69.5, (45.3, 0)))  # beside by 0.8 mm, which is little
    assert both == "has a contour that lies 0.75 mm beyond the image's upper or lower edge, expected it inside"


def test_a_contour_across_the_slices_is_refused(series: Series) -> None:
    sagittal = square(5, 50)[:, [2, 0, 1]] - [50, 0, -50]
    expected = "has a contour that rises by 10 mm across the slices, expected it parallel to them"
    assert refusal(series, sagittal) == expected


def test_a_contour_between_voxel_centres_alone_is_refused(series: Series) -> None:
    assert refusal(series, square(0.2, 45, (0.5, 0.5))).startswith("has 1 contour, but none encloses the centre")


def test_a_reference_to_another_slice_is_noted_and_the_position_used(series: Series) -> None:
    wrong = Contour("CLOSED_PLANAR", square(5.5, 45), (series.planes[6].sop_uid,))
    found = rasterise(roi(wrong), series)
    assert found.mask[:, :, 2].sum() == 121
    assert found.notes == ("WARNING: 1 contour refers to another slice than the position, which was used",)


# Files ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("image_uids", [True, False])
def test_a_structure_set_gives_the_same_mask_with_and_without_image_uids(
    image_uids: bool, series: Series, tmp_path: Path
) -> None:
    slices = ct_slices(np.zeros((100, 90, 12), np.int16), spacing_mm=SPACING_MM, origin_mm=(-50, -45, 40))
    contours = [arch(z) for z in HEIGHTS_MM[3:7]]
    write_structure_set(tmp_path / "RS.dcm", slices, {"Body": [], "Mandible": contours}, image_uids=image_uids)
    read = read_structure_set(tmp_path / "RS.dcm")
    assert [one.name for one in read.rois] == ["Body", "Mandible"]
    assert {series: len(images) for series, images in read.image_uids.items()} == {Ids().series: 12}
    assert bool(read.rois[1].contours[0].image_uids) == image_uids
    np.testing.assert_array_equal(rasterise(read.rois[1], series).mask, rasterise(roi(*contours), series).mask)


def test_contours_too_long_for_their_vr_are_read(tmp_path: Path) -> None:
    slices = ct_slices(np.zeros((4, 4, 3), np.int16))
    points = circle(200, 40)
    write_structure_set(tmp_path / "RS.dcm", slices, {"Body": [points], "Mandible": [square(5, 40)]})
    body, mandible = read_structure_set(tmp_path / "RS.dcm").rois
    np.testing.assert_allclose(body.contours[0].points, points, atol=1e-4)
    body, mandible = read_structure_set(tmp_path / "RS.dcm", only={2}).rois
    assert (len(body.contours), len(mandible.contours)) == (0, 1)


def test_a_structure_set_cut_off_anywhere_is_refused_or_has_lost_no_contour(tmp_path: Path) -> None:
    slices = ct_slices(np.zeros((4, 4, 3), np.int16))
    path = tmp_path / "RS.dcm"
    write_structure_set(path, slices, {"Mandible": [square(5, z) for z in (40, 42.5, 45)]})
    whole = path.read_bytes()
    n_refused = 0
    for length in range(140, len(whole), 7):
        path.write_bytes(whole[:length])
        try:
            read = read_structure_set(path)
        except UserError:
            n_refused += 1
        else:
            assert [len(one.contours) for one in read.rois] in ([], [0], [3])
    assert n_refused > 0.9 * (len(whole) - 140) / 7


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (["0", "1", "2", "3"], "a contour has 4 coordinates, expected three a point"),
        (["0", "nan", "2"], "1 coordinate of a contour is NaN or infinite"),
        (["0", "1", "2"], "a contour has 1 point, NumberOfContourPoints is 4"),
        (["zero", "1", "2"], "a coordinate of a contour is no number"),
    ],
)
def test_coordinates_that_are_no_points_are_refused(points: list[str], message: str, tmp_path: Path) -> None:
    slices = ct_slices(np.zeros((4, 4, 3), np.int16))
    write_structure_set(tmp_path / "RS.dcm", slices, {"Mandible": [square(5, 40)]})
    data = (tmp_path / "RS.dcm").read_bytes()
    stored = "\\".join(f"{value:.4f}" for value in square(5, 40).ravel()).encode()
    assert data.count(stored) == 1
    start = data.index(stored)
    length = int.from_bytes(data[start - 2 : start], "little")
    text = "\\".join(points).encode()
    replacement = text + b" " * (length - len(text))
    (tmp_path / "RS.dcm").write_bytes(data[:start] + replacement + data[start + length :])
    with pytest.raises(UserError) as error:
        read_structure_set(tmp_path / "RS.dcm")
    assert str(error.value) == message
