"""An audit measures like a ruler, ranks cases by the surface to redraw, and reports in tables, text and figures."""

import io
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from rich.console import Console

from command import run
from mandseg.audit import finding, page
from mandseg.audit.figures import plot_annotators, plot_regions, plot_spread
from mandseg.audit.measurement import measure
from mandseg.audit.page import audit_cohort, without_copies
from mandseg.audit.pair import LabelPair
from mandseg.audit.pictures import EVERY_CASE, case_figure, chosen, planes_of_difference
from mandseg.audit.surface import VIEWS, draw_surface, extent_mm
from mandseg.audit.tables import annotators_table, cases_table, mean_interval, regions_table
from mandseg.audit.terminal import print_audit
from mandseg.data.case import Case
from mandseg.data.manifest import read_cohort, write_cohort
from mandseg.data.volume import Volume
from mandseg.metrics.regions import REGIONS
from mandseg.noise import Recorded
from mandseg.report.figures.style import drawing_style
from shapes import ISO, horseshoe

SHAPE = (40, 40, 40)


def box(low, high, shape=SHAPE):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return mask


REFERENCE = box((10, 10, 10), (30, 30, 30))  # 8 ml at 1 mm


def measured(noisy, reference=REFERENCE, case_id="a", annotator="ann", spacing_mm=ISO):
    case = Case(case_id, case_id, "train", None, None)
    return measure(LabelPair(case, reference, noisy, spacing_mm, annotator))


# Measurement ----------------------------------------------------------------------------------------------------------


def test_a_box_drawn_2_mm_outside_has_a_bias_of_2_mm_and_the_volume_of_the_larger_box():
    found = measured(box((8, 8, 8), (32, 32, 32)))
    assert found.displacement().bias_mm == pytest.approx(2.0, abs=0.1)
    assert found.volume_bias_ml == pytest.approx(24**3 / 1000 - 8)
    assert found.volume_bias_percent == pytest.approx(72.8)
    assert found.hd95_mm == pytest.approx(2 * np.sqrt(2))  # the edges: more than a twentieth of the larger surface
    assert found.outcome == "scored"


def test_a_box_drawn_2_mm_inside_has_a_negative_bias():
    assert measured(box((12, 12, 12), (28, 28, 28))).displacement().bias_mm == pytest.approx(-2.0, abs=0.2)


def test_displacements_are_in_mm_on_thick_slices():
    # one slice of 3 mm more above and below, 4 voxels of 0.75 mm more on the other sides: 3 mm everywhere
    noisy = box((6, 6, 9), (34, 34, 31))
    assert measured(noisy, spacing_mm=(0.75, 0.75, 3.0)).displacement().bias_mm == pytest.approx(3.0, abs=0.15)


def test_the_same_label_twice_has_no_bias_and_dice_1():
    found = measured(REFERENCE)
    assert found.displacement().bias_mm == pytest.approx(0.0, abs=1e-5)
    assert (found.dice, found.nsd_1mm, found.volume_bias_ml, found.apart_ml) == (1.0, 1.0, 0.0, 0.0)


def test_a_piece_apart_is_counted_and_its_volume_is_what_lies_outside_the_largest():
    found = measured(REFERENCE | box((34, 34, 34), (39, 39, 39)))
    assert (found.noisy_pieces, found.reference_pieces) == (2, 1)
    assert found.apart_ml == pytest.approx(0.125)


@pytest.mark.parametrize(
    ("noisy", "reference", "outcome", "percent"),
    [
        (np.zeros(SHAPE, bool), REFERENCE, "missed", -100.0),
        (REFERENCE, np.zeros(SHAPE, bool), "spurious", None),
        (np.zeros(SHAPE, bool), np.zeros(SHAPE, bool), "both_empty", None),
    ],
)
def test_an_empty_label_has_an_outcome_and_no_displacement(noisy, reference, outcome, percent):
    found = measured(noisy, reference)
    assert (found.outcome, found.volume_bias_percent, found.displacements) == (outcome, percent, ())


