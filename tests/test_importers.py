from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from mandseg.cohort import Case, read_cohort
from mandseg.errors import UserError
from mandseg.importers import Imported, plain_name
from mandseg.importers.deepmind_tcia import import_deepmind_tcia, subject_of
from mandseg.importers.folder import Conversion, Layout, Splitting, import_folder
from mandseg.importers.hounsfield import from_stored, histogram, peaks_note, tissue_peaks
from mandseg.importers.openkbp import import_openkbp, protocol, read_mask
from mandseg.importers.patterns import to_regex
from mandseg.importers.splits import split_by_subject
from mandseg.volume import Volume, read_volume, write_volume

# OpenKBP's own layout -------------------------------------------------------------------------------------------------


def flat(posterior: int, left: int, inferior: int) -> int:
    """OpenKBP's index of a voxel, counted from the right anterior superior corner."""
    return (posterior * 128 + left) * 128 + inferior


def write_patient(
    folder: Path, mandible: Iterable[int] | None, ct: dict[int, float] | None = None, spacing_mm: str = "3.906"
) -> None:
    folder.mkdir(parents=True)
    (folder / "voxel_dimensions.csv").write_text(f"{spacing_mm}\n{spacing_mm}\n2.500\n")
    values = {flat(0, 0, 0): 1040.0} if ct is None else ct
    (folder / "ct.csv").write_text(",data\n" + "".join(f"{i},{value}\n" for i, value in values.items()))
    if mandible is not None:
        (folder / "Mandible.csv").write_text(",data\n" + "".join(f"{i},\n" for i in mandible))


def test_openkbp_keeps_the_official_split_and_skips_those_without_mandible(tmp_path: Path) -> None:
    data = tmp_path / "open-kbp" / "provided-data"
    write_patient(data / "train-pats" / "pt_10", [1], spacing_mm="4.688")
    write_patient(data / "train-pats" / "pt_2", [1])
    write_patient(data / "train-pats" / "pt_3", None)
    write_patient(data / "valid-pats" / "pt_201", [1], spacing_mm="5.422")
    write_patient(data / "validation-pats" / "pt_202", [1])
    write_patient(data / "test-pats" / "pt_241", [1])
    write_patient(data / "test-pats" / "pt_242", [])
    result = import_openkbp(tmp_path / "open-kbp", tmp_path / "cohort")
    assert [(case.case_id, case.split, case.groups["protocol"]) for case in result.cohort.cases] == [
        ("pt_2", "train", "fov500"),
        ("pt_10", "train", "fov600"),
        ("pt_201", "val", "other"),
        ("pt_202", "val", "fov500"),
        ("pt_241", "test", "fov500"),
    ]
    skipped = ("case pt_3 skipped: no Mandible.csv in train-pats", "case pt_242 skipped: Mandible.csv lists no voxel")
    assert result.skipped == skipped
    assert set(skipped) <= set((tmp_path / "cohort" / "import.txt").read_text().splitlines())


def test_openkbp_voxels_land_where_the_patient_has_them(tmp_path: Path) -> None:
    data = tmp_path / "provided-data"
    ct = {flat(3, 100, 5): 1000.0 + 700, flat(90, 10, 60): 32767.0, flat(0, 0, 0): 1000.0}
    write_patient(data / "train-pats" / "pt_1", [flat(3, 100, 5)], ct)
    (case,) = import_openkbp(tmp_path, tmp_path / "cohort").cohort.cases
    image, reference = read_volume(case.image), read_volume(case.reference)
    assert image.array.dtype == np.int16
    assert image.geometry.disagreement(reference.geometry) is None
    x, y, z, _ = image.affine @ [*np.argwhere(image.array == 700)[0], 1]
    assert (x, y, z) == pytest.approx((-(100 - 63.5) * 3.906, (63.5 - 3) * 3.906, (63.5 - 5) * 2.5), abs=1e-3)
    np.testing.assert_array_equal(np.argwhere(reference.array), np.argwhere(image.array == 700))
    values, counts = np.unique(image.array, return_counts=True)  # nothing stored is air, metal is capped
    assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == {-1000: 128**3 - 3, 0: 1, 700: 1, 3071: 1}


