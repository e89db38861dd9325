"""The worklist: the worst slices, pictures of the first cases, and a page that loads no other file."""

import re
from dataclasses import replace
from html import unescape

import numpy as np
import pytest

from command import run
from mandseg.data.case import Case
from mandseg.data.manifest import read_cohort, write_cohort
from mandseg.ranking.drawn_label import DrawnLabel
from mandseg.ranking.pictures import Request, case_figure, draw_case
from mandseg.ranking.slices import doubtful_voxels, worst_planes
from shapes import ISO, ct, horseshoe

CASE = Case("a", "a", "train", None, None)


def test_the_three_worst_slices_lie_apart():
    doubtful = np.zeros((4, 4, 40), bool)
    for z, n in ((10, 4), (11, 3), (16, 2), (30, 1), (0, 4)):
        doubtful[:n, 0, z] = True
    assert worst_planes(doubtful, 2, 1.0) == [0, 10, 16]  # 11 is 1 mm from 10
    assert worst_planes(doubtful, 2, 6.0) == [0, 10, 11]
    assert worst_planes(doubtful[:, :, 20:], 2, 1.0) == [10]
    assert worst_planes(np.zeros((4, 4, 9), bool), 2, 1.0) == [4]


def test_doubt_is_where_label_and_prediction_differ_or_where_label_and_ct_differ():
    label = DrawnLabel(CASE, horseshoe(), ISO, ct(horseshoe()), 0, 40)
    moved = np.roll(horseshoe(), 1, 2)
    np.testing.assert_array_equal(doubtful_voxels(label, moved), label.mask ^ moved)
    wide = replace(label, mask=horseshoe() | moved)
    assert not (doubtful_voxels(wide, None) & ~moved).any()
    assert (doubtful_voxels(wide, None) & wide.mask).sum() == (moved & ~horseshoe()).sum()
    assert not doubtful_voxels(label, None).any()


def test_slices_are_counted_from_below_in_the_whole_volume():
    label = DrawnLabel(CASE, horseshoe(), ISO, None, 17, 120)
    titles = [ax.get_title() for ax in case_figure(label, None, label.mask, [3, 9, 20]).axes]
    assert titles[:3] == [f"slice {n} of 120 from below" for n in (21, 27, 38)]
    assert titles[3:] == ["coronal", "right side", "left side"]


@pytest.fixture
def cohort(make_case, bone, tmp_path):
    cases = []
    for number, case_id in enumerate("abc"):
        noisy = bone.copy()
        noisy[8:17, 8:17, 17 : 17 + 4 * (number == 2)] = True  # of c: four slices of soft tissue above
        cases.append(replace(make_case(case_id, noisy=noisy), reference=None, annotator="<b>ann</b>"))
    write_cohort(tmp_path / "cohort", cases)
    return tmp_path / "cohort"


def test_a_picture_shows_the_slices_above_the_bone(cohort):
    found = draw_case(Request(read_cohort(cohort).cases[2]))
    assert found.of_slices == 24
    assert set(found.slices) & {18, 19, 20, 21}  # counted from 1: the slices 17 to 20 are soft tissue
    assert found.webp[:4] == b"RIFF"


def test_an_empty_label_is_drawn_with_its_prediction_which_survives_packing(make_case, bone, tmp_path):
    case = make_case("e", reference=0 * bone)
    predicted = Request(case, np.packbits(bone), bone.shape)
    np.testing.assert_array_equal(predicted.mask, bone)
    found = draw_case(predicted)
    assert set(found.slices) <= set(range(9, 18))  # the bone has the slices 8 to 16, counted from 0
    assert draw_case(Request(case)).slices == (13,)  # nothing to see: the middle


def test_the_page_lists_the_cases_in_order_and_loads_no_other_file(cohort):
    assert run("rank", cohort, "--pictures", "2") == 0
    page = (cohort / "ranking" / "index.html").read_text()
    assert re.findall(r'<article class="case" id="case-(\w)">', page) == ["c", "a"]
    assert page.count("data:image/webp") == 2
    assert "Contour: <code>c_noisy.nii.gz</code>" in page
    assert "<b>ann</b>" not in page
    assert "<b>ann</b>" in unescape(page)
    assert not re.search(r'(src|href)="(?!data:|#)', page)
