"""New images: the same anatomy in any axis order and patient position, implausible ones refused, quality measured."""

import re
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest

from bone_network import SPACING_MM, SUMMARY, anatomy, write_checkpoint
from dicom_files import ct_slices, save
from mandseg.data.dicom.series import ORIENTATIONS
from mandseg.data.volume import Volume, to_canonical
from mandseg.evaluation.commissioning.checks import reordered
from mandseg.evaluation.prediction.inputs import find_inputs
from mandseg.evaluation.prediction.network import TrainedNetwork, refuse_different
from mandseg.evaluation.prediction.plausibility import implausible, tilt_deg
from mandseg.evaluation.prediction.quality import Quality, Thresholds, confidence, disagreement, reasons
from mandseg.evaluation.prediction.segmentation import segment
from mandseg.evaluation.predictor import mean_of
from mandseg.metrics.posture import posture
from mandseg.runs.trained.load import load_network
from mandseg.system.errors import UserError

AXIS_ORDERS = list(product(permutations(range(3)), product((1, -1), repeat=3)))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> TrainedNetwork:
    return load_network(write_checkpoint(tmp_path_factory.mktemp("network") / "bone.ckpt"), device="cpu")


def test_all_48_axis_orders_give_the_same_anatomy(network: TrainedNetwork) -> None:
    image = anatomy()
    expected = to_canonical(segment(image, [network]).mask)
    assert 2 * (expected.array & (image.array == 900)).sum() > 0.9 * (expected.array.sum() + (image.array == 900).sum())
    for order, signs in AXIS_ORDERS:
        other = reordered(image, order, signs)
        found = segment(other, [network])
        assert found.mask.geometry.disagreement(other.geometry) is None
        canonical = to_canonical(found.mask)
        np.testing.assert_array_equal(canonical.array, expected.array)
        np.testing.assert_allclose(canonical.affine, expected.affine, atol=1e-9)


def test_all_patient_positions_give_the_same_anatomy(network: TrainedNetwork, tmp_path: Path) -> None:
    image = anatomy()
    expected = to_canonical(segment(image, [network]).mask)
    for position, direction in ORIENTATIONS.items():
        # The columns, rows and slices of this position, as axes of the patient (LPS), and then of the array (RAS).
        lps = np.column_stack([direction[:3], direction[3:], np.cross(direction[:3], direction[3:])])
        axes = np.diag([-1, -1, 1]) @ lps
        stored = reordered(image, (0, 1, 2), tuple(int(axes[axis, axis]) for axis in range(3)))
        origin_mm = np.diag([-1, -1, 1]) @ stored.affine[:3, 3]
        options = {"spacing_mm": SPACING_MM, "origin_mm": tuple(origin_mm), "patient_position": position}
        save(ct_slices(np.asarray(stored.array), **options), tmp_path / position)
        (one,) = find_inputs([tmp_path / position])
        found = to_canonical(segment(one.read(), [network]).mask)
        np.testing.assert_array_equal(found.array, expected.array)
        np.testing.assert_allclose(found.affine, expected.affine, atol=1e-6)


def test_an_ensemble_predicts_the_mask_of_the_mean_and_measures_the_disagreement(tmp_path: Path) -> None:
    image = anatomy()
    networks = [
        load_network(write_checkpoint(tmp_path / f"{hu}.ckpt", hu), device="cpu") for hu in (300.0, 500.0, 800.0)
    ]
    found = segment(image, networks)
    mean = mean_of([network.predictor for network in networks]).mask(image, 0.2)
    np.testing.assert_array_equal(found.mask.array, mean.array)
    assert found.quality.disagreement is not None
    assert 0 < found.quality.disagreement < 1
    assert segment(image, networks[:1]).quality.disagreement is None
    refuse_different(networks)
    other = load_network(write_checkpoint(tmp_path / "other.ckpt"), device="cpu")
    different = TrainedNetwork("other", other.predictor, "Parotid_L", 0.2, None, "")
    with pytest.raises(UserError, match="other: structure Parotid_L differs from Mandible"):
        refuse_different([*networks, different])


# Quality --------------------------------------------------------------------------------------------------------------


def test_the_confidence_is_1_for_certain_voxels_and_falls_with_doubtful_ones() -> None:
    certain = np.array([0.0, 1.0, 1.0, 0.0], np.float32)
    assert confidence(certain, certain > 0.5) == 1
    doubtful = np.array([0.4, 0.6, 0.6, 0.4], np.float32)
    assert confidence(doubtful, doubtful > 0.5) == pytest.approx(2 * 1.2 / (2.0 + 2))
    assert confidence(np.zeros(4, np.float32), np.zeros(4, bool)) == 0


def test_the_disagreement_is_1_minus_the_mean_dice_of_all_pairs() -> None:
    one, two, three = (np.array(mask, bool) for mask in ([1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 1]))
    assert disagreement([one, one]) == 0
    assert disagreement([one, two, three]) == pytest.approx(1 - (2 / 3 + 0 + 0) / 3)


def posture_of(volume: Volume) -> tuple[float | None, float | None]:
    return posture(volume.array, volume.geometry.spacing_mm)


