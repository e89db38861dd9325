"""A study is sent once, also after interruptions, with table, curves and report, and without a word about the user."""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import wandb
import yaml
from rich.console import Console

from mandseg.report.wandb.sync import sync
from mandseg.report.wandb.upload import STATE
from mandseg.report.write import write_report
from mandseg.runs.ownership import own_run
from mandseg.system.errors import UserError
from mandseg.tracking.recordings import UNSENT, recordings
from mandseg.tracking.settings import TrackingSettings
from mandseg.tracking.tracker import sync_hint, tracking_run
from mandseg.training.learning_curve import LearningCurve
from study_fixture import CONDITION, add_to_grid, run_name, write_study
from wandb_server import become_a_new_user

HOME = "miller"  # the user's name, in every path
PATIENT = "DOE^JANE_1961/manifest.csv"  # a relative path, whose folder is a patient's
TRACKING = {"mode": "auto", "project": "jaws", "entity": None, "case_table": True, "overlays": True}
LIMITS = {"init_timeout_s": 5.0, "finish_timeout_s": 10.0}


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    home = tmp_path / HOME
    home.mkdir()
    become_a_new_user(monkeypatch, home)
    monkeypatch.setenv("TMPDIR", str(home))
    monkeypatch.setattr("tempfile.tempdir", str(home))
    wandb.teardown()
    yield home
    wandb.teardown()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Two data sets, two ratios, two seeds and one failed run, with pictures and a report; nothing recorded."""
    home = tmp_path_factory.mktemp(HOME)
    study = write_study(home / "jaws", {0.0: 0.0, 0.5: 0.01}, seeds=(0, 1), n_cases=8, pictures=True)
    for run in study.glob("ratio*"):
        set_tracking(run, home)
    (study / "grid.csv").write_text(
        (study / "grid.csv").read_text().replace(" seed=", f" data.manifest={PATIENT} seed=")
    )
    failed = study / run_name(1.0, 0)
    failed.mkdir()
    add_to_grid(study, 1.0, 0)
    state = json.loads((study / run_name(0.0, 0) / "run.json").read_text())
    state |= {"state": "failed", "error": "case x: image /mnt/smith/scans/x.nii.gz: no such file"}
    state["condition"] |= {"noise_ratio": 1.0}
    (failed / "run.json").write_text(json.dumps(state))
    write_report(study)
    return study


@pytest.fixture
def reported(written, home):
    """A study of one's own, with its report."""
    return Path(shutil.copytree(written, home / "jaws"))


@pytest.fixture
def study(reported):
    """The same without a report."""
    shutil.rmtree(reported / "report")
    return reported


def set_tracking(run: Path, home: Path, **tracking) -> None:
    """Settings and record of a run that name the user and the host."""
    settings = yaml.safe_load((run / "config.yaml").read_text())
    settings["tracking"] = {"_target_": "mandseg.tracking.settings.TrackingSettings", **TRACKING, **LIMITS, **tracking}
    settings["data"]["manifest"] = "/data/smith/clinic/manifest.csv"
    settings["data"]["source"]["manifest"] = PATIENT
    settings["cache_dir"] = f"{home}/.cache/mandseg"
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"host": socket.gethostname()}))
    cases = pd.read_csv(run / "cases.csv")
    cases["subject_id"] = "doe-" + cases.case_id
    cases["group_annotator"] = "dr-jones"
    cases["group_hospital"] = "st-mary"
    cases.to_csv(run / "cases.csv", index=False)
    applied = pd.read_csv(run / "noise_applied.csv").assign(annotator="dr-jones")
    applied.to_csv(run / "noise_applied.csv", index=False)


def record(study: Path, ratio: float, seed: int, fails: bool = False, mode: str = "offline", steps=(10, 20)) -> Path:
    """What training leaves on W&B's side in a run folder."""
    folder = study / run_name(ratio, seed)
    folder.mkdir(parents=True, exist_ok=True)
    settings = TrackingSettings(**{**TRACKING, **LIMITS, "mode": mode})
    condition = {"noise_ratio": ratio, "seed": seed, **CONDITION}
    with tracking_run(
        settings, folder, study.name, folder.name, condition, {}, LearningCurve(folder / "learning_curve.csv")
    ) as tracker:
        for step in steps:
            for logger in tracker.loggers:
                logger.log_metrics({"train_loss": 1 / step}, step)
        if fails:
            raise RuntimeError("out of memory")
        tracker.log_results(pd.read_csv(folder / "cases.csv")[["dataset", "case_id", "outcome", "dice"]])
    return folder


