"""Figures draw the numbers that they are given, at the positions of the axis."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from mandseg.metrics.catalogue import METRICS
from mandseg.report import figures
from mandseg.report.figures import LevelAxis, noise
from mandseg.report.figures.cases import DRAWN_CASES, evenly_spaced
from mandseg.report.figures.learning import level_colours
from mandseg.report.figures.noise import DRAWN_ANNOTATORS
from mandseg.report.figures.source import FigureSource
from mandseg.report.figures.style import BAND, BLUE, DOSE, INTERVAL, MARGIN, PAIRED, for_page
from mandseg.statistics.analysis import Analysis
from mandseg.statistics.comparison import RATIO_COMPARISON, Comparison

DICE, HD95 = METRICS[:2]
AXIS = LevelAxis(RATIO_COMPARISON, (0.0, 0.5, 1.0))


def means(**columns):
    table = pd.DataFrame(
        {"dataset": "test", "metric": "dice", "level": AXIS.levels, "mean": [0.9, 0.89, 0.8], "n_cases": 7}
        | {"low": [0.88, 0.87, 0.78], "high": [0.92, 0.91, 0.82]}
    )
    return table.assign(**columns)


def differences(metric="dice", **columns):
    table = pd.DataFrame(
        {"dataset": "test", "group": "", "metric": metric, "level": [0.5, 1.0], "difference": [-0.01, -0.1]}
        | {"low": [-0.015, -0.12], "high": [-0.005, -0.08], "verdict": ["non-inferior", "inferior"]}
    )
    return table.assign(**columns)


def test_the_band_reaches_from_the_baseline_to_the_margin_on_the_worse_side():
    for metric, edge in ((DICE, 0.88), (HD95, 0.92)):
        ax = figures.plot_curve(means(), differences(), metric, AXIS, margin=0.02)
        (band,) = (patch for patch in ax.patches if patch.get_gid() == BAND)
        assert mpl.colors.to_hex(band.get_facecolor()) == MARGIN
        assert sorted((band.get_y(), band.get_y() + band.get_height())) == pytest.approx(sorted((0.9, edge)))


def test_the_thick_bar_is_the_paired_interval_laid_on_the_baselines_mean():
    ax = figures.plot_curve(means(), differences(), DICE, AXIS, margin=0.02)
    bars = [line.get_xydata() for line in ax.lines if line.get_gid() == PAIRED]
    np.testing.assert_allclose(bars, [[[0.5, 0.885], [0.5, 0.895]], [[1.0, 0.78], [1.0, 0.82]]])


def test_the_thin_bar_is_the_interval_of_the_mean():
    ax = figures.plot_curve(means(), differences(), DICE, AXIS, margin=0.02)
    (bars,) = (lines for lines in ax.collections if lines.get_gid() == INTERVAL)
    assert [bar[:, 1].tolist() for bar in bars.get_segments()] == [[0.88, 0.92], [0.87, 0.91], [0.78, 0.82]]


def test_the_forest_draws_each_interval_of_a_difference():
    ax = figures.plot_forest(differences(), DICE, AXIS, margin=0.02)
    drawn = [list(line.get_xdata()) for line in ax.lines if line.get_gid() == PAIRED]
    assert drawn == [[-0.015, -0.005], [-0.12, -0.08]]


def test_each_verdict_has_a_marker_of_its_own():
    ax = figures.plot_curve(means(), differences(verdict=["inconclusive", "inferior"]), DICE, AXIS, margin=0.02)
    markers = [line.get_marker() for line in ax.lines if line.get_marker() not in ("None", "")]
    assert markers == ["o", "D", "X"]


def test_without_a_baseline_the_curve_is_drawn_and_no_band():
    ax = figures.plot_curve(means().iloc[1:], differences().iloc[:0], DICE, AXIS, margin=0.02)
    assert not ax.patches
    assert ax.get_xlim()[0] < 0 < 1 < ax.get_xlim()[1]


def test_names_stand_side_by_side_with_the_baseline_first():
    axis = LevelAxis(Comparison("method", "supervised"), ("supervised", "gce", "t_loss"))
    table = means(level=["gce", "supervised", "t_loss"])
    ax = figures.plot_curve(table, differences(level=["gce", "t_loss"]), DICE, axis)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["supervised", "gce", "t_loss"]
    assert axis.places(["gce", "t_loss"]).tolist() == [1, 2]


def test_lines_go_from_left_to_right_also_if_the_baseline_is_not_ratio_0():
    axis = LevelAxis(Comparison("noise_ratio", 0.5), (0.5, 0.0, 1.0))
    scores = pd.DataFrame({"dataset": "test", "level": [0.5, 0.0, 1.0], "case_id": "a", "score": [0.8, 0.9, 0.7]})
    seeds = scores.rename(columns={"score": "mean"}).assign(seed=0)
    for figure in (figures.plot_cases(scores, DICE, axis), figures.plot_seeds(seeds, DICE, axis)):
        assert all(line.get_xdata().tolist() == [0.0, 0.5, 1.0] for line in figure.axes[0].lines)
    assert list(level_colours(axis)) == [0.0, 0.5, 1.0]


def test_ratios_too_close_for_their_labels_lose_them():
    axis = LevelAxis(RATIO_COMPARISON, (0.0, 0.01, 0.02, 0.5, 1.0))
    ax = figures.plot_curve(means(level=[0.0, 0.01, 1.0]), differences(), DICE, axis)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "0.5", "1"]


def test_the_forest_has_a_row_for_each_difference_with_its_numbers_and_verdict():
    ax = figures.plot_forest(differences(), DICE, AXIS, margin=0.02)
    words = [text.get_text() for text in ax.texts]
    assert words[0] == "test"
    assert "\N{MINUS SIGN}0.010 (\N{MINUS SIGN}0.015 to \N{MINUS SIGN}0.005)" in words
    assert "inferior" in words
    assert ax.get_xlim()[0] < -0.12


def test_of_many_cases_the_drawn_ones_reach_from_the_worst_to_the_best():
    values = np.random.default_rng(0).normal(size=1000)
    shown = evenly_spaced(values, DRAWN_CASES)
    assert len(shown) == len(set(shown)) == DRAWN_CASES
    assert {values[shown].min(), values[shown].max()} == {values.min(), values.max()}
    assert sorted(evenly_spaced(values[:5], DRAWN_CASES)) == [0, 1, 2, 3, 4]


def test_learning_curves_skip_steps_without_a_value():
    curves = pd.DataFrame({"level": 0.0, "seed": 0, "step": [0, 1, 2], "val_dice": [0.1, None, 0.3]})
    ax = figures.plot_learning_curves(curves, "val_dice", "Validation Dice", LevelAxis(RATIO_COMPARISON, (0.0,)))
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[0, 0.1], [2, 0.3]])


def test_memorisation_shows_the_noisy_cases_against_both_of_their_labels():
    curves = pd.DataFrame(
        {"level": [0.0, 1.0], "seed": 0, "step": 9}
        | {
            f"noisy_cases_dice_to_{label}": values
            for label, values in (("noisy", [0.5, 0.8]), ("reference", [0.7, 0.6]))
        }
    )
    figure = figures.plot_memorisation(curves, LevelAxis(RATIO_COMPARISON, (0.0, 1.0)))
    to_noisy, to_reference = ([line.get_ydata().tolist() for line in ax.lines] for ax in figure.axes)
    assert to_noisy == [[0.5], [0.8]]
    assert to_reference == [[0.7], [0.6]]
    assert [text.get_text() for text in figure.legends[0].texts] == ["0", "1"]


def test_a_page_colours_the_drawing_itself_and_keeps_its_words(tmp_path):
    with figures.drawing_style("x"):
        ax = figures.plot_curve(means(), differences(), DICE, AXIS, margin=0.02)
        ax.set_title("version 0.123456")
        on_page = figures.save(ax.figure, tmp_path / "x")
    assert "var(--margin" in on_page
    assert "currentColor" in on_page
    assert "version 0.123456" in on_page
    assert "mandseg:" not in on_page + (tmp_path / "x.svg").read_text()


def test_the_same_figure_is_saved_as_the_same_files(tmp_path):
    for name in ("one", "two"):
        with figures.drawing_style("x"):
            ax = figures.plot_curve(means(), differences(), DICE, AXIS, margin=0.02)
            figures.save(ax.figure, tmp_path / name)
    starts = {".svg": b"<?xml", ".pdf": b"%PDF", ".png": b"\x89PNG"}
    for suffix, start in starts.items():
        content = (tmp_path / f"one{suffix}").read_bytes()
        assert content.startswith(start)
        assert content == (tmp_path / f"two{suffix}").read_bytes()


def test_numbers_inside_tags_are_shortened_and_those_of_text_are_not():
    drawing = '<svg width="100pt" height="50pt"><path d="M 1.23456 2"/><text>1.23456</text></svg>'
    assert for_page(drawing) == '<svg style="max-width: 160px"><path d="M 1.23 2"/><text>1.23456</text></svg>'


def test_figures_leave_the_style_of_others_alone():
    with figures.drawing_style("x"):
        assert mpl.rcParams["svg.hashsalt"] == "x"
    assert mpl.rcParams["svg.fonttype"] == "path"
    assert mpl.colors.to_hex(DOSE(0.0)) == BLUE


def test_a_name_in_a_figure_is_no_formula(tmp_path):
    with figures.drawing_style():
        figure = Figure()
        figure.add_subplot().set_title("annotator $s_{$ $")
        figure.legend(labels=["x $a_{$"])
        figure.savefig(tmp_path / "a.png")
    assert (tmp_path / "a.png").exists()


def test_a_figure_of_many_annotators_states_which_are_drawn():
    n = DRAWN_ANNOTATORS + 1
    applied = pd.DataFrame({"case_id": range(n), "annotator": [f"a{k:02d}" for k in range(n)], "dice": 0.9})
    analysis = Analysis((), (), ())
    for rows, stated in ((applied, True), (applied.head(n - 1), False)):
        source = FigureSource(analysis, pd.DataFrame(), rows.assign(hd95_mm=1.0), pd.DataFrame(), "")
        for drawing in noise.noise(source):
            assert (f"Of {n} annotators, the 30 with the lowest medians are drawn." in drawing.caption) is stated
