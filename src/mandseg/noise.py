"""Contouring errors as functions of a mask, in mm, and the two sources of noisy labels: recorded and simulated.

A contour model takes ``(mask, spacing_mm, rng)`` with the mask on RAS+ axes and returns a mask on the same grid.
A source of noisy labels answers, for a case, who drew it and what they drew.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from mandseg.cohort import Case
from mandseg.errors import UserError

Mask = npt.NDArray[np.bool_]  # (X, Y, Z) on RAS+ axes
Field = npt.NDArray[np.float32]  # (X, Y, Z)
Spacing = tuple[float, float, float]

CROP_MARGIN_MM = 10.0
FINE_MM = 1.6  # distances are taken on a grid at least this fine
MAX_TIP_SHARE = 0.35  # of the mandible's height: no annotator forgets more of the ramus than this
ANTERIOR_SHARE = 0.6  # of the mandible's depth: where teeth stand, from the chin backwards


@dataclass(frozen=True)
class PlanningContour:
    """A mandible as a dosimetrist draws it for planning: generous, slice by slice, teeth in, condyle tips out.

    The modes are those that observers were found to differ by (van der Veen 2021,
    doi 10.1186/s13014-020-01677-2: teeth included, condyles and coronoid processes left out) on top of a smooth
    boundary error. All zeros, with ``drawn_every=1``, is the identity.

    Args:
        outward_mm: Mean displacement of the boundary; positive is outward.
        amplitude_mm: Standard deviation of the smooth boundary error.
        correlation_mm: Length over which that error stays alike.
        slice_jitter_mm: Standard deviation of an error that a whole axial slice shares.
        drawn_every: Every n-th axial slice is drawn, those between are interpolated (shape-based).
        teeth_mm: Height of lower teeth that is drawn as bone, above the front of the body.
        tips_cut_mm: Height that is missing from the top of each ramus (condyle and coronoid process).
    """

    outward_mm: float = 0.0
    amplitude_mm: float = 0.0
    correlation_mm: float = 15.0
    slice_jitter_mm: float = 0.0
    drawn_every: int = 1
    teeth_mm: float = 0.0
    tips_cut_mm: float = 0.0

    def __call__(self, mask: Mask, spacing_mm: Spacing, rng: np.random.Generator) -> Mask:
        """Draw ``mask`` (X, Y, Z), bool, on RAS+ axes, as this annotator would; same grid, never empty.

        Raises:
            ValueError: The mask is empty: there is nothing to draw.
        """
        if not mask.any():
            raise ValueError("an empty mask cannot be drawn with an error")
        window = _window(mask, spacing_mm)
        crop = mask[window]
        distance_mm = signed_distance_mm(crop, spacing_mm)
        distance_mm = self._with_teeth(distance_mm, crop, spacing_mm)
        drawn = self._drawn(distance_mm - self._displacement_mm(crop.shape, spacing_mm, rng)) <= 0
        drawn &= ~self._tips(crop, spacing_mm, rng)
        result = np.zeros_like(mask)
        result[window] = drawn if drawn.any() else crop
        return result

    def _displacement_mm(self, shape: tuple[int, ...], spacing_mm: Spacing, rng: np.random.Generator) -> Field:
        smooth = smooth_field(shape, spacing_mm, self.correlation_mm, rng)
        per_slice = rng.standard_normal(shape[2]).astype(np.float32)
        return self.outward_mm + self.amplitude_mm * smooth + self.slice_jitter_mm * per_slice

    def _with_teeth(self, distance_mm: Field, mask: Mask, spacing_mm: Spacing) -> Field:
        """Let the front of the body reach ``teeth_mm`` higher: the least distance of the voxels below."""
        n = round(self.teeth_mm / spacing_mm[2])
        if n == 0:
            return distance_mm
        y = np.flatnonzero(mask.any(axis=(0, 2)))
        front = int(y[-1] - ANTERIOR_SHARE * (y[-1] - y[0]))
        raised = distance_mm.copy()
        for k in range(1, n + 1):
            raised[:, front:, k:] = np.minimum(raised[:, front:, k:], distance_mm[:, front:, :-k])
        return raised

    def _tips(self, mask: Mask, spacing_mm: Spacing, rng: np.random.Generator) -> Mask:
        """Where nothing is drawn: the top of each side, cut at a height of its own."""
        tips = np.zeros_like(mask)
        if self.tips_cut_mm == 0:
            return tips
        middle = round(float(np.mean(np.flatnonzero(mask.any(axis=(1, 2))))))
        for side in (np.s_[: middle + 1], np.s_[middle + 1 :]):
            z = np.flatnonzero(mask[side].any(axis=(0, 1)))
            if z.size:
                cut_mm = min(self.tips_cut_mm * rng.uniform(0.5, 1.5), MAX_TIP_SHARE * z.size * spacing_mm[2])
                tips[side, :, z[-1] + 1 - round(cut_mm / spacing_mm[2]) :] = True
        return tips

    def _drawn(self, distance_mm: Field) -> Field:
        """Keep every n-th slice and interpolate the signed distance linearly between them."""
        n_slices = distance_mm.shape[2]
        drawn = np.unique(np.append(np.arange(0, n_slices, self.drawn_every), n_slices - 1))
        upper = np.clip(np.searchsorted(drawn, np.arange(n_slices)), 1, max(len(drawn) - 1, 1))
        if self.drawn_every == 1 or len(drawn) < 2:
            return distance_mm
        z0, z1 = drawn[upper - 1], drawn[upper]
        weight = ((np.arange(n_slices) - z0) / (z1 - z0)).astype(np.float32)
        interpolated: Field = distance_mm[:, :, z0] * (1 - weight) + distance_mm[:, :, z1] * weight
        return interpolated


@dataclass(frozen=True)
class Recorded:
    """The noisy label is the one in the manifest's column ``noisy``."""

    def annotator(self, case: Case) -> str:
        """Who drew the noisy label, as the manifest says."""
        return case.annotator

    def available(self, case: Case) -> bool:
        """Whether the case has a noisy label."""
        return case.noisy is not None

    def draw(self, case: Case, reference: Mask | None, recorded: Mask | None, spacing_mm: Spacing) -> Mask:
        """The recorded noisy label, on RAS+ axes.

        Raises:
            UserError: The case has none.
        """
        if recorded is None:
            raise UserError(f"case {case.case_id}: no noisy label in the manifest, which noise=recorded needs")
        return recorded


