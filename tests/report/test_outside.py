"""The shared report has the report's numbers and no name: a word that is planted everywhere does not occur in it."""

import json
import shutil

import pandas as pd
import pytest
import yaml

from mandseg.report.folder import SHARED
from mandseg.report.outside import outside_study
from mandseg.report.write import write_report
from mandseg.runs.study import open_study
from study_fixture import run_name, write_csv, write_study

NAME = "Xanthippe"  # of a patient, an annotator, a hospital, a user, a host


def plant(run):
    """Write the name wherever a run folder can hold one."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["data"]["manifest"] = f"{NAME} 1961/manifest.csv"
    config["data"]["source"]["manifest"] = NAME
    config["eval"] = {"clinic": NAME, "other": f"cohorts/{NAME}/manifest.csv"}
    config |= {"output_dir": NAME, "cache_dir": f"/home/{NAME}/cache"}
    config["noise"] |= {"annotators": [NAME], "leave_out": NAME}
    config["noise"]["source"] |= {"annotators": [NAME], "file": rf"C:\Users\{NAME}\style.yaml"}
    config["trainer"]["default_root_dir"] = f"~/{NAME}"
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    record = json.loads((run / "run.json").read_text()) | {"host": NAME, "error": f"/mnt/{NAME}: no such file"}
    (run / "run.json").write_text(json.dumps(record))
    cases = pd.read_csv(run / "cases.csv")
    cases = cases.assign(subject_id=NAME + cases.case_id, group_annotator=NAME, group_hospital=NAME, image=f"/x/{NAME}")
    cases.to_csv(run / "cases.csv", index=False)
    for table in ("noise_applied.csv", "noise_plan.csv"):
        pd.read_csv(run / table).assign(annotator=NAME).to_csv(run / table, index=False)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = write_study(tmp_path_factory.mktemp("outputs") / "demo", {0.0: 0.0, 0.5: 0.01}, (0, 1), n_cases=5)
    for run in folder.glob("ratio*"):
        plant(run)
    again = shutil.copytree(
        folder / run_name(0.5, 0), folder / "again"
    )  # the same condition, distinguished by its overrides
    record = json.loads((again / "run.json").read_text()) | {"run": "again"}
    (again / "run.json").write_text(json.dumps(record))
    grid = pd.read_csv(folder / "grid.csv").assign(overrides=f"data.manifest={NAME}/manifest.csv steps=4")
    row = grid.iloc[-1].to_dict() | {
        "run": "again",
        "overrides": f"data.manifest=b/{NAME} 1961/manifest.csv eval.x={NAME} steps=7",
    }
    write_csv(folder / "grid.csv", [*grid.to_dict("records"), row])
    (folder / "broken").mkdir()
    (folder / "broken" / "run.json").write_text("{ " + NAME)
    write_report(folder)
    return folder


def test_a_name_that_is_planted_everywhere_is_inside_and_not_outside(study):
    report = study / "report"
    holds = [
        file.relative_to(report) for file in report.rglob("*") if file.is_file() and NAME.encode() in file.read_bytes()
    ]
    assert {"index.html", "cases.csv", "tables/runs.csv", "tables/arm1-noise-applied.csv"} <= {
        str(file) for file in holds
    }
    assert [file for file in holds if file.parts[0] == SHARED] == []
    assert [file for file in report.rglob("*") if NAME in file.name] == []


def test_the_numbers_outside_are_those_inside(study):
    report = study / "report"
    inside, outside = (
        pd.read_csv(folder / "summary.csv").drop(columns="variant") for folder in (report, report / SHARED)
    )
    pd.testing.assert_frame_equal(inside, outside)
    scores = pd.read_csv(report / SHARED / "cases.csv")
    assert scores.dice.tolist() == pd.read_csv(report / "cases.csv").dice.tolist()


def test_problems_are_counted_outside_and_read_inside(study):
    assert "not listed in grid.csv, but included: broken" in (study / "report" / "index.html").read_text()
    opened = open_study(study)
    (line,) = outside_study(opened).problems
    assert line.startswith(f"{len(opened.problems)} problem")
