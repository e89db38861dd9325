"""Headers of image files that lie, leave their folder or are damaged are refused; others are read as ITK reads them."""

import gzip
import itertools
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mandseg.data.image_files import files_of
from mandseg.data.volume import read_geometry, read_volume
from mandseg.system.errors import UserError

VOXELS = np.random.default_rng(0).integers(-1000, 2000, (5, 4, 3)).astype(np.int16)
TURN = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]) @ np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]])
META = "ObjectType = Image\nNDims = 3\nDimSize = 5 4 3\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
NRRD = "NRRD0004\ntype: short\ndimension: 3\nsizes: 5 4 3\nspacings: 1 1 1\nendian: little\nencoding: raw\n\n"


def itk_image(voxels: np.ndarray = VOXELS) -> sitk.Image:
    image = sitk.GetImageFromArray(voxels.T)
    image.SetSpacing((0.9, 1.1, 2.5))
    image.SetOrigin((-250.4, 155.6, -1178.0))
    image.SetDirection(TURN.ravel().tolist())
    return image


def as_itk_reads(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Voxels (X, Y, Z), and the affine to RAS+ mm."""
    image = sitk.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image).T, np.diag([-1, -1, 1, 1]) @ affine


def refusal(read: Callable[[Path], object], path: Path) -> str:
    """The message with which a file is refused; empty if it is read."""
    try:
        read(path)
    except UserError as error:
        return str(error)
    return ""


def assert_as_itk_reads(path: Path) -> None:
    volume, (voxels, affine) = read_volume(path), as_itk_reads(path)
    assert volume.array.dtype == voxels.dtype
    np.testing.assert_array_equal(volume.array, voxels)
    np.testing.assert_allclose(volume.affine, affine, atol=1e-9)


TYPES = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr", ".mha", ".mhd"])
def test_every_type_of_voxel_is_read_as_itk_reads_it(tmp_path: Path, suffix: str, packed: bool) -> None:
    for name in TYPES:
        path = tmp_path / f"{name}{suffix}"
        sitk.WriteImage(itk_image(VOXELS.astype(name)), str(path), packed)
        assert_as_itk_reads(path)


@pytest.mark.parametrize("space", ["left-posterior-superior", "RAS", "LAS", "right-anterior-superior", "scanner-xyz"])
def test_the_spaces_of_nrrd_are_read_as_itk_reads_them(tmp_path: Path, space: str) -> None:
    header = NRRD.replace("spacings: 1 1 1\n", f"space: {space}\nspace directions: (0,2,0) (-1.5,0,0) (0,0,3)\n")
    (tmp_path / "a.nrrd").write_bytes(
        header.replace("\n\n", "\nspace origin: (1,-2,3)\n\n").encode() + VOXELS.tobytes(order="F")
    )
    assert_as_itk_reads(tmp_path / "a.nrrd")


@pytest.mark.parametrize(
    ("name", "change", "data"),
    [
        ("a.nrrd", ("little", "big"), VOXELS.astype(">i2").tobytes(order="F")),
        ("a.nrrd", ("encoding: raw", "encoding: raw\nbyte skip: 3"), b"xyz" + VOXELS.tobytes(order="F")),
        ("a.nrrd", ("encoding: raw", "encoding: raw\nbyte skip: -1"), b"more" + VOXELS.tobytes(order="F")),
        ("a.nrrd", ("encoding: raw", "encoding: raw\nline skip: 1"), b"a line\n" + VOXELS.tobytes(order="F")),
        ("a.nrrd", ("encoding: raw", "encoding: ascii"), " ".join(map(str, VOXELS.ravel("F"))).encode()),
        ("a.nrrd", ("encoding: raw", "encoding: gzip"), gzip.compress(VOXELS.tobytes(order="F"))),
        ("a.nrrd", ("spacings: 1 1 1", "spacings: 1 2 3\nkey:=data file: x"), VOXELS.tobytes(order="F")),
        ("a.mha", ("NDims = 3", "NDims = 3\nBinaryDataByteOrderMSB = True"), VOXELS.astype(">i2").tobytes(order="F")),
        ("a.mha", ("NDims = 3", "NDims = 3\nRotation = 0 1 0 -1 0 0 0 0 1"), VOXELS.tobytes(order="F")),
        ("a.mha", ("NDims = 3", "NDims = 3\nPosition = 1 2 3\nElementSpacing = 2 3 4"), VOXELS.tobytes(order="F")),
        ("a.mha", (" = ", ": "), VOXELS.tobytes(order="F")),
    ],
)
def test_the_fields_of_a_header_are_read_as_itk_reads_them(
    tmp_path: Path, name: str, change: tuple[str, str], data: bytes
) -> None:
    header = (NRRD if name == "a.nrrd" else META).replace(*change)
    (tmp_path / name).write_bytes(header.encode() + data)
    assert_as_itk_reads(tmp_path / name)


def test_scaled_nifti_is_read_as_nibabel_reads_it(tmp_path: Path) -> None:
    for name, slope, inter in itertools.product(["a.nii", "a.nii.gz"], [1, 0.5], [0, -1024]):
        image = nib.Nifti1Image(VOXELS, np.eye(4))
        image.header.set_slope_inter(slope, inter)
        nib.save(image, tmp_path / name)
        expected, found = np.asarray(nib.load(tmp_path / name).dataobj), read_volume(tmp_path / name).array
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


NRRD_FIELDS = ["type", "dimension", "space", "sizes", "space directions", "kinds", "endian", "encoding", "data file"]
NRRD_FIELDS += ["space origin", "centerings", "spacings", "units", "measurement frame", "byte skip", "unheard of"]


@pytest.mark.parametrize("field", NRRD_FIELDS)
def test_a_field_of_any_length_is_refused_or_read(tmp_path: Path, field: str) -> None:
    lines = [line for line in NRRD.rstrip("\n").split("\n") if not line.startswith(f"{field}:")]
    for value in ("a" * 1200, "9" * 1200, "(" * 5000, "(1,0,0)" * 900, "a" * (2 << 20)):
        (tmp_path / "a.nrrd").write_bytes("\n".join([*lines, f"{field}: {value}\n\n"]).encode() + VOXELS.tobytes("F"))
        line = refusal(read_volume, tmp_path / "a.nrrd")
        assert len(line) < 400
        assert "\n" not in line
        if not line and field != "data file":  # that one's voxels lie elsewhere
            np.testing.assert_array_equal(read_volume(tmp_path / "a.nrrd").array, VOXELS)


@pytest.mark.parametrize("n", ["-1", "0", "100", "2147483647", "nan", "3.5", "inf", "three", "3 3"])
@pytest.mark.parametrize(("name", "field"), [("a.mha", "NDims = "), ("a.nrrd", "dimension: ")])
def test_a_number_of_axes_that_is_not_three_is_refused(tmp_path: Path, name: str, field: str, n: str) -> None:
    header = (META if name == "a.mha" else NRRD).replace(f"{field}3", f"{field}{n}")
    (tmp_path / name).write_bytes(header.encode() + VOXELS.tobytes(order="F"))
    with pytest.raises(UserError, match=rf"{name}: not a readable image \("):
        read_volume(tmp_path / name)


OUTSIDE = ["/etc/hostname", "../secret.raw", "sub/secret.raw", "..", "./../secret.raw", "..\\secret.raw", "C:\\s.raw"]
OUTSIDE += ["%s%s%s%n 1 4 1", "leak_%p_%p 1 4 1", "/dev/zero", "LIST\n../secret.raw", "../s%03d.raw 1 3 1"]
OUTSIDE += ["s%d.raw 1 999999999 1"]


@pytest.mark.parametrize("data", OUTSIDE)
@pytest.mark.parametrize("name", ["a.mhd", "a.mha", "a.nhdr", "a.nrrd"])
def test_a_header_reads_no_file_outside_its_folder(tmp_path: Path, name: str, data: str) -> None:
    (tmp_path / "secret.raw").write_bytes(VOXELS.tobytes(order="F"))
    (tmp_path / "cohort" / "sub").mkdir(parents=True)
    (tmp_path / "cohort" / "sub" / "secret.raw").write_bytes(VOXELS.tobytes(order="F"))
    header = META.replace("LOCAL", data) if name.startswith("a.m") else NRRD.rstrip("\n") + f"\ndata file: {data}\n"
    path = tmp_path / "cohort" / name
    path.write_text(header)
    assert refusal(read_volume, path).startswith(f"{path}: not a readable image (its data file")
    assert refusal(files_of, path).startswith(f"{path}: not a readable image (its data file")


@pytest.mark.parametrize("name", ["a.mha", "a.nrrd"])
def test_an_empty_list_of_data_files_is_refused(tmp_path: Path, name: str) -> None:
    header = META.replace("LOCAL", "LIST") if name == "a.mha" else NRRD.rstrip("\n") + "\ndata file: LIST\n"
    (tmp_path / name).write_text(header)
    assert "damaged" in refusal(read_volume, tmp_path / name)


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".mhd", ".nrrd", ".nhdr"])
def test_one_flipped_bit_in_packed_voxels_is_refused(tmp_path: Path, suffix: str) -> None:
    voxels = np.random.default_rng(1).integers(-1000, 1000, (16, 16, 16), dtype=np.int16)
    sitk.WriteImage(sitk.GetImageFromArray(voxels.T), str(tmp_path / f"a{suffix}"), useCompression=True)
    data = files_of(tmp_path / f"a{suffix}")[-1]
    whole = data.read_bytes()
    for at in np.linspace(len(whole) // 4, len(whole) - 1, 20).astype(int):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << (at % 8)
        data.write_bytes(flipped)
        if line := refusal(read_volume, tmp_path / f"a{suffix}"):
            assert "damaged" in line
        else:  # a bit that carries nothing
            np.testing.assert_array_equal(read_volume(tmp_path / f"a{suffix}").array, voxels)
    data.write_bytes(whole + b"appended")
    np.testing.assert_array_equal(read_volume(tmp_path / f"a{suffix}").array, voxels)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.mha", "packed.mha", "a.nrrd", "packed.nrrd"])
def test_a_header_that_states_gigabytes_takes_no_memory(tmp_path: Path, name: str) -> None:
    path, size, kind = tmp_path / name, (1500, 1000, 1000), "gzip" if "packed" in name else "raw"
    if ".nii" in name:
        header = nib.Nifti1Image(VOXELS, np.eye(4)).header
        header.set_data_shape(size)
        header["magic"], header["vox_offset"] = b"n+1", 352
        claim = header.binaryblock + bytes(104)
        path.write_bytes(gzip.compress(claim) if name.endswith("gz") else claim)
    elif name.endswith("mha"):
        header = META.replace("5 4 3", "1500 1000 1000").replace("NDims", f"CompressedData = {kind == 'gzip'}\nNDims")
        path.write_bytes(header.encode() + (gzip.compress(bytes(100)) if kind == "gzip" else bytes(100)))
    else:
        header = NRRD.replace("5 4 3", "1500 1000 1000").replace("encoding: raw", f"encoding: {kind}")
        path.write_bytes(header.encode() + (gzip.compress(bytes(100)) if kind == "gzip" else bytes(100)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=r"the file is damaged \("):
        read_volume(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024  # KiB


def test_a_packed_file_may_not_claim_more_than_four_gigabytes(tmp_path: Path) -> None:
    header = NRRD.replace("5 4 3", "3000 2000 1000").replace("encoding: raw", "encoding: gzip")
    (tmp_path / "a.nrrd").write_bytes(header.encode() + gzip.compress(bytes(100)))
    with pytest.raises(UserError, match=r"claims 11\.2 GiB, a packed file may hold 4 GiB"):
        read_volume(tmp_path / "a.nrrd")


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, bytes]]:
    folder = tmp_path_factory.mktemp("whole")
    for name, packed in itertools.product(["a.nii", "a.nii.gz", "a.nrrd", "a.mha"], [False, True]):
        sitk.WriteImage(itk_image(), str(folder / f"{packed}-{name}"), packed)
    return [(path.name, path.read_bytes()) for path in sorted(folder.iterdir())]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_mutated_file_is_read_or_refused_in_one_line(
    tmp_path: Path, whole_files: list[tuple[str, bytes]], data: st.DataObject
) -> None:
    name, whole = data.draw(st.sampled_from(whole_files))
    at = data.draw(st.integers(0, min(len(whole), 700) - 1))
    piece, cut = data.draw(st.binary(max_size=6)), data.draw(st.integers(0, 6))
    (tmp_path / name).write_bytes(whole[:at] + piece + whole[at + cut :])
    line = refusal(read_volume, tmp_path / name)
    assert "\n" not in line
    if not line:
        assert read_volume(tmp_path / name).array.shape == read_geometry(tmp_path / name).shape


@pytest.mark.parametrize("line", [" " * 200_000, "a" * 200_000, "a" + " " * 200_000, ": " * 100_000, "=" * 200_000])
@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
def test_a_long_line_of_a_header_is_read_once(tmp_path: Path, name: str, line: str) -> None:
    """200,000 letters: a pattern that tries each place for each place would take minutes."""
    header = f"NRRD0004\n{line}\n\n" if name == "a.nrrd" else f"ObjectType = Image\n{line}\n"
    (tmp_path / name).write_text(header)
    former = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(60)
    try:
        assert refusal(read_volume, tmp_path / name)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)
