"""Simulated drawings of the pairs by a panel, and the quantities of each drawing."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from mandseg.audit.fidelity.quantities import Floats, measure
from mandseg.audit.fidelity.realism import table
from mandseg.audit.pair import LabelPair
from mandseg.metrics.masks import Mask
from mandseg.noise.panel import Panel
from mandseg.system.errors import UserError
from mandseg.system.progress import for_each


def real_table(pairs: Sequence[LabelPair]) -> dict[str, Floats]:
    """Measure the recorded drawings; (C, 1) of each quantity."""
    return table([[measured(pair.noisy, pair)] for pair in pairs])


def simulated_table(
    panel: Panel, pairs: Sequence[LabelPair], n_drawings: int, workers: int | None = 1, title: str = "Drawing"
) -> dict[str, Floats]:
    """Let a panel draw each reference several times; (C, R) of each quantity.

    Each drawing has another seed, so the styles of the annotators and the assignment of cases also differ. The recorded
    annotator is not used, because one name can stand for many people.

    Args:
        panel: The panel.
        pairs: The pairs.
        n_drawings: Number of drawings of each reference, R.
        workers: Number of processes; None: one for each core if there are many pairs.
        title: Title of the progress bar.
    """
    return table(list(for_each(partial(_drawn_and_measured, panel, n_drawings), pairs, title, workers)))


def draw(panel: Panel, pair: LabelPair) -> Mask:
    """Draw the reference of a pair as the panel does in training, but without a CT.

    Raises:
        UserError: A mode of the panel needs the CT.
    """
    case = replace(pair.case, annotator="")
    scene, window = pair.view
    drawn = np.zeros_like(pair.reference)
    try:
        drawn[window] = panel.profile(case).redraw(scene, panel.stream(case))
    except ValueError as error:
        raise UserError(f"case {case.case_id}: {error}") from error
    return drawn


def measured(drawn: Mask, pair: LabelPair) -> dict[str, float]:
    """Measure a drawing of a pair's reference."""
    return measure(drawn, pair.reference, pair.spacing_mm, pair.surface)


def with_seeds(panel: Panel, seeds: Sequence[int]) -> list[Panel]:
    """The panel with each of these seeds, which change styles, assignment of cases and errors."""
    return [replace(panel, seed=seed) for seed in seeds]


def _drawn_and_measured(panel: Panel, n_drawings: int, pair: LabelPair) -> list[dict[str, float]]:
    seeds = range(panel.seed, panel.seed + n_drawings)
    return [measured(draw(own, pair), pair) for own in with_seeds(panel, seeds)]
