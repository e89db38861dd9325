"""Impossible grids are refused with both values: shear, other units, two sizes of one voxel, no voxel."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mandseg.data.volume import Geometry, read_geometry, read_volume
from mandseg.system.errors import UserError


def tilted(degrees: float, axes: str = "RAS") -> np.ndarray:
    """An affine of 2 x 2 x 3 mm whose slices are pushed along one another, as a tilted gantry makes them."""
    shear = np.eye(4)
    shear[:3, 2] = [0, np.sin(np.deg2rad(degrees)), np.cos(np.deg2rad(degrees))]
    order = np.eye(4)[:, [*("RAS".index(axis) for axis in axes), 3]]
    return np.asarray(shear @ np.diag([2.0, 2.0, 3.0, 1.0]) @ order)


@pytest.mark.parametrize("axes", ["RAS", "SAR", "ASR"])
@pytest.mark.parametrize("degrees", [-20, 0.2, 25])
def test_sheared_axes_are_refused_with_their_angle(tmp_path: Path, degrees: float, axes: str) -> None:
    image = nib.Nifti1Image(np.zeros((4, 4, 4), np.int16), None)
    image.set_sform(tilted(degrees, axes), code=1)
    nib.save(image, tmp_path / "a.nii.gz")
    with pytest.raises(UserError, match=rf"the axes deviate by {abs(degrees)} degrees from right angles"):
        read_volume(tmp_path / "a.nii.gz")


@pytest.mark.parametrize(
    ("name", "header"),
    [
        (
            "a.nrrd",
            "NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 2 2 2\n"
            "space directions: (2,0,0) (0,2,0) (0,1.5,2.5980762)\nspace origin: (0,0,0)\n"
            "endian: little\nencoding: raw\n\n",
        ),
        (
            "a.mha",
            "ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nTransformMatrix = 1 0 0 0 1 0 0 0.5 0.8660254\n"
            "ElementSpacing = 2 2 3\nElementType = MET_SHORT\nElementDataFile = LOCAL\n",
        ),
    ],
)
def test_shear_is_found_in_every_format(tmp_path: Path, name: str, header: str) -> None:
    (tmp_path / name).write_bytes(header.encode() + bytes(16))
    with pytest.raises(UserError, match="the axes deviate by 30 degrees from right angles"):
        read_geometry(tmp_path / name)


def test_a_turned_or_mirrored_grid_is_not_sheared() -> None:
    turn = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix()
    for mirror in (np.diag([1, 1, 1]), np.diag([-1, 1, 1]), np.eye(3)[[1, 0, 2]]):
        affine = np.eye(4)
        affine[:3, :3] = turn @ mirror @ np.diag([0.5, 1, 3])
        geometry = Geometry((4, 4, 4), np.float32(affine).astype(float))
        assert geometry.shear_deg == pytest.approx(0, abs=1e-4)
        assert geometry.voxel_ml == pytest.approx(0.0015)
        assert geometry.spacing_mm == pytest.approx((0.5, 1, 3))


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize(("unit", "name"), [("micron", "micrometres"), ("meter", "metres")])
def test_other_units_than_mm_are_refused(tmp_path: Path, kind: type, unit: str, name: str) -> None:
    image = kind(np.zeros((2, 2, 2), np.int16), np.diag([2, 2, 3, 1.0]))
    image.header.set_xyzt_units(unit, "sec")
    nib.save(image, tmp_path / "a.nii")
    with pytest.raises(UserError, match=rf"the header's unit is {name} \(voxels of 2 x 2 x 3\), expected mm"):
        read_geometry(tmp_path / "a.nii")


@pytest.mark.parametrize("unit", ["mm", "unknown"])
def test_mm_and_no_unit_are_mm(tmp_path: Path, unit: str) -> None:
    image = nib.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.diag([2, 2, 3, 1.0]))
    image.header.set_xyzt_units(unit, "sec")
    nib.save(image, tmp_path / "a.nii")
    assert read_geometry(tmp_path / "a.nii").spacing_mm == (2, 2, 3)


@pytest.mark.parametrize(
    ("name", "unit", "wrong"),
    [
        ("a.nrrd", 'space units: "mm" "mm" "mm"', False),
        ("a.nrrd", 'space units: "um" "um" "um"', True),
        ("a.nrrd", 'units: "µm" "µm" "µm"', True),
        ("a.nrrd", 'space units: "" "m" "m"', True),
        ("a.nrrd", "units:=m is a key of somebody's own", False),
        ("a.mha", "DistanceUnits = mm", False),
        ("a.mha", "DistanceUnits = um", True),
        ("a.mha", "DistanceUnits = cm", True),
    ],
)
def test_units_of_other_formats_are_read_too(tmp_path: Path, name: str, unit: str, wrong: bool) -> None:
    headers = {
        "a.nrrd": f"NRRD0005\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 2 2 2\n{unit}\n"
        "space directions: (2,0,0) (0,2,0) (0,0,3)\nendian: little\nencoding: raw\n\n",
        "a.mha": f"ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\n{unit}\nElementSpacing = 2 2 3\n"
        "ElementType = MET_SHORT\nElementDataFile = LOCAL\n",
    }
    if unit.startswith("units: "):  # the older way: spacings, and no space
        headers["a.nrrd"] = headers["a.nrrd"].replace("space: left-posterior-superior\n", "")
        headers["a.nrrd"] = headers["a.nrrd"].replace("space directions: (2,0,0) (0,2,0) (0,0,3)", "spacings: 2 2 3")
    (tmp_path / name).write_bytes(headers[name].encode() + bytes(16))
    if wrong:
        with pytest.raises(UserError, match=r"the header's unit is .*m, expected mm"):
            read_geometry(tmp_path / name)
    else:
        assert read_geometry(tmp_path / name).spacing_mm == pytest.approx((2, 2, 3))


@pytest.mark.parametrize("edge_mm", [0.0005, 3000])
def test_voxels_that_no_ct_has_are_refused(tmp_path: Path, edge_mm: float) -> None:
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.diag([1, 1, edge_mm, 1])), tmp_path / "a.nii")
    with pytest.raises(UserError, match=rf"voxels of \(1, 1, {edge_mm:g}\) mm, expected 0.01 to 50 mm an edge"):
        read_geometry(tmp_path / "a.nii")


def test_two_sizes_of_a_voxel_are_refused(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.zeros((2, 2, 2), np.int16), None)
    image.set_sform(np.diag([2.4, 2.4, 3.6, 1]), code=1)
    image.set_qform(np.diag([2.0, 2.0, 3.0, 1]), code=1)
    nib.save(image, tmp_path / "a.nii")
    sizes = r"\(2.4, 2.4, 3.6\) mm by the sform and \(2, 2, 3\) mm by the qform"
    with pytest.raises(UserError, match=f"a voxel has {sizes}"):
        read_geometry(tmp_path / "a.nii")


def test_images_without_voxels_are_refused(tmp_path: Path) -> None:
    header = nib.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4)).header.copy()
    header["magic"], header["vox_offset"] = b"n+1", 352
    for n in (0, -2):
        header["dim"][3] = n
        (tmp_path / "a.nii").write_bytes(header.binaryblock + bytes(4))
        with pytest.raises(UserError, match=rf"a\.nii: shape \(2, 2, {n}\) holds no voxel"):
            read_volume(tmp_path / "a.nii")
    (tmp_path / "a.mha").write_text(
        "ObjectType = Image\nNDims = 3\nDimSize = 2 2 0\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    )
    with pytest.raises(UserError, match=r"a\.mha: shape \(2, 2, 0\) holds no voxel"):
        read_volume(tmp_path / "a.mha")


def test_a_nifti_file_that_is_no_volume_is_refused(tmp_path: Path) -> None:
    brain = nib.cifti2.BrainModelAxis.from_mask(np.ones((2, 2, 2)), affine=np.eye(4))
    nib.save(nib.Cifti2Image(np.zeros((2, 8)), header=(nib.cifti2.SeriesAxis(0, 1, 2), brain)), tmp_path / "a.nii")
    with pytest.raises(UserError, match=r"a\.nii: Cifti2Image, expected a NIfTI volume"):
        read_volume(tmp_path / "a.nii")
