import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from mandseg.data.volume import (
    Geometry,
    Volume,
    from_canonical,
    read_geometry,
    read_volume,
    rounded_hu,
    to_canonical,
    write_volume,
)
from mandseg.system.errors import UserError

ORIENTATIONS = ["RAS", "LPS", "SRA", "PIL", "ASL", "IPR"]


def oriented(codes: str, shape: tuple[int, int, int] = (3, 4, 5)) -> Volume:
    """A volume of numbered voxels whose axes run to the given directions, 1 x 2 x 3 mm along R, A, S."""
    array = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    to_codes = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(tuple(codes))
    )
    affine = np.diag([1.0, 2.0, 3.0, 1.0]) @ nib.orientations.inv_ornt_aff(to_codes, shape)
    return Volume(nib.orientations.apply_orientation(array, to_codes), affine)


def test_what_is_written_is_read_back(tmp_path: Path, affine: np.ndarray) -> None:
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    write_volume(tmp_path / "a.nii.gz", Volume(array, affine))
    back = read_volume(tmp_path / "a.nii.gz")
    assert back.array.dtype == np.int16
    np.testing.assert_array_equal(back.array, array)
    np.testing.assert_array_equal(back.affine, affine)


def test_masks_are_stored_as_uint8(tmp_path: Path, affine: np.ndarray) -> None:
    write_volume(tmp_path / "a.nii", Volume(np.ones((2, 2, 2), bool), affine))
    assert read_volume(tmp_path / "a.nii").array.dtype == np.uint8


def test_same_volume_gives_same_bytes_for_any_name(tmp_path: Path, ct: np.ndarray, affine: np.ndarray) -> None:
    for name in ("a.nii.gz", "b.nii.gz"):
        write_volume(tmp_path / name, Volume(ct, affine))
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_written_header_holds_no_text(tmp_path: Path, ct: np.ndarray, affine: np.ndarray) -> None:
    write_volume(tmp_path / "jane_doe.nii.gz", Volume(ct, affine))
    header = nib.load(tmp_path / "jane_doe.nii.gz").header
    for field in ("descrip", "intent_name", "db_name", "aux_file"):
        assert header[field].item() == b""
    assert b"jane_doe" not in (tmp_path / "jane_doe.nii.gz").read_bytes()


def test_both_transforms_are_written_for_readers_of_either(tmp_path: Path, affine: np.ndarray) -> None:
    write_volume(tmp_path / "a.nii.gz", Volume(np.zeros((2, 3, 4), np.int16), affine))
    image = nib.load(tmp_path / "a.nii.gz")
    for found, code in (image.get_qform(coded=True), image.get_sform(coded=True)):
        assert code == 1
        np.testing.assert_allclose(found, affine)
    itk = sitk.ReadImage(str(tmp_path / "a.nii.gz"))
    assert itk.GetOrigin() == (48, 48, -48)  # LPS


def test_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, affine: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.nii.gz"
    write_volume(path, Volume(np.zeros((2, 2, 2), np.int16), affine))
    before = path.read_bytes()
    monkeypatch.setattr(gzip.GzipFile, "write", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_volume(path, Volume(np.ones((2, 2, 2), np.int16), affine))
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_lps_files_land_in_ras(tmp_path: Path, suffix: str) -> None:
    image = sitk.GetImageFromArray(np.arange(24, dtype=np.int16).reshape(4, 3, 2))  # z, y, x
    image.SetSpacing((1.0, 2.0, 3.0))
    image.SetOrigin((10.0, 20.0, 30.0))
    sitk.WriteImage(image, str(tmp_path / f"a{suffix}"))
    volume = read_volume(tmp_path / f"a{suffix}")
    assert volume.array.shape == (2, 3, 4)
    assert volume.array[1, 2, 3] == 23
    np.testing.assert_allclose(volume.affine @ [1, 1, 1, 1], [-11, -22, 33, 1])
    assert read_geometry(tmp_path / f"a{suffix}").disagreement(volume.geometry) is None


def test_nifti_of_an_nrrd_lies_on_its_grid(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.zeros((4, 3, 2), np.int16))
    image.SetSpacing((0.97, 0.97, 2.5))
    image.SetOrigin((-250.39, 155.61, -1178.0))
    for name in ("a.nrrd", "a.nii.gz"):
        sitk.WriteImage(image, str(tmp_path / name))
    assert read_geometry(tmp_path / "a.nrrd").disagreement(read_geometry(tmp_path / "a.nii.gz")) is None


def test_scaled_values_are_read_as_the_file_means_them(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.array([[[0, 24]]], np.int16), np.eye(4))
    image.header.set_slope_inter(1, -1024)
    nib.save(image, tmp_path / "a.nii")
    raw = np.array([[[0, 24]]], np.int16)
    (tmp_path / "b.nii").write_bytes((tmp_path / "a.nii").read_bytes()[:-4] + raw.tobytes())
    assert read_volume(tmp_path / "b.nii").array.ravel().tolist() == [-1024, -1000]


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_canonical_axes_are_the_same_for_any_file_order(codes: str) -> None:
    canonical, expected = to_canonical(oriented(codes)), oriented("RAS")
    np.testing.assert_array_equal(canonical.array, expected.array)
    np.testing.assert_allclose(canonical.affine, expected.affine)


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_from_canonical_undoes_to_canonical(codes: str) -> None:
    volume = oriented(codes)
    np.testing.assert_array_equal(from_canonical(to_canonical(volume).array, volume.geometry), volume.array)


def test_voxel_volume_of_an_oblique_grid_is_its_determinant() -> None:
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([1, 2, 5])
    geometry = Geometry((10, 10, 10), affine)
    assert geometry.voxel_ml == pytest.approx(0.01)
    assert geometry.spacing_mm == pytest.approx((1, 2, 5))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("shape", "shape (2, 3, 5) differs from (2, 3, 4)"),
        ("spacing", "spacing (1, 1, 2.5) mm differs from (1, 1, 3) mm"),
        ("direction", "direction (-1, 0, 0, 0, 1, 0, 0, 0, 1) differs from (1, 0, 0, 0, 1, 0, 0, 0, 1)"),
        ("origin", "origin (0, 0, 7) mm differs from (0, 0, 0) mm"),
    ],
)
def test_disagreement_names_both_values(change: str, message: str) -> None:
    grid = Geometry((2, 3, 4), np.diag([1.0, 1.0, 3.0, 1.0]))
    shape, affine = grid.shape, grid.affine.copy()
    if change == "shape":
        shape = (2, 3, 5)
    elif change == "spacing":
        affine[2, 2] = 2.5
    elif change == "direction":
        affine[0, 0] = -1
    else:
        affine[2, 3] = 7
    assert Geometry(shape, affine).disagreement(grid) == message


