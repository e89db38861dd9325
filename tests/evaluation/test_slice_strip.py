"""The slices of a case lie as radiologists read them, from below, in true proportions, in a small file."""

import numpy as np
import pytest
from PIL import Image

from mandseg.evaluation.overlay import PREDICTION_COLOUR, REFERENCE_COLOUR
from mandseg.evaluation.slice_strip import LARGEST_FILE, MOST_SLICES, SIDE, draw_slices, shown_slices, square_view

SHAPE = (40, 40, 12)
SPACING_MM = (3.0, 3.0, 2.5)
NOTHING = np.zeros(SHAPE, dtype=bool)
AIR = np.full(SHAPE, -1000.0)


def block(low, high, shape=SHAPE):
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return mask


def drawn(folder, image_hu, reference, prediction, spacing_mm=SPACING_MM):
    """The tiles, (N, rows, columns, 3), lowest slice first."""
    file = folder / "overlays" / "test--case.webp"
    draw_slices(image_hu, reference, prediction, spacing_mm, file)
    with Image.open(file) as strip:
        pixels = np.asarray(strip.convert("RGB"), dtype=float)
    return pixels.reshape(-1, strip.width, strip.width, 3)


def near(tile, colour, least=50):
    """The pixels that are bluer than grey, or redder, (rows, columns): WebP makes thin lines paler."""
    red, _, blue = np.moveaxis(tile, -1, 0)
    return {REFERENCE_COLOUR: blue - red, PREDICTION_COLOUR: red - blue}[colour] > least


def extent(where):
    rows, columns = np.nonzero(where)
    return np.ptp(rows) + 1, np.ptp(columns) + 1


def test_the_right_of_the_patient_is_on_the_left_and_anterior_on_top(tmp_path):
    image_hu = AIR.copy()
    image_hu[30:34, 28:32, 5] = 1300.0  # RAS+: a large x is the patient's right, a large y anterior
    reference = block((16, 16, 4), (24, 24, 8))
    tiles = drawn(tmp_path, image_hu, reference, NOTHING)
    bright = (tiles > 200).all(axis=-1)[:, 30:-30, 30:-30]  # without the letters
    assert [tile.any() for tile in bright] == [False, False, True, False, False, False]  # slices 3 to 8
    rows, columns = (place + 30 for place in np.nonzero(bright[2]))
    # x 32 of 40 from the right edge of the picture, y 30 of 40 from its lower edge
    assert abs(columns.mean() - SIDE * (1 - 32 / 40)) < 2
    assert abs(rows.mean() - SIDE * (1 - 30 / 40)) < 2


def test_slices_go_from_one_below_both_masks_to_one_above(tmp_path):
    reference, prediction = block((10, 10, 3), (20, 20, 6)), block((12, 12, 5), (20, 20, 9))
    assert shown_slices(reference, prediction) == [2, 3, 4, 5, 6, 7, 8, 9]
    tiles = drawn(tmp_path, AIR, reference, prediction)
    assert [near(tile, REFERENCE_COLOUR).any() for tile in tiles] == [False, True, True, True] + [False] * 4
    assert [near(tile, PREDICTION_COLOUR).any() for tile in tiles] == [False] * 3 + [True] * 4 + [False]


def test_masks_that_fill_the_grid_show_its_first_and_last_slice():
    assert shown_slices(~NOTHING, NOTHING) == list(range(12))


def test_many_slices_are_evenly_spaced():
    levels = shown_slices(block((0, 0, 10), (2, 2, 90), (4, 4, 100)), np.zeros((4, 4, 100), dtype=bool))
    assert len(levels) == MOST_SLICES
    assert (levels[0], levels[-1]) == (9, 90)
    assert set(np.diff(levels)) <= {3, 4}


