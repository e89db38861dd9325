"""Images in HU and images with an offset, padded or not, in one cohort.

Soft tissue is 40 HU, bone 1000. A tissue of one value is found 7 HU low: peaks are smoothed over 15 HU.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mandseg.data.case import Case
from mandseg.data.check import inspect_case
from mandseg.data.importers.cohort_folder import Imported
from mandseg.data.importers.folder import Conversion, Layout, import_folder
from mandseg.data.importers.hounsfield import fill_value, not_hu, padding, signed, tissue_around
from mandseg.data.importers.images import judge
from mandseg.data.splits import Splitting
from mandseg.data.volume import read_volume
from mandseg.system.errors import UserError

PATTERNS = {"image": "{case}_image.nii.gz", "reference": "{case}_reference.nii.gz"}


@pytest.fixture
def convert(tmp_path: Path) -> Callable[..., Imported]:
    def convert(hu_offset: float | None = 1024) -> Imported:
        conversion, splitting = Conversion(hu_offset), Splitting(all_in="test")
        return import_folder(tmp_path / "cohort", tmp_path / "out", Layout(None, PATTERNS), conversion, splitting)

    return convert


def stored(hu: np.ndarray, offset: int = 1024) -> np.ndarray:
    """As scanners store them: HU + 1024, never below 0."""
    return (np.clip(hu, -1024, None).astype(np.int32) + offset).astype(np.int16)


def padded(array: np.ndarray, value: float) -> np.ndarray:
    """The four columns at the corners of the field of view hold one value."""
    array = array.copy()
    for x in (slice(0, 3), slice(-3, None)):
        for y in (slice(0, 3), slice(-3, None)):
            array[x, y] = value
    return array


def hu_of(result: Imported) -> dict[str, tuple[float, float, float]]:
    """Corner, soft tissue and bone of each image, as the manifest's files hold them."""
    arrays = {case.case_id: read_volume(case.image).array for case in result.cohort.cases}
    return {name: (float(a[0, 0, 0]), float(a[5, 5, 5]), float(a[12, 12, 12])) for name, a in arrays.items()}


RIGHT = (-1000, 40, 1000)


@pytest.mark.parametrize(
    "value", [-2000, -3024, -1024, -1025, -32768, 4095, 3071], ids=lambda value: f"padded with {value}"
)
def test_padding_does_not_decide_whether_an_image_is_in_hu(
    convert: Callable[..., Imported], make_case: Callable[..., Case], ct: np.ndarray, value: int
) -> None:
    make_case("a", image=padded(stored(ct), value))
    make_case("b", image=stored(ct))
    assert hu_of(convert()) == {"a": RIGHT, "b": RIGHT}


@pytest.mark.parametrize("value", [-2000, -1024])
def test_padding_that_was_stored_as_an_unsigned_number_is_air(
    convert: Callable[..., Imported], make_case: Callable[..., Case], ct: np.ndarray, value: int
) -> None:
    make_case("a", image=padded(stored(ct), value).view(np.uint16))
    result = convert()
    assert hu_of(result) == {"a": RIGHT}
    assert (
        "1 image (first: a) holds negative numbers that were stored as unsigned numbers; they are corrected"
        in result.notes
    )


def test_hu_that_were_stored_as_unsigned_numbers_are_hu_again(
    convert: Callable[..., Imported], make_case: Callable[..., Case], ct: np.ndarray
) -> None:
    make_case("a", image=ct.view(np.uint16))
    assert hu_of(convert(0)) == {"a": RIGHT}


def test_an_image_in_hu_without_air_is_left_as_it_is_and_named(
    convert: Callable[..., Imported], make_case: Callable[..., Case], ct: np.ndarray
) -> None:
    make_case("a", image=np.clip(ct, -150, None))
    make_case("b", image=stored(ct))
    make_case("c", image=stored(ct))
    result = convert()
    assert hu_of(result) == {"a": (-150, 40, 1000), "b": RIGHT, "c": RIGHT}
    line = "WARNING: case a: is in HU already and is not changed, 1024 is subtracted from 2 other images"
    assert any(note.startswith(line) and "soft tissue at 33 HU" in note for note in result.notes)
    assert not any("case b" in note or "case c" in note for note in result.notes)


def test_an_offset_that_no_image_has_is_not_applied_and_reported(
    convert: Callable[..., Imported], make_case: Callable[..., Case], ct: np.ndarray
) -> None:
    make_case("a", image=ct)
    result = convert()
    assert hu_of(result) == {"a": RIGHT}
    assert result.notes == ("--hu-offset 1024 is not applied: the image is in HU already",)


def test_an_unclear_image_is_treated_like_the_others_and_named(
    convert: Callable[..., Imported], make_case: Callable[..., Case], ct: np.ndarray
) -> None:
    odd = stored(ct)
    odd[odd == 1064] = 500  # round the label neither 40 nor 1064
    odd[0, 0, 0] = -300
    make_case("a", image=odd)
    for name in ("b", "c"):
        make_case(name, image=stored(ct))
    result = convert()
    assert hu_of(result)["a"] == (-1000, 500 - 1024, 1000)
    line = "WARNING: case a: the values around its label (500) do not show whether it is in HU, taken as HU + 1024"
    assert any(note.startswith(line) for note in result.notes)


