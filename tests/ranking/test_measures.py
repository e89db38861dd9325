"""Measures of a label alone: numbers that follow from the shape; each error moves its own measure."""

import numpy as np
import pandas as pd
import pytest

from mandseg.data.case import Case
from mandseg.metrics.division import THIRDS
from mandseg.ranking.displacements import displacements_mm, regions_in
from mandseg.ranking.drawn_label import DrawnLabel
from mandseg.ranking.scores.catalogue import MEASURES, measure_label
from mandseg.ranking.scores.ends import cut_above_mm2, cut_below_mm2
from mandseg.ranking.scores.hounsfield import bone_beside_share, median_hu, soft_share
from mandseg.ranking.scores.outlier import distances, outlier
from mandseg.ranking.scores.pieces import apart_ml, n_pieces
from mandseg.ranking.scores.size import height_mm, height_to_length, volume_ml
from mandseg.ranking.scores.symmetry import asymmetry, uneven_tops_mm
from mandseg.ranking.slices import doubtful_voxels
from mandseg.ranking.words import hint, reasons
from shapes import ISO, ct, horseshoe

CASE = Case("a", "a", "train", None, None)
PAROTID = Case("a", "a", "train", None, None, groups={"structure": "Parotid_L"})
NAMES = [measure.name for measure in MEASURES]


def label(mask, spacing_mm=ISO, hu=None):
    return DrawnLabel(CASE, mask, spacing_mm, ct(horseshoe()) if hu is None else hu, 0, mask.shape[2])


def test_size_is_that_of_a_box_of_known_edges():
    mask = np.zeros((20, 30, 40), bool)
    mask[5:15, 10:20, 0:25] = True  # 10 x 10 x 25 voxels
    drawn = label(mask, (1.0, 2.0, 3.0), np.zeros(mask.shape, np.int16))
    assert volume_ml(drawn) == pytest.approx(2500 * 6 / 1000)
    assert height_mm(drawn) == 75
    assert height_to_length(drawn) == pytest.approx(75 / 20)


def test_a_margin_adds_soft_tissue_and_a_narrow_contour_leaves_bone_beside():
    mask = horseshoe()
    wide, narrow = mask.copy(), mask.copy()
    wide[:, :, 7] |= mask[:, :, 8]
    narrow[:, 45] = False
    assert soft_share(label(mask)) == 0
    assert soft_share(label(wide)) == pytest.approx(np.count_nonzero(wide & ~mask) / np.count_nonzero(wide))
    assert median_hu(label(mask)) == 900
    assert bone_beside_share(label(mask)) == 0
    assert bone_beside_share(label(narrow)) > 0


def test_a_part_apart_is_a_piece_with_its_volume():
    mask = horseshoe()
    mask[0:2, 0:2, 0:2] = True
    assert n_pieces(label(mask)) == 2
    assert apart_ml(label(mask)) == pytest.approx(0.008)
    assert n_pieces(label(horseshoe())) == 1


def test_a_missing_condyle_is_asymmetric_cuts_bone_and_is_named():
    mask = horseshoe()
    cut = mask.copy()
    cut[10:16, :, 22:] = False  # the upper 14 mm of one ramus, 6 x 12 mm
    assert asymmetry(label(mask)) == 0
    assert uneven_tops_mm(label(mask)) == 0
    assert uneven_tops_mm(label(cut)) == 14
    left, right = np.count_nonzero(cut[:30]), np.count_nonzero(cut[30:])
    assert asymmetry(label(cut)) == pytest.approx(abs(left - right) / (left + right))
    both = mask.copy()
    both[:, :, 22:] = False
    assert cut_above_mm2(label(mask)) == 0
    assert cut_above_mm2(label(both)) == 2 * 6 * 12  # both rami were cut through
    assert cut_below_mm2(label(mask)) == 0
    low = mask.copy()
    low[:, :, :15] = False
    assert cut_below_mm2(label(low)) > 100


