"""The clean budget: nested, seeded, of cases with a reference, in the order of a ranking."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mandseg.data.case import Case
from mandseg.data.ranking_file import RANKINGS
from mandseg.noise.applied import NUMBERS
from mandseg.noise.clean_budget import with_clean_budget
from mandseg.noise.label_plan import plan_noise
from mandseg.system.checksums import write_checksum
from mandseg.system.errors import UserError

N = 24
ANNOTATORS = {f"c{k:02d}": f"a{k % 4}" for k in range(N)}


def prepared(folder, case_id, reference=True):
    """A case whose noisy label has a Dice that falls with the last digit of the case."""
    number = int(case_id[1:])
    scores = dict.fromkeys(NUMBERS, 0.0) | {"dice": 0.9 - 0.01 * number}
    file = folder / f"{case_id}.applied.json"
    file.write_text(json.dumps(scores))
    write_checksum(file, f"{folder.name}/{file.name}")
    case = Case(case_id, case_id, "train", Path("x"), Path("y") if reference else None)
    mask = np.ones((2, 2, 2), np.uint8)
    labels = {"noisy_file": folder / f"{case_id}.npy", "noisy": mask, "reference": mask}
    return SimpleNamespace(case=case, annotator=ANNOTATORS[case_id], folder=folder, **labels)


@pytest.fixture
def training(tmp_path):
    return [prepared(tmp_path, case_id) for case_id in ANNOTATORS]


def planned(training, budget, ranking="random", seed=0, ratio=1.0):
    return with_clean_budget(plan_noise(ANNOTATORS, ratio, seed), training, budget, ranking, seed)


@pytest.mark.parametrize("ranking", RANKINGS)
def test_budgets_are_nested_and_have_so_many_trusted_references(training, ranking):
    plans = [planned(training, n, ranking, ratio=0.5) for n in (1, 5, 10, N)]
    assert [len(plan.trusted) for plan in plans] == [1, 5, 10, N]
    for small, large in pairwise(plans):
        assert set(small.trusted) < set(large.trusted)
    before = plan_noise(ANNOTATORS, 0.5, 0)
    for plan in plans:
        assert all(plan.labels[case].kind == "reference" for case in plan.trusted)
        assert plan.noisy == before.noisy - set(plan.trusted)  # the others as the noise plan gives
        assert plan.order == before.order


def test_a_share_is_a_number_of_cases_and_no_budget_changes_nothing(training):
    assert planned(training, 0.25).trusted == planned(training, 6).trusted
    assert len(planned(training, 0.001).trusted) == 1
    plan = plan_noise(ANNOTATORS, 0.5, 0)
    assert with_clean_budget(plan, training, 0, "random", 0) is plan
    assert with_clean_budget(plan, training, 0.0, "nonsense", 0) is plan


def test_the_seed_decides_which_cases_and_not_with_the_draw_of_the_noise(training):
    drawn = {planned(training, 6, seed=seed).trusted for seed in range(4)}
    assert len(drawn) == 4
    first_noisy = set(plan_noise(ANNOTATORS, 0.25, 0).noisy)
    assert set(planned(training, 6, "stratified").trusted) != first_noisy
    assert planned(training[::-1], 6).trusted == planned(training, 6).trusted


@pytest.mark.parametrize("seed", range(3))
def test_a_stratified_budget_has_cases_of_every_annotator(training, seed):
    assert Counter(ANNOTATORS[c] for c in planned(training, 8, "stratified", seed).trusted) == dict.fromkeys(
        ("a0", "a1", "a2", "a3"), 2
    )


def test_an_oracle_takes_the_worst_noisy_labels_first(training):
    assert set(planned(training, 3, "oracle").trusted) == {"c23", "c22", "c21"}
    half = plan_noise(ANNOTATORS, 0.5, 0).noisy
    assert set(planned(training, 3, "oracle", ratio=0.5).trusted) == set(sorted(half)[-3:])


def test_a_ranking_file_decides_by_the_order_of_its_rows(training, tmp_path):
    file = tmp_path / "ranking.csv"
    rows = ["c07", "t1", "c03", *(case for case in ANNOTATORS if case not in ("c07", "c03"))]
    file.write_text("rank,case_id\n" + "".join(f"{k},{case}\n" for k, case in enumerate(rows)))
    assert set(planned(training, 2, str(file)).trusted) == {"c07", "c03"}  # t1 is no training case
    file.write_text("case_id\nc07\n")
    with pytest.raises(UserError, match=r"ranking.csv: does not rank the training case c00 and 22 more"):
        planned(training, 2, str(file))
    file.write_text("case\nc07\n")
    with pytest.raises(UserError, match=r"ranking.csv: expected a CSV file with the column case_id"):
        planned(training, 2, str(file))
    file.write_text("case_id,subject_id,split,image,reference\nc07,c07,train,i,r\n")
    with pytest.raises(UserError, match=r"ranking.csv: is a manifest, which has no order"):
        planned(training, 2, str(file))
    with pytest.raises(
        UserError,
        match=r"ranking=rnadom: did you mean random\? Expected one of oracle, random, stratified, or a CSV file",
    ):
        planned(training, 2, "rnadom")


def test_only_cases_with_a_reference_can_be_corrected(tmp_path):
    training = [prepared(tmp_path, case_id, reference=case_id < "c03") for case_id in ANNOTATORS]
    assert planned(training, 3).trusted == ("c00", "c01", "c02")
    with pytest.raises(UserError, match="clean_budget=4: 4 cases, but 3 of 24 training cases have a reference"):
        planned(training, 4)


def test_a_budget_larger_than_the_training_set_is_refused(training):
    with pytest.raises(UserError, match=r"clean_budget=25: 25 cases, but 24 of 24 .* expected at most 24"):
        planned(training, 25)


def test_the_table_and_the_digest_tell_trusted_cases(training):
    plain, trusted = planned(training, 0), planned(training, 2)
    assert plain.to_csv().splitlines()[0] == "case_id,annotator,label"
    assert trusted.to_csv().splitlines()[0] == "case_id,annotator,label,trusted"
    assert sum(line.endswith("reference,1") for line in trusted.to_csv().splitlines()) == 2
    assert plain.digest != trusted.digest
