"""``mandseg rank`` on cohorts without a network: the order, the file, and one line for wrong input."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from command import run
from mandseg.data.manifest import read_cohort, write_cohort
from mandseg.data.ranking_file import read_ranking
from mandseg.data.volume import Volume, write_volume


@pytest.fixture
def cohort(make_case, bone, tmp_path):
    """Six cases with a noisy label only; the label of ``d`` is in two pieces and reaches into soft tissue."""
    cases = []
    for number, case_id in enumerate("abcdef"):
        noisy = np.roll(bone, number % 2, 2)
        if case_id == "d":
            noisy[5:7, 5:7, 5:7] = noisy[18, 8:17, 8:17] = noisy[17, 8:17, 8:17] = True
        case = make_case(case_id, noisy=noisy)
        cases.append(replace(case, reference=None, annotator="ann" if number < 3 else "ben"))
    write_cohort(tmp_path / "cohort", cases)
    return tmp_path / "cohort"


def rows(folder):
    with (folder / "ranking.csv").open() as file:
        return list(csv.DictReader(file))


def refused(capsys, *arguments):
    before = sorted((path, path.stat().st_mtime_ns) for path in arguments[0].rglob("*"))
    assert run("rank", *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert sorted((path, path.stat().st_mtime_ns) for path in arguments[0].rglob("*")) == before
    return line


def test_a_cohort_without_a_reference_is_ranked_and_the_wrong_label_is_first(cohort):
    assert run("rank", cohort, "--pictures", "0") == 0
    found = rows(cohort / "ranking")
    assert [row["rank"] for row in found] == list("123456")
    assert found[0]["case_id"] == "d"
    assert found[0]["hint"] != ""
    assert "median" in found[0]["why"]
    assert read_ranking(cohort / "ranking" / "ranking.csv")[0] == "d"  # what ranking= of a training reads
    assert run("rank", cohort, "--pictures", "0") == 0  # an earlier ranking is replaced


def test_trusted_cases_come_first_and_have_no_rank(cohort, make_case):
    cases = list(read_cohort(cohort).cases)
    checked = replace(cases[1], reference=cases[1].noisy, groups={"trusted": "1"})
    write_cohort(cohort, [checked if case is cases[1] else case for case in cases])
    assert run("rank", cohort, "--pictures", "0") == 0
    found = rows(cohort / "ranking")
    assert (found[0]["case_id"], found[0]["rank"], found[0]["trusted"]) == ("b", "", "1")
    assert [row["rank"] for row in found[1:]] == list("12345")


def test_one_case_is_refused(cohort, capsys):
    write_cohort(cohort, read_cohort(cohort).cases[:1])
    assert "1 case to rank (1 in the manifest, 0 of them trusted), expected 2 or more" in refused(capsys, cohort)


def test_the_page_of_another_structure_does_not_name_the_mandible(cohort):
    write_cohort(cohort, [replace(case, groups={"structure": "Parotid_L"}) for case in read_cohort(cohort).cases])
    assert run("rank", cohort) == 0
    found = rows(cohort / "ranking")
    assert (found[0]["case_id"], found[0]["hint"]) == ("d", "too long from top to bottom")
    assert "cut_above_mm2" not in found[0]
    page = (cohort / "ranking" / "index.html").read_text()
    assert "Thirds are equal parts" in page
    for word in ("andible", "bone", "condyle"):
        assert word not in page


def test_two_structures_in_one_cohort_are_refused(cohort, capsys):
    first, *others = read_cohort(cohort).cases
    write_cohort(cohort, [first, *(replace(case, groups={"structure": "Parotid_L"}) for case in others)])
    expected = "case b: structure Parotid_L, but Mandible in case a; rank one structure at a time"
    assert expected in refused(capsys, cohort)


def test_an_unknown_score_is_refused(cohort, capsys):
    assert "--by volume: expected one of annotator_bias_mm" in refused(capsys, cohort, "--by", "volume")


def test_a_wrong_trusted_column_is_refused(cohort, capsys):
    cases = read_cohort(cohort).cases
    write_cohort(cohort, [replace(cases[0], groups={"trusted": "yes"}), *cases[1:]])
    assert "case a: trusted is 'yes', expected 1, 0 or nothing" in refused(capsys, cohort)
    write_cohort(cohort, [replace(cases[0], groups={"trusted": "1"}), *cases[1:]])
    assert "case a: trusted is 1, but the case has no reference" in refused(capsys, cohort)


def test_a_label_on_another_grid_is_one_line_and_nothing_is_written(cohort, capsys, bone):
    case = read_cohort(cohort).cases[2]
    write_volume(case.noisy, Volume(bone.astype(np.uint8), np.diag([2.0, 4.0, 4.0, 1.0])))
    assert "case c: label spacing (2, 4, 4) mm differs from (4, 4, 4) mm of the image" in refused(capsys, cohort)
    assert not (cohort / "ranking").exists()


def test_files_of_others_are_not_replaced(cohort, capsys):
    (cohort / "ranking").mkdir()
    (cohort / "ranking" / "notes.txt").write_text("mine")
    assert "holds notes.txt, which a ranking did not write" in refused(capsys, cohort)


def test_one_split_is_ranked_and_an_unknown_one_is_refused(cohort, capsys):
    cases = read_cohort(cohort).cases
    write_cohort(cohort, [replace(case, split="test" if case.case_id in "abc" else "train") for case in cases])
    assert "no case in split 'val', the manifest has: train, test" in refused(capsys, cohort, "--split", "val")
    assert run("rank", cohort, "--split", "test", "--pictures", "0") == 0
    assert {row["case_id"] for row in rows(cohort / "ranking")} == {"a", "b", "c"}
