"""Fidelity: the measures of a drawing, the comparison of two samples, and the command, on small mandibles of voxels."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from omegaconf import OmegaConf

from mandseg.audit.fidelity.assessment import known_panel
from mandseg.audit.fidelity.fit import balanced_seeds, fit, parameters, predicted_step, start, with_parameters
from mandseg.audit.fidelity.pairs import deal, read_pairs
from mandseg.audit.fidelity.quantities import QUANTITIES, measure
from mandseg.audit.fidelity.realism import advantage, compare, exchange_p, misfit, misfit_of, table
from mandseg.audit.fidelity.simulation import draw, measured, simulated_table
from mandseg.audit.pair import LabelPair
from mandseg.cli.main import main
from mandseg.data.case import Case
from mandseg.data.manifest import write_cohort
from mandseg.data.spreadsheet import read_table
from mandseg.data.volume import Volume, write_volume
from mandseg.noise import EndSlices, HandJitter, Margin, Panel, SmoothError, Tendency
from mandseg.runs.run_name import noise_label
from mandseg.system.config_paths import config_folder
from mandseg.system.errors import UserError
from shapes import ISO, ball, horseshoe

SPACING = (1.0, 1.0, 2.5)
COARSE = (2.0, 2.0, 2.0)


def rng(seed=0):
    return np.random.default_rng(seed)


def same_table(values):
    """A table in which every quantity has these (C, R) values."""
    return dict.fromkeys(QUANTITIES, np.asarray(values, float))


def pair(k, noisy=None):
    reference = np.roll(horseshoe(), k % 3 - 1, axis=0)
    return LabelPair(Case(str(k), str(k), "test", None, None), reference, reference if noisy is None else noisy, ISO)


def test_a_copy_of_the_reference_deviates_nowhere():
    found = measure(horseshoe(), horseshoe(), SPACING)
    assert set(found) == set(QUANTITIES)
    for name, value in found.items():
        perfect = 1.0 if name in ("dice", "nsd_1mm", "nsd_2mm") or name.startswith(("slice_share", "slice_area")) else 0
        assert value == pytest.approx(perfect, abs=1e-6), name


def test_a_slice_shifted_outward_is_found_at_its_height_and_no_other():
    reference = np.zeros((30, 30, 10), bool)
    reference[10:20, 10:20] = True  # 100 mm2, 40 voxel edges: a perimeter of 31.4 mm
    drawn = reference.copy()
    drawn[9, 10:20, 5] = True  # 10 mm2 more in one of ten slices, the sixth: height 3 of 5
    found = measure(drawn, reference, ISO)
    assert found["slice_area_3"] == pytest.approx(210 / 200)
    assert found["slice_shift_mm_3"] == pytest.approx(10 / (2 * 10 * np.pi))
    assert found["slice_roughness_mm_3"] == pytest.approx(10 / (10 * np.pi) / np.sqrt(2))  # steps from below: 0, 1
    assert found["slice_area_2"] == 1
    assert found["slice_share_3"] == 1


def test_a_tip_missing_on_one_side_counts_as_a_half_of_a_slice():
    reference = horseshoe()  # slices 8 to 35: 28, the uppermost fifth has 6 slices, 12 halves
    drawn = reference.copy()
    drawn[30:, :, 34:] = False
    assert measure(drawn, reference, ISO)["slice_share_5"] == pytest.approx(10 / 12)
    drawn[10:16, 10:14, 36] = True  # and one more on the other side, beyond the reference
    assert measure(drawn, reference, ISO)["slice_share_5"] == pytest.approx(11 / 12)


def test_a_margin_shows_in_every_region_with_its_sign():
    for mm in (-2.0, 2.0):
        found = measure(Margin(mm)(horseshoe(), ISO, rng()), horseshoe(), ISO)
        for region in ("body", "angle", "ramus"):
            assert np.sign(found[f"{region}_mean_mm"]) == np.sign(mm)
        assert np.sign(found["volume_difference"]) == np.sign(mm)


def test_what_is_not_there_is_not_measured_and_nothing_is_nan():
    block = np.zeros((12, 12, 2), bool)
    block[4:8, 4:8] = True  # two slices: no ramus, no fifth for each
    for drawn in (block, np.zeros_like(block)):
        found = measure(drawn, block, SPACING)
        assert len(found) < len(QUANTITIES)
        assert np.isfinite(list(found.values())).all()
    rows = table([[found], [found]])
    assert {c.quantity for c in compare(rows, rows)} == set(found)
    assert np.isfinite(misfit(compare(rows, rows)))


def test_identical_populations_are_at_distance_zero_and_cannot_be_distinguished():
    values = rng().normal(size=(10, 1))
    for found in compare(same_table(values), same_table(np.repeat(values, 4, axis=1)), 200):
        assert (found.wasserstein, found.relative, found.ks) == pytest.approx((0, 0, 0))
        assert found.p == 1


def test_a_known_shift_is_its_distance_and_is_found():
    values = rng().normal(size=(12, 9))
    found = compare(same_table(values[:, :1]), same_table(values[:, :1] + 3.0), 200)[0]
    assert found.wasserstein == pytest.approx(3.0)
    assert found.relative == pytest.approx(3.0 / values[:, 0].std())
    assert compare(same_table(values[:, :1]), same_table(values[:, 1:] + 3.0), 200)[0].p < 0.01


def test_drawings_of_one_kind_are_distinguished_at_the_nominal_rate():
    generator = rng(1)
    ps = [exchange_p(generator.normal(size=(9, 1)) + generator.normal(size=(9, 4)), 99, generator) for _ in range(300)]
    assert np.mean(np.array(ps) < 0.1) == pytest.approx(0.1, abs=0.05)


def test_a_case_without_a_value_is_left_out_and_the_others_count():
    values = rng().normal(size=(6, 3))
    values[0, 0] = values[1, 1] = np.nan
    found = compare(same_table(values[:, :1]), same_table(values[:, 1:]), 50)[0]
    assert (found.n_cases, found.n_drawings) == (5, 9)
    assert np.isfinite([found.wasserstein, found.ks_p, found.p]).all()


def test_the_misfit_weighs_groups_alike_and_needs_no_tests():
    real, simulated = same_table(rng(0).normal(size=(8, 1))), same_table(rng(1).normal(size=(8, 3)))
    compared = compare(real, simulated, 10)
    assert misfit(compared) == pytest.approx(compared[0].relative)
    assert misfit_of(real, simulated) == pytest.approx(misfit(compared))


def test_end_slices_move_horizontal_borders_only_and_in_both_directions():
    block = np.zeros((20, 20, 14), bool)
    block[5:15, 5:15, 4:10] = True
    counts = [
        EndSlices(upper_mm=4.0, lower_mm=0.0, patch_mm=0.0)(block, SPACING, rng(seed)).sum(axis=(0, 1))
        for seed in range(12)
    ]
    tops = {int(np.flatnonzero(n)[-1]) for n in counts}
    assert min(tops) < 9 < max(tops)
    assert {int(np.flatnonzero(n)[0]) for n in counts} == {4}
    for n in counts:
        assert (n[4 : int(np.flatnonzero(n)[-1])] == 100).all()  # walls stay
    lower = EndSlices(upper_mm=0.0, lower_mm=4.0, patch_mm=0.0)
    assert {int(np.flatnonzero(lower(block, SPACING, rng(s)).any(axis=(0, 1)))[-1]) for s in range(12)} == {9}


def test_the_bias_of_a_case_has_the_requested_spread():
    cases = [Case(str(k), str(k), "train", None, None) for k in range(400)]
    panel = Panel((), bias_mm=0.5, case_bias_mm=0.3)
    biases = [panel.profile(case).modes[0].outward_mm for case in cases]
    assert np.mean(biases) == pytest.approx(0.5, abs=0.06)
    assert np.std(biases) == pytest.approx(0.3, abs=0.04)
    assert {Panel((), bias_mm=0.5).profile(case).modes for case in cases} == {(Margin(0.5),)}


def test_a_pair_is_drawn_as_in_training():
    panel = Panel([Tendency(SmoothError(0.8, 8.0))], bias_mm=0.5)
    one = pair(0)
    assert (draw(panel, one) == panel.draw(one.case, one.reference, None, ISO)).all()


def test_what_the_reference_alone_decides_is_found_once_and_changes_nothing():
    drawn = np.roll(Margin(1.5)(horseshoe(), ISO, rng()), 2, axis=1)
    one = pair(1, drawn)
    assert measured(drawn, one) == pytest.approx(measure(drawn, horseshoe(), ISO))
    assert measured(one.reference, one) == pytest.approx(measure(horseshoe(), horseshoe(), ISO))


def test_the_parameters_of_a_panel_go_out_and_in():
    panel = Panel(
        [Tendency(HandJitter(0.3, 6.0, 0.0)), Tendency(Margin(1.0)), Tendency(Margin(-1.0))], case_bias_mm=0.2
    )
    values = parameters(panel)
    assert set(values) == {"case_bias_mm", "HandJitter.amplitude_mm", "Margin_1.outward_mm", "Margin_2.outward_mm"}
    assert with_parameters(panel, values) == panel
    assert parameters(with_parameters(panel, values | {"Margin_2.outward_mm": 3.0}))["Margin_2.outward_mm"] == 3.0


def test_a_fit_starts_from_the_moments_of_the_pairs_for_any_preset():
    pairs = [pair(1, Margin(mm)(horseshoe(), ISO, rng())) for mm in (1.0, 3.0)]
    begin = start(known_panel("radiographer"), pairs)
    assert begin["Margin.outward_mm"] == pytest.approx(2.0, abs=0.2)
    assert begin["case_bias_mm"] == pytest.approx(1.0, abs=0.2)
    assert begin["EndSlices.outward_mm"] == 0
    assert begin["HandJitter.amplitude_mm"] == 0.3
    other = with_parameters(known_panel("radiographer"), dict.fromkeys(begin, 2.5))
    assert start(other, pairs) == begin


def test_the_step_predicted_from_exact_slopes_is_the_true_shift():
    values = rng().normal(size=(12, 2))
    ones, nothing = same_table(np.ones((12, 2))), same_table(np.zeros((12, 2)))
    way = predicted_step(
        same_table(values[:, :1] + 1.3), same_table(values[:, :1].repeat(2, axis=1)), [ones, nothing], 2.0
    )
    assert way[0] == pytest.approx(1.3, abs=0.05)
    assert np.abs(predicted_step(same_table(values[:, :1] + 5.0), same_table(values), [ones], 2.0)) <= 2.0


def test_the_seeds_of_a_fit_give_the_cases_biases_of_the_right_mean_and_spread():
    pairs, panel = [pair(k) for k in range(9)], Panel([], case_bias_mm=0.4, bias_mm=1.0)
    for seed in balanced_seeds(panel, pairs, 2):
        drawer = Panel([], case_bias_mm=1.0, seed=seed)
        biases = [drawer.profile(p.case).modes[0].outward_mm for p in pairs]
        assert abs(np.mean(biases)) < 0.12  # a third of what chance gives nine of them
        assert np.std(biases) == pytest.approx(1, abs=0.12)


def test_a_fit_finds_the_margin_of_people_who_only_have_one():
    balls = [ball(radius_mm, ISO, 28) for radius_mm in (6.2, 7.5, 8.7)]  # round: every margin adds some voxels
    pairs = [LabelPair(pair(k).case, mask, Margin(1.3)(mask, ISO, rng()), ISO) for k, mask in enumerate(balls)]
    panel = Panel([Tendency(Margin(1.0), spread=0), Tendency(SmoothError(1.0, 8.0), spread=0)])
    fitted = fit(panel, pairs, n_rounds=4, n_drawings=1)
    assert fitted.misfit < 0.5 * fitted.misfit_before
    assert fitted.n_tried == 3 + 4 * (2 + 2)
    assert parameters(fitted.panel)["Margin.outward_mm"] == pytest.approx(1.3, abs=0.15)
    assert parameters(fitted.panel)["SmoothError.amplitude_mm"] < 0.15  # from 0.3
    assert fit(with_parameters(panel, dict.fromkeys(parameters(panel), 9.0)), pairs, 4, 1) == fitted


FITTED = Path(__file__).parents[2] / "docs" / "results" / "radiographer" / "fitted.yaml"


@pytest.mark.parametrize("name", ["radiographer", "margin"])
def test_what_is_shipped_is_the_fit_to_all_pairs(name: str):
    values = yaml.safe_load(FITTED.read_text())[name]["whole"]["values"]
    assert parameters(known_panel(name)) == pytest.approx(values, abs=0.0006)  # three decimals


@pytest.mark.parametrize("name", ["radiographer", "margin"])
def test_the_bias_of_a_preset_is_no_change_that_a_run_is_named_after(name: str):
    common, own = (OmegaConf.load(config_folder() / "noise" / f"{file}.yaml") for file in ("panel", name))
    assert noise_label(OmegaConf.merge(common, own)) == name


def test_halves_are_dealt_in_turn_by_displacement_for_any_order():
    sizes_mm = (2.0, -1.0, 1.0, 0.0, -2.0)
    pairs = [
        LabelPair(Case(f"{mm}", f"{mm}", "test", None, None), ball(9, ISO), ball(9 + mm, ISO), ISO) for mm in sizes_mm
    ]
    for order in (pairs, pairs[::-1]):
        assert [[p.case.case_id for p in half] for half in deal(order)] == [["-2.0", "0.0", "2.0"], ["-1.0", "1.0"]]


def test_cases_of_one_subject_stay_in_one_half():
    pairs = [
        LabelPair(Case(f"{k}", f"{k // 2}", "test", None, None), ball(9, ISO), ball(8, ISO), ISO) for k in range(8)
    ]
    first, second = ({p.case.subject_id for p in half} for half in deal(pairs))
    assert len(first) == len(second) == 2
    assert first.isdisjoint(second)


def test_an_advantage_has_its_sign_and_an_interval_over_cases():
    values = rng().normal(size=(20, 9))
    real, near, far = (same_table(v) for v in (values[:, :1], values[:, 1:] + 0.3, values[:, 1:] + 2.0))
    found = advantage(real, near, far, 200)
    assert found.difference == pytest.approx(misfit_of(real, near) - misfit_of(real, far))
    assert found.low < found.difference < found.high < 0
    assert advantage(real, near, near, 50) == type(found)(0.0, 0.0, 0.0)


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Six small cases drawn twice, one of them a copy, and one with one label only."""
    root = tmp_path / "cohort"
    cases = []
    for k in range(7):
        reference = pair(k).reference[::2, ::2, ::2]
        noisy = reference if k == 5 else SmoothError(1.0, 8.0, 0.6)(reference, COARSE, rng(k))
        files = {"reference": root / f"{k}_reference.nii.gz", "noisy": root / f"{k}_noisy.nii.gz"}
        for name, mask in (("reference", reference), ("noisy", noisy)):
            write_volume(files[name], Volume(mask.astype(np.uint8), np.diag([*COARSE, 1.0])))
        cases.append(Case(str(k), str(k), "test", None, files["reference"], None if k == 6 else files["noisy"]))
    write_cohort(root, cases)
    return root


