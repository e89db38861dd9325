"""Names of data sets: from the manifest's columns and from eval, none takes the place of another."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mandseg.data.case import Case
from mandseg.data.manifest import write_cohort
from mandseg.data.sources import from_manifest, with_external
from mandseg.system.errors import UserError


@pytest.fixture
def manifest(tmp_path: Path, make_case: Callable[..., Case]) -> Callable[..., Path]:
    """Write a cohort of one training case and a test case for each value of a column."""

    def write(*values: str, column: str = "scanner") -> Path:
        cases = [make_case("t")]
        for number, value in enumerate(values):
            case = make_case(f"x{number}", "test")
            case.groups[column] = value
            cases.append(case)
        write_cohort(tmp_path / "cohort", cases)
        return tmp_path / "cohort" / "manifest.csv"

    return write


def names(sets: dict[str, tuple[Case, ...]]) -> dict[str, list[str]]:
    return {name: [case.case_id for case in cases] for name, cases in sets.items()}


def test_a_group_called_test_does_not_take_the_place_of_the_test_set(manifest: Callable[..., Path]) -> None:
    sets = from_manifest(str(manifest("test", "validation", "test")), "scanner").evaluation
    assert names(sets) == {"test": ["x0", "x1", "x2"], "scanner=test": ["x0", "x2"], "validation": ["x1"]}


def test_two_groups_never_have_one_name(manifest: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match="two data sets would be called scanner=test; rename the value test"):
        from_manifest(str(manifest("test", "scanner=test")), "scanner")


def test_a_case_with_an_empty_cell_is_in_no_group(
    manifest: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    sets = from_manifest(str(manifest("A", "", "A")), "scanner").evaluation
    assert names(sets) == {"test": ["x0", "x1", "x2"], "A": ["x0", "x2"]}
    assert "1 of 3 test cases (first: x1) have no scanner" in caplog.text


def test_a_column_without_any_value_is_refused(manifest: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match="test_sets_by=scanner: all 2 test cases have an empty cell in this column"):
        from_manifest(str(manifest("", "")), "scanner")


@pytest.mark.parametrize("value", ["../../../escaped", "a/b", "a\\b", ".hidden", "a\x07b", "x" * 151])
def test_a_group_that_cannot_name_a_file_is_refused(manifest: Callable[..., Path], value: str) -> None:
    with pytest.raises(UserError, match=r"test_sets_by=scanner: data set '.*cannot be a file name"):
        from_manifest(str(manifest(value)), "scanner")


@pytest.mark.parametrize("name", ["../escaped", "a/b", ".hidden", " "])
def test_a_data_set_that_cannot_name_a_file_is_refused(manifest: Callable[..., Path], name: str) -> None:
    path = str(manifest("A"))
    with pytest.raises(UserError, match=r"eval: data set"):
        with_external(from_manifest(path), {name: path})


def test_a_picture_has_the_name_of_one_case_of_one_data_set(tmp_path: Path, make_case: Callable[..., Case]) -> None:
    cases = [make_case("t"), make_case("c", "test"), make_case("b--c", "test")]
    for case, group in zip(cases, ("", "a--b", "a"), strict=True):
        case.groups["scanner"] = group
    write_cohort(tmp_path / "cohort", cases)
    with pytest.raises(
        UserError, match="its picture would have the same file name as the picture of case b--c of data set a"
    ):
        with_external(from_manifest(str(tmp_path / "cohort"), "scanner"), {})


def test_a_case_and_its_data_set_fit_into_one_file_name(tmp_path: Path, make_case: Callable[..., Case]) -> None:
    cases = [make_case("t"), make_case("c" * 150, "test")]
    cases[1].groups["scanner"] = "s" * 74
    write_cohort(tmp_path / "cohort", cases)
    with pytest.raises(UserError, match="226 bytes together, expected 225 or fewer"):
        with_external(from_manifest(str(tmp_path / "cohort"), "scanner"), {})
    write_cohort(tmp_path / "cohort", [cases[0], cases[1]])
    assert with_external(from_manifest(str(tmp_path / "cohort")), {}).evaluation["test"][0].case_id == "c" * 150


def test_a_manifest_in_the_home_folder_is_found(manifest: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    home = manifest("A").parent.parent
    monkeypatch.setenv("HOME", str(home))
    sources = from_manifest("~/cohort/manifest.csv")
    assert names(with_external(sources, {"b": "~/cohort"}).evaluation) == {"test": ["x0"], "b": ["x0"]}