def test_rounding_in_headers_is_not_a_disagreement() -> None:
    grid = Geometry((512, 512, 156), np.diag([0.9766, 0.9766, 2.5, 1.0]))
    rounded = Geometry((512, 512, 156), np.float32(grid.affine + 1e-5).astype(float))
    assert rounded.disagreement(grid) is None


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii", "a.nrrd", "a.mha"])
def test_truncated_file_is_called_damaged(
    tmp_path: Path, name: str, affine: np.ndarray, capfd: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(-1000, 1000, (24, 24, 24), dtype=np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(noise), str(tmp_path / name), useCompression=name.endswith("d"))
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"a\.\w+(\.gz)?: cannot be read to its end, the file is damaged \("):
        read_volume(tmp_path / name)


def test_missing_unknown_and_nonsense_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.nii\.gz: no such file"):
        read_volume(tmp_path / "a.nii.gz")
    (tmp_path / "a.dcm").write_bytes(b"")
    with pytest.raises(UserError, match=r"a\.dcm: unknown image format, expected one of \.nii, "):
        read_volume(tmp_path / "a.dcm")
    for name in ("text.nii.gz", "text.nii", "text.nrrd", "text.mha"):
        (tmp_path / name).write_text("no image at all")
        with pytest.raises(UserError, match=r"not a readable"):
            read_volume(tmp_path / name)


def test_four_dimensions_are_refused_but_a_trailing_one_is_dropped(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((2, 3, 4, 2), np.int16), np.eye(4)), tmp_path / "four.nii")
    nib.save(nib.Nifti1Image(np.zeros((2, 3, 4, 1), np.int16), np.eye(4)), tmp_path / "three.nii")
    with pytest.raises(UserError, match=r"shape \(2, 3, 4, 2\), expected a 3D volume"):
        read_volume(tmp_path / "four.nii")
    assert read_volume(tmp_path / "three.nii").array.shape == (2, 3, 4)


def test_colour_is_refused(tmp_path: Path) -> None:
    rgb = np.zeros((2, 2, 2), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(rgb, np.eye(4)), tmp_path / "a.nii")
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((2, 2, 2, 3), np.uint8), isVector=True), str(tmp_path / "a.nrrd"))
    with pytest.raises(UserError, match="colour image"):
        read_volume(tmp_path / "a.nii")
    with pytest.raises(UserError, match="3 numbers a voxel, expected a 3D volume with 1"):
        read_volume(tmp_path / "a.nrrd")


def test_a_header_that_places_nothing_is_refused(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4))
    image.set_sform(np.diag([0, 1, 1, 1]), code=1)
    nib.save(image, tmp_path / "a.nii")
    with pytest.raises(
        UserError, match=r"a\.nii: the header's affine \(0, 0, 0, 0, 0, 1, .* gives the voxels no position"
    ):
        read_volume(tmp_path / "a.nii")


def test_hu_are_rounded_and_limited_to_what_a_scanner_stores() -> None:
    values = np.array([-2000, -1000.4, 0.5, 1.5, 5000], np.float32)
    np.testing.assert_array_equal(rounded_hu(values), np.array([-1000, -1000, 0, 2, 3071], np.int16))
    np.testing.assert_array_equal(rounded_hu(np.array([-2000, 40000], np.int32), -1024), [-1024, 3071])
    assert values[0] == -2000  # the given array is not changed
    assert rounded_hu(values).dtype == np.int16
