"""Landmarks, regions, thirds, displacement and signed distance: every number worked out by hand."""

import numpy as np
import pytest

from mandseg.metrics.displacement import Deviation, _areas_mm2, find_surface, measure_deviation
from mandseg.metrics.division import THIRDS
from mandseg.metrics.regions import REGIONS, Landmarks, Side, find_landmarks, region_map
from mandseg.metrics.signed_distance import _sample, signed_distance_mm

SPACING = (1.5, 2.0, 1.25)
NAN = np.nan


def two_halves():
    """Left half: x 2 to 5, a ramus 14 voxels high; right half: x 6 to 9, a lower one further to the front."""
    mask = np.zeros((12, 10, 16), bool)
    mask[2:10, 7:9, 1:6] = True  # chin
    mask[5, 8, 6] = mask[6, 7, 7] = True  # the last column of the left half, and the first one of the right half
    mask[2:4, 1:4, 4:15] = True
    mask[2:4, 4, 3:6] = True
    mask[2:4, 5:7, 2:6] = True
    mask[2:4, 4, [9, 12]] = True  # levels 9 and 12 have y 1 to 4, level 10 has y 1 and 2, level 11 has y 2 and 3
    mask[2:4, 3, 10] = mask[2:4, 1, 11] = False
    mask[8:10, 2:5, 4:13] = True
    mask[8:10, 5:7, 3:6] = True
    return mask


def test_landmarks_by_hand():
    """Left: height 16.25 mm, so processes from 17.5 - 0.18 * 16.25; the notch is sought 0.1 * 16.25 mm below it.

    That is in levels 10 and 11, y 2 to 6 mm. The lowest point under the ramus (y up to 8.58 mm) is level 3. Right:
    height 13.75 mm, levels 8 to 10, y 4 to 8 mm, and level 4.
    """
    found = find_landmarks(two_halves(), SPACING)
    assert found.middle_x_mm == (3 + 13.5) / 2
    assert found.ramus_until_y_mm == pytest.approx(2 + 0.47 * 14)
    assert (found.front_y_mm, found.low_z_mm) == (16, 1.25)
    sides = [(s.top_mm, s.process_from_mm, s.notch_y_mm, s.angle_below_mm) for s in (found.left, found.right)]
    assert sides[0] == pytest.approx((17.5, 14.575, 4.0, 3.75 + 0.25 * 16.25))
    assert sides[1] == pytest.approx((15.0, 12.525, 6.0, 5.0 + 0.25 * 13.75))
    borders = [
        [NAN, 14, 14, 14, 12, 5, 5, 5, 6, NAN],
        [NAN, NAN, 12, 12, 12, 5, 5, 7, 5, NAN],
    ]
    np.testing.assert_allclose(found.crest_z_mm, np.array(borders) * 1.25)


def test_landmarks_of_one_voxel_lie_in_its_centre():
    mask = np.zeros((4, 4, 5), bool)
    mask[1, 2, 3] = True
    found = find_landmarks(mask, SPACING)
    assert (found.middle_x_mm, found.ramus_until_y_mm, found.front_y_mm, found.low_z_mm) == (1.5, 4.0, 4.0, 3.75)


def test_a_half_without_a_ramus_is_measured_by_what_it_has():
    """Right: only the chin, 5 mm high, processes from 5.35 mm; nothing is behind, so the lowest point is its own."""
    mask = two_halves()
    mask[6:, :7] = mask[6, 7, 7] = False
    right = find_landmarks(mask, SPACING).right
    assert (right.top_mm, right.process_from_mm) == pytest.approx((6.25, 5.35))
    assert (right.notch_y_mm, right.angle_below_mm) == pytest.approx((15.0, 1.25 + 0.25 * 5))


def test_nothing_below_the_processes_leaves_the_notch_to_the_whole_half():
    """Height 10 mm, processes from 9.2 mm; levels 8 and 9 are empty, so y is that of the bottom: 1 to 5 mm."""
    mask = np.zeros((3, 8, 12), bool)
    mask[:, 1:6, 1] = mask[:, 4, 11] = True
    left = find_landmarks(mask, (1.0, 1.0, 1.0)).left
    assert (left.process_from_mm, left.notch_y_mm) == pytest.approx((9.2, 3.0))


