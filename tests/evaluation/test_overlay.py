"""Pictures lie as radiologists read them, in true proportions, with contours where the masks end."""

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from mandseg.evaluation.overlay import (
    LARGEST_FILE,
    PLANES,
    PREDICTION_COLOUR,
    REFERENCE_COLOUR,
    RESOLUTIONS_DPI,
    centre,
    draw_overlay,
    draw_plane,
    overlay_figure,
)
from mandseg.system.errors import UserError

SHAPE = (24, 20, 16)
SPACING_MM = (1.0, 1.0, 3.0)
AXIAL, CORONAL, SAGITTAL = PLANES


def block(low, high):
    mask = np.zeros(SHAPE, dtype=bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return mask


NOTHING = np.zeros(SHAPE, dtype=bool)
AIR = np.full(SHAPE, -1000.0)


@pytest.mark.parametrize(
    ("plane", "voxel", "rows", "columns"),
    [
        # RAS+: the last x is the patient's right, the last y anterior, the last z superior; row 0 is the top.
        (AXIAL, (-1, -1, 8), "top", "left"),
        (AXIAL, (0, 0, 8), "bottom", "right"),
        (CORONAL, (-1, 10, -1), "top", "left"),
        (CORONAL, (0, 10, 0), "bottom", "right"),
        (SAGITTAL, (12, -1, -1), "top", "left"),
        (SAGITTAL, (12, 0, 0), "bottom", "right"),
    ],
)
def test_each_plane_is_shown_as_radiologists_look_at_it(plane, voxel, rows, columns):
    image_hu = AIR.copy()
    image_hu[voxel] = 1000.0
    ax = Figure().subplots()
    draw_plane(ax, image_hu, NOTHING, NOTHING, SPACING_MM, plane, voxel[plane.axis] % SHAPE[plane.axis])
    shown = np.asarray(ax.images[0].get_array())
    row, column = np.unravel_index(shown.argmax(), shown.shape)
    assert (row, column) == (0 if rows == "top" else shown.shape[0] - 1, 0 if columns == "left" else shown.shape[1] - 1)
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # row 0 is drawn on top


def test_the_letters_name_the_sides():
    ax = Figure().subplots()
    draw_plane(ax, AIR, NOTHING, NOTHING, SPACING_MM, AXIAL, 8)
    at = {text.get_text(): text.get_position() for text in ax.texts}
    assert at["R"][0] < 0.5 < at["L"][0]
    assert at["P"][1] < 0.5 < at["A"][1]


def test_thick_slices_are_drawn_in_true_proportion():
    figure = overlay_figure(AIR, NOTHING, NOTHING, SPACING_MM, "")
    assert [ax.get_aspect() for ax in figure.axes] == [1.0, 3.0, 3.0]


def test_a_contour_runs_where_its_mask_ends():
    # x 4 to 9 of 24 columns, right on the left: columns 14 to 19; y 5 to 7 of 20 rows, anterior on top: rows 12 to 14.
    reference, prediction = block((4, 5, 2), (10, 8, 6)), block((5, 5, 2), (11, 8, 6))
    ax = Figure().subplots()
    draw_plane(ax, AIR, reference, prediction, SPACING_MM, AXIAL, 3)
    first, second = (np.concatenate([p.vertices for p in c.get_paths()]) for c in ax.collections)
    assert (first.min(axis=0).tolist(), first.max(axis=0).tolist()) == ([13.5, 11.5], [19.5, 14.5])
    assert (second.min(axis=0).tolist(), second.max(axis=0).tolist()) == ([12.5, 11.5], [18.5, 14.5])
    colours = [tuple(c.get_edgecolor()[0][:3]) for c in ax.collections]
    assert colours == [to_rgb(REFERENCE_COLOUR), to_rgb(PREDICTION_COLOUR)]


def test_a_contour_at_the_border_of_the_image_is_closed():
    full = np.ones(SHAPE, dtype=bool)
    ax = Figure().subplots()
    draw_plane(ax, AIR, full, NOTHING, SPACING_MM, AXIAL, 3)
    assert len(ax.collections) == 1


@pytest.mark.parametrize(
    ("reference", "prediction", "expected"),
    [
        (block((4, 4, 4), (7, 7, 7)), block((0, 0, 0), (1, 1, 1)), (5, 5, 5)),
        (NOTHING, block((8, 8, 8), (11, 11, 11)), (9, 9, 9)),
        (NOTHING, NOTHING, (12, 10, 8)),
    ],
)
def test_planes_cut_the_reference_then_the_prediction_then_the_middle(reference, prediction, expected):
    assert centre(reference, prediction) == expected


@pytest.mark.parametrize("reference", [NOTHING, block((4, 4, 4), (9, 9, 9))])
def test_the_picture_is_small_and_holds_both_colours(tmp_path, reference):
    noise_hu = np.random.default_rng(0).normal(0, 500, SHAPE)  # the worst to compress
    prediction = block((6, 6, 4), (12, 12, 9))
    draw_overlay(noise_hu, reference, prediction, SPACING_MM, tmp_path / "case.png", "case 1")
    assert (tmp_path / "case.png").stat().st_size <= LARGEST_FILE
    with Image.open(tmp_path / "case.png") as picture:
        found = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    assert tuple(round(255 * c) for c in to_rgb(PREDICTION_COLOUR)) in found
    assert (255, 255, 255) in found
    assert [p.name for p in tmp_path.iterdir()] == ["case.png"]


def test_contours_keep_their_colours_in_the_file(tmp_path):
    """As many pixels of the pure colours as matplotlib drew, and none of another hue in their place."""
    noise_hu = np.random.default_rng(0).normal(0, 500, SHAPE)
    reference, prediction = block((4, 4, 4), (9, 9, 9)), block((6, 6, 4), (12, 12, 9))
    figure = overlay_figure(noise_hu, reference, prediction, SPACING_MM, "case 1")
    figure.savefig(tmp_path / "full.png", dpi=RESOLUTIONS_DPI[0])
    draw_overlay(noise_hu, reference, prediction, SPACING_MM, tmp_path / "case.png", "case 1")
    with Image.open(tmp_path / "full.png") as full, Image.open(tmp_path / "case.png") as small:
        drawn, kept = (np.asarray(picture.convert("RGB")).astype(int) for picture in (full, small))
    for colour in (REFERENCE_COLOUR, PREDICTION_COLOUR):
        pure = [round(255 * part) for part in to_rgb(colour)]
        there = (drawn == pure).all(axis=-1)
        assert there.sum() > 100
        assert (kept[there] == pure).all()
    assert np.abs(kept - drawn).mean() < 4  # of 255


def test_noise_in_a_large_image_stays_below_the_size_limit(tmp_path):
    shape = (128, 128, 64)
    noise_hu = np.random.default_rng(0).normal(0, 800, shape)
    mask = np.ones(shape, dtype=bool)
    draw_overlay(noise_hu, mask, mask, (1.0, 1.0, 2.0), tmp_path / "case.png", "case 1")
    assert (tmp_path / "case.png").stat().st_size <= LARGEST_FILE


def test_the_same_case_gives_the_same_file(tmp_path):
    for name in ("a.png", "b.png"):
        draw_overlay(AIR, block((4, 4, 4), (9, 9, 9)), NOTHING, SPACING_MM, tmp_path / name, "case 1")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_mask_on_another_grid_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(UserError, match=r"\(2, 2, 2\) of the prediction differs from \(24, 20, 16\)"):
        draw_overlay(AIR, NOTHING, np.zeros((2, 2, 2), dtype=bool), SPACING_MM, tmp_path / "case.png", "case 1")
    assert list(tmp_path.iterdir()) == []


def test_drawing_leaves_matplotlibs_backend_alone(tmp_path):
    before = matplotlib.rcParams._get("backend")
    draw_overlay(AIR, NOTHING, NOTHING, SPACING_MM, tmp_path / "case.png", "case 1")
    assert matplotlib.rcParams._get("backend") == before


@pytest.mark.parametrize("name", ["x $a_{$", "$s_{$ and $", "50 % \\frac{"])
def test_a_name_is_no_formula(tmp_path, name):
    draw_overlay(AIR, block((4, 4, 4), (9, 9, 9)), NOTHING, SPACING_MM, tmp_path / "case.png", name)
    assert (tmp_path / "case.png").stat().st_size > 0
