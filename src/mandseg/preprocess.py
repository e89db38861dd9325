"""Preprocessing once per case and setting into an on-disk cache: scans in, memory-mapped arrays on one spacing out.

An entry is a folder named by the hash of everything that defines it (file contents, settings), so that a changed
file or setting makes a new entry, and jobs that start together share one.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from filelock import FileLock
from scipy import ndimage

from mandseg.cohort import Case
from mandseg.errors import UserError
from mandseg.noise import PlanningPanel, Recorded
from mandseg.progress import for_each
from mandseg.scan import Scan, load_scan
from mandseg.volume import Geometry, Volume, from_canonical, to_canonical

FORMAT = 4  # part of every key: raise it when the meaning of an entry changes
AIR_HU = -1000
BODY_HU = -300  # above air, lung and foam; below fat
BODY_SMOOTH_MM = 8.0  # what is thinner (couch sheets, mask, tubes) is not body

Hu = npt.NDArray[np.int16]
Label = npt.NDArray[np.uint8]
NoiseSource = Recorded | PlanningPanel


@dataclass(frozen=True)
class Preprocessing:
    """How scans are brought to one form.

    Args:
        spacing_mm: Voxel size of the network's grid, on RAS+ axes.
        margin_mm: Air kept round the body.
    """

    spacing_mm: tuple[float, float, float]
    margin_mm: float = 10.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "spacing_mm", tuple(float(s) for s in self.spacing_mm))

    def image(self, scan: Scan) -> Volume:
        """Reorient, crop to the body and resample linearly: int16 HU on RAS+ axes."""
        image = to_canonical(scan.image)
        window = body_window(image.array, image.geometry.spacing_mm, self.margin_mm)
        image = resample(crop_to(image, window), self.spacing_mm)
        hu = np.clip(np.rint(image.array), AIR_HU, 3071).astype(np.int16)
        return Volume(np.ascontiguousarray(hu), image.affine)

    def label(self, label: Volume, grid: Geometry) -> Label:
        """Bring a mask on RAS+ axes onto the preprocessed grid: linear, then at least half of the voxel."""
        soft = resample_onto(Volume(label.array.astype(np.float32), label.affine), grid)
        return np.asarray(soft >= 0.5, dtype=np.uint8)


@dataclass(frozen=True)
class PreparedCase:
    """A case in the cache; arrays are memory-mapped when first asked for."""

    case: Case
    annotator: str
    folder: Path
    noisy_file: Path | None

    @cached_property
    def image(self) -> Hu:
        """HU, (X, Y, Z), int16, RAS+ axes, body crop."""
        return np.asarray(np.load(self.folder / "image.npy", mmap_mode="r"))

    @cached_property
    def reference(self) -> Label | None:
        """The reference label on the image's grid; None if the case has none."""
        file = self.folder / "reference.npy"
        return np.asarray(np.load(file, mmap_mode="r")) if file.exists() else None

    @cached_property
    def noisy(self) -> Label | None:
        """The noisy label, recorded or simulated, on the image's grid; None if there is none."""
        return None if self.noisy_file is None else np.asarray(np.load(self.noisy_file, mmap_mode="r"))

    @cached_property
    def grid(self) -> Geometry:
        """The preprocessed grid."""
        return _geometry(json.loads((self.folder / "grid.json").read_text())["grid"])

    @cached_property
    def original(self) -> Geometry:
        """The image file's own grid, in the file's axis order."""
        return _geometry(json.loads((self.folder / "grid.json").read_text())["original"])


def prepare_cases(
    cases: Sequence[Case], preprocessing: Preprocessing, cache: Path, noise: NoiseSource | None = None, workers: int | None = None
) -> list[PreparedCase]:
    """Make or find the cache entry of each case, with a progress bar where there is work to do.

    Args:
        cases: Cases with an image.
        preprocessing: The settings.
        cache: The cache folder, made if missing; several jobs may share it.
        noise: Where noisy labels come from; None where none are wanted (validation, test).
        workers: Processes to use; by default one for each core when there are many cases.

    Raises:
        UserError: The lines of every case that cannot be used.
    """
    cache.mkdir(parents=True, exist_ok=True)
    ready = all(_is_prepared(case, preprocessing, cache, noise) for case in cases)
    one = partial(_prepare_or_problems, preprocessing=preprocessing, cache=cache, noise=noise)
    results = list(for_each(one, cases, "Preparing cases", workers=1 if ready else workers))
    if problems := [line for result in results if isinstance(result, list) for line in result]:
        raise UserError(problems)
    return [result for result in results if isinstance(result, PreparedCase)]