def test_the_limits_of_regions_belong_to_the_side_that_the_rules_name():
    """The voxels lie at x 0, 2, 4 and 6 mm, y 0 to 4 mm, z 0 to 2.5 mm: every limit is met exactly by some."""
    crest = np.array([[9.0, 9.0, 9.0, 6.0, NAN], [9.0, 9.0, 9.0, 5.5, 7.5]])
    landmarks = Landmarks(2.0, 2.0, 4.0, 0.0, Side(2.5, 2.0, 1.0, 0.5), Side(2.5, 1.5, 0.0, 1.0), crest)
    found = region_map(landmarks, (4, 5, 6), (2.0, 1.0, 0.5))
    letters = {"b": "body", "a": "angle", "r": "ramus", "d": "condyle", "o": "coronoid", "t": "teeth"}
    left, right = (
        [[REGIONS.index(letters[letter]) for letter in row] for row in rows.split()]
        for rows in ("aarrrd aarrrd aarrro bbbtto bbbbbo", "aaardd aaaroo aaaroo bbttoo bbbboo")
    )
    np.testing.assert_array_equal(found, [left, left, right, right])
    assert found.dtype == np.uint8


def test_thirds_are_equal_parts_of_the_height_and_extend_above_and_below():
    mask = np.zeros((2, 3, 10), bool)
    mask[1, 2, 2:8] = True
    found = THIRDS.divide(mask, (1.0, 1.0, 1.0))
    np.testing.assert_array_equal(found, np.broadcast_to([2, 2, 2, 2, 1, 1, 0, 0, 0, 0], (2, 3, 10)))
    assert (found.dtype, THIRDS.regions) == (np.uint8, ("upper", "middle", "lower"))
    high = np.zeros((2, 2, 9), bool)
    high[0, 0, 5:8] = True
    np.testing.assert_array_equal(THIRDS.divide(high, (1.0, 1.0, 1.0))[1, 1], [2, 2, 2, 2, 2, 2, 1, 0, 0])


def deviation(displacement_mm, areas_mm2, regions):
    n = len(regions)
    no_mesh = np.zeros((n, 3)), np.zeros((0, 3), np.int64)
    return Deviation(*no_mesh, np.array(regions, np.uint8), np.array(areas_mm2), THIRDS, np.array(displacement_mm))


def test_mean_and_spread_weigh_each_vertex_by_its_area():
    found = deviation([1.0, -2.0, 4.0], [1.0, 2.0, 1.0], [0, 0, 1])
    assert found.mean_mm() == pytest.approx((1 - 4 + 4) / 4)
    assert found.mean_mm("upper") == pytest.approx((1 - 4) / 3)
    assert (found.mean_mm("middle"), found.mean_mm("lower")) == (4.0, None)
    assert found.spread_mm() == pytest.approx(((1 + 2 * 4 + 16) / 4 - 0.25**2) ** 0.5)
    assert found.spread_mm("upper") == pytest.approx(((4 + 2 * 1) / 3) ** 0.5)
    assert (found.spread_mm("middle"), found.spread_mm("lower")) == (0.0, None)


def test_a_region_without_area_has_no_mean():
    assert deviation([1.0, 2.0], [0.0, 1.0], [0, 1]).mean_mm("upper") is None
    assert deviation([1.0, 2.0], [0.5, 1.0], [0, 1]).mean_mm("upper") == 1.0


def test_a_vertex_has_a_third_of_the_area_of_its_triangles():
    vertices = np.array([[0, 0, 0], [3, 0, 0], [0, 4, 0], [0, 0, 2], [9, 9, 9]], float)
    faces = np.array([[0, 1, 2], [3, 0, 1]])  # 6 and 3 mm^2
    np.testing.assert_allclose(_areas_mm2(vertices, faces), [3, 3, 2, 1, 0])


