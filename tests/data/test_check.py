import csv
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from rich.console import Console

from mandseg.data.case import Case
from mandseg.data.check import check_cohort, content_hash, inspect_case, piece_sizes
from mandseg.data.check_table import print_checkup, summary, write_checkup
from mandseg.data.loaded_case import load_case
from mandseg.data.manifest import write_cohort
from mandseg.data.volume import Volume
from mandseg.system.errors import UserError

MakeCase = Callable[..., Case]


def lines(case: Case, severity: str = "warning") -> list[str]:
    """The findings of one severity, without the case's name."""
    return [
        finding.line.removeprefix(f"case {case.case_id}: ")
        for finding in inspect_case(case).findings
        if finding.severity == severity
    ]


def test_a_sound_case_has_no_finding_and_is_measured(make_case: MakeCase, bone: np.ndarray) -> None:
    inspection = inspect_case(make_case(noisy=np.roll(bone, 1, axis=0)))
    assert inspection.findings == ()
    assert (inspection.shape, inspection.spacing_mm) == ((24, 24, 24), (4, 4, 4))
    assert (inspection.hu_min, inspection.hu_max) == (-1000, 1000)
    assert inspection.reference_ml == pytest.approx(729 * 0.064)
    assert inspection.noisy_dice == pytest.approx(8 / 9)


# What load_case refuses, check calls an error: the same lines ---------------------------------------------------------


def damaged(name: str, make_case: MakeCase, ct: np.ndarray, bone: np.ndarray, affine: np.ndarray) -> Case:
    """A case named a that is wrong in one way."""
    other_spacing, other_origin, flipped = affine.copy(), affine.copy(), affine.copy()
    other_spacing[2, 2] = 2.5
    other_origin[2, 3] = -44
    flipped[0, 0] = -4
    nan = ct.astype(np.float32)
    nan[1, 2, 3], nan[3, 2, 1] = np.nan, np.inf
    values = bone.astype(np.uint8)
    values[0, 0, 0] = 7
    changes = {
        "nan": {"image": nan},
        "shape": {"reference": bone[:, :, :23]},
        "spacing": {"reference": Volume(bone, other_spacing)},
        "origin": {"noisy": Volume(bone, other_origin)},
        "direction": {"noisy": Volume(bone, flipped)},
        "values": {"reference": values},
        "empty": {"noisy": np.zeros_like(bone)},
    }
    return make_case("a", **changes[name])


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("nan", "image has 2 voxels that are NaN or infinite"),
        ("shape", "reference shape (24, 24, 23) differs from (24, 24, 24) of the image"),
        ("spacing", "reference spacing (4, 4, 2.5) mm differs from (4, 4, 4) mm of the image"),
        ("origin", "noisy origin (-48, -48, -44) mm differs from (-48, -48, -48) mm of the image"),
        (
            "direction",
            "noisy direction (-1, 0, 0, 0, 1, 0, 0, 0, 1) differs from (1, 0, 0, 0, 1, 0, 0, 0, 1) of the image",
        ),
        ("values", "reference has the values 0, 1, 7, expected 0 and 1 only"),
        ("empty", "noisy is empty: 0 of 13824 voxels are set, and the case is in train"),
    ],
)
def test_what_training_refuses_is_an_error_in_the_same_words(
    name: str, line: str, make_case: MakeCase, ct: np.ndarray, bone: np.ndarray, affine: np.ndarray
) -> None:
    case = damaged(name, make_case, ct, bone, affine)
    assert lines(case, "error") == [line]
    with pytest.raises(UserError) as error:
        load_case(case)
    assert error.value.problems == [f"case a: {line}"]


def test_a_truncated_and_a_missing_file_are_errors(make_case: MakeCase) -> None:
    case, gone = make_case("a"), make_case("b")
    case.image.write_bytes(case.image.read_bytes()[:300])
    gone.reference.unlink()
    (line,) = lines(case, "error")
    assert line.startswith(f"image {case.image}: cannot be read to its end, the file is damaged (")
    assert lines(gone, "error") == [f"reference {gone.reference}: no such file"]


def test_several_problems_of_a_case_are_reported_at_once(make_case: MakeCase, ct: np.ndarray, bone: np.ndarray) -> None:
    case = make_case("a", image=np.full(ct.shape, np.nan, np.float32), reference=bone * np.uint8(3), noisy=bone[1:])
    with pytest.raises(UserError) as error:
        load_case(case)
    assert len(error.value.problems) == 3


def test_a_sound_case_loads_as_hu_and_masks(make_case: MakeCase, ct: np.ndarray, bone: np.ndarray) -> None:
    scan = load_case(make_case("a", image=ct.astype(np.float64)))
    assert (scan.image.array.dtype, scan.reference.array.dtype) == (np.float32, np.bool_)
    np.testing.assert_array_equal(scan.image.array, ct)
    np.testing.assert_array_equal(scan.reference.array, bone)
    assert scan.noisy is None
    assert load_case(make_case("b")).image.array.dtype == np.int16


