"""The LightningModule: its prior, its schedule, its network in every config."""

import pytest
import torch
from torch import nn

from mandseg.evaluation.sliding_window import SlidingWindow
from mandseg.training.module import Segmenter, dice, set_output_prior


def segmenter(**changes):
    settings = {"steps": 100, "warmup_steps": 10, "final_lr_share": 0.1, "foreground_prior": 0.02, "seed": 0} | changes
    window = SlidingWindow((8, 8, 8), 0.25)
    return Segmenter(nn.Conv3d(1, 1, 1), nn.BCEWithLogitsLoss(), torch.optim.SGD, window, **settings)


def test_an_untrained_network_predicts_the_prior():
    module = segmenter()
    nn.init.zeros_(module.network.weight)
    assert torch.sigmoid(module(torch.zeros(1, 1, 2, 2, 2))).flatten()[0].item() == pytest.approx(0.02, abs=1e-4)


def test_a_network_without_a_last_bias_is_refused():
    with pytest.raises(ValueError, match="no last convolution"):
        set_output_prior(nn.Conv3d(1, 1, 1, bias=False), 0.01)


def test_the_learning_rate_rises_then_falls_to_its_share():
    module = segmenter()
    shares = [module.lr_share(step) for step in range(101)]
    assert shares[0] == 0.1
    assert max(shares) == shares[9] == 1.0
    assert shares[55] == pytest.approx(0.55)  # half of the cosine: halfway between 1 and 0.1
    assert shares[100] == pytest.approx(0.1)


def test_dice_of_two_empty_masks_is_one():
    empty, full = torch.zeros(4, dtype=torch.bool), torch.ones(4, dtype=torch.bool)
    assert dice(empty, empty) == 1
    assert dice(empty, full) == 0
    assert dice(full, full) == 1
