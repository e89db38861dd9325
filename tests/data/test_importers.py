"""A user's folder, by index or by patterns; splits by subject; the folder that is written."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from command import run
from mandseg.data.case import Case
from mandseg.data.importers.cohort_folder import Imported, plain_name
from mandseg.data.importers.folder import Conversion, Layout, import_folder
from mandseg.data.importers.patterns import to_regex
from mandseg.data.manifest import read_cohort
from mandseg.data.splits import Splitting, split_by_subject
from mandseg.data.volume import Volume, read_volume, write_volume
from mandseg.system.errors import UserError


@pytest.fixture
def own(tmp_path: Path, make_case: Callable[..., Case], ct: np.ndarray) -> Path:
    """A folder with an index.csv as OpenKBP's: a patient column, stored values, a split and a group."""
    source = tmp_path / "cohort"
    rows = ["patient,split,image,mandible,protocol,mandible_ml"]
    for name, split in (("p1", "train"), ("p2", "validation"), ("p3", "test")):
        case = make_case(name, image=(ct.astype(np.int32) + 1000).clip(0).astype(np.int16))
        rows.append(f"{name},{split},{case.image.name},{case.reference.name},fov500,46.7")
    (source / "index.csv").write_text("\n".join(rows) + "\n")
    return source


def test_an_index_goes_in_with_one_command(own: Path, tmp_path: Path, ct: np.ndarray) -> None:
    result = import_folder(own, tmp_path / "out", conversion=Conversion(hu_offset=1000))
    assert [(case.case_id, case.subject_id, case.split) for case in result.cohort.cases] == [
        ("p1", "p1", "train"),
        ("p2", "p2", "val"),
        ("p3", "p3", "test"),
    ]
    case = result.cohort.cases[0]
    assert case.groups == {"protocol": "fov500", "mandible_ml": "46.7"}
    assert case.image == tmp_path / "out" / "images" / "p1.nii.gz"
    assert case.reference == own / "p1_reference.nii.gz"
    np.testing.assert_array_equal(read_volume(case.image).array, ct)


def test_images_in_hu_and_binary_labels_stay_where_they_are(
    tmp_path: Path, make_case: Callable[..., Case], bone: np.ndarray
) -> None:
    make_case("a", noisy=bone)
    (tmp_path / "cohort" / "cases.csv").write_text(
        "Case,CT,Mask,Noisy-Label,Reader,set\na,a_image.nii.gz,a_reference.nii.gz,a_noisy.nii.gz,jd,training\n"
    )
    result = import_folder(tmp_path / "cohort", tmp_path / "out", conversion=Conversion(hu_offset=1000))
    (case,) = result.cohort.cases
    assert case.image == tmp_path / "cohort" / "a_image.nii.gz"
    assert (case.noisy, case.annotator, case.split) == (tmp_path / "cohort" / "a_noisy.nii.gz", "jd", "train")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".mandseg.json", "import.txt", "manifest.csv"]


def test_values_that_are_not_hu_are_pointed_out(own: Path, tmp_path: Path) -> None:
    (note,) = import_folder(own, tmp_path / "out").notes
    assert note.startswith("WARNING: 3 of 3 images have no value below -200 (first: p1): not HU? --hu-offset 1000")


def test_columns_can_be_given_and_wrong_ones_are_refused(own: Path, tmp_path: Path) -> None:
    layout = Layout(Path("index.csv"), {"case_id": "patient", "reference": "mandible"})
    assert len(import_folder(own, tmp_path / "out", layout).cohort.cases) == 3
    with pytest.raises(UserError, match=r"no column 'jaw' \(given as the reference\), the file has: patient, split,"):
        import_folder(own, tmp_path / "out2", Layout(None, {"reference": "jaw"}))
    (own / "index.csv").write_text("number,image\n1,p1_image.nii.gz\n")
    with pytest.raises(UserError, match=r"give --case-id, it cannot be guessed from the columns: number, image$"):
        import_folder(own, tmp_path / "out2")
    (own / "index.csv").write_text("patient,picture,mandible\n1,p1_image.nii.gz,p1_reference.nii.gz\n")
    with pytest.raises(UserError, match=r"give --image, it cannot be guessed; the column picture names image files$"):
        import_folder(own, tmp_path / "out2")


def test_unknown_split_names_are_listed(own: Path, tmp_path: Path) -> None:
    text = (own / "index.csv").read_text()
    (own / "index.csv").write_text(text.replace(",validation,", ",holdout,"))
    with pytest.raises(UserError, match="case p2: split is 'holdout', expected one of train, training"):
        import_folder(own, tmp_path / "out")


def write_two_halves(tmp_path: Path, affine: np.ndarray, ct: np.ndarray, bone: np.ndarray) -> Path:
    """StructSeg's way: label.nii.gz with 21 for the left half, 22 for the right, 18 for a joint."""
    source = tmp_path / "structseg"
    left = np.arange(24)[:, None, None] < 12
    label = np.where(bone, np.where(left, 21, 22), 0).astype(np.uint8)
    label[20, 20, 20] = 18
    for case_id in ("1", "2", "10"):
        write_volume(source / case_id / "data.nii.gz", Volume(ct, affine))
        write_volume(source / case_id / "label.nii.gz", Volume(label, affine))
    return source


