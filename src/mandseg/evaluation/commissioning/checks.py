"""The checks: contours to masks, masks to structure sets and back, axis orders, patient positions, a scan of one's own.

A check has a known answer. What needs a program that is not installed is listed as not run.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations, product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from mandseg.data.dicom.archive import read_series
from mandseg.data.dicom.contours import outlines
from mandseg.data.dicom.pixels import read_ct
from mandseg.data.dicom.rasterisation import fill, rasterise
from mandseg.data.dicom.rtstruct import write_rtstruct
from mandseg.data.dicom.series import ORIENTATIONS, Series
from mandseg.data.dicom.structures import Contour, Roi, read_structure_set
from mandseg.data.preprocessing import HuWindow, Preprocessing
from mandseg.data.volume import Volume, read_volume, to_canonical
from mandseg.evaluation.commissioning.phantom_series import write_phantom_series
from mandseg.evaluation.commissioning.shapes import shapes
from mandseg.evaluation.prediction.plausibility import implausible
from mandseg.evaluation.predictor import Predictor
from mandseg.evaluation.sliding_window import SlidingWindow
from mandseg.metrics.masks import Mask, connected_pieces, dice
from mandseg.system.errors import UserError

SHAPE, SPACING_MM, ORIGIN_MM = (100, 90, 14), (1.0, 1.0, 2.5), (-50.0, -45.0, 40.0)
VOLUME_TOLERANCE = 0.01
BONE_HU, TISSUE_HU, AIR_HU = 900, 40, -1000
BONE_FROM_HU = 300  # in a scan of one's own
CT, RTSTRUCT = "CT", "RS_arch.dcm"


@dataclass(frozen=True)
class Check:
    """A check and its outcome: passed, failed, or not run (None)."""

    name: str
    measured: str
    expected: str
    passed: bool | None


def run_checks(folder: Path, own_series: Path | None = None) -> Iterator[Check]:
    """Run every check.

    Args:
        folder: Gets a synthetic CT and the structure set of an arch, to be opened in a planning system.
        own_series: A CT series of the clinic.
    """
    arch = arch_mask()
    series = write_phantom_series(folder / CT, _hu(arch), SPACING_MM, ORIGIN_MM)
    write_rtstruct(folder / RTSTRUCT, Volume(arch, series.geometry.affine), series, "Mandible_mandseg")
    yield from volumes(series)
    for name, mask in masks().items():
        yield from round_trip(name, mask, series)
    with TemporaryDirectory() as place:
        for position in ORIENTATIONS:
            other = write_phantom_series(Path(place) / position, _hu(arch), SPACING_MM, ORIGIN_MM, position)
            yield same_after_round_trip(f"patient position {position}: mask to RTSTRUCT to mask", arch, other)
    yield axis_orders()
    yield validator(folder / RTSTRUCT)
    yield other_reader(folder, series, arch)
    if own_series is not None:
        yield from own_scan(own_series)


def volumes(series: Series) -> Iterator[Check]:
    """Contours of known volume become masks of that volume."""
    heights_mm = [plane.position_mm[2] for plane in series.planes]
    for shape in shapes(heights_mm, series.slice_mm):
        roi = Roi(1, shape.name, "", "", tuple(Contour("CLOSED_PLANAR", points, ()) for points in shape.contours))
        volume_mm3 = np.count_nonzero(rasterise(roi, series).mask) * series.geometry.voxel_ml * 1000
        error = volume_mm3 / shape.volume_mm3 - 1
        expected = f"{shape.volume_mm3 / 1000:.3f} ml, within {VOLUME_TOLERANCE:.0%}"
        measured = f"{volume_mm3 / 1000:.3f} ml ({error:+.2%})"
        yield Check(f"volume: {shape.name}", measured, expected, bool(abs(error) <= VOLUME_TOLERANCE))


def round_trip(name: str, mask: Mask, series: Series) -> Iterator[Check]:
    """A mask comes back from its structure set, in a reader by the even-odd rule and in one that unites contours."""
    yield same_after_round_trip(f"{name}: mask to RTSTRUCT to mask", mask, series)
    united = np.zeros_like(mask)
    for number in range(mask.shape[2]):
        for outline in outlines(mask[:, :, number]):
            united[:, :, number] |= fill([outline], mask.shape[:2])
    yield _same(f"{name}: the same in a reader that unites contours", united, mask)


def same_after_round_trip(name: str, mask: Mask, series: Series) -> Check:
    """Write a mask as a structure set and read it back."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "RS.dcm"
        write_rtstruct(path, Volume(mask, series.geometry.affine), series, "Mandible_mandseg")
        (roi,) = read_structure_set(path).rois
        return _same(name, rasterise(roi, series).mask, mask)


def axis_orders() -> Check:
    """A network that finds bone by a threshold gives the same voxels in all 48 orders and directions of the axes."""
    mask = arch_mask()
    image = Volume(_hu(mask), np.diag([*SPACING_MM, 1.0]))
    sliding_window = SlidingWindow((32, 32, 32), 0.0)
    predictor = Predictor(
        _bone_finder, Preprocessing((2.0, 2.0, 2.5)), HuWindow(-200, 1500), sliding_window, torch.device("cpu")
    )
    expected = to_canonical(predictor.mask(image, 0.2)).array
    same = 0
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        found = predictor.mask(reordered(image, order, signs), 0.2)
        same += np.array_equal(to_canonical(found).array, expected)
    return Check("axis orders of an image with the same anatomy", f"{same} of 48", "48 of 48", same == 48)


