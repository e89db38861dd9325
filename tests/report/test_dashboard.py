"""A study's W&B workspace: a noise-ratio curve for each data set and metric, grouped over seeds; saved now or later."""

import json
import shutil
import subprocess
import sys

import pytest
import wandb
import yaml

from mandseg.metrics.catalogue import METRICS
from mandseg.report.wandb.workspace import FILE, dashboard, write_dashboard
from mandseg.system.errors import UserError
from mandseg.tracking.tracker import description
from study_fixture import DATASETS, write_study
from wandb_server import become_a_new_user, log_in, wandb_server

TRACKING = {"mode": "auto", "project": "jaws", "entity": None, "case_table": True, "overlays": True}
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic V1 style:DeprecationWarning")  # in wandb-workspaces 0.4.13
LIMITS = {"init_timeout_s": 5.0, "finish_timeout_s": 10.0}


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    become_a_new_user(monkeypatch, tmp_path / "miller")
    wandb.teardown()
    yield
    wandb.teardown()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    study = write_study(tmp_path_factory.mktemp("miller") / "jaws", {0.0: 0.0, 0.5: 0.01}, seeds=(0, 1), n_cases=3)
    for run in study.glob("ratio*"):
        set_tracking(run)
    (study / "report" / "shared" / "figures").mkdir(parents=True)
    (study / "report" / "shared" / "figures" / "curve-dice.svg").write_text("<svg/>")
    return study


@pytest.fixture
def study(written, tmp_path):
    return shutil.copytree(written, tmp_path / "jaws")


def set_tracking(run, **tracking):
    settings = yaml.safe_load((run / "config.yaml").read_text())
    settings["tracking"] = {**TRACKING, **LIMITS, **tracking}
    (run / "config.yaml").write_text(yaml.safe_dump(settings))


def panels(spec):
    """Every panel's kind and settings, by section."""
    sections = spec["section"]["panelBankConfig"]["sections"]
    return {s["name"]: [(panel["viewType"], panel["config"]) for panel in s["panels"]] for s in sections}


def test_the_saved_workspace_has_a_curve_for_each_data_set_and_metric_grouped_over_seeds(study, server, capsys):
    assert dashboard(study) == 0
    ((view_id, view),) = server.views.items()
    assert (view["entityName"], view["projectName"]) == ("someone", "jaws")
    assert (view["type"], view["displayName"]) == ("project-view", "mandseg: jaws")
    assert capsys.readouterr().out.startswith(f"{server.url}/someone/jaws?nw=")
    spec = json.loads(view["spec"])
    shown = panels(spec)
    for dataset in DATASETS:
        curves = [config for kind, config in shown[f"Noise ratio, {dataset}"] if kind == "Run History Line Plot"]
        assert {config["xAxis"] for config in curves} == {"noise_ratio"}
        assert [config["metrics"] for config in curves] == [[f"{dataset}/{metric.column}"] for metric in METRICS]
        for config in curves:  # an arm is all that is the same at every ratio and seed
            assert (config["groupBy"], config["groupAgg"], config["groupArea"]) == ("arm.value", "mean", "minmax")
            assert config["aggregate"]
            assert config["limit"] >= 4
        ((_, dots),) = [panel for panel in shown[f"Noise ratio, {dataset}"] if panel[0] == "Scatter Plot"]
        assert (dots["xAxis"], dots["yAxis"]) == ("config:noise_ratio.value", f"summary:{dataset}/dice")
    learning = {config["metrics"][0]: config for _, config in shown["Learning curves"]}
    memorisation = {f"{of}_cases_dice_to_{to}" for of in ("noisy", "clean") for to in ("noisy", "reference")}
    assert set(learning) == {"train_loss", "val_dice", *memorisation}
    assert learning["val_dice"]["groupBy"] == "noise_ratio.value"
    assert learning["val_dice"]["xAxis"] == "trainer/global_step"
    assert shown["Runs"] == [("Run Comparer", {"diffOnly": "split"})]
    pooled = shown["Noise ratio, all data sets"][0][1]
    assert pooled["panelDefId"] == "wandb/lineseries/v0"
    assert "curve/dice_table" in json.dumps(pooled["userQuery"])
    assert shown["Report"] == [("Media Browser", {"chartTitle": "curve-dice", "mediaKeys": ["figures/curve-dice"]})]
    (runs,) = spec["section"]["runSets"]
    (group,) = runs["filters"]["filters"]
    assert (group["key"]["name"], group["value"]) == ("group", "jaws")
    assert json.loads((study / FILE).read_text())["url"].endswith(
        "?nw=" + view["name"].removeprefix("nw-").removesuffix("-v")
    )
    assert view_id == "view0"
    assert "miller" not in "".join(body for _, body in server.bodies)


