"""A loss or a weight that is not finite ends a run; the error names the step and the cases."""

from types import SimpleNamespace

import pytest
import torch

from mandseg.training.finite_loss import DivergedError, FiniteLoss, refuse_broken_weights


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_not_finite_fails_with_its_step_and_cases(loss):
    watch, trainer = FiniteLoss(["P1", "P2", "P3"]), SimpleNamespace(global_step=7)
    batch = {"case": torch.tensor([2, 0, 2])}
    watch.on_train_batch_end(trainer, None, {"loss": torch.tensor(0.5)}, batch, 0)
    with pytest.raises(DivergedError, match=rf"the loss is {loss} at step 7 \(cases P1, P3\)"):
        watch.on_train_batch_end(trainer, None, {"loss": torch.tensor(loss)}, batch, 0)


def test_weights_that_the_last_step_broke_are_not_tested():
    weights = {"first": torch.ones(2), "second": torch.tensor([1.0, float("nan")]), "steps": torch.tensor(3)}
    with pytest.raises(DivergedError, match=r"checkpoint last\.ckpt: the weights of second are not finite"):
        refuse_broken_weights(weights, "checkpoint last.ckpt")
    refuse_broken_weights({"first": torch.ones(2)}, "checkpoint last.ckpt")