def test_openkbp_mask_is_mirrored_with_the_image(tmp_path: Path) -> None:
    (tmp_path / "LeftParotid.csv").write_text(f",data\n{flat(50, 120, 70)},\n")
    assert np.argwhere(read_mask(tmp_path / "LeftParotid.csv")).tolist() == [[127 - 120, 127 - 50, 127 - 70]]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("Mandible.csv", f",data\n{128**3},\n", "voxel index 2097152 to 2097152, expected 0 to 2097151"),
        ("ct.csv", ",data\n5,abc\n", "not a table of numbers"),
        ("ct.csv", ",data\n5,nan\n", "1 values are NaN or infinite"),
        ("voxel_dimensions.csv", "3.9\n3.9\n", r"\[3.9, 3.9\], expected three voxel edges in mm"),
        ("ct.csv", None, r"ct\.csv: no such file in "),
    ],
)
def test_damaged_openkbp_files_are_refused_and_nothing_is_left(
    tmp_path: Path, file: str, text: str | None, message: str
) -> None:
    folder = tmp_path / "train-pats" / "pt_1"
    write_patient(folder, [1])
    (folder / file).write_text(text) if text is not None else (folder / file).unlink()
    with pytest.raises(UserError, match=f"^case pt_1: .*{message}"):
        import_openkbp(tmp_path, tmp_path / "cohort")
    assert [path.name for path in tmp_path.iterdir()] == ["train-pats"]


def test_a_patient_in_both_validation_folders_is_refused(tmp_path: Path) -> None:
    write_patient(tmp_path / "valid-pats" / "pt_201", [1])
    write_patient(tmp_path / "validation-pats" / "pt_201", [1])
    with pytest.raises(UserError, match=r"^case pt_201: in validation-pats and in valid-pats, expected in one$"):
        import_openkbp(tmp_path, tmp_path / "cohort")


def test_a_folder_that_is_not_openkbp_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"no pt_\* folder in any of train-pats, valid-pats, validation-pats, test-pats"
    ):
        import_openkbp(tmp_path, tmp_path / "cohort")


@pytest.mark.parametrize(
    ("spacing_mm", "name"),
    [
        *[(3.898, "fov500"), (3.938, "fov500"), (3.75, "other"), (4.023, "other"), (2.734, "other")],
        *[(4.609, "fov600"), (4.75, "fov600"), (4.531, "other"), (4.828, "other")],
    ],
)
def test_protocol_is_the_field_of_view_within_two_percent(spacing_mm: float, name: str) -> None:
    assert protocol(spacing_mm) == name


# Hounsfield units -----------------------------------------------------------------------------------------------------


def test_stored_values_become_hu_with_padding_and_metal_handled() -> None:
    stored = np.array([0, 1, 900, 1000, 1040, 4071, 32767])
    assert from_stored(stored, 1000).tolist() == [-1000, -999, -100, 0, 40, 3071, 3071]
    assert from_stored(stored, 1024).tolist() == [-1000, -1000, -124, -24, 16, 3047, 3071]


def test_tissue_peaks_are_found_and_tell_a_wrong_offset() -> None:
    rng = np.random.default_rng(0)
    tissue = np.r_[rng.normal(903, 15, 20_000), rng.normal(1037, 15, 20_000), np.zeros(50_000)]
    counts = histogram(from_stored(tissue, 1000))
    assert tissue_peaks(counts) == pytest.approx((-97, 37), abs=4)
    assert "as they should" in peaks_note(counts, 1000)
    assert peaks_note(histogram(from_stored(tissue, 1024)), 1024).startswith("WARNING: HU = stored value - 1024: ")


