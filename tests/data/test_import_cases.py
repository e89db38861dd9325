"""An importer is two methods, find and convert; the common loop does the rest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mandseg.data.case import Case
from mandseg.data.importers.import_cases import Converted, Importer, import_cases
from mandseg.data.splits import Splitting, split_cases
from mandseg.data.structure import with_structure
from mandseg.data.volume import Volume, write_volume
from mandseg.system.errors import UserError


@dataclass(frozen=True)
class Names(Importer[str, Converted]):
    """Each line of a text file is a case; its word is its outcome."""

    title = "Names"

    def find(self, source: Path) -> Sequence[str]:
        return source.read_text().splitlines()

    def convert(self, found: str, folder: Path) -> Converted:
        name, word = found.split()
        if word == "broken":
            raise UserError(f"case {name}: is broken")
        if word == "none":
            return Converted(skipped=f"case {name} skipped: no label")
        path = folder / f"labels/{name}.nii.gz"
        write_volume(path, Volume(np.ones((4, 4, 4), np.uint8), np.eye(4)))
        return Converted(Case(name, name, "", None, path), notes=(f"case {name}: odd",) if word == "odd" else ())


@pytest.fixture
def source(tmp_path: Path) -> Callable[..., Path]:
    def write(*lines: str) -> Path:
        (tmp_path / "names.txt").write_text("\n".join(lines))
        return tmp_path / "names.txt"

    return write


def test_find_and_convert_make_a_cohort(source: Callable[..., Path], tmp_path: Path) -> None:
    dest = tmp_path / "cohort"
    done = import_cases(Names(), source("a fine", "b none", "c odd"), dest, Splitting(all_in="test"))
    assert [(case.case_id, case.split) for case in done.cohort.cases] == [("a", "test"), ("c", "test")]
    assert done.skipped == ("case b skipped: no label",)
    assert done.notes == ("case c: odd",)
    assert (dest / "import.txt").read_text().splitlines() == ["case c: odd", "case b skipped: no label"]


def test_all_broken_cases_are_listed_and_nothing_is_written(source: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        import_cases(Names(), source("a broken", "b fine", "c broken"), tmp_path / "cohort")
    assert caught.value.problems == ["case a: is broken", "case c: is broken"]
    assert [path.name for path in tmp_path.iterdir()] == ["names.txt"]


def test_a_source_without_a_usable_case_is_refused(source: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing written, no case has a label"):
        import_cases(Names(), source("a none"), tmp_path / "cohort")
    with pytest.raises(UserError, match="nothing written, no case has Parotid_L"):
        import_cases(Names(), source("a none"), tmp_path / "cohort", structure="Parotid_L")


def test_the_structure_is_in_the_manifest_unless_it_is_the_mandible(
    source: Callable[..., Path], tmp_path: Path
) -> None:
    for structure, column in (("Parotid_L", {"structure": "Parotid_L"}), ("Unterkiefer", {}), ("", {})):
        dest = tmp_path / f"cohort{structure}"
        done = import_cases(Names(), source("a fine"), dest, Splitting(all_in="test"), structure=structure)
        assert [case.groups for case in done.cohort.cases] == [column]
    with pytest.raises(UserError, match=r"^--structure 'Mand\*': expected a name without \* and \?$"):
        import_cases(Names(), source("a fine"), tmp_path / "other", structure="Mand*")


def test_a_source_that_names_another_structure_is_refused() -> None:
    case = Case("a", "a", "", None, Path("a.nii"), groups={"structure": "Brainstem"})
    assert with_structure(case, "brain stem") == case
    with pytest.raises(UserError, match=r"^case a: its column structure says Brainstem, expected Parotid_L$"):
        with_structure(case, "Parotid_L")


def test_too_few_subjects_go_into_the_split_that_is_named_for_them() -> None:
    cases = [Case("a", "a", "", None, Path("a.nii")), Case("b", "b", "", None, Path("b.nii"))]
    with pytest.raises(UserError, match="2 subjects are too few"):
        split_cases(cases, Splitting())
    placed, note = split_cases(cases, Splitting(if_too_few="test"))
    assert [case.split for case in placed] == ["test", "test"]
    assert "all are in test" in note
