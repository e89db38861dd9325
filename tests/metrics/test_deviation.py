"""Displacement of a contour from its reference: signed, in mm, by region, as measured with a ruler."""

import numpy as np
import pytest

from mandseg.metrics.displacement import measure_deviation
from mandseg.noise import Margin, TipsCut

SPACING = (1.0, 1.0, 2.0)


def block(low, high, shape=(30, 30, 20)):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return mask


def rng():
    return np.random.default_rng(0)


def mandible():
    """A body 8 mm high with a ramus on each side, as far as regions are concerned; 1 mm voxels."""
    mask = np.zeros((60, 50, 40), bool)
    mask[10:50, 40:46, 8:16] = True
    for side in (np.s_[10:16], np.s_[44:50]):
        mask[side, 10:46, 8:16] = True
        mask[side, 10:22, 8:36] = True
        mask[side, 14:18, 30:36] = False
    return mask


def test_a_contour_does_not_deviate_from_itself():
    mask = block((8, 8, 5), (22, 22, 15))
    found = measure_deviation(mask, mask, SPACING)
    assert np.abs(found.displacement_mm).max() < 0.02
    assert found.spread_mm() < 0.01


def test_the_surface_is_where_the_mask_is_and_has_its_area():
    mask = block((10, 10, 5), (20, 20, 10))  # 10 x 10 x 10 mm
    found = measure_deviation(mask, mask, SPACING)
    np.testing.assert_allclose(found.vertices_mm.min(axis=0), [9.5, 9.5, 9], atol=0.1)
    np.testing.assert_allclose(found.vertices_mm.max(axis=0), [19.5, 19.5, 19], atol=0.1)
    assert 480 < found.areas_mm2.sum() < 600  # edges and corners are rounded by half a voxel


@pytest.mark.parametrize("mm", [-3.0, 2.0, 4.0])
def test_a_face_moved_by_a_ruler_is_displaced_by_it(mm):
    reference = block((8, 8, 5), (20, 22, 15))
    found = measure_deviation(block((8, 8, 5), (20 + int(mm), 22, 15)), reference, SPACING)
    x, y, z = found.vertices_mm.T
    middle = (x > 19) & (abs(y - 14.5) < 2) & (abs(z - 19) < 2)
    np.testing.assert_allclose(found.displacement_mm[middle], mm, atol=0.1)
    far = x < 12
    np.testing.assert_allclose(found.displacement_mm[far], 0, atol=0.05)


@pytest.mark.parametrize("mm", [-2.0, 2.0])
def test_a_margin_round_a_ball_is_the_displacement_everywhere(mm):
    ball = ((np.indices((30, 30, 30)) - 14.5) ** 2).sum(axis=0) <= 10**2
    found = measure_deviation(Margin(mm)(ball, (1.0, 1.0, 1.0), rng()), ball, (1.0, 1.0, 1.0))
    assert found.mean_mm() == pytest.approx(mm, abs=0.15)
    assert found.spread_mm() < 0.3


def test_cut_tips_are_inward_in_condyle_and_coronoid_and_nowhere_else():
    reference = mandible()
    drawn = TipsCut(4.0, 4.0)(reference, (1.0, 1.0, 1.0), rng())
    found = measure_deviation(drawn, reference, (1.0, 1.0, 1.0))
    assert found.mean_mm("condyle") < -0.5
    assert found.mean_mm("coronoid") < -0.5
    assert found.mean_mm("body") == pytest.approx(0, abs=0.01)


def test_a_region_that_is_not_there_has_no_mean():
    found = measure_deviation(block((8, 8, 5), (9, 9, 6)), block((8, 8, 5), (9, 9, 6)), SPACING)
    assert any(found.mean_mm(name) is None for name in ("body", "angle", "ramus", "condyle", "coronoid", "teeth"))


def test_masks_without_a_surface_are_refused():
    full, empty = block((8, 8, 5), (20, 20, 15)), np.zeros((30, 30, 20), bool)
    with pytest.raises(ValueError, match="the drawn mask is empty"):
        measure_deviation(empty, full, SPACING)
    with pytest.raises(ValueError, match="the reference mask is empty"):
        measure_deviation(full, empty, SPACING)
    with pytest.raises(ValueError, match=r"\(30, 30, 20\) of the drawn mask differs"):
        measure_deviation(full, full[1:], SPACING)