def test_a_condyle_left_out_shows_in_its_region_alone():
    noisy = horseshoe()
    noisy[:, :14, 28:] = False  # behind the notch, the upper 8 mm of 28
    found = measured(noisy, horseshoe())
    assert found.displacement("condyle").bias_mm < -2
    assert abs(found.displacement("body").bias_mm) < 0.05
    assert {d.region for d in found.displacements} == {None, *REGIONS}


def test_who_drew_a_label_nobody_signed_is_not_recorded():
    assert measured(REFERENCE, annotator="").annotator == "not recorded"


# Tables ---------------------------------------------------------------------------------------------------------------

OUTWARD_1, OUTWARD_3 = box((9, 9, 9), (31, 31, 31)), box((7, 7, 7), (33, 33, 33))


@pytest.fixture(scope="module")
def measurements():
    return [
        measured(OUTWARD_1, case_id="near", annotator="ann"),
        measured(OUTWARD_3, case_id="far", annotator="bob"),
        measured(np.zeros(SHAPE, bool), case_id="empty", annotator="bob"),
        measured(REFERENCE, case_id="same", annotator="ann"),
    ]


def test_the_worst_case_comes_first_and_an_empty_one_before_all(measurements):
    table = cases_table(measurements)
    assert list(table.case_id) == ["empty", "far", "near", "same"]
    assert list(table.correct_first) == [1, 2, 3, 4]
    assert list(table.why.iloc[[0, 1, 3]]) == ["nothing is drawn", table.why[1], "a copy of the reference"]
    assert table.why[1].startswith("outward by 3.0 mm; ")


def test_annotators_are_summed_up_over_their_own_cases(measurements):
    table = annotators_table(cases_table(measurements)).set_index("annotator")
    assert list(table.index) == ["bob", "ann"]  # the worse one on top
    assert list(table.n_cases) == [2, 2]
    assert list(table.n_empty) == [1, 0]
    assert table.bias_mm["ann"] == pytest.approx(0.5, abs=0.05)  # 1 mm and 0
    assert table.bias_mm["bob"] == pytest.approx(3.0, abs=0.1)  # the empty contour has none
    assert np.isnan(table.bias_low_mm["bob"])  # one contour has no interval
    assert table.dice_lowest["bob"] == 0.0
    dice = 2 * 20**3 / (20**3 + 22**3)
    assert table.dice_median["ann"] == pytest.approx((1 + dice) / 2)


def test_every_region_that_a_reference_has_is_a_row(measurements):
    table = regions_table(measurements)
    assert set(table.case_id) == {"near", "far", "same"}
    assert list(table.columns) == ["case_id", "annotator", "region", "bias_mm", "spread_mm"]
    assert table[(table.case_id == "far") & (table.region == "all")].bias_mm.item() == pytest.approx(3.0, abs=0.1)


def test_an_interval_is_students_t():
    cases = pd.DataFrame({"subject_id": list("abcd"), "bias_mm": [1.0, 2.0, 3.0, np.nan]})
    mean, low, high = mean_interval(cases, "bias_mm")
    reach = 4.302653 / np.sqrt(3)  # the 97.5 % point of t with 2 degrees of freedom, standard deviation 1
    assert (mean, low, high) == (
        2.0,
        pytest.approx(2 - reach, abs=1e-6),
        pytest.approx(2 + reach, abs=1e-6),
    )
    assert np.isnan(mean_interval(cases.head(1), "bias_mm")[1])


def test_scans_of_one_subject_do_not_count_as_subjects():
    """Each scan ten times over: the same mean and the same interval as of one scan of each subject."""
    once = pd.DataFrame({"subject_id": list("abc"), "bias_mm": [1.0, 2.0, 3.0]})
    often = pd.concat([once] * 10, ignore_index=True)
    assert mean_interval(often, "bias_mm") == pytest.approx(mean_interval(once, "bias_mm"))
    assert np.isnan(mean_interval(often[often.subject_id == "a"], "bias_mm")[1])


