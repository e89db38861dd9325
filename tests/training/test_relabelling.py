"""Makers of labels: by the annotator's bias in mm, by the network, by confident learning out of fold."""

import csv
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage

from mandseg.data.case import Case
from mandseg.noise.label_plan import Label, LabelPlan
from mandseg.system.errors import UserError
from mandseg.training.relabelling.annotator_bias import AnnotatorBias, bias_of, moved_inward
from mandseg.training.relabelling.confident_learning import ConfidentLearning, mislabelled
from mandseg.training.relabelling.network_labels import NetworkLabels

SPACING = (1.0, 1.0, 1.0)


def ball(radius, side=28):
    axis = np.arange(side) - (side - 1) / 2
    return (np.add.outer(np.add.outer(axis**2, axis**2), axis**2) ** 0.5 <= radius).astype(np.uint8)


def radius(mask):
    """Of the ball with this volume."""
    return (int(np.count_nonzero(mask)) * 3 / 4 / np.pi) ** (1 / 3)


def prepared(case_id, annotator="a", reference=None, noisy=None):
    case = Case(case_id, case_id, "train", Path("x"), Path("y"))
    grid = SimpleNamespace(spacing_mm=SPACING)
    image = np.zeros((28, 28, 28), np.int16)
    return SimpleNamespace(case=case, annotator=annotator, reference=reference, noisy=noisy, grid=grid, image=image)


def plan_of(cases, trusted=()):
    kinds = {p.case.case_id: "reference" if p.case.case_id in trusted else "noisy" for p in cases}
    labels = {p.case.case_id: Label(kinds[p.case.case_id], p.annotator, p.case.case_id in trusted) for p in cases}
    return LabelPlan(labels, tuple(labels))


@pytest.mark.parametrize("bias_mm", [-2.0, 1.0, 2.5])
def test_the_bias_of_a_ball_is_the_difference_of_the_radii_and_moving_it_back_gives_the_ball(bias_mm):
    wide = ball(9 + bias_mm)
    assert bias_of(wide > 0, ball(9) > 0, SPACING) == pytest.approx(bias_mm, abs=0.25)
    assert radius(moved_inward(wide, bias_mm, SPACING)) == pytest.approx(radius(ball(9)), abs=0.45)


def test_a_missing_piece_is_no_bias():
    cut = ball(9)
    cut[:, :, 19:] = 0
    assert bias_of(cut > 0, ball(9) > 0, SPACING) == pytest.approx(0, abs=0.25)


@pytest.fixture
def drawn():
    """``wide`` draws 2 mm too wide, ``right`` is right; four trusted cases of each, and one of each that is not."""
    radius = {"wide": 11, "right": 9}
    trusted = [prepared(f"{a}{k}", a, ball(9), ball(radius[a] + 0.2 * (k % 2))) for a in radius for k in range(4)]
    others = [prepared(f"{a}-own", a, ball(9), ball(radius[a])) for a in radius]
    return [*trusted, *others], tuple(p.case.case_id for p in trusted)


def test_the_labels_of_a_biased_annotator_are_moved_and_no_others(drawn, tmp_path):
    cases, trusted = drawn
    plan = AnnotatorBias()(cases, plan_of(cases, trusted), None, tmp_path)
    assert {case for case, label in plan.labels.items() if label.kind == "corrected"} == {"wide-own"}
    assert radius(np.load(tmp_path / "wide-own.npy")) == pytest.approx(radius(ball(9)), abs=0.45)
    rows = {row["annotator"]: row for row in csv.DictReader((tmp_path / "annotator_bias.csv").read_text().splitlines())}
    assert (rows["wide"]["moved"], rows["right"]["moved"]) == ("1", "0")
    assert float(rows["wide"]["bias_mm"]) == pytest.approx(2, abs=0.3)


def test_the_bias_is_measured_on_trusted_cases_only(drawn, tmp_path):
    """The other cases have references, too; measured on them, ``right`` would draw 5 mm too wide."""
    cases, trusted = drawn
    far = [prepared(f"far{k}", "right", ball(5), ball(10)) for k in range(4)]
    table = tmp_path / "annotator_bias.csv"
    AnnotatorBias()(cases, plan_of(cases, trusted), None, tmp_path)
    plain = table.read_text()
    new = AnnotatorBias()([*cases, *far], plan_of([*cases, *far], trusted), None, tmp_path)
    assert table.read_text() == plain
    assert {row["n_cases"] for row in csv.DictReader(plain.splitlines())} == {"4"}
    assert {case for case, label in new.labels.items() if label.kind == "corrected"} == {"wide-own"}


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_trusted_pairs_are_one_line(drawn, tmp_path, n):
    cases, trusted = drawn
    with pytest.raises(UserError, match=f"bias correction: {n} trusted training cases .* clean_budget=10"):
        AnnotatorBias()(cases, plan_of(cases, trusted[:n]), None, tmp_path)


def test_a_network_replaces_a_label_only_where_it_is_sure_and_the_label_is_not_trusted(tmp_path):
    p = np.full((28, 28, 28), 0.5)
    p[0], p[1], p[2] = 0.95, 0.05, 0.7
    cases = [prepared("x", noisy=ball(9)), prepared("y", reference=ball(9))]
    plan = plan_of(cases, ("y",))

    stub = SimpleNamespace(of_case=lambda _: p)
    cases[0].noisy = np.zeros((28, 28, 28), np.uint8)
    cases[0].noisy[1:3] = 1
    new = NetworkLabels(0.8)(cases, plan, stub, tmp_path)
    label = np.load(tmp_path / "x.npy")
    assert [int(label[k].mean()) for k in range(4)] == [1, 0, 1, 0]
    assert new.labels["y"] == plan.labels["y"]
    with pytest.raises(UserError, match=r"relabel.confidence=0.4: expected a number from 0.5"):
        NetworkLabels(0.4)


def test_a_voxel_is_mislabelled_if_it_is_confidently_of_the_other_class():
    p = np.array([0.9, 0.9, 0.6, 0.1, 0.1, 0.4])
    label = np.array([1, 0, 0, 0, 1, 1], np.uint8)
    assert mislabelled(p, label, 0.8, 0.8).tolist() == [False, True, False, False, True, False]
    assert mislabelled(p, label, 0.3, 0.5).tolist() == [False, True, True, False, True, True]


def test_confident_learning_gives_back_a_piece_that_the_label_lacks_and_keeps_trusted_labels(tmp_path):
    cut = ball(9)
    cut[:, :, 19:] = 0
    cases = [prepared("cut", noisy=cut), prepared("whole", noisy=ball(9)), prepared("trusted", reference=ball(9))]
    plan = plan_of(cases, ("trusted",))
    blurred = ndimage.gaussian_filter(ball(9).astype(float), 0.6)  # what a network would say of each
    stub = SimpleNamespace(of_case=lambda _: blurred)
    new = ConfidentLearning(5.0)(cases, plan, stub, tmp_path)
    found = np.load(new.labels["cut"].file)
    lacking = (ball(9) > 0) & (cut == 0)
    assert found[lacking].mean() > 0.5
    assert (found != ball(9)).mean() < 0.5 * (cut != ball(9)).mean()
    assert new.labels["trusted"] == plan.labels["trusted"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["cut.npy", "whole.npy"]
    assert set(np.unique(found)) == {0, 1}
