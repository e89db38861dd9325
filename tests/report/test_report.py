"""The report is true of the study, needs no other file, and is written completely or not at all."""

import csv
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mandseg.report import case_pictures as pictures
from mandseg.report import write
from mandseg.report.audience import Audience
from mandseg.report.figure_set import FIGURES
from mandseg.report.figures.source import FigureSource, ReportFigure
from mandseg.report.page import page
from mandseg.report.write import write_report
from mandseg.runs.study import open_study
from mandseg.system.errors import UserError
from study_fixture import (
    CASE_COLUMNS,
    DATASETS,
    case_row,
    draw_overlays,
    run_name,
    write_csv,
    write_run,
    write_study,
)

NO_NUMBER = re.compile(r"\b(nan|None|inf|-inf|NaT|undefined)\b", flags=re.I)


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of one data set with a missed case and a failed run, and its report."""
    study = tmp_path_factory.mktemp("outputs") / "demo"
    write_study(study, loss={0.0: 0.0, 0.5: 0.001}, seeds=(0, 1, 2), datasets={"test": 0.9}, n_cases=8)
    rows = [case_row(1.0, 0, "test", f"test_{k:03d}", 0.7, "missed" if k == 3 else "scored") for k in range(8)]
    draw_overlays(write_run(study, 1.0, 0, rows), rows)
    write_run(study, 1.0, 1, [], state="failed", error="loss is <not> finite at step 7")
    write_report(study)
    return study / "report"


def text_of(report: Path) -> str:
    """The words of a page, without tags and drawings."""
    page = (report / "index.html").read_text(encoding="utf-8")
    words = re.sub(r"<(style|svg|script)\b.*?</\1>|<[^>]+>", " ", page, flags=re.S)
    return " ".join(words.split())


def assert_no_absent_number(report: Path) -> None:
    """No file has nan, None or inf instead of a number, including the figures of the page."""
    page = (report / "index.html").read_text(encoding="utf-8")
    drawings = re.sub(r"(fill|stroke|display|pointer-events|text-decoration)\s*:\s*none|data:[^\"]*", "", page)
    drawings = re.sub(r"<(style|script)\b.*?</\1>", "", drawings, flags=re.S)
    assert not NO_NUMBER.search(re.sub(r"<b>none</b>|Tolerated.*?</table>|\bnone\b", "", drawings))
    for file in report.rglob("*"):
        if file.suffix in (".csv", ".tex", ".md"):
            assert not NO_NUMBER.search(file.read_text(encoding="utf-8").replace("none", "")), file.name


def test_finding_comes_first_with_its_interval(reported):
    text = text_of(reported)
    finding = text.index("Mean Dice is shown to stay within 0.02 of training on clean labels up to a noise ratio of")
    verdict = text.index("✓ non-inferior")
    assert finding < text.index("95 % interval") < verdict < text.index("Tolerated noise ratio")


def test_verdicts_are_words_and_marks_and_not_colours_alone(reported):
    page = (reported / "index.html").read_text(encoding="utf-8")
    lights = page[page.index('id="table-verdicts"') :].split("</table>")[0]
    cells = re.findall(r'<td[^>]*class="(is-[^"]*)"[^>]*>(.*?)</td>', lights)
    assert [(kind, re.sub(r"<small>.*|<[^>]+>", "", words)) for kind, words in cells] == [
        ("is-non-inferior", "✓ non-inferior"),
        ("is-inferior", "✗ inferior"),
    ]


def test_missed_case_and_failed_run_are_on_the_page(reported):
    text = text_of(reported)
    assert "test 1 test_003 missed 0" in text
    assert "1 of 8" in text
    assert "7 of 8 runs done, 1 failed" in text
    assert "ratio1-seed1 failed loss is &lt;not&gt; finite at step 7" in text
    assert "Dice with and without missed and spurious predictions" in text


def test_noise_that_was_applied_is_reported_by_annotator(reported):
    data = pd.read_csv(reported / "tables" / "noise-applied.csv").set_index("annotator")
    assert data.loc["all", "dice_median"] == pytest.approx(0.845)  # 0.80 to 0.89 in ten cases
    assert data.loc["a", "dice_median"] == pytest.approx(0.84)
    assert data.loc["all", ["noisy_at_0", "noisy_at_0.5", "noisy_at_1"]].tolist() == [0, 5, 10]
    assert "0.845 0.800 to 0.890" in text_of(reported)


def test_memorisation_is_drawn(reported):
    assert (reported / "figures" / "memorisation.svg").exists()
    assert "noise was memorised" in text_of(reported)


def test_settings_that_differ_show_every_value_and_versions_are_reported(reported):
    text = text_of(reported)
    assert "noise_ratio 0.0 | 0.5 | 1.0" in text
    assert "model.network.channels [16, 32, 64, 128]" in text
    assert "torch 2.13.0" in text


def test_page_needs_nothing_but_itself(reported):
    page = (reported / "index.html").read_text(encoding="utf-8")
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert sources
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert "http" not in re.sub(r"xmlns(:xlink)?=\"[^\"]*\"", "", page)
    assert len(page) < 1_500_000
    identifiers = re.findall(r'id="([^"]+)"', page)
    assert len(identifiers) == len(set(identifiers))
    links = set(re.findall(r'href="#([^"]+)"', re.sub(r"<svg.*?</svg>", "", page, flags=re.S)))
    assert links <= set(identifiers)


def test_csv_files_hold_the_numbers_of_the_page(reported):
    summary = pd.read_csv(reported / "summary.csv")
    cases = pd.read_csv(reported / "cases.csv")
    row = summary[(summary.metric == "dice") & (summary.noise_ratio == 0.5)].iloc[0]
    scored = cases[cases.noise_ratio == 0.5]
    assert row["mean"] == pytest.approx(scored.dice.mean())
    assert f"{row['mean']:.3f}" in text_of(reported)
    differences = pd.read_csv(reported / "differences.csv")
    assert set(differences.noise_ratio) == {0.5, 1.0}
    assert {"margin", "verdict", "p_holm", "low", "high"} <= set(differences.columns)
    assert_no_absent_number(reported)


def test_every_table_of_the_page_is_there_as_csv_and_latex(reported):
    page = (reported / "index.html").read_text(encoding="utf-8")
    names = re.findall(r'<table id="table-([^"]+)"', page)
    assert {"verdicts", "tolerances", "means-test", "differences-test", "missed", "cost", "runs"} <= set(names)
    for name in names:
        with (reported / "tables" / f"{name}.csv").open() as file:
            assert len(list(csv.reader(file))) > 1
        latex = (reported / "tables" / f"{name}.tex").read_text(encoding="utf-8")
        assert latex.count("{") - latex.count(r"\{") == latex.count("}") - latex.count(r"\}")
    verdicts = (reported / "tables" / "verdicts.tex").read_text(encoding="utf-8")
    assert r"1 & inferior ($-$0." in verdicts


def test_latex_escapes_what_latex_reads(reported):
    latex = (reported / "tables" / "not-done.tex").read_text(encoding="utf-8")
    assert r"ratio1-seed1 & failed & loss is $<$not$>$ finite at step 7 \\" in latex
    missed = (reported / "tables" / "missed.tex").read_text(encoding="utf-8")
    assert r"test\_003" in missed


def test_every_figure_of_the_page_is_a_file_as_well(reported):
    page = (reported / "index.html").read_text(encoding="utf-8")
    names = set(re.findall(r'<figure id="figure-([^"]+)"', page))
    assert {"curve-dice", "forest-dice", "cases", "case-differences", "seeds", "response", "learning-val_dice"} < names
    assert {file.stem for file in (reported / "figures").glob("*.svg")} == names


def test_a_figure_has_the_requested_file_types_and_no_others(reported, tmp_path, monkeypatch):
    assert {file.suffix for folder in ("figures", "shared/figures") for file in (reported / folder).iterdir()} == {
        ".svg"
    }
    monkeypatch.setattr("mandseg.report.figure_set.FIGURES", {**dict.fromkeys(FIGURES, ()), "seeds": FIGURES["seeds"]})
    report = write_report(reported.parent, tmp_path / "report", formats=("png", "svg")).parent
    assert sorted(file.name for file in (report / "figures").iterdir()) == ["seeds.png", "seeds.svg"]
    assert sorted(file.name for file in (report / "shared" / "figures").iterdir()) == ["seeds.png", "seeds.svg"]


def test_methods_state_the_numbers_of_the_study(reported):
    words = (reported / "methods.md").read_text(encoding="utf-8")
    assert "noise ratios 0, 0.5, 1" in words
    assert "7 trainings in all" in words
    assert "0 at noise ratio 0, 5 at noise ratio 0.5 and 10 at noise ratio 1" in words
    assert "test (8 cases)" in words
    assert "1 prediction was missed or spurious" in words
    assert "median Dice 0.845 (0.800 to 0.890)" in words
    assert "Dice 0.02 (three annotators" in words
    assert "torch 2.13.0" in words


def test_worst_case_of_a_ratio_is_the_one_that_is_shown(reported):
    assert "test, noise ratio 1, worst case, seed 0: test_003. missed; Dice 0.000" in text_of(reported)
    assert "test, noise ratio 1, median case, seed 0: " in text_of(reported)


def test_same_study_gives_the_same_files(reported, tmp_path):
    again = write_report(reported.parent, tmp_path / "again").parent
    files = [file.relative_to(reported) for file in reported.rglob("*") if file.is_file()]
    assert len(files) > 40  # page, tables, figures
    for file in files:
        assert (again / file).read_bytes() == (reported / file).read_bytes(), file


def test_what_may_leave_the_machine_names_no_annotator(reported):
    assert "Noisy training labels (planning) against their references" in text_of(reported)
    assert "Noisy training labels (planning) against their references" not in text_of(reported / "shared")
    assert "Learning and memorisation" in text_of(reported / "shared")
    assert (reported / "shared" / "figures" / "curve-dice.svg").exists()
    assert not [file.name for file in (reported / "shared").rglob("*noise-*")]
    links = re.findall(r'href="#([^"]+)"', (reported / "shared" / "index.html").read_text())
    assert "noise" not in links


def test_study_without_a_done_run_is_reported(tmp_path):
    write_run(tmp_path / "demo", 0.0, 0, [], state="failed", error="no space left")
    page = write_report(tmp_path / "demo")
    text = text_of(page.parent)
    assert "No run of this study is done yet: there is no result to report." in text
    assert "no space left" in text
    assert_no_absent_number(page.parent)


@pytest.mark.parametrize(
    ("ratios", "sentence"),
    [
        ((0.5,), "Only noise ratio 0.5 was run: there is no curve yet."),
        ((0.2, 0.5), "No run at noise ratio 0 is done: the loss against clean labels cannot be given."),
    ],
)
def test_study_without_a_conclusion_gives_the_reason(tmp_path, ratios, sentence):
    study = write_study(tmp_path / "demo", dict.fromkeys(ratios, 0.0), seeds=(0,), datasets={"test": 0.9}, n_cases=3)
    report = write_report(study).parent
    assert sentence in text_of(report)
    assert "one seed: the interval does not cover the variation between trainings" in text_of(report)
    assert "Intervals come from a bootstrap over cases. There is one seed" in text_of(report)
    assert_no_absent_number(report)


def test_faults_in_runs_are_reported_on_a_page_without_absent_numbers(tmp_path):
    study = write_study(tmp_path / "demo", {0.0: 0.0, 0.5: 0.01}, range(6), {"test": 0.9}, n_cases=5)
    halved, elsewhere, other_code, no_numbers, no_noise = (study / run_name(0.5, seed) for seed in range(5))
    cut_in_half(halved / "cases.csv")
    change_record(elsewhere, study="elsewhere")
    change_record(other_code, versions={"code": "fff0000"})
    rows = list(csv.DictReader((no_numbers / "cases.csv").read_text().splitlines()))
    write_csv(no_numbers / "cases.csv", [row | {"dice": "nan", "hd95_mm": "inf"} for row in rows], CASE_COLUMNS)
    (no_noise / "noise_applied.csv").write_text("case_id,annot")
    report = write_report(study).parent
    assert "Intervals come from a crossed bootstrap over seeds and cases." in text_of(report)
    text = text_of(report)
    assert f"{halved.name} failed cases.csv" in text
    assert "elsewhere" in text
    assert "fff0000" in text
    assert f"run {no_numbers.name}: 5 of 5 values of dice left out, no number" in text
    assert_no_absent_number(report)


def cut_in_half(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def change_record(run: Path, **changes: object) -> None:
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | changes))


def test_methods_are_compared_by_the_same_code(tmp_path):
    study = write_methods(tmp_path / "demo")
    report = write_report(study, compare="method").parent
    text = text_of(report)
    assert report.name == "report-method"
    assert "method gce" in text
    assert "Paired differences from method supervised" in text
    assert "Tolerated noise ratio" not in text
    differences = pd.read_csv(report / "differences.csv")
    assert set(differences.method) == {"gce"}
    assert set(differences.noise_ratio) == {0.0, 0.5}  # an arm each
    assert differences[differences.metric == "dice"].difference.mean() == pytest.approx(-0.05, abs=0.005)
    assert_no_absent_number(report)


def write_methods(folder: Path) -> Path:
    """Two methods at two ratios, ``gce`` 0.05 worse in Dice than ``supervised``."""
    write_study(folder, {0.0: 0.0, 0.5: 0.01}, (0, 1, 2), {"test": 0.9}, n_cases=6)
    for run in [path for path in folder.iterdir() if path.is_dir()]:
        rows = list(csv.DictReader((run / "cases.csv").read_text().splitlines()))
        other = folder / f"{run.name}-gce"
        shutil.copytree(run, other)
        state = json.loads((run / "run.json").read_text())
        condition = state["condition"] | {"method": "gce"}
        (other / "run.json").write_text(json.dumps(state | {"run": other.name, "condition": condition}))
        worse = [row | {"method": "gce", "run": other.name, "dice": float(row["dice"]) - 0.05} for row in rows]
        write_csv(other / "cases.csv", worse, CASE_COLUMNS)
    return folder


def test_the_methods_text_describes_every_compared_method(tmp_path, without_figures):
    study = write_methods(tmp_path / "demo")
    for run in study.glob("*-gce"):
        settings = yaml.safe_load((run / "config.yaml").read_text())
        settings["method"]["name"] = "gce"
        (run / "config.yaml").write_text(yaml.safe_dump(settings))
    words = (write_report(study, compare="method").parent / "methods.md").read_text(encoding="utf-8")
    blocks = words.partition("## noise ratio 0.5")[0].split("\n\n")
    starts = [block.partition(": ")[0] for block in blocks if "Training: method " in block]
    assert starts == ["With method supervised", "With method gce"]
    assert sum(block.startswith("Noisy labels of data set") for block in blocks) == 1  # the same for both


def test_the_methods_text_is_of_all_arms_and_of_the_seeds_of_each_ratio(tmp_path, without_figures):
    study = write_methods(tmp_path / "demo")
    shutil.rmtree(study / run_name(0.5, 2))
    run = study / f"{run_name(0.5, 0)}-gce"
    rows = list(csv.DictReader((run / "cases.csv").read_text().splitlines()))
    rows[0] |= {"outcome": "missed", "dice": "0.0"}
    write_csv(run / "cases.csv", rows, CASE_COLUMNS)
    words = (write_report(study).parent / "methods.md").read_text(encoding="utf-8")
    assert "with 2 to 3 seeds each (5 trainings in all" in words
    assert "with 3 seeds each (6 trainings in all" in words
    assert "1 prediction was missed or spurious." in words
    assert "No prediction was missed" not in words
    found = pd.read_csv(study / "report" / "differences.csv")
    wanted = found[(found.metric == "dice") & found.group.isna()].detectable
    assert f"finds with 80 % power: {wanted.min():.3f} to {wanted.max():.3f}." in words


def test_a_long_seed_is_written_out(tmp_path, without_figures):
    study = write_study(tmp_path / "demo", {0.0: 0.0, 0.5: 0.01}, (20261127, 20261128), {"test": 0.9}, n_cases=6)
    run = study / run_name(0.5, 20261128)
    assert run.is_dir()
    rows = list(csv.DictReader((run / "cases.csv").read_text().splitlines()))
    rows[0] |= {"outcome": "missed", "dice": "0.0"}
    write_csv(run / "cases.csv", rows, CASE_COLUMNS)
    report = write_report(study).parent
    assert list(pd.read_csv(report / "tables" / "missed.csv").seed) == [20261128]
    assert "e+07" not in text_of(report)


@pytest.mark.parametrize("column", ["data", "variant"])
def test_cases_of_one_name_with_other_content_are_not_paired(tmp_path, without_figures, column):
    study = write_study(tmp_path / "demo", {0.0: 0.0}, (0, 1, 2), {"test": 0.9, "external_a": 0.8}, n_cases=6)
    for run in [path for path in study.iterdir() if path.is_dir()]:
        other = study / f"{run.name}-other"
        shutil.copytree(run, other)
        common = {"external_a": {"images": "1a", "references": "2b"}}
        change_record(run, content=common | {"test": {"images": "3c", "references": "4d"}})
        changed = {"data": "other"} if column == "data" else {}
        condition = json.loads((run / "run.json").read_text())["condition"] | changed
        content = common | {"test": {"images": "5e", "references": "6f"}}
        change_record(other, condition=condition, content=content)
        rows = list(csv.DictReader((other / "cases.csv").read_text().splitlines()))
        write_csv(other / "cases.csv", [row | {"run": other.name} | changed for row in rows], CASE_COLUMNS)
    report = write_report(study, compare=column).parent
    assert set(pd.read_csv(report / "differences.csv").dataset) == {"external_a"}
    assert "data set test is not the same at every level: it is left out of this comparison" in text_of(report)
    for file in study.glob("ratio*/cases.csv"):
        rows = list(csv.DictReader(file.read_text().splitlines()))
        write_csv(file, [row for row in rows if row["dataset"] == "test"], CASE_COLUMNS)
    line = rf"^compare={column}: no data set of the test is the same at every level \(test\)$"
    with pytest.raises(UserError, match=line):
        write_report(study, compare=column)


def test_what_cannot_be_compared_is_refused_in_one_line(reported):
    with pytest.raises(UserError, match="compare=model"):
        write_report(reported.parent, compare="model")
    with pytest.raises(UserError, match="by=protocol"):
        write_report(reported.parent, by=["protocol"])


def test_groups_of_cases_and_data_sets_are_distinguished(tmp_path):
    study = write_study(tmp_path / "demo", {0.0: 0.0, 0.5: 0.0}, (0, 1, 2), DATASETS, n_cases=6)
    for file in study.glob("*/cases.csv"):
        rows = list(csv.DictReader(file.read_text().splitlines()))
        rows = [row | {"group_metal": "yes" if k % 2 else "no"} for k, row in enumerate(rows)]
        write_csv(file, rows, CASE_COLUMNS)
    report = write_report(study, by=["metal"]).parent
    table = pd.read_csv(report / "tables" / "verdicts-by-group.csv")
    assert sorted(table.group) == ["metal=no", "metal=no", "metal=yes", "metal=yes"]
    assert set(table.n_cases) == {3}
    assert "test, metal=yes" in text_of(report)

    matrix = pd.read_csv(report / "tables" / "matrix.csv")
    assert sorted(zip(matrix.test, matrix.noise_ratio, strict=True)) == [
        *(("external_a", 0.0), ("external_a", 0.5), ("test", 0.0), ("test", 0.5)),
    ]
    assert "generalisation gap" in text_of(report)
    caption = "Dice: difference from noise ratio 0 on the data set minus that on the home data set (interaction)"
    assert caption in text_of(report)  # below 0 where noise costs more on the data set
    assert_no_absent_number(report)


def test_failure_half_way_keeps_the_report_that_was_there(reported, tmp_path, monkeypatch):
    study = tmp_path / "demo"
    shutil.copytree(reported.parent, study)
    before = sorted(file.name for file in study.iterdir())

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(write, "page", fail)
    monkeypatch.setattr(write, "_parts", lambda *_: [])
    with pytest.raises(OSError, match="no space left"):
        write_report(study)
    assert sorted(file.name for file in study.iterdir()) == before
    assert (study / "report" / "index.html").read_bytes() == (reported / "index.html").read_bytes()


def test_report_never_replaces_a_folder_with_other_files(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("x")
    with pytest.raises(UserError, match=r"holds chapter1\.tex, which a report did not write"):
        write_report(write_study(tmp_path / "demo", {0.0: 0.0}, (0,), n_cases=2), tmp_path / "thesis")


def test_broken_picture_is_left_out(tmp_path):
    broken = tmp_path / run_name(1.0, 0) / "overlays" / "test--test_003.png"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"\x89PNG broken")
    assert pictures.embedded(broken) is None
    assert pictures.embedded(tmp_path / "none.png") is None


def test_slices_are_on_the_page_as_the_run_saved_them_and_a_run_without_them_has_its_pictures(tmp_path):
    from mandseg.statistics.comparison import RATIO_COMPARISON

    study = write_study(tmp_path / "demo", {0.0: 0.0}, (0,), {"test": 0.9}, n_cases=4, pictures=True)
    cases = open_study(study).cases
    worst, median = pictures.pictures(study, cases, RATIO_COMPARISON, [0.0])
    (saved, *_) = sorted((study / run_name(0.0, 0) / "overlays").glob("*.webp"))
    assert worst.slices == median.slices == pictures.Slices(pictures._data_uri(saved.read_bytes()), 3)
    worst, median = pictures.pictures(study, cases, RATIO_COMPARISON, [0.0], most=2)
    assert (worst.slices is None, median.slices is None) == (False, True)  # many pictures: only those of worst cases
    (one,) = pictures.pictures(study, cases, RATIO_COMPARISON, [0.0], most=1)  # a page of very many arms
    assert one.slices is None
    broken, missing = (study / run_name(0.0, 0) / "overlays").glob("*.webp")
    broken.write_bytes(b"RIFF broken")
    missing.unlink()
    assert [picture.slices for picture in pictures.pictures(study, cases, RATIO_COMPARISON, [0.0])] == [None, None]


def test_page_of_many_runs_lists_a_part_and_states_it(tmp_path):
    study = write_study(tmp_path / "demo", {0.0: 0.0}, (0,), {"test": 0.9}, n_cases=2)
    opened = open_study(study)
    many = pd.concat([opened.ledger] * 1200, ignore_index=True)
    many.loc[many.index > 0, "state"] = "missing"
    from dataclasses import replace

    from mandseg.report.tables.runs import study_tables

    opened = replace(opened, ledger=many)
    words = page(opened, [], study_tables(opened), "", {}, Audience.INSIDE)
    assert "And 999 more: see not-done.csv." in words
    assert "And 200 more: see runs.csv." in words
    assert "All settings (where runs differ" in page(opened, [], study_tables(opened), "", {"a": "1"}, Audience.INSIDE)
    done = replace(opened, ledger=many.assign(state="done"))
    words = page(done, [], study_tables(opened), "", {"a": "1"}, Audience.INSIDE)
    assert "All settings (of 200 of 1200 runs; where runs differ, every value is shown)" in words


def test_a_figure_that_is_listed_is_on_the_page_and_a_file(tmp_path, monkeypatch, without_figures):
    """The effect of one line in the list of figures: no other code names a figure."""

    def scatter(source: FigureSource) -> Iterator[ReportFigure]:
        def plot() -> Axes:
            ax = Figure().add_subplot()
            ax.scatter(source.cases.dice, source.cases.hd95_mm)
            return ax

        yield source.draw("scatter", plot, "HD95 against Dice.")

    monkeypatch.setitem(FIGURES, "seeds", (scatter,))
    study = write_study(tmp_path / "demo", {0.0: 0.0, 0.5: 0.0}, (0,), {"test": 0.9}, n_cases=3)
    report = write_report(study).parent
    for folder in (report, report / "shared"):
        assert '<figure id="figure-scatter">' in (folder / "index.html").read_text()
        assert (folder / "figures" / "scatter.svg").exists()


def test_arms_of_other_settings_are_listed_and_the_real_share_of_noisy_cases_is_shown(tmp_path, without_figures):
    study = write_study(tmp_path / "s", loss={0.0: 0.0, 0.5: 0.001}, seeds=(0,), datasets={"test": 0.9}, n_cases=3)
    for ratio, steps in ((0.0, 4.0), (0.5, 40.0)):
        record = study / run_name(ratio, 0) / "run.json"
        record.write_text(json.dumps(json.loads(record.read_text()) | {"settings": {"steps": steps}}))
    write_csv(study / run_name(0.5, 0) / "noise_plan.csv", [{"case_id": "t0", "annotator": "a", "label": "reference"}])
    text = text_of(write_report(study).parent)
    assert "runs that differ in steps are not compared with each other: 4 (ratio0-seed0); 40 (ratio0.5-seed0)" in text
    assert "Only noise ratio 0 was run" in text
    assert "the change is" not in text
    assert "0 of 1 (0.000)" in text
    assert "noise_ratio=0.5: 0 of 1 training cases have the noisy label, a share of 0.000" in text
