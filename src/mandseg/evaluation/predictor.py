"""Predicts probabilities and masks with one network or several, on a prepared grid or on the grid of an image."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, fields

import numpy as np
import numpy.typing as npt
import torch

from mandseg.data.cache import PreparedCase
from mandseg.data.preprocessing import HuWindow, Preprocessing, mask_on_original
from mandseg.data.volume import Geometry, Hu, Volume
from mandseg.evaluation.postprocessing import without_small_pieces
from mandseg.evaluation.sliding_window import SlidingWindow
from mandseg.system.errors import UserError
from mandseg.system.wording import count, verb

Probability = npt.NDArray[np.float32]
AUTOCAST = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
"""Arithmetic of a training, by Lightning's names, in which a prediction is made; any other means float32."""
NEAREST_TO_CERTAIN = 1e-6  # smallest distance of a mean probability from 0 and 1, so that its logit is finite


@dataclass(frozen=True)
class Predictor:
    """A trained network with the preprocessing of its training.

    Args:
        network: Maps (B, 1, X, Y, Z) in [-1, 1] to logits of that shape; in evaluation mode.
        preprocessing: Resamples and crops an image to the grid of the network.
        window: Converts HU to network input.
        sliding_window: Covers a volume with patches.
        device: The device of the network.
        precision: The arithmetic, by Lightning's names. float32 by default; a surrounding autocast stays in force.
    """

    network: Callable[[torch.Tensor], torch.Tensor]
    preprocessing: Preprocessing
    window: HuWindow
    sliding_window: SlidingWindow
    device: torch.device
    precision: str = "32-true"

    def logits(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of complete volumes, both (B, 1, X, Y, Z), on the device of the input."""
        dtype = AUTOCAST.get(self.precision)
        with nullcontext() if dtype is None else torch.autocast(self.device.type, dtype):
            return self.sliding_window(self.network, image)

    def on_grid(self, image: Hu) -> Probability:
        """Probabilities of a prepared image, both (X, Y, Z) on the network's grid; HU in, 0 to 1 out."""
        scaled = self.window(np.asarray(image))[None, None].to(self.device)
        with torch.inference_mode():
            probability: Probability = self.logits(scaled)[0, 0].sigmoid_().cpu().numpy()
        return probability

    def of_case(self, case: PreparedCase) -> Probability:
        """Probabilities of a prepared case, (X, Y, Z) on the network's grid."""
        return self.on_grid(case.image)

    def mask(self, image: Volume, smallest_piece: float) -> Volume:
        """The mask (bool) on an image's own grid and axis order.

        Args:
            image: Any CT, HU.
            smallest_piece: Connected pieces below this share of the largest one are removed, in [0, 1].

        Raises:
            UserError: The image has values that are not finite.
        """
        refuse_unreal(image)
        prepared = self.preprocessing.image(image)
        probability = Volume(self.on_grid(np.asarray(prepared.array, dtype=np.int16)), prepared.affine)
        return final_mask(probability, image.geometry, smallest_piece)

    def mask_of_case(self, case: PreparedCase, smallest_piece: float) -> Volume:
        """The same mask for a prepared case."""
        return final_mask(Volume(self.of_case(case), case.grid.affine), case.original, smallest_piece)


@dataclass(frozen=True)
class _Mean(Predictor):
    members: Sequence[Predictor] = ()

    def logits(self, image: torch.Tensor) -> torch.Tensor:
        probability = torch.stack([torch.sigmoid(member.logits(image)) for member in self.members]).mean(dim=0)
        return torch.logit(probability, eps=NEAREST_TO_CERTAIN)


@dataclass(frozen=True)
class _OutOfFold(Predictor):
    members: Sequence[Predictor] = ()
    member_of: Mapping[str, int] = field(default_factory=dict)

    def of_case(self, case: PreparedCase) -> Probability:
        return self.members[self.member_of[case.case.case_id]].of_case(case)


def out_of_fold(predictors: Sequence[Predictor], fold_of: Mapping[str, int]) -> Predictor:
    """Make a predictor that asks for a case the one that was not trained on it, and for an image the first one.

    Args:
        predictors: Those that were trained without the first, the second, ... fold.
        fold_of: case_id -> the fold of the case, from 0.
    """
    shared = {part.name: getattr(predictors[0], part.name) for part in fields(Predictor)}
    return _OutOfFold(**shared, members=tuple(predictors), member_of=fold_of)


def mean_of(predictors: Sequence[Predictor]) -> Predictor:
    """Make a predictor of the mean probability of several: an ensemble of seeds, folds or methods.

    Raises:
        UserError: The list is empty, or the predictors differ in preprocessing, window or device.
    """
    if not predictors:
        raise UserError("a mean of no predictors: expected one or more")
    first = predictors[0]
    for other in predictors[1:]:
        for what in ("preprocessing", "window", "device"):
            one, two = getattr(first, what), getattr(other, what)
            if one != two:
                raise UserError(f"predictors with different {what} have no mean: {one} and {two}")
    shared = {part.name: getattr(first, part.name) for part in fields(Predictor)}
    return _Mean(**shared, members=tuple(predictors))


def refuse_unreal(image: Volume) -> None:
    """Refuse an image with values that are not finite.

    Raises:
        UserError: One line with their number.
    """
    if image.array.dtype.kind not in "fc":
        return
    if bad := int(image.array.size - np.count_nonzero(np.isfinite(image.array))):
        raise UserError(
            f"an image with {count(bad, 'voxel')} that {verb(bad, 'are')} NaN or infinite cannot be segmented"
        )


def final_mask(probability: Volume, original: Geometry, smallest_piece: float) -> Volume:
    """The mask (bool) on an image's own grid, from probabilities on the network's grid.

    Args:
        probability: On the prepared grid.
        original: The image's own grid.
        smallest_piece: Connected pieces below this share of the largest one are removed, in [0, 1].
    """
    return Volume(without_small_pieces(mask_on_original(probability, original), smallest_piece), original.affine)