# Words ----------------------------------------------------------------------------------------------------------------


def cases_like(**columns):
    n = len(columns["bias_mm"])
    given = {
        "subject_id": [f"s{k}" for k in range(n)],
        "dice": [0.8] * n,
        "annotator": ["ann"] * n,
        "outcome": ["scored"] * n,
        "noisy_pieces": [1] * n,
    }
    return pd.DataFrame(given | {"reference_pieces": [1] * n} | columns)


def test_the_headline_names_annotators_agreement_and_side():
    cases = cases_like(bias_mm=[1.0, 1.2, 1.4], annotator=["ann", "bob", "eve"])
    assert finding.headline(cases) == (
        "3 annotators, 3 cases: median Dice 0.80 (5th to 95th percentile: 0.80 to 0.80); "
        "contours are 1.2 mm outward on average (95 % interval +0.70 to +1.70 mm)."
    )


def test_a_label_that_nobody_signed_is_no_further_annotator():
    two = cases_like(bias_mm=[1.0, 1.2, 1.4], annotator=["ann", "bob", "not recorded"])
    assert finding.headline(two).startswith("2 annotators (not recorded in 1 case), 3 cases: ")
    one = cases_like(bias_mm=[1.0, 1.2, 1.4], annotator=["ann", "not recorded", "not recorded"])
    assert finding.headline(one).startswith("One annotator (ann; not recorded in 2 cases), 3 cases: ")
    names = ["ann"] * 5 + ["not recorded"] * 5
    cases = cases_like(bias_mm=[1.0, 1.1, 1.2, 1.3, 1.4] + [-1.0] * 5, annotator=names)
    ends = {"bias_low_mm": [0.5, -1.0], "bias_high_mm": [2.0, -1.0], "n_empty": [0, 0]}
    table = pd.DataFrame({"annotator": ["ann", "not recorded"], "n_cases": [5, 5], "bias_mm": [1.2, -1.0]} | ends)
    cases["nsd_2mm"] = 1.0
    assert not any("ranges from" in line for line in finding.sentences(cases, table))


def test_a_small_side_that_is_certain_is_not_rounded_to_nothing():
    text = finding.headline(cases_like(bias_mm=[0.03, 0.031, 0.029]))
    assert "contours are 0.03 mm outward on average" in text


def test_a_side_that_the_interval_does_not_settle_is_not_claimed():
    text = finding.headline(cases_like(bias_mm=[-1.0, 0.0, 1.1], annotator=["not recorded"] * 3))
    assert text.startswith("Annotators not recorded, 3 cases")
    assert "neither clearly outward nor inward on average (+0.03 mm" in text


def test_a_single_contour_has_no_interval_and_no_contour_no_bias():
    assert finding.headline(cases_like(bias_mm=[-0.5])).endswith("contours are 0.5 mm inward on average.")
    assert "there is no contour, so there is no bias" in finding.headline(cases_like(bias_mm=[np.nan]))


def without_condyles(names, annotator):
    noisy = horseshoe()
    noisy[:, :14, 28:] = False
    return [measured(noisy, horseshoe(), name, annotator) for name in names]


def test_habits_name_the_annotator_and_the_region():
    found = without_condyles("abcde", "ann")
    found += [measured(np.roll(horseshoe(), 1, 2), horseshoe(), name, "bob") for name in "fghij"]
    cases = cases_table(found)
    bias = cases.bias_condyle_mm.min()
    lines = finding.sentences(cases, annotators_table(cases))
    assert lines[0].startswith("The mean displacement of annotators with 5 or more cases ranges from −")
    assert "mm (ann) to" in lines[0]
    assert lines[1].startswith(f"ann leaves the condyles out (−{-bias:.1f} mm)")
    assert lines[2].startswith("Correct first: ")


