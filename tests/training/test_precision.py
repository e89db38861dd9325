"""bf16 is used on a CPU only where equal steps give equal gradients there."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from mandseg.system.errors import UserError
from mandseg.training import precision
from mandseg.training.precision import can_compute, choose_precision, prediction_precision, repeats_itself

SHAPE = (1, 1, 4, 4, 4)


class Unsteady(nn.Module):
    """A network whose gradient is another one at every pass, as with uninitialised memory."""

    passes = 0

    def __init__(self, disturbance: float) -> None:
        super().__init__()
        self.weight, self.disturbance = nn.Parameter(torch.ones(1)), disturbance

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        Unsteady.passes += 1
        return image * self.weight * (1 + self.disturbance * Unsteady.passes)


@pytest.fixture
def bf16_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "can_compute", lambda *_: True)
    monkeypatch.setattr(precision, "step_seconds", lambda network, shape, bf16: 0.1 if bf16 else 1.0)


def test_a_network_that_repeats_itself_is_trained_in_the_faster_arithmetic(tmp_path: Path, bf16_is_faster):
    assert choose_precision("auto", "cpu", Unsteady(0.0), SHAPE, tmp_path) == "bf16-mixed"


def test_a_processor_without_instructions_for_bf16_takes_fp32_and_measures_nothing(
    tmp_path: Path, bf16_is_faster, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(precision, "can_compute", lambda *_: False)
    before = Unsteady.passes
    assert choose_precision("auto", "cpu", Unsteady(0.0), SHAPE, tmp_path) == "32-true"
    assert (Unsteady.passes, list(tmp_path.iterdir())) == (before, [])


@pytest.mark.parametrize("disturbance", [0.1, float("nan"), float("inf")])
def test_one_that_does_not_is_trained_in_fp32_however_fast_bf16_is(tmp_path: Path, bf16_is_faster, disturbance: float):
    assert choose_precision("auto", "cpu", Unsteady(disturbance), SHAPE, tmp_path) == "32-true"


def test_requested_bf16_that_is_not_reproducible_is_refused(tmp_path: Path, bf16_is_faster):
    with pytest.raises(UserError, match=r"trainer\.precision=bf16-mixed: equal steps on patches of 4 x 4 x 4 differ"):
        choose_precision("bf16-mixed", "cpu", Unsteady(0.1), SHAPE, tmp_path / "unsteady")
    assert choose_precision("bf16-mixed", "cpu", Unsteady(0.0), SHAPE, tmp_path / "steady") == "bf16-mixed"


def test_the_measurement_is_kept_and_draws_nothing_from_the_runs_random_numbers(tmp_path: Path, bf16_is_faster):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    choose_precision("auto", "cpu", Unsteady(0.0), SHAPE, tmp_path)
    assert torch.rand(1) == expected
    (file,) = (tmp_path / "precision").glob("*.json")
    assert json.loads(file.read_text()) == {"fp32_s": 1.0, "bf16_s": 0.1, "repeats_itself": True}
    before = Unsteady.passes
    choose_precision("auto", "cpu", Unsteady(0.0), SHAPE, tmp_path)
    assert Unsteady.passes == before


def test_a_real_network_on_usual_patches_repeats_itself():
    network = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv3d(4, 1, 3, padding=1))
    assert repeats_itself(network, (1, 1, 32, 32, 32))


class UnsteadyInPredictions(nn.Module):
    """Equal gradients at every pass, another prediction at every one."""

    passes = 0

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        UnsteadyInPredictions.passes += 1
        return image * self.weight + (0 if self.training else UnsteadyInPredictions.passes)


def test_a_network_whose_predictions_differ_does_not_repeat_itself():
    assert not repeats_itself(UnsteadyInPredictions(), SHAPE)


@pytest.mark.parametrize(
    ("trained", "tested"),
    [("bf16-mixed", "bf16-mixed"), ("16-mixed", "16-mixed"), ("32-true", "32-true"), ("64", "32-true")],
)
def test_a_network_is_tested_in_the_mixed_arithmetic_of_its_training_else_in_float32(trained, tested):
    assert prediction_precision(trained) == tested


def test_a_processor_computes_float32_and_never_half_precision():
    assert can_compute("32-true", torch.device("cpu"))
    assert not can_compute("16-mixed", torch.device("cpu"))
