"""Prediction of a volume by overlapping windows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class SlidingWindow:
    """Predict a volume window by window and blend the logits (MONAI).

    Args:
        patch_size: Window in voxels, (X, Y, Z).
        overlap: Share of a window that overlaps its neighbour.
        batch_size: Number of windows in a batch.
    """

    patch_size: Sequence[int]
    overlap: float
    batch_size: int = 4

    def __call__(self, network: Callable[[torch.Tensor], torch.Tensor], image: torch.Tensor) -> torch.Tensor:
        """Map an image (1, 1, X, Y, Z) to logits of the same shape."""
        from monai.inferers.utils import sliding_window_inference

        logits = sliding_window_inference(
            image,
            roi_size=tuple(self.patch_size),
            sw_batch_size=self.batch_size,
            predictor=network,
            overlap=self.overlap,
            mode="gaussian",
            padding_mode="constant",
            cval=-1.0,
        )
        assert isinstance(logits, torch.Tensor)  # a network with one output gives one tensor
        return logits.float()