def test_nobody_is_named_from_few_cases_or_where_the_interval_holds_zero():
    cases = cases_table(without_condyles("abcd", "ann"))
    assert finding.sentences(cases, annotators_table(cases))[0].startswith("Correct first")
    cases = cases_table(without_condyles("abcde", "ann"))
    cases["bias_condyle_mm"] = [-9.0, -9.0, -9.0, -9.0, 30.0]  # mean -1.2, interval on both sides of zero
    cases.loc[:, [f"bias_{region}_mm" for region in ("ramus", "angle", "body", "coronoid", "teeth")]] = np.nan
    cases["bias_condyle_mm"] -= 3
    assert not any("ann " in line for line in finding.sentences(cases, annotators_table(cases)))


def test_the_ends_of_the_range_have_a_name_only_where_the_interval_excludes_zero():
    annotators = pd.DataFrame({"annotator": ["ann", "bob"], "n_cases": [5, 5], "n_empty": [0, 0]})
    annotators = annotators.assign(bias_mm=[-1.0, 0.5], bias_low_mm=[-1.5, -0.2], bias_high_mm=[-0.5, 1.2])
    cases = cases_table(without_condyles("a", "eve"))
    line = finding.sentences(cases, annotators)[0]
    assert line.endswith("5 or more cases ranges from −1.0 mm (ann) to +0.5 mm.")


def test_labels_without_an_annotator_are_no_annotator_of_that_name():
    cases = cases_table(without_condyles("abcde", ""))
    line = finding.sentences(cases, annotators_table(cases))[0]
    assert line.startswith("The average contour without a recorded annotator leaves the condyles out (−")


def test_another_structure_is_divided_into_thirds_of_its_height():
    case = Case("p", "p", "test", None, None, groups={"structure": "Parotid_L"})
    noisy = REFERENCE.copy()
    noisy[:, :, np.flatnonzero(REFERENCE.any((0, 1)))[-5:]] = False
    found = measure(LabelPair(case, REFERENCE, noisy, ISO, "ann"))
    assert [d.region for d in found.displacements] == [None, "upper", "middle", "lower"]
    upper, lower = found.displacement("upper"), found.displacement("lower")
    assert upper.bias_mm < -1
    assert lower.bias_mm == pytest.approx(0, abs=1e-6)
    cases = cases_table([replace(found, case_id=name) for name in "abcde"])
    annotators = annotators_table(cases)
    assert [name for name in annotators.columns if name.startswith("bias_")] == [
        *("bias_mm", "bias_upper_mm", "bias_middle_mm", "bias_lower_mm", "bias_low_mm", "bias_high_mm")
    ]
    assert "condyle" not in " ".join(finding.sentences(cases, annotators))
    with drawing_style():
        shown = [label.get_text() for label in plot_regions(annotators).get_xticklabels()]
    assert shown == ["all", "upper", "middle", "lower"]


def test_a_copy_of_the_reference_is_no_drawing():
    found = [*without_condyles("ab", "ann"), measured(horseshoe(), horseshoe(), "c", "ann")]
    cases = cases_table(found)
    assert list(without_copies(cases).case_id) == ["a", "b"]
    assert finding.copies_left_out(cases) == (
        "1 noisy label is a copy of the reference and is left out of all numbers (Dice 0.999 or more): c."
    )
    assert finding.copies_left_out(cases.head(2)) == ""
    assert finding.copies_left_out(cases.tail(1)).startswith("Every noisy label is a copy of its reference")
    assert len(without_copies(cases.tail(1))) == 1