def test_an_empty_reference_loads_outside_training(make_case: MakeCase, bone: np.ndarray) -> None:
    assert not load_case(make_case("a", split="test", reference=np.zeros_like(bone))).reference.array.any()


def test_labels_without_image_are_compared_with_each_other_and_do_not_load(
    make_case: MakeCase, bone: np.ndarray
) -> None:
    written = make_case("a", noisy=bone[:, 1:])
    case = Case("a", "a", "test", None, written.reference, written.noisy)
    assert lines(case, "error") == ["noisy shape (24, 23, 24) differs from (24, 24, 24) of the reference"]
    with pytest.raises(UserError, match=r"^case a: column image is empty, but this command needs the CT$"):
        load_case(case)


# What deserves a look -------------------------------------------------------------------------------------------------


def test_values_that_are_not_hu_are_noticed(make_case: MakeCase, ct: np.ndarray) -> None:
    assert lines(make_case(image=ct + np.int16(1000))) == ["image values from 0 to 2000, none below -200: not HU?"]
    soft = np.minimum(ct, 60).astype(np.int16)
    assert lines(make_case(image=soft)) == [
        "image values from -1000 to 60, no bone in it?",
        "reference has a median of 60 HU, bone is above 150: off the mandible, or not HU?",
    ]


def test_a_label_beside_the_bone_is_noticed(make_case: MakeCase, bone: np.ndarray) -> None:
    (line,) = lines(make_case(reference=np.roll(bone, 6, axis=1)))
    assert line == "reference has a median of 40 HU, bone is above 150: off the mandible, or not HU?"


def test_a_label_at_the_border_is_noticed_with_the_patients_directions(
    make_case: MakeCase, ct: np.ndarray, bone: np.ndarray, affine: np.ndarray
) -> None:
    shift = {"axis": (0, 2), "shift": (-8, 7)}
    case = make_case(image=np.roll(ct, **shift), reference=np.roll(bone, **shift))
    assert lines(case) == ["reference touches the border of the volume (left, superior): cut off?"]
    lps = affine @ np.diag([-1, -1, 1, 1])
    flipped = make_case("b", image=Volume(np.roll(ct, **shift), lps), reference=Volume(np.roll(bone, **shift), lps))
    assert lines(flipped) == ["reference touches the border of the volume (right, superior): cut off?"]


def test_pieces_are_counted_largest_first_and_corners_connect(make_case: MakeCase, bone: np.ndarray) -> None:
    mask = bone.copy()
    mask[17, 17, 17] = True  # shares a corner with the block
    mask[2:4, 2, 2] = True
    assert piece_sizes(mask) == [730, 2]
    assert lines(make_case(reference=mask)) == ["reference has 2 disconnected pieces of 730, 2 voxels"]


def test_tiny_and_huge_mandibles_are_noticed(make_case: MakeCase, bone: np.ndarray) -> None:
    tiny = bone.copy()
    tiny[10:] = False
    assert lines(make_case(reference=tiny)) == ["reference has 10.4 ml, mandibles have 32 to 94 ml"]


def test_a_noisy_label_that_is_the_reference_is_noticed(make_case: MakeCase, bone: np.ndarray) -> None:
    assert lines(make_case(noisy=bone)) == ["reference and noisy label are the same drawing, Dice 1.0000"]


def test_an_empty_test_label_is_noticed(make_case: MakeCase, bone: np.ndarray) -> None:
    assert lines(make_case(split="test", reference=np.zeros_like(bone))) == ["reference is empty"]


# Between cases --------------------------------------------------------------------------------------------------------


def test_the_same_ct_under_two_subjects_is_an_error(tmp_path: Path, make_case: MakeCase, ct: np.ndarray) -> None:
    cases = [
        make_case("a", image=ct),
        make_case("b", "test", image=ct.astype(np.float32)),
        make_case("c", subject_id="a", image=ct),
    ]
    write_cohort(tmp_path / "cohort", cases)
    checkup = check_cohort(tmp_path / "cohort")
    assert [(finding.severity, finding.line) for finding in checkup.findings] == [
        (
            "error",
            "case b: its image has the same content as the image of case a; subjects b and a, splits test and train",
        ),
        (
            "warning",
            "case c: its image has the same content as the image of case a; subjects a and a, splits train and train",
        ),
    ]


def test_content_counts_not_the_dtype(ct: np.ndarray, affine: np.ndarray) -> None:
    other = ct.copy()
    other[5, 5, 5] += 1
    first, same, different = (content_hash(Volume(a, affine)) for a in (ct, ct.astype(np.float32), other))
    assert first == same != different


def test_manifest_and_file_errors_are_reported_together(tmp_path: Path, make_case: MakeCase, bone: np.ndarray) -> None:
    cases = [make_case("a", subject_id="s"), make_case("b", reference=bone * np.uint8(2)), make_case("c")]
    manifest = write_cohort(tmp_path / "cohort", cases).root / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("c,c,train", "c,s,test"))
    cases[2].image.unlink()
    checkup = check_cohort(manifest)
    assert [finding.line for finding in checkup.errors] == [
        "case c: image c_image.nii.gz: no such file",
        "case c: subject s is in test, and in train as case a",
        "case b: reference has the values 0, 2, expected 0 and 1 only",
    ]