def synced(study: Path) -> tuple[int, dict[str, tuple[str, str]]]:
    """The exit code, and result and reason by run."""
    console = Console(record=True, width=400, file=io.StringIO())
    code = sync(study, console)
    rows = [line.strip("│").split("│") for line in console.export_text().splitlines() if line.startswith("│")]
    return code, {name.strip(): (result.strip(), reason.strip()) for name, result, reason in rows}


def steps(server, run_id: str) -> list[int]:
    return [row["trainer/global_step"] for row in server.streams[run_id]["history"] if "train_loss" in row]


def id_of(folder: Path) -> str:
    return (folder / "wandb_id").read_text().strip()


def sent(server) -> str:
    return "\n".join(f"{path} {body}" for path, body in server.bodies)


def test_each_run_arrives_once_with_its_exit_code_and_is_not_sent_again(study, server):
    first, second = record(study, 0.0, 0), record(study, 0.5, 0)
    with pytest.raises(RuntimeError):
        record(study, 0.5, 1, fails=True)
    code, rows = synced(study)
    assert code == 0
    assert [rows[run_name(*cell)][0] for cell in [(0.0, 0), (0.5, 0), (0.5, 1)]] == ["uploaded"] * 3
    assert rows["2 runs"] == ("left out", "nothing was recorded")
    codes = {server.runs[run]["displayName"]: stream["exitcode"] for run, stream in server.streams.items()}
    assert codes == {first.name: 0, second.name: 0, run_name(0.5, 1): 1}
    run = server.runs[id_of(second)]
    assert (run["groupName"], run["jobType"], run["project"]) == ("jaws", "train", "jaws")
    assert {"noise_ratio=0.5", "seed=0"} < set(run["tags"])
    assert steps(server, id_of(first)) == [10, 20]
    assert server.streams[id_of(second)]["history"][2]["noise_ratio"] == 0.5
    assert sync_hint(study) is None

    server.bodies.clear()
    code, rows = synced(study)
    assert (code, rows["3 runs"]) == (0, ("already there", ""))
    assert "UpsertBucket" not in sent(server)

    for marker in study.rglob("*.synced"):
        marker.unlink()  # as if the upload had been killed just before it could mark a run
    assert synced(study)[0] == 0
    assert steps(server, id_of(first)) == [10, 20]  # overwritten, not repeated


def test_a_killed_upload_is_continued_and_sends_nothing_twice(study, server):
    folders = [record(study, ratio, seed) for ratio in (0.0, 0.5) for seed in (0, 1)]
    server.hangs_at = "/upload/media"  # in the middle of the first runs
    process = subprocess.Popen([sys.executable, "-m", "mandseg.cli.main", "sync", str(study)], start_new_session=True)
    deadline = time.monotonic() + 60
    while server.behaviour == "works" and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert len(server.runs) >= 1
    assert any(stream["exitcode"] is None for stream in server.streams.values()) or len(server.streams) < 4
    server.behaviour = "works"
    code, rows = synced(study)
    assert code == 0
    assert "uploaded" in {result for result, _ in rows.values()}
    for folder in folders:
        assert steps(server, id_of(folder)) == [10, 20]
        assert server.streams[id_of(folder)]["exitcode"] == 0


def test_a_resumed_run_keeps_its_id(study, server):
    with pytest.raises(RuntimeError):
        record(study, 0.0, 0, fails=True, steps=(10, 20))
    time.sleep(1.1)  # W&B names a recording by the second
    folder = record(study, 0.0, 0, steps=(30, 40))
    assert len(recordings(folder)) == 2
    assert synced(study)[1][folder.name] == ("uploaded", "")
    assert list(server.runs) == [id_of(folder)]
    assert steps(server, id_of(folder)) == [10, 20, 30, 40]
    assert server.streams[id_of(folder)]["exitcode"] == 0


