"""Decoys: simulated labels set the threshold and teach the learned score, which never sees the case it judges."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bone_network import anatomy
from command import run
from mandseg.data.case import Case
from mandseg.data.manifest import read_cohort, write_cohort
from mandseg.data.volume import Volume, write_volume
from mandseg.noise import load_preset
from mandseg.ranking.decoys import decoy_cases, draw_decoys
from mandseg.ranking.rank import FLAGGED_FROM, Wish, rank_cohort
from mandseg.ranking.scores.learned import cross_fitted
from mandseg.system.errors import UserError


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Eight heads; the labels of ``a`` and ``e`` are drawn 4 mm too wide."""
    root = tmp_path_factory.mktemp("decoys") / "cohort"
    image, cases = anatomy(), []
    bone = np.asarray(image.array) == 900
    wide = np.asarray(bone)
    for axis, n in ((0, 3), (1, 4)):
        wide = wide | np.roll(wide, n, axis) | np.roll(wide, -n, axis)
    for case_id in "abcdefgh":
        files = {name: root / f"{case_id}_{name}.nii.gz" for name in ("image", "label")}
        write_volume(files["image"], image)
        label = wide if case_id in "ae" else bone
        write_volume(files["label"], Volume(label.astype(np.uint8), image.affine))
        cases.append(Case(case_id, "s", "train", files["image"], None, files["label"], "ann"))
    write_cohort(root, cases)
    return root


def test_a_decoy_is_the_label_with_simulated_noise_and_is_the_same_in_every_call(cohort):
    cases = read_cohort(cohort).cases[1:3]
    panel = load_preset("margin", bias_mm=2)
    first, second = (draw_decoys(cases, panel) for _ in range(2))
    assert [decoy.row["case_id"] for decoy in first] == ["b", "c"]
    assert [decoy.row for decoy in first] == [decoy.row for decoy in second]
    assert all(decoy.row["error"] > 0 for decoy in first)


def test_trusted_labels_make_decoys_if_there_are_five():
    cases = [Case(str(k), str(k), "train", None, "r", None, "", {"trusted": str(int(k < 5))}) for k in range(7)]
    chosen, words = decoy_cases(cases)
    assert [case.case_id for case in chosen] == list("01234")
    assert words == "Decoys are 5 trusted labels with simulated noise."
    chosen, words = decoy_cases(cases[1:])
    assert len(chosen) == 6
    assert "because 4 cases are trusted (5 are needed)" in words


def test_the_threshold_is_the_lower_quartile_of_the_decoys_and_wide_labels_are_flagged(cohort):
    whole = read_cohort(cohort)
    panel = load_preset("margin", bias_mm=1)
    found = rank_cohort(whole, whole.cases, Wish("outlier", panel, "margin"))
    flagged = found.open[found.open.flagged == 1]
    assert list(found.open.case_id[:2]) in (["a", "e"], ["e", "a"])
    assert set(flagged.case_id) == set(found.open.case_id[found.open.suspicion >= found.threshold])
    assert {"a", "e"} <= set(flagged.case_id)
    (check,) = found.checks
    assert check.name == "decoys"
    assert set(check.table.score) == {"outlier", "learned", "random"}
    assert FLAGGED_FROM == 0.25


def test_a_regression_finds_the_feature_that_errors_change_and_is_not_fitted_on_the_case_it_scores():
    rng = np.random.default_rng(0)
    n = 40
    error = np.concatenate([np.zeros(n), rng.uniform(0.05, 0.3, n)])
    features = np.column_stack([error * 10 + rng.normal(0, 0.2, 2 * n), rng.normal(size=2 * n), np.full(2 * n, np.nan)])
    cases = [f"c{k % n}" for k in range(2 * n)]
    found = cross_fitted(features, error, cases)
    assert np.corrcoef(found, error)[0, 1] > 0.9
    other = error.copy()
    other[[3, 3 + n]] = 9.0  # both labels of one case
    changed = cross_fitted(features, other, cases)
    assert changed[3] == pytest.approx(found[3])
    assert not np.allclose(changed, found)


def test_the_command_writes_the_check_and_refuses_unknown_noise(cohort, capsys, tmp_path):
    assert run("rank", cohort, "--by", "learned", "--pictures", "0", "--out", tmp_path / "x") == 2
    assert "--by learned: needs decoys; give --decoys planning" in capsys.readouterr().err
    assert run("rank", cohort, "--decoys", "nothing", "--pictures", "0", "--out", tmp_path / "x") == 2
    assert "noise preset 'nothing': expected one of" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
    assert run("rank", cohort, "--decoys", "margin", "--pictures", "0", "--out", tmp_path / "x") == 0
    assert set(pd.read_csv(tmp_path / "x" / "detection-decoys.csv").score) == {"outlier", "learned", "random"}
    assert "How well the scores work here" in (tmp_path / "x" / "index.html").read_text()


def test_references_of_cases_that_are_not_trusted_measure_the_scores(cohort, tmp_path):
    cases = read_cohort(cohort).cases
    both = [replace(case, reference=cases[1].noisy) for case in cases]
    write_cohort(tmp_path / "both", both)
    assert run("rank", tmp_path / "both", "--pictures", "0") == 0
    found = pd.read_csv(tmp_path / "both" / "ranking" / "detection-references.csv").set_index("score")
    assert found.n_wrong["outlier"] == 2
    assert found.auroc["outlier"] == 1


def test_noise_that_needs_a_mandible_draws_no_decoy_of_another_structure(cohort):
    cases = [replace(case, groups={"structure": "Parotid_L"}) for case in read_cohort(cohort).cases]
    expected = "no label can be drawn with simulated noise; case .*: the structure is Parotid_L"
    with pytest.raises(UserError, match=expected):
        draw_decoys(cases, load_preset("planning"), workers=1)