@pytest.mark.parametrize("width", [60, 80, 110, 200])
def test_a_narrow_terminal_leaves_columns_out_and_cuts_none(cohort, width):
    audit = audit_cohort(cohort, Recorded(), "recorded")
    console = Console(file=io.StringIO(), width=width)
    print_audit(audit, console)
    printed = console.file.getvalue()
    assert "…" not in printed
    assert ("Not shown on this narrow terminal, all in annotators.csv: " in printed) == (width < 120)
    assert all(name in printed for name in ("annotator", "bias", "NSD 2 mm"))


# Figures and pictures -------------------------------------------------------------------------------------------------


def test_every_case_is_a_point_and_the_heat_map_shows_the_numbers(measurements):
    cases = cases_table(measurements)
    annotators = annotators_table(cases)
    ax = plot_spread(cases, "dice", "Dice", list(annotators.annotator))
    assert [len(points.get_offsets()) for points in ax.collections] == [2, 2]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["bob", "ann"]
    right = plot_annotators(cases, annotators).axes[1]
    assert [len(points.get_offsets()) for points in right.collections] == [1, 2]  # an empty contour has no bias
    shown = [text.get_text() for text in plot_regions(annotators).texts]
    assert shown[0] == "+3.0"
    assert len(shown) == 2 * 7


@pytest.mark.parametrize("n_annotators", [1, 4])
def test_no_label_of_the_heat_map_is_cut_off(measurements, n_annotators):
    annotators = pd.concat([annotators_table(cases_table(measurements)).head(1)] * n_annotators)
    with drawing_style():
        figure = plot_regions(annotators).figure
    figure.canvas = FigureCanvasAgg(figure)
    figure.canvas.draw()
    words = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    boxes = [text.get_window_extent() for text in words]
    width, height = figure.bbox.size
    assert len(boxes) > 7
    assert all(box.x0 > -1 and box.y0 > -1 and box.x1 < width + 1 and box.y1 < height + 1 for box in boxes)


@pytest.mark.parametrize(("view", "place"), list(zip(VIEWS, ["middle", "left", "middle", "left"], strict=True)))
def test_views_show_the_patients_right_on_the_left(view, place):
    # a tetrahedron whose reddest corner lies far to the patient's right (high x)
    vertices = np.array([[0, 0, 0], [0, 10, 0], [0, 0, 10], [30, 0, 0]], float)
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    ax = Figure().add_subplot()
    draw_surface(ax, vertices, faces, np.array([0, 0, 0, 4.0]), view)
    low, high = ax.get_xlim()
    corners = np.concatenate([path.vertices for path in ax.collections[0].get_paths()])
    assert high - low == pytest.approx(extent_mm(vertices, view)[0])
    if place == "left":
        assert corners[:, 0].min() == pytest.approx(-30)
    else:
        assert np.ptp(corners[:, 0]) == pytest.approx(10)


def test_only_faces_towards_the_viewer_are_drawn_red_where_outward():
    # a cube of 12 triangles: two of them look to the front
    corner = np.array([[x, y, z] for x in (0, 10) for y in (0, 10) for z in (0, 10)], float)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))])
    ax = Figure().add_subplot()
    draw_surface(ax, corner, faces, np.full(8, 3.0), VIEWS[1])
    colours = ax.collections[0].get_facecolor()
    assert len(colours) == 2
    assert (colours[:, 0] > colours[:, 2]).all()


def test_planes_are_cut_where_the_labels_differ_most():
    noisy = REFERENCE.copy()
    noisy[12, 13:20, 14:25] = False  # x 12 is off by 77 voxels, every z of it by 7, every y by 11
    pair = LabelPair(Case("a", "a", "train", None, None), REFERENCE, noisy, ISO)
    assert planes_of_difference(pair) == [14, 13, 12]  # axial, coronal, sagittal; the first of equals
    assert planes_of_difference(LabelPair(pair.case, REFERENCE, REFERENCE, ISO)) == [20, 20, 20]


