import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from mandseg.data import content
from mandseg.data.case import Case
from mandseg.data.content import cohort_digests, content_digest
from mandseg.data.image_files import files_of
from mandseg.data.volume import read_volume
from mandseg.system.errors import UserError

VOXELS = np.arange(4 * 5 * 3, dtype=np.int16).reshape(4, 5, 3)
META = "ObjectType = Image\nNDims = 3\nDimSize = 4 5 3\nElementType = MET_SHORT\nElementDataFile = "
NRRD = "NRRD0004\ntype: short\ndimension: 3\nsizes: 4 5 3\nspacings: 1 1 1\nendian: little\nencoding: raw\n"


def itk(path: Path, voxels=VOXELS, compress=False) -> Path:
    sitk.WriteImage(sitk.GetImageFromArray(voxels.T), str(path), compress)
    return path


def slices(folder: Path) -> list[Path]:
    paths = [folder / f"s{k:03d}.raw" for k in (1, 2, 3)]
    for k, path in enumerate(paths):
        path.write_bytes(VOXELS[:, :, k].tobytes(order="F"))
    return paths


@pytest.mark.parametrize("name", ["a.mha", "a.nrrd", "a.nii", "a.nii.gz"])
def test_an_image_in_one_file_is_that_file(tmp_path, name):
    assert files_of(itk(tmp_path / name)) == (tmp_path / name,)


@pytest.mark.parametrize(
    ("name", "compress", "data"),
    [("a.mhd", False, "a.raw"), ("a.mhd", True, "a.zraw"), ("a.nhdr", False, "a.raw"), ("a.nhdr", True, "a.raw.gz")],
)
def test_a_detached_header_brings_its_data(tmp_path, name, compress, data):
    assert files_of(itk(tmp_path / name, compress=compress)) == (tmp_path / name, tmp_path / data)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.mhd", META + "LIST\ns001.raw\ns002.raw\ns003.raw\n"),
        ("a.mhd", META + "s%03d.raw 1 3 1\n"),
        ("a.mhd", META + "s%03d.raw\n"),
        ("a.nhdr", NRRD + "data file: LIST\ns001.raw\ns002.raw\ns003.raw\n"),
        ("a.nhdr", NRRD + "datafile: LIST 2\n./s001.raw\n./s002.raw\n./s003.raw\n"),
        ("a.nhdr", (NRRD + "Data File: s%03d.raw 1 3 1\n").replace("\n", "\r\n")),
    ],
)
def test_a_header_brings_every_slice_that_the_reader_reads(tmp_path, name, text):
    paths = slices(tmp_path)
    header = tmp_path / name
    header.write_bytes(text.encode())
    assert files_of(header) == (header, *paths)
    np.testing.assert_array_equal(read_volume(header).array, VOXELS)


def test_a_single_file_header_may_name_its_data_too(tmp_path):
    slices(tmp_path)
    (tmp_path / "all.raw").write_bytes(VOXELS.tobytes(order="F"))
    (tmp_path / "a.mha").write_text(META + "all.raw\n")
    (tmp_path / "a.nrrd").write_text(NRRD + "data file: all.raw\n")
    for name in ("a.mha", "a.nrrd"):
        assert files_of(tmp_path / name) == (tmp_path / name, tmp_path / "all.raw")


@pytest.mark.parametrize("name", ["a.img", "a.hdr"])
def test_a_pair_belongs_together_whichever_file_is_named(tmp_path, name):
    nib.save(nib.Nifti1Pair(VOXELS, np.eye(4)), tmp_path / "a.img")
    assert set(files_of(tmp_path / name)) == {tmp_path / "a.hdr", tmp_path / "a.img"}


def test_data_is_read_beside_the_link_not_beside_its_target(tmp_path):
    store, cohort = tmp_path / "store", tmp_path / "cohort"
    store.mkdir()
    cohort.mkdir()
    itk(store / "a.mhd")
    (store / "a.raw").rename(store / "object-1")
    (cohort / "a.mhd").symlink_to(store / "a.mhd")
    (cohort / "a.raw").symlink_to(store / "object-1")
    assert files_of(cohort / "a.mhd") == (cohort / "a.mhd", cohort / "a.raw")


def test_missing_data_is_named(tmp_path):
    itk(tmp_path / "a.mhd")
    (tmp_path / "a.raw").unlink()
    with pytest.raises(UserError, match=r"a\.mhd: its data file a\.raw is missing"):
        content_digest(tmp_path / "a.mhd", tmp_path / "cache")


