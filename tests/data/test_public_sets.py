"""Folders in the layouts of PDDCA, HaN-Seg, StructSeg and SegRap become cohorts, with their known traps."""

from pathlib import Path

import numpy as np
import pytest

from command import run
from mandseg.cli.public_sets import COMMANDS
from mandseg.data.case import Case
from mandseg.data.importers.deepmind_tcia import subject_of
from mandseg.data.importers.han_seg import import_han_seg
from mandseg.data.importers.pddca import import_pddca
from mandseg.data.importers.segrap import import_segrap
from mandseg.data.importers.structseg import import_structseg
from mandseg.data.manifest import read_cohort, refuse_shared_subjects
from mandseg.data.splits import Splitting
from mandseg.data.volume import read_volume
from mandseg.system.errors import UserError
from public_layouts import LEFT, RIGHT, block, ct, mask, values, write

SHARED = ["0014", "0017", "0057", "0161", "0226", "0248", "0251", "0427", "0457", "0479", "0576", "0659", "0667"]
SHARED += ["0669", "0708", "0727", "0845"]
ALL = Splitting(all_in="test")
WHOLE = block(LEFT, RIGHT)


def by_id(cases: tuple[Case, ...]) -> dict[str, Case]:
    return {case.case_id: case for case in cases}


def stored(path: Path | None) -> np.ndarray:
    assert path is not None
    return read_volume(path).array


@pytest.fixture
def pddca(tmp_path: Path) -> Path:
    """One case of each part; lower case in one, no mandible in another, an empty one in a third."""
    root = tmp_path / "PDDCA"
    names = {"0522c0002": "Mandible", "0522c0328": "mandible", "0522c0329": "MANDIBLE", "0522c0555": "Mandible"}
    for k, (case, name) in enumerate(names.items()):
        folder = root / f"PDDCA-1.4.1_part{k % 3 + 1}" / case
        write(folder / "img.nrrd", ct(k))
        write(folder / "structures" / f"{name}.nrrd", mask(LEFT, RIGHT))
        write(folder / "structures" / "BrainStem.nrrd", mask(LEFT))
    write(root / "PDDCA-1.4.1_part3/0522c0788/img.nrrd", ct(8))
    write(root / "PDDCA-1.4.1_part3/0522c0788/structures/BrainStem.nrrd", mask(LEFT))
    write(root / "PDDCA-1.4.1_part3/0522c0878/img.nrrd", ct(9))
    write(root / "PDDCA-1.4.1_part3/0522c0878/structures/Mandible.nrrd", mask())
    return root


def test_a_label_that_was_resampled_without_a_threshold_is_refused(pddca: Path, tmp_path: Path) -> None:
    """Every value but 0 would count as mandible, which is a voxel too wide."""
    label = next(pddca.glob("*/0522c0328/structures/mandible.nrrd"))
    soft = mask(LEFT, RIGHT).astype(np.float32)
    soft[0, 0, 0] = 0.3
    write(label, soft)
    line = "case 0522c0328: reference .*mandible.nrrd: has the value 0.3, which is no whole number .*: was the label"
    with pytest.raises(UserError, match=line):
        import_pddca(pddca, tmp_path / "cohort")


def test_pddca_has_its_official_split_and_lists_cases_without_a_mandible(pddca: Path, tmp_path: Path) -> None:
    result = import_pddca(pddca, tmp_path / "cohort")
    assert [(case.case_id, case.split, case.groups["official_split"]) for case in result.cohort.cases] == [
        ("0522c0002", "train", "train"),
        ("0522c0555", "test", "off-site"),
        ("0522c0328", "train", "train"),
        ("0522c0329", "val", "additional"),
    ]
    assert result.skipped == (
        "case 0522c0788 skipped: no Mandible in structures",
        "case 0522c0878 skipped: Mandible is empty",
    )
    assert all(path.is_relative_to(pddca) for case in result.cohort.cases for path in (case.image, case.reference))


def test_pddca_on_site_cases_are_test_cases(tmp_path: Path) -> None:
    write(tmp_path / "src/0522c0788/img.nrrd", ct())
    write(tmp_path / "src/0522c0788/structures/Mandible.nrrd", mask(LEFT))
    (case,) = import_pddca(tmp_path / "src", tmp_path / "cohort").cohort.cases
    assert (case.split, case.groups["official_split"]) == ("test", "on-site")