def test_a_picture_has_three_planes_four_views_and_a_scale_and_an_empty_label_planes_only():
    pair = LabelPair(Case("a", "a", "train", None, None), REFERENCE, OUTWARD_3, ISO)
    assert len(case_figure(pair).axes) == 3 + 4 + 1
    assert len(case_figure(LabelPair(pair.case, REFERENCE, ~np.ones(SHAPE, bool), ISO)).axes) == 3
    assert LabelPair(pair.case, REFERENCE, REFERENCE, (5.0, 5.0, 5.0)).around(15.0).reference.shape == (26, 26, 26)


def test_the_worst_and_the_worst_of_each_annotator_are_drawn(measurements):
    cases = cases_table(measurements)  # empty (bob), far (bob), near (ann), same (ann)
    assert chosen(cases, 1) == ["empty", "near"]
    assert chosen(cases, EVERY_CASE) == list(cases.case_id)
    assert chosen(cases, 0) == []


# The command ----------------------------------------------------------------------------------------------------------

FILES = {".mandseg.json", "index.html", "cases.csv", "annotators.csv", "regions.csv", "figures"}


@pytest.fixture
def cohort(tmp_path, make_case, bone):
    """Case a: the mandible drawn 4 mm too large by ann, a training case; b: nothing drawn, by bob; c: one label."""
    large = np.zeros_like(bone)
    large[7:18, 7:18, 7:18] = True
    drawn = {"a": ("ann", large), "b": ("bob", np.zeros_like(bone))}
    cases = [
        Case(name, name, "train", c.image, c.reference, c.noisy, who)
        for name, (who, noisy) in drawn.items()
        for c in [make_case(name, noisy=noisy)]
    ]
    write_cohort(tmp_path / "cohort", [*cases, make_case("c", "test")])
    return tmp_path / "cohort"


def test_an_audit_writes_tables_a_page_and_figures_and_prints_its_finding(cohort, capsys):
    assert run("audit", cohort) == 0
    printed = capsys.readouterr().out
    assert "2 annotators, 2 cases: median Dice" in printed
    assert printed.splitlines()[-1] == str(cohort / "audit" / "index.html")
    assert {file.name for file in (cohort / "audit").iterdir()} == FILES
    cases = pd.read_csv(cohort / "audit" / "cases.csv").set_index("case_id")
    assert list(cases.index) == ["b", "a"]
    assert cases.outcome["b"] == "missed"
    assert cases.dice["a"] == pytest.approx(2 * 9**3 / (9**3 + 11**3), abs=1e-4)
    assert cases.bias_mm["a"] == pytest.approx(4.0, abs=0.2)
    assert cases.volume_bias_ml["a"] == pytest.approx((11**3 - 9**3) * 0.064, abs=1e-3)
    text = (cohort / "audit" / "index.html").read_text()
    assert "1 of 3 cases has only one label" in text
    assert "Correct first: b (nothing is drawn), a (outward by " in text
    assert not re.search(r"\b(nan|None)\b", re.sub(r"<(style|script)\b.*?</\1>", "", text, flags=re.S))
    assert not [
        word for word in ("http://", "https://", 'src="figures') if word in text.replace("http://www.w3.org", "")
    ]


def test_copies_of_the_reference_are_in_no_row_of_the_regions(cohort):
    """The width of boundary smoothing is a median over these rows; a copy has a spread of 0."""
    cases = [replace(c, noisy=c.reference) if c.case_id == "b" else c for c in read_cohort(cohort).cases]
    write_cohort(cohort, cases)
    audit = audit_cohort(cohort, Recorded(), "recorded")
    assert list(audit.cases.case_id[audit.cases.why == "a copy of the reference"]) == ["b"]
    assert set(audit.regions.case_id) == {"a"}


