"""The report says what is true of the study, needs no other file, and is written whole or not at all."""

import re
import shutil
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.container import ErrorbarContainer

from mandseg import report as report_module
from mandseg.errors import UserError
from mandseg.figures import MARGIN, plot_curve, plot_differences, plot_learning_curves
from mandseg.margins import METRICS
from mandseg.report import write_report
from study_fixture import case_row, draw_overlays, run_name, write_run, write_study

DICE, HD95 = METRICS[:2]


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of one data set with a missed case and a failed run, and its report."""
    study = tmp_path_factory.mktemp("outputs") / "demo"
    write_study(study, loss={0.0: 0.0, 0.5: 0.001}, seeds=(0, 1, 2), datasets={"test": 0.9}, n_cases=8)
    rows = [case_row(1.0, 0, "test", f"test_{k:03d}", 0.7, "missed" if k == 3 else "scored") for k in range(8)]
    draw_overlays(write_run(study, 1.0, 0, rows), rows)
    write_run(study, 1.0, 1, [], state="failed", error="loss is <not> finite at step 7")
    write_report(study)
    return study / "report"


def text_of(report: Path) -> str:
    """The words of a page, without tags and drawings."""
    page = (report / "index.html").read_text(encoding="utf-8")
    words = re.sub(r"<(style|svg)\b.*?</\1>|<[^>]+>", " ", page, flags=re.S)
    return " ".join(words.split())


def test_finding_comes_first_with_its_interval(reported):
    text = text_of(reported)
    finding = text.index("Up to a noise ratio of 0.5, mean Dice stays within 0.02 of training on clean labels on test.")
    assert finding < text.index("95 % interval") < text.index("Accuracy against noise ratio")


def test_missed_case_and_failed_run_are_on_the_page(reported):
    text = text_of(reported)
    assert "test 1 test_003 missed 0" in text
    assert "1 of 8" in text
    assert "7 of 8 runs done, 1 failed" in text
    assert "ratio1-seed1 failed loss is &lt;not&gt; finite at step 7" in text


def test_settings_that_differ_show_every_value_and_versions_are_told(reported):
    text = text_of(reported)
    assert "noise_ratio 0.0 | 0.5 | 1.0" in text
    assert "model.channels [16, 32]" in text
    assert "torch 2.13.0" in text


def test_page_needs_nothing_but_itself(reported):
    page = (reported / "index.html").read_text(encoding="utf-8")
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert sources
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert "<script" not in page
    assert len(page) < 1_500_000
    assert len(re.findall(r'id="([^"]+)"', page)) == len(set(re.findall(r'id="([^"]+)"', page)))


def test_csv_files_hold_the_numbers_of_the_page(reported):
    summary = pd.read_csv(reported / "summary.csv")
    cases = pd.read_csv(reported / "cases.csv")
    row = summary[(summary.metric == "dice") & (summary.noise_ratio == 0.5)].iloc[0]
    scored = cases[cases.noise_ratio == 0.5]
    assert row["mean"] == pytest.approx(scored.dice.mean())
    assert f"{row['mean']:.3f}" in text_of(reported)
    differences = pd.read_csv(reported / "differences.csv")
    assert set(differences.noise_ratio) == {0.5, 1.0}
    assert {"margin", "verdict", "p_holm", "low", "high"} <= set(differences.columns)
    for table in ("summary.csv", "differences.csv", "cases.csv"):
        assert "nan" not in (reported / table).read_text().lower()


def test_figures_are_saved_as_svg_and_png(reported):
    for name in ("curve-dice", "difference-hd95_mm", "learning-val_dice"):
        assert (reported / "figures" / f"{name}.svg").read_text().startswith("<?xml")
        assert (reported / "figures" / f"{name}.png").stat().st_size > 5000


def test_worst_case_of_a_ratio_is_the_one_that_is_shown(reported):
    assert "test, noise ratio 1, seed 0: case test_003. missed; Dice 0.000" in text_of(reported)


def test_same_study_gives_the_same_page(reported, tmp_path):
    again = write_report(reported.parent, tmp_path / "again")
    assert again.read_text(encoding="utf-8") == (reported / "index.html").read_text(encoding="utf-8")


def test_study_without_a_done_run_says_so(tmp_path):
    write_run(tmp_path / "demo", 0.0, 0, [], state="failed", error="no space left")
    page = write_report(tmp_path / "demo")
    text = text_of(page.parent)
    assert "No run of this study is done yet: there is no result to report." in text
    assert "no space left" in text
    assert "nan" not in text.lower()


@pytest.mark.parametrize(
    ("ratios", "sentence"),
    [
        ((0.5,), "Only noise ratio 0.5 has been run: there is no curve yet."),
        ((0.2, 0.5), "No run at noise ratio 0 is done: the loss against clean labels cannot be given."),
    ],
)
def test_study_that_cannot_answer_says_why(tmp_path, ratios, sentence):
    study = write_study(tmp_path / "demo", dict.fromkeys(ratios, 0.0), seeds=(0,), datasets={"test": 0.9}, n_cases=3)
    text = text_of(write_report(study).parent)
    assert sentence in text
    assert "one seed: the interval does not cover the variation between trainings" in text
    assert not re.search(r"\b(nan|NaN|None)\b", text)


def test_failure_half_way_keeps_the_report_that_was_there(reported, tmp_path, monkeypatch):
    study = tmp_path / "demo"
    shutil.copytree(reported.parent, study)
    before = sorted(file.name for file in study.iterdir())

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(report_module, "_page", fail)
    monkeypatch.setattr(report_module, "_curve_drawings", lambda *_: [])
    monkeypatch.setattr(report_module, "_difference_drawings", lambda *_: [])
    with pytest.raises(OSError, match="no space left"):
        write_report(study)
    assert sorted(file.name for file in study.iterdir()) == before
    assert (study / "report" / "index.html").read_bytes() == (reported / "index.html").read_bytes()


def test_report_never_replaces_a_folder_with_other_files(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("x")
    with pytest.raises(UserError, match=r"holds chapter1\.tex, which is not a report's"):
        write_report(write_study(tmp_path / "demo", {0.0: 0.0}, (0,), n_cases=2), tmp_path / "thesis")


def test_broken_picture_is_left_out(reported, tmp_path):
    broken = tmp_path / run_name(1.0, 0) / "overlays" / "test--test_003.png"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"\x89PNG broken")
    assert report_module._embedded(broken) is None
    assert report_module._embedded(tmp_path / "none.png") is None


def means(**columns: object) -> pd.DataFrame:
    rows = {"dataset": "test", "metric": "dice", "noise_ratio": [0.0, 0.5, 1.0], "mean": [0.9, 0.89, 0.8]}
    return pd.DataFrame(rows | {"low": [0.88, 0.87, None], "high": [0.92, 0.91, None]} | columns)


def test_curve_draws_means_and_their_intervals_at_their_ratios():
    ax = plot_curve(means(), DICE, margin=0.02)
    bars = next(item for item in ax.containers if isinstance(item, ErrorbarContainer))
    line, _, (segments,) = bars
    np.testing.assert_allclose(line.get_xydata(), [[0, 0.9], [0.5, 0.89], [1, 0.8]])
    ends = [tuple(np.round(segment[:, 1], 6)) for segment in segments.get_segments()]
    assert ends == [(0.88, 0.92), (0.87, 0.91), (0.8, 0.8)]  # an absent interval has no length


@pytest.mark.parametrize(("metric", "edge"), [(DICE, 0.88), (HD95, 0.92)])
def test_margin_lies_on_the_worse_side(metric, edge):
    ax = plot_curve(means(), metric, margin=0.02)
    (dashed,) = [line for line in ax.lines if line.get_color() == MARGIN]
    assert dashed.get_ydata()[0] == pytest.approx(edge)


def test_data_sets_stand_side_by_side_in_the_difference_plot():
    table = pd.concat([means(dataset=name).rename(columns={"mean": "difference"}) for name in ("a", "b")])
    ax = plot_differences(table[table.noise_ratio > 0], DICE, margin=0.02)
    low, high = ax.get_xlim()
    first, second = (bars[0].get_xydata()[:, 0] for bars in ax.containers)
    assert (first < second).all()
    assert low < first.min()
    assert second.max() < high
    np.testing.assert_allclose((first + second) / 2, [0.5, 1.0])
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert set(labels) == {"a", "b", "margin"}


def test_data_sets_stay_inside_the_axes_when_only_one_ratio_is_compared():
    rows = [{"dataset": name, "metric": "dice", "noise_ratio": 0.5, "difference": 0.0} for name in "abcd"]
    ax = plot_differences(pd.DataFrame(rows).assign(low=None, high=None), DICE)
    x = [bars[0].get_xydata()[0, 0] for bars in ax.containers]
    assert ax.get_xlim()[0] < min(x) < max(x) < ax.get_xlim()[1]


def test_learning_curve_skips_rows_without_a_value():
    curves = pd.DataFrame({"noise_ratio": 0.0, "seed": 0, "step": [0, 1, 2], "val_dice": [0.1, None, 0.3]})
    ax = plot_learning_curves(curves, "val_dice", "Validation Dice")
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[0, 0.1], [2, 0.3]])


def test_report_leaves_the_style_of_other_figures_alone(reported):
    assert mpl.rcParams["svg.fonttype"] == "path"
    assert mpl.rcParams["axes.spines.top"]
