"""The check of NIfTI headers that place an image in two ways, or in none."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from mandseg.data.nifti_forms import position_doubts
from mandseg.data.volume import Volume, write_volume

AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])
MIRRORED = np.diag([-2.0, 2.0, 3.0, 1.0])
TURNED = np.array([[2.0, 0, 0, 0], [0, 1.6, -1.8, 0], [0, 1.2, 2.4, 0], [0, 0, 0, 1]])  # by 36.87 degrees about x
MOVED = AFFINE.copy()
MOVED[2, 3] = 5.0

Form = tuple[np.ndarray | None, int]


def written(path: Path, sform: Form, qform: Form, kind: type = nib.Nifti1Image, pixdim: float | None = None) -> Path:
    """A file of (3, 3, 3) voxels with exactly these forms and codes."""
    image = kind(np.zeros((3, 3, 3), np.int16), None)
    header = image.header
    header.set_zooms((2.0, 2.0, 3.0))
    header.set_qform(*qform)
    header.set_sform(*sform)
    if pixdim is not None:
        header["pixdim"][3] = pixdim
    whole = header.copy()
    whole["magic"], whole["vox_offset"] = (b"n+1", 352) if kind is nib.Nifti1Image else (b"n+2\0\r\n\x1a\n", 544)
    path.write_bytes(whole.binaryblock + bytes(4) + bytes(54))
    return path


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize(
    ("sform", "qform", "apart_mm", "message"),
    [
        ((TURNED, 2), (AFFINE, 1), 4.56, "direction"),  # the corner at y 4, z 6 mm moves by 2 * sin(18.4) * 7.2 mm
        ((MIRRORED, 1), (AFFINE, 1), 8.0, "one is the mirror image of the other"),  # x 4 mm comes to lie at -4 mm
        ((MOVED, 1), (AFFINE, 1), 5.0, "origin (0, 0, 5) mm differs from (0, 0, 0) mm"),
    ],
)
def test_two_forms_that_disagree_are_named(tmp_path: Path, kind, sform, qform, apart_mm, message) -> None:
    (doubt,) = position_doubts(written(tmp_path / "a.nii", sform, qform, kind))
    assert f"sform (code {sform[1]}) and qform (code {qform[1]}) disagree, up to {apart_mm:.3g} mm apart: " in doubt
    assert message in doubt


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_a_header_that_places_nothing_is_named(tmp_path: Path, kind: type) -> None:
    (doubt,) = position_doubts(written(tmp_path / "a.nii", (AFFINE, 0), (AFFINE, 0), kind))
    assert "sform and qform both have code 0" in doubt
    assert "run to L, A, S" in doubt


@pytest.mark.parametrize(
    ("sform", "qform"), [((AFFINE, 1), (AFFINE, 1)), ((TURNED, 2), (None, 0)), ((None, 0), (TURNED, 1))]
)
def test_one_place_is_no_doubt(tmp_path: Path, sform: Form, qform: Form) -> None:
    assert position_doubts(written(tmp_path / "a.nii", sform, qform)) == []


def test_a_lone_sform_of_another_size_than_pixdim_is_named(tmp_path: Path) -> None:
    (doubt,) = position_doubts(written(tmp_path / "a.nii", (AFFINE, 1), (None, 0), pixdim=4.0))
    assert "sform gives voxels of (2, 2, 3) mm and pixdim (2, 2, 4) mm" in doubt


def test_files_of_this_project_and_of_itk_are_clear(tmp_path: Path) -> None:
    write_volume(tmp_path / "own.nii.gz", Volume(np.zeros((3, 4, 5), np.int16), TURNED))
    image = sitk.GetImageFromArray(np.zeros((5, 4, 3), np.int16))
    image.SetSpacing((0.977, 0.977, 2.5))
    image.SetOrigin((-250.39, 155.61, -1178.0))
    for name in ("itk.nii.gz", "itk.nrrd", "itk.mha"):
        sitk.WriteImage(image, str(tmp_path / name))
    for file in tmp_path.iterdir():
        assert position_doubts(file) == [], file


def test_unreadable_files_have_no_doubts_but_errors(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_text("no image")
    assert position_doubts(tmp_path / "a.nii") == []
    assert position_doubts(tmp_path / "missing.nii") == []