@pytest.mark.parametrize(("name", "data"), [("a.mhd", "a.raw"), ("a.nhdr", "a.raw"), ("a.img", "a.img")])
def test_equal_headers_with_other_voxels_have_other_digests(tmp_path, name, data):
    for folder, voxels in (("p1", VOXELS), ("p2", VOXELS[::-1])):
        (tmp_path / folder).mkdir()
        if name == "a.img":
            nib.save(nib.Nifti1Pair(voxels, np.eye(4)), tmp_path / folder / name)
        else:
            itk(tmp_path / folder / name, voxels)
    header = name.replace(".img", ".hdr")
    one, other = tmp_path / "p1" / header, tmp_path / "p2" / header
    assert one.read_bytes() == other.read_bytes()
    assert content_digest(one, tmp_path / "cache") != content_digest(other, tmp_path / "cache")
    (tmp_path / "p2" / data).write_bytes((tmp_path / "p1" / data).read_bytes())
    assert content_digest(one, tmp_path / "cache") == content_digest(other, tmp_path / "cache")


def test_a_slice_changed_at_once_and_of_equal_length_is_noticed(tmp_path):
    paths = slices(tmp_path)
    (tmp_path / "a.mhd").write_text(META + "s%03d.raw 1 3 1\n")
    digests = [content_digest(tmp_path / "a.mhd", tmp_path / "cache")]
    for path in paths:
        path.write_bytes(path.read_bytes()[::-1])
        digests.append(content_digest(tmp_path / "a.mhd", tmp_path / "cache"))
    assert len(set(digests)) == 4


def test_a_link_that_moves_to_another_file_is_another_content(tmp_path):
    for name in ("old", "new"):
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, (1, 1))
    link = tmp_path / "a.nii.gz"
    digests = []
    for name in ("old", "new"):
        link.unlink(missing_ok=True)
        link.symlink_to(tmp_path / name)
        digests.append(content_digest(link, tmp_path / "cache"))
    assert digests[0] != digests[1]


def test_a_digest_is_remembered_once_the_file_has_settled(tmp_path, monkeypatch):
    path = itk(tmp_path / "a.nii")
    digest = content_digest(path, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
    monkeypatch.setattr(content, "SETTLED_S", 0.0)
    assert content_digest(path, tmp_path / "cache") == digest
    monkeypatch.setattr(content.hashlib, "file_digest", lambda *_: pytest.fail("the file was read again"))
    assert content_digest(path, tmp_path / "cache") == digest


@pytest.mark.parametrize("damage", [b"", b"\n", b"0" * 63, b"0" * 64 + b"\n", b"\xff" * 64, b"G" * 64])
def test_a_damaged_note_is_not_used(tmp_path, monkeypatch, damage):
    monkeypatch.setattr(content, "SETTLED_S", 0.0)
    path = itk(tmp_path / "a.nii")
    digest = content_digest(path, tmp_path / "cache")
    (note,) = (tmp_path / "cache" / "digests").iterdir()
    note.write_bytes(damage)
    assert content_digest(path, tmp_path / "cache") == digest
    assert note.read_text() == digest


def test_digests_do_not_need_a_cache_that_can_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(content, "SETTLED_S", 0.0)
    (tmp_path / "cache").write_text("a file where the folder should be")
    path = itk(tmp_path / "a.nii")
    assert content_digest(path, tmp_path / "cache") == content_digest(path, tmp_path / "other")


def test_a_cohort_s_digests_depend_on_content_alone(tmp_path):
    ct, label = itk(tmp_path / "ct.nii"), itk(tmp_path / "label.mhd", (VOXELS > 9).astype(np.uint8))
    cases = [Case(name, name, "train", ct, label) for name in ("a", "b")]
    before = cohort_digests(cases, tmp_path / "cache")
    assert (set(before), before["noisy"]) == ({"images", "references", "noisy"}, "")
    assert len(before["images"]) == 12
    assert cohort_digests(cases[::-1], tmp_path / "elsewhere") == before
    assert cohort_digests(cases[:1], tmp_path / "cache")["images"] != before["images"]
    itk(label, (VOXELS > 10).astype(np.uint8))
    after = cohort_digests(cases, tmp_path / "cache")
    assert after["images"] == before["images"]
    assert after["references"] != before["references"]


def test_a_cohort_names_each_missing_file(tmp_path):
    cases = [Case(name, name, "train", tmp_path / f"{name}.nii", None) for name in ("a", "b")]
    with pytest.raises(UserError) as caught:
        cohort_digests(cases, tmp_path / "cache")
    assert [line.split(": ")[0] for line in caught.value.problems] == ["case a", "case b"]


def test_digests_are_torch_free(tmp_path):
    code = "import sys, mandseg.data.content; sys.exit(bool({'torch', 'numpy', 'nibabel'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
