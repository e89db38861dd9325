"""The stages of a training. Each has a share of the steps, its own labels, and starts from new or former weights.

Each stage has its own folder of checkpoints. The labels that a stage makes are written as one complete folder, so a run
that is killed between two stages resumes exactly.
"""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, cast

import numpy as np

from mandseg.data.cache import PreparedCase
from mandseg.data.case import Case
from mandseg.data.splits import fold_of_cases
from mandseg.evaluation.predictor import Predictor
from mandseg.noise.label_plan import Label, LabelPlan
from mandseg.system.errors import UserError
from mandseg.system.files import atomic_folder, write_csv

RELABEL = "method.stages.relabel"  # group of the settings of a relabelling
TABLE = "labels.csv"
COLUMNS = ("case_id", "annotator", "label", "trusted", "file")


class Relabelling(Protocol):
    """Makes the labels of a stage from the labels and the network of the stage before."""

    def __call__(self, cases: Sequence[PreparedCase], plan: LabelPlan, predictor: Predictor, folder: Path) -> LabelPlan:
        """The new plan; corrected labels are written to ``folder`` as .npy files on the prepared grid.

        A relabelling with the attribute ``needs_network = False`` may belong to the first stage. There is no predictor
        then.

        Args:
            cases: All training cases.
            plan: The labels so far.
            predictor: The method's prediction at the end of the stage before. After stages with a ``fold``,
                ``predictor.of_case`` is the prediction of the network that was not trained on the case.
            folder: An empty folder. It gets its final name when this returns.
        """


@dataclass(frozen=True)
class Stage:
    """A part of a training.

    Args:
        name: The name of its folders: checkpoints/<name>, labels/<name>.
        share: Its share of the run's steps. The shares add up to 1; therefore methods are compared at equal cost.
        start: ``former``: from the weights at the end of the stage before; ``new``: from the run's initial weights.
        relabel: Makes its labels; None: the labels of the stage before.
        trusted_only: Whether it is trained on the trusted cases only.
        fold: ``[2, 3]``: trained without the second of three folds of the subjects, from new weights. The stages of all
            folds follow each other. None: trained on all cases.
    """

    name: str
    share: float
    start: Literal["new", "former"] = "former"
    relabel: Relabelling | None = None
    trusted_only: bool = False
    fold: Sequence[int] | None = None


@dataclass(frozen=True)
class Span:
    """The steps of a stage within the run.

    Args:
        first_step: Steps of the run before it.
        steps: Its own steps, at least one.
        steps_per_epoch: Steps between two validations; they divide its steps.
    """

    first_step: int
    steps: int
    steps_per_epoch: int


def check_stages(stages: Sequence[Stage]) -> None:
    """Refuse stages that cannot form a training.

    Raises:
        UserError: There is no stage; a name occurs twice or cannot be a folder; a share is not above 0, or the shares
            do not add up to 1; a start is not new or former; the first stage relabels with a network, but no network
            exists before it; folds are not complete, or continue a network that was trained on the cases.
    """
    names = [stage.name for stage in stages]
    if not stages or needs_network(stages[0]):
        raise UserError("method.stages: expected one stage or more, the first without relabel")
    for stage in stages:
        where = f"method.stages: stage {stage.name!r}"
        if not stage.name or not all(c.isalnum() or c in "-_" for c in stage.name) or names.count(stage.name) > 1:
            raise UserError(f"{where}: expected names of letters, digits, - and _, each once")
        if not stage.share > 0:
            raise UserError(f"{where}: share={stage.share}, expected more than 0")
        if stage.start not in ("new", "former"):
            raise UserError(f"{where}: start={stage.start}, expected new or former")
    _check_folds(stages)
    if not np.isclose(total := sum(stage.share for stage in stages), 1):
        raise UserError(f"method.stages: the shares add up to {total:g}, expected 1")


def needs_network(stage: Stage) -> bool:
    """Whether the labels of a stage are made with the network of the stage before."""
    return stage.relabel is not None and getattr(stage.relabel, "needs_network", True)


def _check_folds(stages: Sequence[Stage]) -> None:
    expected: list[list[int]] = []  # what has to follow
    for stage in stages:
        fold = list(stage.fold or [])
        where = f"method.stages: stage {stage.name!r}: fold={fold}"
        if fold and not expected:
            if len(fold) != 2 or fold[0] != 1 or fold[1] < 2:
                raise UserError(f"{where}, expected [1, 2], [1, 3], ...: the first of two folds or more")
            expected = [[k, fold[1]] for k in range(1, fold[1] + 1)]
        if expected and (fold != expected.pop(0) or stage.start != "new" or stage.relabel or stage.trusted_only):
            raise UserError(f"{where}: the stages of all folds follow each other, with start: new and nothing else")
    if expected:
        raise UserError(f"method.stages: the stage of the fold {expected[0]} is missing")


