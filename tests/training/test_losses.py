"""Each loss of conf/loss: its value by hand, its limits, its gradient, and no overflow in bf16."""

from contextlib import nullcontext
from math import inf, log, pi, sqrt

import pytest
import torch
from monai.losses import DiceCELoss, DiceLoss
from scipy.special import gammaln
from scipy.stats import norm
from torch.nn.functional import binary_cross_entropy_with_logits

from composing import composed
from mandseg.runs.build import build_loss
from mandseg.system.config_paths import config_folder
from mandseg.training.losses.abstention import DeclaredAbstention, price
from mandseg.training.losses.band import band, left_out, nth_smallest, smallest
from mandseg.training.losses.bootstrapping import SoftBootstrapping
from mandseg.training.losses.boundary_smoothing import BoundarySmoothing
from mandseg.training.losses.focal_tversky import FocalTversky
from mandseg.training.losses.generalised_cross_entropy import GeneralisedCrossEntropy
from mandseg.training.losses.loss import loss_at, ramp
from mandseg.training.losses.noise_robust_dice import NoiseRobustDice
from mandseg.training.losses.symmetric_cross_entropy import SymmetricCrossEntropy
from mandseg.training.losses.t_loss import TLoss
from mandseg.training.losses.trimmed import TrimmedLoss

LOSSES = sorted(file.stem for file in (config_folder() / "loss").glob("*.yaml"))
P = [0.5, 0.8, 0.1, 0.3]
Y = [1.0, 1.0, 0.0, 1.0]
OF_LABEL = [0.5, 0.8, 0.9, 0.3]  # p_y


def volume(values):
    return torch.tensor(values, dtype=torch.float64).reshape(1, 1, -1, 1, 1)


LOGITS, LABEL = torch.logit(volume(P)), volume(Y)


def random_batch(dtype=torch.float64, side=4):
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(2, 1, side, side, side, generator=generator, dtype=dtype)
    return logits, (torch.rand(logits.shape, generator=generator) > 0.6).to(dtype)


def mean(values):
    return sum(values) / len(values)


def test_generalised_cross_entropy_by_hand_and_its_limits():
    assert GeneralisedCrossEntropy(0.5, 0)(LOGITS, LABEL).item() == pytest.approx(
        mean([(1 - sqrt(p)) / 0.5 for p in OF_LABEL])
    )
    assert GeneralisedCrossEntropy(1, 0)(LOGITS, LABEL).item() == pytest.approx(mean([1 - p for p in OF_LABEL]))
    entropy = binary_cross_entropy_with_logits(LOGITS, LABEL).item()
    assert GeneralisedCrossEntropy(1e-6, 0)(LOGITS, LABEL).item() == pytest.approx(entropy, abs=1e-5)
    assert GeneralisedCrossEntropy(0, 0)(LOGITS, LABEL).item() == pytest.approx(entropy, abs=1e-12)


def test_symmetric_cross_entropy_by_hand():
    reverse = mean([4 * (1 - p) for p in OF_LABEL])
    wanted = 0.1 * mean([-log(p) for p in OF_LABEL]) + 1.0 * reverse
    assert SymmetricCrossEntropy(dice_weight=0)(LOGITS, LABEL).item() == pytest.approx(wanted)


def test_soft_bootstrapping_by_hand_and_without_the_own_prediction_it_is_cross_entropy():
    targets = [0.9 * y + 0.1 * p for p, y in zip(P, Y, strict=True)]
    wanted = mean([-t * log(p) - (1 - t) * log(1 - p) for t, p in zip(targets, P, strict=True)])
    assert SoftBootstrapping(0.9, 0)(LOGITS, LABEL).item() == pytest.approx(wanted)
    plain = binary_cross_entropy_with_logits(LOGITS, LABEL)
    assert torch.equal(SoftBootstrapping(1, 0)(LOGITS, LABEL), plain)


def test_noise_robust_dice_by_hand_and_at_gamma_2_it_is_dice():
    errors = [0.5, 0.2, 0.1, 0.7]
    below = sum(p * p for p in P) + 3
    wanted = sum(e**1.5 for e in errors) / below
    assert NoiseRobustDice(1.5, 0)(LOGITS, LABEL).item() == pytest.approx(wanted)
    squared = DiceLoss(sigmoid=True, squared_pred=True, batch=True, smooth_nr=0, smooth_dr=0)
    assert NoiseRobustDice(2, 0)(LOGITS, LABEL).item() == pytest.approx(squared(LOGITS, LABEL).item())


