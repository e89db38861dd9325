"""The label plan: the label of each training case. The first plan of a run is nested and stratified."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from mandseg.data.cache import PreparedCase
from mandseg.data.case import Case
from mandseg.noise import NoiseSource, Panel
from mandseg.system.errors import UserError
from mandseg.system.files import csv_text, write_text

STREAM = 0x6E6F6973  # of the noise, independent of the stream of the training seed


@dataclass(frozen=True)
class Label:
    """The label of a training case.

    Args:
        kind: ``reference`` and ``noisy`` are labels of the prepared case; ``corrected`` is in a file.
        annotator: The annotator of the case's noisy label, whatever the kind; empty if unknown.
        trusted: Whether a method may assume that the label is correct.
        file: A corrected label: .npy, (X, Y, Z), 0 or 1, on the prepared grid.
    """

    kind: Literal["reference", "noisy", "corrected"]
    annotator: str
    trusted: bool = False
    file: Path | None = None


@dataclass(frozen=True)
class LabelPlan:
    """The label of every training case.

    Args:
        labels: case_id -> label, in manifest order.
        order: case_ids in the order in which they become noisy as the ratio grows.
    """

    labels: Mapping[str, Label]
    order: Sequence[str]

    @cached_property
    def noisy(self) -> frozenset[str]:
        """The cases with their noisy label."""
        return frozenset(case_id for case_id, label in self.labels.items() if label.kind == "noisy")

    @property
    def trusted(self) -> tuple[str, ...]:
        """The cases with a trusted label."""
        return tuple(case_id for case_id, label in self.labels.items() if label.trusted)

    def label_of(self, prepared: PreparedCase) -> npt.NDArray[np.uint8]:
        """Give the label of a case, (X, Y, Z), on its prepared grid.

        Raises:
            UserError: The case lacks this label, or its corrected label is on another grid.
        """
        case_id = prepared.case.case_id
        label = self.labels[case_id]
        if label.file is not None:
            return _corrected(label.file, case_id, prepared.image.shape)
        array = prepared.noisy if label.kind == "noisy" else prepared.reference
        if array is None:
            raise UserError(f"case {case_id}: the noise plan needs a {label.kind} label, but the case has none")
        return array

    def replaced(self, corrected: Mapping[str, Path]) -> "LabelPlan":
        """Replace the labels of some cases by corrected ones; ``trusted`` is unchanged.

        Args:
            corrected: case_id -> file of the corrected label, on the prepared grid.

        Raises:
            UserError: A case is not in the plan.
        """
        if unknown := sorted(set(corrected) - set(self.labels)):
            raise UserError(f"case {unknown[0]}: has a corrected label, but is not in the label plan")
        new = {c: replace(self.labels[c], kind="corrected", file=file) for c, file in corrected.items()}
        return replace(self, labels={case_id: new.get(case_id, label) for case_id, label in self.labels.items()})

    def only(self, cases: Iterable[str]) -> "LabelPlan":
        """Keep some cases, in the order of the plan."""
        kept = frozenset(cases)
        labels = {case_id: label for case_id, label in self.labels.items() if case_id in kept}
        return LabelPlan(labels, tuple(case_id for case_id in self.order if case_id in kept))

    def to_csv(self) -> str:
        """Format the plan as CSV: case_id, annotator, label (reference, noisy or corrected).

        Where a case is trusted there is a column ``trusted``, 1 or 0. Without it the digest of earlier plans stays.
        """
        columns = ["case_id", "annotator", "label", *(["trusted"] if self.trusted else [])]
        rows = [[case_id, x.annotator, x.kind, str(int(x.trusted))] for case_id, x in self.labels.items()]
        return csv_text(columns, [row[: len(columns)] for row in rows])

    @cached_property
    def digest(self) -> str:
        """A short hash of the plan: equal digests mean equal labels and equal trust.

        It covers the table, the trusted cases and the content of the corrected labels.
        """
        text = self.to_csv()
        text += "".join(f"trusted,{case_id}\n" for case_id in self.trusted)
        for case_id, label in self.labels.items():
            if label.file is not None:
                text += f"corrected,{case_id},{hashlib.sha256(np.load(label.file).tobytes()).hexdigest()}\n"
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def write(self, path: Path) -> None:
        """Write noise_plan.csv completely or not at all."""
        write_text(path, self.to_csv())


def plan_noise(annotators: Mapping[str, str], ratio: float, seed: int) -> LabelPlan:
    """Choose ``round(ratio * n)`` of the n training cases for the noisy label.

    For one seed, the noisy cases at a ratio are also noisy at every larger ratio. The share of each annotator among the
    noisy cases is close to the share among all cases.

    Args:
        annotators: case_id -> annotator, for every training case.
        ratio: Share of noisy cases, in [0, 1].
        seed: Seed of the draw.
    """
    order = noisy_order(annotators, seed)
    noisy = frozenset(order[: round(ratio * len(order))])
    labels = {c: Label("noisy" if c in noisy else "reference", annotator) for c, annotator in annotators.items()}
    return LabelPlan(labels, order)


def cases_of_annotators(
    cases: Sequence[Case], noise: NoiseSource, annotators: Sequence[str] | None, leave_out: str | None
) -> tuple[Case, ...]:
    """Keep the cases whose noisy label is by the listed annotators, or by all but one.

    Raises:
        UserError: No annotator has this name, or no case is left.
    """
    drawn_by = {case.case_id: noise.annotator(case) for case in cases}
    known = set(drawn_by.values()) | set(noise.names if isinstance(noise, Panel) else ())
    for parameter, names in (("annotators", annotators or ()), ("leave_out", [leave_out] if leave_out else [])):
        if unknown := sorted(set(names) - known):
            raise UserError(
                f"noise.{parameter}: no annotator is called {unknown[0]!r}, "
                f"the names are {', '.join(sorted(known - {''}))}"
            )
    kept = [name for name in known if name != leave_out and (annotators is None or name in annotators)]
    chosen = tuple(case for case in cases if drawn_by[case.case_id] in kept)
    if not chosen:
        raise UserError(
            f"noise.annotators={annotators}, noise.leave_out={leave_out}: no training case is left of {len(cases)}"
        )
    return chosen


def noisy_order(annotators: Mapping[str, str], seed: int, stream: int = STREAM) -> tuple[str, ...]:
    """Order the cases so that every prefix has nearly the same shares of annotators as all cases.

    The cases of each annotator are shuffled and get evenly spaced positions in (0, 1) from a random start. All cases
    are sorted by position.

    Args:
        annotators: case_id -> annotator.
        seed: Seed of the draw.
        stream: Draws with different numbers are independent.
    """
    rng = np.random.default_rng([seed, stream])
    by_annotator: dict[str, list[str]] = defaultdict(list)
    for case_id in sorted(annotators):
        by_annotator[annotators[case_id]].append(case_id)
    position: dict[str, float] = {}
    for annotator in sorted(by_annotator):
        cases = rng.permutation(by_annotator[annotator])
        start = rng.uniform()
        position.update({str(case_id): (k + start) / len(cases) for k, case_id in enumerate(cases)})
    return tuple(sorted(position, key=lambda case_id: (position[case_id], case_id)))


def _corrected(file: Path, case_id: str, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    label = np.asarray(np.load(file, mmap_mode="r"))
    if label.shape != shape:
        raise UserError(f"case {case_id}: shape {label.shape} of the corrected label {file} differs from {shape}")
    return label