def test_the_contour_lies_where_the_mask_ends_and_the_dashes_have_gaps(tmp_path):
    reference, prediction = block((10, 10, 5), (30, 30, 6)), block((16, 16, 5), (24, 24, 6))
    tile = drawn(tmp_path, AIR, reference, prediction)[1]
    per_voxel = SIDE / 40  # the view is the whole grid of 120 mm
    assert np.abs(np.subtract(extent(near(tile, REFERENCE_COLOUR)), 20 * per_voxel)).max() <= 4
    assert np.abs(np.subtract(extent(near(tile, PREDICTION_COLOUR)), 8 * per_voxel)).max() <= 8  # a corner may be a gap
    solid, dashed = (near(tile, colour).sum() for colour in (REFERENCE_COLOUR, PREDICTION_COLOUR))
    assert 0.3 < (dashed / 8) / (solid / 20) < 0.8  # a dash and a gap of about its length


def test_thin_slices_of_flat_voxels_keep_their_proportions(tmp_path):
    """Voxels of 1 x 4 mm: 56 of them across are as long as 14 along."""
    shape, spacing_mm = (160, 40, 3), (1.0, 4.0, 0.5)
    reference, nothing = block((52, 13, 1), (108, 27, 2), shape), np.zeros(shape, dtype=bool)
    assert square_view(reference, nothing, spacing_mm) == (slice(20, 140), slice(5, 35))
    tiles = drawn(tmp_path, np.full(shape, -1000.0), reference, nothing, spacing_mm)
    rows, columns = extent(near(tiles[1], REFERENCE_COLOUR))
    assert abs(rows - columns) <= 3
    assert abs(columns - SIDE * 56 / 120) <= 4


def test_a_grid_that_is_no_square_is_centred_on_black(tmp_path):
    shape = (40, 20, 3)
    bright, nothing = np.full(shape, 1300.0), np.zeros(shape, dtype=bool)
    tile = drawn(tmp_path, bright, nothing, nothing, (5.0, 5.0, 5.0))[0]
    white = (tile[:, SIDE // 4] > 200).all(axis=-1)
    assert white[85:235].all()
    assert not white[:75].any()
    assert not white[245:].any()


def test_empty_masks_show_slices_of_the_whole_grid(tmp_path):
    assert shown_slices(NOTHING, NOTHING) == list(range(12))
    tiles = drawn(tmp_path, AIR, NOTHING, NOTHING)
    assert len(tiles) == 12
    assert not any(near(tiles, colour).any() for colour in (REFERENCE_COLOUR, PREDICTION_COLOUR))


def test_a_grid_of_one_slice_is_one_tile(tmp_path):
    reference = block((10, 10, 0), (30, 30, 1), (40, 40, 1))
    tiles = drawn(tmp_path, np.full((40, 40, 1), -1000.0), reference, np.zeros_like(reference))
    assert len(tiles) == 1
    assert near(tiles[0], REFERENCE_COLOUR).any()


def test_a_single_voxel_of_a_large_view_is_visible(tmp_path):
    shape = (512, 512, 3)
    reference, prediction = block((10, 10, 1), (11, 11, 2), shape), block((400, 400, 1), (500, 500, 2), shape)
    tile = drawn(tmp_path, np.full(shape, -1000.0), reference, prediction, (1.0, 1.0, 1.0))[1]
    assert near(tile, REFERENCE_COLOUR, least=25).any()


@pytest.mark.parametrize("noise_hu", [0, 1000])
def test_the_file_is_small_even_if_the_ct_is_noise(tmp_path, noise_hu):
    shape = (128, 128, 40)
    image_hu = 400 + noise_hu * np.random.default_rng(0).standard_normal(shape)
    reference = block((30, 30, 2), (90, 90, 38), shape)
    tiles = drawn(tmp_path, image_hu, reference, np.roll(reference, 3, axis=0), (1.0, 1.0, 2.0))
    assert len(tiles) == MOST_SLICES
    (file,) = (tmp_path / "overlays").iterdir()  # and nothing half-written beside it
    assert file.stat().st_size <= LARGEST_FILE
