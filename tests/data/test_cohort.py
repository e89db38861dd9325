from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mandseg.data.case import Case
from mandseg.data.manifest import (
    MANIFEST,
    Violation,
    examine_manifest,
    read_cohort,
    refuse_shared_subjects,
    write_cohort,
)
from mandseg.system.errors import UserError

HEADER = "case_id,subject_id,split,image,reference,noisy,annotator\n"


def problems(path: Path) -> list[str]:
    """What read_cohort refuses, without the manifest's path."""
    with pytest.raises(UserError) as error:
        read_cohort(path)
    return [line.removeprefix(f"{path / MANIFEST}: ") for line in error.value.problems]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with empty files a.nii, b.nii, c.nii: the manifest looks at names only."""
    for name in "abc":
        (tmp_path / f"{name}.nii").touch()
    return tmp_path


def test_a_cohort_is_read_back_as_it_was_written(files: Path) -> None:
    root = files / "cohort"
    cases = [
        Case("a", "s1", "train", files / "a.nii", files / "b.nii", files / "c.nii", "jd", {"scanner": "x, y"}),
        Case("b", "s2", "test", files / "b.nii", files / "a.nii", groups={"kernel": "soft"}),
        Case("c", "s1", "train", None, None, files / "c.nii"),
    ]
    cohort = write_cohort(root, cases)
    assert cohort == read_cohort(root / MANIFEST)
    assert cohort.name == "cohort"
    both = {"scanner": "", "kernel": ""}
    assert cohort.cases == tuple(replace(case, groups=both | case.groups) for case in cases)
    assert ",../a.nii,../b.nii,../c.nii,jd," in (root / MANIFEST).read_text()


def test_tables_saved_by_spreadsheet_programs_are_read(files: Path) -> None:
    text = HEADER.replace(",", ";") + " a ; s1;train;a.nii;b.nii;;\n;;;;;;\n"
    (files / MANIFEST).write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    (case,) = read_cohort(files).cases
    assert (case.case_id, case.subject_id, case.noisy) == ("a", "s1", None)


def test_optional_columns_may_be_absent(files: Path) -> None:
    (files / MANIFEST).write_text("case_id,subject_id,split,image,reference,site\na,s,test,a.nii,b.nii,north\n")
    (case,) = read_cohort(files).cases
    assert (case.noisy, case.annotator, case.groups) == (None, "", {"site": "north"})


def test_every_violation_is_listed_at_once(files: Path) -> None:
    (files / MANIFEST).write_text(
        HEADER
        + "a,s1,train,a.nii,b.nii,,\n"
        + "a,s2,train,b.nii,gone.nii,,\n"
        + "b,s1,test,c.nii,,,\n"
        + "c/d,,tst,,a.nii,,\n"
    )
    assert problems(files) == [
        "case a: listed 2 times, expected once",
        "case a: reference gone.nii: no such file",
        "case b: neither reference nor noisy label is given",
        "case c/d: column subject_id is empty",
        "case c/d: case_id 'c/d' cannot be a file name: no / \\ : and no leading dot",
        "case c/d: split is 'tst', expected one of train, val, test",
        "case b: subject s1 is in test, and in train as case a",
    ]


def test_one_image_of_two_subjects_is_a_violation(files: Path) -> None:
    (files / MANIFEST).write_text(HEADER + "a,s1,train,a.nii,b.nii,,\nb,s2,train,a.nii,c.nii,,\n")
    assert problems(files) == [
        "case b: image a.nii is also the image of case a, but the subjects differ: s2 and s1",
    ]


def test_examining_continues_where_reading_refuses(files: Path) -> None:
    (files / MANIFEST).write_text(HEADER + "a,s1,train,a.nii,gone.nii,,\n")
    cohort, violations = examine_manifest(files)
    assert [case.case_id for case in cohort.cases] == ["a"]
    assert violations == [Violation("a", "reference gone.nii: no such file")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "column case_id, subject_id, split, image, reference missing, the file has: nothing"),
        ("case_id,image,reference\n", "column subject_id, split missing, the file has: case_id, image, reference"),
        (HEADER, "no cases"),
        (HEADER + "a,s,train,a.nii,b.nii,,,extra\n", "row 1 (a) has 8 cells, the header 7"),
        ("case_id,case_id,split\n", "column 'case_id' is listed 2 times"),
    ],
)
def test_a_table_that_is_no_manifest_is_refused(files: Path, text: str, message: str) -> None:
    (files / MANIFEST).write_text(text)
    assert problems(files) == [message]


def test_a_spreadsheet_in_another_encoding_is_refused(files: Path) -> None:
    (files / MANIFEST).write_bytes(HEADER.encode() + "a,Müller,train,a.nii,b.nii,,\n".encode("latin-1"))
    assert "not UTF-8 text" in problems(files)[0]


def test_the_message_about_a_missing_manifest_states_how_to_make_one(tmp_path: Path) -> None:
    assert problems(tmp_path) == ["no such manifest; `mandseg prepare --help` shows how to make one"]


def test_a_bad_cohort_is_not_written(files: Path) -> None:
    case = Case("a", "s1", "train", files / "a.nii", files / "b.nii")
    with pytest.raises(UserError, match=r"^case a: listed 2 times, expected once$"):
        write_cohort(files / "cohort", [case, case])
    assert not (files / "cohort" / MANIFEST).exists()


def test_an_empty_split_names_those_there_are(files: Path) -> None:
    cohort = write_cohort(files, [Case("a", "s1", "train", files / "a.nii", files / "b.nii")])
    assert [case.case_id for case in cohort.split("train")] == ["a"]
    with pytest.raises(UserError, match=r"no case in split 'val', the manifest has: train$"):
        cohort.split("val")


def test_a_subject_in_training_and_in_an_external_test_set_is_refused_unless_named() -> None:
    train, test = Case("a", "0522c0014", "train", None, None), Case("b", "0522c0014", "test", None, None)
    line = "subject 0522c0014: case a is used for training and case b for testing"
    with pytest.raises(UserError, match=f"^{line}$"):
        refuse_shared_subjects([train], [test])
    refuse_shared_subjects([train], [test], allowed=["0522c0014"])


def test_a_manifest_keeps_the_link_that_it_was_given(files: Path) -> None:
    link = files / "link.nii"
    link.symlink_to(files / "a.nii")
    cohort = write_cohort(files / "cohort", [Case("a", "s", "test", link, files / "b.nii")])
    assert ",../link.nii,../b.nii," in (files / "cohort" / MANIFEST).read_text()
    assert cohort.cases[0].image == link
    link.unlink()
    link.symlink_to(files / "c.nii")
    (case,) = read_cohort(files / "cohort").cases
    assert case.image is not None
    assert case.image.samefile(files / "c.nii")


def test_a_manifest_keeps_links_to_folders(files: Path) -> None:
    (files / "v1").mkdir()
    (files / "a.nii").rename(files / "v1" / "a.nii")
    (files / "current").symlink_to(files / "v1", target_is_directory=True)
    write_cohort(files / "cohort", [Case("a", "s", "test", files / "current" / "a.nii", files / "b.nii")])
    assert ",../current/a.nii,../b.nii," in (files / "cohort" / MANIFEST).read_text()


def test_paths_stay_relative_where_cohort_and_files_lie_behind_one_link(files: Path) -> None:
    (files / "disk").mkdir()
    (files / "disk" / "a.nii").touch()
    (files / "work").symlink_to(files / "disk", target_is_directory=True)
    case = Case("a", "s", "test", files / "work" / "a.nii", files / "work" / "cohort" / ".." / "a.nii")
    for root in ("disk/cohort", "work/cohort"):
        write_cohort(files / root, [case])
        assert ",../a.nii,../a.nii," in (files / root / MANIFEST).read_text()


def test_dots_behind_a_link_lead_where_the_file_system_leads(files: Path) -> None:
    (files / "disk" / "deep").mkdir(parents=True)
    (files / "disk" / "a.nii").touch()
    (files / "link").symlink_to(files / "disk" / "deep", target_is_directory=True)
    text = HEADER + "a,s,test,link/../a.nii,b.nii,,\n"
    (files / MANIFEST).write_text(text)
    (case,) = read_cohort(files).cases
    assert case.image is not None
    assert case.image.samefile(files / "disk" / "a.nii")
    assert case.reference == files / "b.nii"
    write_cohort(files / "cohort", [case])
    (again,) = read_cohort(files / "cohort").cases
    assert again.image is not None
    assert again.image.samefile(files / "disk" / "a.nii")


def test_two_links_to_one_image_are_one_image(files: Path) -> None:
    for name in ("one.nii", "two.nii"):
        (files / name).symlink_to(files / "a.nii")
    (files / MANIFEST).write_text(HEADER + "a,s1,test,one.nii,b.nii,,\nb,s2,test,two.nii,c.nii,,\n")
    assert problems(files) == [
        "case b: image two.nii is also the image of case a, but the subjects differ: s2 and s1",
    ]


def test_a_group_cannot_be_called_as_a_column_of_the_manifest(make_case: Callable[..., Case], tmp_path: Path) -> None:
    case = replace(make_case("a"), groups={"image": "north"})
    with pytest.raises(UserError, match="column image is a column of the manifest itself and cannot be a group"):
        write_cohort(tmp_path / "cohort", [case])


@pytest.mark.parametrize("cell", ["x" * 5000, "a/" * 3000])
def test_a_path_that_no_file_system_takes_is_no_such_file(tmp_path: Path, cell: str) -> None:
    (tmp_path / "manifest.csv").write_text(f"case_id,subject_id,split,image,reference\na,a,train,,{cell}\n")
    _, violations = examine_manifest(tmp_path)
    (line,) = map(str, violations)
    assert line.startswith("case a: reference ")
    assert line.endswith(": no such file")
    assert len(line) < 400


def test_a_name_that_is_no_file_name_is_one_short_line(tmp_path: Path) -> None:
    for name in ("x" * 300, "a\x07b", "é" * 100):
        (tmp_path / "manifest.csv").write_text(f"case_id,subject_id,split,image,reference\n{name},a,train,,\n")
        line = str(examine_manifest(tmp_path)[1][0])
        assert "cannot be a file name" in line
        assert line.isprintable()
        assert len(line) < 200


def test_a_folder_of_cohorts_is_answered_with_the_cohorts_in_it(tmp_path: Path) -> None:
    for name in ("clinic", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.csv").write_text("")
    with pytest.raises(UserError, match=f"no such manifest; name a cohort: {tmp_path}/clinic, {tmp_path}/old$"):
        read_cohort(tmp_path)
