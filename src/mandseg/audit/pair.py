"""The two labels of a case on one grid: a case of a manifest in, reference and noisy label on RAS+ axes out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mandseg.data.case import Case
from mandseg.data.loaded_case import examine
from mandseg.data.manifest import Cohort
from mandseg.data.volume import Array, to_canonical
from mandseg.metrics.displacement import Surface, find_surface, measure_deviation
from mandseg.metrics.masks import Mask, Spacing, bounding_box
from mandseg.noise import NoiseSource, Recorded
from mandseg.noise.modes.scene import Scene, Window, make_scene
from mandseg.system.errors import UserError
from mandseg.system.wording import some_of


@dataclass(frozen=True, eq=False)
class LabelPair:
    """The reference and the noisy label of a case; all arrays on RAS+ axes, (X, Y, Z).

    Attributes:
        annotator: Who drew the noisy label; empty if not recorded.
        image_hu: The CT; None if it was not read.
    """

    case: Case
    reference: Mask
    noisy: Mask
    spacing_mm: Spacing
    annotator: str = ""
    image_hu: Array | None = None

    @cached_property
    def surface(self) -> Surface:
        """The surface of the reference."""
        return find_surface(self.reference, self.spacing_mm)

    @cached_property
    def view(self) -> tuple[Scene, Window]:
        """The reference as a simulated annotator sees it, and its window in the volume."""
        return make_scene(self.reference, self.spacing_mm)

    @cached_property
    def displacement_mm(self) -> float:
        """Mean signed displacement of the noisy label over the surface of the reference; positive is outward."""
        mean_mm = measure_deviation(self.noisy, self.reference, self.spacing_mm, self.surface).mean_mm()
        assert mean_mm is not None  # a reference with voxels has a surface
        return mean_mm

    def around(self, margin_mm: float) -> "LabelPair":
        """Crop to the bounding box of both labels with a margin; no crop if both are empty."""
        box = bounding_box(self.reference, self.noisy)
        if box is None:
            return self
        margins = [int(np.ceil(margin_mm / s)) for s in self.spacing_mm]
        x, y, z = (
            slice(max(side.start - margin, 0), min(side.stop + margin, n))
            for side, margin, n in zip(box, margins, self.reference.shape, strict=True)
        )
        hu = None if self.image_hu is None else self.image_hu[x, y, z].copy()
        reference, noisy = self.reference[x, y, z].copy(), self.noisy[x, y, z].copy()
        return replace(self, reference=reference, noisy=noisy, image_hu=hu)


def cases_with_two_labels(cohort: Cohort, noise: NoiseSource) -> Sequence[Case]:
    """The cases with a reference and a recorded or simulated noisy label.

    Raises:
        UserError: There is no such case.
    """
    cases = [case for case in cohort.cases if case.reference is not None and noise.available(case)]
    if not cases:
        n_reference = sum(case.reference is not None for case in cohort.cases)
        n_noisy = sum(case.noisy is not None for case in cohort.cases)
        references = some_of(n_reference, len(cohort.cases), "case", "have")
        raise UserError(
            f"cohort {cohort.root}: no case with two labels; {references} a "
            f"reference and {n_noisy} a noisy label (--noise PRESET draws one from the reference)"
        )
    return cases


def load_pair(case: Case, noise: NoiseSource, with_image: bool = False) -> LabelPair:
    """Read the labels of a case, and simulate the noisy one if the source is a simulation.

    An empty label is a result of the audit, also in a training case. (Training refuses such a case.)

    Args:
        case: A case with a reference.
        noise: The source of the noisy label. A simulation may need the CT.
        with_image: Read the CT for pictures, too.

    Raises:
        UserError: One line for each problem of the files, or the label cannot be simulated.
    """
    simulated = not isinstance(noise, Recorded)
    image, noisy_file = case.image if simulated or with_image else None, None if simulated else case.noisy
    volumes, problems = examine(replace(case, split="", image=image, noisy=noisy_file))
    if problems:
        raise UserError(problems)
    on_ras = {name: to_canonical(volume) for name, volume in volumes.items()}
    masks: dict[str, Mask] = {name: np.asarray(volume.array != 0) for name, volume in on_ras.items() if name != "image"}
    if "reference" not in masks:
        raise UserError(f"case {case.case_id}: no reference label to compare with")
    spacing_mm = on_ras["reference"].geometry.spacing_mm
    hu = on_ras["image"].array if "image" in on_ras else None
    noisy = noise.draw(case, masks["reference"], masks.get("noisy"), spacing_mm, hu)
    return LabelPair(case, masks["reference"], noisy, spacing_mm, noise.annotator(case), hu)
