"""Contouring errors: in mm, on the mask's own grid, signed, and a function of seed and settings."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from mandseg.metrics.signed_distance import signed_distance_mm
from mandseg.noise import (
    BoundaryWalk,
    DroppedEnds,
    EveryNth,
    GrossError,
    HandJitter,
    Margin,
    MetalSmear,
    NeighbouringBone,
    Polygon,
    Pose,
    Profile,
    RamusShaved,
    SmoothError,
    SymphysisOverdrawn,
    Target,
    TeethIncluded,
    TipsCut,
)
from mandseg.noise.modes.random_field import smooth_field
from mandseg.system.errors import UserError
from shapes import ISO, MODES, NAMES, ball, ct, horseshoe, rng


@pytest.mark.parametrize("mode", MODES, ids=NAMES)
def test_every_mode_changes_a_mandible_and_gives_a_mask_on_its_grid(mode):
    mask, hu = horseshoe(), ct(horseshoe())
    hu[20:40, 40:46, 17:22] = 3000  # teeth of metal
    mask[26:34, 30:40, 8:16] |= ball(6.0, ISO, 12)[2:10, 2:12, 2:10]  # a round edge for the polygon to cut
    drawn = mode(mask, ISO, rng(), hu)
    assert drawn.shape == mask.shape
    assert drawn.dtype == np.bool_
    assert (drawn != mask).any()
    assert drawn.any()


def test_an_empty_mask_is_refused_by_modes_and_profiles():
    for draw in (Margin(1.0), Profile([Margin(1.0)])):
        with pytest.raises(ValueError, match="empty"):
            draw(np.zeros((4, 4, 4), bool), ISO, rng())


@pytest.mark.parametrize("spacing", [ISO, (1.0, 1.0, 2.0), (2.0, 1.0, 1.0), (0.5, 0.5, 1.0)])
@pytest.mark.parametrize("mm", [-2.9, -1.0, -0.4, 0.4, 1.0, 2.9])
def test_a_margin_is_in_millimetres_for_any_spacing(spacing, mm):
    ball_mask = ball(8.0, spacing, 48)
    before, after = (
        (mask.sum() * np.prod(spacing) * 3 / 4 / np.pi) ** (1 / 3)
        for mask in (ball_mask, Margin(mm)(ball_mask, spacing, rng()))
    )
    assert after - before == pytest.approx(mm, abs=0.25 * max(spacing))


@pytest.mark.parametrize("mm", [-1.5, -0.5, 0.5, 1.5])
def test_a_margin_is_the_same_across_an_oblique_surface(mm):
    normal, place = np.array([0.48, 0.6, 0.64]), np.moveaxis(np.indices((40, 40, 40)) - 19.5, 0, -1)
    across = place @ normal
    near = np.abs(place).max(axis=-1) < 10
    drawn = Margin(mm)(across <= 0, ISO, rng())
    assert across[drawn & near].max() == pytest.approx(mm, abs=0.3)
    assert across[~drawn & near].min() == pytest.approx(mm, abs=0.3)


def test_errors_smaller_than_a_voxel_add_up():
    mask = ball(8.0, ISO)
    once, four_times = (Profile([Margin(0.3)] * n)(mask, ISO, rng()).sum() for n in (1, 4))
    assert mask.sum() < once < four_times
    assert four_times == pytest.approx(Margin(1.2)(mask, ISO, rng()).sum(), abs=2)


def test_signed_distance_is_that_of_a_ruler():
    mask = np.zeros((11, 5, 5), bool)
    mask[4:7] = True  # 3 voxels of 2 mm: boundaries at x = 7 and 13 mm
    distance = signed_distance_mm(mask, (2.0, 2.0, 2.0))
    np.testing.assert_allclose(distance[:, 2, 2][[0, 3, 5, 7, 10]], [7, 1, -3, 1, 7], atol=0.3)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), correlation=st.floats(2, 30))
def test_the_random_field_is_standardised(seed, correlation):
    field = smooth_field((20, 20, 20), (1, 1, 2), correlation, rng(seed))
    assert field.mean() == pytest.approx(0, abs=1e-4)
    assert field.std() == pytest.approx(1, abs=1e-3)


def test_a_longer_correlation_makes_a_smoother_field():
    rough, smooth = (smooth_field((30, 30, 30), ISO, c, rng()) for c in (3, 12))
    assert np.abs(np.diff(smooth, axis=0)).mean() < 0.5 * np.abs(np.diff(rough, axis=0)).mean()


def test_a_hand_jitters_from_slice_to_slice_and_a_smooth_error_does_not():
    flat = smooth_field((30, 30, 30), ISO, (10, 10, 0), rng())
    neighbours = [np.corrcoef(flat[:, :, k].ravel(), flat[:, :, k + 1].ravel())[0, 1] for k in range(29)]
    assert abs(np.mean(neighbours)) < 0.2
    deep = smooth_field((30, 30, 30), ISO, 10, rng())
    assert np.corrcoef(deep[:, :, 10].ravel(), deep[:, :, 11].ravel())[0, 1] > 0.9


def test_a_walk_that_only_expands_and_never_leaves_a_patch_behind_is_a_margin():
    mask = ball(8.0, ISO)
    walked = BoundaryWalk(steps=4, step_mm=0.5, outward=1.0, flip=1.0)(mask, ISO, rng())
    assert (walked == Margin(2.0)(mask, ISO, rng())).all()


def test_a_polygon_of_a_disc_stays_within_its_tolerance_and_has_fewer_corners():
    disc = np.repeat(ball(14.0, ISO, 40)[:, :, 20:21], 3, axis=2)
    drawn = Polygon(2.0)(disc, ISO, rng())
    assert (drawn != disc).any()
    assert np.abs(signed_distance_mm(disc, ISO)[drawn != disc]).max() <= 2.0 + 0.5
    square = np.zeros((20, 20, 3), bool)
    square[5:15, 5:15] = True
    assert (Polygon(0.4)(square, ISO, rng()) == square).all()  # its four corners are enough


def test_a_polygon_keeps_a_hole():
    ring = np.zeros((30, 30, 1), bool)
    ring[3:27, 3:27] = True
    ring[10:20, 10:20] = False
    assert not Polygon(1.0)(ring, ISO, rng())[15, 15, 0]


def test_slices_between_the_drawn_ones_are_interpolated():
    mask = np.zeros((20, 20, 9), bool)
    mask[8:12, 8:12, :] = True
    mask[4:16, 4:16, 4] = True  # a wide slice that is not drawn when every 8th is
    drawn = EveryNth(8)(mask, (1, 1, 20.0), rng())
    assert drawn[:, :, 4].sum() == drawn[:, :, 0].sum()


def test_dropped_ends_leave_the_middle_alone():
    mask = np.zeros((8, 8, 40), bool)
    mask[2:6, 2:6, 5:35] = True
    drawn = DroppedEnds(top_mm=4.0, bottom_mm=4.0)(mask, ISO, rng())
    assert (drawn[:, :, 12:28] == mask[:, :, 12:28]).all()
    assert not drawn[:, :, 33:].any()
    assert not drawn[:, :, :7].any()


def test_a_pose_keeps_the_volume_and_moves_the_centre_by_its_shift():
    mask = ball(8.0, ISO, 40)
    moved = Pose(shift_mm=3.0, rotation_deg=10.0)(mask, ISO, rng(1))
    assert moved.sum() == pytest.approx(mask.sum(), rel=0.05)
    shift = 3.0 * rng(1).standard_normal(3)
    np.testing.assert_allclose(np.argwhere(moved).mean(0) - np.argwhere(mask).mean(0), shift, atol=0.3)


def test_a_rotation_turns_by_its_angle():
    bar = np.zeros((41, 41, 9), bool)
    bar[5:36, 18:23, 2:7] = True
    seed = next(s for s in range(200) if abs(rng(s).standard_normal(6)[5]) > 1.5)
    angle = np.deg2rad(10 * rng(seed).standard_normal(6)[5])
    turned = np.argwhere(Pose(0.0, 10.0)(bar, ISO, rng(seed)))[:, :2]
    axis = np.linalg.eigh(np.cov(turned.T))[1][:, -1]
    assert np.arctan(axis[1] / axis[0]) == pytest.approx(angle, abs=np.deg2rad(5))


def test_teeth_are_what_is_dense_above_the_front_and_only_with_the_ct():
    mask = horseshoe()
    hu = ct(mask)
    hu[25:35, 40:46, 16:22] = 2500  # lower front teeth, 6 mm
    hu[25:35, 40:46, 26:32] = 2500  # upper front teeth
    drawn = TeethIncluded(7.0)(mask, ISO, rng(), hu)
    assert drawn[26:34, 41:45, 16:22].all()
    assert not drawn[:, :, 24:][:, 30:].any()
    assert (drawn[:, :, :15] == mask[:, :, :15]).all()
    raised = TeethIncluded(5.0)(mask, ISO, rng())
    assert raised[30, 43, 18]
    assert not raised[30, 43, 23]


def test_processes_are_missing_from_the_top_only():
    mask = horseshoe()
    cut = TipsCut(condyle_mm=4.0, coronoid_mm=4.0)(mask, ISO, rng())
    assert (cut[:, :, :28] == mask[:, :, :28]).all()
    assert not cut[:, :, 34:].any()
    only_coronoid = TipsCut(condyle_mm=0.0, coronoid_mm=4.0)(mask, ISO, rng())
    assert (only_coronoid[:, :14] == mask[:, :14]).all()
    assert not only_coronoid[:, 18:, 34:].any()


def test_a_thin_ramus_is_not_shaved_through():
    mask = horseshoe()
    mask[12:16, 10:30, 16:30] = False  # 2 mm are left of 6
    shaved = RamusShaved(3.0)(mask, ISO, rng())
    assert shaved[10:16, 10:22, 16:28].any(axis=(0, 1)).all()
    assert shaved[44:50, 10:22, 16:28].sum() < 0.7 * mask[44:50, 10:22, 16:28].sum()  # the other one


def test_what_a_profile_draws_has_no_specks_but_keeps_the_pieces_of_its_reference():
    island = np.zeros((40, 20, 12), bool)
    island[2:20, 2:14, 2:10] = True
    hu = ct(island)
    hu[23:25, 8:10, 5:7] = 900  # 8 mm^3 of bone, 3 mm away
    assert (Profile([NeighbouringBone(5.0)])(island, ISO, rng(), hu) == island).all()
    assert (NeighbouringBone(5.0)(island, ISO, rng(), hu) != island).any()
    island[23:25, 8:10, 5:7] = True
    assert (Profile([Margin(0.1)])(island, ISO, rng()) & island)[24, 9, 6]


def test_the_patches_of_a_walk_leave_no_islands():
    mask = ball(14.0, ISO, 44)
    for seed in range(3):
        assert ndimage.label(BoundaryWalk()(mask, ISO, rng(seed)))[1] == 1


def test_ramus_and_chin_are_changed_where_they_are():
    mask = horseshoe()
    shaved = RamusShaved(1.5)(mask, ISO, rng())
    assert shaved[:, 10:22, 20:].sum() < 0.8 * mask[:, 10:22, 20:].sum()
    assert (shaved[:, 38:] == mask[:, 38:]).all()
    thick = SymphysisOverdrawn(2.0)(mask, ISO, rng())
    assert thick[30, 47, 12]
    assert (thick[:, :24] == mask[:, :24]).all()


def test_neighbouring_bone_comes_in_by_its_reach():
    mask = horseshoe()
    hu = ct(mask)
    hu[20:40, 40:46, 16:26] = 400
    drawn = NeighbouringBone(reach_mm=3.0)(mask, ISO, rng(), hu)
    assert drawn[30, 43, 17]
    assert not drawn[30, 43, 21]


def test_metal_smears_its_own_slices_only():
    mask = horseshoe()
    hu = ct(mask)
    assert (MetalSmear(3.0)(mask, ISO, rng(), hu) == mask).all()
    hu[28:32, 42:45, 12:14] = 3071
    drawn = MetalSmear(3.0)(mask, ISO, rng(), hu)
    changed = np.flatnonzero((drawn != mask).any(axis=(0, 1)))
    assert changed.size
    assert set(changed) <= {11, 12, 13, 14}


@pytest.mark.parametrize("mode", [NeighbouringBone(), MetalSmear()])
def test_a_mode_that_needs_the_image_is_refused_without_one(mode):
    with pytest.raises(ValueError, match="needs the CT"):
        mode(horseshoe(), ISO, rng())


def test_gross_errors_come_at_their_rate():
    mask = ball(4.0, ISO, 10)
    spoilt = [(Profile([GrossError(0.25)])(mask, ISO, rng(seed)) != mask).any() for seed in range(120)]
    assert 0.15 < np.mean(spoilt) < 0.36


def test_the_upper_jaw_is_the_wrong_structure_that_is_drawn():
    mask, hu = horseshoe(), ct(horseshoe())
    hu[20:40, 40:46, 22:30] = 500  # upper jaw
    hu[5:55, 0:6, :] = 500  # a larger bone behind
    drawn = Profile([GrossError(1.0, ["wrong_structure"])])(mask, ISO, rng(), hu)
    assert drawn[30, 43, 25]
    assert not drawn[:, :6].any()


def test_each_gross_error_is_of_its_kind():
    mask, hu = horseshoe(), ct(horseshoe())
    hu[5:55, 20:30, 20:30] = 500  # another bone
    drawn = {
        kind: Profile([GrossError(1.0, [kind])])(mask, ISO, rng(), hu)
        for kind in ("piece_missing", "side_missing", "wrong_structure", "empty")
    }
    assert 0 < drawn["piece_missing"].sum() < mask.sum()
    assert drawn["side_missing"].sum() == pytest.approx(mask.sum() / 2, rel=0.1)
    assert not (drawn["wrong_structure"] & mask).any()
    assert drawn["wrong_structure"].any()
    assert not drawn["empty"].any()
    with pytest.raises(UserError, match="gross error 'piece'"):
        GrossError(0.1, ["piece"])


PROFILE = Profile([TipsCut(4, 4), SmoothError(0.8, 8, 0.3), HandJitter(0.4), Polygon(0.5), EveryNth(2)])


@pytest.mark.parametrize("dice", [0.95, 0.85, 0.7])
def test_a_target_dice_is_met(dice):
    mask = horseshoe()
    drawn = replace(PROFILE, target=Target("dice", dice))(mask, ISO, rng())
    assert 2 * (drawn & mask).sum() / (drawn.sum() + mask.sum()) == pytest.approx(dice, abs=0.005)


def test_a_target_hd95_is_met():
    from mandseg.metrics.agreement import score

    mask = horseshoe()
    drawn = replace(PROFILE, target=Target("hd95_mm", 3.0))(mask, ISO, rng())
    assert score(drawn, mask, ISO)["hd95_mm"] == pytest.approx(3.0, abs=0.25)


def test_a_target_of_perfection_is_the_reference():
    assert (replace(PROFILE, target=Target("dice", 1.0))(horseshoe(), ISO, rng()) == horseshoe()).all()


def test_a_target_out_of_reach_is_reported_with_both_values():
    with pytest.raises(ValueError, match=r"target dice 0\.3 cannot be reached: 1\.000 at severity 16"):
        Profile([], target=Target("dice", 0.3))(horseshoe(), ISO, rng())
    with pytest.raises(UserError, match=r"target_dice=1\.2"):
        Target("dice", 1.2)


def test_a_target_that_the_errors_jump_over_is_reached():
    mask = np.zeros((24, 24, 12), bool)
    mask[4:20, 4:20, 2:10] = True  # 8 slices: each that is missing costs 7 % of Dice, all at once
    spacing = (1.0, 1.0, 3.0)
    for dice in (0.97, 0.91, 0.84):
        drawn = Profile([DroppedEnds(6.0)], target=Target("dice", dice))(mask, spacing, rng())
        assert Target("dice", dice).measure(drawn, mask, spacing) == pytest.approx(dice, abs=0.005)


def test_gross_errors_come_after_calibration():
    spoilt = Profile([*PROFILE.modes, GrossError(1.0, ["empty"])], target=Target("dice", 0.9))
    assert not spoilt(horseshoe(), ISO, rng()).any()


def test_severity_zero_is_the_reference_for_any_profile():
    assert (
        Profile([*MODES, GrossError(1.0)], severity=0.0)(horseshoe(), ISO, rng(), ct(horseshoe())) == horseshoe()
    ).all()


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 100))
def test_agreement_falls_with_severity(seed):
    mask = horseshoe()
    drawn = [replace(PROFILE, severity=s)(mask, ISO, rng(seed)) for s in (0.25, 1.0, 3.0)]
    dices = [2 * (d & mask).sum() / (d.sum() + mask.sum()) for d in drawn]
    assert dices == sorted(dices, reverse=True)
