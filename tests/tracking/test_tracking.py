"""Tracking copies a run to W&B, prints little, and does not stop or delay it: with the real client."""

import json
import logging
import os
import pty
import socket
import subprocess
import sys
import time
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import pytest
import torch
import wandb
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from PIL import Image

from mandseg.tracking.recordings import SYNCED, recordings
from mandseg.tracking.redaction import without_folders, without_folders_in_overrides
from mandseg.tracking.settings import TrackingSettings
from mandseg.tracking.tracker import summary, sync_hint, tracking_run
from mandseg.training.learning_curve import LearningCurve
from wandb_server import become_a_new_user

CONF = Path(__file__).parents[2] / "conf"
CASES = pd.DataFrame(
    {
        "dataset": ["test", "test", "external"],
        "case_id": ["case_a", "case_b", "case_c"],
        "outcome": ["scored", "missed", "scored"],
        "dice": [0.8, 0.0, 0.9],
        "hd95_mm": [2.0, 300.0, 1.0],
    }
)


@pytest.fixture(autouse=True)
def clean_client(monkeypatch, tmp_path):
    """A user without key and settings, and a client without state of the test before."""
    become_a_new_user(monkeypatch, tmp_path / "home")
    wandb.teardown()
    yield
    wandb.teardown()


def chosen(**changes):
    defaults = {"mode": "auto", "project": "mandseg", "entity": None, "case_table": True, "overlays": True}
    return TrackingSettings(**{**defaults, "init_timeout_s": 3.0, "finish_timeout_s": 8.0, **changes})


def train(run_folder, settings=None, fails=False, during=lambda: None):
    """What a training does with its tracker."""
    run_folder.mkdir(parents=True, exist_ok=True)
    picture = run_folder / "case_a.png"
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(picture)
    condition = {"noise_ratio": 0.2, "seed": 1}
    config = {"model": {"channels": [8, 16]}, "data": {"manifest": "/home/miller/cohort/manifest.csv"}}
    curve = LearningCurve(run_folder / "learning_curve.csv")
    with tracking_run(
        settings or chosen(), run_folder, "a-study", run_folder.name, condition, config, curve
    ) as tracker:
        for step in (10, 20):
            for logger in tracker.loggers:
                logger.log_metrics({"train_loss": 1 / step}, step)
        during()
        tracker.log_overlays(20, [picture])
        if fails:
            raise RuntimeError("out of memory")
        tracker.log_results(CASES)