@pytest.mark.parametrize("number", SHARED)
def test_pddca_and_deepmind_name_their_17_shared_patients_alike(number: str, tmp_path: Path) -> None:
    folder = tmp_path / "src" / f"0522c{number}"
    write(folder / "img.nrrd", ct())
    write(folder / "structures/Mandible.nrrd", mask(LEFT, RIGHT))
    (case,) = import_pddca(tmp_path / "src", tmp_path / "cohort").cohort.cases
    assert case.subject_id == subject_of(f"0522c{number}") == f"0522c{number}"
    scan = f"0522c{number}" + ("a" if number == "0727" else "")
    tested = Case(scan, subject_of(scan), "test", None, Path("x"))
    with pytest.raises(UserError, match=f"subject 0522c{number}: case 0522c{number} is used for training"):
        refuse_shared_subjects([case], [tested])


def test_two_scans_of_one_patient_are_one_subject(tmp_path: Path) -> None:
    for name in ("0522c0727a", "0522c0727b"):
        write(tmp_path / f"src/{name}/img.nrrd", ct())
        write(tmp_path / f"src/{name}/structures/Mandible.nrrd", mask(LEFT))
    cases = import_pddca(tmp_path / "src", tmp_path / "cohort").cohort.cases
    assert {(case.subject_id, case.split) for case in cases} == {("0522c0727", "test")}


def test_pddca_gives_another_structure_by_any_of_its_names(pddca: Path, tmp_path: Path) -> None:
    result = import_pddca(pddca, tmp_path / "cohort", structure="brain stem")
    assert len(result.cohort.cases) == 5
    assert result.skipped == ("case 0522c0878 skipped: no brain stem in structures",)


@pytest.fixture
def han_seg(tmp_path: Path) -> Path:
    """Three cases with CT and MR: a whole label, one that Slicer cropped, none."""
    root = tmp_path / "HaN-Seg"
    for number in ("01", "02", "03"):
        name = f"case_{number}"
        write(root / "set_1" / name / f"{name}_IMG_CT.nrrd", ct(int(number)))
        write(root / "set_1" / name / f"{name}_IMG_MR_T1.nrrd", ct(50)[:12])
        write(root / "set_1" / name / f"{name}_OAR_Brainstem.seg.nrrd", mask(LEFT))
    write(root / "set_1/case_01/case_01_OAR_Bone_Mandible.seg.nrrd", mask(LEFT, RIGHT))
    cropped = np.ones((8, 9, 9), np.uint8)
    write(root / "set_1/case_02/case_02_OAR_Bone_Mandible.seg.nrrd", cropped, origin_mm=(16.0, 32.0, 32.0))
    return root


def test_han_seg_takes_the_ct_and_never_the_mr(han_seg: Path, tmp_path: Path) -> None:
    result = import_han_seg(han_seg, tmp_path / "cohort", splitting=ALL)
    cases = by_id(result.cohort.cases)
    assert {name: (case.subject_id, case.image.name) for name, case in cases.items() if case.image} == {
        "case_01": ("hanseg_case_01", "case_01_IMG_CT.nrrd"),
        "case_02": ("hanseg_case_02", "case_02_IMG_CT.nrrd"),
    }
    assert result.skipped == ("case case_03 skipped: no Mandible",)


def test_a_label_that_slicer_cropped_is_put_in_its_place(han_seg: Path, tmp_path: Path) -> None:
    cases = by_id(import_han_seg(han_seg, tmp_path / "cohort", splitting=ALL).cohort.cases)
    for case in cases.values():
        np.testing.assert_array_equal(stored(case.reference), WHOLE)
    assert cases["case_01"].reference.is_relative_to(han_seg)  # used as it is
    assert cases["case_02"].reference.is_relative_to(tmp_path / "cohort")


