"""What each method computes, in numbers that can be checked by hand; networks and losses are tiny."""

from math import exp, log

import numpy as np
import pytest
import torch
from torch import nn

from mandseg.training.cpu_copy import CpuCopy
from mandseg.training.methods.co_teaching import CoTeaching
from mandseg.training.methods.early_learning import BINS, EarlyLearning, slows_down
from mandseg.training.methods.mean_teacher import MeanTeacher
from mandseg.training.methods.method import Batch
from mandseg.training.methods.teacher import Teacher
from mandseg.training.methods.trusted_weighting import TrustedWeighting

CROSS_ENTROPY = nn.BCEWithLogitsLoss()


def network() -> nn.Module:
    return nn.Conv3d(1, 1, 1)


def line(*values: float) -> torch.Tensor:
    """One patch with these voxels along x, (1, 1, n, 1, 1)."""
    return torch.tensor(values, dtype=torch.float32).reshape(1, 1, -1, 1, 1)


def batch(label: torch.Tensor, trusted: tuple[bool, ...] = (False,)) -> Batch:
    chosen = torch.tensor(trusted)
    case = torch.arange(len(label))
    return Batch(image=torch.zeros_like(label), label=label, case=case, trusted=chosen, trusted_on_cpu=CpuCopy(chosen))


def test_each_network_of_co_teaching_leaves_out_what_the_other_one_finds_improbable() -> None:
    """Four voxels of bone, one is left out. A voxel with p has a cross-entropy of -ln p; one left out has none."""
    method = CoTeaching(network, CROSS_ENTROPY, 0.25, 0.0, 100.0, [1, 1, 1])
    label = line(1, 1, 1, 1)
    first = torch.logit(line(0.9, 0.8, 0.7, 0.2))  # finds the last voxel improbable
    second = torch.logit(line(0.3, 0.8, 0.7, 0.6))  # finds the first voxel improbable
    terms = method.loss((first, second), batch(label), 1.0)
    of_first = -(log(0.8) + log(0.7) + log(0.2)) / 4  # without the first voxel
    of_second = -(log(0.3) + log(0.8) + log(0.7)) / 4  # without the last voxel
    assert terms["loss_of_first"].item() == pytest.approx(of_first, abs=1e-6)
    assert terms["loss"].item() == pytest.approx(of_first + of_second, abs=1e-6)


def test_co_teaching_keeps_all_at_first_and_answers_with_the_mean() -> None:
    method = CoTeaching(network, CROSS_ENTROPY, 0.25, 0.5, 100.0, [1, 1, 1])
    label, logits = line(1, 1, 1, 1), torch.logit(line(0.9, 0.8, 0.7, 0.2))
    whole = CROSS_ENTROPY(logits, label).item()
    assert method.loss((logits, logits), batch(label), 0.0)["loss"].item() == pytest.approx(2 * whole)
    kept_after_half_of_the_ramp = method.loss((logits, logits), batch(label), 0.25)["loss"].item()  # 1/8 of 4: none
    assert kept_after_half_of_the_ramp == pytest.approx(2 * whole)
    for k, own in enumerate(method.networks):
        nn.init.constant_(own.weight, 2.0 * k + 1)  # 1 and 3
        nn.init.constant_(own.bias, k)  # 0 and 1
    assert method.predict(line(10)).item() == pytest.approx((10 + 31) / 2)


def test_a_teacher_is_the_mean_of_the_first_networks_and_then_follows_by_its_decay() -> None:
    own = nn.Conv3d(1, 1, 1, bias=False)
    nn.init.constant_(own.weight, 100.0)  # untrained: it has the share 1/2 after one step, 1/3 after two
    teacher = Teacher(own, 0.75)
    expected = 100.0
    for step, (value, share) in enumerate(((0.0, 1 / 2), (30.0, 1 / 3), (6.0, 1 / 4), (10.0, 1 / 4)), start=1):
        nn.init.constant_(own.weight, value)
        with torch.no_grad():
            teacher.follow(own)
        expected += share * (value - expected)
        assert teacher.network.weight.item() == pytest.approx(expected), step
    assert expected == pytest.approx(28.0)  # 100, 50, 43.33, 34, 28
    assert int(teacher.steps) == 4
    assert not teacher.network.weight.requires_grad


