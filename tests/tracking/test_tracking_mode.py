"""Online only with a key for that server, otherwise offline; the user is not asked."""

import os
from types import SimpleNamespace

import pytest

from mandseg.system.errors import UserError
from mandseg.tracking.settings import TrackingSettings, resolve_mode


@pytest.fixture(autouse=True)
def user_without_key(monkeypatch, tmp_path):
    for name in [n for n in os.environ if n.startswith("WANDB_")] + ["NETRC"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.mark.parametrize(
    ("mode", "wandb_mode", "key", "expected"),
    [
        ("auto", None, None, "offline"),
        ("auto", None, "k" * 40, "online"),
        ("auto", "", "k" * 40, "online"),
        ("auto", "offline", "k" * 40, "offline"),
        ("auto", "dryrun", "k" * 40, "offline"),
        ("auto", "disabled", "k" * 40, "disabled"),
        ("auto", "online", None, "offline"),
        ("online", "offline", "k" * 40, "online"),
        ("online", None, None, "offline"),
        ("offline", "online", "k" * 40, "offline"),
        ("disabled", "online", "k" * 40, "disabled"),
    ],
)
def test_a_run_is_online_only_with_a_key(monkeypatch, mode, wandb_mode, key, expected):
    for name, value in (("WANDB_MODE", wandb_mode), ("WANDB_API_KEY", key)):
        if value is not None:
            monkeypatch.setenv(name, value)
    assert resolve_mode(mode) == expected


@pytest.mark.parametrize(("machine", "expected"), [("api.wandb.ai", "online"), ("wandb.hospital.example", "offline")])
def test_a_key_in_netrc_counts_for_its_own_server(monkeypatch, tmp_path, machine, expected):
    (tmp_path / "netrc").write_text(f"machine {machine} login user password {'k' * 40}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert resolve_mode("auto") == expected


def test_a_broken_netrc_is_named_and_means_no_key(monkeypatch, tmp_path, caplog):
    (tmp_path / "netrc").write_text("machine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert resolve_mode("auto") == "offline"
    assert str(tmp_path / "netrc") in caplog.text


def test_an_unknown_mode_is_refused_with_the_known_ones(monkeypatch):
    with pytest.raises(UserError, match=r"tracking.mode=onlin: expected one of auto, online, offline, disabled"):
        TrackingSettings("onlin", "mandseg", None, True, True, 3.0, 8.0)
    monkeypatch.setenv("WANDB_MODE", "sometimes")
    with pytest.raises(UserError, match="WANDB_MODE=sometimes"):
        resolve_mode("auto")


def test_settings_that_the_client_refuses_mean_no_key_and_the_training_continues(monkeypatch, caplog):
    def refuse(**_):
        raise ValueError("1 validation error for Settings\nbase_url: not a URL")

    client = SimpleNamespace(Settings=refuse, setup=refuse)
    monkeypatch.setattr("mandseg.tracking.client.wandb_client", lambda: client)
    assert resolve_mode("auto") == "offline"
    (message,) = [record.getMessage() for record in caplog.records]
    assert message == "W&B: its settings cannot be used (1 validation error for Settings; base_url: not a URL)"
