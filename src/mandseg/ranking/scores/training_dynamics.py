"""Training dynamics: what a network predicted of a label that it was trained on, at several moments of the training."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def low_margin(margins: Floats) -> float:
    """Minus the area under the margin: minus the mean over the training of the mean logit of the label in the band.

    Pleiss et al. 2020, arXiv 2001.10528. With one logit z the margin of label y is (2y - 1) z.

    Args:
        margins: (T,) mean over the band at each moment.
    """
    return -float(np.mean(margins))


def low_confidence(probabilities: Floats) -> float:
    """1 - mean over the training of the probability of the label in the band: data maps' "hard to learn".

    Swayamdipta et al. 2020, arXiv 2009.10795.

    Args:
        probabilities: (T,) mean over the band at each moment.
    """
    return 1 - float(np.mean(probabilities))


def variability(probabilities: Floats) -> float:
    """Standard deviation over the training of the same probability: data maps' "ambiguous" (the same paper).

    Args:
        probabilities: (T,) mean over the band at each moment.
    """
    return float(np.std(probabilities))
