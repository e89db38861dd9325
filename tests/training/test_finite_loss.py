"""A loss or a weight that is not finite ends a run; the error names the step and the cases."""

from types import SimpleNamespace

import pytest
import torch

from mandseg.training import finite_loss
from mandseg.training.finite_loss import DivergedError, FiniteLoss, refuse_broken_weights


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_not_finite_fails_with_its_step_and_cases(loss):
    watch, trainer = FiniteLoss(["P1", "P2", "P3"]), SimpleNamespace(global_step=7)
    batch = {"case": torch.tensor([2, 0, 2])}
    watch.on_train_batch_end(trainer, None, {"loss": torch.tensor(0.5)}, batch, 0)
    with pytest.raises(DivergedError, match=rf"the loss is {loss} at step 7 \(cases P1, P3\)"):
        watch.on_train_batch_end(trainer, None, {"loss": torch.tensor(loss)}, batch, 0)


class Copy:
    """A copy from a GPU that has not ended."""

    is_ready = is_waited_for = False

    def __init__(self, values):
        self.values = values

    def get(self):
        self.is_waited_for = True
        return self.values


LATER = {
    "step": lambda watch, fine: watch.on_train_batch_end(SimpleNamespace(global_step=8), None, *fine, 1),
    "validation": lambda watch, _: watch.on_validation_start(None, None),
    "checkpoint": lambda watch, _: watch.on_save_checkpoint(None, None, {}),
    "end": lambda watch, _: watch.on_train_end(None, None),
}


@pytest.mark.parametrize("moment", LATER)
def test_a_gpu_s_loss_is_found_one_step_later_or_before_anything_is_kept(monkeypatch, moment):
    copies = []
    monkeypatch.setattr(finite_loss, "CpuCopy", lambda loss: copies.append(Copy(loss)) or copies[-1])
    watch = FiniteLoss(["P1", "P2"])
    lost = {"loss": torch.tensor(float("nan"))}, {"case": torch.tensor([1, 1])}
    fine = {"loss": torch.tensor(0.5)}, {"case": torch.tensor([0, 0])}
    watch.on_train_batch_end(SimpleNamespace(global_step=7), None, *lost, 0)
    assert not copies[0].is_waited_for
    with pytest.raises(DivergedError, match=r"the loss is nan at step 7 \(cases P2\)"):
        LATER[moment](watch, fine)
    assert copies[0].is_waited_for
    assert not any(copy.is_waited_for for copy in copies[1:])


def test_weights_that_the_last_step_broke_are_not_tested():
    weights = {"first": torch.ones(2), "second": torch.tensor([1.0, float("nan")]), "steps": torch.tensor(3)}
    with pytest.raises(DivergedError, match=r"checkpoint last\.ckpt: the weights of second are not finite"):
        refuse_broken_weights(weights, "checkpoint last.ckpt")
    refuse_broken_weights({"first": torch.ones(2)}, "checkpoint last.ckpt")