@pytest.mark.parametrize(
    ("origin_mm", "reason"), [((17.0, 32.0, 32.0), "differs from"), ((84.0, 32.0, 32.0), "reaches out of it")]
)
def test_a_label_between_the_voxels_or_outside_is_refused(
    han_seg: Path, tmp_path: Path, origin_mm: tuple[float, ...], reason: str
) -> None:
    label = han_seg / "set_1/case_02/case_02_OAR_Bone_Mandible.seg.nrrd"
    write(label, np.ones((8, 9, 9), np.uint8), origin_mm)
    with pytest.raises(UserError, match=f"case case_02: reference .*{reason}"):
        import_han_seg(han_seg, tmp_path / "cohort", splitting=ALL)
    assert not (tmp_path / "cohort").exists()


def test_structseg_merges_the_halves_and_leaves_the_joints_out(tmp_path: Path) -> None:
    root = tmp_path / "HaN_OAR"
    labels = {"1": values(left=21, right=22, joints=18), "2": values(left=21, joints=19), "10": values(joints=19)}
    labels["9"] = labels["1"]
    for k, (name, label) in enumerate(labels.items()):
        write(root / name / "data.nii.gz", ct(k))
        write(root / name / "label.nii.gz", label)
    result = import_structseg(tmp_path, tmp_path / "cohort", splitting=ALL)
    assert [case.case_id for case in result.cohort.cases] == ["structseg_1", "structseg_9"]
    for case in result.cohort.cases:
        np.testing.assert_array_equal(stored(case.reference), WHOLE)
    assert result.skipped == (
        "case structseg_2 skipped: its label has no value 22",
        "case structseg_10 skipped: its label has no value 21, 22",
    )


@pytest.fixture
def structseg(tmp_path: Path) -> Path:
    """Two cases with both halves of the mandible and another structure, 1."""
    root = tmp_path / "HaN_OAR"
    for k in (1, 2):
        write(root / f"{k}/data.nii.gz", ct(k))
        write(root / f"{k}/label.nii.gz", values(left=21, right=22, joints=1))
    return root


def test_structseg_names_another_structure_by_its_values(structseg: Path, tmp_path: Path) -> None:
    options = ["--structure", "Parotid_L", "--all-in", "test"]
    assert run("prepare", "structseg", structseg, tmp_path / "cohort", *options, "--label-values", "1") == 0
    cases = read_cohort(tmp_path / "cohort").cases
    assert [case.groups for case in cases] == [{"structure": "Parotid_L"}] * 2
    np.testing.assert_array_equal(stored(cases[0].reference), values(joints=1))
    with pytest.raises(UserError, match=r"^--structure 'Parotid_L': StructSeg's labels are numbers; add --label-v"):
        import_structseg(structseg, tmp_path / "other", "Parotid_L")


def test_a_label_that_is_not_on_the_images_grid_is_refused(structseg: Path, segrap: Path, tmp_path: Path) -> None:
    """Labels of the image's shape that begin elsewhere."""
    write(structseg / "2/label.nii.gz", values(left=21, right=22), origin_mm=(2.0, 0.0, 0.0))
    (one_hot,) = segrap.rglob("Task001/segrap_0002.nii.gz")
    write(one_hot, values(left=36, right=37), origin_mm=(2.0, 0.0, 0.0))
    for importer, source, case in (
        (import_structseg, structseg, "structseg_2"),
        (import_segrap, segrap, "segrap_0002"),
    ):
        with pytest.raises(
            UserError, match=rf"^case {case}: reference origin \(-2, .* mm differs from \(.* of the image$"
        ):
            importer(source, tmp_path / "cohort", splitting=ALL)


def test_a_label_that_is_a_whole_voxel_away_is_written_on_the_images_grid(tmp_path: Path) -> None:
    """It has the shape of the image, and begins 4 mm, one voxel, further along x."""
    folder = tmp_path / "src/0522c0002"
    write(folder / "img.nrrd", ct())
    write(folder / "structures/Mandible.nrrd", mask(LEFT), origin_mm=(4.0, 0.0, 0.0))
    (case,) = import_pddca(tmp_path / "src", tmp_path / "cohort").cohort.cases
    assert case.reference.is_relative_to(tmp_path / "cohort")
    assert read_volume(case.reference).geometry.disagreement(read_volume(case.image).geometry) is None
    np.testing.assert_array_equal(stored(case.reference), np.roll(block(LEFT), 1, axis=0))


