"""The two affines of a NIfTI header, sform and qform, and doubts about the position that they give an image.

mandseg uses the sform, as nibabel does. ITK and programs built on it, such as 3D Slicer, may use the qform.
"""

from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError

from mandseg.data.volume import SAME_SIZE, Affine, Geometry, is_nifti, read_geometry, show_mm
from mandseg.system.errors import UserError


def position_doubts(path: Path) -> list[str]:
    """Describe doubts about the position of an image, with both values; an empty list if there are none.

    It is doubtful if the header gives no position, or if sform and qform differ: other programs may then show the image
    and its predictions elsewhere. Unreadable files are errors and give no doubt.
    """
    try:
        if not is_nifti(path):
            return []
        used = read_geometry(path)
    except UserError:
        return []
    header = nib.load(path).header
    sform_code, qform_code = int(header["sform_code"]), int(header["qform_code"])
    if sform_code > 0 and qform_code > 0:
        return _doubts_about_forms(header, used)
    if sform_code > 0:
        return _doubts_about_size(header, used)
    if qform_code > 0:
        return []
    axes = ", ".join(nib.orientations.aff2axcodes(used.affine))
    return [
        "sform and qform both have code 0, so the header gives no position: "
        f"its axes are assumed to run to {axes}, other programs may exchange left and right"
    ]


def _doubts_about_forms(header: nib.Nifti1Header, used: Geometry) -> list[str]:
    forms = f"sform (code {int(header['sform_code'])}) and qform (code {int(header['qform_code'])}) disagree"
    try:
        qform = np.asarray(header.get_qform(), dtype=np.float64)
    except (ValueError, HeaderDataError):
        return [f"{forms}: the quaternion of the qform is no rotation; the sform is used"]
    difference = used.disagreement(Geometry(used.shape, qform))
    if difference is None:
        return []
    if np.linalg.det(used.affine[:3, :3]) * np.linalg.det(qform[:3, :3]) < 0:
        difference += ", one is the mirror image of the other"
    apart = f"up to {_farthest_apart_mm(used, qform):.3g} mm apart"
    return [f"{forms}, {apart}: {difference}; the sform is used, other programs may use the qform"]


def _doubts_about_size(header: nib.Nifti1Header, used: Geometry) -> list[str]:
    """Compare the voxel size of an sform without a qform with pixdim, which other programs use."""
    pixdim = np.abs(np.asarray(header["pixdim"][1:4], dtype=np.float64))
    if np.allclose(pixdim, used.spacing_mm, rtol=SAME_SIZE, atol=0):
        return []
    return [
        f"sform gives voxels of {show_mm(used.spacing_mm)} and pixdim {show_mm(pixdim)}; "
        "the sform is used, other programs may use pixdim"
    ]


def _farthest_apart_mm(used: Geometry, qform: Affine) -> float:
    """Give the largest distance between the two positions of a corner of the grid."""
    corners = np.array([[*corner, 1] for corner in product(*((0, n - 1) for n in used.shape))], dtype=np.float64)
    return float(np.linalg.norm((corners @ (used.affine - qform).T)[:, :3], axis=1).max())
