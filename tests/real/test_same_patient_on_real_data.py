"""Known pairs of one patient under two names are found among real cases, and no others.

The pairs were found by comparing contours and CTs; no data set's documentation states them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from mandseg.data.importers.hounsfield import from_stored
from mandseg.data.same_patient.fingerprint import Fingerprint, fingerprint
from mandseg.data.same_patient.search import find_matches
from mandseg.data.volume import Volume, read_volume, to_canonical
from mandseg.system.progress import for_each

pytestmark = [pytest.mark.real_data, pytest.mark.slow]

SHARED = {
    ("pt_111", "0522c0057"),
    ("pt_32", "0522c0057"),
    ("pt_36", "0522c0248"),
    ("pt_217", "0522c0416"),
    ("pt_185", "TCGA-CV-7245"),
    ("pt_47", "TCGA-CV-A6JY"),
}
"""OpenKBP and DeepMind; pt_32 and pt_217 are known here by their contours only."""


KEPT_MM = 28.0  # of a cut contour


def ct_of(mask: Path) -> Volume:
    image = read_volume(mask.parents[1] / "images" / mask.name)
    return Volume(from_stored(image.array, 1000.0), image.affine)


def with_ct(mask: Path) -> Fingerprint | None:
    return fingerprint(read_volume(mask), ct_of(mask))


def wide_without_rami(mask: Path) -> Fingerprint | None:
    """The lowest 28 mm of a contour, a voxel wider, on the CT with other noise."""
    label, image = to_canonical(read_volume(mask)), to_canonical(ct_of(mask))
    drawn = ndimage.binary_dilation(label.array > 0)
    lowest = int(np.flatnonzero(drawn.any((0, 1)))[0])
    drawn[:, :, lowest + round(KEPT_MM / label.geometry.spacing_mm[2]) :] = False
    noise = np.random.default_rng(0).normal(0, 20, image.array.shape) * (image.array > -900)
    hu = np.rint(image.array + noise).astype(np.int16)
    return fingerprint(Volume(drawn.astype(np.uint8), label.affine), Volume(hu, image.affine))


def label_only(mask: Path) -> Fingerprint | None:
    return fingerprint(read_volume(mask), None)


@pytest.fixture(scope="module")
def openkbp(real_data: Path) -> dict[str, Fingerprint | None]:
    masks = sorted((real_data / "openkbp/masks").glob("*.nii.gz"))
    known = dict(zip((path.name[:-7] for path in masks), for_each(with_ct, masks, "OpenKBP"), strict=True))
    others = {name: label_only(real_data / f"planning_pairs/{name}/planning.nii.gz") for name in ("pt_32", "pt_217")}
    return known | others


def names_of(
    first: Mapping[str, Fingerprint | None], second: Mapping[str, Fingerprint | None] | None = None
) -> Sequence[tuple[str, str]]:
    matches = find_matches(list(first.values()), None if second is None else list(second.values()))
    other = list(first if second is None else second)
    return [(list(first)[match.first], other[match.second]) for match in matches]


def test_the_patient_who_is_in_openkbp_twice_is_found_among_152_and_no_other(
    openkbp: dict[str, Fingerprint | None],
) -> None:
    assert len(openkbp) == 152
    assert set(names_of(openkbp)) == {("pt_111", "pt_32")}


@pytest.mark.parametrize("annotator", ["oncologist", "radiographer"])
def test_scans_that_openkbp_shares_with_deepmind_are_found_and_no_other(
    real_data: Path, openkbp: dict[str, Fingerprint | None], annotator: str
) -> None:
    folders = sorted((real_data / f"deepmind_tcia/nrrds/test/{annotator}").iterdir())
    drawn = for_each(label_only, [folder / "segmentations/Mandible.nrrd" for folder in folders], "DeepMind")
    deepmind = dict(zip((folder.name for folder in folders), drawn, strict=True))
    assert set(names_of(openkbp, deepmind)) == SHARED


def test_a_wide_contour_without_rami_is_found_by_its_ct_and_takes_no_other_for_it(
    real_data: Path, openkbp: dict[str, Fingerprint | None]
) -> None:
    """The labels alone are too different."""
    masks = sorted((real_data / "openkbp/masks").glob("*.nii.gz"))[::10]
    cut = dict(zip((path.name[:-7] for path in masks), for_each(wide_without_rami, masks, "Cut"), strict=True))
    assert set(names_of(openkbp, cut)) == {(name, name) for name in cut}
