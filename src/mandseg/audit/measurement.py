"""Measurement of a case: its two labels in; agreement, signed displacement by region, volumes and pieces out."""

from collections.abc import Iterator
from dataclasses import dataclass

from mandseg.audit.pair import LabelPair, load_pair
from mandseg.data.case import Case
from mandseg.data.check import piece_sizes
from mandseg.data.structure import structure_of
from mandseg.metrics.agreement import score
from mandseg.metrics.catalogue import AGREEMENT
from mandseg.metrics.displacement import measure_deviation
from mandseg.metrics.division import MANDIBLE, THIRDS, Division
from mandseg.metrics.masks import Mask, bounding_box
from mandseg.noise import NoiseSource
from mandseg.system.errors import UserError

UNNAMED = "not recorded"  # for a label without an annotator


@dataclass(frozen=True)
class Displacement:
    """Displacement of the surface of the reference, or of a region, in the noisy label; mm, positive is outward."""

    region: str | None  # None: the whole surface
    bias_mm: float  # mean over the area
    spread_mm: float  # standard deviation over the area


@dataclass(frozen=True)
class Measurement:
    """The measured values of a case; None where a label is empty."""

    case_id: str
    subject_id: str
    split: str
    annotator: str
    outcome: str  # as in mandseg.metrics.agreement: scored, missed (nothing drawn), spurious, both_empty
    dice: float
    hd95_mm: float
    assd_mm: float
    nsd_1mm: float
    nsd_2mm: float
    reference_ml: float
    noisy_ml: float
    volume_bias_ml: float
    volume_bias_percent: float | None
    reference_pieces: int
    noisy_pieces: int
    apart_ml: float  # of the noisy label, outside its largest piece
    displacements: tuple[Displacement, ...]  # the whole surface first, then the regions that it has
    regions: tuple[str, ...]  # all regions of its structure

    def displacement(self, region: str | None = None) -> Displacement | None:
        """The displacement of a region; None for the whole surface."""
        return next((d for d in self.displacements if d.region == region), None)


def measure_case(case: Case, noise: NoiseSource) -> Measurement | list[str]:
    """Measure a case; or the problems of its files, one line each."""
    try:
        return measure(load_pair(case, noise))
    except UserError as error:
        return error.problems


def division_of(case: Case) -> Division:
    """The parts by which a label of a case is measured: regions of a mandible, thirds of anything else."""
    return MANDIBLE if structure_of(case).is_mandible else THIRDS


def measure(pair: LabelPair) -> Measurement:
    """Measure the noisy label of a case against its reference."""
    division = division_of(pair.case)
    scores = score(pair.noisy, pair.reference, pair.spacing_mm)
    reference_ml, noisy_ml = float(scores["reference_ml"]), float(scores["prediction_ml"])
    reference_pieces, noisy_pieces = _pieces(pair.reference), _pieces(pair.noisy)
    apart = 1 - noisy_pieces[0] / sum(noisy_pieces) if noisy_pieces else 0.0
    return Measurement(
        case_id=pair.case.case_id,
        subject_id=pair.case.subject_id,
        split=pair.case.split,
        annotator=pair.annotator or UNNAMED,
        outcome=str(scores["outcome"]),
        **{name: float(scores[name]) for name in AGREEMENT},
        reference_ml=reference_ml,
        noisy_ml=noisy_ml,
        volume_bias_ml=noisy_ml - reference_ml,
        volume_bias_percent=100 * (noisy_ml / reference_ml - 1) if reference_ml else None,
        reference_pieces=len(reference_pieces),
        noisy_pieces=len(noisy_pieces),
        apart_ml=apart * noisy_ml,
        displacements=tuple(_displacements(pair, division)) if scores["outcome"] == "scored" else (),
        regions=division.regions,
    )


def _displacements(pair: LabelPair, division: Division) -> Iterator[Displacement]:
    found = measure_deviation(pair.noisy, pair.reference, pair.spacing_mm, division=division)
    for region in (None, *division.regions):
        bias_mm, spread_mm = found.mean_mm(region), found.spread_mm(region)
        if bias_mm is not None and spread_mm is not None:
            yield Displacement(region, bias_mm, spread_mm)


def _pieces(mask: Mask) -> list[int]:
    box = bounding_box(mask)
    return piece_sizes(mask[box]) if box else []
