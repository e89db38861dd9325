"""Learned weighting: the trusted gradient, and which voxels are left out because of it."""

import pytest
import torch
from torch import nn

from mandseg.training.cpu_copy import CpuCopy
from mandseg.training.losses.voxel_loss import cross_entropy
from mandseg.training.methods.learned_weighting import LearnedWeighting

SHAPE = (1, 4, 4, 4)


class Slope(nn.Module):
    """One weight: logit = weight * image."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.5]))

    def forward(self, image):
        return self.weight * image


def made(**changed):
    own = {"step": 0.01, "decay": 0.75, "reach_mm": 100.0, "spacing_mm": (1, 1, 1)} | changed
    return LearnedWeighting(Slope, lambda logits, label: cross_entropy(logits, label).mean(), **own)


def patches():
    """A trusted patch whose labels are the sign of the image, and another with a quarter of the labels turned round."""
    image = torch.linspace(-2, 2, 128).reshape(2, *SHAPE)
    image = torch.stack([image.flatten()[::2], image.flatten()[1::2]]).reshape(2, *SHAPE)
    right = (image > 0).float()
    turned = torch.zeros(2, *SHAPE, dtype=torch.bool)
    turned[1].view(-1)[::4] = True
    label = torch.where(turned, 1 - right, right)
    return image, label, right, turned


def batch(image, label, trusted):
    chosen = torch.tensor(trusted)
    case = torch.arange(2)
    return {"image": image, "label": label, "case": case, "trusted": chosen, "trusted_on_cpu": CpuCopy(chosen)}


def test_the_gradient_is_the_moving_average_of_the_trusted_patches_gradients():
    method = made()
    image, label, _, _ = patches()
    method.loss(method.logits(image), batch(image, label, [True, False]), 0.0)
    x, y = image[0].double(), label[0].double()
    expected = ((torch.sigmoid(0.5 * x) - y) * x).mean()  # of the mean cross-entropy
    assert method.gradient.item() == pytest.approx(0.25 * expected.item(), rel=1e-5)
    before = method.gradient.clone()
    method.loss(method.logits(image), batch(image, label, [False, False]), 0.0)
    assert torch.equal(method.gradient, before)


def test_voxels_whose_labels_contradict_the_trusted_ones_are_left_out_and_no_others():
    method = made()
    image, label, right, turned = patches()
    seen = batch(image, label, [True, False])
    assert method.loss(method.logits(image), seen, 0.0)["left_out"] == 0  # no gradient is known yet
    terms = method.loss(method.logits(image), seen, 0.0)
    assert terms["left_out"].item() == pytest.approx(turned.sum().item() / turned.numel())
    kept = torch.where(turned, 0, cross_entropy(0.5 * image, right))  # what is left out adds nothing
    assert terms["loss"].item() == pytest.approx(kept.mean().item(), abs=1e-6)


def test_a_trusted_label_is_never_left_out():
    method = made()
    image, label, _, _ = patches()
    method.loss(method.logits(image), batch(image, label, [True, False]), 0.0)
    assert method.loss(method.logits(image), batch(image, label, [True, True]), 0.0)["left_out"] == 0


def test_the_trial_step_changes_no_running_statistics():
    network = nn.Sequential(nn.BatchNorm3d(1), nn.Conv3d(1, 1, 1))
    method = LearnedWeighting(lambda: network, nn.BCEWithLogitsLoss(), 0.01, 0.9, 10.0, (1, 1, 1)).train()
    image, label, _, _ = patches()
    method.loss(method.logits(image), batch(image, label, [True, False]), 0.0)
    assert network[0].num_batches_tracked == 1


def test_both_passes_drop_the_same_units():
    """Otherwise the change of a voxel's loss would be that of the dropout, and not that of the step."""
    network = nn.Sequential(nn.Conv3d(1, 8, 1), nn.Dropout(0.5), nn.Conv3d(8, 1, 1))
    method = LearnedWeighting(lambda: network, nn.BCEWithLogitsLoss(), 1e-6, 0.9, 10.0, (1, 1, 1)).train()
    image, label, _, _ = patches()
    method.loss(method.logits(image), batch(image, label, [True, False]), 0.0)
    assert method.gradient.any()
    now, after = method.logits(image)
    torch.testing.assert_close(after, now.detach(), atol=1e-4, rtol=0)
