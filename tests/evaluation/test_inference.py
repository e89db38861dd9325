"""Sliding windows equal the whole volume for a voxelwise network; predictions land on the image's own grid."""

import numpy as np
import pytest
import torch

from mandseg.data.cache import prepare_case
from mandseg.data.loaded_case import load_scan
from mandseg.data.preprocessing import HuWindow, Preprocessing
from mandseg.data.volume import Volume
from mandseg.evaluation.postprocessing import without_small_pieces
from mandseg.evaluation.predictor import predict_case
from mandseg.evaluation.sliding_window import SlidingWindow


@pytest.mark.parametrize("shape", [(17, 13, 11), (8, 8, 8), (5, 30, 9)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_windows_of_a_voxelwise_network_give_the_whole_volumes_result(shape, overlap):
    image = torch.rand(1, 1, *shape)
    logits = SlidingWindow((8, 8, 8), overlap)(lambda x: x + 1, image)
    torch.testing.assert_close(logits, image + 1)


@pytest.mark.parametrize("flip", [False, True])
def test_a_prediction_lands_on_the_images_own_grid(make_case, ct, bone, affine, tmp_path, flip):
    turn = np.diag([-1.0, -1.0, 1.0, 1.0]) if flip else np.eye(4)
    case = make_case(image=Volume(ct, turn @ affine), reference=Volume(bone, turn @ affine))
    prepared = prepare_case(case, Preprocessing((3.0, 3.0, 3.0)), tmp_path / "cache", None)
    bone_detector = lambda x: 20 * x  # noqa: E731  above the middle of the window (650 HU) is bone
    mask = predict_case(bone_detector, prepared, SlidingWindow((16, 16, 16), 0.25), HuWindow(-200, 1500), 0.2)
    assert mask.shape == load_scan(case).image.array.shape
    assert 2 * (mask & bone).sum() / (mask.sum() + bone.sum()) > 0.95


@pytest.mark.parametrize(("smallest_piece", "voxels"), [(0.0, 64 + 36 + 8), (0.2, 64 + 36), (0.6, 64), (1.0, 64)])
def test_pieces_below_a_share_of_the_largest_are_dropped(smallest_piece, voxels):
    mask = np.zeros((12, 12, 12), bool)
    mask[8:, 8:, 8:] = True  # 64 voxels
    mask[0:3, 0:4, 0:3] = True  # 36: the other half of an interrupted mandible
    mask[0:2, 8:10, 0:2] = True  # 8: something else
    assert without_small_pieces(mask, smallest_piece).sum() == voxels


def test_an_empty_prediction_stays_empty():
    assert not without_small_pieces(np.zeros((3, 3, 3), bool), 0.2).any()