def test_t_loss_is_the_likelihood_of_a_patch_by_its_voxels():
    d, nu, squares = 4, 1.0, 0.25 + 0.04 + 0.01 + 0.49
    density = gammaln(nu / 2) - gammaln((nu + d) / 2) + d / 2 * log(pi * nu) + (nu + d) / 2 * log(1 + squares / nu)
    assert TLoss(0)(LOGITS, LABEL).item() == pytest.approx(density / d)


def test_t_loss_with_a_light_tail_is_half_the_squared_error_and_its_tail_is_learned():
    loss = TLoss(0)
    torch.nn.init.constant_(loss.theta, 20.0)
    squared = mean([0.25, 0.04, 0.01, 0.49])
    assert loss(LOGITS, LABEL).item() == pytest.approx(squared / 2 + log(2 * pi) / 2, abs=1e-6)
    loss = TLoss(0)
    loss(*random_batch(torch.float32, 32)).backward()
    assert list(dict(loss.named_parameters())) == ["theta"]
    assert abs(loss.theta.grad.item()) > 1e-6


def test_focal_tversky_by_hand_and_balanced_it_is_dice():
    hit, missed, added = 0.5 + 0.8 + 0.3, 0.5 + 0.2 + 0.7, 0.1
    tversky = hit / (hit + 0.7 * missed + 0.3 * added)
    assert FocalTversky()(LOGITS, LABEL).item() == pytest.approx((1 - tversky) ** 0.75, abs=1e-4)
    dice = DiceLoss(sigmoid=True, batch=True)(LOGITS, LABEL).item()
    assert FocalTversky(0.5, 0.5, 1)(LOGITS, LABEL).item() == pytest.approx(dice, abs=1e-5)


@pytest.mark.parametrize(("axis", "spacing"), [(0, 2.0), (1, 2.0), (2, 2.5)])
def test_smoothed_labels_beside_a_plane_follow_the_normal_distribution_of_the_distance(axis, spacing):
    label = torch.zeros(1, 1, 16, 16, 16, dtype=torch.float64)
    label.transpose(2, 2 + axis)[:, :, :8] = 1
    smoothed = BoundarySmoothing(1.5, [2, 2, 2.5], 0).smoothed(label).transpose(2, 2 + axis)[0, 0, :, 3, 3]
    distance_mm = (7.5 - torch.arange(16)) * spacing
    assert smoothed.numpy() == pytest.approx(norm.cdf(distance_mm / 1.5), abs=1e-4)


def test_labels_smoothed_by_0_mm_are_the_labels():
    logits, label = random_batch()
    assert torch.equal(
        BoundarySmoothing(0, [1, 1, 1], 0)(logits, label), binary_cross_entropy_with_logits(logits, label)
    )


def test_the_band_reaches_so_many_mm_around_label_and_prediction():
    label, logits = torch.zeros(2, 1, 1, 9, 9, 9)
    label[..., 2, 4, 4] = 1
    logits[..., 6, 4, 4] = 1
    inside = band(label, logits, 4, [2, 3, 5])[0, 0]
    assert inside.nonzero()[:, 0].unique().tolist() == list(range(9))
    assert inside.sum() == 9 * 3 * 1


def test_a_reach_of_three_voxels_is_three_voxels_whatever_the_division_gives():
    label = torch.zeros(1, 1, 9, 9, 9)
    label[..., 4, 4, 4] = 1
    assert 3.3 / 1.1 < 3
    assert band(label, label - 1, 3.3, [1.1, 1.1, 1.1]).sum() == 7**3
    assert band(label, label - 1, 3.29, [1.1, 1.1, 1.1]).sum() == 5**3


def test_the_largest_losses_of_the_band_are_left_out_and_equal_ones_are_kept_together():
    losses = torch.tensor([9.0, 1.0, 4.0, 3.0, 2.0])
    inside = torch.tensor([False, True, True, True, True])
    assert smallest(losses, inside, 0.5).tolist() == [True, True, False, False, True]
    assert smallest(torch.ones(5), inside, 0.5).all()
    assert smallest(losses, inside, 0).tolist() == [True, False, False, False, False]
    assert smallest(losses, ~inside & inside, 0.5).all()
    assert smallest(losses / 0 * 0, inside, 0.9).all()  # no numbers
    kept = torch.tensor([nth_smallest(torch.cat([losses, torch.full((3,), inf)]), torch.tensor(n)) for n in range(6)])
    assert kept.tolist() == [-inf, 1, 2, 3, 4, 9]