def test_copies_and_single_labels_are_left_out_and_reported(cohort: Path):
    pairs, notes = read_pairs(cohort)
    assert [p.case.case_id for p in pairs] == ["0", "1", "2", "3", "4"]
    assert notes == [
        "case 6 left out: one label only",
        "case 5 left out: its two labels are one drawing and a copy of it",
    ]


def test_wrong_input_is_one_line(cohort: Path):
    with pytest.raises(UserError, match="preset 'recorded': expected one of expert, gross, margin, planning"):
        known_panel("recorded")
    with pytest.raises(UserError, match="case 0: MetalSmear needs the CT, but only the contour is given"):
        simulated_table(known_panel("planning"), [pair(0)], 8)
    empty = Volume(np.zeros((30, 25, 20), np.uint8), np.diag([*COARSE, 1.0]))
    write_volume(cohort / "1_noisy.nii.gz", empty)
    with pytest.raises(UserError, match="case 1: the noisy label is empty, 0 of 15000 voxels are set"):
        read_pairs(cohort)
    write_volume(cohort / "1_noisy.nii.gz", Volume(np.ones((9, 9, 9), np.uint8), np.eye(4)))
    with pytest.raises(UserError, match="case 1: noisy shape"):
        read_pairs(cohort)


def test_the_command_writes_tables_figures_and_the_fit(
    cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out"
    arguments = ["fidelity", str(cohort), "--out", str(out), "--drawings", "2", "--fit", "1", "--workers", "1"]
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert not end.value.code
    printed = capsys.readouterr().out
    assert "3 + 2 pairs, divided by displacement" in printed
    assert "radiographer minus margin: " in printed
    assert "quantities differ" in printed
    assert "people: misfit" in printed
    _, rows = read_table(out / "comparison.csv")
    assert {(row["drawn_by"], row["preset"]) for row in rows} == {
        (how, preset) for how in ("held out", "fitted on all") for preset in ("radiographer", "margin")
    }
    assert {row["n_cases"] for row in rows} == {"5"}
    assert "nan" not in (out / "comparison.csv").read_text().lower()
    assert [row["half"] for row in read_table(out / "halves.csv")[1]] == ["1", "1", "1", "2", "2"]
    fitted = yaml.safe_load((out / "fitted.yaml").read_text())
    assert list(fitted["margin"]) == ["whole", "first", "second"]
    assert fitted["margin"]["first"]["n_tried"] == 9 + 2 + 2
    assert set(fitted["margin"]["whole"]["values"]) == {"case_bias_mm", "Margin.outward_mm"}
    assert fitted["radiographer"]["first"]["values"] != fitted["radiographer"]["second"]["values"]
    for group in ("agreement", "regions", "slices"):
        assert {(out / f"quantiles-{group}.{end}").stat().st_size > 1000 for end in ("png", "svg")} == {True}


def test_a_table_of_drawings_is_the_same_again_and_by_two_processes():
    pairs, panel = [pair(k) for k in range(2)], Panel([Tendency(SmoothError(0.8, 8.0))], bias_mm=0.5)
    first = simulated_table(panel, pairs, 2)
    for workers in (1, 2):
        for name, values in simulated_table(panel, pairs, 2, workers).items():
            np.testing.assert_array_equal(values, first[name])
