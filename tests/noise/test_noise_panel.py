"""Panels of annotators: the annotator of each case, recognisable styles, presets, recorded labels."""

import numpy as np
import pytest

from mandseg.data.case import Case
from mandseg.metrics.regions import REGIONS, find_landmarks, region_map
from mandseg.noise import Margin, Panel, Profile, Recorded, SmoothError, Tendency, TipsCut, load_preset
from mandseg.noise.label_plan import cases_of_annotators, plan_noise
from mandseg.system.errors import UserError
from shapes import ISO, ball, ct, horseshoe

PRESETS = ["expert", "radiographer", "planning", "gross"]
TENDENCIES = (
    Tendency(SmoothError(0.5, 8.0), spread=0.3),
    Tendency(TipsCut(4.0, 0.0), share=0.5),
    Tendency(TipsCut(0.0, 4.0), share=0.5),
)


def case(case_id="a", annotator="", **files):
    return Case(case_id, case_id, "train", None, files.get("reference"), files.get("noisy"), annotator)


def drawn(panel, *names, annotator=""):
    return [panel.draw(case(name, annotator), horseshoe(), None, ISO, ct(horseshoe())) for name in names]


def test_a_contour_depends_on_seed_case_and_annotator_alone():
    panel = Panel(TENDENCIES, seed=3)
    first, other = drawn(panel, "a", "b")
    (alone,) = drawn(panel, "a")
    assert (alone == first).all()
    assert (other != first).any()
    assert (drawn(Panel(TENDENCIES, seed=4), "a")[0] != first).any()
    assert panel.label_key(case("a")) == Panel(TENDENCIES, seed=3, leave_out=None).label_key(case("a"))
    assert panel.label_key(case("a")) != panel.label_key(case("b"))


def test_cases_are_dealt_out_among_the_panel_and_recorded_annotators_are_kept():
    panel = Panel(TENDENCIES)
    names = {panel.annotator(case(f"case {k}")) for k in range(200)}
    assert names == set(panel.names) == {f"annotator_{k:02d}" for k in range(1, 13)}
    assert panel.annotator(case("a", annotator="Mrs B")) == "Mrs B"
    assert panel.style("annotator_01") != panel.style("annotator_02")


def test_leaving_one_out_reassigns_only_their_cases():
    panel, without = Panel(TENDENCIES), Panel(TENDENCIES, leave_out="annotator_03")
    for k in range(100):
        before, after = panel.annotator(case(str(k))), without.annotator(case(str(k)))
        assert after != "annotator_03"
        assert before in (after, "annotator_03")
        if before == after:
            assert panel.label_key(case(str(k))) == without.label_key(case(str(k)))


def test_only_the_listed_annotators_take_part():
    panel = Panel(TENDENCIES, annotators=["annotator_01", "annotator_02"])
    assert {panel.annotator(case(str(k))) for k in range(50)} == {"annotator_01", "annotator_02"}


def test_training_cases_are_chosen_by_recorded_annotator():
    cases = [case(f"{name}{k}", annotator=name) for name in ("ann", "bob", "eve") for k in range(2)]
    assert {c.annotator for c in cases_of_annotators(cases, Recorded(), ["ann", "eve"], None)} == {"ann", "eve"}
    assert {c.annotator for c in cases_of_annotators(cases, Recorded(), None, "bob")} == {"ann", "eve"}
    assert len(cases_of_annotators(cases, Recorded(), None, None)) == 6
    with pytest.raises(UserError, match="no annotator is called 'zoe', the names are ann, bob, eve"):
        cases_of_annotators(cases, Recorded(), ["zoe"], None)
    with pytest.raises(UserError, match="no training case is left of 6"):
        cases_of_annotators(cases, Recorded(), ["ann"], "ann")


def test_a_left_out_annotators_cases_do_not_leave_a_simulated_panel():
    cases = [case(str(k)) for k in range(40)]
    panel = Panel(TENDENCIES, leave_out="annotator_01")
    chosen = cases_of_annotators(cases, panel, None, "annotator_01")
    assert len(chosen) == 40
    plan = plan_noise({c.case_id: panel.annotator(c) for c in chosen}, 0.5, 0)
    assert len(plan.noisy) == 20


def signature(mask):
    """Voxels added to each region and to each half, less those taken, as a share of its reference voxels."""
    reference = horseshoe()
    regions = region_map(find_landmarks(reference, ISO), reference.shape, ISO)
    change = mask.astype(int) - reference
    return np.array([change[regions == k].sum() / (reference & (regions == k)).sum() for k in range(len(REGIONS))])


