"""The LightningModule: a method's optimiser, its schedule, its steps, and its validation on whole volumes."""

from collections.abc import Callable
from typing import Any, cast

import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig

from mandseg.evaluation.predictor import Predictor
from mandseg.metrics.masks import dice
from mandseg.system.distributed import gather_objects
from mandseg.training.cpu_copy import CpuCopy
from mandseg.training.methods.method import Batch, Method
from mandseg.training.shared_batch_norm import gather_batch


class Segmenter(L.LightningModule):
    """One stage of a training; networks and loss belong to the method.

    Args:
        method: The networks and the loss.
        predictor: The method's prediction for whole volumes.
        optimizer: Makes the optimiser from the parameters.
        steps: Length of the stage.
        warmup_steps: Steps over which the learning rate rises linearly from zero.
        final_lr_share: The learning rate at the end, as a share of the highest.
        seed: Together with the step it determines the random numbers of a step (dropout, a method's own draws). A
            resumed run draws the same numbers; each process draws its own.
        first_step: Steps of the run before this stage.
    """

    def __init__(
        self,
        method: Method,
        predictor: Predictor,
        optimizer: Callable[..., torch.optim.Optimizer],
        steps: int,
        warmup_steps: int,
        final_lr_share: float,
        seed: int,
        first_step: int = 0,
    ) -> None:
        super().__init__()
        self.method = method
        self.predictor = predictor
        self.optimizer = optimizer
        self.steps, self.warmup_steps, self.final_lr_share = steps, warmup_steps, final_lr_share
        self.seed, self.first_step = seed, first_step
        self.val_dice: dict[int, float] = {}

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the method's logits (B, 1, X, Y, Z) for patches of that shape."""
        logits: torch.Tensor = self.method(image)
        return logits

    def training_step(self, batch: Batch, _: int) -> torch.Tensor:
        """One step on a batch of patches; the method gets the whole batch of all processes."""
        stream = (self.seed, self.first_step + self.global_step, self.global_rank)[: 3 if self.global_rank else 2]
        torch.manual_seed(hash(stream) % 2**63)  # hash of ints is the same in every process
        image = batch["image"].contiguous(memory_format=torch.channels_last_3d)
        whole = cast(Batch, {key: gather_batch(cast(torch.Tensor, share)) for key, share in batch.items()})
        whole["trusted_on_cpu"] = CpuCopy(whole["trusted"])  # begins before the networks compute
        logits = tuple(gather_batch(share) for share in self.method.logits(image))
        terms = self.method.loss(logits, whole, self.global_step / self.steps)
        for name, value in terms.items():
            column = "train_loss" if name == "loss" else f"train_{name}"
            self.log(column, value, on_step=True, batch_size=len(image), prog_bar=name == "loss")
        return terms["loss"]

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """One step of the optimiser, then the method's own update."""
        super().optimizer_step(*args, **kwargs)
        with torch.no_grad():
            self.method.after_step((self.global_step + 1) / self.steps)  # Lightning counts this step later

    def validation_step(self, batch: dict[str, Any], _: int) -> torch.Tensor | None:
        """Dice of one whole volume against the reference; returns the mask, (1, 1, X, Y, Z)."""
        if "image" not in batch:  # this process has no further case
            return None
        mask = self.predictor.logits(batch["image"]) > 0
        self.val_dice[int(batch["case"])] = dice(mask, batch["label"] > 0.5)
        return mask

    def on_validation_epoch_end(self) -> None:
        """Log the mean over the validation cases of all processes."""
        of_case = {case: value for share in gather_objects(self.val_dice) for case, value in share.items()}
        self.log("val_dice", float(np.mean([of_case[case] for case in sorted(of_case)])), prog_bar=True)
        self.val_dice.clear()

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimiser, with the learning rate changing by step: linear warm-up, then half a cosine."""
        optimizer = self.optimizer(self.method.trainable_parameters())
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.lr_share)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def lr_share(self, step: int) -> float:
        """The learning rate at a step, as a share of the highest."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        progress = min((step - self.warmup_steps) / max(self.steps - self.warmup_steps, 1), 1.0)
        return self.final_lr_share + (1 - self.final_lr_share) * 0.5 * (1 + float(np.cos(np.pi * progress)))
