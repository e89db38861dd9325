"""Segments one image with one network or the mean of several, and measures how far the result can be trusted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mandseg.data.volume import Volume
from mandseg.evaluation.prediction.network import TrainedNetwork
from mandseg.evaluation.prediction.quality import Quality, measure_quality
from mandseg.evaluation.predictor import final_mask, refuse_unreal
from mandseg.metrics.masks import Mask


@dataclass(frozen=True)
class Segmentation:
    """A mask (bool) on an image's own grid, and its quality."""

    mask: Volume
    quality: Quality


def segment(image: Volume, networks: Sequence[TrainedNetwork]) -> Segmentation:
    """Segment an image.

    Args:
        image: HU, on any grid.
        networks: One or more, which fit together (:func:`mandseg.evaluation.prediction.network.refuse_different`).

    Raises:
        UserError: The image has values that are not finite, or its body is too small or too large for resampling.
    """
    refuse_unreal(image)
    first = networks[0]
    prepared = first.predictor.preprocessing.image(image)
    hu = np.asarray(prepared.array, dtype=np.int16)
    mean = np.zeros(hu.shape, np.float32)
    members: list[Mask] = []
    for network in networks:
        probability = network.predictor.on_grid(hu)
        mean += probability / np.float32(len(networks))
        if len(networks) > 1:
            members.append(probability >= 0.5)
    of_mean = Volume(mean, prepared.affine)
    mask = final_mask(of_mean, image.geometry, first.smallest_piece)
    return Segmentation(mask, measure_quality(mask, of_mean, members, hu, first.smallest_piece))
