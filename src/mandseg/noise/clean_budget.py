"""Clean budget: a few training cases carry the reference and are trusted, as if a specialist had corrected them.

In: a noise plan, the size of the budget, and a ranking that decides which cases come first. Out: a plan. The cases of a
budget are also those of every larger budget of the same seed.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mandseg.data.cache import PreparedCase
from mandseg.data.case import Case
from mandseg.data.ranking_file import RANKINGS, read_ranking
from mandseg.noise.applied import measure
from mandseg.noise.label_plan import LabelPlan, noisy_order
from mandseg.system.errors import UserError
from mandseg.system.wording import count, some_of

STREAM = 0x636C65616E  # independent of the streams of the training seed and of the noise


def with_clean_budget(
    plan: LabelPlan, training: Sequence[PreparedCase], budget: float, ranking: str, seed: int
) -> LabelPlan:
    """Give the first cases of a ranking their reference, and trust them; the others keep their labels.

    Args:
        plan: The noise plan.
        training: The training cases; only those with a reference can be in the budget.
        budget: A number of cases, or a share of all training cases between 0 and 1.
        ranking: ``random``; ``stratified``: random, and every budget has the shares of the annotators among all cases;
            ``oracle``: the lowest Dice of the label to the reference first, unknown in practice; or a CSV file with the
            column ``case_id``, whose rows are in the order in which the cases should be corrected.
        seed: Seed of the draw.

    Raises:
        UserError: The budget is larger than the number of cases with a reference, or the file does not rank a case.
    """
    if budget == 0:
        return plan
    n = size_of(budget, [prepared.case for prepared in training])
    candidates = [prepared for prepared in training if prepared.case.reference is not None]
    chosen = order_of(ranking, plan, candidates, seed)[:n]
    clean = {case_id: replace(plan.labels[case_id], kind="reference", trusted=True, file=None) for case_id in chosen}
    labels = {case_id: clean.get(case_id, label) for case_id, label in plan.labels.items()}
    return replace(plan, labels=labels)


def size_of(budget: float, training: Sequence[Case]) -> int:
    """The number of cases in a budget.

    Raises:
        UserError: Fewer training cases have a reference.
    """
    n = int(budget) if isinstance(budget, int) else max(1, round(budget * len(training)))
    most = sum(case.reference is not None for case in training)
    if n > most:
        of_all = f"{some_of(most, len(training), 'training case', 'have')} a reference"
        raise UserError(f"clean_budget={budget}: {count(n, 'case')}, but {of_all}; expected at most {most}")
    return n


def refuse_budget(budget: float, ranking: str, training: Sequence[Case]) -> None:
    """Refuse a budget that the manifest shows to be too large, or a file that does not rank a case; no image is read.

    Raises:
        UserError: As :func:`with_clean_budget`.
    """
    if budget == 0:
        return
    size_of(budget, training)
    if ranking not in RANKINGS:
        _order_in_file(Path(ranking), [case.case_id for case in training if case.reference is not None])


def order_of(ranking: str, plan: LabelPlan, candidates: Sequence[PreparedCase], seed: int) -> Sequence[str]:
    """The case_ids of the candidates in the order in which they are corrected."""
    annotators = {prepared.case.case_id: prepared.annotator for prepared in candidates}
    if ranking == "random":
        drawn: list[str] = np.random.default_rng([seed, STREAM]).permutation(sorted(annotators)).tolist()
        return drawn
    if ranking == "stratified":
        return noisy_order(annotators, seed, STREAM)
    if ranking == "oracle":
        errors = _true_errors(plan, candidates)
        return sorted(errors, key=lambda case_id: (-errors[case_id], case_id))
    return _order_in_file(Path(ranking), annotators)


def _true_errors(plan: LabelPlan, candidates: Sequence[PreparedCase]) -> dict[str, float]:
    """1 - Dice of each case's label to its reference; 0 for a case that carries the reference."""
    errors = {}
    for prepared in candidates:
        is_noisy = plan.labels[prepared.case.case_id].kind == "noisy"
        errors[prepared.case.case_id] = 1 - measure(prepared).get("dice", 1.0) if is_noisy else 0.0
    return errors


def _order_in_file(file: Path, cases: Collection[str]) -> list[str]:
    ranked = [case_id for case_id in read_ranking(file) if case_id in cases]
    if absent := sorted(set(cases) - set(ranked)):
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        raise UserError(f"ranking={file}: does not rank the training case {absent[0]}{more}")
    return list(dict.fromkeys(ranked))
