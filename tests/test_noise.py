"""Contouring errors: in mm, on the mask's own grid, signed, and a function of seed and case."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mandseg.cohort import Case
from mandseg.errors import UserError
from mandseg.noise import PlanningContour, PlanningPanel, Recorded, signed_distance_mm, smooth_field

SPACINGS = st.tuples(*[st.sampled_from([0.8, 1.0, 2.0, 3.9])] * 2, st.sampled_from([1.0, 2.5, 3.0]))


def ball(radius_mm, spacing_mm, size=24):
    grids = np.meshgrid(*[(np.arange(size) - (size - 1) / 2) * s for s in spacing_mm], indexing="ij")
    return sum(g**2 for g in grids) <= radius_mm**2


def case(case_id="a", annotator="", **files):
    return Case(case_id, case_id, "train", None, files.get("reference"), files.get("noisy"), annotator)


@given(spacing=SPACINGS, seed=st.integers(0, 50))
@settings(max_examples=20, deadline=None)
def test_zero_severity_is_the_identity(spacing, seed):
    mask = np.random.default_rng(seed).random((12, 11, 10)) > 0.7
    assert (PlanningContour()(mask, spacing, np.random.default_rng(0)) == mask).all()


@given(spacing=SPACINGS, shift=st.floats(3, 4.5))
@settings(max_examples=15, deadline=None)
def test_outward_bias_adds_volume_and_inward_bias_takes_it(spacing, shift):
    mask = ball(9.0, spacing)
    larger = PlanningContour(outward_mm=shift)(mask, spacing, np.random.default_rng(0))
    smaller = PlanningContour(outward_mm=-shift)(mask, spacing, np.random.default_rng(0))
    assert smaller.sum() < mask.sum() < larger.sum()
    assert (larger | mask).sum() == larger.sum()


def test_a_displacement_is_in_millimetres_whatever_the_spacing():
    for spacing in ((1.0, 1.0, 1.0), (1.0, 1.0, 2.0), (2.0, 1.0, 1.0)):
        grown = PlanningContour(outward_mm=3.0)(ball(8.0, spacing, 40), spacing, np.random.default_rng(0))
        radius_mm = (grown.sum() * np.prod(spacing) * 3 / 4 / np.pi) ** (1 / 3)
        assert radius_mm == pytest.approx(8 + 3, abs=0.5)  # half a voxel


def test_signed_distance_is_that_of_a_ruler():
    mask = np.zeros((11, 5, 5), bool)
    mask[4:7] = True  # 3 voxels of 2 mm: boundaries at x = 7 and 13 mm
    distance = signed_distance_mm(mask, (2.0, 2.0, 2.0))
    np.testing.assert_allclose(distance[:, 2, 2][[0, 3, 5, 7, 10]], [7, 1, -3, 1, 7], atol=0.3)


def test_the_result_is_a_mask_on_the_same_grid_also_at_the_border():
    mask = np.zeros((20, 18, 16), bool)
    mask[:6, :5, 10:] = True
    style = PlanningContour(1.0, 2.0, 10.0, 0.5, 3, 4.0, 6.0)
    noisy = style(mask, (1.0, 1.0, 2.5), np.random.default_rng(0))
    assert noisy.shape == mask.shape
    assert noisy.dtype == np.bool_
    assert noisy.any()


@pytest.mark.parametrize("shape", [(1, 1, 1), (8, 8, 1)])
def test_one_voxel_and_one_slice_give_a_result(shape):
    noisy = PlanningContour(0.5, 0.5, 10.0, 0.2, 2, 3.0, 3.0)(np.ones(shape, bool), (1, 1, 3), np.random.default_rng(0))
    assert noisy.any()


def test_an_empty_mask_is_refused():
    with pytest.raises(ValueError, match="empty"):
        PlanningContour()(np.zeros((4, 4, 4), bool), (1, 1, 1), np.random.default_rng(0))


def test_condyle_tips_are_missing_from_the_top_only():
    mask = np.zeros((20, 10, 20), bool)
    mask[2:6, 3:7, 2:18] = mask[14:18, 3:7, 2:18] = True  # two rami
    cut = PlanningContour(tips_cut_mm=4.0)(mask, (1, 1, 1), np.random.default_rng(0))
    assert (cut[:, :, :12] == mask[:, :, :12]).all()
    assert not cut[:, :, 16:].any()


def test_teeth_raise_the_front_of_the_body_only():
    mask = np.zeros((12, 20, 20), bool)
    mask[3:9, 2:18, 4:8] = True
    raised = PlanningContour(teeth_mm=5.0)(mask, (1, 1, 1), np.random.default_rng(0))
    assert raised[6, 15, 12]  # anterior, above
    assert not raised[6, 3, 10]  # posterior
    assert not raised[6, 15, 3]  # below


def test_slices_between_the_drawn_ones_are_interpolated():
    mask = np.zeros((20, 20, 9), bool)
    mask[8:12, 8:12, :] = True
    mask[4:16, 4:16, 4] = True  # a wide slice that is not drawn when every 8th is
    drawn = PlanningContour(drawn_every=8)(mask, (1, 1, 20.0), np.random.default_rng(0))
    assert drawn[:, :, 4].sum() == drawn[:, :, 0].sum()


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
@given(seed=st.integers(0, 1000), correlation=st.floats(2, 30))
def test_the_random_field_is_standardised(seed, correlation):
    field = smooth_field((20, 20, 20), (1, 1, 2), correlation, np.random.default_rng(seed))
    assert field.mean() == pytest.approx(0, abs=1e-4)
    assert field.std() == pytest.approx(1, abs=1e-3)


def test_a_longer_correlation_makes_a_smoother_field():
    rough, smooth = (smooth_field((30, 30, 30), (1, 1, 1), c, np.random.default_rng(0)) for c in (3, 12))
    assert np.abs(np.diff(smooth, axis=0)).mean() < 0.5 * np.abs(np.diff(rough, axis=0)).mean()


def test_a_panels_contour_depends_on_seed_case_and_annotator_alone(tmp_path):
    mask, spacing = ball(10, (1, 1, 2)), (1.0, 1.0, 2.0)
    panel = PlanningPanel(seed=3)
    first = panel.draw(case("a"), mask, None, spacing)
    panel.draw(case("b"), mask, None, spacing)
    assert (panel.draw(case("a"), mask, None, spacing) == first).all()
    assert (PlanningPanel(seed=4).draw(case("a"), mask, None, spacing) != first).any()
    assert (panel.draw(case("c"), mask, None, spacing) != first).any()


def test_cases_are_dealt_out_among_the_panel_and_recorded_annotators_are_kept():
    panel = PlanningPanel(size=12)
    drawn = {panel.annotator(case(f"case {k}")) for k in range(200)}
    assert drawn == {f"dosimetrist_{k:02d}" for k in range(1, 13)}
    assert panel.annotator(case("a", annotator="Mrs B")) == "Mrs B"
    assert panel.style("dosimetrist_01") != panel.style("dosimetrist_02")


def test_a_panel_of_severity_zero_draws_the_reference():
    mask = ball(8, (1, 1, 2))
    assert (PlanningPanel(severity=0).draw(case(), mask, None, (1.0, 1.0, 2.0)) == mask).all()


def test_a_case_without_what_a_source_needs_is_named():
    with pytest.raises(UserError, match="case a: no noisy label"):
        Recorded().draw(case(), np.ones((2, 2, 2), bool), None, (1, 1, 1))
    with pytest.raises(UserError, match="case a: no reference"):
        PlanningPanel().draw(case(), None, None, (1, 1, 1))
