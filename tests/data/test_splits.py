"""Folds: every case is left out once, with its subject, and the folds have one size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandseg.data.case import Case
from mandseg.data.splits import Splitting, fold_of_cases, split_cases
from mandseg.system.errors import UserError


def scans(cases_of_subjects):
    """Subject s0 with so many cases, s1 with so many, ..."""
    return [Case(f"s{s}c{c}", f"s{s}", "train", None, None) for s, n in enumerate(cases_of_subjects) for c in range(n)]


def ids(cases):
    return [case.case_id for case in cases]


def folds(cases, k, seed):
    """The cases for training and the held-out ones of each fold."""
    own = fold_of_cases(cases, k, seed)
    return [
        ([case for case in cases if own[case.case_id] != fold], [case for case in cases if own[case.case_id] == fold])
        for fold in range(k)
    ]


cohorts = st.lists(st.integers(1, 4), min_size=2, max_size=20)


@given(cohorts, st.data(), st.integers(0, 1000))
def test_every_case_is_left_out_once_and_never_trained_on_with_its_subject(counts, data, seed):
    cases = scans(counts)
    k = data.draw(st.integers(2, len(counts)))
    made = folds(cases, k, seed)
    assert sorted(case for _, out in made for case in ids(out)) == sorted(ids(cases))
    for training, left_out in made:
        assert left_out
        assert not {c.subject_id for c in training} & {c.subject_id for c in left_out}
        assert sorted(ids(training) + ids(left_out)) == sorted(ids(cases))


@given(cohorts, st.data(), st.integers(0, 1000))
def test_two_folds_differ_by_no_more_cases_than_the_largest_subject_has(counts, data, seed):
    k = data.draw(st.integers(2, len(counts)))
    sizes = [len(out) for _, out in folds(scans(counts), k, seed)]
    assert max(sizes) - min(sizes) <= max(counts)


def test_folds_of_eleven_single_cases_have_four_four_and_three():
    assert sorted(len(out) for _, out in folds(scans([1] * 11), 3, 0)) == [3, 4, 4]


def test_the_seed_decides_and_the_order_of_the_cases_does_not():
    cases = scans([1, 2, 1, 1, 3, 1])
    locked = [set(ids(out)) for _, out in folds(cases, 3, 1)]
    assert [set(ids(out)) for _, out in folds(cases[::-1], 3, 1)] == locked
    assert [set(ids(out)) for _, out in folds(cases, 3, 2)] != locked


@pytest.mark.parametrize("k", [1, 0, -2, 4, 2.0, True])
def test_an_impossible_number_of_folds_is_refused(k):
    with pytest.raises(UserError, match=f"^{k} folds? of 3 subjects"):
        fold_of_cases(scans([1, 2, 1]), k, 0)


def test_wishes_for_a_split_that_the_source_already_has_are_said_to_be_without_effect():
    note = "the source has splits, so --fractions and --split-seed are not applied"
    assert split_cases(scans([1, 1]), Splitting((0.5, 0.25, 0.25)))[1] == note
    assert split_cases(scans([1, 1]), Splitting(seed=3)) == (scans([1, 1]), note)
    assert split_cases(scans([1, 1]), Splitting())[1] == ""
