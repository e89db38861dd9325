"""The dose of a study that is trained already: from its networks and a manifest to dose.csv and the report."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from omegaconf import OmegaConf

from bone_network import anatomy, bone_config, write_checkpoint
from command import run
from mandseg.data.case import Case
from mandseg.data.manifest import read_cohort, write_cohort
from mandseg.data.volume import Volume, read_volume, write_volume
from mandseg.metrics.agreement import score
from mandseg.report.write import write_report
from mandseg.runs.study import open_study
from mandseg.runs.trained.load import load_predictor
from study_fixture import case_row, run_name, write_run

SMALLEST_PIECE = 0.2
CUT = 18  # lower slices are missing in the reference of case b
RATIOS = {0.0: 650.0, 0.5: 300.0}
"""The threshold of the network in HU: a lower one finds more of the border."""


def ramp_along_z(shape: tuple[int, ...], affine: np.ndarray) -> Volume:
    """30 Gy in the first slice and 0.5 Gy more in each further one."""
    gray = 30 + 0.5 * np.arange(shape[2], dtype=np.float32)
    return Volume(np.broadcast_to(gray, shape).copy(), affine)


def write_dosed_cohort(root: Path, with_dose: bool = True) -> Path:
    """Two patients: the same head, its reference, and for each a dose; the second reference lacks a slab."""
    image = anatomy()
    bone = image.array == 900
    for name in ("a", "b"):
        hu = image.array.copy()
        hu[0, 0, 0] += name == "b"
        mask = bone.copy()
        mask[:, :, :CUT] &= name == "a"
        write_volume(root / f"{name}.nii.gz", Volume(hu, image.affine))
        write_volume(root / f"{name}_reference.nii.gz", Volume(mask, image.affine))
        write_volume(root / f"{name}_dose.nii.gz", ramp_along_z(hu.shape, image.affine))
    cases = [
        Case(
            name, name, "test", root / f"{name}.nii.gz", root / f"{name}_reference.nii.gz",
            dose=root / f"{name}_dose.nii.gz" if with_dose else None,
        )
        for name in ("a", "b")
    ]  # fmt: skip
    write_cohort(root, cases)
    return root


def write_dosed_study(folder: Path, cohort: Path, seeds: tuple[int, ...] = (0, 1)) -> Path:
    """Done runs, tested on the cohort as a run tests: cases.csv has the Dice of each network."""
    for ratio, threshold_hu in RATIOS.items():
        for seed in seeds:
            made = write_run(folder, ratio, seed, [], n_rows=2)
            cfg = bone_config(noise_ratio=ratio, seed=seed)
            source = {"_target_": "mandseg.data.sources.from_manifest", "manifest": str(cohort), "test_sets_by": None}
            cfg.data.source = source
            (made / "config.yaml").write_text(yaml.safe_dump(OmegaConf.to_container(cfg, resolve=True)))
            write_checkpoint(made / "checkpoints" / "train" / "last.ckpt", threshold_hu + 20 * seed, cfg)
            rows = [case_row(ratio, seed, "test", case.case_id, dice_of(made, case)) for case in cases_of(cohort)]
            with (made / "cases.csv").open("w", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
    return folder


def cases_of(cohort: Path) -> tuple[Case, ...]:
    return read_cohort(cohort).cases


def predicted(made: Path, case: Case) -> np.ndarray:
    assert case.image is not None
    return np.asarray(load_predictor(made, device="cpu").mask(read_volume(case.image), SMALLEST_PIECE).array)


def dice_of(made: Path, case: Case) -> float:
    assert case.reference is not None
    reference = read_volume(case.reference)
    return float(score(predicted(made, case), reference.array != 0, reference.geometry.spacing_mm)["dice"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dose")
    write_dosed_study(folder / "study", write_dosed_cohort(folder / "cohort"))
    return folder


@pytest.fixture
def study(world: Path, tmp_path: Path) -> Path:
    """The study without dose scores; its cohort is at ``tmp_path``/cohort."""
    shutil.copytree(world / "cohort", tmp_path / "cohort")
    copy = Path(shutil.copytree(world / "study", tmp_path / "study"))
    for file in copy.glob("*/config.yaml"):
        file.write_text(file.read_text().replace(str(world), str(tmp_path)))
    return copy


def dose(*arguments: str | Path) -> int:
    return run("dose", *arguments, "--device", "cpu")


def table(study: Path, ratio: float = 0.5, seed: int = 0) -> pd.DataFrame:
    return pd.read_csv(study / run_name(ratio, seed) / "dose.csv").set_index("case_id")


def test_a_trained_study_gets_the_doses_of_its_own_predictions(study: Path) -> None:
    assert dose(study, "--levels", "40") == 0
    for ratio in RATIOS:
        for case in cases_of(study.parent / "cohort"):
            assert case.reference is not None
            slices = [np.argwhere(m)[:, 2] for m in (predicted(study / run_name(ratio, 1), case),
                                                     read_volume(case.reference).array)]  # fmt: skip
            prediction, reference = (30 + 0.5 * each.astype(float) for each in slices)
            row = table(study, ratio, 1).loc[case.case_id]
            assert row.dmean_gy_prediction == pytest.approx(prediction.mean(), abs=1e-5)
            assert row.dmean_gy_error == pytest.approx(prediction.mean() - reference.mean(), abs=1e-5)
            assert row.v40_percent_reference == pytest.approx(100 * (reference >= 40).mean())
            assert row.outside_ml == 0
    assert table(study).loc["b"].dmean_gy_error < -0.5  # its reference lacks the lowest slices


def test_a_second_call_keeps_what_holds_and_a_changed_dose_is_scored_again(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dose(study) == 0
    before = table(study)
    capsys.readouterr()
    assert dose(study) == 0
    assert capsys.readouterr().out.count("2 cases, as before") == 4
    file = study.parent / "cohort" / "b_dose.nii.gz"
    moved = read_volume(file)
    write_volume(file, Volume(moved.array + 10, moved.affine))
    assert dose(study) == 0
    assert "as before" not in capsys.readouterr().out
    after = table(study)
    assert after.dmean_gy_prediction["b"] == pytest.approx(before.dmean_gy_prediction["b"] + 10, abs=1e-4)
    assert after.dmean_gy_prediction["a"] == before.dmean_gy_prediction["a"]


@pytest.mark.parametrize("content", ["my own list of doses\n", "patient,dose\n1,60\n", "run,dataset\n"])
def test_a_dose_table_of_another_origin_is_not_replaced(
    study: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = study / run_name(0.5, 1) / "dose.csv"
    mine.write_text(content)
    assert dose(study) == 2
    assert "dose.csv: mandseg dose would replace it, and did not write it; move it away" in capsys.readouterr().err
    assert mine.read_text() == content
    assert len(list(study.rglob("dose.csv"))) == 1, "nothing is scored before the refusal"
    mine.write_text("")
    assert dose(study) == 0
    assert len(list(study.rglob("dose.csv"))) == 4


def test_scores_of_a_changed_dose_or_of_an_earlier_test_are_not_believed(study: Path) -> None:
    assert dose(study) == 0
    whole = open_study(study)
    assert whole.problems == ()
    assert whole.cases.dmean_gy_error.notna().all()
    file = study.parent / "cohort" / "b_dose.nii.gz"
    kept = file.read_bytes()
    write_volume(file, Volume(read_volume(file).array + 1, read_volume(file).affine))
    changed = open_study(study)
    assert len(changed.problems) == 4
    assert "the dose of 1 case changed (first: b), the old dose scores are left out" in changed.problems[0]
    assert set(changed.cases.case_id[changed.cases.dmean_gy_error.notna()]) == {"a"}
    file.write_bytes(kept)
    cases = study / run_name(0.5, 0) / "cases.csv"
    cases.write_text(cases.read_text().replace("0.4\n", "0.5\n"))
    tested = open_study(study)
    assert [line.split(":")[0] for line in tested.problems] == [f"run {run_name(0.5, 0)}"]
    assert "dose.csv was made before its cases.csv and is left out" in tested.problems[0]
    left = tested.cases[tested.cases.run == run_name(0.5, 0)]
    assert left.dmean_gy_error.isna().all()
    assert len(left) == 2


def test_a_study_trained_without_dose_takes_it_from_another_manifest(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = tmp_path / "with-dose"
    shutil.move(tmp_path / "cohort", expected)
    write_dosed_cohort(tmp_path / "cohort", with_dose=False)
    assert dose(study) == 2
    assert "no test case has a dose; add the column dose to the manifest" in capsys.readouterr().err
    assert not list(study.glob("*/dose.csv"))
    assert dose(study, "--manifest", expected) == 0
    assert table(study).dmean_gy_error["b"] < -0.5
    assert dose(study, "--manifest", f"clinic={expected}") == 2
    assert "no data set 'clinic', the further ones are: none" in capsys.readouterr().err


def test_a_dose_that_does_not_cover_a_reference_is_refused_before_anything_is_written(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = study.parent / "cohort" / "b_dose.nii.gz"
    whole = read_volume(file)
    write_volume(file, Volume(whole.array[:, :, :20], whole.affine))
    assert dose(study) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("mandseg: case b: dose b_dose.nii.gz: ")
    assert "voxels of the reference lie outside the grid of the dose" in line
    assert not list(study.glob("*/dose.csv"))


def test_what_a_network_predicts_outside_the_dose_is_left_out_and_measured(study: Path) -> None:
    """Case b's reference begins at slice CUT, the prediction lower; a dose from there on covers the reference."""
    file = study.parent / "cohort" / "b_dose.nii.gz"
    whole = read_volume(file)
    affine = whole.affine.copy()
    affine[:3, 3] += affine[:3, 2] * CUT
    write_volume(file, Volume(whole.array[:, :, CUT:], affine))
    assert dose(study) == 0
    (case,) = (case for case in cases_of(study.parent / "cohort") if case.case_id == "b")
    mask = predicted(study / run_name(0.5, 0), case)
    row = table(study).loc["b"]
    assert row.outside_ml == pytest.approx(mask[:, :, :CUT].sum() * 0.003)
    assert row.outside_ml > 0.1
    inside = 30 + 0.5 * np.argwhere(mask)[:, 2].astype(float)
    assert row.dmean_gy_prediction == pytest.approx(inside[inside >= 30 + 0.5 * CUT].mean(), abs=1e-5)


