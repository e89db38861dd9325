"""Corrected masks come back by file name: trusted references beside their originals; wrong ones are one line each."""

from dataclasses import replace

import numpy as np
import pytest

from command import run
from mandseg.data.cache import prepare_cases
from mandseg.data.manifest import read_cohort, write_cohort
from mandseg.data.preprocessing import Preprocessing
from mandseg.data.volume import Volume, read_volume, write_volume
from mandseg.noise import Recorded
from mandseg.noise.clean_budget import with_clean_budget
from mandseg.noise.label_plan import plan_noise


@pytest.fixture
def cohort(make_case, bone, tmp_path):
    """Four training cases and a test case; ``a`` and ``b`` have a noisy label only, the others a reference only."""
    noisy = np.roll(bone, 1, 2)
    cases = [replace(make_case(name, noisy=noisy), reference=None) for name in "ab"]
    write_cohort(tmp_path / "cohort", [*cases, make_case("c"), make_case("d"), make_case("t", "test")])
    return tmp_path / "cohort"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "masks").mkdir()
    return tmp_path / "masks"


def save(folder, name, array, affine):
    write_volume(folder / f"{name}.nii.gz", Volume(array.astype(np.uint8), affine))


def rows(cohort):
    return {case.case_id: case for case in read_cohort(cohort).cases}


def test_corrected_cases_are_trusted_references_and_their_originals_noisy(cohort, folder, bone, affine, capsys):
    save(folder, "a", bone, affine)
    save(folder, "c", np.roll(bone, 2, 1), affine)
    before = (cohort / "manifest.csv").read_bytes()
    assert run("rank", cohort, "--take-in", folder) == 0
    assert "2 corrected masks; 2 of 5 cases are trusted, next: b, d, t" in capsys.readouterr().out
    new, old = rows(cohort.with_name("cohort-corrected")), rows(cohort)
    np.testing.assert_array_equal(read_volume(new["a"].reference).array, bone)
    assert new["a"].noisy == old["a"].noisy
    assert new["c"].noisy == old["c"].reference
    assert {name for name, case in new.items() if case.groups["trusted"] == "1"} == {"a", "c"}
    assert (new["b"].reference, new["b"].noisy) == (None, old["b"].noisy)
    assert (new["d"].reference, new["d"].noisy) == (None, old["d"].reference)  # nobody checked it
    assert (new["t"].reference, new["t"].noisy) == (old["t"].reference, None)  # a test needs one
    assert (cohort / "manifest.csv").read_bytes() == before


def test_a_training_trusts_exactly_the_corrected_cases(cohort, folder, bone, affine, tmp_path):
    for name in "ad":
        save(folder, name, bone, affine)
    assert run("rank", cohort, "--take-in", folder, "--out", tmp_path / "new") == 0
    cases = read_cohort(tmp_path / "new").split("train")
    prepared = prepare_cases(cases, Preprocessing((4.0, 4.0, 4.0)), tmp_path / "cache", Recorded())
    plan = plan_noise({case.case_id: "" for case in cases}, 1.0, 0)
    budget = with_clean_budget(plan, prepared, 2, "random", 0)
    assert sorted(budget.trusted) == ["a", "d"]
    assert sorted(budget.noisy) == ["b", "c"]


def test_an_interrupted_review_continues_where_it_stopped(cohort, folder, bone, affine, capsys):
    new = cohort.with_name("cohort-corrected")
    save(folder, "b", bone, affine)
    assert run("rank", cohort, "--take-in", folder) == 0
    assert run("rank", new, "--pictures", "0") == 0  # lists the cases that are left
    capsys.readouterr()
    save(folder, "a", bone, affine)
    assert run("rank", cohort, "--take-in", folder) == 0
    assert "2 of 5 cases are trusted" in capsys.readouterr().out
    assert (new / "ranking" / "index.html").exists()
    (folder / "b.nii.gz").unlink()
    (folder / "a.nii.gz").rename(folder / "c.nii.gz")
    assert run("rank", new, "--take-in", folder, "--out", new.with_name("third")) == 0  # trusted cases stay so
    assert "3 of 5 cases are trusted, next: " in capsys.readouterr().out


