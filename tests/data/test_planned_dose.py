"""The planned dose of a case: where it is, whether it can be one, and what stays as it was without it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from command import run
from mandseg.data.case import Case
from mandseg.data.check import check_cohort
from mandseg.data.dose.planned import implausible
from mandseg.data.dose.sampling import dose_at, uncovered
from mandseg.data.manifest import read_cohort, write_cohort
from mandseg.data.volume import Geometry, Volume, read_volume, write_volume
from mandseg.system.errors import UserError


def ramp(affine: np.ndarray, shape: tuple[int, int, int] = (24, 24, 24)) -> Volume:
    """A dose of 30 Gy at the origin, and 0.1, 0.2 and 0.3 Gy more a millimetre along R, A and S."""
    places = affine[:3, :3] @ np.indices(shape).reshape(3, -1) + affine[:3, 3:]
    return Volume((30 + np.array([0.1, 0.2, 0.3]) @ places).reshape(shape).astype(np.float32), affine)


def turned(degrees: float, spacing_mm: float, origin_mm: float) -> np.ndarray:
    """The affine of a grid that is turned about the body axis, first axis to the left."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[-cos, -sin, 0], [sin, -cos, 0], [0, 0, 1]]) * spacing_mm
    affine[:3, 3] = origin_mm, origin_mm, -origin_mm
    return affine


def test_a_dose_on_a_turned_grid_is_read_where_the_contour_lies(affine: np.ndarray, bone: np.ndarray) -> None:
    grid = Geometry(bone.shape, affine)
    dose = ramp(turned(20, 3.0, 60.0), (50, 50, 50))
    expected = ramp(affine).array[bone]
    np.testing.assert_allclose(dose_at(dose, bone, grid), expected, atol=1e-4)
    assert uncovered(dose, bone, grid) == ""


def test_a_dose_reaches_half_a_voxel_beyond_its_outermost_centres_and_is_unknown_farther_away() -> None:
    dose = Volume(np.array([10.0, 20.0]).reshape(2, 1, 1), np.diag([4.0, 4.0, 4.0, 1.0]))
    line = np.ones((9, 1, 1), bool)
    affine = np.eye(4)
    affine[0, 3] = -3  # centres at -3, -2, ... 5 mm; those of the dose at 0 and 4 mm
    found = dose_at(dose, line, Geometry(line.shape, affine))
    np.testing.assert_allclose(found, [np.nan, 10, 10, 10, 12.5, 15, 17.5, 20, 20])


def test_a_dose_that_ends_inside_the_reference_is_named_with_both_extents(affine: np.ndarray, bone: np.ndarray) -> None:
    cut = ramp(affine, (24, 24, 12))
    line = uncovered(cut, bone, Geometry(bone.shape, affine))
    assert line.startswith("405 of 729 voxels of the reference lie outside the grid of the dose (reference from (-16, ")
    assert "to (16, 16, 16) mm, dose from (-48, -48, -48) mm to (44, 44, -4) mm)" in line


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([0, 70.2], ""),
        ([-0.004, 2.0], ""),
        ([0, 7020.0], "a maximum of 7020, expected 1 to 200 Gy; is it in cGy? Divide by 100"),
        ([0, 3.5e6], "a maximum of 3.5e+06, expected 1 to 200 Gy; is it scaled? Apply the header's scaling"),
        ([0, 0.98], "a maximum of 0.98, expected 1 to 200 Gy; is it relative, or per beam?"),
        ([-3, 60.0], "negative values down to -3 Gy, expected 0 or more: a difference of two doses?"),
        ([0, np.nan], "1 voxel that is NaN or infinite"),
    ],
)
def test_numbers_that_are_no_planned_dose_are_named(values: list[float], reason: str) -> None:
    found = implausible(Volume(np.array(values).reshape(2, 1, 1), np.eye(4)))
    assert (reason in found) if reason else (found == "")


def test_the_manifest_has_the_column_only_if_a_case_has_a_dose(
    make_case: Callable[..., Case], tmp_path: Path, affine: np.ndarray
) -> None:
    cohort = tmp_path / "cohort"
    write_cohort(cohort, [make_case("a"), make_case("b")])
    assert (cohort / "manifest.csv").read_text().splitlines()[0] == (
        "case_id,subject_id,split,image,reference,noisy,annotator"
    )
    write_volume(tmp_path / "dose.nii.gz", ramp(affine))
    write_cohort(cohort, [replace(make_case("a"), dose=tmp_path / "dose.nii.gz"), make_case("b")])
    first, second = read_cohort(cohort).cases
    assert first.dose == tmp_path / "dose.nii.gz"
    assert second.dose is None
    assert first.groups == {}
    (tmp_path / "dose.nii.gz").unlink()
    with pytest.raises(UserError, match=r"case a: dose \.\./dose.nii.gz: no such file"):
        read_cohort(cohort)


def test_the_check_warns_of_a_dose_that_would_be_refused_and_of_no_other(
    make_case: Callable[..., Case], tmp_path: Path, affine: np.ndarray
) -> None:
    whole = ramp(affine)
    doses = {"a": whole, "b": Volume(whole.array * 100, affine), "c": ramp(affine, (24, 24, 12))}
    for name, dose in doses.items():
        write_volume(tmp_path / f"{name}_dose.nii.gz", dose)
    cases = [replace(make_case(name), dose=tmp_path / f"{name}_dose.nii.gz") for name in doses]
    write_cohort(tmp_path / "cohort", cases)
    lines = [str(f) for f in check_cohort(tmp_path / "cohort", workers=1).findings if "dose" in str(f)]
    assert [line.partition(":")[0] for line in lines] == ["warning", "warning"]
    assert "case b: dose " in lines[0]
    assert "is it in cGy? Divide by 100" in lines[0]
    assert "case c: dose: 405 of 729 voxels" in lines[1]


def test_prepare_folder_takes_doses_by_a_pattern_and_refuses_one_in_centigray(
    make_case: Callable[..., Case], tmp_path: Path, affine: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "source"
    for name in ("a", "b"):
        case = make_case(name)
        assert case.image is not None
        assert case.reference is not None
        write_volume(source / name / "ct.nii.gz", read_volume(case.image))
        write_volume(source / name / "mandible.nii.gz", read_volume(case.reference))
    write_volume(source / "a" / "dose.nii.gz", ramp(affine))
    words = ("--image", "{case}/ct.nii.gz", "--reference", "{case}/mandible.nii.gz", "--dose", "{case}/dose.nii.gz")
    assert run("prepare", "folder", source, tmp_path / "made", *words, "--all-in", "test") == 0
    first, second = read_cohort(tmp_path / "made").cases
    assert first.dose == source / "a" / "dose.nii.gz"
    assert second.dose is None
    write_volume(source / "b" / "dose.nii.gz", Volume(ramp(affine).array * 100, affine))
    assert run("prepare", "folder", source, tmp_path / "again", *words, "--all-in", "test") == 2
    assert "case b: dose " in capsys.readouterr().err
    assert not (tmp_path / "again").exists()