def prepare_case(case: Case, preprocessing: Preprocessing, cache: Path, noise: NoiseSource | None) -> PreparedCase:
    """Make or find the cache entry of one case."""
    folder = cache / _entry_key(case, preprocessing, cache)
    noisy_file = _noisy_file(case, folder, noise)
    if not (folder / "grid.json").exists() or (noisy_file is not None and not noisy_file.exists()):
        with FileLock(cache / f"{folder.name}.lock"):
            _make_entry(case, folder, noisy_file, preprocessing, noise)
    return PreparedCase(case, noise.annotator(case) if noise else case.annotator, folder, noisy_file)


def resample(volume: Volume, spacing_mm: tuple[float, float, float]) -> Volume:
    """Resample a volume on RAS+ axes linearly to a spacing, with smoothing where it gets coarser (TorchIO)."""
    import torch
    import torchio as tio

    image = tio.ScalarImage(tensor=torch.from_numpy(volume.array.astype(np.float32))[None], affine=volume.affine)
    out = tio.Resample(spacing_mm, image_interpolation="linear", antialias=True)(image)
    return Volume(out.numpy()[0], np.asarray(out.affine))


def resample_onto(volume: Volume, grid: Geometry, fill: float = 0.0) -> npt.NDArray[np.float32]:
    """Interpolate a volume linearly at the voxel centres of another grid with parallel axes.

    Args:
        volume: Values, (X, Y, Z).
        grid: The grid to sample at.
        fill: The value beyond the volume.
    """
    to_source = np.linalg.inv(volume.affine) @ grid.affine
    matrix = to_source[:3, :3]
    if np.allclose(matrix, np.diag(np.diag(matrix)), atol=1e-6):
        matrix = np.diag(matrix)  # scipy goes axis by axis then, which is much faster
    values = volume.array.astype(np.float32, copy=False)
    out = ndimage.affine_transform(
        values, matrix, to_source[:3, 3], grid.shape, order=1, mode="constant", cval=fill, prefilter=False
    )
    return np.asarray(out, dtype=np.float32)


def back_to_original(soft: Volume, original: Geometry) -> npt.NDArray[np.float32]:
    """Bring values on a preprocessed grid to the image file's own grid and axis order; 0 outside the body crop."""
    blank = Volume(np.broadcast_to(np.float32(0), original.shape), original.affine)
    canonical = to_canonical(blank).geometry
    return np.asarray(from_canonical(resample_onto(soft, canonical), original))


def crop_to(volume: Volume, window: tuple[slice, ...]) -> Volume:
    """Cut a box out of a volume; its affine moves with it."""
    affine = volume.affine.copy()
    affine[:3, 3] = (volume.affine @ [*(s.start for s in window), 1])[:3]
    return Volume(volume.array[window], affine)


def body_window(hu: npt.NDArray[np.generic], spacing_mm: tuple[float, float, float], margin_mm: float) -> tuple[slice, ...]:
    """Find the box round the body, with a margin; the whole volume where nothing is denser than air."""
    step = [max(1, round(BODY_SMOOTH_MM / 2 / s)) for s in spacing_mm]
    coarse = ndimage.binary_opening(hu[:: step[0], :: step[1], :: step[2]] > BODY_HU, iterations=1)
    labels, n = ndimage.label(coarse)
    if n == 0:
        return tuple(slice(0, size) for size in hu.shape)
    largest = int(np.argmax(np.bincount(labels.ravel())[1:]))
    box = ndimage.find_objects(labels)[largest]
    margins = [round(margin_mm / s) for s in spacing_mm]
    return tuple(
        slice(max((b.start - 1) * k - m, 0), min((b.stop + 1) * k + m, size))
        for b, k, m, size in zip(box, step, margins, hu.shape, strict=True)
    )


