"""``mandseg rank`` with networks: only those that do not know a case judge it; a fold study is trained and used."""

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from bone_network import anatomy, write_bone_study
from command import run
from mandseg.data.cache import prepare_cases
from mandseg.data.case import Case
from mandseg.data.manifest import read_cohort, write_cohort
from mandseg.data.ranked.label import ranked_label
from mandseg.data.sources import Sources
from mandseg.data.volume import Volume, write_volume
from mandseg.ranking.decoys import Decoy
from mandseg.ranking.judges.evidence import measure_evidence
from mandseg.ranking.judges.judgement import Judgement
from mandseg.ranking.judges.networks import RankingNetwork, known_cases, networks_of
from mandseg.runs.trained.choice import all_runs
from mandseg.runs.trained.load import load_predictor
from mandseg.system.errors import UserError
from mandseg.system.files import write_csv
from mandseg.training.dynamics import Record, label_digest
from shapes import ISO, horseshoe
from tiny_cohort import SMALL, write_tiny_cohort


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MANDSEG_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def cohort(tmp_path):
    """Five heads with bone of 900 HU; the label of ``c`` lacks the condyles, that of ``a`` is trusted."""
    root = tmp_path / "cohort"
    image = anatomy()
    bone = np.asarray(image.array) == 900
    cases = []
    for number, case_id in enumerate("abcde"):
        hu = np.array(image.array)
        hu[0, 0, number] = -900  # every CT a little different
        label = bone.copy()
        if case_id == "c":
            label[:, :, 33:] = False
        files = {name: root / f"{case_id}_{name}.nii.gz" for name in ("image", "label")}
        write_volume(files["image"], Volume(hu, image.affine))
        write_volume(files["label"], Volume(label.astype(np.uint8), image.affine))
        trusted = case_id == "a"
        reference, noisy = (files["label"], None) if trusted else (None, files["label"])
        groups = {"trusted": str(int(trusted))}
        cases.append(Case(case_id, case_id, "train", files["image"], reference, noisy, "ann", groups))
    write_cohort(root, cases)
    return root


def study(tmp_path, cohort, knows=(), seeds=(0, 1)):
    """Networks that find bone; they were trained on the cases ``knows`` of the cohort."""
    folder = write_bone_study(tmp_path / "study", seeds=seeds)
    trained = [replace(case, split="train") for case in read_cohort(cohort).cases if case.case_id in knows]
    other = Case("other", "other", "train", None, read_cohort(cohort).cases[0].reference)
    write_cohort(tmp_path / "trained", [*trained, other])
    for place in folder.glob("ratio*"):
        settings = yaml.safe_load((place / "config.yaml").read_text())
        source = {"_target_": "test_rank_with_networks.training_of", "manifest": f"{tmp_path}/trained/manifest.csv"}
        settings["data"] = {"name": "cohort", "source": source}
        settings["trusted_packages"] = ["test_rank_with_networks"]
        (place / "config.yaml").write_text(yaml.safe_dump(settings))
        rows = "".join(f"{case.case_id},a,noisy\n" for case in [*trained, other])
        (place / "noise_plan.csv").write_text("case_id,annotator,label\n" + rows)
    return folder


def training_of(manifest):
    """The source of the data of a made run: no test set is needed."""
    return Sources(read_cohort(Path(manifest)), {})


def rank(cohort, *arguments):
    return run("rank", cohort, *arguments, "--device", "cpu", "--pictures", "0")


def rows(cohort):
    with (cohort / "ranking" / "ranking.csv").open() as file:
        return list(csv.DictReader(file))


def line(capsys):
    (found,) = capsys.readouterr().err.splitlines()
    return found


def test_networks_of_a_study_find_the_label_without_condyles(tmp_path, cohort):
    assert rank(cohort, "--run", study(tmp_path, cohort)) == 0
    found = rows(cohort)
    assert [row["case_id"] for row in found[:2]] == ["a", "c"]  # the trusted case, then the worst
    assert found[1]["hint"].startswith("condyles missing")
    assert float(found[1]["bias_condyle_mm"]) < -4
    assert float(found[1]["surface_mm"]) > 4 * float(found[2]["surface_mm"])
    assert float(found[1]["disagreement"]) > 0
    first = (cohort / "ranking" / "ranking.csv").read_bytes()
    assert rank(cohort, "--run", tmp_path / "study") == 0  # from the cache
    assert (cohort / "ranking" / "ranking.csv").read_bytes() == first


def test_a_case_that_the_networks_know_is_not_judged_and_the_number_of_them_is_printed(tmp_path, cohort, capsys):
    assert rank(cohort, "--run", study(tmp_path, cohort, knows="bc")) == 0
    assert "2 of 5 cases were in the training of every network" in capsys.readouterr().out
    judged = {row["case_id"]: row["surface_mm"] != "" for row in rows(cohort)}
    assert judged == {"a": True, "b": False, "c": False, "d": True, "e": True}
    (tmp_path / "trained" / "manifest.csv").unlink()
    assert rank(cohort, "--run", tmp_path / "study") == 0
    assert "compared by name only, because their manifest cannot be read from here (2 of 2" in capsys.readouterr().out


