"""A panel of simulated annotators with individual tendencies, and the assignment of cases to them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mandseg.data.case import Case
from mandseg.data.structure import structure_of
from mandseg.metrics.masks import Mask, Spacing
from mandseg.noise.calibration import Target
from mandseg.noise.modes.boundary import Margin
from mandseg.noise.modes.mode import Mode
from mandseg.noise.modes.scene import Hu
from mandseg.noise.profile import Profile
from mandseg.system.errors import UserError

RELIABILITY_SPREAD = 0.5  # standard deviation of ln of the case variation between annotators


@dataclass(frozen=True)
class Tendency:
    """A mode and its distribution over the annotators of a panel.

    Args:
        mode: The error at its median size.
        share: Share of annotators who make it.
        spread: Standard deviation of ln of its size between annotators.
    """

    mode: Mode
    share: float = 1.0
    spread: float = 0.3


@dataclass(frozen=True)
class Panel:
    """Annotators who draw the reference with individual errors.

    The noisy label of a case depends only on (seed, case_id, annotator) and these settings, not on the order of work,
    the noise ratio or the other cases.

    Args:
        tendencies: The errors, in the order in which they are made.
        size: Number of annotators (twelve in the study of Yu et al. 2020).
        role: Their names are ``<role>_01`` and so on.
        seed: Seed of the styles, of the assignment of cases, and of the errors.
        severity: Factor on every size; 0 gives the reference.
        bias_mm: Displacement of the boundary that all annotators share; positive is outward.
        bias_spread_mm: Its standard deviation between annotators.
        case_bias_mm: Its standard deviation between cases of one annotator.
        case_spread: Standard deviation of ln of the severity between cases of one annotator, on average.
        target_dice: Dice to the reference that every contour has, to within 0.005.
        target_hd95_mm: The same for HD95.
        annotators: The annotators who take part; None: all.
        leave_out: One annotator who does not take part.
    """

    tendencies: Sequence[Tendency]
    size: int = 12
    role: str = "annotator"
    seed: int = 0
    severity: float = 1.0
    bias_mm: float = 0.0
    bias_spread_mm: float = 0.0
    case_bias_mm: float = 0.0
    case_spread: float = 0.0
    target_dice: float | None = None
    target_hd95_mm: float | None = None
    annotators: Sequence[str] | None = None
    leave_out: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "tendencies", tuple(self.tendencies))
        if self.annotators is not None:
            object.__setattr__(self, "annotators", tuple(self.annotators))
        if self.severity < 0 or not np.isfinite(self.severity):
            raise UserError(f"noise.severity={self.severity}: expected a factor, 0 or more")
        if strange := [one for one in self.tendencies if not isinstance(one, Tendency)]:
            found = type(strange[0]).__name__
            raise UserError(f"noise.source.tendencies: expected objects of mandseg.noise.Tendency, found {found}")
        for name in ("bias_spread_mm", "case_bias_mm", "case_spread"):
            if not 0 <= getattr(self, name) < np.inf:
                raise UserError(f"noise.source.{name}={getattr(self, name)}: expected a number, 0 or more")
        if self.size < 1:
            raise UserError(f"noise.source.size={self.size}: expected at least one annotator")
        if self.target_dice is not None and self.target_hd95_mm is not None:
            raise UserError(
                f"noise.target_dice={self.target_dice} and noise.target_hd95_mm={self.target_hd95_mm}: give one"
            )
        _ = self._target  # refuses an impossible one now

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all annotators."""
        return tuple(f"{self.role}_{k:02d}" for k in range(1, self.size + 1))

    def annotator(self, case: Case) -> str:
        """The recorded annotator, otherwise one who takes part, drawn from (seed, case_id)."""
        if case.annotator:
            return case.annotator
        order = self._rng("annotator", case.case_id).permutation(self.size)
        names = [self.names[k] for k in order]
        wanted = names if self.annotators is None else [name for name in names if name in self.annotators]
        taking_part = [name for name in wanted if name != self.leave_out]
        return str((taking_part or names)[0])

    def available(self, case: Case) -> bool:
        """Whether the case has a reference."""
        return case.reference is not None

    def label_key(self, case: Case) -> str:
        """A text that determines the label together with the files of the case."""
        return repr((replace(self, size=1, annotators=None, leave_out=None), self.annotator(case), case.case_id))

    def style(self, annotator: str, case_bias_mm: float = 0.0) -> tuple[Mode, ...]:
        """The errors of an annotator at severity 1; ``case_bias_mm`` is added to the annotator's bias."""
        rng = self._rng("style", annotator)
        bias_mm = self.bias_mm + self.bias_spread_mm * rng.standard_normal() + case_bias_mm
        modes: list[Mode] = [Margin(float(bias_mm))]
        for tendency in self.tendencies:
            has, factor = rng.random() < tendency.share, np.exp(tendency.spread * rng.standard_normal())
            if has:
                modes.append(tendency.mode.scaled(float(factor)))
        return tuple(modes)

    def profile(self, case: Case) -> Profile:
        """The profile of a case: the style of its annotator at the severity of this case, or calibrated."""
        annotator = self.annotator(case)
        case_bias_mm = self.case_bias_mm * float(self._rng("bias", case.case_id, annotator).standard_normal())
        variation_factor = np.exp(RELIABILITY_SPREAD * self._rng("reliability", annotator).standard_normal())
        case_variation = (
            self.case_spread * variation_factor * self._rng("day", case.case_id, annotator).standard_normal()
        )
        return Profile(self.style(annotator, case_bias_mm), self.severity * float(np.exp(case_variation)), self._target)

    def draw(
        self,
        case: Case,
        reference: Mask | None,
        recorded: Mask | None,
        spacing_mm: Spacing,
        hu: Hu | None = None,
    ) -> Mask:
        """Simulate the noisy label of a case from its reference, both on RAS+ axes.

        Raises:
            UserError: The reference is missing or empty, a mode needs the CT, or the target cannot be reached.
        """
        if reference is None or not reference.any():
            raise UserError(f"case {case.case_id}: no reference contour for simulating a noisy one")
        self._refuse_other_structures(case)
        try:
            return self.profile(case)(reference, spacing_mm, self.stream(case), hu)
        except ValueError as error:
            raise UserError(f"case {case.case_id}: {error}") from error

    def stream(self, case: Case) -> np.random.Generator:
        """The random stream of the errors in a case."""
        return self._rng("draw", case.case_id, self.annotator(case))

    def _refuse_other_structures(self, case: Case) -> None:
        """Refuse modes that look for the parts of a mandible in another structure."""
        structure = structure_of(case)
        modes = [type(tendency.mode).__name__ for tendency in self.tendencies if tendency.mode.needs_mandible]
        if modes and not structure.is_mandible:
            text = f"the structure is {structure.name}, and {', '.join(modes)} of this noise need a mandible"
            raise UserError(f"case {case.case_id}: {text}; noise=margin and noise=expert work for any structure")

    @property
    def _target(self) -> Target | None:
        if self.target_dice is not None:
            return Target("dice", self.target_dice)
        return None if self.target_hd95_mm is None else Target("hd95_mm", self.target_hd95_mm)

    def _rng(self, *words: str) -> np.random.Generator:
        digest = hashlib.sha256("/".join([str(self.seed), *words]).encode()).digest()
        return np.random.default_rng(list(digest))
