"""Properties of every error, preset and calibration on any mask: one voxel, one slice, in pieces, at the border."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from mandseg.data.case import Case
from mandseg.noise import GrossError, Panel, load_preset
from mandseg.noise.panel import Tendency
from mandseg.system.errors import UserError
from shapes import MODES, NAMES

CASE = Case("a", "a", "train", None, None, None)
PRESETS = ["expert", "radiographer", "planning", "gross"]
EVERY_MODE = [*MODES, GrossError(1.0)]


@st.composite
def scenes(draw):
    """Blobs that may touch the border, in pieces or not, at any spacing from 0.3 to 5 mm; with a CT."""
    shape = tuple(draw(st.integers(1, 12)) for _ in range(3))
    spacing = tuple(draw(st.floats(0.3, 5.0)) for _ in range(3))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    field = ndimage.gaussian_filter(rng.standard_normal(shape), draw(st.floats(0, 2)))
    mask = field >= np.quantile(field, draw(st.floats(0, 1)))  # all voxels to one
    hu = np.where(mask, 900, 40).astype(np.int16)
    hu[rng.random(shape) > 0.9] = 3000
    return mask, spacing, hu


@pytest.mark.parametrize("mode", EVERY_MODE, ids=[*NAMES, "GrossError"])
@given(scene=scenes(), seed=st.integers(0, 50))
@settings(max_examples=12, deadline=None)
def test_a_mode_draws_a_mask_on_the_grid_which_the_seed_determines_and_size_zero_is_the_identity(mode, scene, seed):
    mask, spacing, hu = scene
    before = mask.copy()
    first, again = (mode(mask, spacing, np.random.default_rng(seed), hu) for _ in range(2))
    assert first.dtype == np.bool_
    assert first.shape == mask.shape
    assert (first == again).all()
    assert (mask == before).all()
    if not isinstance(mode, GrossError):
        assert (mode.scaled(0.0)(mask, spacing, np.random.default_rng(seed), hu) == mask).all()


@pytest.mark.parametrize("preset", PRESETS)
@given(scene=scenes(), seed=st.integers(0, 50))
@settings(max_examples=10, deadline=None)
def test_a_preset_draws_something_on_the_grid_and_severity_zero_is_the_reference(preset, scene, seed):
    mask, spacing, hu = scene
    drawn, again = (load_preset(preset, seed=seed).draw(CASE, mask, None, spacing, hu) for _ in range(2))
    assert drawn.dtype == np.bool_
    assert drawn.shape == mask.shape
    assert (drawn == again).all()
    assert drawn.any() or preset == "gross"
    assert (load_preset(preset, seed=seed, severity=0).draw(CASE, mask, None, spacing, hu) == mask).all()


@given(scene=scenes(), bias_mm=st.floats(0, 6))
@settings(max_examples=40, deadline=None)
def test_outward_bias_only_adds_and_inward_bias_only_takes(scene, bias_mm):
    mask, spacing, _ = scene
    larger, smaller = (Panel((), bias_mm=b).draw(CASE, mask, None, spacing) for b in (bias_mm, -bias_mm))
    assert (larger >= mask).all()
    assert (smaller <= mask).all()
    assert smaller.any()


@given(scene=scenes(), dice=st.floats(0.3, 1.0))
@settings(max_examples=25, deadline=None)
def test_a_calibrated_contour_has_its_dice_or_the_case_is_named_in_one_line(scene, dice):
    mask, spacing, hu = scene
    panel = Panel((Tendency(MODES[0]), Tendency(MODES[4])), target_dice=dice)
    try:
        drawn = panel.draw(CASE, mask, None, spacing, hu)
    except UserError as error:
        (line,) = error.problems
        assert line.startswith(f"case a: target dice {dice:g} cannot be reached: ")
        return
    assert 2 * (drawn & mask).sum() / (drawn.sum() + mask.sum()) == pytest.approx(dice, abs=0.005)