@dataclass(frozen=True)
class PlanningPanel:
    """A panel of simulated dosimetrists, each with a style of planning contour of their own.

    The noisy label of a case depends on (seed, case_id, annotator, severity) alone.

    Args:
        size: Number of annotators (twelve in the study of Yu et al. 2020); cases without a recorded annotator are
            dealt out among them.
        seed: Seed of the styles and of the errors.
        severity: Factor on every error in mm; 0 is the reference itself.
    """

    size: int = 12
    seed: int = 0
    severity: float = 1.0

    def annotator(self, case: Case) -> str:
        """The recorded annotator, or one of the panel, drawn from (seed, case_id)."""
        if case.annotator:
            return case.annotator
        return f"dosimetrist_{1 + self._rng('annotator', case.case_id).integers(self.size):02d}"

    def available(self, case: Case) -> bool:
        """Whether the case has a reference to draw from."""
        return case.reference is not None

    def style(self, annotator: str) -> PlanningContour:
        """An annotator's habits; their spread puts the panel at a Dice of 0.80 to 0.90 to the reference."""
        rng = self._rng("style", annotator)
        s = self.severity
        return PlanningContour(
            outward_mm=s * rng.uniform(0.2, 1.8),
            amplitude_mm=s * rng.uniform(0.3, 1.0),
            correlation_mm=rng.uniform(8, 20),
            slice_jitter_mm=s * rng.uniform(0.1, 0.5),
            drawn_every=int(rng.integers(1, 4)) if s > 0 else 1,
            teeth_mm=s * float(rng.choice([0.0, 0.0, 3.0, 6.0])),
            tips_cut_mm=s * float(rng.choice([0.0, 4.0, 8.0, 12.0])),
        )

    def draw(self, case: Case, reference: Mask | None, recorded: Mask | None, spacing_mm: Spacing) -> Mask:
        """Simulate the noisy label of a case from its reference, both on RAS+ axes.

        Raises:
            UserError: The case has no reference, or an empty one.
        """
        if reference is None or not reference.any():
            raise UserError(f"case {case.case_id}: no reference contour to simulate a noisy one from")
        annotator = self.annotator(case)
        return self.style(annotator)(reference, spacing_mm, self._rng("draw", case.case_id, annotator))

    def _rng(self, *words: str) -> np.random.Generator:
        digest = hashlib.sha256("/".join([str(self.seed), *words]).encode()).digest()
        return np.random.default_rng(list(digest))