@pytest.mark.parametrize("panel", [Panel(TENDENCIES, bias_spread_mm=0.7, case_spread=0.1), load_preset("planning")])
def test_contours_by_one_annotator_are_more_alike_than_contours_by_two(panel):
    signatures = {name: [signature(mask) for mask in drawn(panel, *"abcd", annotator=name)] for name in panel.names[:8]}
    pairs = [(a, b, s, t) for a in signatures for b in signatures for s in signatures[a] for t in signatures[b]]
    within = [np.linalg.norm(s - t) for a, b, s, t in pairs if a == b and s is not t]
    between = [np.linalg.norm(s - t) for a, b, s, t in pairs if a != b]
    assert np.median(between) > 1.5 * np.median(within)


def test_a_panel_of_severity_zero_draws_the_reference_and_bias_moves_all_of_it():
    (same,) = drawn(Panel(TENDENCIES, severity=0.0), "a")
    assert (same == horseshoe()).all()
    for k in range(3):
        (outward,), (inward,) = (drawn(Panel((), bias_mm=bias), str(k)) for bias in (1.5, -1.5))
        assert inward.sum() < horseshoe().sum() < outward.sum()


def test_every_case_of_a_calibrated_panel_has_the_target_dice():
    for mask in drawn(Panel(TENDENCIES, bias_mm=0.5, target_dice=0.85), *"abcdef"):
        dice = 2 * (mask & horseshoe()).sum() / (mask.sum() + horseshoe().sum())
        assert dice == pytest.approx(0.85, abs=0.005)


def test_equal_dice_with_outward_and_inward_bias():
    volumes = {}
    for bias in (-1.0, 1.0):
        masks = drawn(Panel(TENDENCIES, bias_mm=bias, target_dice=0.8), *"abcd")
        volumes[bias] = np.mean([mask.sum() for mask in masks])
    assert volumes[-1.0] < horseshoe().sum() < volumes[1.0]


def test_wrong_settings_and_cases_are_named():
    with pytest.raises(UserError, match=r"noise\.severity=-1"):
        Panel((), severity=-1)
    with pytest.raises(UserError, match="give one"):
        Panel((), target_dice=0.9, target_hd95_mm=2.0)
    with pytest.raises(UserError, match="target_dice=0: expected"):
        Panel((), target_dice=0)
    with pytest.raises(UserError, match="case a: no reference"):
        Panel(()).draw(case(), None, None, (1, 1, 1))
    with pytest.raises(UserError, match=r"case a: target dice 0\.5 cannot be reached"):
        Panel((), target_dice=0.5).draw(case(), horseshoe(), None, ISO)
    with pytest.raises(UserError, match="case a: no noisy label"):
        Recorded().draw(case(), np.ones((2, 2, 2), bool), None, (1, 1, 1))


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_makes_twelve_annotators_with_different_styles(name):
    panel = load_preset(name)
    assert len({repr(panel.style(annotator)) for annotator in panel.names}) == 12
    (mask,) = drawn(panel, "a")
    assert (mask != horseshoe()).any()


def test_presets_are_ordered_by_how_rough_they_are():
    def mean_dice(name):
        masks = drawn(load_preset(name), *"abcdefgh")
        return np.mean([2 * (m & horseshoe()).sum() / (m.sum() + horseshoe().sum()) for m in masks])

    assert mean_dice("expert") > mean_dice("radiographer") > mean_dice("planning")


def test_knobs_of_a_preset_can_be_set_in_code():
    panel = load_preset("planning", severity=0.5, seed=7, target_dice=0.9)
    assert (panel.severity, panel.seed, panel.target_dice) == (0.5, 7, 0.9)
    assert load_preset("planning").bias_mm == 0


def test_profiles_are_lists_of_modes_in_any_order():
    profile = Profile([Margin(2.0), Margin(-2.0)])
    assert (profile(horseshoe(), ISO, np.random.default_rng(0)) == horseshoe()).all()


def test_a_preset_that_looks_for_parts_of_a_mandible_refuses_another_structure_in_one_line():
    case = Case("a", "a", "train", None, None, groups={"structure": "Parotid_L"})
    mask = ball(10, ISO, size=28)
    with pytest.raises(UserError, match=r"structure is Parotid_L, and TeethIncluded, .* need a mandible") as e:
        load_preset("planning").draw(case, mask, None, ISO, None)
    assert len(e.value.problems) == 1
    for preset in ("margin", "expert"):
        assert load_preset(preset).draw(case, mask, None, ISO, None).any()
