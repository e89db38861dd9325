"""The two labels of a case on one grid: a manifest's case in, reference and noisy label on RAS+ axes out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mandseg.data.case import Case
from mandseg.data.loaded_case import examine
from mandseg.data.manifest import Cohort
from mandseg.data.volume import Array, Volume, to_canonical
from mandseg.metrics.regions import Mask, Spacing
from mandseg.noise import NoiseSource, Recorded
from mandseg.system.errors import UserError


@dataclass(frozen=True)
class Pair:
    """The reference of a case and another label of it; all arrays on RAS+ axes, (X, Y, Z)."""

    case: Case
    annotator: str
    reference: Mask
    noisy: Mask
    spacing_mm: Spacing
    image_hu: Array | None = None


def cases_with_two_labels(cohort: Cohort, noise: NoiseSource) -> Sequence[Case]:
    """List the cases that have a reference and a noisy label, recorded or to be simulated.

    Raises:
        UserError: There is none.
    """
    cases = [case for case in cohort.cases if case.reference is not None and noise.available(case)]
    if not cases:
        n_reference = sum(case.reference is not None for case in cohort.cases)
        n_noisy = sum(case.noisy is not None for case in cohort.cases)
        raise UserError(
            f"cohort {cohort.root}: no case with two labels; of {len(cohort.cases)} cases {n_reference} have a "
            f"reference and {n_noisy} a noisy label (--noise PRESET draws one from the reference)"
        )
    return cases


def load_pair(case: Case, noise: NoiseSource, with_image: bool = False) -> Pair:
    """Read the labels of a case, and simulate the noisy one if the source says so.

    An empty label is an audit's finding, also in a training case, which training itself refuses.

    Args:
        case: A case with a reference.
        noise: Where the noisy label comes from; a simulated one may need the CT.
        with_image: Read the CT also where only pictures need it.

    Raises:
        UserError: One line for each problem of the files, or the label cannot be simulated.
    """
    simulated = not isinstance(noise, Recorded)
    image, noisy_file = case.image if simulated or with_image else None, None if simulated else case.noisy
    volumes, problems = examine(replace(case, split="", image=image, noisy=noisy_file))
    if problems:
        raise UserError(problems)
    on_ras = {name: to_canonical(volume) for name, volume in volumes.items()}
    reference, recorded = (_mask(on_ras.get(name)) for name in ("reference", "noisy"))
    if reference is None:
        raise UserError(f"case {case.case_id}: no reference label to compare with")
    spacing_mm = on_ras["reference"].geometry.spacing_mm
    hu = on_ras["image"].array if "image" in on_ras else None
    noisy = noise.draw(case, reference, recorded, spacing_mm, hu)
    return Pair(case, noise.annotator(case), reference, noisy, spacing_mm, hu)


def _mask(label: Volume | None) -> Mask | None:
    return None if label is None else np.asarray(label.array != 0)
