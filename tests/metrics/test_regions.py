"""Regions follow the proportions of the mandible, side by side."""

import numpy as np
import pytest

from mandseg.metrics.regions import REGIONS, find_landmarks, region_map
from shapes import ISO, horseshoe


def region_at(x, y, z, mask=None):
    mask = horseshoe() if mask is None else mask
    return REGIONS[region_map(find_landmarks(mask, ISO), mask.shape, ISO)[x, y, z]]


@pytest.mark.parametrize(
    ("voxel", "region"),
    [
        ((12, 12, 34), "condyle"),
        ((46, 20, 34), "coronoid"),
        ((12, 15, 24), "ramus"),
        ((46, 12, 10), "angle"),
        ((30, 43, 9), "body"),
        ((30, 43, 15), "teeth"),
        ((30, 43, 20), "teeth"),  # above the crest
    ],
)
def test_a_voxel_is_in_its_anatomical_region(voxel, region):
    assert region_at(*voxel) == region


def test_regions_do_not_depend_on_voxel_size():
    fine = np.repeat(np.repeat(np.repeat(horseshoe(), 2, 0), 2, 1), 2, 2)
    half = (0.5, 0.5, 0.5)
    regions = region_map(find_landmarks(fine, half), fine.shape, half)
    coarse = region_map(find_landmarks(horseshoe(), ISO), horseshoe().shape, ISO)
    assert (regions[::2, ::2, ::2] == coarse)[horseshoe()].mean() > 0.9


def test_half_a_mandible_and_one_voxel_have_landmarks_and_nothing_has_none():
    half = horseshoe()
    half[30:] = False
    assert find_landmarks(half, ISO).left.top_mm == 35.0
    one = np.zeros((3, 3, 3), bool)
    one[1, 1, 1] = True
    assert region_map(find_landmarks(one, ISO), one.shape, ISO).shape == (3, 3, 3)
    with pytest.raises(ValueError, match="empty"):
        find_landmarks(np.zeros((3, 3, 3), bool), ISO)