def test_a_mandible_rises_and_widens_to_the_back_and_its_mirror_images_do_not() -> None:
    image = anatomy()
    mandible = Volume(image.array == 900, image.affine)
    rise_mm, spread_mm = posture_of(mandible)
    assert rise_mm is not None
    assert spread_mm is not None
    assert rise_mm > 5
    assert spread_mm > 5
    upside_down = Volume(mandible.array[:, :, ::-1], mandible.affine)
    assert posture_of(upside_down)[0] == pytest.approx(-rise_mm)
    back_to_front = posture_of(Volume(mandible.array[:, ::-1], mandible.affine))
    assert back_to_front == pytest.approx((-rise_mm, -spread_mm))
    assert posture_of(Volume(np.zeros((4, 4, 4), bool), np.eye(4))) == (None, None)


GOOD = Quality(40.0, 1, 0, 0.95, 0.05, 850.0, (), 10.0, 8.0)
LIMITS = Thresholds(0.8, 0.2, 2, 0.1, 50, ("Mandible",))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, ""),
        ({"volume_ml": 0.0}, "nothing was found"),
        ({"confidence": 0.7}, "confidence 0.70, expected at least 0.8"),
        ({"disagreement": 0.3}, "the networks disagree by 0.30, expected at most 0.2"),
        ({"pieces": 3}, "3 pieces, expected at most 2"),
        ({"edges": ("inferior",)}, "touches the image's inferior edge"),
        ({"volume_ml": 4.4}, "volume 4.4 ml, 5.0 to 80.0 in training"),
        ({"volume_ml": 4.6}, ""),
        ({"median_hu": 640.0}, "median 640 HU, 700 to 1000 in training"),
        ({"rise_mm": -12.0}, "its back lies 12 mm below its front: is the image upside down?"),
        ({"spread_mm": -1.0}, "it is wider in front than in the back: is front and back exchanged?"),
    ],
)
def test_each_unusual_figure_is_a_reason_to_review(changed: dict[str, object], reason: str) -> None:
    quality = Quality(**{**GOOD.__dict__, **changed})  # type: ignore[arg-type]
    assert reasons(quality, "Mandible", SUMMARY, LIMITS) == ([reason] if reason else [])


def test_only_a_mandible_must_rise_to_the_back() -> None:
    quality = Quality(**{**GOOD.__dict__, "rise_mm": -12.0})
    assert reasons(quality, "Parotid_L", SUMMARY, LIMITS) == []
    assert len(reasons(quality, "Unterkiefer", SUMMARY, LIMITS)) == 1


# Plausibility ---------------------------------------------------------------------------------------------------------


def changed(change: str) -> Volume:
    image = anatomy()
    hu = image.array.copy()
    if change == "offset":
        return Volume(hu + 1024, image.affine)
    if change == "soft tissue":
        return Volume(np.where(hu == 40, 300, hu).astype(np.int16), image.affine)
    if change == "constant":
        return Volume(np.full_like(hu, -1000), image.affine)
    if change == "nan":
        return Volume(np.where(hu == 900, np.nan, hu).astype(np.float32), image.affine)
    if change == "unsigned":
        return Volume(hu.astype(np.uint16).astype(np.int32), image.affine)
    if change == "padded":
        hu[:, :4], hu[:, -4:] = 3071, 3071
        return Volume(hu, image.affine)
    if change == "scout":
        return Volume(hu[:, :, :2], image.affine)
    if change == "thin":
        return Volume(hu[:, :, 20:28], image.affine)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.6), -np.sin(0.6)], [np.sin(0.6), np.cos(0.6)]]
    return Volume(hu, turn @ image.affine)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("offset", "is not in HU: the lowest value is 24, expected air below -200"),
        ("soft tissue", r"is not in HU: the peak of soft tissue lies at -?\d+ HU, expected 10 to 90"),
        ("constant", "is empty: every voxel is -1000"),
        ("nan", r"has \d+ voxels that are NaN or infinite"),
        ("unsigned", "has values up to 64536: negative numbers that were stored as unsigned"),
        ("padded", "holds 3071 outside the field of view, as bright as metal, expected air"),
        ("scout", "has 76 x 64 x 2 voxels, expected at least 4 along each axis: a scout"),
        ("thin", r"covers \(114, 64, 16\) mm, expected at least 20 mm"),
        ("turned", "is turned by 34 degrees to the patient's axes, expected at most 25"),
    ],
)
def test_an_implausible_image_is_one_line(change: str, line: str) -> None:
    assert re.search(line, implausible(changed(change)))


def test_a_ct_of_a_head_is_plausible_in_any_axis_order() -> None:
    for order, signs in AXIS_ORDERS[::5]:
        image = reordered(anatomy(), order, signs)
        assert implausible(image) == ""
        assert tilt_deg(image) == pytest.approx(0, abs=1e-4)


def test_the_slices_of_a_series_with_another_frame_of_reference_are_an_image_of_their_own(tmp_path: Path) -> None:
    slices = ct_slices(np.zeros((8, 8, 9), np.int16))
    for one in slices[5:]:
        one.FrameOfReferenceUID = "1.2.3"
    save(slices, tmp_path / "ct")
    found = find_inputs([tmp_path / "ct"])
    assert sorted(len(one.scan.records) for one in found if one.scan) == [4, 5]
    assert len({one.name for one in found}) == 2