def test_pictures_are_in_the_page_and_in_files_and_beyond_its_size_in_files_alone(cohort, monkeypatch):
    assert run("audit", cohort, "--figures", "--out", cohort / "first") == 0
    text = (cohort / "first" / "index.html").read_text()
    assert text.count("data:image/webp;base64,") == 2
    assert {"case-a.png", "case-b.png", "regions.svg", "annotators.png"} <= {
        file.name for file in (cohort / "first" / "figures").iterdir()
    }
    monkeypatch.setattr(page, "LARGEST_PAGE", 10)
    assert run("audit", cohort, "--all-figures", "--out", cohort / "second") == 0
    text = (cohort / "second" / "index.html").read_text()
    assert "data:image/webp" not in text
    assert '<a href="figures/case-a.png">Picture</a>' in text


def test_masks_alone_can_be_audited_and_drawn(cohort):
    cases = [Case(c.case_id, c.subject_id, c.split, None, c.reference, c.noisy) for c in read_cohort(cohort).cases]
    write_cohort(cohort, cases)
    assert run("audit", cohort, "--figures") == 0
    assert set(pd.read_csv(cohort / "audit" / "cases.csv").annotator) == {"not recorded"}
    assert (cohort / "audit" / "figures" / "case-b.png").exists()


def test_simulated_labels_come_from_the_preset_and_its_settings(cohort):
    assert run("audit", cohort, "--noise", "radiographer", "--target-dice", "0.9", "--seed", "3") == 0
    cases = pd.read_csv(cohort / "audit-radiographer" / "cases.csv")
    assert (cases.dice - 0.9).abs().max() <= 0.005
    assert len(cases) == 3
    assert cases.annotator.str.match(r"ann|bob|radiographer_\d\d").all()
    text = (cohort / "audit-radiographer" / "index.html").read_text()
    assert "simulated from the reference, radiographer, target_dice 0.9, seed 3" in text


def test_an_audit_replaces_an_earlier_one_and_nothing_else(cohort, capsys):
    assert run("audit", cohort) == 0
    assert run("audit", cohort / "manifest.csv") == 0
    (cohort / "audit" / "notes.txt").write_text("mine")
    assert run("audit", cohort) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"mandseg: {cohort / 'audit'}: holds notes.txt, which an audit did not write; "
        "move it away or choose an empty folder with --out"
    ]
    assert (cohort / "audit" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["--noise", "fancy"],
            "noise preset 'fancy': expected one of expert, gross, margin, panel, planning, planning_refitted, "
            "radiographer",
        ),
        (["--noise", "expert", "--target-dice", "1.5"], "target_dice=1.5: expected a Dice above 0, up to 1"),
        (["--seed", "1"], "--seed: for simulated labels only, name a preset with --noise"),
    ],
)
def test_wrong_words_are_one_line_and_nothing_is_written(cohort, capsys, arguments, line):
    assert run("audit", cohort, *arguments) == 2
    assert capsys.readouterr().err == f"mandseg: {line}\n"
    assert not list(cohort.glob("audit*"))


def test_a_cohort_with_one_label_a_case_is_refused_with_its_counts(tmp_path, make_case, capsys):
    write_cohort(tmp_path / "cohort", [make_case("a"), make_case("b", "test")])
    assert run("audit", tmp_path / "cohort") == 2
    assert "no case with two labels; 2 of 2 cases have a reference and 0 a noisy label" in capsys.readouterr().err


def test_labels_on_different_grids_are_refused_with_both_values(tmp_path, make_case, bone, affine, capsys):
    shifted = affine.copy()
    shifted[2, 3] = -44
    write_cohort(tmp_path / "cohort", [make_case("a", noisy=Volume(bone, shifted))])
    assert run("audit", tmp_path / "cohort") == 2
    assert capsys.readouterr().err == (
        "mandseg: case a: noisy origin (-48, -48, -44) mm differs from (-48, -48, -48) mm of the reference\n"
    )
    assert not (tmp_path / "cohort" / "audit").exists()


def test_help_has_examples(capsys):
    assert run("audit", "--help") == 0
    assert "Example: mandseg audit cohorts/clinic --figures" in capsys.readouterr().out