def mirrored(case: str, left: str, right: str) -> str:
    where = f"WARNING: case {case}: {left} lies to the right of {right}"
    return f"{where}: were image and labels mirrored, or the names exchanged?"


def test_a_set_whose_left_structures_lie_on_the_right_is_noticed(pddca: Path, segrap: Path, tmp_path: Path) -> None:
    structseg = tmp_path / "StructSeg"
    for number, label in {"1": values(left=21, right=22), "2": values(left=22, right=21)}.items():
        write(structseg / number / "data.nii.gz", ct(int(number)))
        write(structseg / number / "label.nii.gz", label)
    result = import_structseg(structseg, tmp_path / "a", splitting=ALL)
    assert result.notes == (mirrored("structseg_2", "value 21", "value 22"),)
    for case, (left, right) in {"0522c0002": (LEFT, RIGHT), "0522c0328": (RIGHT, LEFT)}.items():
        (folder,) = pddca.rglob(f"{case}/structures")
        write(folder / "Parotid_L.nrrd", mask(left))
        write(folder / "Parotid_R.nrrd", mask(right))
    assert import_pddca(pddca, tmp_path / "b").notes == (mirrored("0522c0328", "Parotid_L", "Parotid_R"),)
    (half,) = segrap.rglob("segrap_0000/Mandible_L.nii.gz")
    write(half, mask(RIGHT))
    write(half.with_name("Mandible_R.nii.gz"), mask(LEFT))
    result = import_segrap(segrap, tmp_path / "c", splitting=ALL)
    assert result.notes == (mirrored("segrap_0000", "Mandible_L", "Mandible_R"),)


@pytest.fixture
def segrap(tmp_path: Path) -> Path:
    """Images and original labels in files of halves or with values, updated labels of two cases, tumours beside."""
    root = tmp_path / "SegRap2023"
    training = root / "SegRap2023_Training_Set_120cases"
    for k in range(4):
        folder = training / f"segrap_000{k}"
        write(folder / "image.nii.gz", ct(k))
        write(folder / "image_contrast.nii.gz", ct(k + 50))
        write(root / f"SegRap2023_Training_Set_120cases_OneHot_Labels/Task002/segrap_000{k}.nii.gz", mask(LEFT))
    for k in (0, 1):
        write(training / f"segrap_000{k}/Mandible_L.nii.gz", mask(LEFT))
        write(training / f"segrap_000{k}/TMjoint_L.nii.gz", mask(RIGHT))
    write(training / "segrap_0000/Mandible_R.nii.gz", mask(RIGHT))
    one_hot = root / "SegRap2023_Training_Set_120cases_OneHot_Labels/Task001"
    write(one_hot / "segrap_0002.nii.gz", values(left=36, right=37, joints=38))
    return root


def test_segrap_without_updated_labels_has_the_original_ones_as_references(segrap: Path, tmp_path: Path) -> None:
    result = import_segrap(segrap, tmp_path / "cohort", splitting=ALL)
    cases = by_id(result.cohort.cases)
    assert sorted(cases) == ["segrap_0000", "segrap_0002"]
    for case in cases.values():
        assert (case.noisy, case.annotator, case.image.name) == (None, "", "image.nii.gz")
        np.testing.assert_array_equal(stored(case.reference), WHOLE)
    assert result.skipped == (
        "case segrap_0001 skipped: contours: the left half of Mandible and not the right",
        "case segrap_0003 skipped: contours: none",
    )


def test_two_files_that_mean_the_same_structure_are_not_chosen_from(segrap: Path, tmp_path: Path) -> None:
    training = next(path for path in segrap.rglob("Mandible_R.nii.gz")).parent
    write(training / "MandibleRight.nii.gz", mask(LEFT))
    result = import_segrap(segrap, tmp_path / "cohort", splitting=ALL)
    assert "segrap_0000" not in by_id(result.cohort.cases)
    (line,) = [line for line in result.skipped if "segrap_0000" in line]
    assert line.endswith("two files of Mandible, MandibleRight.nii.gz and Mandible_R.nii.gz: expected one")


