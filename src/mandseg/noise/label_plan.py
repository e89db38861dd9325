"""The label plan: which label each training case is trained on. Nested and stratified at its start, hashed always."""

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


@dataclass(frozen=True)
class Label:
    """The label that a case is trained on.

    Args:
        kind: ``reference`` and ``noisy`` are the prepared case's own; ``corrected`` lies in a file.
        annotator: Who drew the case's noisy label, whichever label it is trained on; empty if nobody is named.
        trusted: Whether a method may take the label for right.
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
        order: case_ids in the order in which cases come to carry noise as the ratio grows.
    """

    labels: Mapping[str, Label]
    order: Sequence[str]

    @cached_property
    def noisy(self) -> frozenset[str]:
        """The cases that are trained on their noisy label."""
        return frozenset(case_id for case_id, label in self.labels.items() if label.kind == "noisy")

    @property
    def trusted(self) -> tuple[str, ...]:
        """The cases whose label is vouched for."""
        return tuple(case_id for case_id, label in self.labels.items() if label.trusted)

    def label_of(self, prepared: PreparedCase) -> npt.NDArray[np.uint8]:
        """The label that a case is trained on, (X, Y, Z), on its prepared grid.

        Raises:
            UserError: The case has no such label, or its corrected label lies on another grid.
        """
        case_id = prepared.case.case_id
        label = self.labels[case_id]
        if label.file is not None:
            return _corrected(label.file, case_id, prepared.image.shape)
        array = prepared.noisy if label.kind == "noisy" else prepared.reference
        if array is None:
            raise UserError(f"case {case_id}: the noise plan asks for a {label.kind} label, and it has none")
        return array

    def replaced(self, corrected: Mapping[str, Path]) -> "LabelPlan":
        """The plan with corrected labels in the place of some cases' own; what was trusted stays so.

        Args:
            corrected: case_id -> file of the corrected label, on the prepared grid.

        Raises:
            UserError: A case is not in the plan.
        """
        if unknown := sorted(set(corrected) - set(self.labels)):
            raise UserError(f"case {unknown[0]}: a corrected label, and the case is not in the label plan")
        new = {c: replace(self.labels[c], kind="corrected", file=file) for c, file in corrected.items()}
        return replace(self, labels={case_id: new.get(case_id, label) for case_id, label in self.labels.items()})

    def only(self, cases: Iterable[str]) -> "LabelPlan":
        """The plan of some of its cases, in the plan's own order."""
        kept = frozenset(cases)
        labels = {case_id: label for case_id, label in self.labels.items() if case_id in kept}
        return LabelPlan(labels, tuple(case_id for case_id in self.order if case_id in kept))

    def to_csv(self) -> str:
        """The plan as text: case_id, annotator, label (reference, noisy or corrected)."""
        rows = [[case_id, label.annotator, label.kind] for case_id, label in self.labels.items()]
        return csv_text(["case_id", "annotator", "label"], rows)

    @cached_property
    def digest(self) -> str:
        """A short hash of the plan: two trainings with the same one saw the same labels and trusted the same.

        It is the hash of the table, and where there are any of the trusted cases and the corrected labels' content.
        """
        text = self.to_csv()
        text += "".join(f"trusted,{case_id}\n" for case_id in self.trusted)
        for case_id, label in self.labels.items():
            if label.file is not None:
                text += f"corrected,{case_id},{hashlib.sha256(np.load(label.file).tobytes()).hexdigest()}\n"
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def write(self, path: Path) -> None:
        """Write noise_plan.csv, whole or not at all."""
        write_text(path, self.to_csv())


def plan_noise(annotators: Mapping[str, str], ratio: float, seed: int) -> LabelPlan:
    """Choose ``round(ratio * n)`` of the n training cases to carry the noisy label.

    For one seed the cases at a ratio are among those at every larger ratio, and each annotator has a share of the
    noisy cases near their share of all cases.

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
    """Keep the cases whose noisy label is by some annotators: those listed, or all but one.

    Raises:
        UserError: A name that no case and no panel has, or no case is left.
    """
    drawn_by = {case.case_id: noise.annotator(case) for case in cases}
    known = set(drawn_by.values()) | set(noise.names if isinstance(noise, Panel) else ())
    for parameter, names in (("annotators", annotators or ()), ("leave_out", [leave_out] if leave_out else [])):
        if unknown := sorted(set(names) - known):
            raise UserError(
                f"noise.{parameter}: nobody is called {unknown[0]!r}, there are {', '.join(sorted(known - {''}))}"
            )
    kept = [name for name in known if name != leave_out and (annotators is None or name in annotators)]
    chosen = tuple(case for case in cases if drawn_by[case.case_id] in kept)
    if not chosen:
        raise UserError(
            f"noise.annotators={annotators}, noise.leave_out={leave_out}: no training case is left of {len(cases)}"
        )
    return chosen


def noisy_order(annotators: Mapping[str, str], seed: int) -> tuple[str, ...]:
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
    return tuple(sorted(position, key=lambda case_id: (position[case_id], case_id)))


def _corrected(file: Path, case_id: str, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    label = np.asarray(np.load(file, mmap_mode="r"))
    if label.shape != shape:
        raise UserError(f"case {case_id}: shape {label.shape} of the corrected label {file} differs from {shape}")
    return label
