"""Sliding-window inference: a preprocessed volume in, a mask on the image's own grid out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from mandseg.data.cache import PreparedCase
from mandseg.data.preprocessing import back_to_original
from mandseg.data.volume import Volume
from mandseg.training.patches import HuWindow


@dataclass(frozen=True)
class SlidingWindow:
    """Predict a volume window by window and blend the logits (MONAI).

    Args:
        patch_size: Window in voxels, (X, Y, Z).
        overlap: Share of a window that its neighbour covers too.
        batch_size: Windows predicted at once.
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
        assert isinstance(logits, torch.Tensor)  # one output, one tensor
        return logits.float()


def predict_case(
    network: Callable[[torch.Tensor], torch.Tensor],
    case: PreparedCase,
    sliding_window: SlidingWindow,
    window: HuWindow,
    smallest_piece: float,
    device: torch.device | str = "cpu",
) -> npt.NDArray[np.bool_]:
    """Segment one case.

    Args:
        network: Maps (B, 1, X, Y, Z) to logits.
        case: The prepared case.
        sliding_window: How the volume is covered.
        window: HU to network input.
        smallest_piece: Connected pieces below this share of the largest one are dropped, in [0, 1].
        device: Where the network is.

    Returns:
        The mask in the image file's own grid and axis order.
    """
    image = window(np.asarray(case.image))[None, None].to(device)
    with torch.inference_mode():
        logits = sliding_window(network, image)[0, 0]
    probability = torch.sigmoid(logits).cpu().numpy()
    mask = back_to_original(Volume(probability, case.grid.affine), case.original) >= 0.5
    return without_small_pieces(mask, smallest_piece)


def without_small_pieces(mask: npt.NDArray[np.bool_], smallest_piece: float) -> npt.NDArray[np.bool_]:
    """Keep the connected pieces (26-neighbourhood) of at least ``smallest_piece`` times the volume of the largest.

    A share, not the largest alone: a mandible that was resected, broken or cut in two by a coarse grid has two halves.
    """
    labels, n = ndimage.label(mask, np.ones((3, 3, 3)))
    if n <= 1:
        return mask
    voxels = np.bincount(labels.ravel())
    voxels[0] = 0
    return np.asarray((voxels >= max(1.0, smallest_piece * voxels.max()))[labels])