def test_halves_merge_into_one_mandible(tmp_path: Path, affine: np.ndarray, ct: np.ndarray, bone: np.ndarray) -> None:
    source = write_two_halves(tmp_path, affine, ct, bone)
    layout = Layout(None, {"image": "{case}/data.nii.gz", "reference": "{case}/LABEL.nii.gz"})
    result = import_folder(
        source, tmp_path / "out", layout, Conversion(label_values=(21, 22)), Splitting(all_in="test")
    )
    assert [case.case_id for case in result.cohort.cases] == ["1", "2", "10"]
    assert {case.split for case in result.cohort.cases} == {"test"}
    np.testing.assert_array_equal(read_volume(result.cohort.cases[2].reference).array, bone)


def test_a_label_with_several_values_needs_a_choice(
    tmp_path: Path, affine: np.ndarray, ct: np.ndarray, bone: np.ndarray
) -> None:
    source = write_two_halves(tmp_path, affine, ct, bone)
    layout = Layout(None, {"image": "{case}/data.nii.gz", "reference": "{case}/label.nii.gz"})
    with pytest.raises(UserError) as error:
        import_folder(source, tmp_path / "out", layout)
    line = "case 2: reference has the values 0, 18, 21, 22, expected 0 and 1; choose Mandible with --label-values"
    assert error.value.problems[1] == line
    assert len(error.value.problems) == 3
    assert not (tmp_path / "out").exists()


def test_the_structure_of_a_folder_is_in_the_manifest_and_in_messages(
    tmp_path: Path, affine: np.ndarray, ct: np.ndarray, bone: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = write_two_halves(tmp_path, affine, ct, bone), tmp_path / "out"
    command = ["prepare", "folder", source, out, "--image", "{case}/data.nii.gz", "--reference", "{case}/label.nii.gz"]
    command += ["--structure", "TMjoint_R", "--all-in", "test"]
    assert run(*command) == 2
    assert "expected 0 and 1; choose TMjoint_R with --label-values" in capsys.readouterr().err
    assert run(*command, "--label-values", "18") == 0
    assert [case.groups for case in read_cohort(out).cases] == [{"structure": "TMjoint_R"}] * 3


def test_a_table_that_names_another_structure_than_the_option_is_refused(own: Path, tmp_path: Path) -> None:
    table = (own / "index.csv").read_text().splitlines()
    (own / "index.csv").write_text("\n".join([f"{table[0]},structure", *(f"{row},Brainstem" for row in table[1:])]))
    result = import_folder(own, tmp_path / "out")
    assert {case.groups["structure"] for case in result.cohort.cases} == {"Brainstem"}
    with pytest.raises(UserError, match=r"^case p1: its column structure says Brainstem, expected Parotid_L$"):
        import_folder(own, tmp_path / "other", conversion=Conversion(structure="Parotid_L"))


def test_cases_without_a_mandible_are_skipped_and_listed(
    tmp_path: Path, affine: np.ndarray, ct: np.ndarray, bone: np.ndarray
) -> None:
    source = write_two_halves(tmp_path, affine, ct, bone)
    write_volume(source / "3" / "data.nii.gz", Volume(ct, affine))
    write_volume(source / "4" / "label.nii.gz", Volume(np.zeros((24, 24, 24), np.uint8), affine))
    layout = Layout(None, {"image": "{case}/data.nii.gz", "reference": "{case}/label.nii.gz"})
    result = import_folder(source, tmp_path / "out", layout, Conversion(label_values=(21, 22)), Splitting(all_in="val"))
    assert [case.case_id for case in result.cohort.cases] == ["1", "2", "10"]
    assert result.skipped == (
        "case 3 skipped: no label",
        "case 4: reference has no value 21, 22, case skipped",
    )


def test_fields_of_a_pattern_become_columns(tmp_path: Path, make_case: Callable[..., Case]) -> None:
    for site in ("north", "south"):
        case = make_case(site)
        folder = tmp_path / "site" / site / "test"
        folder.mkdir(parents=True)
        case.image.rename(folder / f"{site}1.img.nii.gz")
        case.reference.rename(folder / f"{site}1.Mandible_v2.nii.gz")
    patterns = {
        "image": "{site}/{split}/{case}.img.nii.gz",
        "reference": "{site}/{split}/{case}.mandible_*.nii.gz",
    }
    result = import_folder(tmp_path / "site", tmp_path / "out", Layout(None, patterns))
    assert [(case.case_id, case.split, case.groups) for case in result.cohort.cases] == [
        ("north1", "test", {"site": "north"}),
        ("south1", "test", {"site": "south"}),
    ]


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        ({"reference": "{patient}/a.nrrd"}, r"has no \{case\}, e\.g\."),
        ({"reference": "{case}/nothing.nrrd"}, r"no file matches \{case\}/nothing\.nrrd"),
        ({"reference": "{case}/*.nii.gz"}, r"case 1: .* finds 1/data.nii.gz and 1/label.nii.gz, expected one"),
        ({"reference": "{case}/label.nii.gz", "image": "ct"}, "and a table .ct.: give only one of them"),
    ],
)
def test_bad_patterns_are_refused(
    tmp_path: Path,
    affine: np.ndarray,
    ct: np.ndarray,
    bone: np.ndarray,
    patterns: dict[str, str],
    message: str,
) -> None:
    source = write_two_halves(tmp_path, affine, ct, bone)
    with pytest.raises(UserError, match=message):
        import_folder(source, tmp_path / "out", Layout(None, patterns))


