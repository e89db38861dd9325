"""The LightningModule: one network with one output channel, its loss, its optimiser, validation on whole volumes."""

from collections.abc import Callable
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import nn

from mandseg.evaluation.sliding_window import SlidingWindow
from mandseg.system.distributed import from_all
from mandseg.training.shared_batch_norm import whole_batch


class Segmenter(L.LightningModule):
    """Segment the mandible: ``network`` maps (B, 1, X, Y, Z) in [-1, 1] to logits of the same shape.

    Args:
        network: Any network of one input and one output channel.
        loss: ``loss(logits, label) -> scalar``, both (B, 1, X, Y, Z).
        optimizer: Makes the optimiser from the parameters.
        sliding_window: How whole volumes are predicted.
        steps: Length of the training.
        warmup_steps: Steps over which the learning rate rises linearly from zero.
        final_lr_share: The learning rate at the end, as a share of the highest.
        foreground_prior: Share of foreground voxels the untrained network predicts: the last layer's bias starts at
            its log-odds (Lin et al. 2017, arXiv 1708.02002), else a short run spends itself on one number.
        seed: With the step it determines dropout, so that a resumed run sees the same; each process drops out its own.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        optimizer: Callable[..., torch.optim.Optimizer],
        sliding_window: SlidingWindow,
        steps: int,
        warmup_steps: int,
        final_lr_share: float,
        foreground_prior: float,
        seed: int,
    ) -> None:
        super().__init__()
        self.network: nn.Module = network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.loss = loss
        self.optimizer = optimizer
        self.sliding_window = sliding_window
        self.steps, self.warmup_steps, self.final_lr_share = steps, warmup_steps, final_lr_share
        self.seed = seed
        self.val_dice: dict[int, float] = {}
        set_output_prior(network, foreground_prior)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return logits (B, 1, X, Y, Z) of patches of that shape."""
        logits: torch.Tensor = self.network(image.contiguous(memory_format=torch.channels_last_3d))
        return logits

    def training_step(self, batch: dict[str, torch.Tensor], _: int) -> torch.Tensor:
        """One step on a batch of patches."""
        moment = (self.seed, self.global_step, self.global_rank)[: 3 if self.global_rank else 2]
        torch.manual_seed(hash(moment) % 2**63)  # hash of ints is the same in every process
        loss = self.loss(whole_batch(self(batch["image"])), whole_batch(batch["label"]))
        self.log("train_loss", loss, on_step=True, batch_size=len(batch["image"]), prog_bar=True)
        return loss

    def validation_step(self, batch: dict[str, Any], _: int) -> torch.Tensor | None:
        """Dice of one whole volume against the reference; returns the mask, (1, 1, X, Y, Z)."""
        if "image" not in batch:  # this process has no further case
            return None
        mask = self.sliding_window(self, batch["image"]) > 0
        self.val_dice[int(batch["case"])] = dice(mask, batch["label"] > 0.5)
        return mask

    def on_validation_epoch_end(self) -> None:
        """Log the mean over the validation cases of all processes."""
        of_case = {case: value for share in from_all(self.val_dice) for case, value in share.items()}
        self.log("val_dice", float(np.mean([of_case[case] for case in sorted(of_case)])), prog_bar=True)
        self.val_dice.clear()

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimiser, with the learning rate changing by step: linear warm-up, then half a cosine."""
        optimizer = self.optimizer(self.parameters())
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.lr_share)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def lr_share(self, step: int) -> float:
        """The learning rate at a step, as a share of the highest."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        progress = min((step - self.warmup_steps) / max(self.steps - self.warmup_steps, 1), 1.0)
        return self.final_lr_share + (1 - self.final_lr_share) * 0.5 * (1 + float(np.cos(np.pi * progress)))


def set_output_prior(network: nn.Module, foreground_prior: float) -> None:
    """Set the bias of the last layer of one output channel to the log-odds of the prior.

    Raises:
        ValueError: The network has no convolution with one output channel and a bias.
    """
    last = [
        m
        for m in network.modules()
        if isinstance(m, nn.Conv3d | nn.ConvTranspose3d) and m.out_channels == 1 and m.bias is not None
    ]
    if not last or last[-1].bias is None:
        raise ValueError(f"{type(network).__name__} has no last convolution with one output channel and a bias")
    nn.init.constant_(last[-1].bias, float(np.log(foreground_prior / (1 - foreground_prior))))


def dice(prediction: torch.Tensor, reference: torch.Tensor) -> float:
    """Dice of two boolean tensors; 1 where both are empty."""
    total = int(prediction.sum() + reference.sum())
    return 2 * int((prediction & reference).sum()) / total if total else 1.0