def test_what_an_online_run_could_not_send_is_sent_later(study, server, monkeypatch):
    settings = {**LIMITS, "finish_timeout_s": 1.0}
    monkeypatch.setattr("test_sync.LIMITS", settings)
    server.hangs_at = "file_stream"
    folder = record(study, 0.0, 0, mode="online")
    (recording,) = recordings(folder)
    assert not recording.is_offline
    assert recording.file.with_name(recording.file.name + UNSENT).exists()
    wandb.teardown()
    server.behaviour = "works"
    assert synced(study)[1][folder.name] == ("uploaded", "")
    assert steps(server, id_of(folder)) == [10, 20]
    assert synced(study)[1][folder.name][0] == "already there"


def test_a_part_that_a_later_one_overtook_stays_here(study, server):
    with pytest.raises(RuntimeError):
        record(study, 0.0, 0, fails=True, steps=(10, 20))
    time.sleep(1.1)
    folder = record(study, 0.0, 0, mode="online", steps=(30, 40))
    code, rows = synced(study)
    assert (code, rows[folder.name]) == (0, ("already there", "a part is older than a later recording and stays here"))
    assert steps(server, id_of(folder)) == [30, 40]


def test_a_run_that_was_killed_while_it_wrote_is_sent_as_far_as_it_goes(study, server):
    folder = record(study, 0.0, 0)
    (recording,) = recordings(folder)
    wandb.teardown()  # or the client may still be writing
    recording.file.write_bytes(recording.file.read_bytes()[:-20])
    code, rows = synced(study)
    assert (code, rows[folder.name]) == (0, ("uploaded", "cut short where the run was killed"))
    assert synced(study)[1][folder.name][0] == "already there"


def test_a_damaged_recording_fails_alone_with_the_reason(study, server):
    good, bad = record(study, 0.0, 0), record(study, 0.0, 1)
    (recording,) = recordings(bad)
    wandb.teardown()  # or the client may still be writing
    recording.file.write_bytes(b"not a recording")
    code, rows = synced(study)
    assert (code, rows[good.name][0], rows[bad.name][0]) == (1, "uploaded", "failed")
    assert "bad header" in rows[bad.name][1]


def test_a_run_that_is_training_is_left_out(study, server):
    folder = record(study, 0.0, 0)
    with own_run(folder, study.name, json.loads((folder / "run.json").read_text())["condition"]) as claim:
        claim.update(state="running")
        assert synced(study)[1][folder.name] == ("left out", "it is training")
    assert not server.runs


@pytest.mark.parametrize("behaviour", ["hangs", "fails"])
def test_a_server_that_does_not_answer_costs_seconds_and_one_line(study, server, monkeypatch, capsys, behaviour):
    monkeypatch.setattr("mandseg.tracking.client.SERVER_WAIT_S", 2)
    record(study, 0.0, 0)
    server.behaviour = behaviour
    started = time.monotonic()
    assert sync(study) == 1
    assert time.monotonic() - started < 20
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"mandseg: W&B: {server.url} was not reached within 2 s (")
    assert sync_hint(study) is not None


def test_a_server_that_stops_is_not_tried_for_every_run(study, server, monkeypatch):
    folders = [record(study, ratio, seed) for ratio in (0.0, 0.5) for seed in (0, 1)]
    monkeypatch.setattr("mandseg.report.wandb.sync.BATCH", 1)
    monkeypatch.setattr("mandseg.tracking.client.SERVER_WAIT_S", 2)
    server.hangs_at = "file_stream"
    console = Console(record=True, width=400, file=io.StringIO())
    started = time.monotonic()
    assert sync(study, console, patience_s=4.0) == 1
    assert time.monotonic() - started < 60
    text = console.export_text()
    assert "no end after 4 s" in text
    assert text.count("not tried: W&B:") == len(folders) - 1