def test_wrong_masks_are_one_line_each_and_nothing_is_written(cohort, folder, bone, affine, capsys):
    save(folder, "x", bone, affine)
    save(folder, "a", bone[:20], affine)
    save(folder, "b", bone, np.diag([4.0, 4.0, 5.0, 1.0]))
    save(folder, "c", 2 * bone, affine)
    save(folder, "d", 0 * bone, affine)
    (folder / "t.nii.gz").write_bytes(b"no image")
    assert run("rank", cohort, "--take-in", folder) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 6
    for words in (
        "case x: cohort cohort has no such case; a mask has the name of a case, e.g. a.nii.gz",
        "case a: the corrected mask shape (20, 24, 24) differs from (24, 24, 24) of the CT",
        "case b: the corrected mask spacing (4, 4, 5) mm differs from (4, 4, 4) mm of the CT",
        "case c: the corrected mask has the values 0, 2, expected 0 and 1 only",
        "case d: the corrected mask is empty: 0 of 13824 voxels are set",
        "case t: the corrected mask cannot be read",
    ):
        assert sum(words in line for line in lines) == 1, words
    assert not cohort.with_name("cohort-corrected").exists()


def test_two_masks_of_a_case_and_an_empty_folder_are_refused(cohort, folder, bone, affine, capsys):
    assert run("rank", cohort, "--take-in", folder) == 2
    assert "holds no mask, expected files such as a.nii.gz" in capsys.readouterr().err
    assert run("rank", cohort, "--take-in", folder / "none") == 2
    assert "no such folder" in capsys.readouterr().err
    save(folder, "a", bone, affine)
    write_volume(folder / "a.nii", Volume(bone.astype(np.uint8), affine))
    assert run("rank", cohort, "--take-in", folder) == 2
    assert "case a: two corrected masks" in capsys.readouterr().err


def test_no_file_of_others_is_replaced(cohort, folder, bone, affine, capsys, tmp_path):
    save(folder, "a", bone, affine)
    assert run("rank", cohort, "--take-in", folder, "--out", cohort) == 2
    assert "is the cohort itself" in capsys.readouterr().err
    assert run("rank", cohort, "--take-in", folder, "--out", folder) == 2
    assert "is not empty and not a corrected cohort" in capsys.readouterr().err
    assert run("rank", cohort, "--take-in", folder, "--out", tmp_path / "new") == 0
    (tmp_path / "new" / "manifest.csv").write_text("mine")
    capsys.readouterr()
    assert run("rank", cohort, "--take-in", folder, "--out", tmp_path / "new") == 2
    assert "manifest.csv was changed after it was written" in capsys.readouterr().err
    assert (tmp_path / "new" / "manifest.csv").read_text() == "mine"


def test_no_mask_of_a_review_is_replaced_by_another_review(cohort, folder, bone, affine, capsys, tmp_path):
    first, second, other = tmp_path / "first", tmp_path / "second", tmp_path / "other"
    save(folder, "a", bone, affine)
    save(other, "b", bone, affine)
    assert run("rank", cohort, "--take-in", folder, "--out", first) == 0
    assert run("rank", first, "--take-in", other, "--out", second) == 0  # its reference of a is the mask in first
    save(first / "corrected", "a", np.roll(bone, 2, 0), affine)  # somebody corrects it again, in place
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    capsys.readouterr()
    for reviewed, dest, words in (
        (second, first, "first: a.nii.gz is a file of the cohort and would be replaced"),
        (first, folder / "a.nii.gz", "a.nii.gz: is a file, expected a folder for a corrected cohort"),
        (cohort, first, "corrected/a.nii.gz was changed after it was written; move it away or choose another folder"),
    ):
        assert run("rank", reviewed, "--take-in", folder, "--out", dest) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert words in line
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before
