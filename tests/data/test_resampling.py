"""Resampling: its grid and its smoothing are TorchIO's; slabs and boxes give the whole volume's result."""

import numpy as np
import pytest
import torch
import torchio as tio
from scipy import ndimage
from scipy.spatial.transform import Rotation

from mandseg.data import resampling
from mandseg.data.preprocessing import _opened, mask_on_original
from mandseg.data.resampling import axis_matrix, mask_onto, resample, resample_onto
from mandseg.data.volume import Geometry, Volume
from soft_values import back_to_original

RNG = np.random.default_rng(0)


def smooth_volume(shape=(20, 17, 23), spacing_mm=(1.5, 2.5, 3.0)) -> Volume:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("z", 20, degrees=True).as_matrix() * spacing_mm
    affine[:3, 3] = (-10, 20, 30)
    values = ndimage.gaussian_filter(RNG.normal(size=shape), 2.0) * 5000
    return Volume(values.astype(np.float32), affine)


def torchios(volume: Volume, spacing_mm) -> Volume:
    image = tio.ScalarImage(tensor=torch.from_numpy(volume.array)[None], affine=volume.affine)
    out = tio.Resample(spacing_mm, image_interpolation="linear", antialias=True)(image)
    return Volume(out.numpy()[0], np.asarray(out.affine))


@pytest.mark.parametrize("spacing_mm", [(1.4, 2.0, 2.2), (1.1, 2.4, 2.9), (0.7, 2.3, 1.3)])
def test_an_axis_that_gets_finer_is_interpolated_as_by_torchio(spacing_mm):
    volume = smooth_volume()
    ours, theirs = resample(volume, spacing_mm), torchios(volume, spacing_mm)
    assert ours.geometry.disagreement(theirs.geometry) is None
    np.testing.assert_allclose(ours.array, theirs.array, atol=0.05)


@pytest.mark.parametrize("spacing_mm", [(2.2, 3.1, 4.1), (3.1, 2.4, 6.1)])
def test_an_axis_that_gets_coarser_is_smoothed_as_by_torchio_whose_filter_is_recursive(spacing_mm):
    volume = smooth_volume()
    ours, theirs = resample(volume, spacing_mm), torchios(volume, spacing_mm)
    assert ours.geometry.disagreement(theirs.geometry) is None
    inner = np.s_[2:-2, 2:-2, 2:-2]  # at the border the recursive filter differs
    assert np.abs(ours.array - theirs.array)[inner].max() < 0.01 * np.ptp(volume.array)


def test_an_axis_that_keeps_its_spacing_keeps_its_values():
    volume = smooth_volume()
    assert resample(volume, (1.5, 2.5, 3.0)).array is volume.array
    once = resample(volume, (1.5, 2.5, 2.0))
    assert np.array_equal(resample(once, (1.5, 2.5, 2.0)).array, once.array)
    lines = Volume(volume.array[:1, :1], volume.affine)
    np.testing.assert_array_equal(resample(lines, (1.5, 2.5, 2.0)).array[0, 0], once.array[0, 0])


def test_a_spacing_that_a_header_rounds_gives_the_same_grid():
    volume = smooth_volume(spacing_mm=(0.9999999, 2.5, 3.0))
    assert resample(volume, (1.0, 2.5, 3.0)).array.shape == volume.array.shape


@pytest.mark.parametrize("step", [0.3, 1.0, 1.7, 3.0])
def test_a_constant_stays_constant_and_a_ramp_a_ramp(step):
    matrix = axis_matrix(60, int(60 / step), step).toarray()
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)
    ramp = matrix @ np.arange(60)
    inner = ramp[(ramp > 10) & (ramp < 49)]
    np.testing.assert_allclose(np.diff(inner), step, atol=1e-4)


