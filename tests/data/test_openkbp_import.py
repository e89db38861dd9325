"""The layout of OpenKBP: values become HU, voxels keep their position in the patient, the split is official."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from mandseg.data.dose.planned import read_dose
from mandseg.data.importers.hounsfield import from_stored, histogram, peaks_note, tissue_peaks
from mandseg.data.importers.openkbp import import_openkbp, protocol, read_mask
from mandseg.data.volume import read_volume
from mandseg.system.errors import UserError


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


def test_openkbp_brings_its_dose_along_on_the_grid_of_the_image(tmp_path: Path) -> None:
    patient = tmp_path / "provided-data" / "test-pats" / "pt_1"
    write_patient(patient, [flat(3, 100, 5)], {flat(3, 100, 5): 1700.0})
    (patient / "dose.csv").write_text(f",data\n{flat(3, 100, 5)},61.5\n")
    write_patient(tmp_path / "provided-data" / "test-pats" / "pt_2", [1])
    first, second = import_openkbp(tmp_path, tmp_path / "cohort").cohort.cases
    assert first.dose is not None
    assert second.dose is None
    dose, reference = read_dose(first.dose), read_volume(first.reference)
    assert dose.geometry.disagreement(reference.geometry) is None
    np.testing.assert_array_equal(np.argwhere(dose.array), np.argwhere(reference.array))
    assert dose.array.max() == 61.5


def test_openkbp_mask_is_mirrored_with_the_image(tmp_path: Path) -> None:
    (tmp_path / "LeftParotid.csv").write_text(f",data\n{flat(50, 120, 70)},\n")
    assert np.argwhere(read_mask(tmp_path / "LeftParotid.csv")).tolist() == [[127 - 120, 127 - 50, 127 - 70]]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("Mandible.csv", f",data\n{128**3},\n", "voxel index 2097152 to 2097152, expected 0 to 2097151"),
        ("ct.csv", ",data\n5,abc\n", "not a table of numbers"),
        ("ct.csv", ",data\n5,nan\n", "1 value is NaN or infinite"),
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


def test_tissue_peaks_are_found_and_show_a_wrong_offset() -> None:
    rng = np.random.default_rng(0)
    tissue = np.r_[rng.normal(903, 15, 20_000), rng.normal(1037, 15, 20_000), np.zeros(50_000)]
    counts = histogram(from_stored(tissue, 1000))
    assert tissue_peaks(counts) == pytest.approx((-97, 37), abs=4)
    assert "as expected" in peaks_note(counts, 1000)
    assert peaks_note(histogram(from_stored(tissue, 1024)), 1024).startswith("WARNING: HU = stored value - 1024: ")
