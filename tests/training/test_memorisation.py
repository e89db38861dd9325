"""Memorisation is measured against both labels of the same cases at every ratio, and does not change the training."""

from dataclasses import dataclass
from types import SimpleNamespace

import lightning as L
import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from mandseg.data.case import Case
from mandseg.data.preprocessing import HuWindow, Preprocessing
from mandseg.evaluation.predictor import Predictor
from mandseg.evaluation.sliding_window import SlidingWindow
from mandseg.noise.label_plan import plan_noise
from mandseg.system.errors import UserError
from mandseg.training.learning_curve import LearningCurve
from mandseg.training.memorisation import Memorisation, WatchedCases, box_of_labels, watched_cases
from mandseg.training.methods.supervised import Supervised
from mandseg.training.module import Segmenter

WINDOW = HuWindow(-1000, 1000)
SLIDING = SlidingWindow((8, 8, 8), 0.25)


@dataclass
class Prepared:
    """What is used of a prepared case, without the disk."""

    case: Case
    image: np.ndarray
    reference: np.ndarray | None
    noisy: np.ndarray | None


def prepared(name="c0", noisy=True):
    """Bone (1000 HU) in 4 x 4 x 4 voxels; the noisy label is shifted by one: 48 of 64 voxels agree."""
    image, reference = np.full((12, 12, 12), -1000, np.int16), np.zeros((12, 12, 12), np.uint8)
    image[4:8, 4:8, 4:8], reference[4:8, 4:8, 4:8] = 1000, 1
    return Prepared(
        Case(name, name, "train", None, None), image, reference, np.roll(reference, 1, 0) if noisy else None
    )


def watched(ratio, n=12):
    cases = [prepared(f"c{k}") for k in range(n)]
    plan = plan_noise({p.case.case_id: "x" for p in cases}, ratio, seed=3)
    chosen = watched_cases(cases, plan)
    return [[p.case.case_id for p in group] for group in (chosen.noisy, chosen.clean)], plan


def test_the_same_cases_are_watched_at_every_ratio_of_a_seed():
    (noisy, clean), plan = watched(0.5)
    assert set(noisy) <= plan.noisy
    assert not set(clean) & plan.noisy
    assert len(noisy) == len(clean) == 4
    assert watched(0.0)[0] == [noisy, clean]
    assert watched(1.0)[0] == [noisy, []]
    assert watched(0.25)[0] == [noisy[:3], clean]  # no more than three are noisy there


def test_a_case_without_both_labels_is_not_watched():
    cases = [prepared("a"), prepared("b", noisy=False)]
    chosen = watched_cases(cases, plan_noise({"a": "", "b": ""}, 0.0, 0))
    assert [p.case.case_id for p in (*chosen.noisy, *chosen.clean)] == ["a"]


def test_the_box_holds_both_labels_and_at_least_a_patch():
    corner, size = box_of_labels(prepared(), (3, 8, 4))
    assert corner.tolist() == [4, 2, 4]  # voxels 4 to 8 along x: five, more than the patch; 4 to 7 along the others
    assert size.tolist() == [5, 8, 4]


class Threshold(nn.Module):
    """Finds the bone exactly."""

    def forward(self, image):
        return image


def module(network, steps=6):
    sgd = lambda parameters: torch.optim.SGD(parameters, lr=0.1)  # noqa: E731
    method = Supervised(lambda: network, nn.BCEWithLogitsLoss())
    predictor = Predictor(method, Preprocessing((4, 4, 4)), WINDOW, SLIDING, torch.device("cpu"))
    return Segmenter(method, predictor, sgd, steps, 1, 0.1, seed=0)


def test_a_network_that_finds_the_bone_scores_one_against_the_reference_and_three_quarters_against_the_shift():
    segmenter = module(Threshold())
    callback = Memorisation(WatchedCases([prepared()], [prepared("c1")]), segmenter.predictor, 1, 1, (8, 8, 8))
    logged = {}
    logger = SimpleNamespace(log_metrics=lambda values, step: logged.update(values, step=step))
    precision = SimpleNamespace(forward_context=torch.no_grad)
    trainer = SimpleNamespace(global_step=1, precision_plugin=precision, loggers=[logger])
    callback.on_train_batch_end(trainer, segmenter, None, None, 0)
    assert logged == {
        "noisy_cases_dice_to_noisy": 0.75,
        "noisy_cases_dice_to_reference": 1.0,
        "clean_cases_dice_to_noisy": 0.75,
        "clean_cases_dice_to_reference": 1.0,
        "step": 0,
    }


def train(folder, watches):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.BatchNorm3d(4), nn.Dropout(0.5), nn.Conv3d(4, 1, 1))
    segmenter, curve = module(network), LearningCurve(folder / "learning_curve.csv")
    cases = WatchedCases([prepared("a")], [prepared("b")])
    callbacks = [Memorisation(cases, segmenter.predictor, 3, 6, (8, 8, 8))] if watches else []
    generator = torch.Generator().manual_seed(1)
    batches = [{"image": torch.rand(1, 8, 8, 8, generator=generator)} for _ in range(6)]
    batches = [batch | {"label": (batch["image"] > 0.5).float()} for batch in batches]
    trainer = L.Trainer(
        accelerator="cpu", max_steps=6, logger=curve, callbacks=callbacks, enable_progress_bar=False,
        enable_checkpointing=False, enable_model_summary=False, log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(segmenter, DataLoader(batches, batch_size=1))
    return segmenter, curve


@pytest.mark.filterwarnings("ignore")
def test_the_training_is_the_same_with_and_without_the_measurement(tmp_path):
    plain, curve = train(tmp_path / "plain", watches=False)
    measured, watched_curve = train(tmp_path / "watched", watches=True)
    assert all(module.training for module in measured.modules())
    for name, tensor in plain.state_dict().items():  # running means of batch normalisation among them
        assert torch.equal(tensor, measured.state_dict()[name]), name
    losses = [[row["train_loss"] for row in c.rows.values()] for c in (curve, watched_curve)]
    assert losses[0] == losses[1]
    rows_with_values = [step for step, row in watched_curve.rows.items() if "clean_cases_dice_to_noisy" in row]
    assert rows_with_values == [1, 3, 5]  # after steps 2, 4 and 6, in the rows of these steps' losses


@pytest.mark.parametrize("measurements", [-1, 2.5, True])
def test_a_number_of_measurements_that_is_none_is_refused(measurements):
    with pytest.raises(UserError, match=f"memorisation={measurements}"):
        Memorisation(WatchedCases([], []), module(Threshold()).predictor, measurements, 6, (8, 8, 8))