def records(run_folder):
    """What an offline run holds, by kind, as W&B's own reader prints it."""
    (path,) = run_folder.glob("wandb/offline-run-*/run-*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(path)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, list] = {}
    for record in map(json.loads, printed.splitlines()):
        found.setdefault(record["type"], []).append(record[record["type"]])
    return found, printed


def warnings_of(caplog):
    return [r.getMessage() for r in caplog.records if r.name.startswith("mandseg") and r.levelno >= logging.WARNING]


def test_two_jobs_in_turn_are_two_runs_with_their_own_exit_codes(tmp_path, capfd):
    train(tmp_path / "first")
    with pytest.raises(RuntimeError, match="out of memory"):
        train(tmp_path / "second", fails=True)
    first, second = records(tmp_path / "first")[0], records(tmp_path / "second")[0]
    assert first["run"][0]["run_id"] != second["run"][0]["run_id"]
    assert [r["exit"][0].get("exit_code", 0) for r in (first, second)] == [0, 1]
    assert capfd.readouterr().err == ""  # no banner, no prompt


def test_an_offline_run_holds_condition_curve_picture_summary_and_table(tmp_path):
    train(tmp_path / "run")
    found, printed = records(tmp_path / "run")
    run = found["run"][0]
    assert (run["run_group"], run["job_type"], run["display_name"]) == ("a-study", "train", "run")
    assert run["tags"] == ["noise_ratio=0.2", "seed=1"]
    config = run["config"]["update"]
    assert (config["noise_ratio"], config["seed"], config["model"]) == (0.2, 1, {"channels": [8, 16]})
    history = [h["item"] for h in found["history"]]
    assert [(h["trainer/global_step"], h["train_loss"]) for h in history[:2]] == [(10, 0.1), (20, 0.05)]
    assert history[2]["overlays/case_a._type"] == "image-file"
    assert (history[3]["noise_ratio"], history[3]["external/dice"]) == (0.2, 0.9)  # a point of the noise-ratio curve
    last = {key: value for s in found["summary"] for key, value in s["update"].items()}
    assert last["test/dice"] == pytest.approx(0.4)
    assert (last["test/missed"], last["test/cases"], last["external/missed"]) == (1, 2, 0)
    (table,) = (tmp_path / "run").glob("wandb/offline-run-*/files/media/table/*.json")
    assert json.loads(table.read_text())["data"][1] == ["test", "case_b", "missed", 0.0, 300.0]
    assert str(tmp_path) not in printed
    assert "miller" not in printed
    assert socket.gethostname() not in (run["host"], run.get("program"))


def test_case_table_and_overlays_can_be_withheld(tmp_path):
    train(tmp_path / "run", chosen(case_table=False, overlays=False))
    found, printed = records(tmp_path / "run")
    assert "case_b" not in printed
    assert "image-file" not in printed
    assert any("test/dice" in s["update"] for s in found["summary"])


def test_a_resumed_run_keeps_its_id_and_its_curve(tmp_path):
    with pytest.raises(RuntimeError):
        train(tmp_path / "run", fails=True)
    first = (tmp_path / "run" / "wandb_id").read_text()
    train(tmp_path / "run")
    ids = {p.stem for p in (tmp_path / "run").glob("wandb/offline-run-*/run-*.wandb")}
    assert ids == {f"run-{first.strip()}"}
    assert (tmp_path / "run" / "learning_curve.csv").read_text() == "step,train_loss\n10,0.1\n20,0.05\n"


def test_an_online_run_arrives_whole_and_discreetly(tmp_path, server):
    train(tmp_path / "run")
    (run_id,) = server.runs
    assert run_id == (tmp_path / "run" / "wandb_id").read_text().strip()
    run, stream = server.runs[run_id], server.streams[run_id]
    assert (run["groupName"], run["jobType"], run["tags"]) == ("a-study", "train", ["noise_ratio=0.2", "seed=1"])
    assert [row.get("train_loss") for row in stream["history"][:2]] == [0.1, 0.05]
    assert stream["exitcode"] == 0
    assert json.loads(server.files["wandb-summary.json"])["external/dice"] == 0.9
    assert any(name.startswith("media/images/overlays/case_a") for name in server.files)
    (table,) = (content for name, content in server.files.items() if name.startswith("media/table/cases"))
    assert json.loads(table)["columns"] == list(CASES.columns)
    sent = "\n".join(f"{path} {body}" for path, body in server.bodies)
    assert str(tmp_path) not in sent
    assert "miller" not in sent
    assert f'"{socket.gethostname()}"' not in sent


@pytest.mark.parametrize("behaviour", ["hangs", "fails"])
def test_a_server_that_does_not_answer_costs_seconds_and_a_line(tmp_path, server, caplog, behaviour):
    server.behaviour = behaviour
    started = time.monotonic()
    train(tmp_path / "run", chosen(init_timeout_s=1.0))
    assert time.monotonic() - started < 60  # without its own time limits the client waits for minutes
    assert (tmp_path / "run" / "learning_curve.csv").read_text() == "step,train_loss\n10,0.1\n20,0.05\n"
    assert [line.partition(" (")[0] for line in warnings_of(caplog)] == ["W&B could not be reached"]
    assert len(records(tmp_path / "run")[0]["history"]) >= 2  # kept offline, to be sent later


def test_a_server_that_fails_during_the_run_costs_seconds_and_one_warning(tmp_path, server, caplog):
    def die():
        server.behaviour = "hangs"

    started = time.monotonic()
    train(tmp_path / "run", chosen(finish_timeout_s=1.0), during=die)
    assert time.monotonic() - started < 60  # without its own time limits the client waits for minutes
    (warning,) = warnings_of(caplog)
    assert warning.startswith("W&B could not finish the run")
    assert warning.endswith(f"mandseg sync {tmp_path}")
    assert sync_hint(tmp_path) == f"mandseg sync {tmp_path}"


def test_a_failing_client_stops_the_tracking_and_not_the_training(tmp_path, caplog):
    def break_the_client():
        wandb.teardown()

    train(tmp_path / "run", during=break_the_client)
    assert len(warnings_of(caplog)) == 1


def test_a_failed_online_run_is_marked_as_failed(tmp_path, server):
    with pytest.raises(RuntimeError):
        train(tmp_path / "run", fails=True)
    (stream,) = server.streams.values()
    assert stream["exitcode"] == 1


def test_a_key_that_is_no_key_leaves_the_run_offline(tmp_path, server, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "not a key")
    train(tmp_path / "run")
    assert server.runs == {}
    assert len(records(tmp_path / "run")[0]["history"]) >= 2


def test_the_hint_names_the_study_as_long_as_a_recording_waits(tmp_path):
    train(tmp_path / "study one" / "run", chosen(mode="offline"))
    assert sync_hint(tmp_path / "study one") == f"mandseg sync '{tmp_path}/study one'"
    (recording,) = recordings(tmp_path / "study one" / "run")
    recording.mark(SYNCED)
    assert sync_hint(tmp_path / "study one") is None


def test_an_online_run_leaves_nothing_to_send(tmp_path, server):
    train(tmp_path / "run")
    assert len(recordings(tmp_path / "run")) == 1
    assert sync_hint(tmp_path) is None


def test_nothing_to_send_gives_no_hint(tmp_path):
    assert sync_hint(tmp_path) is None


SCRIPT = """
import sys
from pathlib import Path
from mandseg.tracking.recordings import SYNCED, recordings
from mandseg.tracking.settings import TrackingSettings
from mandseg.tracking.tracker import tracking_run
from mandseg.training.learning_curve import LearningCurve
settings = TrackingSettings(sys.argv[1], "mandseg", None, True, True, 3.0, 8.0)
curve = LearningCurve(Path(sys.argv[2]) / "learning_curve.csv")
with tracking_run(settings, Path(sys.argv[2]), "study", "run", {"seed": 1}, {}, curve) as tracker:
    for logger in tracker.loggers:
        logger.log_metrics({"train_loss": 1.0}, 10)
print("wandb" in sys.modules, len(tracker.loggers))
"""


def test_nothing_of_wandb_is_imported_when_tracking_is_off(tmp_path):
    command = [sys.executable, "-c", SCRIPT, "disabled", str(tmp_path / "run")]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() == ["False", "1"]
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["learning_curve.csv"]


def test_without_a_key_a_terminal_records_offline_and_has_no_prompt(tmp_path):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", SCRIPT, "auto", str(tmp_path / "run")]
    subprocess.run(command, check=True, stdin=theirs, stdout=theirs, stderr=theirs, timeout=120)
    assert os.read(ours, 10_000).decode().split() == ["True", "2"]
    for end in (ours, theirs):
        os.close(end)


def test_only_rank_zero_opens_a_run(tmp_path, monkeypatch):
    monkeypatch.setattr("lightning.pytorch.utilities.rank_zero_only.rank", 1)
    train(tmp_path / "run")
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["case_a.png"]


class OneWeight(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def training_step(self, batch, batch_index):
        loss = (self.weight * batch).square().mean()
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")
@pytest.mark.filterwarnings("ignore:.*LeafSpec.* is deprecated:FutureWarning")  # Lightning 2.6 under torch 2.13
def test_lightning_trains_into_both_records_alike(tmp_path):
    curve = LearningCurve(tmp_path / "learning_curve.csv")
    with tracking_run(chosen(), tmp_path, "study", "run", {"seed": 1}, {}, curve) as tracker:
        trainer = pl.Trainer(
            max_steps=4,
            accelerator="cpu",
            logger=tracker.loggers,
            log_every_n_steps=2,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(OneWeight(), torch.utils.data.DataLoader(torch.ones(8, 1)))
    curve = pd.read_csv(tmp_path / "learning_curve.csv")
    on_wandb = [h["item"] for h in records(tmp_path)[0]["history"]]
    assert [h["trainer/global_step"] for h in on_wandb] == curve["step"].tolist()
    assert [h["train_loss"] for h in on_wandb] == pytest.approx(curve["train_loss"].tolist())
    assert curve["train_loss"].is_monotonic_decreasing


def test_the_summary_averages_over_all_cases_and_counts_the_missed():
    values = summary(CASES)
    assert (values["test/dice"], values["test/hd95_mm"]) == pytest.approx((0.4, 151.0))
    assert (values["test/cases"], values["test/missed"], values["test/spurious"]) == (2, 1, 0)
    assert (values["external/cases"], values["external/missed"]) == (1, 0)


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("/home/miller/cohort/manifest.csv", ".../manifest.csv"),
        (Path("/data"), "..."),
        (Path("doe"), "..."),
        ("~/cohort/manifest.csv", ".../manifest.csv"),
        ("~miller", "..."),
        ("/Users/miller", "..."),
        (r"C:\Users\miller\outputs", "..."),
        (r"C:\Users\miller\cohort\manifest.csv", ".../manifest.csv"),
        (r"C:\Users\miller/manifest.csv", ".../manifest.csv"),
        ("outputs/study", "..."),
        ("DOE^JANE 1961/manifest.csv", ".../manifest.csv"),  # a relative path's folder can be a patient's
        ("cohorts/DOE.JANE", "..."),
        ({"manifest": "DOE_JANE"}, {"manifest": "..."}),  # a folder beside the working folder: nothing shows it
        ({"eval": {"a": "DOE_JANE", "b": "/a/b/c"}}, {"eval": {"a": "...", "b": "..."}}),
        ({"sizes": ["/a/b/c", 3, None]}, {"sizes": ["...", 3, None]}),
        (
            {"noise": {"annotators": ["Dr Jones"], "leave_out": None}},
            {"noise": {"annotators": "withheld", "leave_out": None}},
        ),
        (
            {"_target_": "monai.losses.DiceCELoss", "name": "dose-3.5"},
            {"_target_": "monai.losses.DiceCELoss", "name": "dose-3.5"},
        ),
    ],
)
def test_settings_leave_without_folders_and_names(value, sent):
    assert without_folders(value) == sent


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        (
            "data=folder data.manifest=DOE^JANE 1961/manifest.csv steps=4",
            "data=folder data.manifest=.../manifest.csv steps=4",
        ),
        ("+eval.x=DOE JANE noise.annotators=[jones]", "+eval.x=... noise.annotators=withheld"),
        ("steps=40 batch_size=4 and 3 more (1a2b3c)", "steps=40 batch_size=4 and 3 more (1a2b3c)"),
        ("", ""),
    ],
)
def test_overrides_leave_without_folders_and_names(words, sent):
    assert without_folders_in_overrides(words) == sent


@pytest.mark.parametrize(("name", "mode"), [("wandb", "auto"), ("none", "disabled")])
def test_the_config_group_makes_settings(name, mode):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        settings = instantiate(compose(f"tracking/{name}").tracking)
    assert (settings.mode, settings.project, settings.entity) == (mode, "mandseg", None)