def test_a_structure_at_the_corner_of_the_grid_has_a_closed_surface_with_regions():
    """Levels 0 to 8 of 2 mm: the surface reaches half a voxel out of the grid; three levels are a third."""
    mask = np.zeros((12, 12, 14), bool)
    mask[:10, :8, :9] = True
    found = find_surface(mask, (1.0, 1.0, 2.0), THIRDS)
    np.testing.assert_allclose(found.vertices_mm.min(axis=0), [-0.5, -0.5, -1.0], atol=0.1)
    np.testing.assert_allclose(found.vertices_mm.max(axis=0), [9.5, 7.5, 17.0], atol=0.1)
    level = np.rint(found.vertices_mm[:, 2] / 2)
    np.testing.assert_array_equal(found.regions, 2 - np.clip(level // 3, 0, 2))
    assert 2 * (10 * 8 + 10 * 18 + 8 * 18) * 0.85 < found.areas_mm2.sum() < 2 * (10 * 8 + 10 * 18 + 8 * 18)


def test_displacement_far_from_the_drawn_contour_is_minus_the_distance_to_it():
    """The reference has two blocks and only the upper one was drawn, 20 mm above the top of the lower one."""
    drawn = np.zeros((20, 20, 40), bool)
    drawn[6:14, 6:14, 28:36] = True
    reference = drawn.copy()
    reference[6:14, 6:14, 2:8] = True
    found = measure_deviation(drawn, reference, (1.0, 1.0, 1.0))
    x, y, z = found.vertices_mm.T
    middle = (abs(x - 9.5) < 2) & (abs(y - 9.5) < 2)
    np.testing.assert_allclose(found.displacement_mm[middle & (abs(z - 7.5) < 0.1)], -20, atol=0.1)
    np.testing.assert_allclose(found.displacement_mm[middle & (abs(z - 1.5) < 0.1)], -26, atol=0.1)
    np.testing.assert_allclose(found.displacement_mm[z > 27], 0, atol=0.05)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_distance_to_a_plane_is_that_to_the_middle_between_two_voxels(axis):
    """Up to 8 mm from the boundary; beyond, the distance between centres less half the shortest edge."""
    spacing = (1.0, 2.0, 3.0)
    mask = np.zeros([24 if a == axis else 5 for a in range(3)], bool)
    mask[tuple(slice(10) if a == axis else slice(None) for a in range(3))] = True
    line = signed_distance_mm(mask, spacing)[tuple(slice(None) if a == axis else 2 for a in range(3))]
    at = (np.arange(24) - 9.5) * spacing[axis]
    near = abs(at) < 8
    np.testing.assert_allclose(line[near], at[near], atol=1e-3)
    between = np.abs(at) + spacing[axis] / 2  # to the nearest centre of the other side
    np.testing.assert_allclose(line[~near], (np.sign(at) * (between - 0.5))[~near], atol=1e-3)
    assert (~near).any()


def test_the_sign_of_the_distance_is_the_mask_also_for_single_voxels():
    mask = np.random.default_rng(0).random((9, 9, 9)) < 0.2
    found = signed_distance_mm(mask, (1.0, 1.0, 1.0))
    np.testing.assert_array_equal(found < 0, mask)
    assert 1e-3 <= np.abs(found).min() < 2e-3
    assert found.dtype == np.float32


@pytest.mark.parametrize(("full", "sign"), [(True, -1), (False, 1)])
def test_a_mask_without_a_boundary_is_as_far_as_the_grid_is_large(full, sign):
    found = signed_distance_mm(np.full((3, 4, 12), full), (2.0, 2.0, 2.0))
    np.testing.assert_allclose(found, sign * 26)  # 3-4-12-13


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_values_between_voxels_are_interpolated_along_one_axis(axis):
    values = np.random.default_rng(1).normal(size=(4, 5, 6)).astype(np.float32)
    n = values.shape[axis]
    at = np.array([0.0, 0.25, 1.5, n - 1.25, n - 1.0])
    expected = np.apply_along_axis(lambda line: np.interp(at, np.arange(n), line), axis, values)
    np.testing.assert_allclose(_sample(values, at, axis), expected, rtol=1e-5, atol=1e-6)
    one = values.take([0], axis)
    np.testing.assert_array_equal(_sample(one, np.zeros(2), axis), np.repeat(one, 2, axis))