def test_the_smoothing_widens_a_voxel_to_the_new_one():
    n, step = 101, 3.0
    matrix = axis_matrix(n, n // 3, step).toarray()
    weights = matrix[(n // 3) // 2]  # of the old voxels in the new one at the centre
    interpolated = axis_matrix(n, n // 3, 1.0).toarray()[(n // 3) // 2]
    variance = np.sum(weights * (np.arange(n) - 50) ** 2) - np.sum(interpolated * (np.arange(n) - 50) ** 2)
    assert variance == pytest.approx((step**2 - 1) / (8 * np.log(2)), rel=1e-3)


@pytest.mark.parametrize("slab", [1, 100, 10**9])
@pytest.mark.parametrize("order", ["C", "F"])
def test_slabs_and_the_order_in_memory_do_not_change_a_value(monkeypatch, slab, order):
    volume = smooth_volume()
    expected = resample(volume, (2.0, 2.0, 4.0)).array
    monkeypatch.setattr(resampling, "SLAB_VOXELS", slab)
    ordered = Volume(np.asarray(volume.array, order=order), volume.affine)
    assert np.array_equal(resample(ordered, (2.0, 2.0, 4.0)).array, expected)


def test_a_volume_below_a_new_voxel_is_refused():
    with pytest.raises(ValueError, match=r"20 x 17 x 23 voxels of .* less than one"):
        resample(smooth_volume(), (31.0, 2.0, 2.0))


@pytest.mark.parametrize("turn_deg", [0, 90, 7])
def test_the_values_on_another_grid_are_those_of_scipy(turn_deg):
    volume = smooth_volume()
    affine = volume.affine.copy()
    affine[:3, :3] = (
        Rotation.from_euler("z", turn_deg, degrees=True).as_matrix() @ affine[:3, :3] @ np.diag([0.7, 1, 1.3])
    )
    affine[:3, 3] += (2.0, -3.0, 5.0)
    grid = Geometry((25, 19, 15), affine)
    to_source = np.linalg.inv(volume.affine) @ affine
    expected = ndimage.affine_transform(volume.array, to_source[:3, :3], to_source[:3, 3], grid.shape, order=1)
    np.testing.assert_allclose(resample_onto(volume, grid), expected, atol=0.05)


@pytest.mark.parametrize(
    "turn", [np.eye(4), np.diag([-1.0, -1, 1, 1]), np.eye(4)[[2, 1, 0, 3]]], ids=["RAS", "LPS", "SAR"]
)
@pytest.mark.parametrize("offset", [0.0, 0.4, 2.0])
def test_the_mask_of_a_box_is_that_of_the_whole_volume(turn, offset):
    values = ndimage.gaussian_filter(RNG.normal(size=(15, 14, 13)), 1.5).astype(np.float32)
    values[6:9, 6:9, 5:8] = values.max()
    centred = np.eye(4)
    centred[:3, 3] = (-20, -20, -12)
    soft = Volume(values / values.max() - offset, centred @ np.diag([3.0, 3.0, 2.0, 1.0]))  # at 2.0 without a voxel
    original = Geometry((50, 40, 30), turn @ centred @ np.diag([0.8, 1.1, 0.9, 1.0]))
    mask = mask_on_original(soft, original)
    assert np.array_equal(mask, back_to_original(soft, original) >= 0.5)
    assert mask.any() == (offset < 0.5)
    assert np.array_equal(mask_onto(soft, soft.geometry), soft.array >= 0.5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_label_that_the_image_cuts_off_reaches_its_border_on_finer_voxels(axis):
    mask = np.zeros((9, 9, 9), np.float32)
    mask[3:6, 3:6, 3:6] = 1
    mask[tuple(slice(6, None) if k == axis else slice(3, 6) for k in range(3))] = 1
    edges_mm = [3.0 if k == axis else 1.0 for k in range(3)]
    image = resample(Volume(mask, np.diag([*edges_mm, 1.0])), (1.0, 1.0, 1.0))
    label = mask_onto(Volume(mask, np.diag([*edges_mm, 1.0])), image.geometry)
    assert np.array_equal(label, image.array >= 0.5)
    assert label.sum() == 3 * mask.sum()


@pytest.mark.parametrize("n", [100, 101, 102, 103, 104])  # the grid of 2.5 mm leaves out up to 2 mm
def test_a_structure_that_the_image_cuts_off_is_predicted_up_to_its_border(n):
    image = Volume(np.ones((6, 6, n), np.float32), np.diag([1.0, 1.0, 1.0, 1.0]))
    assert mask_on_original(resample(image, (1.0, 1.0, 2.5)), image.geometry).all()


def test_opening_is_that_of_scipy():
    for share in (0.2, 0.6, 0.9, 1.0):
        mask = RNG.uniform(size=(9, 8, 7)) < share
        assert np.array_equal(_opened(mask), ndimage.binary_opening(mask))
