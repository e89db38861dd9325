"""DeepMind's two annotators become reference and noisy label."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from command import run
from mandseg.data.importers.deepmind_tcia import import_deepmind_tcia, subject_of
from mandseg.data.manifest import read_cohort
from mandseg.data.volume import read_volume
from mandseg.system.errors import UserError


def write_nrrd(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(np.ascontiguousarray(array.T)), str(path))


def draw(root: Path, folder: str, annotator: str, case_id: str, mask: np.ndarray, name: str = "Mandible.nrrd") -> None:
    write_nrrd(root / "nrrds" / folder / annotator / case_id / "segmentations" / name, mask.astype(np.uint8))


@pytest.fixture
def pairs(tmp_path: Path, bone: np.ndarray, ct: np.ndarray) -> Path:
    """Four scans: two of one patient, one drawn twice alike, one by the oncologist only; a CT for one."""
    root = tmp_path / "tcia"
    rough = np.roll(bone, 1, axis=0)
    for case_id in ("0522c0727a", "0522c0727b"):
        draw(root, "test", "oncologist", case_id, bone, "man-dible.NRRD".replace("NRRD", "nrrd"))
        draw(root, "test", "radiographer", case_id, rough, "MANDIBLE.nrrd")
    for annotator in ("oncologist", "radiographer"):
        draw(root, "validation", annotator, "0522c0457", bone)
    draw(root, "test", "oncologist", "TCGA-CV-A6JY", bone)
    draw(root, "test", "radiographer", "TCGA-CV-A6JY", bone, "Left-Parotid_Gland.nrrd")
    write_nrrd(root / "nrrds/test/radiographer/0522c0727a/CT_IMAGE.nrrd", ct)
    return root


def test_two_annotators_become_reference_and_noisy(pairs: Path, tmp_path: Path) -> None:
    result = import_deepmind_tcia(pairs, tmp_path / "cohort")
    cases = {case.case_id: case for case in result.cohort.cases}
    assert [(case.case_id, case.subject_id, case.split) for case in cases.values()] == [
        ("0522c0727a", "0522c0727", "test"),
        ("0522c0727b", "0522c0727", "test"),
        ("TCGA-CV-A6JY", "TCGA-CV-A6JY", "test"),
        ("0522c0457", "0522c0457", "test"),
    ]
    first = cases["0522c0727a"]
    assert "oncologist" in str(first.reference)
    assert "radiographer" in str(first.noisy)
    assert (first.annotator, first.groups) == ("radiographer", {"official_split": "test"})
    assert cases["TCGA-CV-A6JY"].noisy is None
    assert cases["0522c0457"].groups == {"official_split": "validation"}
    assert result.notes == (
        "case TCGA-CV-A6JY: no Mandible by the radiographer, no noisy label",
        "case 0522c0457: the two drawings differ in 0 of 729 voxels, one is a copy",
        "WARNING: 3 of 4 cases have no CT_IMAGE.nrrd (first: 0522c0727b): "
        "the labels can be compared and checked, but not trained on or segmented",
    )


def test_ct_is_taken_from_whichever_annotator_has_it(pairs: Path, tmp_path: Path, ct: np.ndarray) -> None:
    case = import_deepmind_tcia(pairs, tmp_path / "cohort").cohort.cases[0]
    np.testing.assert_array_equal(read_volume(case.image).array, ct)


def test_annotators_can_be_swapped_and_the_split_chosen(pairs: Path, tmp_path: Path) -> None:
    result = import_deepmind_tcia(
        pairs, tmp_path / "cohort", reference="radiographer", noisy="oncologist", split="train"
    )
    assert "radiographer" in str(result.cohort.cases[0].reference)
    assert {(case.split, case.annotator) for case in result.cohort.cases} == {("train", "oncologist")}
    assert result.skipped == ("case TCGA-CV-A6JY skipped: no Mandible by the radiographer",)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"noisy": "oncologist"}, "reference 'oncologist', noisy 'oncologist': expected one each of oncologist and"),
        ({"split": "tests"}, "split 'tests': expected one of train, val, test"),
    ],
)
def test_wrong_choices_are_refused(pairs: Path, tmp_path: Path, choice: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        import_deepmind_tcia(pairs, tmp_path / "cohort", **choice)


def test_only_repeated_scans_share_a_subject() -> None:
    ids = ["0522c0727a", "0522c0727b", "0522c0727", "TCGA-CV-A6JY", "0522c0014"]
    assert [subject_of(i) for i in ids] == ["0522c0727"] * 3 + ["TCGA-CV-A6JY", "0522c0014"]


def test_another_structure_is_imported_by_any_of_its_names(pairs: Path, tmp_path: Path, bone: np.ndarray) -> None:
    for annotator in ("oncologist", "radiographer"):
        draw(pairs, "validation", annotator, "0522c0457", bone, "Parotid-Lt.nrrd")
    assert run("prepare", "deepmind-tcia", pairs, tmp_path / "cohort", "--structure", "left parotid") == 0
    (case,) = read_cohort(tmp_path / "cohort").cases
    assert (case.case_id, case.groups) == (
        "0522c0457",
        {"official_split": "validation", "structure": "left parotid"},
    )
    assert case.reference.name == "Parotid-Lt.nrrd"


def halves(root: Path, bone: np.ndarray, origin_mm: tuple[float, float, float] = (0, 0, 0)) -> None:
    """Two halves of a mandible by both annotators; the right one begins elsewhere."""
    left, right = bone.copy(), bone.copy()
    left[8:], right[:8] = False, False
    for annotator in ("oncologist", "radiographer"):
        draw(root, "test", annotator, "a", left, "Mandible_L.nrrd")
        draw(root, "test", annotator, "a", right, "Mandible_R.nrrd")
        file = root / f"nrrds/test/{annotator}/a/segmentations/Mandible_R.nrrd"
        image = sitk.ReadImage(str(file))
        image.SetOrigin(origin_mm)
        sitk.WriteImage(image, str(file))


def test_two_halves_are_merged_if_they_lie_on_one_grid(tmp_path: Path, bone: np.ndarray) -> None:
    halves(tmp_path / "tcia", bone)
    (case,) = import_deepmind_tcia(tmp_path / "tcia", tmp_path / "cohort").cohort.cases
    np.testing.assert_array_equal(read_volume(case.reference).array, bone)
    halves(tmp_path / "tcia", bone, origin_mm=(0.4, 0, 0))
    reason = r"^case a: reference origin \(-0.4, -?0, 0\) mm differs from \(-?0, -?0, 0\) mm of Mandible_L.nrrd$"
    with pytest.raises(UserError, match=reason):
        import_deepmind_tcia(tmp_path / "tcia", tmp_path / "other")


def test_drawings_on_different_grids_are_no_copies(tmp_path: Path, bone: np.ndarray) -> None:
    """Two files of one shape; the second begins 5 mm further to the left."""
    for annotator, origin_mm in (("oncologist", 0), ("radiographer", 5)):
        draw(tmp_path / "tcia", "test", annotator, "a", bone)
        file = tmp_path / f"tcia/nrrds/test/{annotator}/a/segmentations/Mandible.nrrd"
        image = sitk.ReadImage(str(file))
        image.SetOrigin((origin_mm, 0, 0))
        sitk.WriteImage(image, str(file))
    notes = import_deepmind_tcia(tmp_path / "tcia", tmp_path / "cohort").notes
    assert not any("one is a copy" in note for note in notes)
