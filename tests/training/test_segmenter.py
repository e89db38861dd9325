"""The LightningModule: its schedule, a step towards the label, and when the method may follow the optimiser."""

from types import SimpleNamespace

import lightning as L
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from mandseg.data.preprocessing import HuWindow, Preprocessing
from mandseg.evaluation.predictor import Predictor
from mandseg.evaluation.sliding_window import SlidingWindow
from mandseg.training.methods.supervised import Supervised
from mandseg.training.module import Segmenter


class Followed(Supervised):
    """Notes the share of steps that is done when its loss is computed, and after each step of the optimiser."""

    def __init__(self, make_network, loss):
        super().__init__(make_network, loss)
        self.notes = []

    def loss(self, logits, batch, progress):
        self.notes.append(("loss", progress))
        return super().loss(logits, batch, progress) | {"mean": logits[0].mean().detach()}

    def after_step(self, progress):
        self.notes.append(("after", progress, self.networks[0].weight.item()))


def segmenter(method=Supervised, optimizer=torch.optim.SGD, **changes):
    settings = {"steps": 100, "warmup_steps": 10, "final_lr_share": 0.1, "seed": 0} | changes
    made = method(lambda: nn.Conv3d(1, 1, 1), nn.BCEWithLogitsLoss())
    window, sliding = HuWindow(-200, 1500), SlidingWindow((8, 8, 8), 0.25)
    predictor = Predictor(made, Preprocessing((4, 4, 4)), window, sliding, torch.device("cpu"))
    return Segmenter(made, predictor, optimizer, **settings)


def test_the_learning_rate_rises_then_falls_to_its_share():
    module = segmenter()
    shares = [module.lr_share(step) for step in range(101)]
    assert shares[0] == 0.1
    assert max(shares) == shares[9] == 1.0
    assert shares[55] == pytest.approx(0.55)  # half of the cosine: halfway between 1 and 0.1
    assert shares[100] == pytest.approx(0.1)


def trained(module, steps):
    """Train on a voxel that is bone where the image is 1."""
    image = torch.tensor([-1.0, 1.0]).reshape(1, 1, 1, 2)
    batches = [{"image": image, "label": (image > 0).float(), "case": torch.tensor(0), "trusted": torch.tensor(False)}]
    logged = {}
    trainer = L.Trainer(
        accelerator="cpu", max_steps=steps, logger=False, enable_progress_bar=False, enable_checkpointing=False,
        enable_model_summary=False, limit_val_batches=0,
    )  # fmt: skip
    module.log = lambda name, value, **_: logged.setdefault(name, []).append(float(value))
    trainer.fit(module, DataLoader(batches * steps, batch_size=1))
    return logged


@pytest.mark.filterwarnings("ignore")
def test_a_training_moves_the_weights_towards_the_label_and_logs_every_term():
    module = segmenter(Followed, lambda parameters: torch.optim.SGD(parameters, lr=1.0), steps=30, warmup_steps=1)
    logged = trained(module, 30)
    assert set(logged) == {"train_loss", "train_mean"}
    assert logged["train_loss"][-1] < 0.5 * logged["train_loss"][0]
    assert module.method.networks[0].weight.item() > 1  # brighter is bone


@pytest.mark.filterwarnings("ignore")
def test_the_method_follows_each_step_of_the_optimiser_at_once():
    module = segmenter(Followed, lambda parameters: torch.optim.SGD(parameters, lr=1.0), steps=4, warmup_steps=1)
    trained(module, 4)
    notes = module.method.notes
    assert [note[:2] for note in notes] == [
        pair for k in range(4) for pair in (("loss", k / 4), ("after", (k + 1) / 4))
    ]
    weights = [note[2] for note in notes if note[0] == "after"]
    assert weights[-1] == module.method.networks[0].weight.item()  # the last step is followed, too
    assert len(set(weights)) == 4


def test_frozen_parameters_are_not_the_optimisers():
    module = segmenter(optimizer=lambda parameters: SimpleNamespace(parameters=list(parameters)))
    module.method.networks[0].weight.requires_grad_(False)
    assert [p.shape for p in module.method.trainable_parameters()] == [module.method.networks[0].bias.shape]