def test_no_key_is_one_line_with_advice(study):
    with pytest.raises(UserError) as error:
        sync(study)
    assert error.value.problems == [
        "W&B: no key is configured, nothing was sent; run `wandb login` or set WANDB_API_KEY"
    ]


def test_disabled_tracking_sends_nothing(study, server, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with pytest.raises(UserError, match="WANDB_MODE=disabled: nothing was sent"):
        sync(study)
    assert server.bodies == []


# The study itself -----------------------------------------------------------------------------------------------------


def study_row(study: Path) -> tuple[str, str]:
    return synced(study)[1][f"{study.name} (the study itself)"]


def test_the_study_itself_arrives_with_table_curves_figures_and_report(reported, server):
    (reported / "report" / "report.pdf").write_bytes(b"%PDF-1.4")  # may hold anything: it stays here
    assert study_row(reported) == ("uploaded", "")
    assert "artifact/jaws-report/report.pdf" not in server.files
    ((run_id, run),) = server.runs.items()
    assert run_id == json.loads((reported / STATE).read_text())["id"]
    assert (run["groupName"], run["jobType"], run["displayName"]) == ("jaws", "study", "jaws")
    assert server.streams[run_id]["exitcode"] == 0
    summary = json.loads(server.files["wandb-summary.json"])
    assert (summary["runs/done"], summary["runs/failed"]) == (4, 1)

    tables = {name.split("/", 2)[2].rsplit("_", 2)[0]: json.loads(body) for name, body in media(server, "table")}
    pooled = pd.DataFrame(tables["cases"]["data"], columns=tables["cases"]["columns"])
    assert len(pooled) == 4 * 2 * 8
    assert {"run", "noise_ratio", "seed", "dataset", "case_id", "outcome", "dice"} <= set(pooled)
    assert "subject_id" not in pooled
    curves = pd.DataFrame(tables["curves"]["data"], columns=tables["curves"]["columns"])
    dice = curves[(curves.dataset == "test") & (curves.metric == "dice") & (curves.noise_ratio == 0.5)]
    shown = pooled[(pooled.dataset == "test") & (pooled.noise_ratio == 0.5)]
    assert dice["mean"].tolist() == pytest.approx([shown.dice.mean()])
    assert (dice.low < dice["mean"]).all()

    chart = pd.DataFrame(tables["curve/dice_table"]["data"], columns=tables["curve/dice_table"]["columns"])
    assert sorted(chart.line.unique()) == ["external_a", "test"]
    assert sorted(chart.noise_ratio.unique()) == [0.0, 0.5]
    panels = json.loads(run["config"])["_wandb"]["value"]["visualize"]
    assert panels["curve/dice"]["panel_config"]["panelDefId"] == "wandb/lineseries/v0"

    assert any(name.startswith("media/html/figures/curve-dice") for name, _ in media(server, "html"))
    assert server.artifacts["jaws-report"]["artifactTypeName"] == "report"
    assert server.artifacts["jaws-report"]["committed"]
    page = server.files["artifact/jaws-report/index.html"].decode()
    assert "<html" in page
    assert "data:image/webp;base64," in page


def media(server, kind: str) -> list[tuple[str, bytes]]:
    return [(name, body) for name, body in server.files.items() if name.startswith(f"media/{kind}/")]


def test_the_study_is_updated_under_its_id_and_only_when_something_changed(reported, server, monkeypatch):
    monkeypatch.chdir(reported.parent)
    assert study_row(Path(reported.name))[0] == "uploaded"
    assert server.artifacts["jaws-report"]["committed"]
    server.bodies.clear()
    assert study_row(reported) == ("already there", "")
    assert "UpsertBucket" not in sent(server)
    (reported / "report" / "shared" / "methods.md").write_text("Two seeds.")
    assert study_row(reported)[0] == "uploaded"
    assert len(server.runs) == 1


def test_a_study_that_could_not_be_sent_is_sent_later_under_its_id(reported, server, monkeypatch):
    monkeypatch.setattr("mandseg.report.wandb.upload.FINISH_TIMEOUT_S", 2.0)
    server.hangs_at = "/upload/artifact"
    started = time.monotonic()
    code, rows = synced(reported)
    assert (code, rows["jaws (the study itself)"][0]) == (1, "failed")
    assert time.monotonic() - started < 60
    server.behaviour = "works"
    monkeypatch.setattr("mandseg.report.wandb.upload.FINISH_TIMEOUT_S", 60.0)
    assert study_row(reported)[0] == "uploaded"
    assert len(server.runs) == 1


def test_without_a_report_the_study_itself_is_not_sent(study, server):
    assert study_row(study) == ("left out", f"no report yet: mandseg report {study}")
    assert server.runs == {}


def test_a_report_that_names_annotators_stays_here(reported, server):
    write_report(reported, by=["annotator"])
    assert "dr-jones" in (reported / "report" / "summary.csv").read_text()
    result, reason = study_row(reported)
    assert (result, reason.split(":")[0]) == ("left out", "its report has no part that may be sent")
    assert "dr-jones" not in sent(server)


def test_curves_are_of_whole_data_sets(reported, server):
    summary = reported / "report" / "shared" / "summary.csv"
    table = pd.read_csv(summary)
    pd.concat([table, table.assign(group="protocol=fov500", mean=0.0)]).to_csv(summary, index=False)
    assert study_row(reported)[0] == "uploaded"
    tables = {name: json.loads(body) for name, body in media(server, "table") if "curves" in name}
    assert all(0.0 not in [row[3] for row in content["data"]] for content in tables.values())


def test_a_report_that_compares_something_else_is_not_sent(reported, server):
    summary = reported / "report" / "shared" / "summary.csv"
    pd.read_csv(summary).drop(columns="noise_ratio").to_csv(summary, index=False)
    assert study_row(reported) == ("left out", f"its report compares no noise ratios: mandseg report {reported}")


def test_what_a_run_withheld_the_study_withholds(reported, home, server):
    set_tracking(reported / run_name(0.0, 0), home, overlays=False)
    set_tracking(reported / run_name(0.0, 1), home, case_table=False)
    assert study_row(reported)[0] == "uploaded"
    assert server.artifacts == {}
    assert media(server, "images") == []
    assert "external_a_003" not in sent(server)  # a case
    assert any(name.startswith("media/table/curves") for name, _ in media(server, "table"))


def test_a_study_made_without_tracking_is_not_sent(reported, home, server):
    set_tracking(reported / run_name(0.0, 0), home, mode="disabled")
    assert study_row(reported) == ("left out", "a run was made with tracking=none")
    assert server.runs == {}


def test_nothing_that_was_sent_names_the_user_the_host_a_folder_or_a_subject(reported, home, server):
    report = reported / "report"
    for file in ("index.html", "cases.csv"):
        with (report / file).open("a") as opened:  # nothing of this part of the report is sent
            opened.write("smith")
    ours = "".join(file.read_text() for file in report.rglob("*") if file.suffix in (".html", ".csv"))
    private = (HOME, "smith/clinic", "/mnt/smith/scans/x.nii.gz", "DOE^JANE", "doe-", "dr-jones", "st-mary")
    assert [word for word in private if word not in ours] == []  # or the rest shows nothing
    record(reported, 0.0, 0)
    with pytest.raises(RuntimeError):
        record(reported, 0.5, 1, fails=True)
    code, rows = synced(reported)
    assert (code, rows["jaws (the study itself)"]) == (0, ("uploaded", ""))
    assert len(server.artifacts) == 1
    shared = b"".join(file.read_bytes() for file in (report / "shared").rglob("*") if file.is_file())
    everything = sent(server) + "".join(str(file.name) for file in (report / "shared").rglob("*"))
    places = (str(Path.home()), os.environ["TMPDIR"], str(Path.cwd()))
    for word in (HOME, "smith", "DOE", "JANE", "doe-", "dr-jones", "st-mary", *places):
        assert word not in everything, word
        assert word.encode() not in shared, word
        assert all(word.encode() not in body for body in server.files.values()), word
    host = socket.gethostname()
    forms = (f'"{host}"', f">{host}<", f",{host},", f",{host}\n", f" {host} ")
    assert [form for form in forms if form in everything + shared.decode(errors="replace")] == []