def _make_entry(
    case: Case, folder: Path, noisy_file: Path | None, preprocessing: Preprocessing, noise: NoiseSource | None
) -> None:
    """Write what is missing of an entry; the caller holds its lock."""
    scan = load_scan(case)
    if not (folder / "grid.json").exists():
        _write_folder(folder, scan, preprocessing)
    if noise is not None and noisy_file is not None and not noisy_file.exists():
        grid = _geometry(json.loads((folder / "grid.json").read_text())["grid"])
        _save_array(noisy_file, preprocessing.label(_draw(scan, noise), grid))


def _write_folder(folder: Path, scan: Scan, preprocessing: Preprocessing) -> None:
    image = preprocessing.image(scan)
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=folder.parent))
    try:
        np.save(part / "image.npy", image.array)
        if scan.reference is not None:
            np.save(part / "reference.npy", preprocessing.label(to_canonical(scan.reference), image.geometry))
        grids = {"grid": _as_json(image.geometry), "original": _as_json(scan.image.geometry)}
        (part / "grid.json").write_text(json.dumps(grids))
        shutil.rmtree(folder, ignore_errors=True)
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _draw(scan: Scan, noise: NoiseSource) -> Volume:
    reference = None if scan.reference is None else to_canonical(scan.reference)
    recorded = None if scan.noisy is None else to_canonical(scan.noisy)
    grid = to_canonical(scan.image).geometry
    drawn = noise.draw(
        scan.case,
        None if reference is None else np.asarray(reference.array, dtype=np.bool_),
        None if recorded is None else np.asarray(recorded.array, dtype=np.bool_),
        grid.spacing_mm,
    )
    return Volume(drawn, grid.affine)


def _save_array(path: Path, array: Label) -> None:
    part = path.with_name(f".part-{os.getpid()}-{path.name}")
    try:
        np.save(part, array)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _noisy_file(case: Case, folder: Path, noise: NoiseSource | None) -> Path | None:
    """Where a case's noisy label lies; None where it has none or none is wanted."""
    if noise is None or not noise.available(case):
        return None
    words = repr((noise, noise.annotator(case), case.case_id if isinstance(noise, PlanningPanel) else ""))
    return folder / f"noisy-{hashlib.sha256(words.encode()).hexdigest()[:16]}.npy"


def _is_prepared(case: Case, preprocessing: Preprocessing, cache: Path, noise: NoiseSource | None) -> bool:
    folder = cache / _entry_key(case, preprocessing, cache)
    noisy_file = _noisy_file(case, folder, noise)
    return (folder / "grid.json").exists() and (noisy_file is None or noisy_file.exists())


def _entry_key(case: Case, preprocessing: Preprocessing, cache: Path) -> str:
    contents = [_content_digest(path, cache) for path in (case.image, case.reference, case.noisy)]
    text = json.dumps([FORMAT, contents, asdict(preprocessing)])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _content_digest(path: Path | None, cache: Path) -> str:
    """Hash a file's content, remembered by path, size and time of change so that a job need not read it again."""
    if path is None:
        return ""
    try:
        stat = path.stat()
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    name = hashlib.sha256(f"{path}|{stat.st_size}|{stat.st_mtime_ns}".encode()).hexdigest()[:24]
    memo = cache / "digests" / name
    if memo.exists():
        return memo.read_text()
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    memo.parent.mkdir(exist_ok=True)
    part = memo.with_name(f".{name}-{os.getpid()}")
    part.write_text(digest)
    part.replace(memo)
    return digest


def _prepare_or_problems(
    case: Case, preprocessing: Preprocessing, cache: Path, noise: NoiseSource | None
) -> PreparedCase | list[str]:
    try:
        return prepare_case(case, preprocessing, cache, noise)
    except UserError as error:
        return error.problems


def _as_json(grid: Geometry) -> dict[str, object]:
    return {"shape": list(grid.shape), "affine": grid.affine.tolist()}


def _geometry(values: dict[str, list[int]]) -> Geometry:
    return Geometry(tuple(values["shape"]), np.array(values["affine"], dtype=np.float64))
