"""Deflated DICOM files are read; one that unpacks to a size without measure is refused before it is unpacked."""

import numpy as np
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from dicom_files import ct_slices, read_planes, save
from mandseg.data.dicom import dataset
from mandseg.data.dicom.pixels import read_ct
from mandseg.data.dicom.series import CT_CLASSES, arrange
from mandseg.system.errors import UserError


@pytest.fixture
def deflated(tmp_path):
    """A series of three deflated slices, with its HU."""
    hu = np.arange(40 * 50 * 3).reshape(40, 50, 3).astype(np.int16)
    slices = ct_slices(hu)
    for one in slices:
        one.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return save(slices, tmp_path), hu


def test_deflated_slices_are_read(deflated):
    paths, hu = deflated
    planes = [plane for path in paths for plane in read_planes(path)]
    np.testing.assert_array_equal(read_ct(arrange(planes, "1.2", "1.3", "1.4", CT_CLASSES[0])).array, hu)


def test_one_that_unpacks_to_more_than_the_limit_is_refused_and_not_unpacked(deflated, monkeypatch):
    paths, _ = deflated
    monkeypatch.setattr(dataset, "LARGEST_UNPACKED", 40 * 50)  # a slice has twice as many bytes
    monkeypatch.setattr(dataset.pydicom, "dcmread", lambda *_, **__: pytest.fail("unpacked"))
    with pytest.raises(UserError, match=r"^unpacks to more than"):
        read_planes(paths[0])
