"""Predictions land on the image's own grid, in the arithmetic of the training; a mean is that of probabilities."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mandseg.data.cache import prepare_case
from mandseg.data.preprocessing import HuWindow, Preprocessing
from mandseg.data.volume import Volume, read_volume
from mandseg.evaluation.postprocessing import without_small_pieces
from mandseg.evaluation.predictor import Predictor, mean_of
from mandseg.evaluation.sliding_window import SlidingWindow
from mandseg.system.errors import UserError
from soft_values import back_to_original


def bone_detector(x):
    return 20 * x  # above the middle of the window (650 HU) is bone


def predictor(network=bone_detector, overlap=0.25, **changes):
    sliding = SlidingWindow((16, 16, 16), overlap)
    made = Predictor(network, Preprocessing((3.0, 3.0, 3.0)), HuWindow(-200, 1500), sliding, torch.device("cpu"))
    return replace(made, **changes)


def on_original(one, image):
    """The probabilities of a predictor on the grid of the image."""
    prepared = one.preprocessing.image(image)
    return back_to_original(Volume(one.on_grid(prepared.array), prepared.affine), image.geometry)


@pytest.mark.parametrize("axes", ["RAS", "LPS", "SAR"])
def test_a_prediction_lands_on_the_images_own_grid(ct, bone, affine, axes):
    turn = {"RAS": np.eye(4), "LPS": np.diag([-1.0, -1, 1, 1]), "SAR": np.eye(4)[[2, 1, 0, 3]]}[axes]
    image = Volume(ct, turn @ affine)
    mask = predictor().mask(image, 0.2)
    assert mask.geometry.disagreement(image.geometry) is None
    assert 2 * (mask.array & bone).sum() / (mask.array.sum() + bone.sum()) > 0.95
    probability = on_original(predictor(), image)
    assert ((probability >= 0.5) == mask.array).all()  # one piece: nothing is dropped
    assert probability[0, 0, 0] == 0  # air, outside the body's box


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float64])
def test_a_prepared_case_and_its_image_file_give_the_same_mask_voxel_for_voxel(make_case, ct, affine, tmp_path, dtype):
    image = Volume(ct.astype(dtype), np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)
    case = make_case(image=image, reference=Volume(ct > 500, image.affine))
    prepared = prepare_case(case, Preprocessing((3.0, 3.0, 3.0)), tmp_path / "cache", None)
    of_case, of_image = predictor().mask_of_case(prepared, 0.2), predictor().mask(read_volume(case.image), 0.2)
    assert of_case.array.any()
    assert np.array_equal(of_case.array, of_image.array)
    assert np.array_equal(of_case.affine, of_image.affine)


def test_an_image_with_values_that_are_no_numbers_is_refused(ct, affine):
    image = Volume(np.where(ct > 500, np.nan, ct), affine)
    with pytest.raises(UserError, match="an image with 729 voxels that are NaN or infinite"):
        predictor().mask(image, 0.2)


def test_the_mean_of_predictors_is_the_mean_of_their_probabilities(ct, affine):
    some = [predictor(), predictor(lambda x: -3 + 0 * x), predictor(lambda x: 5 * x, overlap=0.5)]
    image = Volume(ct, affine)
    expected = np.mean([on_original(one, image) for one in some], axis=0)
    mean = mean_of(some)
    np.testing.assert_allclose(on_original(mean, image), expected, atol=2e-6)
    assert np.array_equal(mean.mask(image, 0).array, expected >= 0.5)


@pytest.mark.parametrize(
    ("precision", "seen"), [("32-true", torch.float32), ("bf16-mixed", torch.bfloat16), ("64-true", torch.float32)]
)
def test_a_prediction_is_made_in_the_arithmetic_of_the_training(precision, seen):
    types = []

    def network(image):
        logits = torch.nn.functional.conv3d(image, torch.ones(1, 1, 1, 1, 1))
        types.append(logits.dtype)
        return logits

    probability = predictor(network, precision=precision).on_grid(np.zeros((9, 8, 7), np.int16))
    assert set(types) == {seen}
    assert probability.dtype == np.float32


def test_certain_members_of_a_mean_leave_finite_logits():
    mean = mean_of([predictor(lambda x: 200 + 0 * x)] * 2)
    assert torch.isfinite(mean.logits(torch.zeros(1, 1, 16, 16, 16))).all()


def test_predictors_with_different_preprocessing_have_no_mean():
    with pytest.raises(UserError, match=r"different window .*-200.*-500"):
        mean_of([predictor(), predictor(window=HuWindow(-500, 1500))])
    with pytest.raises(UserError, match="no predictors"):
        mean_of([])


@pytest.mark.parametrize(("smallest_piece", "voxels"), [(0.0, 64 + 36 + 8), (0.2, 64 + 36), (0.6, 64), (1.0, 64)])
def test_pieces_below_a_share_of_the_largest_are_dropped(smallest_piece, voxels):
    mask = np.zeros((12, 12, 12), bool)
    mask[8:, 8:, 8:] = True  # 64 voxels
    mask[0:3, 0:4, 0:3] = True  # 36: the other half of an interrupted mandible
    mask[0:2, 8:10, 0:2] = True  # 8: something else
    assert without_small_pieces(mask, smallest_piece).sum() == voxels


def test_an_empty_prediction_stays_empty():
    assert not without_small_pieces(np.zeros((3, 3, 3), bool), 0.2).any()
