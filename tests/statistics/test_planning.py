"""A plan has the cases that its power needs, refuses insufficient pilots, and is written completely."""

from pathlib import Path

import pandas as pd
import pytest

from mandseg.cli.main import main
from mandseg.metrics.catalogue import metric_named
from mandseg.report.study_plan import plan_study
from mandseg.runs.study import open_study, read_pilot
from mandseg.statistics.pilot import Pilot, choose_pilot, find_pilots
from mandseg.statistics.planning import Question, cases_needed, design_power
from mandseg.statistics.power import power_of
from mandseg.statistics.variance import Components
from mandseg.system.errors import UserError
from study_fixture import write_study

DICE = metric_named("dice")


def pilot(seed: float, case: float, rest: float) -> Pilot:
    return Pilot("", "test", 0.5, 5, 40, 0.0, Components(seed**2, case**2, rest**2))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(tmp_path / "pilot", loss={0.0: 0.0, 0.5: 0.01}, n_cases=15)


def test_needed_cases_are_the_fewest_that_reach_the_power():
    question, variable = Question(DICE, 0.02), pilot(0.003, 0.03, 0.02)
    for n_seeds in (3, 5, 10):
        n_cases = cases_needed(question, variable, n_seeds)
        assert n_cases is not None
        assert design_power(question, variable, n_seeds, n_cases) >= 0.8
        assert design_power(question, variable, n_seeds, n_cases - 1) < 0.8


def test_more_seeds_need_fewer_cases_and_seeds_that_vary_too_much_need_other_seeds():
    question = Question(DICE, 0.02)
    few, many = (cases_needed(question, pilot(0.004, 0.03, 0.02), n) for n in (4, 10))
    assert few is not None
    assert many is not None
    assert many < few
    assert cases_needed(question, pilot(0.02, 0.03, 0.02), 3) is None


def test_true_loss_takes_its_part_of_the_margin():
    variable = pilot(0.003, 0.03, 0.02)
    assert design_power(Question(DICE, 0.02, loss=0.01), variable, 5, 40) == design_power(
        Question(DICE, 0.01), variable, 5, 40
    )


def test_design_without_seed_variance_has_the_power_of_its_spread():
    spread = Components(0.0, 0.0009, 0.0).spread(3, 20)
    assert design_power(Question(DICE, 0.02), pilot(0.0, 0.03, 0.0), 3, 20) == power_of(0.02, spread, 0.025)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"margin": 0.0}, "margin 0: expected a number above 0 and below 1"),
        ({"margin": float("nan")}, "margin nan: expected a number above 0 and below 1"),
        ({"margin": 0.02, "power": 1.0}, "power 1: expected a share between 0 and 1"),
        ({"margin": 0.02, "loss": 0.02}, "loss 0.02: a loss of the margin"),
    ],
)
def test_question_without_an_answer_is_refused(question, message):
    with pytest.raises(UserError, match=message):
        Question(DICE, **question)


def test_pilot_is_found_in_a_study_and_in_its_pooled_cases(study, tmp_path):
    open_study(study).cases.to_csv(tmp_path / "cases.csv", index=False)
    from_study, from_file = (find_pilots(read_pilot(path), DICE) for path in (study, tmp_path / "cases.csv"))
    assert from_study == from_file
    assert [(one.dataset, one.noise_ratio, one.n_seeds, one.n_cases) for one in from_study] == [
        ("test", 0.5, 3, 15),
        ("external_a", 0.5, 3, 15),
    ]
    assert choose_pilot(from_study).dataset == "test"
    with pytest.raises(
        UserError, match=r"pilot: nothing for test at noise ratio 0.3; there is test at 0.5, external_a"
    ):
        choose_pilot(from_study, noise_ratio=0.3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": ""}, "pilot {file}: line 5: seed is no number"),
        ({"noise_ratio": "half"}, "pilot {file}: line 5: noise_ratio is no number"),
        ({"dice": None}, "pilot: the cases have no column dice"),
    ],
)
def test_a_pilot_file_with_a_hole_is_refused_in_one_line(study, tmp_path, capsys, change, message):
    cases, file = open_study(study).cases.astype(object), tmp_path / "cases.csv"
    for column, value in change.items():
        if value is None:
            cases = cases.drop(columns=column)
        else:
            cases.loc[3, column] = value
    cases.to_csv(file, index=False)
    with pytest.raises(SystemExit) as stop:
        main(["plan-study", str(file), "--margin", "0.02"])
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"mandseg: {message.format(file=file)}\n"
    assert not (tmp_path / "plan").exists()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"n_cases": 1}, "3 seeds and 1 case at both ratios, one seed and two cases are needed"),
        ({"loss": {0.5: 0.0}}, "needs noise ratio 0 and another one"),
        ({"loss": {0.0: 0.0}}, "needs noise ratio 0 and another one"),
    ],
)
def test_insufficient_pilot_is_refused_with_the_reason(tmp_path, change, reason):
    folder = write_study(tmp_path / "pilot", **({"loss": {0.0: 0.0, 0.5: 0.0}} | change))
    with pytest.raises(UserError, match=reason):
        plan_study(folder, 0.02)
    assert not (folder / "plan").exists()


def test_a_pilot_with_one_seed_gives_the_least_possible_numbers(tmp_path, capsys):
    three = write_study(tmp_path / "three", {0.0: 0.0, 0.5: 0.01}, n_cases=15)
    one = write_study(tmp_path / "one", {0.0: 0.0, 0.5: 0.01}, seeds=(0,), n_cases=15)
    plan_study(one, 0.02)
    printed = capsys.readouterr().out
    assert "1 seed, 15 cases. Standard deviation of the differences: between seeds unknown," in printed
    assert "The pilot has only 1 seed, so the variation between seeds is not known and counts as 0" in printed
    (found,) = [p for p in find_pilots(read_pilot(one), DICE) if p.dataset == "test"]
    assert found.components.seed == found.components.rest == 0
    assert found.components.case > 0
    assert find_pilots(read_pilot(three), DICE)[0].components.rest > 0


def test_command_prints_the_table_and_writes_figure_and_csv(study, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["plan-study", str(study), "--margin", "0.02"])
    assert not stop.value.code
    printed = capsys.readouterr().out
    assert "To show in 80 of 100 studies that mean Dice loses less than 0.02, with no true loss." in printed
    assert "Pilot: test at noise ratio 0.5" in printed
    needed = pd.read_csv(study / "plan" / "needed.csv")
    assert list(needed.columns) == ["n_seeds", "n_cases"]
    power = pd.read_csv(study / "plan" / "power.csv")
    assert power.power.between(0, 1).all()
    assert (study / "plan" / "power.svg").read_text().startswith("<?xml")
    assert (study / "plan" / "power.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--margin", "-1"], "margin -1: expected a number above 0 and below 1"),
        (["--margin", "0.02", "--metric", "iou"], "metric 'iou'"),
    ],
)
def test_wrong_question_is_one_line_and_exit_code_two(study, capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        main(["plan-study", str(study), *arguments])
    assert stop.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert message in lines[0]


def test_folder_with_other_files_is_left_alone(study):
    (study / "plan").mkdir()
    (study / "plan" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds notes.txt, which a plan did not write"):
        plan_study(study, 0.02)
