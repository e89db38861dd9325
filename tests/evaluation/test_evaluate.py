"""Every case is scored once and listed under each data set it belongs to; two readers of one CT are two cases."""

from dataclasses import dataclass
from pathlib import Path

from mandseg.data.case import Case
from mandseg.evaluation.evaluate import describe, evaluate, key_of, unique_cases

CT = Path("ct.nii.gz")


def case(case_id, reference, image=CT, **groups):
    return Case(case_id, case_id, "test", image, Path(reference), None, "", groups)


@dataclass
class Prepared:
    """What an evaluator needs of a prepared case here: the case."""

    case: Case


class Evaluator:
    """Scores a case by the length of its reference's name, and counts how often it is asked."""

    def __init__(self):
        self.asked = []

    def score_case(self, prepared):
        self.asked.append(prepared.case.case_id)
        return {"dice": len(prepared.case.reference.name), "outcome": "scored"}


def scored(sets):
    evaluator = Evaluator()
    prepared = {key_of(c): Prepared(c) for c in unique_cases(sets)}
    return evaluate(evaluator, sets, prepared, {"run": "r", "noise_ratio": 0.2}), evaluator


def test_a_case_in_two_data_sets_is_scored_once_and_listed_twice():
    one = case("a", "a_reference.nii.gz")
    table, evaluator = scored({"test": (one,), "fov500": (one,)})
    assert evaluator.asked == ["a"]
    assert table.dataset.tolist() == ["test", "fov500"]
    assert table.dice.tolist() == [18, 18]


def test_two_readers_of_one_ct_are_scored_against_their_own_reference():
    table, _ = scored({"oncologist": (case("a", "onc.nii.gz"),), "radiographer": (case("a", "radio.nii.gz"),)})
    assert dict(zip(table.dataset, table.dice, strict=True)) == {"oncologist": 10, "radiographer": 12}


def test_grouping_columns_travel_with_the_case():
    row = describe(case("a", "r.nii.gz", protocol="fov500", site=""))
    assert row == {"case_id": "a", "subject_id": "a", "split": "test", "group_protocol": "fov500"}
