"""Decoys: labels with simulated noise. What scores as they do is flagged, and a learned score is trained on them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from mandseg.data.cache import PreparedCase
from mandseg.data.case import Case
from mandseg.data.ranked.label import is_trusted
from mandseg.data.resampling import mask_onto
from mandseg.data.volume import Geometry, Volume
from mandseg.metrics.masks import Mask, dice
from mandseg.noise import Panel
from mandseg.ranking.drawn_label import cut, read_whole, window_around
from mandseg.ranking.label_table import identity
from mandseg.ranking.scores.catalogue import measure_label
from mandseg.system.errors import UserError
from mandseg.system.progress import for_each
from mandseg.system.wording import count, verb

FEWEST_TRUSTED = 5  # below, the decoys are made from the labels that are ranked


@dataclass(frozen=True, eq=False)
class Decoy:
    """A label with simulated noise.

    Args:
        row: Identity and measures of the label, as of any other; ``error`` is 1 - Dice to the label it was made from.
        mask: On the prepared grid, for predictions; None without networks.
    """

    row: dict[str, object]
    mask: Mask | None


def decoy_cases(cases: Sequence[Case]) -> tuple[Sequence[Case], str]:
    """The cases that decoys are made from, and a sentence for the reader: trusted ones, if there are five or more."""
    trusted = [case for case in cases if is_trusted(case)]
    if len(trusted) >= FEWEST_TRUSTED:
        return trusted, f"Decoys are {len(trusted)} trusted labels with simulated noise."
    few = f"{count(len(trusted), 'case')} {verb(len(trusted), 'are')} trusted"
    text = f"Decoys are the cohort's own labels with simulated noise on top, because {few}"
    return cases, f"{text} ({FEWEST_TRUSTED} are needed). Errors that most labels share are not found with them."


def draw_decoys(
    cases: Sequence[Case], panel: Panel, prepared: Sequence[PreparedCase] = (), workers: int | None = None
) -> list[Decoy]:
    """Draw one decoy of each case; a case with an empty label, or without a CT that the noise needs, has none.

    Args:
        cases: The cases.
        panel: Simulated annotators; the recorded annotator of a case is not used.
        prepared: The cases on the grid of the networks; empty without networks.
        workers: Number of processes.

    Raises:
        UserError: No decoy can be drawn; the line has the reason of the first case.
    """
    grids = {p.case.case_id: p.grid for p in prepared}
    work = partial(_draw, panel=panel)
    found = list(for_each(work, [(case, grids.get(case.case_id)) for case in cases], "Drawing decoys", workers))
    decoys = [decoy for decoy in found if isinstance(decoy, Decoy)]
    if not decoys:
        raise UserError(f"--decoys: no label can be drawn with simulated noise; {found[0]}")
    return decoys


def decoy_table(decoys: Sequence[Decoy]) -> pd.DataFrame:
    """The measures of all decoys."""
    return pd.DataFrame([decoy.row for decoy in decoys])


def _draw(item: tuple[Case, Geometry | None], panel: Panel) -> Decoy | str:
    case, grid = item
    label = read_whole(case)
    try:
        anonymous = replace(case, annotator="")
        drawn = panel.draw(anonymous, label.mask, None, label.spacing_mm, label.hu)
    except UserError as error:
        return error.problems[0]
    near = cut(replace(label, mask=drawn), window_around(label.spacing_mm, drawn))
    row = identity(case) | measure_label(near) | {"error": 1 - dice(drawn, label.mask)}
    on_grid = None
    if grid is not None and label.affine is not None:
        on_grid = np.asarray(mask_onto(Volume(drawn, label.affine), grid), dtype=np.bool_)
    return Decoy(row, on_grid)