def spans(stages: Sequence[Stage], steps: int, validations: int) -> list[Span]:
    """Divide the steps and the validations of a run among its stages by their shares; a stage ends with a validation.

    Args:
        stages: The stages.
        steps: Steps of the run, which are the sum of the stages' steps.
        validations: Validations of the run; they divide the steps. If a stage's part of them does not divide its steps,
            the stage has fewer validations.

    Raises:
        UserError: The validations do not divide the steps, or a stage has no step.
    """
    for name, value in (("steps", steps), ("validations", validations)):
        if not isinstance(value, int) or value < 1:
            raise UserError(f"{name}={value}: expected a whole number, 1 or more")
    if steps % validations:
        raise UserError(f"steps={steps} cannot be divided evenly by validations={validations}")
    whole = np.cumsum([stage.share for stage in stages]) * steps
    ends = np.floor(whole + 0.5 + 1e-9).astype(int).tolist()  # a half upwards; rint to even loses stages
    found = []
    for stage, first, end in zip(stages, [0, *ends], ends, strict=False):
        if end == first:
            raise UserError(f"method.stages: stage {stage.name!r} has share={stage.share:g} of steps={steps}, no step")
        wanted = min(max(1, round(validations * stage.share)), end - first)
        some = next(n for n in range(wanted, 0, -1) if (end - first) % n == 0)
        found.append(Span(first, end - first, (end - first) // some))
    return found


def plan_of_stage(stage: Stage, plan: LabelPlan, cases: Sequence[Case], seed: int) -> LabelPlan:
    """The part of a plan that a stage is trained on.

    Args:
        stage: The stage.
        plan: The labels of all training cases.
        cases: The training cases, for folds.
        seed: Seed of the folds.

    Raises:
        UserError: The stage needs trusted cases, and there are none; or there are more folds than subjects.
    """
    if stage.fold:
        try:
            own = fold_of_cases(cases, stage.fold[1], seed)
        except UserError as error:
            raise UserError(f"stage {stage.name}: {error.problems[0]}") from error
        return plan.only(case_id for case_id in plan.labels if own[case_id] != stage.fold[0] - 1)
    if not stage.trusted_only:
        return plan
    if not plan.trusted:
        raise UserError(
            f"stage {stage.name}: trained on trusted cases only, and the label plan has none; clean_budget=10 makes ten"
        )
    return plan.only(plan.trusted)


def relabel_stage(
    stage: Stage,
    cases: Sequence[PreparedCase],
    plan: LabelPlan,
    predictor: Predictor | None,
    folder: Path,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Make the labels of a stage: a folder with the corrected labels and their table, written completely or not at all.

    Args:
        stage: The stage, with its relabelling.
        cases: All training cases.
        plan: The labels of the stage before.
        predictor: The method's prediction at the end of the stage before; None if the stage needs no network.
        folder: The folder for the labels.
        check: Called before the folder gets its name; raises if another process took the run.
    """
    if stage.relabel is None:
        raise ValueError(f"stage {stage.name} makes no labels")
    with atomic_folder(folder) as part:
        relabel = cast(Callable[..., LabelPlan], stage.relabel)  # with a predictor wherever it needs one
        write_plan(relabel(cases, plan, predictor, part), part)
        check()


def write_plan(plan: LabelPlan, folder: Path) -> None:
    """Write a plan beside the corrected labels that it names.

    Raises:
        ValueError: A corrected label lies elsewhere.
    """
    rows = []
    for case_id, label in plan.labels.items():
        if label.file is not None and label.file.parent != folder:
            raise ValueError(f"case {case_id}: the corrected label {label.file} does not lie in {folder}")
        name = label.file.name if label.file else ""
        rows.append([case_id, label.annotator, label.kind, str(int(label.trusted)), name])
    write_csv(folder / TABLE, COLUMNS, rows)


def read_plan(folder: Path, order: Sequence[str]) -> LabelPlan:
    """Read a plan with the corrected labels beside it.

    Args:
        folder: The folder of ``write_plan``.
        order: The order of the plan before the correction.
    """
    with (folder / TABLE).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    labels = {row["case_id"]: _label(row, folder) for row in rows}
    return LabelPlan(labels, tuple(case_id for case_id in order if case_id in labels))


def _label(row: dict[str, str], folder: Path) -> Label:
    kind = row["label"]
    if kind not in ("reference", "noisy", "corrected"):
        raise UserError(f"{folder / TABLE}: case {row['case_id']}: unknown label {kind!r}")
    file = folder / row["file"] if row["file"] else None
    return Label(kind, row["annotator"], row["trusted"] == "1", file)  # type: ignore[arg-type]
