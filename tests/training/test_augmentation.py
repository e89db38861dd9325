"""A patch is rotated, stretched, mirrored and made noisy as its settings say, from (seed, index) alone."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from mandseg.data.preprocessing import crop
from mandseg.system.errors import UserError
from mandseg.training.loading.affine import resample, rotation
from mandseg.training.loading.augmentation import Augmentation, Change

SIZE, CORNER = np.array([8, 8, 8]), np.array([6, 5, 4])
CUBIC_MM, LONG_MM = np.array([2.0, 2, 2]), np.array([1.0, 2, 3])
QUARTER_TURN = rotation(np.array([90.0, 0, 0]))  # about the first axis, from the second to the third


def volume(shape=(20, 18, 16), seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def reader(array, fill=-1.0):
    return lambda corner, size: torch.from_numpy(crop(array, corner, size, fill))


def image(change, array, corner=CORNER, size=SIZE, spacing_mm=CUBIC_MM):
    return change.image(reader(array), corner, size, spacing_mm).numpy()


def arch(thickness=2.5, centre=(32, 26, 16), shape=(64, 52, 32)):
    """A horseshoe like a mandible, ``thickness`` voxels thick."""
    x, y, z = np.ogrid[: shape[0], : shape[1], : shape[2]]
    radius = np.hypot(x - centre[0], y - centre[1])
    return ((abs(radius - 18) < thickness / 2) & (y >= centre[1] - 4) & (abs(z - centre[2]) < 4)).astype(np.uint8)


def test_no_change_returns_the_patch_as_it_is():
    patch = crop(volume(), CORNER, SIZE, -1)
    assert np.array_equal(image(Change(), volume()), patch)
    np.testing.assert_allclose(image(Change(np.eye(3)), volume()), patch, atol=1e-5)  # resampled onto itself


def test_a_quarter_turn_is_the_array_that_one_writes_down():
    patch = crop(volume(), CORNER, SIZE, -1)
    turned = patch.transpose(0, 2, 1)[:, :, ::-1]  # the voxel at (x, y, z) comes from (x, 7 - z, y)
    np.testing.assert_allclose(image(Change(QUARTER_TURN), volume()), turned, atol=1e-5)
    mask = (volume() > 0.3).astype(np.uint8)
    expected = crop(mask, CORNER, SIZE, 0).transpose(0, 2, 1)[:, :, ::-1]
    assert np.array_equal(Change(QUARTER_TURN).label(mask, CORNER, SIZE, CUBIC_MM).numpy(), expected)


def test_a_flip_exchanges_left_and_right_of_image_and_label():
    patch = crop(volume(), CORNER, SIZE, -1)
    assert np.array_equal(image(Change(is_mirrored=True), volume()), patch[::-1])
    mask = (volume() > 0).astype(np.uint8)
    label = Change(is_mirrored=True).label(mask, CORNER, SIZE, CUBIC_MM)
    assert np.array_equal(label.numpy(), crop(mask, CORNER, SIZE, 0)[::-1])


def test_a_rotation_is_rigid_in_mm_on_voxels_that_are_no_cubes():
    places = np.indices((30, 30, 30)).transpose(1, 2, 3, 0) * LONG_MM
    direction, turn = np.array([0.3, -0.5, 0.8]), rotation(np.array([20.0, -35.0, 40.0]))
    ramp = (places @ direction).astype(np.float32)  # a linear function of the place is reproduced exactly
    corner = np.array([11, 11, 11])
    centre = (corner + (SIZE - 1) / 2) * LONG_MM
    shown = np.indices(SIZE).transpose(1, 2, 3, 0) * LONG_MM - (SIZE - 1) / 2 * LONG_MM
    expected = (shown @ turn.T + centre) @ direction
    np.testing.assert_allclose(image(Change(turn), ramp, corner, SIZE, LONG_MM), expected, atol=1e-3)


def test_a_smooth_image_is_resampled_as_scipy_does_it():
    smooth = ndimage.gaussian_filter(volume((40, 36, 38)), 3)
    matrix, size = rotation(np.array([8.0, -6.0, 9.0])) * [1.1, 0.95, 1.02], np.array([20, 18, 22])
    offset = np.array([8.2, 9.1, 6.7])
    ours = resample(torch.from_numpy(smooth), matrix, offset, size).numpy()
    theirs = ndimage.affine_transform(smooth, matrix, offset, tuple(size), order=1)
    cubic = ndimage.affine_transform(smooth, matrix, offset, tuple(size), order=3)
    assert abs(ours - cubic).max() < 1.3 * abs(theirs - cubic).max()


def test_a_rotated_patch_shows_what_lies_beside_it_in_the_ct():
    turn, bone = Change(rotation(np.array([30.0, 0, 0]))), np.full((20, 20, 20), 0.5, np.float32)
    turned = image(turn, bone)
    np.testing.assert_allclose(turned, 0.5, atol=1e-5)  # no padding, although a turned cube reaches out of the patch
    beyond = image(
        Change(rotation(np.array([30.0, 0, 0]))), np.full((20, 20, 20), 0.5, np.float32), np.array([6, 14, 14])
    )
    assert beyond[4, -1, -1] == pytest.approx(-1, abs=1e-5)  # air where the CT ends


@pytest.mark.parametrize("degrees", [(10, -10, 10), (-4, 7, -9), (45, 30, -20)])
def test_a_thin_arch_keeps_its_volume(degrees):
    size, corner = np.array([64, 52, 32]), np.zeros(3, np.int64)
    mask = np.pad(arch(), 20)
    label = Change(rotation(np.array(degrees, float))).label(mask, corner, size + 40, CUBIC_MM)
    assert set(label.unique().tolist()) == {0, 1}
    assert float(label.sum()) / mask.sum() == pytest.approx(1, abs=0.005)


def test_the_box_of_a_mask_gives_what_the_whole_patch_gives():
    mask, size = np.pad(arch(), 6), np.array([48, 40, 32])
    matrix, offset = rotation(np.array([9.0, -7.0, 5.0])) * [1.05, 0.9, 1.1], np.array([12.0, 9.0, 5.0])
    change = Change(matrix)
    corner = np.rint(offset - (size - 1) / 2 + matrix @ ((size - 1) / 2)).astype(int)
    own_offset = corner + (size - 1) / 2 - matrix @ ((size - 1) / 2)
    share = resample(torch.from_numpy(np.pad(mask, 30).astype(np.float32)), matrix, own_offset + 30, size)
    label = change.label(mask, corner, size, CUBIC_MM)
    assert label.sum() == share.sum().round()
    assert share[label == 1].min() > share[label == 0].max()
    empty = change.label(np.zeros_like(mask), corner, size, CUBIC_MM)
    assert empty.shape == tuple(size)
    assert not empty.any()


def test_noise_has_the_size_that_is_drawn_and_leaves_the_label():
    clean, noisy = Change(), Change(noise_sd=0.04, noise_seed=5)
    size = np.array([32, 32, 32])
    flat = np.zeros((40, 40, 40), np.float32)
    difference = image(noisy, flat, np.array([2, 2, 2]), size) - image(clean, flat, np.array([2, 2, 2]), size)
    assert difference.mean() == pytest.approx(0, abs=4 * 0.04 / np.sqrt(difference.size))
    assert difference.std() == pytest.approx(0.04, rel=0.02)
    mask = (volume() > 0).astype(np.uint8)
    labels = [change.label(mask, CORNER, SIZE, CUBIC_MM) for change in (clean, noisy)]
    assert torch.equal(*labels)


def changes(n=2000, **settings):
    names = ("affine_probability", "degrees", "scale_share", "flip_probability", "noise_probability", "noise_sd")
    usual = dict(zip(names, (0.5, 10, 0.1, 0.5, 0.3, 0.05), strict=True))
    drawn = Augmentation(**usual | settings)
    return [drawn.draw(np.random.default_rng([7, k])) for k in range(n)]


def test_each_change_is_as_frequent_and_as_large_as_its_setting():
    drawn = changes()
    shares = [np.mean([c.matrix_mm is not None for c in drawn]), np.mean([c.is_mirrored for c in drawn])]
    assert shares == pytest.approx([0.5, 0.5], abs=0.05)
    sd = np.array([c.noise_sd for c in drawn])
    assert np.mean(sd > 0) == pytest.approx(0.3, abs=0.05)
    assert sd[sd > 0].mean() == pytest.approx(0.025, abs=0.003)
    assert sd.max() <= 0.05
    scales = np.array([np.linalg.norm(c.matrix_mm, axis=0) for c in drawn if c.matrix_mm is not None])
    assert 0.9 <= scales.min() < 0.91 < 1.09 < scales.max() <= 1.1
    assert np.std(np.log(scales), axis=0).min() > 0.03  # each axis has a size of its own


def test_a_setting_of_one_change_does_not_alter_what_the_others_draw():
    for usual, quiet in zip(changes(50), changes(50, noise_probability=0, affine_probability=0), strict=True):
        assert usual.is_mirrored == quiet.is_mirrored
        assert quiet.noise_sd == 0
        assert quiet.matrix_mm is None
    for usual, steeper in zip(changes(50), changes(50, degrees=20), strict=True):
        assert (usual.matrix_mm is None) == (steeper.matrix_mm is None)
        assert (usual.noise_sd, usual.noise_seed) == (steeper.noise_sd, steeper.noise_seed)


@pytest.mark.parametrize(
    ("name", "value"), [("degrees", 46), ("scale_share", -0.1), ("flip_probability", 1.5), ("noise_sd", float("nan"))]
)
def test_a_number_out_of_range_is_refused(name, value):
    with pytest.raises(UserError, match=f"augmentation.{name}={value}: expected a number, 0 to "):
        changes(1, **{name: value})