def test_other_images_than_those_of_the_test_are_noticed(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = study.parent / "cohort" / "a.nii.gz"
    image = read_volume(file)
    write_volume(file, Volume(np.roll(image.array, 3, 0), image.affine))
    assert dose(study) == 2
    assert "are the images, references and weights those of the test?" in capsys.readouterr().err
    assert not list(study.glob("*/dose.csv"))


def test_a_saved_prediction_is_scored_without_the_network(study: Path) -> None:
    assert dose(study) == 0
    by_network = table(study)
    made = study / run_name(0.5, 0)
    for case in cases_of(study.parent / "cohort"):
        mask = predicted(made, case)
        assert case.reference is not None
        affine = read_volume(case.reference).affine
        write_volume(made / "predictions" / f"{case.case_id}-0123ab.nii.gz", Volume(mask, affine))
    (made / "checkpoints" / "train" / "last.ckpt").unlink()
    assert dose(study) == 0
    scores = [column for column in by_network if column.endswith(("_prediction", "_reference", "_error"))]
    pd.testing.assert_frame_equal(table(study)[scores], by_network[scores])


def test_the_report_states_what_a_ratio_costs_in_gray(study: Path) -> None:
    assert dose(study) == 0
    page = write_report(study, pdf=False)
    html, folder = page.read_text(), page.parent
    errors = {ratio: pd.concat([table(study, ratio, seed) for seed in (0, 1)]).dmean_gy_error for ratio in RATIOS}
    clean, noisy = (errors[ratio].abs().mean() for ratio in (0.0, 0.5))
    assert f"the mean absolute error of Dmean is {clean:.2f} Gy" in html
    cost = f"{noisy - clean:+.2f}".replace("-", "\N{MINUS SIGN}")
    assert f"Noise ratio 0.5 costs, in mean absolute error: {cost} Gy in Dmean (" in html
    assert "The plan is fixed" in html
    assert "Margin of the mean absolute error of Dmean, 2 Gy: less than half of the 4.5 Gy" in html
    assert (folder / "figures" / "dose.svg").is_file()
    means = pd.read_csv(folder / "tables" / "dose-errors-test.csv").set_index(["metric", "noise_ratio"])["mean"]
    assert means["dmean_gy_abs_error", 0.5] == pytest.approx(noisy)
    assert means["dmean_gy_error", 0.0] == pytest.approx(errors[0.0].mean())
    assert "Dose: for 2 test cases" in (folder / "methods.md").read_text()
    shared = (folder / "shared" / "cases.csv").read_text()
    assert "dmean_gy_error" in shared.splitlines()[0]
    assert str(study.parent) not in shared
    assert write_report(study, pdf=False) == page  # its own files do not count as foreign


def declare_margins(study: Path, margins: dict[str, float]) -> None:
    """As if the runs had been started with these ``analysis.margins``."""
    for made in study.glob("*/config.yaml"):
        settings = yaml.safe_load(made.read_text()) | {"analysis": {"primary": "dice", "margins": margins}}
        made.write_text(yaml.safe_dump(settings))


def test_a_declared_margin_of_the_dose_decides_and_its_v_level_is_measured(study: Path) -> None:
    declare_margins(study, {"dmean_gy": 0.001, "v35_percent": 50.0})
    assert dose(study) == 0
    assert {"v35_percent_error", "v44_percent_error", "v58_percent_error"} <= set(table(study).columns)
    page = write_report(study, pdf=False)
    html = page.read_text()
    assert "Margin of the mean absolute error of Dmean, 0.001 Gy: declared for this study" in html
    assert "Margin of the mean absolute error of V35, 50 %: declared for this study" in html
    assert "Margin of the mean absolute error of D2cc, 2 Gy: as for Dmean" in html
    found = pd.read_csv(page.parent / "tables" / "dose-differences-test.csv").set_index("metric")
    margins = {"dmean_gy_abs_error": 0.001, "d2cc_gy_abs_error": 2.0, "v35_percent_abs_error": 50.0}
    assert found.margin[list(margins)].to_dict() == margins
    assert found.verdict["v35_percent_abs_error"] == "non-inferior"
    assert "Dmean 0.001 Gy" in (page.parent / "methods.md").read_text()


def test_groups_of_the_report_have_rows_of_their_own_in_the_dose_tables(study: Path) -> None:
    for file in study.glob("*/cases.csv"):
        cases = pd.read_csv(file)
        cases["group_protocol"] = ["low" if case == "a" else "high" for case in cases.case_id]
        cases.to_csv(file, index=False)
    assert dose(study) == 0
    folder = write_report(study, by=["protocol"], pdf=False).parent
    means = pd.read_csv(folder / "tables" / "dose-errors-test.csv", keep_default_na=False)
    kept = means[means.metric == "dmean_gy_error"].set_index(["group", "noise_ratio"])["mean"]
    for group, case in (("protocol=low", "a"), ("protocol=high", "b")):
        expected = [np.mean([table(study, ratio, seed).dmean_gy_error[case] for seed in (0, 1)]) for ratio in RATIOS]
        assert kept[group].tolist() == pytest.approx(expected)
    changes = pd.read_csv(folder / "tables" / "dose-differences-test.csv", keep_default_na=False)
    assert set(changes.group) == {"", "protocol=low", "protocol=high"}
    html = (folder / "index.html").read_text()
    section = html[html.index('<h2 id="dose">') : html.index('<h2 id="learning">')]
    assert section.count("protocol=low") == 2 * len(RATIOS) - 1  # a row for each ratio, and for its change


def test_without_dose_scores_a_report_does_not_mention_dose(study: Path) -> None:
    html = write_report(study, pdf=False).read_text()
    assert 'id="dose"' not in html
    assert "Gy" not in html
    assert "dose" not in (study / "report" / "cases.csv").read_text()
    assert not list((study / "report").rglob("dose*"))


def test_a_study_without_a_done_run_has_no_dose(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "study", 0.0, 0, [], state="failed", error="x")
    assert dose(tmp_path / "study") == 2
    assert "no run is done (1 are there)" in capsys.readouterr().err
