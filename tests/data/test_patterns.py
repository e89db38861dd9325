"""File name patterns as users write them: the folders that they may reach, and the names of their fields."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mandseg.data.case import Case
from mandseg.data.importers.cohort_folder import Imported
from mandseg.data.importers.folder import Layout, import_folder
from mandseg.data.splits import Splitting
from mandseg.system.errors import UserError

PAIR = {"image": "{case}_image.nii.gz", "reference": "{case}_reference.nii.gz"}


def import_pair(source: Path, dest: Path, patterns: dict[str, str] | None = None, overwrite: bool = False) -> Imported:
    layout = Layout(None, PAIR if patterns is None else patterns)
    return import_folder(source, dest, layout, splitting=Splitting(all_in="test"), overwrite=overwrite)


@pytest.mark.parametrize("before", ["./", "sub/../", "/absolute/", ".\\", "sub\\..\\", ".//"])
def test_patterns_may_be_written_as_other_tools_write_paths(
    tmp_path: Path, make_case: Callable[..., Case], before: str
) -> None:
    make_case("a")
    source = tmp_path / "cohort"
    start = f"{source}/" if before == "/absolute/" else before
    result = import_pair(source, tmp_path / "out", {name: start + pattern for name, pattern in PAIR.items()})
    assert [case.case_id for case in result.cohort.cases] == ["a"]


@pytest.mark.parametrize("start", ["/elsewhere/", "../", "./../", "..\\"])
def test_a_pattern_that_leads_out_of_the_source_is_refused(
    tmp_path: Path, make_case: Callable[..., Case], start: str
) -> None:
    make_case("a")
    with pytest.raises(UserError, match=r"pattern .*: points outside .*cohort; patterns are relative to it"):
        import_pair(tmp_path / "cohort", tmp_path / "out", {"reference": start + PAIR["reference"]})


def test_one_pattern_for_two_labels_is_refused(tmp_path: Path, make_case: Callable[..., Case]) -> None:
    make_case("a")
    patterns = PAIR | {"noisy": "./{case}_reference.nii.gz"}
    with pytest.raises(UserError, match=r"^--reference and --noisy have the same pattern '\{case\}_ref"):
        import_pair(tmp_path / "cohort", tmp_path / "out", patterns)
    assert not (tmp_path / "out").exists()


def test_a_field_called_as_a_column_of_the_manifest_is_refused(tmp_path: Path, make_case: Callable[..., Case]) -> None:
    make_case("a")
    with pytest.raises(UserError, match=r"\{image\} is a column of the manifest itself; \{case\}, \{subject\}"):
        import_pair(tmp_path / "cohort", tmp_path / "out", {"reference": "{case}_{image}.nii.gz"})


def test_a_folder_that_cannot_be_listed_is_refused(
    tmp_path: Path, make_case: Callable[..., Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its cases would be missing in silence. The superuser may list every folder, so the error is made here."""
    make_case("a")
    (tmp_path / "cohort" / "closed").mkdir()
    scan = os.scandir

    def scandir(path: str | int) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(UserError, match="closed: cannot be opened"):
        import_pair(tmp_path / "cohort", tmp_path / "out")


def test_files_of_one_name_from_two_folders_of_patients_are_refused(
    tmp_path: Path, make_case: Callable[..., Case]
) -> None:
    """Each site counts its patients from 1; of this patient one site has the image and the other one the label."""
    case = make_case("a")
    assert case.image is not None
    assert case.reference is not None
    for site, file, name in (("north", case.image, "ct"), ("south", case.reference, "mandible")):
        (tmp_path / "sites" / site / "1").mkdir(parents=True)
        file.rename(tmp_path / "sites" / site / "1" / f"{name}.nii.gz")
    patterns = {"image": "{site}/{case}/ct.nii.gz", "reference": "{site}/{case}/mandible.nii.gz"}
    with pytest.raises(UserError, match=r"^case 1: \{site\} is north in --image and south in --reference, expected"):
        import_pair(tmp_path / "sites", tmp_path / "out", patterns)
    assert not (tmp_path / "out").exists()
