"""Folds of a ranking: nobody is judged by a network that knows them, and each annotator is in every fold."""

import os
import signal
import sys
import threading
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandseg.data.case import Case
from mandseg.data.manifest import read_cohort, write_cohort
from mandseg.data.ranked.folds import LEFT_OUT, fold_of_cases, from_fold
from mandseg.data.sources import with_external
from mandseg.ranking.judges.fold_study import run_to_end, study_of, words
from mandseg.system.errors import UserError


def scans(cases_of_subjects, annotators="ab"):
    return [
        Case(f"s{s}c{c}", f"s{s}", "train", None, None, annotator=annotators[s % len(annotators)])
        for s, n in enumerate(cases_of_subjects)
        for c in range(n)
    ]


@given(st.lists(st.integers(1, 3), min_size=2, max_size=20), st.data())
def test_a_subject_is_in_one_fold_and_every_fold_has_a_case(counts, data):
    cases, k = scans(counts), data.draw(st.integers(2, len(counts)))
    found = fold_of_cases(cases, k)
    assert set(found.values()) == set(range(k))
    for case in cases:
        assert {found[other.case_id] for other in cases if other.subject_id == case.subject_id} == {found[case.case_id]}
    assert fold_of_cases(cases[::-1], k) == found


def test_an_annotator_is_spread_over_the_folds():
    cases = scans([1] * 12, annotators="aabb")
    found = fold_of_cases(cases, 3)
    assert Counter((case.annotator, found[case.case_id]) for case in cases) == {
        (name, fold): 2 for name in "ab" for fold in range(3)
    }


@pytest.mark.parametrize("folds", [0, 1, 4])
def test_folds_that_do_not_fit_are_refused(folds):
    with pytest.raises(UserError, match=f"^{folds} folds? of 3 subjects: expected 2 or more, and a subject for each$"):
        fold_of_cases(scans([2, 1, 1]), folds)


@pytest.fixture
def cohort(make_case, bone, tmp_path):
    """Six cases; only ``f`` has a reference, and it is trusted."""
    cases = [replace(make_case(c, noisy=np.roll(bone, 1, 2)), reference=None) for c in "abcde"]
    write_cohort(tmp_path / "cohort", [*cases, replace(make_case("f"), groups={"trusted": "1"})])
    return tmp_path / "cohort"


@pytest.mark.parametrize("folds", [2, 3, 6])
def test_a_network_is_trained_without_its_fold_on_the_labels_that_are_ranked(cohort, folds):
    cases = {case.case_id: case for case in read_cohort(cohort).cases}
    numbers = fold_of_cases(list(cases.values()), folds)
    for fold in range(folds):
        sources = with_external(from_fold(str(cohort), folds, fold), {})
        training = sources.training.split("train")
        assert all(numbers[case.case_id] != fold for case in training)
        assert len(training) == 5 - sum(n == fold for n in numbers.values()) + (folds < 6)
        for case in training:
            assert case.reference == (cases[case.case_id].noisy or cases[case.case_id].reference)
            assert case.noisy is None
        assert len(sources.training.split("val")) == len(sources.evaluation[LEFT_OUT]) == 1


def test_two_subjects_leave_no_case_for_a_training(cohort):
    write_cohort(cohort, read_cohort(cohort).cases[:2])
    with pytest.raises(UserError, match="no case is left for the training"):
        from_fold(str(cohort), 2, 0)


def test_the_command_of_the_training_covers_every_fold_and_seed(cohort):
    found = words(read_cohort(cohort), 3, 2, ["steps=9"])
    assert {"data.fold=0,1,2", "seed=0,1", "steps=9", f"data.manifest={cohort}/manifest.csv"} <= set(found)
    assert not [word for word in found if word.startswith("structure=")]
    parotids = [replace(case, groups={"structure": "Parotid_L"}) for case in read_cohort(cohort).cases]
    found = words(write_cohort(cohort, parotids), 3, 2, [])
    assert [word for word in found if word.startswith("structure=")] == ["structure=Parotid_L"]
    assert "dynamics=5" in found
    assert [word for word in words(read_cohort(cohort), 3, 2, ["dynamics=0"]) if "dynamics" in word] == ["dynamics=0"]


def test_networks_of_other_settings_are_in_another_study(cohort):
    found = read_cohort(cohort)
    names = [
        study_of(found, 3, settings).name for settings in ([], ["dynamics=0", "trainer=gpu"], ["steps=9"], ["steps=8"])
    ]
    assert names[0] == names[1] == "cohort-folds3"
    assert len(set(names)) == 3
    assert study_of(found, 2, []).name == "cohort-folds2"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_ranking_lets_its_training_save_its_state(tmp_path, signum):
    """The training is a stand-in that ends with 75 at SIGINT, as a run does; it signals its parent when it is ready."""
    code = (
        "import os, pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(75))\n"
        f"pathlib.Path({str(tmp_path / 'ready')!r}).touch()\n"
        "time.sleep(60)\n"
    )

    def stop():
        while not (tmp_path / "ready").exists():
            threading.Event().wait(0.05)
        os.kill(os.getpid(), signum)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores SIGINT
    try:
        threading.Thread(target=stop, daemon=True).start()
        assert run_to_end([sys.executable, "-c", code]) == 75
    finally:
        signal.signal(signal.SIGINT, before)
