"""Converts the CTs of a cohort to HU. Each image is judged by its values; images unlike their cohort are named."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mandseg.data.case import Case
from mandseg.data.importers.hounsfield import (
    BRIGHT,
    HU_IF_BELOW,
    Array,
    from_stored,
    histogram,
    is_off,
    looks_like_hu,
    padding,
    peaks_in_words,
    peaks_note,
    signed,
    tissue_around,
)
from mandseg.data.importers.labels import read_named
from mandseg.data.loaded_case import image_problems
from mandseg.data.volume import AIR_HU, Hu, Volume, rounded_hu, write_volume
from mandseg.metrics.masks import Mask
from mandseg.system.errors import UserError
from mandseg.system.wording import count, verb

AROUND_MANDIBLE_HU = 40
SURE_WITHIN = 200  # tissue around the label this near to 40 HU, or to 40 HU plus the offset, decides
USUAL_OFFSET = 1000.0


@dataclass(frozen=True)
class Image:
    """One image: its file in HU and what was found in it."""

    path: Path
    is_hu: bool
    is_sure: bool
    """Whether the tissue around the label decided; otherwise the lowest value did."""
    tissue: float | None
    """Median of the stored values around the label."""
    histogram: npt.NDArray[np.int64]
    """Histogram of the image in HU, if it is in HU or was converted."""
    padding: float | None = None
    was_unsigned: bool = False
    has_low_values: bool = False
    is_written: bool = False


def convert_image(
    case: Case,
    path: Path,
    label: Mask,
    dest: Path,
    hu_offset: float | None,
    is_hu: bool | None = None,
    is_wanted: bool = False,
) -> Image:
    """Read an image, judge whether it is in HU, and write it if it has to change.

    Args:
        case: The case of the image.
        path: Its file.
        label: (X, Y, Z), the structure.
        dest: The file to write, NIfTI.
        hu_offset: The stored value of 0 HU; None writes nothing.
        is_hu: Whether the other images of the cohort are in HU; None judges by the image itself.
        is_wanted: Whether to write it even if nothing changes, because the other images are written.

    Raises:
        UserError: The file cannot be read, or holds values that are not finite.
    """
    volume = read_named(case, "image", path)
    if problems := image_problems(case, volume):
        raise UserError(problems)
    array, was_unsigned = signed(volume.array)
    value, outside = padding(array) or (None, None)
    judged, is_sure, tissue = judge(array, label, outside, hu_offset)
    is_hu = judged if is_hu is None else is_hu
    has_to_change = not is_hu or was_unsigned or (value is not None and value >= BRIGHT)
    is_written = hu_offset is not None and (has_to_change or is_wanted)
    hu = to_hu(array, outside, 0.0 if is_hu or hu_offset is None else hu_offset) if is_written else array
    if is_written:
        write_volume(dest, Volume(hu, volume.affine))
    counts = histogram(hu if outside is None else hu[~outside])
    place = dest if is_written else path
    low = looks_like_hu(array)
    return Image(place, is_hu, is_sure, tissue, counts, value, was_unsigned, low, is_written)


def judge(array: Array, label: Mask, outside: Mask | None, hu_offset: float | None) -> tuple[bool, bool, float | None]:
    """Judge whether an image is in HU and whether this is sure; also return the median around its label."""
    tissue = tissue_around(array, label, outside)
    offset = USUAL_OFFSET if hu_offset is None else hu_offset
    if offset == 0:
        return True, True, tissue
    if tissue is not None and offset > 2 * SURE_WITHIN:
        for is_hu, expected in ((True, AROUND_MANDIBLE_HU), (False, AROUND_MANDIBLE_HU + offset)):
            if abs(tissue - expected) <= SURE_WITHIN:
                return is_hu, True, tissue
    core = array if outside is None or outside.all() else array[~outside]
    return looks_like_hu(core), False, tissue


def to_hu(array: Array, outside: Mask | None, offset: float) -> Hu:
    """Subtract an offset and replace padding by air; with an offset, also voxels that store 0."""
    hu = from_stored(array, offset) if offset else rounded_hu(array)
    if outside is not None:
        hu[outside] = AIR_HU
    return hu


def majority_is_hu(images: Sequence[Image]) -> bool | None:
    """Whether most of the sure images are in HU; None if no image is sure."""
    sure = [image.is_hu for image in images if image.is_sure]
    return sum(sure) * 2 >= len(sure) if sure else None


def image_notes(images: Mapping[str, Image], hu_offset: float | None) -> list[str]:
    """List what was done to the images of a cohort, and warn of suspicious ones by the names of the cases."""
    if hu_offset is None:
        notes = _not_hu(images)
    else:
        shifted = [image.histogram for image in images.values() if not image.is_hu]
        notes = [f"{count(len(shifted), 'image')}: {peaks_note(np.sum(shifted, axis=0), hu_offset)}"] if shifted else []
        if images and not shifted and hu_offset:
            each = f"all {len(images)} images are" if len(images) > 1 else "the image is"
            notes = [f"--hu-offset {hu_offset:g} is not applied: {each} in HU already"]
        notes += [*_contradictions(images, hu_offset), *_doubts(images, hu_offset)]
    return notes + _padded(images, hu_offset is not None)


def _not_hu(images: Mapping[str, Image]) -> list[str]:
    odd = {case_id: image for case_id, image in images.items() if not image.is_hu}
    if not odd:
        return []
    names = f"first: {next(iter(odd))}" if len(odd) == len(images) else ", ".join(odd)
    have = verb(len(odd), "have")
    what = f"{have} no value below {HU_IF_BELOW}"
    if any(image.has_low_values for image in odd.values()):
        what = f"{have} values around the label that are not HU, e.g. {next(iter(odd.values())).tissue or 0:.0f},"
    text = f"({names}): not HU? --hu-offset 1000 would turn stored values into HU"
    return [f"WARNING: {len(odd)} of {count(len(images), 'image')} {what} {text}"]


def _contradictions(images: Mapping[str, Image], hu_offset: float) -> list[str]:
    """Warn of images that were treated differently from most of their cohort."""
    groups = {
        is_hu: {case_id: image for case_id, image in images.items() if image.is_hu is is_hu} for is_hu in (True, False)
    }
    fewer = len(groups[True]) <= len(groups[False])
    others = len(groups[not fewer])
    done = "is in HU already and is not changed" if fewer else f"is not in HU, and {hu_offset:g} is subtracted from it"
    named = count(others, "other image")
    rest = f"{hu_offset:g} is subtracted from {named}" if fewer else f"{named} {verb(others, 'are')} in HU"
    if not others:
        return []
    return [
        f"WARNING: case {case_id}: {done}, {rest}; {peaks_in_words(image.histogram)}"
        for case_id, image in groups[fewer].items()
    ]


def _doubts(images: Mapping[str, Image], hu_offset: float) -> list[str]:
    """Warn of images that do not show whether they are in HU, and of implausible peaks after the offset."""
    notes = []
    for case_id, image in images.items():
        words = peaks_in_words(image.histogram)
        if not image.is_sure and image.tissue is not None:
            text = f"the values around its label ({image.tissue:.0f}) do not show whether it is in HU"
            taken = "HU" if image.is_hu else f"HU + {hu_offset:g}"
            notes.append(f"WARNING: case {case_id}: {text}, taken as {taken}; {words}")
        elif not image.is_hu and len(images) > 1 and is_off(image.histogram):
            notes.append(f"WARNING: case {case_id}: {words} after the offset: is --hu-offset right for it?")
    return notes


def _padded(images: Mapping[str, Image], may_write: bool) -> list[str]:
    notes = []
    for value in dict.fromkeys(image.padding for image in images.values() if image.padding is not None):
        of_value = {case_id: image for case_id, image in images.items() if image.padding == value}
        some = f"{count(len(of_value), 'image')} (first: {next(iter(of_value))})"
        what = f"{some} {verb(len(of_value), 'hold')} {value:g} outside the field of view"
        if any(image.is_written for image in of_value.values()):
            notes.append(f"{what}, which is written as air")
        elif value >= BRIGHT and not may_write:
            notes.append(f"WARNING: {what}, as bright as metal; --hu-offset writes it as air, with 0 if the rest is HU")
    if wrapped := [case_id for case_id, image in images.items() if image.was_unsigned]:
        some = f"{count(len(wrapped), 'image')} (first: {wrapped[0]})"
        text = f"{some} {verb(len(wrapped), 'hold')} negative numbers that were stored as unsigned numbers"
        notes.append(f"{text}; they are corrected" if may_write else f"WARNING: {text}; --hu-offset 0 corrects them")
    return notes
