"""Sliding-window inference: a preprocessed volume in, a mask on the image's own grid out."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from mandseg.data.cache import PreparedCase
from mandseg.data.preprocessing import HuWindow, back_to_original
from mandseg.data.volume import Volume
from mandseg.evaluation.postprocessing import without_small_pieces
from mandseg.evaluation.sliding_window import SlidingWindow


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
