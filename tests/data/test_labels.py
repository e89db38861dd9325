"""Label values as in real files: scaled, resampled, one for each half."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mandseg.data.case import Case
from mandseg.data.check import inspect_case
from mandseg.data.importers.cohort_folder import Imported
from mandseg.data.importers.folder import Conversion, Layout, import_folder
from mandseg.data.importers.labels import label_values
from mandseg.data.loaded_case import load_case
from mandseg.data.splits import Splitting
from mandseg.data.volume import read_volume
from mandseg.system.errors import UserError

PATTERNS = {"image": "{case}_image.nii.gz", "reference": "{case}_reference.nii.gz"}
BELOW_FOUR = np.nextafter(np.float32(4), np.float32(0))


@pytest.fixture
def merge(tmp_path: Path) -> Callable[..., Imported]:
    def merge(*values: int) -> Imported:
        conversion, splitting = Conversion(label_values=values), Splitting(all_in="test")
        return import_folder(tmp_path / "cohort", tmp_path / "out", Layout(None, PATTERNS), conversion, splitting)

    return merge


def halves(bone: np.ndarray, first: float, second: float) -> np.ndarray:
    """One value for the voxels left of the middle, another for the rest."""
    left = np.arange(24)[:, None, None] < 12
    return np.where(bone, np.where(left, first, second), 0).astype(np.float32)


@pytest.mark.parametrize("value", [0.99999994, 1.0000001, 0.9991, 1.0009])
def test_a_label_of_almost_one_is_binary_and_that_is_reported(
    merge: Callable[..., Imported], make_case: Callable[..., Case], bone: np.ndarray, value: float
) -> None:
    case = make_case("a", reference=(bone * value).astype(np.float32))
    np.testing.assert_array_equal(load_case(case).reference.array, bone)
    line = "reference has values within 0.001 of a whole number"
    assert any(line in finding.line and finding.severity == "warning" for finding in inspect_case(case).findings)
    result = merge()
    assert result.notes[0].startswith(f"case a: {line}")
    assert result.cohort.cases[0].reference == case.reference


def test_almost_zero_is_not_set(make_case: Callable[..., Case], bone: np.ndarray) -> None:
    case = make_case("a", reference=np.where(bone, 1.0, 1e-7).astype(np.float32))
    np.testing.assert_array_equal(load_case(case).reference.array, bone)


@pytest.mark.parametrize("value", [0.5, 0.998, 1.002, np.inf, np.nan])
def test_a_label_between_whole_numbers_is_refused(
    merge: Callable[..., Imported], make_case: Callable[..., Case], bone: np.ndarray, value: float
) -> None:
    case = make_case("a", reference=np.where(bone, value, 0).astype(np.float32))
    with pytest.raises(UserError):
        load_case(case)
    with pytest.raises(UserError, match=r"case a: reference has the values 0, .*expected 0 and 1; choose "):
        merge()
    with pytest.raises(UserError, match=r"case a: reference has the value .*, which is no whole number"):
        merge(1)


def test_both_halves_are_merged_after_any_scaling(
    merge: Callable[..., Imported], make_case: Callable[..., Case], bone: np.ndarray
) -> None:
    make_case("a", reference=halves(bone, 3, BELOW_FOUR))
    result = merge(3, 4)
    np.testing.assert_array_equal(read_volume(result.cohort.cases[0].reference).array, bone)
    assert result.notes[0] == (
        "case a: reference has values within 0.001 of a whole number (3.99999976), taken as that number"
    )


def test_a_value_that_no_label_has_is_refused(
    merge: Callable[..., Imported], make_case: Callable[..., Case], bone: np.ndarray, tmp_path: Path
) -> None:
    make_case("a", reference=halves(bone, 3, 4))
    with pytest.raises(UserError, match=r"^--label-values 5, 7: no label has this value; they have 3, 4$"):
        merge(3, 4, 5, 7)
    assert not (tmp_path / "out").exists()


def test_a_case_that_lacks_one_half_is_named(
    merge: Callable[..., Imported], make_case: Callable[..., Case], bone: np.ndarray
) -> None:
    make_case("a", reference=halves(bone, 21, 22))
    make_case("b", reference=halves(bone, 21, 0))
    text = "reference has the value 21 and not 22: is a part of Mandible missing?"
    assert [note for note in merge(21, 22).notes if "case" in note] == [f"WARNING: case b: {text}"]


def test_label_values_are_whole_numbers_above_zero() -> None:
    assert label_values((21.0, 22)) == (21, 22)
    for odd in (21.5, 0, -1, float("nan"), float("inf")):
        with pytest.raises(UserError, match=r"--label-values .*: expected whole numbers above 0, e\.g\. 21,22"):
            label_values((21, odd))