def validator(path: Path) -> Check:
    """Dciodvfy (Debian's dicom3tools) finds no error in a structure set."""
    name = "dciodvfy: errors in a structure set"
    if shutil.which("dciodvfy") is None:
        return Check(name, "dciodvfy is not installed", "0", None)
    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
    n_errors = sum(line.startswith("Error") for line in (done.stdout + done.stderr).splitlines())
    return Check(name, str(n_errors), "0", n_errors == 0)


def other_reader(folder: Path, series: Series, mask: Mask) -> Check:
    """Plastimatch reads the same mask from a structure set."""
    name = "arch: the structure set read by plastimatch"
    if shutil.which("plastimatch") is None:
        return Check(name, "plastimatch is not installed", "Dice 1.0000", None)
    with TemporaryDirectory() as out:
        command = ["plastimatch", "convert", "--input", str(folder / RTSTRUCT), "--referenced-ct", str(folder / CT)]
        subprocess.run([*command, "--output-prefix", out, "--prefix-format", "nrrd"], capture_output=True, check=False)
        files = sorted(Path(out).glob("*.nrrd"))
        if not files:
            return Check(name, "no mask was written", "Dice 1.0000", False)
        found = read_volume(files[0])
    if found.geometry.disagreement(series.geometry):
        return Check(name, "another grid", "Dice 1.0000", False)
    return _same(name, np.asarray(found.array, dtype=np.bool_), mask)


def own_scan(folder: Path) -> Iterator[Check]:
    """A CT of the clinic is plausible, and its largest bone comes back from a structure set.

    No check names the folder or a file, because the table is kept and they may have a patient's name.
    """
    name = "the CT series: a plausible CT in HU"
    try:
        series = read_series(folder)
        image = read_ct(series)
    except UserError as error:
        print(f"mandseg: {error.problems[0]}", file=sys.stderr)
        yield Check(name, "could not be read", "readable", False)
        return
    doubt = implausible(image)
    yield Check(name, doubt or "plausible", "plausible", not doubt)
    pieces, n_voxels = connected_pieces(np.asarray(image.array, dtype=np.float32) > BONE_FROM_HU)
    if n_voxels.size:
        bone = np.asarray(pieces == 1 + int(np.argmax(n_voxels)))
        yield same_after_round_trip("the CT series: its largest bone, mask to RTSTRUCT to mask", bone, series)


def masks() -> dict[str, Mask]:
    """Masks that contours have trouble with."""
    odd = np.zeros(SHAPE, np.bool_)
    odd[5, 5, 3] = True  # one voxel
    odd[10, 10, 3] = odd[11, 11, 3] = True  # a diagonal pair
    odd[20:40, 20:40, 3] = True
    odd[23:37, 23:37, 3] = False
    odd[26:34, 26:34, 3] = True  # an island in a hole
    odd[28:30, 28:32, 3] = odd[31, 29, 3] = False
    odd[0:3, 0:4, 5] = odd[98:, 85:, 5] = odd[:, 40, 5] = True  # at the edge of the image
    x, y, z = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    sphere = (x - 50) ** 2 + (y - 45) ** 2 + ((z - 6.5) * SPACING_MM[2]) ** 2 < 12**2
    return {"arch of 3 mm": arch_mask(), "sphere": sphere, "voxels, islands and holes": odd}


def arch_mask() -> Mask:
    """An arch of 3 mm on the synthetic CT's grid, with two rami of different height."""
    x, y, z = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    radius = np.hypot(x - 50, y - 45)
    ring = (radius < 33) & (radius >= 30) & (y <= 45)
    sides = (np.abs(np.abs(x - 50) - 31.5) < 1.5) & (y > 45) & (y < 65)
    rami = sides & (y > 55) & ((z < 11) | ((x < 50) & (z < 13)))
    return np.asarray((ring | sides) & (z >= 2) & (z < 7) | rami & (z >= 2))


def _hu(mask: Mask) -> np.ndarray:
    x, y = np.ogrid[: mask.shape[0], : mask.shape[1]]
    head = np.hypot((x - 50) / 46, (y - 45) / 42) < 1
    tissue = np.where(head, TISSUE_HU, AIR_HU)[:, :, None]
    return np.where(mask, BONE_HU, tissue).astype(np.int16)


def reordered(volume: Volume, order: tuple[int, ...], signs: tuple[int, ...]) -> Volume:
    """The same voxels at the same places, stored in another axis order; without nibabel, which undoes it."""
    step = np.eye(4)
    step[:3, :3] = np.eye(3)[:, order] * signs
    for axis in range(3):
        if signs[axis] < 0:
            step[order[axis], 3] = volume.array.shape[order[axis]] - 1
    array = volume.array.transpose(order)[tuple(slice(None, None, sign) for sign in signs)]
    return Volume(array, volume.affine @ step)


def _bone_finder(image: torch.Tensor) -> torch.Tensor:
    return 20 * image  # above 0, which is 650 HU, is bone


def _same(name: str, found: Mask, expected: Mask) -> Check:
    different = int(np.count_nonzero(found != expected))
    return Check(name, f"Dice {dice(found, expected):.4f}", "Dice 1.0000, every voxel", different == 0)