def test_a_case_is_known_by_its_subject_or_its_image_under_another_name(tmp_path, cohort):
    folder = next(study(tmp_path, cohort, knows="b").glob("ratio*"))
    cases = list(read_cohort(cohort).cases)
    renamed = [replace(cases[1], case_id="x", subject_id="y"), replace(cases[2], subject_id="b"), cases[3]]
    assert known_cases(folder, renamed) == ({"x", "c"}, True)
    (tmp_path / "trained" / "manifest.csv").unlink()
    assert known_cases(folder, cases) == ({"b"}, False)


def test_decoys_of_cases_that_every_network_was_trained_on_have_no_score():
    label = horseshoe()
    evidence = measure_evidence(label, label.astype(np.float32), [], ISO)
    cases = [Case(name, name, "train", None, None) for name in "ab"]
    judgement = Judgement(cases, [RankingNetwork(None, frozenset("a"))], Path("cache"))
    vars(judgement)["evidence"] = {"b": evidence}
    found = judgement.of_decoys([Decoy({"case_id": "a"}, label)])
    assert len(found) == 1
    assert found.redrawn_share.isna().all()


def test_decoys_are_judged_by_the_networks_that_do_not_know_their_case(tmp_path, cohort, capsys):
    folder = study(tmp_path, cohort, knows="b", seeds=(0,))
    assert rank(cohort, "--run", folder, "--decoys", "margin") == 0
    with (cohort / "ranking" / "detection-decoys.csv").open() as file:
        found = {row["score"]: row for row in csv.DictReader(file)}
    assert found["redrawn_share"]["n"] == "8"  # four cases and their decoys, without b
    assert float(found["redrawn_share"]["auroc"]) > 0.5
    assert "Compared with 5 simulated labels (margin): the order by mean_rank recovers" in capsys.readouterr().out


def write_dynamics(folder, cohort, doubted, steps=(5, 10)):
    """The trainings of all networks contradicted the label of one case; those of e are of another label."""
    preprocessing = load_predictor(next(folder.glob("ratio*")), device="cpu").preprocessing
    labelled = [replace(case, reference=ranked_label(case), noisy=None) for case in read_cohort(cohort).cases]
    rows = []
    for p in prepare_cases(labelled, preprocessing, cohort.parent / "cache" / "cases"):
        name = p.case.case_id
        digest = label_digest(p.reference * (name != "e"))
        rows += [(step, name, digest, -1.0 if name == doubted else 2.0, 0.9) for step in steps]
    for place in folder.glob("ratio*"):
        write_csv(place / "dynamics.csv", Record._fields, sorted(rows, key=lambda row: row[0]))


def test_networks_that_were_trained_on_all_cases_rank_them_by_their_training(tmp_path, cohort, capsys):
    folder = study(tmp_path, cohort, knows="abcde")
    write_dynamics(folder, cohort, "d")
    assert rank(cohort, "--run", folder, "--by", "low_margin") == 0
    assert "Every network was trained on every case" in capsys.readouterr().out
    found = {row["case_id"]: row for row in rows(cohort)}
    assert [row["case_id"] for row in rows(cohort)] == ["a", "d", *[x for x in found if x in "bc"], "e"]
    assert (found["d"]["low_margin"], found["b"]["low_margin"], found["e"]["low_margin"]) == ("1.0", "-2.0", "")
    assert "surface_mm" not in found["d"]
    assert rank(cohort, "--run", folder, "--by", "low_margin", "--decoys", "margin") == 2
    assert "--by low_margin: no network was trained on a decoy, so none has this score; omit --decoys" in line(capsys)
    assert rank(cohort, "--run", folder, "--by", "surface_mm") == 2
    assert "--by surface_mm: needs predictions" in line(capsys)
    next(folder.glob("*/dynamics.csv")).write_text("step\n")
    assert rank(cohort, "--run", folder) == 2
    assert "dynamics.csv: no training dynamics (its columns are step)" in line(capsys)


def test_records_of_other_moments_or_labels_are_left_out(tmp_path, cohort, capsys):
    folder = study(tmp_path, cohort, knows="bc")
    write_dynamics(folder, cohort, "d")
    file = next(folder.glob("*/dynamics.csv"))
    other = file.read_text().replace("\n5,", "\n6,")
    file.write_text(other)
    networks, notes = networks_of(folder, read_cohort(cohort).cases, {}, "cpu")
    assert notes == ["Scores from training dynamics are left out: the networks recorded them at different steps."]
    assert [len(network.records) for network in networks] == [0, 0]
    assert rank(cohort, "--run", folder, "--by", "variability") == 2
    assert "--by variability: no network was trained on a label that is ranked and recorded it" in line(capsys)
    for file in folder.glob("*/dynamics.csv"):
        file.write_text(other)
    assert rank(cohort, "--run", folder) == 0
    found = {row["case_id"]: row for row in rows(cohort)}
    assert found["b"]["low_margin"] == "-2.0"  # a case that the networks know
    assert found["b"]["surface_mm"] == found["e"]["low_margin"] == ""
    assert found["d"]["surface_mm"] != ""