def test_segrap_has_original_labels_as_noisy_and_updated_ones_as_references(segrap: Path, tmp_path: Path) -> None:
    updated = segrap / "SegRap2023_Training_Set_120cases_Update_Labels"
    smaller = (slice(8, 12), slice(9, 17), slice(8, 17))
    for name in ("segrap_0000", "segrap_0003"):
        write(updated / name / "Mandible_L.nii.gz", mask(smaller))
        write(updated / name / "Mandible_R.nii.gz", mask(RIGHT))
    result = import_segrap(segrap, tmp_path / "cohort", splitting=ALL)
    cases = by_id(result.cohort.cases)
    assert sorted(cases) == ["segrap_0000", "segrap_0003"]
    np.testing.assert_array_equal(stored(cases["segrap_0000"].noisy), WHOLE)
    np.testing.assert_array_equal(stored(cases["segrap_0000"].reference), block(smaller, RIGHT))
    assert cases["segrap_0000"].annotator == "original"
    assert cases["segrap_0003"].noisy is None
    assert result.notes == ("case segrap_0003: original contours: none, no noisy label",)
    assert "case segrap_0002 skipped: updated contours: none" in result.skipped


def test_segrap_never_takes_the_mandibles_values_for_another_structure(segrap: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing written"):
        import_segrap(segrap, tmp_path / "cohort", structure="Brainstem", splitting=ALL)


@pytest.mark.parametrize(
    ("importer", "text"),
    [
        (import_pddca, "no 0522cNNNN/img.nrrd; is this PDDCA"),
        (import_han_seg, "no case_NN folder; is this HaN-Seg"),
        (import_structseg, "no numbered folder with label.nii.gz"),
        (import_segrap, "no segrap_NNNN/image.nii.gz"),
    ],
)
def test_another_folder_is_refused_and_nothing_written(importer, text: str, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    with pytest.raises(UserError, match=text):
        importer(tmp_path / "src", tmp_path / "cohort")
    assert not (tmp_path / "cohort").exists()


def test_the_commands_write_cohorts(pddca: Path, han_seg: Path, tmp_path: Path, capsys) -> None:
    assert run("prepare", "pddca", pddca, tmp_path / "a", "--all-in", "test") == 0
    assert {case.split for case in read_cohort(tmp_path / "a").cases} == {"test"}
    assert run("prepare", "han-seg", han_seg, tmp_path / "b", "--all-in", "test") == 0
    assert "case case_03 skipped: no Mandible" in capsys.readouterr().err


def test_the_commands_of_sets_with_numbered_labels_write_cohorts(
    structseg: Path, segrap: Path, tmp_path: Path, capsys
) -> None:
    assert run("prepare", "structseg", structseg, tmp_path / "a", "--all-in", "test") == 0
    cases = read_cohort(tmp_path / "a").cases
    assert [(case.case_id, case.split, case.groups) for case in cases] == [
        ("structseg_1", "test", {}),
        ("structseg_2", "test", {}),
    ]
    for case in cases:
        np.testing.assert_array_equal(stored(case.reference), WHOLE)
    assert run("prepare", "segrap", segrap, tmp_path / "b", "--all-in", "train") == 0
    assert "case segrap_0003 skipped: contours: none" in capsys.readouterr().err
    cases = read_cohort(tmp_path / "b").cases
    assert [(case.case_id, case.split) for case in cases] == [("segrap_0000", "train"), ("segrap_0002", "train")]
    for case in cases:
        np.testing.assert_array_equal(stored(case.reference), WHOLE)
    only_joints = ["--structure", "TMjoint", "--label-values", "38", "--all-in", "train"]
    assert run("prepare", "segrap", segrap, tmp_path / "c", *only_joints) == 0
    (case,) = read_cohort(tmp_path / "c").cases
    assert (case.case_id, case.groups) == ("segrap_0002", {"structure": "TMjoint"})
    np.testing.assert_array_equal(stored(case.reference), values(joints=1))


def test_every_command_of_a_public_set_refuses_another_folder(tmp_path: Path, capsys) -> None:
    for name in COMMANDS:
        (tmp_path / "src").mkdir(exist_ok=True)
        assert run("prepare", name, tmp_path / "src", tmp_path / "cohort") == 2, name
        assert "; is this " in capsys.readouterr().err, name