def test_an_empty_label_and_a_label_without_ct_have_the_measures_that_exist():
    empty = measure_label(label(np.zeros((60, 50, 40), bool)))
    assert (empty["volume_ml"], empty["height_mm"], empty["pieces"]) == (0, 0, 0)
    assert empty["median_hu"] is empty["cut_above_mm2"] is empty["asymmetry"] is None
    without = DrawnLabel(CASE, horseshoe(), ISO, None, 0, 40)
    found = measure_label(without)
    assert [name for name, value in found.items() if value is None] == [
        *("median_hu", "soft_share", "bone_beside_share", "cut_above_mm2", "cut_below_mm2")
    ]


def test_distances_are_robust_and_the_outlier_score_is_their_root_mean_square():
    table = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0, 100.0], "b": [1.0, 1.0, 1.0, 1.0, 3.0]})
    found = distances(table, table, {"a": 0.1, "b": 0.5})
    assert found.a[0] == pytest.approx(-2 / 1.4826)  # median 3, median absolute deviation 1
    assert list(found.b) == [0, 0, 0, 0, 4]  # the deviation is 0: least scale
    assert outlier(found).idxmax() == 4
    assert outlier(found)[4] == pytest.approx(np.sqrt((36 + 16) / 2))  # the first is limited to 6


def test_a_measure_that_cannot_be_made_is_not_suspicious():
    table = pd.DataFrame({"a": [1.0, 2.0, np.nan]})
    assert distances(table, table, {"a": 1.0}).a[2] == 0


def test_words_name_the_unusual_measure_and_the_region():
    values = {measure.name: 1.0 for measure in MEASURES} | {"apart_ml": 4.25}
    away = dict.fromkeys(NAMES, 0.0) | {"apart_ml": 9.0}
    middle = pd.Series(dict.fromkeys(NAMES, 0.0))
    assert reasons(values, away, middle) == "volume apart (ml) 4.2, median 0.0"
    assert hint(away, {}) == "separate pieces"
    assert hint(away, {"condyle": -9.0, "teeth": 5.0, "body": 0.3}) == "condyles missing; teeth included"
    short = dict.fromkeys(NAMES, 0.0) | {"height_mm": -9.0}
    assert hint(short, {}) == "too short from top to bottom"
    assert hint(short, {"condyle": 0.2, "ramus": 2.2}) == "ramus 2.2 mm outward"
    assert hint(short, {"condyle": 0.2}) == ""  # the prediction is as short
    assert reasons(values | {"volume_ml": 0.0}, away, middle) == "nothing is drawn"


def test_another_structure_has_the_measures_that_do_not_look_for_a_mandible_and_thirds_for_regions():
    found = measure_label(DrawnLabel(PAROTID, horseshoe(), ISO, ct(horseshoe()), 0, 40))
    assert list(found) == ["volume_ml", "height_mm", "median_hu", "pieces", "apart_ml"]
    away = dict.fromkeys(found, 0.0)
    assert hint(away | {"apart_ml": 9.0}, {}) == "separate pieces"
    assert hint(away, {"upper": -6.0, "middle": 0.0, "lower": 4.0}) == "upper third too small; lower third too large"
    cut = horseshoe()
    cut[:, :, 28:] = False
    moved = displacements_mm(cut, horseshoe(), ISO, THIRDS)
    assert list(moved) == ["all", "upper", "middle", "lower"]
    assert moved["upper"] < -1 < moved["lower"]
    assert regions_in(["case_id", "bias_mm", "bias_lower_mm", "bias_upper_mm"]) == ["upper", "lower"]


def test_doubtful_voxels_of_another_structure_are_those_of_its_label():
    parotid = DrawnLabel(PAROTID, horseshoe(), ISO, ct(horseshoe()), 0, 40)
    assert np.array_equal(doubtful_voxels(parotid, None), parotid.mask)
