"""Preprocessing and its inverse on the image's grid; cache entries are complete and follow the files."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from mandseg.data import preprocessing
from mandseg.data.cache import prepare_case, prepare_cases
from mandseg.data.case import Case
from mandseg.data.loaded_case import load_case
from mandseg.data.preprocessing import Preprocessing, body_window
from mandseg.data.resampling import continued, resample, resample_onto
from mandseg.data.volume import Geometry, Volume, to_canonical
from mandseg.noise import Recorded, load_preset
from mandseg.system.errors import RunFailedError, UserError
from soft_values import back_to_original

FINE = Preprocessing((2.0, 2.0, 2.0), margin_mm=4.0)


def test_the_body_is_cropped_with_its_margin_and_keeps_its_place(make_case):
    image = FINE.image(load_case(make_case()).image)
    assert image.geometry.spacing_mm == pytest.approx((2, 2, 2))
    low_mm, high_mm = image.affine[:3, 3], (image.affine @ [*image.array.shape, 1])[:3]
    assert (low_mm < -48 + 4 * 4).all()  # the body starts at voxel 4 of 4 mm
    assert (high_mm > -48 + 20 * 4).all()
    bone = np.argwhere(image.array > 800)
    centre_mm = (image.affine @ [*bone.mean(axis=0), 1])[:3]
    np.testing.assert_allclose(centre_mm, -48 + 4 * 12, atol=0.5)  # voxels 8 to 16: centre at 12


@pytest.mark.parametrize("axes", ["RAS", "LPS", "SAR", "mirrored", "oblique", "oblique and mirrored"])
def test_a_label_comes_back_on_the_images_own_grid_for_any_axes(make_case, bone, ct, affine, axes):
    oblique = np.eye(4)
    oblique[:3, :3] = Rotation.from_euler("xz", [20, 30], degrees=True).as_matrix()
    turn = {
        "RAS": np.eye(4),
        "LPS": np.diag([-1.0, -1, 1, 1]),
        "SAR": np.eye(4)[[2, 1, 0, 3]],
        "mirrored": np.diag([1.0, -1, 1, 1]),
        "oblique": oblique,
        "oblique and mirrored": oblique @ np.eye(4)[[2, 1, 0, 3]],
    }[axes]
    case = make_case(image=Volume(ct, turn @ affine), reference=Volume(bone, turn @ affine))
    scan = load_case(case)
    image = FINE.image(scan.image)
    label = FINE.label(to_canonical(scan.reference), image.geometry)
    soft = Volume(label.astype(np.float32), image.affine)
    assert (back_to_original(soft, scan.image.geometry) >= 0.5).sum() == pytest.approx(bone.sum(), rel=0.02)
    assert ((back_to_original(soft, scan.image.geometry) >= 0.5) & bone).sum() >= 0.98 * bone.sum()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda hu: hu + 1000, "image values from 0 to 2000, none below -200: not HU?"),
        (lambda hu: np.where(hu < 0, hu, hu + 1000), "the median around the label is 1040, soft tissue has about"),
        (lambda hu: np.full_like(hu, -1000), "image values from -1000 to -1000, none above -300: no body in it?"),
    ],
)
def test_an_image_that_is_not_in_hu_is_refused_before_a_training(make_case, ct, tmp_path, change, line):
    case = make_case(image=change(ct).astype(np.int16))
    with pytest.raises(UserError, match=re.escape(f"case {case.case_id}: {line}")):
        prepare_case(case, FINE, tmp_path / "cache", None)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and not path.name.endswith(".lease")]


def test_resampling_onto_another_grid_is_linear():
    ramp = np.broadcast_to(np.arange(5.0, dtype=np.float32)[:, None, None], (5, 3, 3))
    grid = Geometry((4, 3, 3), np.array([[1.0, 0, 0, 0.5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))
    assert resample_onto(Volume(ramp, np.eye(4)), grid)[:, 1, 1].tolist() == [0.5, 1.5, 2.5, 3.5]


def test_a_volume_of_air_is_kept_whole():
    assert body_window(np.full((8, 9, 10), -1000, np.int16), (1, 1, 1), 5.0) == (slice(0, 8), slice(0, 9), slice(0, 10))


def test_the_cache_is_made_once_and_again_when_a_file_changes(make_case, tmp_path):
    first = prepare_case(make_case(), FINE, tmp_path / "cache", None)
    made = (first.folder / "image.npy").stat().st_mtime_ns
    again = prepare_case(first.case, FINE, tmp_path / "cache", None)
    assert again.folder == first.folder
    assert (again.folder / "image.npy").stat().st_mtime_ns == made
    changed = make_case()  # one voxel of the image differs
    assert prepare_case(changed, FINE, tmp_path / "cache", None).folder != first.folder
    assert prepare_case(changed, replace(FINE, margin_mm=8.0), tmp_path / "cache", None).folder != first.folder


def test_jobs_that_start_at_once_share_one_entry(make_case, tmp_path):
    case, panel = make_case(), load_preset("planning")
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(prepare_case, case, FINE, tmp_path / "cache", panel) for _ in range(4)]
    assert len({job.result().folder for job in jobs}) == 1
    folders = [p for p in (tmp_path / "cache").iterdir() if p.is_dir() and p.name != "digests"]
    assert [p.name for p in folders] == [jobs[0].result().folder.name]


def test_noisy_labels_do_not_depend_on_order_or_workers(make_case, tmp_path):
    cases, panel = [make_case(name) for name in "ab"], load_preset("planning")
    first = prepare_cases(cases, FINE, tmp_path / "one", panel, workers=1)
    second = prepare_cases(cases[::-1], FINE, tmp_path / "two", panel, workers=2)[::-1]
    alone = prepare_case(cases[0], FINE, tmp_path / "three", panel)
    for one, other in [*zip(first, second, strict=True), (first[0], alone)]:
        assert one.noisy_file.relative_to(tmp_path / "one").parts == other.noisy_file.parts[-2:]
        assert one.noisy_file.read_bytes() == other.noisy_file.read_bytes()


def test_recorded_and_simulated_noise_lie_side_by_side(make_case, tmp_path, bone):
    noisy = bone.copy()
    noisy[8] = False
    case = make_case(noisy=noisy)
    recorded, planned, other = (
        prepare_case(case, FINE, tmp_path / "cache", source)
        for source in (Recorded(), load_preset("planning"), load_preset("planning", seed=1))
    )
    assert recorded.folder == planned.folder
    assert recorded.noisy.sum() == pytest.approx(recorded.reference.sum() * 8 / 9, rel=0.1)
    assert (planned.noisy != other.noisy).any()
    assert planned.annotator.startswith("dosimetrist_")


def flip_a_bit(file):
    content = bytearray(file.read_bytes())
    content[len(content) * 3 // 4] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("name", ["image.npy", "reference.npy", "grid.json", "noisy-*.npy"])
@pytest.mark.parametrize("damage", [flip_a_bit, lambda file: file.write_bytes(file.read_bytes()[:90]), Path.unlink])
def test_a_damaged_entry_is_noticed_and_made_again(make_case, tmp_path, bone, caplog, name, damage):
    case = make_case("a", noisy=bone)
    first = prepare_case(case, FINE, tmp_path / "cache", Recorded())
    arrays = [np.array(array) for array in (first.image, first.reference, first.noisy)]
    (file,) = first.folder.glob(name)
    damage(file)
    is_only_a_missing_label = file.name.startswith("noisy") and not file.exists()
    again = prepare_case(case, FINE, tmp_path / "cache", Recorded())
    for array, expected in zip((again.image, again.reference, again.noisy), arrays, strict=True):
        np.testing.assert_array_equal(array, expected)
    assert ("case a: its entry in the cache is damaged" in caplog.text) is not is_only_a_missing_label
    caplog.clear()
    prepare_case(case, FINE, tmp_path / "cache", Recorded())
    assert not caplog.text


def test_a_job_that_waited_for_an_entry_removes_nothing_that_others_write_beside_it(make_case, tmp_path, bone):
    case = make_case("a", noisy=bone)
    entry = prepare_case(case, FINE, tmp_path / "cache", None).folder
    part = entry / ".noisy-0.applied.json.0123456789ab"
    part.write_text("{")  # of a job that measures another label
    prepare_case(case, FINE, tmp_path / "cache", Recorded())
    assert part.exists()


def test_exchanged_files_of_two_cases_are_noticed(make_case, tmp_path, bone, ct):
    cases = [make_case("a"), make_case("b", image=ct + 1)]
    one, other = (prepare_case(case, FINE, tmp_path / "cache", None) for case in cases)
    assert not np.array_equal(one.image, other.image)
    expected = np.array(one.image)
    for suffix in ("", ".crc32"):
        (other.folder / f"image.npy{suffix}").rename(one.folder / f"image.npy{suffix}")
    np.testing.assert_array_equal(prepare_case(cases[0], FINE, tmp_path / "cache", None).image, expected)


def test_every_unusable_case_is_named_at_once(make_case, tmp_path, bone):
    broken = [make_case(name, reference=bone * 2) for name in ("a", "b")]
    with pytest.raises(UserError) as caught:
        prepare_cases([*broken, make_case("c")], FINE, tmp_path / "cache")
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["case a", "case b"]


def test_nothing_half_written_is_left_by_a_failing_case(make_case, tmp_path, bone):
    with pytest.raises(UserError):
        prepare_case(make_case(reference=bone * 2), FINE, tmp_path / "cache", None)
    assert not list((tmp_path / "cache").glob("**/*.npy"))


def test_cases_are_read_and_their_cache_is_opened_without_torch():
    code = "import sys, mandseg.data.cache, mandseg.data.splits; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


@pytest.mark.parametrize("spacing_mm", [(2.0, 2.0, 2.5), (3.3, 2.7, 1.9)])
@pytest.mark.parametrize(
    "where", [np.s_[0:3, 5:9, 9:12], np.s_[4:7, 4:7, 4:7], np.s_[0:12, 0:12, 0:12], np.s_[0:0, 0:1, 0:1]]
)
def test_a_label_is_resampled_in_its_box_only_and_equals_the_whole_volume(where, spacing_mm):
    label = Volume(np.zeros((12, 12, 12), np.uint8), np.diag([1.7, 1.7, 2.1, 1.0]))
    label.array[where] = 1
    grid = resample(Volume(label.array, label.affine), spacing_mm).geometry
    whole = resample_onto(continued(Volume(label.array.astype(np.float32), label.affine)), grid) >= 0.5
    np.testing.assert_array_equal(Preprocessing(spacing_mm).label(label, grid), whole)


def test_patients_with_equal_detached_headers_are_not_exchanged(make_case, tmp_path, ct, bone):
    """MetaImage and NRRD headers of one geometry are equal, byte for byte; the voxels lie in a file beside them."""
    prepared = []
    for name in ("a", "b"):
        shifted = np.roll(ct, 2 if name == "b" else 0, axis=0), np.roll(bone, 2 if name == "b" else 0, axis=0)
        (tmp_path / name).mkdir()
        for kind, array in zip(("ct.mhd", "bone.nhdr"), shifted, strict=True):
            image = sitk.GetImageFromArray(array.astype(np.int16).T)
            image.SetSpacing((4.0, 4.0, 4.0))
            sitk.WriteImage(image, str(tmp_path / name / kind))
        case = Case(name, name, "train", tmp_path / name / "ct.mhd", tmp_path / name / "bone.nhdr")
        prepared.append(prepare_case(case, FINE, tmp_path / "cache", None))
    assert (tmp_path / "a" / "ct.mhd").read_bytes() == (tmp_path / "b" / "ct.mhd").read_bytes()
    assert prepared[0].folder != prepared[1].folder
    for name in ("ct.raw", "bone.raw"):
        (tmp_path / "a" / name).write_bytes((tmp_path / "b" / name).read_bytes())
    assert prepare_case(prepared[0].case, FINE, tmp_path / "cache", None).folder == prepared[1].folder


def test_every_missing_file_is_named_with_its_case(make_case, tmp_path):
    cases = [make_case(name) for name in ("a", "b", "c")]
    cases[0].image.unlink()
    cases[2].reference.unlink()
    with pytest.raises(UserError) as caught:
        prepare_cases(cases, FINE, tmp_path / "cache")
    assert [line.split(" /")[0] for line in caught.value.problems] == ["case a: image", "case c: reference"]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_image_too_thin_to_be_resampled_is_named(make_case, tmp_path, ct, bone, axis):
    thin = tuple(slice(10, 13) if a == axis else slice(None) for a in range(3))
    text = " x ".join(["24" if a != axis else "3" for a in range(3)])
    case = make_case("scout", image=ct[thin], reference=bone[thin])
    with pytest.raises(UserError, match=f"case scout: image has {text} voxels, expected at least 4 along each axis"):
        prepare_case(case, FINE, tmp_path / "cache", None)


def test_four_slices_are_enough(make_case, tmp_path, ct, bone):
    case = make_case(image=ct[:, :, 10:14], reference=bone[:, :, 10:14])
    assert prepare_case(case, Preprocessing((8.0, 8.0, 8.0)), tmp_path / "cache", None).image.ndim == 3


@pytest.mark.parametrize(
    ("size", "message"), [(3, "3 x 3 x 3 voxels around the body"), (24, r"cannot be resampled to \(")]
)
def test_a_failure_of_resampling_names_the_case(make_case, ct, affine, monkeypatch, size, message):
    scan = load_case(make_case("odd"))
    window = tuple(slice(0, size) for _ in range(3))
    monkeypatch.setattr(preprocessing, "body_window", lambda *_: window)
    monkeypatch.setattr(preprocessing, "resample", lambda *_: raise_memory())
    with pytest.raises(UserError, match=f"^case odd: .*{message}"):
        FINE.image(scan.image, "case odd: image")


def raise_memory():
    raise MemoryError("Unable to allocate 3.5 TiB")


def test_a_file_that_vanishes_from_the_cache_during_a_run_is_one_line(make_case, tmp_path):
    (prepared,) = prepare_cases([make_case()], FINE, tmp_path / "cache")
    (prepared.folder / "image.npy").unlink()
    with pytest.raises(RunFailedError, match=r"image\.npy vanished from the cache; the same command makes it again$"):
        _ = prepared.image