def test_a_field_that_comes_twice_must_match_itself() -> None:
    assert to_regex("{case}/{case}_*.nrrd") == r"(?P<case>[^/]+)/(?P=case)_[^/]*\.nrrd"


def scans(n_subjects: int, per_subject: int = 2) -> list[Case]:
    return [Case(f"s{s}_{k}", f"s{s}", "", None, None) for s in range(n_subjects) for k in range(per_subject)]


def test_subjects_stay_together_and_shares_are_met() -> None:
    cases = split_by_subject(scans(20), (0.7, 0.1, 0.2), seed=0)
    split_of = {case.subject_id: case.split for case in cases}
    assert all(split_of[case.subject_id] == case.split for case in cases)
    assert [list(split_of.values()).count(name) for name in ("train", "val", "test")] == [14, 2, 4]


def test_the_seed_draws_the_split_for_any_order_of_cases() -> None:
    forward = {case.case_id: case.split for case in split_by_subject(scans(20), (0.7, 0.1, 0.2), seed=1)}
    backward = {case.case_id: case.split for case in split_by_subject(scans(20)[::-1], (0.7, 0.1, 0.2), seed=1)}
    other = {case.case_id: case.split for case in split_by_subject(scans(20), (0.7, 0.1, 0.2), seed=2)}
    assert forward == backward
    assert forward != other


@pytest.mark.parametrize(
    ("n_subjects", "fractions", "message"),
    [
        (20, (0.7, 0.1, 0.1), "fractions 0.7, 0.1, 0.1: expected three shares that add up to 1"),
        (20, (1.0,), "fractions 1: expected three shares that add up to 1"),
        (2, (0.7, 0.1, 0.2), "2 subjects are too few for these fractions: train 1, val 1, test 0"),
    ],
)
def test_impossible_fractions_are_refused(n_subjects: int, fractions: tuple[float, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        split_by_subject(scans(n_subjects), fractions, seed=0)


def test_names_are_compared_without_case_hyphens_underscores_and_blanks() -> None:
    names = ["Mandible.nrrd", "MANDIBLE.nii.gz", "man_dible.seg.nrrd", "man-dible.csv", "Man dible.mha"]
    assert {plain_name(name) for name in names} == {"mandible"}
    assert plain_name("Mandible_L.nii.gz") != "mandible"


def import_own(own: Path, dest: Path, overwrite: bool = False) -> Imported:
    return import_folder(own, dest, overwrite=overwrite)


def test_a_destination_that_exists_is_kept_without_overwrite(own: Path, tmp_path: Path) -> None:
    import_own(own, tmp_path / "out")
    before = sorted((tmp_path / "out").iterdir())
    (own / "p3_reference.nii.gz").unlink()
    text = (own / "index.csv").read_text().splitlines()
    (own / "index.csv").write_text("\n".join(text[:-1]) + "\n")
    with pytest.raises(UserError, match=r"out: exists already; --overwrite replaces it$"):
        import_own(own, tmp_path / "out")
    assert sorted((tmp_path / "out").iterdir()) == before
    import_own(own, tmp_path / "out", overwrite=True)
    assert len(read_cohort(tmp_path / "out").cases) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cohort", "out"]


def test_overwrite_replaces_cohorts_only_and_never_the_source(own: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    with pytest.raises(UserError, match=r"thesis: holds no manifest.csv, so it is not a cohort and is not replaced$"):
        import_own(own, tmp_path / "thesis", overwrite=True)
    (own / "manifest.csv").write_text("")
    with pytest.raises(UserError, match="holds the source"):
        import_own(own, own, overwrite=True)
    assert (own / "p1_image.nii.gz").exists()


def test_files_in_a_cohort_to_be_replaced_are_not_pointed_at(own: Path, tmp_path: Path) -> None:
    import_folder(own, tmp_path / "out", conversion=Conversion(hu_offset=1000))
    table = tmp_path / "table.csv"
    table.write_text("case,image,reference\np1,out/images/p1.nii.gz,cohort/p1_reference.nii.gz\n")
    with pytest.raises(UserError, match=r"out: holds 1 file of the source, e.g. .*out/images/p1.nii.gz: not replaced$"):
        import_folder(table, tmp_path / "out", splitting=Splitting(all_in="test"), overwrite=True)
    assert len(read_cohort(tmp_path / "out").cases) == 3


def test_a_missing_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone: no such file or folder$"):
        import_own(tmp_path / "gone", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
