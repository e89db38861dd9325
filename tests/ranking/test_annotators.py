"""Annotators: the known profiles of a simulated panel are recovered; claims need five cases and a clear interval."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from command import run
from mandseg.audit.measurement import UNNAMED
from mandseg.data.case import Case
from mandseg.data.manifest import read_cohort, write_cohort
from mandseg.data.volume import Volume, write_volume
from mandseg.metrics.agreement import score
from mandseg.metrics.division import MANDIBLE
from mandseg.metrics.regions import REGIONS
from mandseg.noise import Panel, Tendency, TipsCut
from mandseg.ranking.annotators import annotator_table, annotators_of, claims, parts_in
from mandseg.ranking.judges.evidence import displacements_mm
from shapes import ISO, ball, horseshoe

CASES = 6  # of an annotator


def labels_of(panel, reference):
    """What ``mandseg rank`` measures of CASES cases of each annotator."""
    rows = []
    for name in panel.names:
        for k in range(CASES):
            case = Case(f"{name}-{k}", "s", "train", None, None, annotator=name)
            drawn = panel.draw(case, reference, None, ISO)
            moved = displacements_mm(drawn, reference, ISO)
            biases = {f"bias_{region}_mm": moved.get(region) for region in REGIONS}
            surface_mm = score(drawn, reference, ISO)["assd_mm"]
            rows.append({"annotator": name, "surface_mm": surface_mm, "bias_mm": moved["all"], **biases})
    return pd.DataFrame(rows)


def test_the_biases_of_a_simulated_panel_are_recovered_within_their_intervals():
    panel = Panel((), size=10, bias_spread_mm=1.0, case_bias_mm=0.3)
    true_mm = np.array([panel.style(name)[0].outward_mm for name in panel.names])
    found = annotator_table(labels_of(panel, ball(10.0, ISO, 34)))  # round: no face of voxels rounds a margin
    assert list(found.annotator) == list(panel.names)
    assert stats.pearsonr(found.bias_all_mm, true_mm)[0] > 0.97
    held = (found.bias_all_mm_low <= true_mm) & (true_mm <= found.bias_all_mm_high)
    assert held.sum() >= 9  # ten intervals of 95 %; the seed was fixed beforehand
    wrong_side = (found.bias_all_mm_low > 0) & (true_mm < 0) | (found.bias_all_mm_high < 0) & (true_mm > 0)
    assert not wrong_side.any()


def test_who_cuts_the_condyles_is_found_by_region():
    panel = Panel([Tendency(TipsCut(8, 8), share=0.5, spread=0)], size=6, bias_spread_mm=0.1, case_bias_mm=0.1)
    cuts = {name: len(panel.style(name)) == 2 for name in panel.names}
    assert len(set(cuts.values())) == 2
    table = annotator_table(labels_of(panel, horseshoe())).set_index("annotator")
    assert {name: table.bias_condyle_mm_high[name] < -1 for name in cuts} == cuts
    lines = claims(table.reset_index())
    assert {name: any(line.startswith(name) and "condyles" in line for line in lines) for name in cuts} == cuts


def test_an_annotator_with_larger_errors_has_a_larger_ratio():
    rng = np.random.default_rng(0)
    rows = [
        {"annotator": name, "surface_mm": mm * np.exp(0.05 * rng.standard_normal()), "bias_mm": 0.0}
        for name, mm in (("near", 1.0), ("far", 2.0))
        for _ in range(10)
    ]
    table = annotator_table(pd.DataFrame(rows).assign(**{f"bias_{r}_mm": np.nan for r in REGIONS}))
    ratio = table.set_index("annotator").distance_ratio
    assert ratio["far"] / ratio["near"] == pytest.approx(2.0, rel=0.05)
    assert ratio["far"] * ratio["near"] == pytest.approx(1.0, rel=0.05)


def test_the_average_annotator_is_not_the_one_with_most_cases():
    rng = np.random.default_rng(0)
    rows = [
        {"annotator": name, "surface_mm": mm * np.exp(0.05 * rng.standard_normal()), "bias_mm": 0.0}
        for name, mm, n in (("near", 1.0, 40), ("b", 2.0, 5), ("c", 2.0, 5), ("d", 2.0, 5))
        for _ in range(n)
    ]
    table = annotator_table(pd.DataFrame(rows).assign(**{f"bias_{r}_mm": np.nan for r in REGIONS}))
    ratio = table.set_index("annotator").distance_ratio
    assert ratio.near == pytest.approx(2 ** (0 - 3 / 4), rel=0.05)
    assert ratio[["b", "c", "d"]].to_numpy() == pytest.approx(2 ** (1 - 3 / 4), rel=0.05)
    assert any(line.startswith("near, 40 cases: distances 0.") for line in claims(table))


def measured(names, mm):
    rows = [{"annotator": n, "surface_mm": 1.0, "bias_mm": value} for n, value in zip(names, mm, strict=True)]
    return pd.DataFrame(rows).assign(**{f"bias_{region}_mm": np.nan for region in REGIONS})


def test_four_cases_make_no_claim_and_five_do():
    for n, expected in ((4, 0), (5, 1)):
        names = ["wide"] * n + ["other"] * 12
        values = [3.0 + 0.01 * k for k in range(n)] + [0.1 * (-1) ** k for k in range(12)]
        found = annotators_of(measured(names, values), "x", False)
        assert len(found.claims) == expected
    assert found.claims[0].startswith("wide, 5 cases: 3.0 mm outward (+2.")


def test_a_claim_about_a_region_needs_five_cases_that_have_it():
    for n, expected in ((4, False), (5, True)):
        table = measured(["wide"] * 8 + ["other"] * 12, [0.1 * (-1) ** k for k in range(20)])
        table["bias_condyle_mm"] = [3.0 + 0.01 * k if k < n else np.nan for k in range(8)] + [0.1] * 12
        found = annotators_of(table, "x", False)
        assert found.table.set_index("annotator").n_condyle["wide"] == n
        assert any(line.startswith("wide") for line in found.claims) is expected


def test_labels_without_an_annotator_are_nobodys():
    assert annotators_of(measured([UNNAMED] * 9, [3.0] * 9), "x", False) is None
    found = annotators_of(measured([UNNAMED] * 9 + ["a"] * 2, [3.0] * 11), "x", False)
    assert list(found.table.annotator) == ["a"]
    assert parts_in(found.table) == ["all", *MANDIBLE.regions]


def test_the_page_and_the_table_name_recorded_annotators(tmp_path):
    affine, cases = np.diag([1.0, 1.0, 1.0, 1.0]), []
    for k in range(12):
        name, lower = ("Anna", 0) if k % 2 else ("Ben", 3)
        drawn = horseshoe()
        if lower:
            drawn[:, :, 33:] = False
        files = {kind: tmp_path / "cohort" / f"{k}_{kind}.nii.gz" for kind in ("reference", "noisy")}
        for kind, mask in (("reference", horseshoe()), ("noisy", drawn)):
            write_volume(files[kind], Volume(mask.astype(np.uint8), affine))
        cases.append(Case(f"c{k}", f"c{k}", "train", None, files["reference"], files["noisy"], name))
    write_cohort(tmp_path / "cohort", cases)
    assert run("rank", tmp_path / "cohort", "--pictures", "0") == 0
    page = (tmp_path / "cohort" / "ranking" / "index.html").read_text()
    assert "<li>Ben, 6 cases: " in page
    assert "<li>Anna" not in page
    table = pd.read_csv(tmp_path / "cohort" / "ranking" / "annotators.csv").set_index("annotator")
    assert table.bias_condyle_mm_high["Ben"] < 0 < table.bias_condyle_mm_high["Anna"] + 1e-6
    assert len(read_cohort(tmp_path / "cohort").cases) == 12


def test_a_claim_of_a_small_bias_is_not_one_of_0_mm():
    row = {"annotator": "ann", "n_cases": 9, "bias_all_mm": 0.04, "bias_all_mm_low": 0.012, "bias_all_mm_high": 0.068}
    ratio = {"distance_ratio": 1.0, "distance_ratio_low": 0.9, "distance_ratio_high": 1.1}
    assert claims(pd.DataFrame([row | ratio | {"n_all": 9}])) == ["ann, 9 cases: 0.04 mm outward (+0.01 to +0.07)."]
