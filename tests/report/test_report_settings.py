"""Settings of many runs are read once each; settings that cannot be read are reported and do not hang the report."""

import time

from mandseg.report.audience import Audience
from mandseg.report.settings import StudySettings
from mandseg.report.write import write_report
from mandseg.runs.study import open_study
from study_fixture import run_name, write_study


def study_of_two(folder):
    return write_study(folder, {0.0: 0.0, 0.5: 0.01}, seeds=(0,), datasets={"test": 0.9}, n_cases=3)


def test_settings_that_could_hang_a_reader_are_reported_and_the_report_is_written(tmp_path, without_figures):
    study = study_of_two(tmp_path / "demo")
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, 12)]
    (study / run_name(0.0, 0) / "config.yaml").write_text("\n".join(rows))
    started = time.monotonic()
    page = write_report(study)
    assert time.monotonic() - started < 30  # it took minutes and gigabytes
    line = f"config.yaml of run {run_name(0.0, 0)} cannot be read: line 2 holds an alias (*a0)"
    assert line in page.read_text()
    assert f"The networks are not described: {line}." in (page.parent / "methods.md").read_text()


def test_a_run_that_lacks_a_setting_has_no_description_and_the_key_is_named(tmp_path, without_figures):
    study = study_of_two(tmp_path / "demo")
    config = study / run_name(0.0, 0) / "config.yaml"
    config.write_text(config.read_text().replace("jitter_share", "jitter"))
    methods = (write_report(study).parent / "methods.md").read_text()
    line = f"The networks of run {run_name(0.0, 0)} are not described: the settings lack patches.jitter_share."
    assert line in methods


def test_each_config_is_read_once(tmp_path, monkeypatch):
    import mandseg.runs.folder as module

    settings = StudySettings(open_study(study_of_two(tmp_path / "demo")))
    read, read_yaml = [], module.read_yaml
    monkeypatch.setattr(module, "read_yaml", lambda file: read.append(file) or read_yaml(file))
    for audience in Audience:
        settings.values(audience)
    settings.of(settings.runs[0])
    assert len(read) == len(set(read)) == 2


def test_the_shared_report_has_no_folder(tmp_path):
    study = study_of_two(tmp_path / "demo")
    for config in study.glob("*/config.yaml"):
        config.write_text(config.read_text().replace("cache_dir: cache", "cache_dir: DOE^JANE"))
    settings = StudySettings(open_study(study))
    assert settings.values(Audience.INSIDE)["cache_dir"] == "DOE^JANE"
    assert settings.values(Audience.OUTSIDE)["cache_dir"] == "..."