def test_an_image_with_another_offset_than_its_cohort_is_named_with_its_peaks(
    convert: Callable[..., Imported], make_case: Callable[..., Case], ct: np.ndarray
) -> None:
    make_case("a", image=stored(ct, 1000))
    for name in ("b", "c"):
        make_case(name, image=stored(ct))
    (line,) = [note for note in convert().notes if "case" in note]
    assert line == (
        "WARNING: case a: no peak of fat, soft tissue at 9 HU after the offset: is --hu-offset right for it?"
    )


def test_without_an_offset_the_images_that_are_not_in_hu_are_named(
    convert: Callable[..., Imported], make_case: Callable[..., Case], ct: np.ndarray
) -> None:
    make_case("a", image=padded(stored(ct), -2000))
    make_case("b", image=ct)
    (note,) = convert(None).notes
    assert note.startswith(
        "WARNING: 1 of 2 images has values around the label that are not HU, e.g. 1064, (a): not HU?"
    )


def test_bright_padding_of_an_image_in_hu_is_reported_and_can_be_made_air(
    convert: Callable[..., Imported], make_case: Callable[..., Case], ct: np.ndarray, tmp_path: Path
) -> None:
    case = make_case("a", image=padded(ct, 3071))
    assert convert(None).notes == (
        "WARNING: 1 image (first: a) holds 3071 outside the field of view, as bright as metal; "
        "--hu-offset writes it as air, with 0 if the rest is HU",
    )
    assert any("holds 3071 outside the field of view" in finding.line for finding in inspect_case(case).findings)
    (tmp_path / "out").rename(tmp_path / "before")
    assert hu_of(convert(0)) == {"a": RIGHT}


def test_an_image_with_an_offset_and_padding_is_not_hu_to_the_check(
    make_case: Callable[..., Case], ct: np.ndarray
) -> None:
    lines = [finding.line for finding in inspect_case(make_case("a", image=padded(stored(ct), -2000))).findings]
    assert lines == ["case a: the median around the label is 1064, soft tissue has about 40 HU: not HU?"]
    assert inspect_case(make_case("b", image=ct)).findings == ()


def test_a_label_inside_a_bone_does_not_determine_the_scale_of_an_image(ct: np.ndarray) -> None:
    bone = ct > 500
    inner = np.zeros_like(bone)
    box = tuple(slice(int(place.min()) + 3, int(place.max()) - 2) for place in np.nonzero(bone))
    inner[box] = True
    assert tissue_around(ct, inner, None) > 500
    assert not_hu(ct, inner) == ""
    assert not_hu(ct + 1000, inner).startswith("image values from 0 to 2000")


def test_metal_inside_the_body_is_no_padding(ct: np.ndarray) -> None:
    array = padded(ct, 3071)
    array[12, 12, 12] = 3071
    value, outside = padding(array)
    assert value == 3071
    assert np.count_nonzero(outside) == 4 * 9 * 24
    assert not outside[12, 12, 12]


def test_air_of_one_value_is_no_padding(ct: np.ndarray) -> None:
    assert padding(ct) is None
    assert padding(np.where(ct == -1000, -1024, ct)) is None
    assert padding(stored(ct)) is None


def test_numbers_below_half_the_range_are_no_unsigned_ones(ct: np.ndarray) -> None:
    assert signed(ct) == (ct, False)
    back, was_unsigned = signed(np.array([0, 32767, 32768, 65535], np.uint16))
    assert (back.tolist(), was_unsigned) == ([0, 32767, -32768, -1], True)
    assert signed(np.array([0.0, 70_000.0]))[1] is False


def test_the_tissue_around_a_label_is_not_the_label_and_not_the_padding(ct: np.ndarray, bone: np.ndarray) -> None:
    assert tissue_around(ct, bone, None) == 40
    assert tissue_around(ct, np.ones_like(bone), None) is None
    assert tissue_around(ct, bone[:10], None) is None
    assert tissue_around(ct, bone, ~bone) is None


@pytest.mark.parametrize("offset", [float("nan"), float("inf")])
def test_an_offset_is_a_finite_number(offset: float) -> None:
    with pytest.raises(UserError, match=r"--hu-offset (nan|inf): expected a finite number"):
        Conversion(hu_offset=offset)


def test_a_volume_blanked_with_0_is_not_taken_for_hu_because_the_blank_lies_near_soft_tissue() -> None:
    """Stored values are HU + 1000, 0 where the CT was blanked, also in most of the box round the label."""
    rng = np.random.default_rng(0)
    stored = np.zeros((40, 40, 20), np.int16)
    stored[14:26, 14:26] = rng.normal(1040, 15, (12, 12, 20)).astype(np.int16)
    label = np.zeros(stored.shape, bool)
    label[12:28, 18:22, 8:12] = True
    assert fill_value(stored) == 0
    assert judge(stored, label, None, 1000.0)[:2] == (False, True)
    tissue = tissue_around(stored, label, None)
    assert tissue is not None
    assert abs(tissue - 1040) < 10


def test_no_value_fills_a_volume_of_noisy_tissue() -> None:
    assert fill_value(np.random.default_rng(0).normal(40, 15, (20, 20, 20)).astype(np.int16)) is None
