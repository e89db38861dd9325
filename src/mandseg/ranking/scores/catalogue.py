"""The scores by name: what they mean and what they need. Every table, page and test follows from this list."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from mandseg.data.structure import structure_of
from mandseg.ranking.drawn_label import DrawnLabel
from mandseg.ranking.scores.ends import cut_above_mm2, cut_below_mm2
from mandseg.ranking.scores.hounsfield import bone_beside_share, median_hu, soft_share
from mandseg.ranking.scores.pieces import apart_ml, n_pieces
from mandseg.ranking.scores.size import height_mm, height_to_length, volume_ml
from mandseg.ranking.scores.symmetry import asymmetry, uneven_tops_mm

Needs = Literal[
    "labels", "predictions", "labels and predictions", "two networks", "training dynamics", "annotators", "decoys"
]


@dataclass(frozen=True)
class Measure:
    """A measure of a label alone; a label is suspicious if its value is unusual in the cohort.

    Args:
        name: Column of ranking.csv.
        title: For a reader.
        of: Measures a label; None where that is impossible.
        least_scale: Smallest scale of its distance from the median, in its own unit.
        decimals: On the page.
        of_any: Whether it makes sense for any structure; the others look for bone or for both halves of a mandible.
    """

    name: str
    title: str
    of: Callable[[DrawnLabel], float | None]
    least_scale: float
    decimals: int = 1
    of_any: bool = False


@dataclass(frozen=True)
class Score:
    """A score; larger is more suspicious.

    Args:
        name: Column of ranking.csv and value of --by.
        title: For a reader.
        needs: What it is made from.
        decimals: On the page.
    """

    name: str
    title: str
    needs: Needs
    decimals: int = 3


MEASURES = (
    Measure("volume_ml", "volume (ml)", volume_ml, 2.0, of_any=True),
    Measure("height_mm", "height (mm)", height_mm, 3.0, of_any=True),
    Measure("height_to_length", "height over length", height_to_length, 0.05, 2),
    Measure("median_hu", "median HU inside", median_hu, 30.0, 0, of_any=True),
    Measure("soft_share", "share inside below 150 HU", soft_share, 0.02, 2),
    Measure("bone_beside_share", "share just outside above 300 HU", bone_beside_share, 0.02, 2),
    Measure("pieces", "pieces", n_pieces, 1.0, 0, of_any=True),
    Measure("apart_ml", "volume apart (ml)", apart_ml, 0.3, of_any=True),
    Measure("asymmetry", "difference of both halves", asymmetry, 0.03, 2),
    Measure("uneven_tops_mm", "one side ends lower by (mm)", uneven_tops_mm, 3.0),
    Measure("cut_above_mm2", "bone continues above (mm²)", cut_above_mm2, 15.0, 0),
    Measure("cut_below_mm2", "bone continues below (mm²)", cut_below_mm2, 15.0, 0),
)
SCORES = (
    Score("outlier", "distance from the other contours of the cohort", "labels", 2),
    Score("dice_error", "1 − Dice to the prediction", "predictions"),
    Score("soft_dice_error", "1 − soft Dice to the prediction", "predictions"),
    Score("surface_mm", "mean distance to the prediction (mm)", "predictions", 2),
    Score("surface95_mm", "95th percentile of the distance to the prediction (mm)", "predictions", 1),
    Score("redrawn_share", "share of the surface more than 2 mm from the prediction", "predictions"),
    Score("cross_entropy", "cross-entropy less entropy in the band", "predictions"),
    Score("soft_minimum", "1 − soft minimum of the label's probability in the band", "predictions"),
    Score("confident_share", "share of the band that is confidently of the other class", "predictions"),
    Score("mean_rank", "mean rank by outlier and by redrawn_share", "labels and predictions", 2),
    Score("less_disagreement", "1 − Dice less the disagreement of the networks", "two networks"),
    Score("low_margin", "minus the mean logit of the label during the training", "training dynamics", 2),
    Score("low_confidence", "1 − mean probability of the label during the training", "training dynamics"),
    Score("variability", "standard deviation of the label's probability during the training", "training dynamics"),
    Score("annotator_bias_mm", "bias of the annotator (mm)", "annotators", 2),
    Score("learned", "error that a regression on simulated labels expects (1 − Dice)", "decoys"),
)


def measure_label(label: DrawnLabel) -> dict[str, float | None]:
    """All measures that make sense for the structure of a label, by name."""
    is_mandible = structure_of(label.case).is_mandible
    return {measure.name: measure.of(label) for measure in MEASURES if is_mandible or measure.of_any}


def measures_in(names: Iterable[object]) -> list[Measure]:
    """The measures among the columns of a table."""
    present = set(names)
    return [measure for measure in MEASURES if measure.name in present]


def least_scales(names: Iterable[object]) -> dict[str, float]:
    """Measure to its smallest scale, of the measures among the columns of a table."""
    return {measure.name: measure.least_scale for measure in measures_in(names)}
