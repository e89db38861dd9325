"""The cache of prepared cases on disk, shared by all jobs and memory-mapped.

An entry is a folder. Its name is the hash of everything that defines it (file contents, settings), so a changed file or
setting makes a new entry. Entries appear complete or not at all. A lock prevents two jobs from making the same entry.
Each file of an entry has a checksum, which is compared once in every run; a damaged entry is made again.
"""

import hashlib
import json
import logging
import math
import mmap
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache, cached_property, lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mandseg.data.case import Case
from mandseg.data.content import case_digests
from mandseg.data.importers.hounsfield import not_hu
from mandseg.data.label_source import LabelSource
from mandseg.data.loaded_case import LoadedCase, load_case, orientation_doubts
from mandseg.data.preprocessing import Label, Preprocessing
from mandseg.data.same_patient.fingerprint import FINGERPRINT_FILE, as_bytes, fingerprint_of
from mandseg.data.structure import structure_of
from mandseg.data.volume import Geometry, Hu, Volume, to_canonical
from mandseg.system.checksums import is_intact, write_checksum
from mandseg.system.errors import RunFailedError, UserError
from mandseg.system.files import atomic_folder, atomic_write, writable_folder, write_text
from mandseg.system.lock import locked
from mandseg.system.progress import for_each
from mandseg.system.wording import some_of

log = logging.getLogger(__name__)

GRID_FILE = "grid.json"
DOUBT = "orientation_doubt"  # a key of the file, where there is one
MEASURED = ".applied.json"
"""End of the file beside a noisy label that holds its measured noise (mandseg.noise.applied)."""
FORMAT = 11  # part of every key; increase it when the content of an entry changes