def test_networks_that_know_all_cases_are_refused(tmp_path, cohort, capsys):
    assert rank(cohort, "--run", study(tmp_path, cohort, knows="abcde")) == 2
    assert "all its networks (2) were trained on all cases (5); --folds 3 trains" in line(capsys)
    assert not (cohort / "ranking").exists()


def test_a_run_that_is_not_done_is_refused(tmp_path, cohort, capsys):
    folder = study(tmp_path, cohort)
    file = folder / "ratio0-seed1" / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"state": "failed", "error": "disk"}))
    assert rank(cohort, "--run", folder) == 2
    assert "run ratio0-seed1 is failed (disk), expected done" in line(capsys)
    assert rank(cohort, "--run", folder / "ratio0-seed1") == 2
    assert "the run is failed" in line(capsys)


def test_a_study_with_several_conditions_needs_a_choice_and_the_others_need_not_be_done(tmp_path, cohort, capsys):
    folder = write_bone_study(tmp_path / "two", ratios=(0.0, 0.5), seeds=(0,))
    assert rank(cohort, "--run", folder) == 2
    assert "runs with noise_ratio 0, 0.5; choose one, e.g. --choose noise_ratio=0" in line(capsys)
    file = folder / "ratio0.5-seed0" / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"state": "running"}))
    assert [place.name for place in all_runs(folder, {"noise_ratio": "0"})] == ["ratio0-seed0"]
    with pytest.raises(UserError, match=r"run ratio0\.5-seed0 is missing"):
        all_runs(folder, {"noise_ratio": "0.5"})


def test_a_score_without_what_it_needs_is_refused(tmp_path, cohort, capsys):
    assert rank(cohort, "--by", "low_margin") == 2
    assert "--by low_margin: needs training dynamics; give --folds 3, or --run STUDY of networks" in line(capsys)
    assert rank(cohort, "--folds", "3", "--by", "low_margin", "dynamics=0") == 2
    assert "--by low_margin: needs training dynamics" in line(capsys)
    assert rank(cohort, "--by", "surface_mm") == 2
    assert "--by surface_mm: needs predictions; give --run STUDY of networks that are done, or --folds 3" in line(
        capsys
    )
    assert rank(cohort, "--run", study(tmp_path, cohort, seeds=(0,)), "--by", "less_disagreement") == 2
    assert "--by less_disagreement: needs two networks for a case, 1 is there" in line(capsys)


def test_wrong_folds_are_refused_before_anything_is_trained(tmp_path, cohort, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folds in ("1", "6"):
        assert rank(cohort, "--folds", folds) == 2
        assert "of 5 subjects: expected 2 or more, and a subject for each" in line(capsys)
    assert rank(cohort, "--folds", "2", "--run", "x") == 2
    assert "give one of them" in line(capsys)
    assert rank(cohort, "steps=9") == 2
    assert "steps=9: settings of a training are for --folds only" in line(capsys)
    assert rank(cohort, "--folds", "2", "study=x") == 2
    assert "study=x: set by mandseg rank itself" in line(capsys)
    assert not (tmp_path / "outputs").exists()


@pytest.mark.slow
def test_folds_are_trained_as_a_study_whose_networks_judge_every_case(tmp_path, monkeypatch, nursery):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(nursery / "python"))  # the training starts in a moment
    cases = write_tiny_cohort(tmp_path / "tiny").cases
    write_cohort(tmp_path / "tiny", [replace(case, noisy=case.noisy or cases[0].noisy) for case in cases])
    small = [word for word in SMALL if not word.startswith(("data", "tracking", "noise", "study"))]
    command = ("--folds", "2", *small, "steps=2", "validations=1")
    assert rank(tmp_path / "tiny", *command) == 0
    assert all(row["surface_mm"] for row in rows(tmp_path / "tiny"))
    assert all(row["low_margin"] for row in rows(tmp_path / "tiny"))  # one of both networks was trained on the case
    with (tmp_path / "tiny" / "ranking" / "detection-places.csv").open() as file:
        places = {row["place"]: row for row in csv.DictReader(file)}
    assert int(places["voxels"]["n_wrong"]) > 0
    runs = list((tmp_path / "outputs").glob("tiny-folds2-*/*/checkpoints/train/last.ckpt"))
    assert len(runs) == 2
