"""Memorisation and training dynamics are measured on the same cases at every ratio, and change no training."""

from dataclasses import dataclass, field
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
from mandseg.noise.label_plan import Label, LabelPlan, plan_noise
from mandseg.system.errors import UserError
from mandseg.training.dynamics import TrainingDynamics, label_digest, margin_and_probability, read_dynamics
from mandseg.training.learning_curve import LearningCurve
from mandseg.training.measuring import box_around, logits_in_boxes
from mandseg.training.memorisation import Memorisation, WatchedCases, watched_cases
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
    grid: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(spacing_mm=(4.0, 4.0, 4.0)))


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
    labels = [prepared().noisy, prepared().reference]
    corner, size = box_around(labels, (3, 8, 4))
    assert corner.tolist() == [4, 2, 4]  # voxels 4 to 8 along x: five, more than the patch; 4 to 7 along the others
    assert size.tolist() == [5, 8, 4]
    assert [part.tolist() for part in box_around(labels, (3, 8, 4), (2, 2, 2))] == [[2, 2, 2], [9, 8, 8]]
    assert box_around([0 * labels[0]], (2, 2, 2))[0].tolist() == [5, 5, 5]  # nothing drawn: the middle


def test_neighbours_with_boxes_of_one_size_are_predicted_together_and_in_their_order():
    cases = [prepared(f"c{k}") for k in range(5)]
    for k, case in enumerate(cases):
        case.image[4:8, 4:8, 4:8] = 100 * k
    sizes = [(4, 4, 4), (4, 4, 4), (4, 4, 4), (6, 4, 4), (4, 4, 4)]
    boxes = [box_around([case.reference], size) for case, size in zip(cases, sizes, strict=True)]
    batches = []
    network = lambda image: (batches.append(len(image)), image)[1]  # noqa: E731
    predictor = Predictor(network, Preprocessing((4, 4, 4)), WINDOW, SlidingWindow("auto", 0), torch.device("cpu"))
    found = list(logits_in_boxes(predictor, cases, boxes, torch.device("cpu")))
    assert batches == [2, 1, 1, 1]
    assert [tuple(logits.shape) for logits in found] == sizes
    assert [round(1000 * logits.max().item()) for logits in found] == [0, 100, 200, 300, 400]


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
    callbacks = []
    if watches:
        plan = LabelPlan({"a": Label("noisy", ""), "b": Label("reference", "")}, ("a", "b"))
        file, both = folder / "dynamics.csv", [*cases.noisy, *cases.clean, prepared("c")]
        dynamics = TrainingDynamics(both, plan, segmenter.predictor, 2, 6, (8, 8, 8), file)
        callbacks = [Memorisation(cases, segmenter.predictor, 3, 6, (8, 8, 8)), dynamics]
    generator = torch.Generator().manual_seed(1)
    batches = [{"image": torch.rand(1, 8, 8, 8, generator=generator)} for _ in range(6)]
    batches = [batch | {"label": (batch["image"] > 0.5).float(), "trusted": torch.tensor(False)} for batch in batches]
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
    records = read_dynamics(tmp_path / "watched" / "dynamics.csv")
    assert [(row.step, row.case_id) for row in records] == [(3, "a"), (3, "b"), (6, "a"), (6, "b")]
    assert [row.label for row in records] == 2 * [label_digest(prepared().noisy), label_digest(prepared().reference)]
    assert all(0 < row.probability < 1 for row in records)


@pytest.mark.parametrize("measurements", [-1, 2.5, True])
def test_a_number_of_measurements_that_is_none_is_refused(measurements):
    with pytest.raises(UserError, match=f"memorisation={measurements}"):
        Memorisation(WatchedCases([], []), module(Threshold()).predictor, measurements, 6, (8, 8, 8))


def test_the_margin_is_the_mean_logit_of_the_given_label_over_the_band():
    label = torch.zeros(12, 1, 1, dtype=torch.bool)
    label[4:6] = True
    logits = torch.where(label, 2.0, -3.0)
    logits[6] = 1.0  # predicted, and not in the label
    scanned = torch.arange(12)[:, None, None] > 2
    margin, probability = margin_and_probability(logits, label, scanned, (4.0, 4.0, 4.0))
    band = [3.0] + 2 * [2.0] + [-1.0] + 2 * [3.0]  # voxels 3 to 8: two voxels of 4 mm around voxels 4 to 6, in the scan
    assert margin == pytest.approx(np.mean(band))
    assert probability == pytest.approx(np.mean(1 / (1 + np.exp(-np.array(band)))))
    nothing = margin_and_probability(-torch.ones(12, 1, 1), label.int() < 0, scanned, (4.0, 4.0, 4.0))
    assert nothing[0] == 1.0  # an empty label and prediction agree everywhere


def test_records_of_a_step_are_replaced_and_a_damaged_file_is_refused(tmp_path):
    segmenter, file = module(Threshold()), tmp_path / "dynamics.csv"
    file.write_text("step,case_id,label,margin,probability\n1,x,l,0.5,0.6\n2,c0,l,9.0,1.0\n4,c0,l,9.0,1.0\n")
    plan = plan_noise({"c0": ""}, 1.0, 0)
    callback = TrainingDynamics([prepared()], plan, segmenter.predictor, 3, 6, (8, 8, 8), file)
    trainer = SimpleNamespace(global_step=2, precision_plugin=SimpleNamespace(forward_context=torch.no_grad))
    callback.on_train_batch_end(trainer, segmenter, None, None, 0)
    first, second, last = read_dynamics(file)
    assert (first.case_id, last.margin) == ("x", 9.0)
    assert second.label == label_digest(prepared().noisy) != label_digest(prepared().reference)
    inside = np.zeros((12, 12, 12), bool)
    inside[3:11, 2:10, 2:10] = True  # the box: 8 mm around the label (5 to 8, and 4 to 7 along the other axes)
    agrees = prepared().noisy == prepared().reference  # the logit is 1 in bone and -1 elsewhere
    assert second.margin == pytest.approx(np.where(agrees, 1.0, -1.0)[inside].mean())
    file.write_text("step,case_id\n")
    with pytest.raises(UserError, match=r"dynamics\.csv: no training dynamics \(its columns are step, case_id\)"):
        TrainingDynamics([prepared()], plan, segmenter.predictor, 3, 6, (8, 8, 8), file)
