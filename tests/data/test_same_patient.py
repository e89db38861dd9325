"""The same patient is recognised by content, whatever the files are called, and different patients are not confused."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from command import run
from conftest import BONE
from mandseg.data.cache import PreparedCase, prepare_cases
from mandseg.data.case import Case
from mandseg.data.check import check_cohort
from mandseg.data.manifest import read_cohort, write_cohort
from mandseg.data.preprocessing import Preprocessing
from mandseg.data.resampling import resample_onto
from mandseg.data.same_patient.bone_alignment import onto_bone
from mandseg.data.same_patient.fingerprint import Fingerprint, as_bytes, fingerprint, from_bytes
from mandseg.data.same_patient.leaks import refuse_same_patients, stored_fingerprint
from mandseg.data.same_patient.likeness import Likeness, align, best_overlap
from mandseg.data.same_patient.pairing import pair_cohorts
from mandseg.data.same_patient.search import find_matches
from mandseg.data.volume import Geometry, Volume, read_volume, write_volume
from mandseg.metrics.masks import dice
from mandseg.system.errors import UserError
from mandseg.system.files import LIST
from mandseg.system.files import fingerprint as digest
from patients import Scan, scan


def taken(given: Scan, with_image: bool = True) -> Fingerprint:
    known = fingerprint(given.label, given.image if with_image else None)
    assert known is not None
    return known


def compare(first: Fingerprint, second: Fingerprint) -> Likeness:
    return align(first, second)[0]


def cropped(given: Scan) -> Scan:
    """The same scan without its outer slices, as another program would cut it out."""
    box = (slice(5, 67), slice(3, 60), slice(2, 43))
    affine = given.image.affine.copy()
    affine[:3, 3] += 2.0 * np.array([5, 3, 2])
    return Scan(Volume(given.image.array[box], affine), Volume(given.label.array[box], affine))


def resampled(given: Scan) -> Scan:
    """The same scan on voxels of 1.7 x 2.3 x 3 mm that begin elsewhere."""
    affine = np.diag([1.7, 2.3, 3.0, 1.0])
    affine[:3, 3] = given.image.affine[:3, 3] + [0.8, 1.1, 0.5]
    grid = Geometry((82, 53, 28), affine)
    above_air = Volume(given.image.array.astype(np.float32) + 1000, given.image.affine)
    hu = np.rint(resample_onto(above_air, grid) - 1000).astype(np.int16)
    label = resample_onto(Volume(given.label.array.astype(np.float32), given.label.affine), grid) >= 0.5
    return Scan(Volume(hu, affine), Volume(label.astype(np.uint8), affine))


def flipped(given: Scan) -> Scan:
    """The same scan with its axes stored in another order and direction."""
    turned = np.array([[0, 0, 2.0, 0], [-2.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 0, 1]])
    arrays = [np.flip(volume.array.transpose(1, 2, 0), 0) for volume in (given.image, given.label)]
    turned[:3, 3] = given.image.affine[:3, 3]
    turned[1, 3] += 2.0 * (given.image.array.shape[1] - 1)
    return Scan(*(Volume(np.ascontiguousarray(array), turned) for array in arrays))


def oblique(degrees: float, axis: int) -> Callable[[Scan], Scan]:
    """The same scan on a grid that is turned about an axis of the patient, and holds the whole head."""

    def turned(given: Scan) -> Scan:
        a, b = ((1, 2), (2, 0), (0, 1))[axis]
        affine = np.diag([2.0, 2.0, 2.5, 1.0])
        angle = np.radians(degrees)
        rotation = np.eye(4)
        rotation[[a, b, a, b], [a, b, b, a]] = [np.cos(angle), np.cos(angle), -np.sin(angle), np.sin(angle)]
        affine = rotation @ affine
        grid = Geometry((100, 100, 80), affine)
        centre = given.image.affine @ [*(np.array(given.image.array.shape) - 1) / 2, 1]
        affine[:3, 3] = (centre - affine @ [*(np.array(grid.shape) - 1) / 2, 0])[:3]
        above_air = Volume(given.image.array.astype(np.float32) + 1000, given.image.affine)
        hu = np.rint(resample_onto(above_air, grid) - 1000).astype(np.int16)
        label = resample_onto(Volume(given.label.array.astype(np.float32), given.label.affine), grid) >= 0.5
        return Scan(Volume(hu, affine), Volume(label.astype(np.uint8), affine))

    return turned


OBLIQUE = [oblique(20, 0), oblique(-30, 0), oblique(35, 1), oblique(15, 2), oblique(44, 2)]


@pytest.fixture(scope="module")
def eight() -> list[Fingerprint]:
    return [taken(scan(seed)) for seed in range(8)]


def even_head(seed: int) -> Scan:
    """A head of even tissue with noise and a horseshoe of bone: all of one shape, each with noise of its own."""
    x, y, z = (4.0 * (axis - (n - 1) / 2) for axis, n in zip(np.ogrid[:40, :40, :24], (40, 40, 24), strict=True))
    label = (abs(np.hypot(x, y / 1.2) - 40) < 7) & (y > -8) & (abs(z) < 14)
    tissue = np.where((x / 60) ** 2 + (y / 65) ** 2 + 0 * z < 1, 40, -1000)
    hu = np.where(label, 900, tissue + np.random.default_rng(seed).normal(0, 15, label.shape))
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    return Scan(Volume(hu.astype(np.int16), affine), Volume(label.astype(np.uint8), affine))


def test_heads_of_one_shape_are_different_patients_and_a_cropped_copy_is_the_same() -> None:
    heads = [even_head(seed) for seed in range(3)]
    known = [taken(head) for head in heads]
    assert find_matches(known) == []
    box = (slice(2, 37), slice(3, 38), slice(1, 22))
    affine = heads[1].image.affine.copy()
    affine[:3, 3] += 4.0 * np.array([2, 3, 1])
    copy = taken(Scan(*(Volume(volume.array[box], affine) for volume in (heads[1].image, heads[1].label))))
    (match,) = find_matches(known, [copy])
    assert (match.first, match.likeness.verdict) == (1, "certain")


def test_equal_labels_are_only_suspicious_if_two_cts_cannot_be_compared() -> None:
    assert Likeness(1.0, 1.0, None, has_two_cts=True).verdict == "suspected"
    assert Likeness(1.0, 1.0, None).verdict == "certain"


@pytest.mark.parametrize("changed", [cropped, resampled, flipped, *OBLIQUE])
def test_a_copy_that_was_cropped_resampled_or_turned_is_certain(changed) -> None:
    likeness = compare(taken(scan(3)), taken(changed(scan(3))))
    assert likeness.verdict == "certain"
    assert likeness.image is not None
    assert likeness.image > 0.9


def test_a_copy_at_another_place_in_space_is_certain() -> None:
    assert compare(taken(scan(3)), taken(scan(3, centre_mm=(40, -7, 311)))).verdict == "certain"


def test_another_contour_of_the_scan_without_upper_ends_is_found() -> None:
    first, second = scan(5), scan(5, missing_mm=16)
    assert compare(taken(first), taken(second)).verdict == "certain"
    assert compare(taken(first, False), taken(second)).verdict in ("suspected", "certain")


def test_a_contour_without_rami_is_found_by_its_ct(eight: list[Fingerprint]) -> None:
    """The contours alone are too different: one ends above the chin, the other at the condyles."""
    cut = [taken(scan(seed, missing_mm=55)) for seed in (3, 5, 20)]
    assert all(compare(eight[seed], other).shape < 0.7 for seed, other in ((3, cut[0]), (5, cut[1])))
    found = [(match.first, match.second, match.likeness.verdict) for match in find_matches(eight, cut)]
    assert found == [(3, 0, "certain"), (5, 1, "certain")]


def test_eight_patients_are_eight(eight: list[Fingerprint]) -> None:
    assert find_matches(eight) == []
    others = [taken(scan(seed)) for seed in range(20, 24)]
    assert find_matches(eight, others) == []


def test_the_one_shared_patient_of_two_lists_is_found(eight: list[Fingerprint]) -> None:
    others = [taken(scan(seed)) for seed in (30, 31)] + [taken(resampled(scan(4)))]
    assert [(match.first, match.second, match.likeness.verdict) for match in find_matches(eight, others)] == [
        (4, 2, "certain")
    ]


def test_two_cts_decide_and_without_them_alike_labels_are_a_suspicion_only() -> None:
    assert Likeness(0.9, 0.9, image=0.6).verdict == "different"
    assert Likeness(0.9, 0.9, image=0.88).verdict == "suspected"
    assert Likeness(0.9, 0.9, image=0.97).verdict == "certain"
    cut = {0.89: "different", 0.90: "suspected", 0.92: "suspected", 0.93: "certain"}
    assert {image: Likeness(0.3, 0.6, image=image).verdict for image in cut} == cut
    assert Likeness(0.9, 0.9).verdict == "suspected"
    assert Likeness(0.99, 0.99).verdict == "certain"
    assert Likeness(0.9, 0.7).verdict == "different"


def test_stored_values_that_are_not_hu_are_not_compared() -> None:
    """HU + 1000 of two patients are alike: of 28 OpenKBP cases in stored values, 33 pairs were found."""
    one = scan(0)
    stored = Volume(one.image.array + 1000, one.image.affine)
    assert (known := fingerprint(one.label, stored)) is not None
    assert known.image is None
    assert (in_hu := fingerprint(one.label, one.image)) is not None
    assert in_hu.image is not None


def test_blocks_and_empty_labels_have_no_fingerprint(bone: np.ndarray, ct: np.ndarray, affine: np.ndarray) -> None:
    assert bone[BONE].all()
    assert fingerprint(Volume(bone, affine), Volume(ct, affine)) is None
    assert fingerprint(Volume(np.zeros_like(bone), affine), None) is None


def test_a_fingerprint_survives_its_file() -> None:
    known = taken(scan(1))
    read = from_bytes(as_bytes(known))
    assert read is not None
    np.testing.assert_array_equal(read.label, known.label)
    np.testing.assert_array_equal(read.image, known.image)
    assert from_bytes(as_bytes(None)) is None


def write(root: Path, seed: int, name: str, split: str, changed=lambda given: given) -> Case:
    given = changed(scan(seed))
    files = root / f"{name}_ct.nii.gz", root / f"{name}_label.nii.gz"
    write_volume(files[0], given.image)
    write_volume(files[1], given.label)
    return Case(name, name, split, *files)


def prepared(cases: list[Case], cache: Path) -> list[PreparedCase]:
    return prepare_cases(cases, Preprocessing((3, 3, 3)), cache, workers=1)


def test_a_training_on_a_test_patient_is_refused_unless_named(tmp_path: Path) -> None:
    training = prepared([write(tmp_path, k, f"a{k}", "train") for k in (1, 2)], tmp_path / "cache")
    testing = prepared([write(tmp_path, 1, "other", "test", resampled)], tmp_path / "cache")
    with pytest.raises(UserError) as caught:
        refuse_same_patients(training, testing)
    (line,) = caught.value.problems
    assert line.startswith("case a1, used for training, and case other, used for testing, show the same patient (corr")
    assert line.endswith("remove one of them, or evaluation.shared_subjects=[other] permits both")
    refuse_same_patients(training, testing, ["other"])
    refuse_same_patients(training, testing, ["a1"])
    refuse_same_patients(training[1:], testing)


def test_a_suspicion_is_a_warning_and_no_refusal(tmp_path: Path, monkeypatch, caplog) -> None:
    monkeypatch.setattr("mandseg.data.same_patient.likeness.SAME_IMAGE", 1.01)
    training = prepared([write(tmp_path, 1, "a", "train")], tmp_path / "cache")
    testing = prepared([write(tmp_path, 1, "b", "test", cropped)], tmp_path / "cache")
    with caplog.at_level(logging.WARNING):
        refuse_same_patients(training, testing)
    assert "case a, used for training, and case b, used for testing, may show the same patient" in caplog.text


def with_byte_changed(content: bytes) -> bytes:
    """A file in whose packed data one byte is wrong: unpacking it fails with an error of zlib."""
    place = content.index(b"label.npy") + 60
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


@pytest.mark.parametrize("damage", [lambda content: content[:100], with_byte_changed, lambda content: b""])
def test_fingerprints_stay_in_the_cache_and_a_damaged_one_is_taken_again(tmp_path: Path, damage, monkeypatch) -> None:
    (entry,) = prepared([write(tmp_path, 1, "a", "train")], tmp_path / "cache")
    (file,) = entry.folder.glob("fingerprint-*.npz")
    first, content = stored_fingerprint(entry), file.read_bytes()
    file.write_bytes(damage(content))
    again = stored_fingerprint(entry)
    assert first is not None
    assert again is not None
    np.testing.assert_array_equal(again.label, first.label)
    assert file.read_bytes() == content
    monkeypatch.delattr("mandseg.data.same_patient.leaks.load_case")  # it is whole again, so it is read
    assert stored_fingerprint(entry) is not None


def test_an_entry_without_a_fingerprint_gets_one_that_stays(tmp_path: Path, monkeypatch) -> None:
    (entry,) = prepared([write(tmp_path, 1, "a", "train")], tmp_path / "cache")
    for file in entry.folder.glob("fingerprint-*"):
        file.unlink()
    assert stored_fingerprint(entry) is not None
    monkeypatch.delattr("mandseg.data.same_patient.leaks.load_case")
    assert stored_fingerprint(entry) is not None


def test_check_names_a_copied_patient_within_and_between_cohorts(tmp_path: Path, capsys) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    cases = [write(tmp_path / "one", 1, "a", "train"), write(tmp_path / "one", 2, "b", "test")]
    write_cohort(tmp_path / "one", [*cases, write(tmp_path / "one", 1, "c", "test", cropped)])
    write_cohort(tmp_path / "two", [write(tmp_path / "two", 2, "d", "test", resampled)])
    (finding,) = [f for f in check_cohort(tmp_path / "one", workers=1).findings if "same patient" in f.line]
    assert finding.severity == "error"
    assert finding.line.startswith("case c: it and case a show the same patient (correlation of the CTs 1.00")
    assert finding.line.endswith("subjects c and a, splits test and train")
    assert run("check", tmp_path / "one", tmp_path / "two", "--workers", "1") == 2
    out = capsys.readouterr().out
    assert "one, case b and two, case d show the same patient" in out
    assert "one and two: 1 pair of one patient, or suspected" in out


def test_two_scans_of_one_subject_are_no_finding(tmp_path: Path) -> None:
    first, second = write(tmp_path, 1, "a", "train"), write(tmp_path, 1, "b", "train", cropped)
    write_cohort(tmp_path, [first, replace(second, subject_id="a")])
    assert not any("same patient" in finding.line for finding in check_cohort(tmp_path, workers=1).findings)


def test_pair_makes_a_cohort_of_the_shared_scans_on_the_first_ones_grid(tmp_path: Path, capsys) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    moved = partial(scan, centre_mm=(31, -8, 200))
    one = [write(tmp_path / "one", k, f"a{k}", "train", lambda given: cropped(given)) for k in (1, 2)]
    two = write(tmp_path / "two", 2, "b", "test", lambda given: moved(2))
    write_cohort(tmp_path / "one", one)
    write_cohort(tmp_path / "two", [two])
    assert run("pair", tmp_path / "one", tmp_path / "two", "--out", tmp_path / "pairs", "--workers", "1") == 0
    assert "case a2: b of two, certain: correlation of the CTs 1.00" in capsys.readouterr().err
    (case,) = read_cohort(tmp_path / "pairs").cases
    assert (case.case_id, case.annotator, case.groups["paired_with"]) == ("a2", "one", "b")
    assert case.noisy == one[1].reference
    assert case.image == one[1].image
    noisy, reference = (read_volume(path).array != 0 for path in (case.noisy, case.reference))
    assert dice(noisy, reference) > 0.97
    shift_mm = [float(mm) for mm in case.groups["shift_mm"].split()]
    np.testing.assert_allclose(shift_mm, [-31, 8, -200], atol=0.8)


def test_pair_names_two_subjects_that_are_one_patient_of_the_second_cohort(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one = [write(tmp_path / "one", k, name, "train", cropped) for k, name in ((2, "a"), (2, "copy"), (1, "c"))]
    write_cohort(tmp_path / "one", one)
    write_cohort(tmp_path / "two", [write(tmp_path / "two", k, f"b{k}", "test") for k in (1, 2)])
    result = pair_cohorts(tmp_path / "one", tmp_path / "two", tmp_path / "pairs", workers=1)
    assert [case.subject_id for case in result.cohort.cases] == ["a", "copy", "c"]
    warning = "WARNING: subjects a, copy are paired with one patient, b2: one patient under several names?"
    assert [note for note in result.notes if note.startswith("WARNING")] == [warning]


def test_pair_aligns_two_shared_scans_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(*labels: np.ndarray) -> tuple[float, np.ndarray]:
        calls.append(labels)
        return best_overlap(*labels)

    monkeypatch.setattr("mandseg.data.same_patient.likeness.best_overlap", counted)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_cohort(tmp_path / name, [write(tmp_path / name, 2, name, "test")])
    pair_cohorts(tmp_path / "one", tmp_path / "two", tmp_path / "pairs", workers=1)
    assert len(calls) == 1


def test_pair_of_cohorts_without_a_shared_scan_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    write_cohort(tmp_path / "one", [write(tmp_path / "one", 1, "a", "train")])
    write_cohort(tmp_path / "two", [write(tmp_path / "two", 2, "b", "train")])
    with pytest.raises(UserError, match="no case of one shows a patient of the other"):
        pair_cohorts(tmp_path / "one", tmp_path / "two", tmp_path / "pairs", workers=1)
    assert not (tmp_path / "pairs").exists()


def test_pair_of_one_cohort_with_itself_is_refused_also_by_another_path(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    write_cohort(tmp_path / "one", [write(tmp_path / "one", 2, "a", "test")])
    (tmp_path / "link").symlink_to("one")
    for other in (tmp_path / "one", tmp_path / "link", tmp_path / "one" / "manifest.csv"):
        with pytest.raises(UserError, match=r"is the same cohort as .*one, expected two with contours of their own$"):
            pair_cohorts(tmp_path / "one", other, tmp_path / "pairs", workers=1)
    write_cohort(tmp_path / "two", read_cohort(tmp_path / "one").cases)
    with pytest.raises(UserError, match=r"case a of one and case a of the other cohort have one label file, .*a_label"):
        pair_cohorts(tmp_path / "one", tmp_path / "two", tmp_path / "pairs", workers=1)
    assert not (tmp_path / "pairs").exists()


@pytest.mark.parametrize(
    ("out", "reason"),
    [
        ("one", "lies in the cohort"),
        ("two", "lies in the cohort"),
        ("two/pairs", "lies in the cohort"),
        ("elsewhere", "holds the source"),
        (".", "holds no manifest.csv"),
    ],
)
def test_pair_never_replaces_or_enters_one_of_its_two_cohorts(tmp_path: Path, out: str, reason: str) -> None:
    """The second cohort's label lies in a third cohort's folder."""
    for name in ("one", "two", "elsewhere"):
        (tmp_path / name).mkdir()
    other = write(tmp_path / "elsewhere", 2, "b", "test")
    write_cohort(tmp_path / "one", [write(tmp_path / "one", 2, "a", "train")])
    write_cohort(tmp_path / "two", [other])
    write_cohort(tmp_path / "elsewhere", [other])
    for name in ("one", "two", "elsewhere"):
        (tmp_path / name / LIST).write_text(
            json.dumps({"by": "an import", "files": {p.name: digest(p) for p in (tmp_path / name).iterdir()}})
        )
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=reason):
        pair_cohorts(tmp_path / "one", tmp_path / "two", tmp_path / out, overwrite=True, workers=1)
    assert sorted(tmp_path.rglob("*")) == before


def test_pairs_keep_the_structure_and_two_structures_are_no_pair(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        case = write(tmp_path / name, 2, name, "test")
        groups = {} if name == "three" else {"structure": "Parotid_L", "structure_ml": "15 to 45"}
        write_cohort(tmp_path / name, [replace(case, groups=groups)])
    (pair,) = pair_cohorts(tmp_path / "one", tmp_path / "two", tmp_path / "pairs", workers=1).cohort.cases
    assert (pair.groups["structure"], pair.groups["structure_ml"]) == ("Parotid_L", "15 to 45")
    with pytest.raises(UserError, match=r"^case one shows Parotid_L, case three shows Mandible$"):
        pair_cohorts(tmp_path / "one", tmp_path / "three", tmp_path / "other", workers=1)


def test_a_contour_beside_the_bone_is_moved_onto_it_and_soft_tissue_moves_nothing() -> None:
    given = scan(6)
    off_mm = np.array([1.5, -2.0, 1.0])
    aside = given.label.affine.copy()
    aside[:3, 3] += off_mm
    found = onto_bone(given.image, Volume(given.label.array, aside), np.zeros(3))
    np.testing.assert_allclose(found, -off_mm, atol=0.6)
    soft = np.where(given.image.array > 500, 40, given.image.array).astype(np.int16)
    assert not onto_bone(Volume(soft, given.image.affine), Volume(given.label.array, aside), np.zeros(3)).any()