@pytest.mark.slow
def test_several_processes_find_what_one_finds(tmp_path: Path, make_case: MakeCase, bone: np.ndarray) -> None:
    write_cohort(tmp_path / "cohort", [make_case("a"), make_case("b", noisy=bone), make_case("c")])
    assert check_cohort(tmp_path / "cohort", workers=2) == check_cohort(tmp_path / "cohort", workers=1)


# What is shown --------------------------------------------------------------------------------------------------------


def test_table_summary_and_csv_agree(tmp_path: Path, make_case: MakeCase, bone: np.ndarray) -> None:
    cases = [make_case("a", noisy=np.roll(bone, 1, axis=0)), make_case("b", "test", noisy=bone)]
    write_cohort(tmp_path / "cohort", cases)
    checkup = check_cohort(tmp_path / "cohort")
    assert summary(checkup) == [
        "2 cases of 2 subjects: 1 train, 1 test",
        "voxel edges: x 4 to 4 (median 4) mm; y 4 to 4 (median 4) mm; z 4 to 4 (median 4) mm",
        "reference labels: 2 of 2 cases, 46.7 to 46.7 (median 46.7) ml",
        "noisy labels: 2 of 2 cases, 46.7 to 46.7 (median 46.7) ml",
        "Dice of noisy to reference: 0.889 to 1 (median 0.944)",
        "0 errors, 1 warning",
    ]
    console = Console(width=140, record=True, quiet=False, file=(tmp_path / "out.txt").open("w"))
    print_checkup(checkup, console)
    console.file.close()
    shown = (tmp_path / "out.txt").read_text()
    assert "24 x 24 x 24" in shown
    assert "warning: case b: reference and noisy label are the same drawing" in shown
    write_checkup(tmp_path / "check.csv", checkup)
    with (tmp_path / "check.csv").open() as file:
        first, second = csv.DictReader(file)
    assert (first["case_id"], first["noisy_dice"], first["warnings"]) == ("a", "0.8889", "")
    assert second["warnings"].startswith("case b: reference and noisy label are the same drawing")


# Position and size in a header ----------------------------------------------------------------------------------------


def test_an_image_of_three_slices_is_an_error(make_case: MakeCase, ct: np.ndarray, bone: np.ndarray) -> None:
    scout = make_case(image=ct[:, :, 10:13], reference=bone[:, :, 10:13])
    assert lines(scout, "error") == ["image has 24 x 24 x 3 voxels, expected at least 4 along each axis: a scout?"]


def test_files_that_two_forms_place_differently_are_one_warning(make_case: MakeCase) -> None:
    case = make_case()
    for path in (case.image, case.reference):
        assert path is not None
        image = nib.load(path)
        image.set_qform(np.diag([-4.0, 4, 4, 1]), code=1)
        nib.save(image, path)
    (line,) = lines(case)
    assert line.startswith("image, reference: sform (code 1) and qform (code 1) disagree, up to ")


def test_a_sheared_image_is_an_error_with_its_angle(make_case: MakeCase, ct: np.ndarray) -> None:
    case = make_case()
    tilted = np.array([[4.0, 0, 0, 0], [0, 4, 2, 0], [0, 0, 3.4641016, 0], [0, 0, 0, 1]])
    image = nib.Nifti1Image(ct, None)
    image.set_sform(tilted, code=1)
    assert case.image is not None
    nib.save(image, case.image)
    (line,) = lines(case, "error")
    assert line.startswith(f"image {case.image}: the axes deviate by 30 degrees from right angles")


def test_brackets_in_a_cohorts_name_are_no_markup(tmp_path: Path, make_case: MakeCase) -> None:
    write_cohort(tmp_path / "cohort", [make_case("a"), make_case("b", "test")])
    (tmp_path / "cohort").rename(tmp_path / "cohort [v1]")
    console = Console(width=140, file=io.StringIO())
    print_checkup(check_cohort(tmp_path / "cohort [v1]"), console)
    assert "Cohort cohort [v1]" in console.file.getvalue()


def test_another_structure_has_the_volumes_of_its_manifest_and_need_not_be_bone(make_case, ct, affine):
    soft = np.zeros_like(ct, dtype=np.uint8)
    soft[5:10, 5:8, 5:10] = 1  # 75 voxels of soft tissue, 4.8 ml
    case = make_case("a", image=ct, reference=soft)
    assert any("mandibles have 32 to 94 ml" in finding.line for finding in inspect_case(case).findings)
    assert any("bone is above" in finding.line for finding in inspect_case(case).findings)
    parotid = replace(case, groups={"structure": "Parotid_L"})
    assert inspect_case(parotid).findings == ()
    (finding,) = inspect_case(replace(case, groups={"structure": "Parotid_L", "structure_ml": "15 to 45"})).findings
    assert "reference has 4.8 ml, Parotid_L has 15 to 45 ml" in finding.line
    with pytest.raises(UserError, match="structure_ml is '15-45', expected two volumes"):
        inspect_case(replace(case, groups={"structure_ml": "15-45"}))