def test_a_second_call_updates_the_workspace_that_is_there(study, server):
    assert dashboard(study) == 0
    assert dashboard(study) == 0
    assert len(server.views) == 1
    (view,) = server.views.values()
    assert view["id"] == "view0"
    assert "Noise ratio, test" in panels(json.loads(view["spec"]))


def test_a_workspace_that_was_deleted_online_is_made_again(study, server):
    assert dashboard(study) == 0
    server.views.clear()
    assert dashboard(study) == 0
    (view,) = server.views.values()
    assert "id" not in view
    assert "Noise ratio, test" in panels(json.loads(view["spec"]))


def test_a_dashboard_of_an_older_version_is_written_again(study, server):
    (study / FILE).write_text('{"entity": "", "project": "jaws", "spec": {}}')
    assert dashboard(study) == 0
    assert len(server.views) == 1


@pytest.mark.parametrize("content", ['{"title": "mine", "panels": []}', "my notes", "[]"])
def test_a_dashboard_of_another_program_is_not_replaced(study, content):
    (study / FILE).write_text(content)
    with pytest.raises(UserError, match=r"dashboard\.json: mandseg dashboard would replace it, and did not write it"):
        write_dashboard(study)
    assert (study / FILE).read_text() == content


def test_without_a_key_it_is_a_file_that_is_saved_later(study, capsys, monkeypatch, tmp_path):
    assert dashboard(study) == 0
    printed = capsys.readouterr().out
    assert printed.endswith(f"after `wandb login`: mandseg dashboard {study}\n")
    copy = shutil.copy(study / FILE, tmp_path / "elsewhere.json")
    with wandb_server() as server:
        log_in(monkeypatch, server.url)
        wandb.teardown()
        assert dashboard(copy) == 0
        (view,) = server.views.values()
    assert "Noise ratio, test" in panels(json.loads(view["spec"]))


def test_another_server_gets_a_workspace_of_its_own(study, server, monkeypatch):
    assert dashboard(study) == 0
    with wandb_server() as other:
        log_in(monkeypatch, other.url)
        wandb.teardown()
        assert dashboard(study) == 0
        (view,) = other.views.values()
    assert "id" not in view
    assert len(server.views) == 1


def test_offline_is_respected(study, server, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert dashboard(study) == 0
    assert (study / FILE).exists()
    assert server.bodies == []


def test_a_server_that_does_not_answer_costs_seconds_and_one_line(study, server, monkeypatch, capsys):
    monkeypatch.setattr("mandseg.tracking.client.SERVER_WAIT_S", 2)
    server.behaviour = "hangs"
    assert dashboard(study) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"mandseg: W&B: {server.url} was not reached within 2 s (")
    assert line.endswith(f"kept as {study / FILE}, try again later")


def test_arms_have_a_line_each():
    """The key that the panels group by is in the config of every run."""
    condition = {"noise_ratio": 0.2, "seed": 1, "data": "clinic", "noise": "planning", "model": "unet", "method": "a"}
    assert description("study", "run", condition, {})["config"]["arm"] == "clinic, planning, unet, a"


@pytest.mark.parametrize("text", ["no json", "[]", '{"entity": ""}'])
def test_a_file_that_holds_no_workspace_is_refused(server, tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(UserError, match=f"dashboard {tmp_path / FILE}: "):
        dashboard(tmp_path / FILE)
    assert server.views == {}


def test_a_study_without_tracking_has_no_dashboard(study):
    set_tracking(next(study.glob("ratio*")), mode="disabled")
    with pytest.raises(UserError, match="no dashboard, a run was made with tracking=none"):
        write_dashboard(study)
    assert not (study / FILE).exists()


def test_a_missing_library_is_named(study, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    with pytest.raises(UserError, match=r"pip install 'mandseg\[dashboard\]'"):
        write_dashboard(study)


def test_settings_of_the_runs_decide_where_it_goes(study, server):
    for run in study.glob("ratio*"):
        set_tracking(run, entity="clinic", project="heads")
    assert dashboard(study) == 0
    (view,) = server.views.values()
    assert (view["entityName"], view["projectName"]) == ("clinic", "heads")


def test_help_has_an_example_and_does_not_import_wandb():
    code = "import sys\nfrom mandseg.cli.main import main\nfor command in ('sync', 'dashboard'):\n"
    code += "    try:\n        main([command, '--help'])\n    except SystemExit:\n        pass\n"
    code += "    print([name for name in ('wandb', 'wandb_workspaces', 'pandas') if name in sys.modules])\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    of_sync, of_dashboard, end = done.stdout.split("[]\n")
    assert end == ""
    assert "Example: mandseg sync outputs/openkbp" in of_sync
    assert "Example: mandseg dashboard outputs/openkbp" in of_dashboard
