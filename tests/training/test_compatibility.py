"""Network, loss, optimiser and patches that do not go together are refused before any data is read."""

from functools import partial

import pytest
import torch
from torch import nn

from mandseg.data.preprocessing import HuWindow, Preprocessing
from mandseg.evaluation.predictor import Predictor
from mandseg.evaluation.sliding_window import SlidingWindow
from mandseg.system.errors import UserError
from mandseg.training.compatibility import refuse_incompatible
from mandseg.training.methods.supervised import Supervised
from mandseg.training.module import Segmenter


class Network(nn.Module):
    """One convolution; ``extra`` is done to its logits."""

    def __init__(self, extra=lambda logits: logits) -> None:
        super().__init__()
        self.last, self.extra = nn.Conv3d(1, 1, 3, padding=1), extra

    def forward(self, image):
        return self.extra(self.last(image))


SGD = partial(torch.optim.SGD, lr=0.1)


def refuse(network=None, loss=nn.functional.mse_loss, optimizer=SGD) -> None:
    method = Supervised(lambda: network or Network(), loss)
    window, sliding = HuWindow(-200, 1500), SlidingWindow([16, 16, 16], 0.25)
    predictor = Predictor(method, Preprocessing((4, 4, 4)), window, sliding, torch.device("cpu"))
    refuse_incompatible(Segmenter(method, predictor, optimizer, 10, 2, 0.01, 0), loss, "mine", 2, [8, 8, 8])


def test_compatible_objects_pass():
    refuse()


def test_the_code_of_a_network_may_depend_on_values():
    refuse(Network(lambda logits: logits if float(logits.detach().sum()) > -1e9 else -logits))


def test_a_network_that_changes_the_shape_is_refused_with_both_shapes():
    line = r"patches.patch_size=\[8, 8, 8\]: model=mine maps \[2, 1, 8, 8, 8\] to \[2, 1, 4, 8, 8\]"
    with pytest.raises(UserError, match=line):
        refuse(Network(lambda logits: logits[:, :, ::2]))


def test_a_network_that_fails_for_the_window_alone_is_refused():
    def extra(logits):
        if logits.shape[2] == 16:
            raise RuntimeError("too large")
        return logits

    with pytest.raises(UserError, match=r"sliding_window.patch_size=\[16, 16, 16\]: model=mine cannot .*too large"):
        refuse(Network(extra))


def test_a_loss_of_other_arguments_is_refused():
    with pytest.raises(UserError, match=r"^loss: cannot take logits and label"):
        refuse(loss=lambda logits: logits.mean())


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        (lambda logits, label: (logits + label[..., :3]).mean(), "must match the size"),  # RuntimeError
        (lambda logits, label: logits.mean() / int(label.sum()) + 1 / int(label.sum()), "division by zero"),
    ],
)
def test_a_loss_that_fails_in_torch_or_in_arithmetic_is_one_line(loss, reason):
    with pytest.raises(UserError, match=rf"^loss: cannot take logits and label of \[2, 1, 8, 8, 8\] \(.*({reason})"):
        refuse(loss=loss)


def test_an_optimiser_of_other_arguments_is_refused():
    with pytest.raises(UserError, match=r"^optimizer: .*colour"):
        refuse(optimizer=partial(SGD, colour="red"))
