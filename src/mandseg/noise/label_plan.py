"""The noise plan: which training cases carry the noisy label at a ratio and a seed. Nested, stratified, hashed."""

import csv
import hashlib
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mandseg.data.case import Case
from mandseg.noise import NoiseSource, Panel
from mandseg.system.errors import UserError
from mandseg.system.files import write_text


@dataclass(frozen=True)
class NoisePlan:
    """The training cases, in manifest order, with who drew their noisy label and which label they carry."""

    ratio: float
    seed: int
    annotators: Mapping[str, str]  # case_id -> annotator
    noisy: frozenset[str]  # case_ids

    def to_csv(self) -> str:
        """The plan as text: case_id, annotator, label (noisy or reference)."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["case_id", "annotator", "label"])
        for case_id, annotator in self.annotators.items():
            writer.writerow([case_id, annotator, "noisy" if case_id in self.noisy else "reference"])
        return text.getvalue()

    @property
    def digest(self) -> str:
        """A short hash of the plan: two runs with the same one trained on the same labels."""
        return hashlib.sha256(self.to_csv().encode()).hexdigest()[:12]

    def write(self, path: Path) -> None:
        """Write noise_plan.csv, whole or not at all."""
        write_text(path, self.to_csv())


def plan_noise(annotators: Mapping[str, str], ratio: float, seed: int) -> NoisePlan:
    """Choose ``round(ratio * n)`` of the n training cases to carry the noisy label.

    For one seed the cases at a ratio are among those at every larger ratio, and each annotator has a share of the
    noisy cases near their share of all cases.

    Args:
        annotators: case_id -> annotator, for every training case.
        ratio: Share of noisy cases, in [0, 1].
        seed: Seed of the draw.
    """
    order = noisy_order(annotators, seed)
    return NoisePlan(ratio, seed, dict(annotators), frozenset(order[: round(ratio * len(order))]))


def cases_by(
    cases: Sequence[Case], noise: NoiseSource, annotators: Sequence[str] | None, leave_out: str | None
) -> tuple[Case, ...]:
    """Keep the cases whose noisy label is by some annotators: those listed, or all but one.

    Raises:
        UserError: A name that no case and no panel has, or no case is left.
    """
    drawn_by = {case.case_id: noise.annotator(case) for case in cases}
    known = set(drawn_by.values()) | set(noise.names if isinstance(noise, Panel) else ())
    for knob, names in (("annotators", annotators or ()), ("leave_out", [leave_out] if leave_out else [])):
        if unknown := sorted(set(names) - known):
            raise UserError(
                f"noise.{knob}: nobody is called {unknown[0]!r}, there are {', '.join(sorted(known - {''}))}"
            )
    kept = [name for name in known if name != leave_out and (annotators is None or name in annotators)]
    chosen = tuple(case for case in cases if drawn_by[case.case_id] in kept)
    if not chosen:
        raise UserError(
            f"noise.annotators={annotators}, noise.leave_out={leave_out}: no training case is left of {len(cases)}"
        )
    return chosen


def noisy_order(annotators: Mapping[str, str], seed: int) -> Sequence[str]:
    """Order the cases so that every prefix is spread over the annotators as all cases are.

    Each annotator's cases are shuffled and spaced evenly over (0, 1) from a random start; all are sorted by that.
    """
    rng = np.random.default_rng([seed, 0x6E6F6973])  # a stream of its own, apart from the training seed's
    by_annotator: dict[str, list[str]] = defaultdict(list)
    for case_id in sorted(annotators):
        by_annotator[annotators[case_id]].append(case_id)
    position: dict[str, float] = {}
    for annotator in sorted(by_annotator):
        cases = rng.permutation(by_annotator[annotator])
        start = rng.uniform()
        position.update({str(case_id): (k + start) / len(cases) for k, case_id in enumerate(cases)})
    return sorted(position, key=lambda case_id: (position[case_id], case_id))
