"""Learned weighting: voxels whose labels contradict the trusted labels are left out."""

from collections.abc import Sequence

import torch
from torch.func import functional_call

from mandseg.noise.label_plan import LabelPlan
from mandseg.system.distributed import mean_over_processes
from mandseg.system.errors import UserError
from mandseg.system.expectations import LENGTHS, NOT_NEGATIVE, REACH_MM, SHARE_BELOW_1, require
from mandseg.training.cpu_copy import chosen_patches
from mandseg.training.losses.band import band, left_out
from mandseg.training.losses.loss import Loss, loss_at
from mandseg.training.losses.voxel_loss import cross_entropy, in_float
from mandseg.training.methods.method import GROUP, Batch, MakeNetwork
from mandseg.training.methods.supervised import Supervised


class LearnedWeighting(Supervised):
    """A voxel has the weight 0 if a step that lowers the loss of trusted labels raises its own loss, else 1.

    Ren et al., ICML 2018 (arXiv 1803.09050): the weight of an example is max(0, <its gradient, gradient of the trusted
    examples>). For voxels as in Mirikharaji et al., MICCAI Workshops 2019 (arXiv 1906.03815). Here the weights are 0 or
    1, so that any loss takes them. The sign of the product is the sign of the change of the voxel's cross-entropy after
    a small step against the trusted gradient; that costs a second forward pass without gradient. Most batches have no
    trusted patch, so the gradient is a moving average over the batches that have one. Only voxels of the band around
    label and prediction are left out, and never those of a trusted label. Before the first trusted patch, and with a
    step of 0, it is supervised training.

    Args:
        make_network: Makes the network.
        loss: The loss of the voxels that are kept.
        step: Length of the step, as a share of the norm of the network's weights, 0 or more.
        decay: Of the moving average of the trusted gradient, from 0 to below 1.
        reach_mm: Reach of the band, 0 or more.
        spacing_mm: Voxel edge lengths of the patches.

    Raises:
        UserError: A setting is out of range.
    """

    gradient: torch.Tensor  # of the trusted labels, over all weights, one after the other

    def __init__(
        self,
        make_network: MakeNetwork,
        loss: Loss,
        step: float,
        decay: float,
        reach_mm: float,
        spacing_mm: Sequence[float],
    ) -> None:
        super().__init__(make_network, loss)
        require(NOT_NEGATIVE, GROUP, step=step)
        require(SHARE_BELOW_1, GROUP, decay=decay)
        require(REACH_MM, GROUP, reach_mm=reach_mm)
        require(LENGTHS, GROUP, spacing_mm=list(spacing_mm))
        self.step, self.decay = step, decay
        self.reach_mm, self.spacing_mm = reach_mm, spacing_mm
        self.register_buffer("gradient", torch.zeros(sum(weight.numel() for weight in self.networks[0].parameters())))

    def check(self, plan: LabelPlan) -> None:
        """Refuse a plan without a trusted label, with which this is supervised training."""
        if not plan.trusted:
            raise UserError(
                "method=learned_weighting: no training case is trusted; clean_budget=10 makes ten trusted ones"
            )

    def logits(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The network's logits, now and after a step against the trusted gradient, (B, 1, X, Y, Z) each."""
        with torch.random.fork_rng(devices=[image.device] if image.is_cuda else []):  # both passes drop the same units
            after = self._after_trusted_step(image)
        now = self.networks[0](image)
        return now, torch.where(self.gradient.any() & (self.step > 0), after, now.detach())

    def loss(self, logits: tuple[torch.Tensor, ...], batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        """The loss of the kept voxels; the share of the band that is left out is ``left_out``."""
        now, after = logits
        label, trusted = batch["label"], batch["trusted"]
        loss = loss_at(self.loss_of_labels, progress)
        contradict = cross_entropy(in_float(after), label) > cross_entropy(in_float(now.detach()), label)
        near = band(label, now, self.reach_mm, self.spacing_mm)
        without = contradict & near & ~trusted.reshape(-1, 1, 1, 1, 1)
        value = loss(left_out(now, label, ~without), label)
        chosen = batch["trusted_on_cpu"].get().tolist()
        if now.requires_grad and any(chosen):
            self._note_gradient(loss(chosen_patches(now, chosen), chosen_patches(label, chosen)))
        return {"loss": value, "left_out": without.sum() / near.sum().clamp(min=1)}

    @torch.no_grad()
    def _after_trusted_step(self, image: torch.Tensor) -> torch.Tensor:
        network = self.networks[0]
        weights = dict(network.named_parameters())
        size = torch.stack([weight.square().sum() for weight in weights.values()]).sum().sqrt()
        length = self.step * size / self.gradient.norm().clamp(min=torch.finfo(size.dtype).tiny)
        parts = torch.split(self.gradient, [weight.numel() for weight in weights.values()])
        moved = {
            name: weight - length * part.reshape(weight.shape)
            for (name, weight), part in zip(weights.items(), parts, strict=True)
        }
        statistics = {name: buffer.clone() for name, buffer in network.named_buffers()}  # not updated twice
        answer: torch.Tensor = functional_call(network, moved | statistics, image)
        return answer

    def _note_gradient(self, loss: torch.Tensor) -> None:
        weights = list(self.networks[0].parameters())
        found = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
        parts = [torch.zeros_like(w) if g is None else g for w, g in zip(weights, found, strict=True)]
        new = mean_over_processes(torch.cat([part.flatten() for part in parts]).to(self.gradient))
        self.gradient.lerp_(new, 1 - self.decay)
