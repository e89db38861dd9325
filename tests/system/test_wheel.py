"""A built wheel works from any folder: it contains the configs and the report's template."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A wheel of this checkout, unpacked as pip does it into a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def run(installed, cwd, *words):
    code = ["-c", "import sys, mandseg; print(mandseg.__file__); from mandseg.{} import main; main()"]
    module = "train" if words[0] == "train" else "cli.main"
    return subprocess.run(
        [sys.executable, code[0], code[1].format(module), *words[1:]],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_a_wheel_finds_its_configs_and_sweeps_from_another_folder(installed, tmp_path):
    done = run(installed, tmp_path, "train", "--config-name", "demo", "--cfg", "job")
    assert done.stdout.startswith(str(installed)), done.stderr
    assert "study: demo" in done.stdout


@pytest.mark.slow
def test_a_wheel_brings_its_launchers(installed, tmp_path):
    done = run(installed, tmp_path, "train", "-m", "seed=0,1", "hydra/launcher=local", "hydra.launcher.jobs=0")
    assert done.returncode == 2
    assert "hydra.launcher.jobs=0" in done.stderr
    assert (installed / "hydra_plugins" / "mandseg_launchers.py").exists()


@pytest.mark.slow
def test_a_wheel_holds_the_reports_template_and_the_types_marker(installed, tmp_path):
    for room, template in (("report", "report.html.j2"), ("report", "page.css.j2"), ("audit", "audit.html.j2")):
        assert (installed / "mandseg" / room / "templates" / template).exists()
    assert (installed / "mandseg" / "py.typed").exists()
    assert "prepare" in run(installed, tmp_path, "cli", "--help").stdout