def test_mean_teacher_adds_the_weighted_squared_difference_of_both_probabilities() -> None:
    method = MeanTeacher(network, CROSS_ENTROPY, 0.5, 0.4, 0.99, 0.1)
    student, teacher, label = torch.logit(line(0.9, 0.4)), torch.logit(line(0.6, 0.8)), line(1, 0)
    of_labels, apart = -(log(0.9) + log(0.6)) / 2, (0.3**2 + 0.4**2) / 2
    for progress, weight in ((0.0, 0.5 * exp(-5)), (0.2, 0.5 * exp(-1.25)), (0.4, 0.5), (0.9, 0.5)):
        terms = method.loss((student, teacher), batch(label), progress)
        assert terms["disagreement"].item() == pytest.approx(apart)
        assert terms["loss"].item() == pytest.approx(of_labels + weight * apart)


def test_a_trusted_patch_counts_by_its_weight() -> None:
    """One trusted patch of three, with the weight 4: 4 parts of its loss and 2 of the others' mean."""
    method = TrustedWeighting(network, CROSS_ENTROPY, 4.0)
    logits = torch.logit(torch.tensor([0.5, 0.8, 0.2]).reshape(3, 1, 1, 1, 1))
    label = torch.ones_like(logits)
    found = method.loss((logits,), batch(label, (True, False, False)), 0.5)["loss"].item()
    assert found == pytest.approx((4 * -log(0.5) + 2 * -(log(0.8) + log(0.2)) / 2) / 6)
    for all_alike in ((True, True, True), (False, False, False)):
        plain = method.loss((logits,), batch(label, all_alike), 0.5)["loss"].item()
        assert plain == pytest.approx(-(log(0.5) + log(0.8) + log(0.2)) / 3)


def test_a_sure_teacher_replaces_labels_after_the_start_except_trusted_ones() -> None:
    method = EarlyLearning(network, CROSS_ENTROPY, 0.9, 0.8, 0.99)
    student = torch.logit(torch.full((2, 1, 4, 1, 1), 0.5))
    teacher = torch.logit(line(0.9, 0.1, 0.7, 0.3)).repeat(2, 1, 1, 1, 1)  # sure of the first two voxels
    label = line(0, 1, 0, 1).repeat(2, 1, 1, 1, 1)
    before = method.loss((student, teacher), batch(label, (False, True)), 0.5)
    assert before["corrected"].item() == 0
    method.started.fill_(True)
    method.load_state_dict(method.state_dict())  # as after a resume
    terms = method.loss((torch.logit(line(0.9, 0.9, 0.9, 0.9)).repeat(2, 1, 1, 1, 1), teacher),
                        batch(label, (False, True)), 0.5)  # fmt: skip
    assert terms["corrected"].item() == pytest.approx(2 / 8)
    of_corrected = -(log(0.9) + 2 * log(0.1) + log(0.9)) / 4  # labels 1, 0, 0, 1
    of_trusted = -(2 * log(0.1) + 2 * log(0.9)) / 4
    assert terms["loss"].item() == pytest.approx((of_corrected + of_trusted) / 2, abs=1e-6)


def test_early_learning_adds_up_intersection_and_union_and_starts_when_the_curve_is_flat() -> None:
    """All of the curve is 1/3 but for its first points: it is flat, so the correction starts, and is not undone."""
    method = EarlyLearning(network, CROSS_ENTROPY, 0.9, 0.8, 0.99)
    student, label = line(5, 5, -5, -5), line(1, 0, 1, 0)  # 1 of 3 voxels in common
    for step in range(40):
        method.loss((student, student), batch(label), step / 200)  # two steps a point
    np.testing.assert_array_equal(method.curve[:20].numpy(), [[2, 6]] * 20)
    assert method.curve[20:].sum() == 0
    assert bool(method.started)
    never = EarlyLearning(network, CROSS_ENTROPY, 1.0, 0.8, 0.99)
    for step in range(40):
        never.loss((student, student), batch(label), step / 200)
    assert not bool(never.started)


@pytest.mark.parametrize(("last", "expected"), [(0.20, False), (0.25, True)])
def test_a_curve_slows_down_when_it_has_lost_the_share_of_its_first_slope(last: float, expected: bool) -> None:
    """a (1 - exp(-t / 0.1)): from 0.01 to t the slope falls by the factor exp(-(t - 0.01) / 0.1), 0.15 and 0.09."""
    t = np.arange(1, round(last * BINS) + 1) / BINS
    assert exp(-(last - 0.01) / 0.1) == pytest.approx({0.20: 0.1496, 0.25: 0.0907}[last], abs=1e-4)
    assert slows_down(t, 0.7 * (1 - np.exp(-t / 0.1)), 0.9) is expected
