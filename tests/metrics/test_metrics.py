"""Metrics on geometries whose numbers follow by hand, and against the published package on anything else."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter

from mandseg.metrics.agreement import score
from mandseg.metrics.catalogue import AGREEMENT, MEASURED
from mandseg.metrics.mask_pair import MaskPair
from mandseg.metrics.masks import bounding_box
from mandseg.metrics.surfaces import surfaces
from mandseg.system.errors import UserError

SHAPE = (16, 14, 12)


def box(low, high, shape=SHAPE):
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return mask


def blob(seed, shape=(40, 36, 28)):
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 3.0)
    return noise > np.quantile(noise, 0.9)


def published(prediction, reference, spacing_mm):
    """The result of the package surface-distance on the whole arrays."""
    import surface_distance as package

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        found = package.compute_surface_distances(reference, prediction, spacing_mm)
    to_prediction, to_reference = package.compute_average_surface_distance(found)
    area_reference, area_prediction = found["surfel_areas_gt"].sum(), found["surfel_areas_pred"].sum()
    return {
        "dice": package.compute_dice_coefficient(reference, prediction),
        "hd95_mm": package.compute_robust_hausdorff(found, 95),
        "assd_mm": (to_prediction * area_reference + to_reference * area_prediction)
        / (area_reference + area_prediction),
        "nsd_1mm": package.compute_surface_dice_at_tolerance(found, 1.0),
        "nsd_2mm": package.compute_surface_dice_at_tolerance(found, 2.0),
    }


def agreement(scores):
    return {name: scores[name] for name in AGREEMENT}


def test_identical_masks_agree_perfectly():
    mask = box((3, 3, 3), (9, 8, 7))
    scores = score(mask, mask, (1.0, 1.0, 1.0))
    assert scores["outcome"] == "scored"
    assert agreement(scores) == {"dice": 1, "hd95_mm": 0, "assd_mm": 0, "nsd_1mm": 1, "nsd_2mm": 1}
    assert scores["volume_error_ml"] == 0


def test_two_voxels_two_millimetres_apart():
    # The eight corners of each voxel lie on two planes: one 1 mm, the other 2 mm from the nearest corner of the other.
    scores = score(box((5, 5, 5), (6, 6, 6)), box((3, 5, 5), (4, 6, 6)), (1.0, 1.0, 1.0))
    assert agreement(scores) == pytest.approx(
        {"dice": 0, "hd95_mm": 2, "assd_mm": 1.5, "nsd_1mm": 0.5, "nsd_2mm": 1}, abs=1e-12
    )


def test_neighbouring_voxels_along_a_three_millimetre_axis():
    # Half of each surface's corners are shared (0 mm), the other half lie one slice, 3 mm, away.
    scores = score(box((5, 5, 5), (6, 6, 6)), box((5, 5, 6), (6, 6, 7)), (1.0, 1.0, 3.0))
    assert agreement(scores) == pytest.approx(
        {"dice": 0, "hd95_mm": 3, "assd_mm": 1.5, "nsd_1mm": 0.5, "nsd_2mm": 0.5}, abs=1e-12
    )


def test_two_cubes_shifted_by_two_millimetres():
    # 8 of 10 layers are common. The two end faces (a sixth of the area each) are at most 2 mm from the other surface,
    # and exactly 2 mm where no side face is nearer (49 of 100 inside, 81 of 100 outside); the side faces have one ring
    # of 40 at 1 mm. That bounds the average from both sides.
    scores = score(box((5, 2, 1), (15, 12, 11), (20, 16, 14)), box((3, 2, 1), (13, 12, 11), (20, 16, 14)), (1, 1, 1))
    assert scores["dice"] == pytest.approx(0.8)
    assert scores["hd95_mm"] == 2
    assert scores["nsd_2mm"] == 1
    assert (49 + 81) * 2 / 600 < scores["assd_mm"] < (200 * 2 + 40) / 600
    assert scores["reference_ml"] == scores["prediction_ml"] == 1.0


def test_volume_error_is_signed_and_uses_the_spacing():
    scores = score(box((2, 2, 2), (12, 12, 7)), box((2, 2, 2), (12, 12, 12)), (0.5, 2.0, 4.0))
    assert (scores["reference_ml"], scores["prediction_ml"], scores["volume_error_ml"]) == (4.0, 2.0, -2.0)


@pytest.mark.parametrize(
    ("prediction", "reference", "outcome", "overlap"),
    [("empty", "empty", "both_empty", 1), ("empty", "full", "missed", 0), ("full", "empty", "spurious", 0)],
)
def test_empty_masks_follow_the_table(prediction, reference, outcome, overlap):
    masks = {"empty": np.zeros((3, 4, 12), dtype=bool), "full": box((0, 0, 0), (2, 2, 2), (3, 4, 12))}
    scores = score(masks[prediction], masks[reference], (1.0, 1.0, 1.0))
    distance_mm = 0 if outcome == "both_empty" else 13  # 3-4-12-13: the diagonal of the grid
    assert scores["outcome"] == outcome
    assert agreement(scores) == {
        "dice": overlap,
        "hd95_mm": distance_mm,
        "assd_mm": distance_mm,
        "nsd_1mm": overlap,
        "nsd_2mm": overlap,
    }
    assert scores["volume_error_ml"] == pytest.approx({"missed": -0.008, "spurious": 0.008, "both_empty": 0.0}[outcome])


def test_missing_a_case_is_never_better_than_the_worst_prediction():
    reference, farthest = box((0, 0, 0), (1, 1, 1)), box((15, 13, 11), (16, 14, 12))
    missed, scored = (score(p, reference, (1, 2, 3)) for p in (np.zeros(SHAPE, dtype=bool), farthest))
    assert missed["hd95_mm"] >= scored["hd95_mm"] > 0
    assert missed["assd_mm"] >= scored["assd_mm"]


def test_masks_filling_the_whole_grid_have_a_closed_surface():
    full = np.ones(SHAPE, dtype=bool)
    assert agreement(score(full, full, (1, 1, 1)))["hd95_mm"] == 0
    thinner = full.copy()
    thinner[:, :, -1] = False
    scores = score(thinner, full, (1.0, 1.0, 3.0))
    assert scores["hd95_mm"] == 3  # the last slice is 3 mm thick and has about a fifth of the surface


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (0.9, 1.3, 2.5), (3.0, 0.7, 1.1)])
@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_the_published_package(seed, spacing_mm):
    prediction, reference = blob(seed), blob(seed + 100)
    prediction[:20] = reference[:20]  # agree in part, so that no number is trivial
    assert agreement(score(prediction, reference, spacing_mm)) == pytest.approx(
        published(prediction, reference, spacing_mm), abs=1e-6
    )


@pytest.mark.parametrize("corner", [(0, 0, 0), (15, 0, 11), (15, 13, 11)])
def test_one_voxel_at_the_border_scores_as_the_published_package(corner):
    voxel, reference = np.zeros(SHAPE, dtype=bool), box((0, 0, 0), (16, 6, 12))
    voxel[corner] = True
    expected = published(voxel, reference, (0.8, 1.2, 2.5))
    assert agreement(score(voxel, reference, (0.8, 1.2, 2.5))) == pytest.approx(expected, abs=1e-6)


def test_a_spacing_rounded_by_its_header_does_not_move_a_tie_over_the_tolerance():
    a, b = box((5, 5, 5), (6, 6, 6)), box((5, 5, 6), (6, 6, 7))
    assert score(a, b, (1.0, 1.0, 2.0000002))["nsd_2mm"] == score(a, b, (1.0, 1.0, 2.0))["nsd_2mm"] == 1


masks = arrays(np.bool_, (5, 6, 4), elements=st.booleans(), fill=st.just(False))
# Multiples of 1/4 mm: squares and their sums are exact, so the order of axes cannot change a distance.
spacings = st.tuples(*[st.sampled_from([0.25, 0.5, 1.0, 1.25, 2.5, 3.0])] * 3)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(a=masks, b=masks, spacing_mm=spacings)
def test_agreement_does_not_depend_on_which_mask_is_the_reference(a, b, spacing_mm):
    forth, back = score(a, b, spacing_mm), score(b, a, spacing_mm)
    assert agreement(forth) == pytest.approx(agreement(back), abs=1e-9)
    assert forth["volume_error_ml"] == pytest.approx(-back["volume_error_ml"])


@settings(max_examples=40, deadline=None, derandomize=True)
@given(a=masks, b=masks, spacing_mm=spacings, axes=st.permutations([0, 1, 2]))
def test_scores_follow_the_grid_when_its_axes_are_permuted(a, b, spacing_mm, axes):
    permuted = score(a.transpose(axes), b.transpose(axes), [spacing_mm[i] for i in axes], up=axes.index(2))
    assert {k: permuted[k] for k in MEASURED} == pytest.approx(
        {k: v for k, v in score(a, b, spacing_mm).items() if k != "outcome"}, abs=1e-9
    )


@settings(max_examples=40, deadline=None, derandomize=True)
@given(a=masks, b=masks, spacing_mm=spacings)
def test_every_score_is_finite_and_within_its_range(a, b, spacing_mm):
    scores = score(a, b, spacing_mm)
    diagonal_mm = np.linalg.norm(np.array(a.shape) * spacing_mm)
    assert set(scores) == {"outcome", *MEASURED}
    assert all(0 <= scores[name] <= 1 for name in ("dice", "nsd_1mm", "nsd_2mm"))
    assert all(0 <= scores[name] <= diagonal_mm for name in ("hd95_mm", "assd_mm"))
    assert scores["nsd_1mm"] <= scores["nsd_2mm"]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(a=masks, b=masks)
def test_bounding_box_holds_every_voxel_and_nothing_more(a, b):
    found = bounding_box(a, b)
    if found is None:
        assert not (a | b).any()
        return
    inside = (a | b)[found]
    assert inside.sum() == (a | b).sum()
    for axis in range(3):
        others = tuple(i for i in range(3) if i != axis)
        assert inside.any(axis=others)[[0, -1]].all()


def test_a_shape_mismatch_names_both_shapes():
    with pytest.raises(UserError, match=r"\(4, 4, 4\).*differs from \(4, 4, 5\)"):
        score(np.zeros((4, 4, 4), dtype=bool), np.zeros((4, 4, 5), dtype=bool), (1, 1, 1))


@pytest.mark.parametrize("spacing_mm", [(1, 1), (1, 1, 0), (1, 1, float("nan"))])
def test_an_impossible_spacing_is_refused(spacing_mm):
    mask = np.ones((2, 2, 2), dtype=bool)
    with pytest.raises(ValueError, match="spacing"):
        score(mask, mask, spacing_mm)


def test_label_values_are_not_mistaken_for_masks():
    with pytest.raises(ValueError, match="uint8"):
        score(np.ones((2, 2, 2), dtype=np.uint8), np.ones((2, 2, 2), dtype=bool), (1, 1, 1))


@pytest.mark.parametrize("seed", range(6))
def test_surface_elements_are_bit_for_bit_those_of_the_published_package(seed: int):
    import surface_distance as package

    rng = np.random.default_rng(seed)
    shape, spacing_mm = tuple(rng.integers(6, 30, 3)), tuple(rng.uniform(0.4, 3, 3))
    reference, other = (gaussian_filter(rng.normal(size=shape), 1.5) > 0 for _ in range(2))
    prediction = reference ^ (rng.random(shape) < 0.02) if seed % 2 else other
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        expected = package.compute_surface_distances(reference, prediction, spacing_mm)
    found = surfaces(prediction, reference, spacing_mm)
    for values, name in (
        (found.distances_gt_to_pred, "distances_gt_to_pred"),
        (found.areas_gt, "surfel_areas_gt"),
        (found.distances_pred_to_gt, "distances_pred_to_gt"),
        (found.areas_pred, "surfel_areas_pred"),
    ):
        np.testing.assert_array_equal(values, expected[name])


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_bounding_box_does_not_depend_on_the_order_in_memory(order: str):
    mask = np.array(box((2, 3, 4), (5, 4, 9)), order=order)
    assert bounding_box(mask) == (slice(2, 5), slice(3, 4), slice(4, 9))
    assert bounding_box(mask.transpose(2, 0, 1)) == (slice(4, 9), slice(2, 5), slice(3, 4))


@pytest.mark.parametrize("up", [0, 1, 2])
def test_dice_in_the_references_slices_ignores_what_is_predicted_above_and_below(up):
    reference = np.zeros((6, 6, 6), bool)
    reference[2:4, 2:4, 2:4] = True
    taller = np.zeros((6, 6, 6), bool)
    taller[2:4, 2:4, 0:6] = True
    moved = np.moveaxis(taller, 2, up)
    assert score(moved, reference, (1, 1, 2), up)["dice_in_slices"] == 1
    assert score(moved, reference, (1, 1, 2), up)["dice"] == 0.5  # 8 of 8 and 24 voxels
    elsewhere = np.roll(np.moveaxis(reference, 2, up), 3, up)
    assert score(elsewhere, reference, (1, 1, 2), up)["dice_in_slices"] < 0.4


def test_the_references_slices_are_cut_out_of_the_box_around_both_masks():
    prediction, reference = box((2, 3, 4), (5, 6, 9)), box((3, 3, 6), (6, 5, 8))
    pair = MaskPair(prediction, reference, (1, 1, 1))
    assert [mask.shape for mask in pair.in_reference_slices] == [(4, 3, 2), (4, 3, 2)]
    np.testing.assert_array_equal(pair.in_reference_slices[1], reference[2:6, 3:6, 6:8])