def signed_distance_mm(mask: Mask, spacing_mm: Spacing) -> Field:
    """Distance of each voxel centre to the mask's boundary, in mm, negative inside; its sign gives the mask back.

    Taken on a finer grid through the voxel centres, on which the mask is interpolated linearly, so that a boundary
    moves by less than a voxel of a coarse scan.
    """
    # odd factors: no point of the finer grid lies halfway between two voxels, where the mask would be undecided
    factors = [2 * int(np.ceil((s / FINE_MM - 1) / 2)) + 1 if s > FINE_MM else 1 for s in spacing_mm]
    fine = mask.astype(np.float32)
    for axis, factor in enumerate(factors):
        fine = _refine(fine, factor, axis)
    fine_spacing = [s / f for s, f in zip(spacing_mm, factors, strict=True)]
    inside = fine >= 0.5
    half = 0.5 * min(fine_spacing)
    outer = (
        ndimage.distance_transform_edt(~inside, sampling=fine_spacing) if inside.any() else np.full(fine.shape, np.inf)
    )
    inner = ndimage.distance_transform_edt(inside, sampling=fine_spacing)
    distance = np.where(inside, half - inner, outer - half)
    return np.asarray(distance[tuple(slice(None, None, f) for f in factors)], dtype=np.float32)


def smooth_field(shape: tuple[int, ...], spacing_mm: Spacing, correlation_mm: float, rng: np.random.Generator) -> Field:
    """Draw a Gaussian random field with mean 0, standard deviation 1 and a correlation length in mm."""
    sigma = [correlation_mm / 2 / s for s in spacing_mm]
    field = ndimage.gaussian_filter(rng.standard_normal(shape).astype(np.float32), sigma, mode="wrap", truncate=3)
    field -= field.mean()
    return np.asarray(field / max(float(field.std()), 1e-6), dtype=np.float32)


def _refine(values: Field, factor: int, axis: int) -> Field:
    """Insert ``factor - 1`` linearly interpolated planes between each two neighbours along an axis."""
    n = values.shape[axis]
    if factor == 1 or n == 1:
        return values
    position = np.arange((n - 1) * factor + 1) / factor
    low = np.minimum(position.astype(int), n - 2)
    weight = np.expand_dims((position - low).astype(np.float32), [a for a in range(3) if a != axis])
    refined: Field = np.take(values, low, axis) * (1 - weight) + np.take(values, low + 1, axis) * weight
    return refined


def _window(mask: Mask, spacing_mm: Spacing) -> tuple[slice, ...]:
    """The mask's bounding box with a margin, inside the grid."""
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    margins = [int(np.ceil(CROP_MARGIN_MM / s)) for s in spacing_mm]
    return tuple(
        slice(max(b.start - m, 0), min(b.stop + m, n)) for b, m, n in zip(box, margins, mask.shape, strict=True)
    )