@pytest.mark.parametrize("name", LOSSES)
def test_no_loss_waits_for_a_gpu(name, monkeypatch):
    """A tensor without values stands for one on a GPU: to read a value, or to count voxels for an index, fails."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # which does not know this device
    loss = loss_at(build_loss(composed(f"loss={name}")).to("meta"), 0.5)
    logits, label = (part.to("meta") for part in random_batch(torch.float32))
    loss(logits.requires_grad_(), label).backward()
    with pytest.raises(RuntimeError):
        assert logits.grad.any()


def test_a_voxel_that_is_left_out_costs_nothing_and_has_no_gradient():
    kept = volume([1, 0, 1, 1]) > 0
    logits = LOGITS.clone().requires_grad_()
    binary_cross_entropy_with_logits(left_out(logits, LABEL, kept), LABEL, reduction="sum").backward()
    assert (logits.grad != 0).flatten().tolist() == [True, False, True, True]


def test_a_trimmed_loss_grows_from_the_loss_itself():
    logits, label = random_batch()
    plain = DiceCELoss(sigmoid=True, batch=True)
    trimmed = TrimmedLoss(plain, 0.2, 0.5, 10, [2, 2, 2])
    assert torch.equal(trimmed.value(logits, label, 0.0), plain(logits, label))
    values = [trimmed.value(logits, label, progress).item() for progress in (0, 0.2, 0.5, 1.0)]
    assert values[0] > values[1] > values[2] == values[3] == trimmed(logits, label).item()
    assert [ramp(progress, 0.5) for progress in (0, 0.25, 0.5, 1)] == [0, 0.5, 1, 1]


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.9])
def test_the_mean_abstention_is_the_declared_rate(rate):
    losses = torch.rand(1000, generator=torch.Generator().manual_seed(1), dtype=torch.float64) ** 3
    alpha = price(torch.cat([losses, -torch.ones(500)]), torch.tensor(1000), rate)  # -1 is outside the band
    assert alpha == price(losses, torch.tensor(1000), rate)
    assert (1 - alpha / losses).clamp(min=0).mean().item() == pytest.approx(rate)


def test_abstention_weakens_the_gradient_of_a_voxel_by_its_share():
    logits = LOGITS.clone().requires_grad_()
    loss = DeclaredAbstention(0.25, 0, 100, [1, 1, 1], dice_weight=0)
    value = loss(logits, LABEL)
    value.backward()
    entropies = torch.tensor([-log(p) for p in OF_LABEL], dtype=torch.float64)
    alpha = price(entropies, torch.tensor(4), 0.25)
    share = torch.minimum(alpha / entropies, torch.ones(()))
    assert (1 - share).mean().item() == pytest.approx(0.25)
    assert logits.grad.flatten().numpy() == pytest.approx((share * (volume(P) - LABEL).flatten() / 4).numpy())
    wanted = torch.where(entropies > alpha, alpha * (1 + torch.log(entropies / alpha)), entropies).mean()
    assert value.item() == pytest.approx(wanted.item())


def test_without_abstention_it_is_cross_entropy_and_dice():
    logits, label = random_batch()
    loss = DeclaredAbstention(0.3, 0.5, 10, [2, 2, 2])
    assert loss.value(logits, label, 0.0).item() == pytest.approx(
        DiceCELoss(sigmoid=True, batch=True)(logits, label).item(), abs=1e-6
    )


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "abstention"])
def test_the_gradient_of_every_loss_is_that_of_its_value(name):
    loss = build_loss(composed(f"loss={name}"))
    logits, label = random_batch(side=3)
    assert torch.autograd.gradcheck(lambda z: loss(z, label), logits.requires_grad_())


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_and_its_gradient_are_finite_in_bf16_at_extreme_logits(name):
    loss = build_loss(composed(f"loss={name}"))
    _, label = random_batch(torch.float32, side=8)
    for sign in (1, -1):  # all right, all wrong
        logits = (sign * 50 * (2 * label - 1)).to(torch.bfloat16).requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value = loss(logits, label)
        value.backward()
        assert value.dtype == torch.float32
        assert torch.isfinite(value)
        assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_falls_when_the_network_is_more_right(name):
    loss = build_loss(composed(f"loss={name}"))
    _, label = random_batch(torch.float32, side=8)
    values = [loss(certainty * (2 * label - 1), label).item() for certainty in (-2.0, 0.0, 2.0)]
    assert values[0] > values[1] > values[2]