# DeepMind's two annotators --------------------------------------------------------------------------------------------


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
        "case TCGA-CV-A6JY: no mandible by the radiographer, no noisy label",
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
    assert result.skipped == ("case TCGA-CV-A6JY skipped: no mandible by the radiographer",)


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


# A folder of one's own ------------------------------------------------------------------------------------------------


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
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["import.txt", "manifest.csv"]


def test_values_that_are_not_hu_are_pointed_out(own: Path, tmp_path: Path) -> None:
    (note,) = import_folder(own, tmp_path / "out").notes
    assert note.startswith("WARNING: 3 of 3 images have no value below -200 (first: p1): not HU? --hu-offset 1000")


def test_columns_can_be_said_and_wrong_ones_are_refused(own: Path, tmp_path: Path) -> None:
    said = Layout(Path("index.csv"), {"case_id": "patient", "reference": "mandible"})
    assert len(import_folder(own, tmp_path / "out", said).cohort.cases) == 3
    with pytest.raises(UserError, match=r"no column 'jaw' \(said to be the reference\), the file has: patient, split,"):
        import_folder(own, tmp_path / "out2", Layout(None, {"reference": "jaw"}))
    (own / "index.csv").write_text("number,image\n1,p1_image.nii.gz\n")
    with pytest.raises(UserError, match=r"give --case-id, it cannot be guessed from the columns: number, image$"):
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


def test_a_label_with_several_values_asks_which(
    tmp_path: Path, affine: np.ndarray, ct: np.ndarray, bone: np.ndarray
) -> None:
    source = write_two_halves(tmp_path, affine, ct, bone)
    layout = Layout(None, {"image": "{case}/data.nii.gz", "reference": "{case}/label.nii.gz"})
    with pytest.raises(UserError) as error:
        import_folder(source, tmp_path / "out", layout)
    line = (
        "case 2: reference has the values 0, 18, 21, 22, expected 0 and 1; --label-values says which are the mandible"
    )
    assert error.value.problems[1] == line
    assert len(error.value.problems) == 3
    assert not (tmp_path / "out").exists()


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
        ({"reference": "{case}/label.nii.gz", "image": "ct"}, "and a table .ct.: give one of the two"),
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


# Splits, names, folders -----------------------------------------------------------------------------------------------


def scans(n_subjects: int, per_subject: int = 2) -> list[Case]:
    return [Case(f"s{s}_{k}", f"s{s}", "", None, None) for s in range(n_subjects) for k in range(per_subject)]


def test_subjects_stay_together_and_shares_are_met() -> None:
    cases = split_by_subject(scans(20), (0.7, 0.1, 0.2), seed=0)
    split_of = {case.subject_id: case.split for case in cases}
    assert all(split_of[case.subject_id] == case.split for case in cases)
    assert [list(split_of.values()).count(name) for name in ("train", "val", "test")] == [14, 2, 4]


def test_the_seed_draws_the_split_whatever_the_order_of_cases() -> None:
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


def test_a_destination_that_exists_is_kept_unless_told(own: Path, tmp_path: Path) -> None:
    import_own(own, tmp_path / "out")
    (tmp_path / "out" / "mark").touch()
    with pytest.raises(UserError, match=r"out: exists already; --overwrite replaces it$"):
        import_own(own, tmp_path / "out")
    assert (tmp_path / "out" / "mark").exists()
    import_own(own, tmp_path / "out", overwrite=True)
    assert not (tmp_path / "out" / "mark").exists()
    assert len(read_cohort(tmp_path / "out").cases) == 3
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
    with pytest.raises(UserError, match=r"^case p1: .*images/p1.nii.gz lies in .*out, which would be replaced$"):
        import_folder(table, tmp_path / "out", splitting=Splitting(all_in="test"), overwrite=True)
    assert len(read_cohort(tmp_path / "out").cases) == 3


def test_a_missing_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone: no such file or folder$"):
        import_own(tmp_path / "gone", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