def max_open_maps() -> int:
    """Give the number of arrays to keep mapped: at most half of the file descriptors of the process."""
    try:
        import resource
    except ImportError:  # Windows allows thousands
        return 1024
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 4096 if soft == resource.RLIM_INFINITY else min(soft // 2, 4096)


@dataclass(frozen=True)
class PreparedCase:
    """A case in the cache. Its arrays are memory-mapped, and the number of open maps is limited."""

    case: Case
    annotator: str
    folder: Path
    noisy_file: Path | None

    @property
    def image(self) -> Hu:
        """HU, (X, Y, Z), int16, RAS+ axes, body crop."""
        return _mapped(self.folder / "image.npy")

    @property
    def reference(self) -> Label | None:
        """The reference label on the image's grid; None if the case has none."""
        return None if self.case.reference is None else _mapped(self.folder / "reference.npy")

    @property
    def noisy(self) -> Label | None:
        """The noisy label, recorded or simulated, on the image's grid; None if the case has none."""
        return None if self.noisy_file is None else _mapped(self.noisy_file)

    @cached_property
    def grid(self) -> Geometry:
        """The preprocessed grid."""
        return _geometry(self._described["grid"])

    @property
    def orientation_doubt(self) -> str:
        """What was doubtful about the image's orientation when the entry was made; empty if nothing."""
        return str(self._described.get(DOUBT, ""))  # older entries have none

    @cached_property
    def original(self) -> Geometry:
        """The image file's own grid, in the file's axis order."""
        return _geometry(self._described["original"])

    @cached_property
    def _described(self) -> dict[str, Any]:
        described: dict[str, Any] = json.loads((self.folder / GRID_FILE).read_text())
        return described


@lru_cache(maxsize=max_open_maps())
def _mapped(file: Path) -> npt.NDArray[Any]:
    """Map an array into memory; the least recently used maps are closed, so a cohort may be of any size.

    Raises:
        RunFailedError: The file was removed after the cases were prepared.
    """
    try:
        shape, order, dtype, offset = _layout(file)
        with file.open("rb") as stored:
            content = mmap.mmap(stored.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError as error:
        raise RunFailedError(f"{file} vanished from the cache; the same command makes it again") from error
    return np.frombuffer(content, dtype, math.prod(shape), offset).reshape(shape, order=order)


@cache
def _layout(file: Path) -> tuple[tuple[int, ...], Literal["C", "F"], np.dtype[Any], int]:
    """Read shape, order, type and offset of a stored array; cached, because parsing is slower than opening a file."""
    with file.open("rb") as stored:
        np.lib.format.read_magic(stored)
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stored)
        return shape, "F" if is_fortran else "C", dtype, stored.tell()


def prepare_cases(
    cases: Sequence[Case],
    preprocessing: Preprocessing,
    cache: Path,
    noise: LabelSource | None = None,
    workers: int | None = None,
) -> list[PreparedCase]:
    """Return the cache entry of each case and make missing ones, with a progress bar.

    Args:
        cases: Cases with an image.
        preprocessing: The settings.
        cache: The cache folder, made if missing; several jobs may share it.
        noise: The source of the noisy labels; None if none are wanted (validation, test).
        workers: Number of processes; by default one for each core if there are many cases.

    Raises:
        UserError: Cases are unusable; the lines of all of them.
    """
    writable_folder(cache, "cache_dir")
    ready = all(_is_prepared(case, preprocessing, cache, noise) for case in cases)
    work = partial(_prepare_or_problems, preprocessing=preprocessing, cache=cache, noise=noise)
    results = list(for_each(work, cases, "Preparing cases", workers=1 if ready else workers))
    if problems := [line for result in results if isinstance(result, list) for line in result]:
        raise UserError(problems)
    prepared = [result for result in results if isinstance(result, PreparedCase)]
    if doubtful := [p for p in prepared if p.orientation_doubt]:
        what = some_of(len(doubtful), len(prepared), "case", "lie")
        first = f"case {doubtful[0].case.case_id}, {doubtful[0].orientation_doubt}"
        log.warning("%s as no mandible does, e.g. %s (mandseg check lists all)", what, first)
    return prepared


def prepare_case(case: Case, preprocessing: Preprocessing, cache: Path, noise: LabelSource | None) -> PreparedCase:
    """Return the cache entry of one case and make it if it is missing."""
    folder = cache / _entry_key(case, preprocessing, cache)
    noisy_file = _noisy_file(case, folder, noise)
    if _damaged(case, folder, noisy_file):
        with locked(cache / f".{folder.name}.lease"):
            if _damaged(case, folder, noisy_file):  # else another job made it in the meantime
                _remove_damaged(case, folder, noisy_file)
                _make_entry(case, folder, noisy_file, preprocessing, noise)
    return PreparedCase(case, noise.annotator(case) if noise else case.annotator, folder, noisy_file)


def _damaged(case: Case, folder: Path, noisy_file: Path | None) -> list[Path]:
    """The files of an entry that are missing or are not what was written."""
    files = [folder / GRID_FILE, folder / "image.npy"]
    files += [folder / "reference.npy"] if case.reference is not None else []
    files += [noisy_file] if noisy_file is not None else []
    return [file for file in files if not is_intact(file, f"{folder.name}/{file.name}")]


def _remove_damaged(case: Case, folder: Path, noisy_file: Path | None) -> None:
    """Remove a damaged label, or the whole entry if image, reference or grid is damaged. The caller holds the lock."""
    damaged = [file for file in _damaged(case, folder, noisy_file) if file.exists()]
    if not folder.exists() or not (damaged or _damaged(case, folder, None)):
        return
    names = ", ".join(file.name for file in damaged) or "files are missing"
    log.warning("case %s: its entry in the cache is damaged (%s: %s); it is made again", case.case_id, folder, names)
    if _damaged(case, folder, None):
        shutil.rmtree(folder)
    elif noisy_file is not None:
        noisy_file.unlink()
    _mapped.cache_clear()
    _layout.cache_clear()


def _make_entry(
    case: Case, folder: Path, noisy_file: Path | None, preprocessing: Preprocessing, noise: LabelSource | None
) -> None:
    """Write the missing files of an entry. The caller holds its lock, so partial files have no living writer."""
    for leftover in folder.parent.glob(f".{folder.name}.{'[0-9a-f]' * 12}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    for leftover in folder.glob(".*"):
        if MEASURED not in leftover.name:  # other jobs write these without the lock
            leftover.unlink(missing_ok=True)
    loaded = load_case(case)
    label = loaded.reference or loaded.noisy
    if doubt := not_hu(loaded.image.array, None if label is None else label.array != 0):
        raise UserError(f"case {case.case_id}: {doubt} mandseg prepare folder --hu-offset converts stored values")
    if not (folder / GRID_FILE).exists():
        _write_folder(folder, loaded, preprocessing)
    if noise is not None and noisy_file is not None and not noisy_file.exists():
        grid = _geometry(json.loads((folder / GRID_FILE).read_text())["grid"])
        _save_array(noisy_file, preprocessing.label(_draw(loaded, noise), grid))
        write_checksum(noisy_file, f"{folder.name}/{noisy_file.name}")


def _write_folder(folder: Path, loaded: LoadedCase, preprocessing: Preprocessing) -> None:
    image = preprocessing.image(loaded.image, f"case {loaded.case.case_id}: image")
    grids: dict[str, object] = {"grid": _as_json(image.geometry), "original": _as_json(loaded.image.geometry)}
    label = loaded.reference or loaded.noisy
    if label is not None and structure_of(loaded.case).is_mandible and (doubts := orientation_doubts(label)):
        grids[DOUBT] = doubts[0]
    with atomic_folder(folder) as part:
        _save_array(part / "image.npy", image.array)
        if loaded.reference is not None:
            _save_array(part / "reference.npy", preprocessing.label(to_canonical(loaded.reference), image.geometry))
        (part / FINGERPRINT_FILE).write_bytes(as_bytes(fingerprint_of(loaded)))
        write_text(part / GRID_FILE, json.dumps(grids))
        for file in sorted(part.iterdir()):
            write_checksum(file, f"{folder.name}/{file.name}")


def _draw(loaded: LoadedCase, noise: LabelSource) -> Volume:
    reference = None if loaded.reference is None else to_canonical(loaded.reference)
    recorded = None if loaded.noisy is None else to_canonical(loaded.noisy)
    image = to_canonical(loaded.image)
    drawn = noise.draw(
        loaded.case,
        None if reference is None else np.asarray(reference.array, dtype=np.bool_),
        None if recorded is None else np.asarray(recorded.array, dtype=np.bool_),
        image.geometry.spacing_mm,
        image.array,
    )
    return Volume(drawn, image.affine)


def _save_array(path: Path, array: npt.NDArray[Any]) -> None:
    with atomic_write(path) as file:
        np.save(file, array)


def _noisy_file(case: Case, folder: Path, noise: LabelSource | None) -> Path | None:
    """Give the file of a case's noisy label; None if it has none or none is wanted."""
    if noise is None or not noise.available(case):
        return None
    return folder / f"noisy-{hashlib.sha256(noise.label_key(case).encode()).hexdigest()[:16]}.npy"


def _is_prepared(case: Case, preprocessing: Preprocessing, cache: Path, noise: LabelSource | None) -> bool:
    try:
        folder = cache / _entry_key(case, preprocessing, cache)
    except UserError:  # prepare_case reports it together with the problems of other cases
        return False
    noisy_file = _noisy_file(case, folder, noise)
    return (folder / GRID_FILE).exists() and (noisy_file is None or noisy_file.exists())


def _entry_key(case: Case, preprocessing: Preprocessing, cache: Path) -> str:
    text = json.dumps([FORMAT, case_digests(case, cache), asdict(preprocessing)])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _prepare_or_problems(
    case: Case, preprocessing: Preprocessing, cache: Path, noise: LabelSource | None
) -> PreparedCase | list[str]:
    try:
        return prepare_case(case, preprocessing, cache, noise)
    except UserError as error:
        return error.problems


def _as_json(grid: Geometry) -> dict[str, object]:
    return {"shape": list(grid.shape), "affine": grid.affine.tolist()}


def _geometry(values: dict[str, list[int]]) -> Geometry:
    return Geometry(tuple(values["shape"]), np.array(values["affine"], dtype=np.float64))
