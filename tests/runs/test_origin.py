"""The origin of a run: the digests of its sets follow the files' content, and changes are reported."""

import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from mandseg.runs.origin import changes, content_of, content_or_none
from mandseg.system.config_paths import config_folder
from tiny_cohort import write_tiny_cohort


@pytest.fixture
def cohort(tmp_path):
    return write_tiny_cohort(tmp_path / "cohort")


def config(tmp_path: Path, *words: str):
    own = ["data=folder", f"data.manifest={tmp_path}/cohort/manifest.csv", f"cache_dir={tmp_path}/cache"]
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return compose("train", [*own, "noise=recorded", *words])


def replace_by(file: Path, other: Path) -> None:
    file.write_bytes(other.read_bytes())


def test_each_set_has_a_digest_of_its_images_and_labels(tmp_path, cohort):
    content = content_of(config(tmp_path))
    assert {name: sorted(kinds) for name, kinds in content.items()} == {
        "training": ["images", "noisy", "references"],
        "validation": ["images", "references"],
        "test": ["images", "references"],
    }
    assert all(len(digest) == 12 for kinds in content.values() for digest in kinds.values())


def test_a_corrected_label_is_reported_with_its_set_and_both_digests(tmp_path, cohort):
    before = content_of(config(tmp_path))
    case = cohort.split("train")[0]
    replace_by(case.reference, case.noisy)
    after = content_of(config(tmp_path))
    old, new = before["training"]["references"], after["training"]["references"]
    assert old != new
    assert changes(before, after) == [f"training references {old}, now {new}"]
    assert changes(before, before) == []


def test_simulated_noise_does_not_read_the_noisy_labels(tmp_path, cohort):
    before = content_of(config(tmp_path, "noise=planning"))
    case = cohort.split("train")[0]
    replace_by(case.noisy, case.reference)
    assert content_of(config(tmp_path, "noise=planning")) == before
    assert content_of(config(tmp_path))["training"]["noisy"] != ""


def test_a_data_set_called_training_hides_no_set_of_the_project(tmp_path, cohort):
    write_tiny_cohort(tmp_path / "other")
    shared = "evaluation.shared_subjects=[x,y,z]"
    content = content_of(config(tmp_path, f"+eval.training={tmp_path}/other/manifest.csv", shared))
    assert "noisy" in content["training"]
    assert "training (data set)" in content


def test_files_that_are_not_here_are_reported_and_change_nothing(tmp_path, cohort, caplog):
    (tmp_path / "cohort" / "manifest.csv").unlink()
    assert content_or_none(config(tmp_path)) is None
    assert "cannot be checked" in caplog.text


def test_the_check_for_changes_loads_no_torch():
    modules = "mandseg.runs.origin, mandseg.runs.launchers.cells, mandseg.runs.replaced"
    code = f"import sys; import {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False"
