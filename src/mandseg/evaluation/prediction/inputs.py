"""Finds the images that a user names: image files, DICOM series, and folders of either.

A folder with DICOM files below it stands for every CT series among them, however deep they lie. Another folder stands
for the image files directly in it.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from mandseg.data.dicom.archive import CT, DAMAGED, FOREIGN, OTHER, Archive, Record, Scan, read_archive, read_record
from mandseg.data.dicom.dataset import holds_dicom, looks_like_dicom
from mandseg.data.dicom.pixels import read_ct
from mandseg.data.dicom.pseudonyms import default_key_file, read_or_make_key
from mandseg.data.dicom.series import Series
from mandseg.data.importers.dicom_report import Names
from mandseg.data.volume import SUFFIXES, Volume, is_image_file, read_volume
from mandseg.system.errors import UserError
from mandseg.system.names import checked_name
from mandseg.system.wording import count


@dataclass(frozen=True)
class Input:
    """An image to predict, or the reason why there is none.

    Args:
        path: The image file, or the folder that holds all slices of the series.
        name: The name of its output files.
        scan: The DICOM series; None for an image file.
        problem: Why it cannot be read; empty if nothing is known against it.
    """

    path: Path
    name: str
    scan: Scan | None = None
    problem: str = ""
    is_nameless: bool = False
    """Whether the name cannot be a file's name."""
    hides_names: bool = False
    """Whether the table may name no file, because it may be called as the patient."""

    @property
    def identity(self) -> str:
        """What distinguishes it from other inputs: the UIDs of series and frame of reference, or the file's place."""
        return f"{self.scan.uid}|{self.scan.frame_of_reference_uid}" if self.scan else str(self.path.resolve())

    @cached_property
    def series(self) -> Series | None:
        """The sorted slices; None for an image file.

        Raises:
            UserError: The slices form no regular grid.
        """
        return self.scan.series() if self.scan else None

    def read(self) -> Volume:
        """The image; HU of DICOM.

        Raises:
            UserError: It cannot be read.
        """
        if self.problem:
            raise UserError(self.problem)
        if self.series is not None:
            return read_ct(self.series)
        try:
            image = read_volume(self.path)
        except UserError as error:
            if not self.hides_names:
                raise
            print(f"mandseg: {self.name}: {error}", file=sys.stderr)
            raise UserError("cannot be read; the terminal has the reason, which names the file") from error
        wide = image.array.dtype.kind == "f" and image.array.dtype != np.float32
        return Volume(image.array.astype(np.float32), image.affine) if wide else image


def find_inputs(paths: Sequence[Path]) -> list[Input]:
    """Every image that the paths name, each once, with names that differ.

    Raises:
        UserError: A path does not exist; one line for each.
    """
    if missing := [f"{path}: no such file or folder" for path in paths if not path.exists()]:
        raise UserError(missing)
    found: dict[tuple[Path, str], Input] = {}
    for path in paths:
        for one in _inputs_of(path):
            found.setdefault((one.path.resolve(), one.identity), one)
    return _with_names(list(found.values()))


def refuse_folder_of_inputs(out: Path, paths: Sequence[Path], inputs: Sequence[Input]) -> None:
    """Refuse to write into a folder of images: a later call would take its masks for images.

    Args:
        out: The folder to write, which need not exist.
        paths: The paths that the user named.
        inputs: The images found below them.

    Raises:
        UserError: It is a folder that was named, or one that holds a series.
    """
    folders = [path for path in (*paths, *(one.path for one in inputs)) if path.is_dir()]
    if out.exists() and any(out.samefile(folder) for folder in folders):
        raise UserError(
            f"{out}: holds the images, and masks among them would be taken for images; choose another --out"
        )


def refuse_nothing_to_predict(out: Path, inputs: Sequence[Input], rtstruct: bool) -> None:
    """Refuse a call that names no image, and structure sets where no image is DICOM, before anything is written.

    Args:
        out: The folder to write. If it exists, masks of earlier calls may have to go, and the rows say why.
        inputs: What was found.
        rtstruct: Whether structure sets are wanted.

    Raises:
        UserError: There is nothing to predict; one line for each input.
    """
    if not out.exists() and all(one.problem for one in inputs):
        raise UserError([f"{one.path}: {one.problem}" for one in inputs])
    readable = [one for one in inputs if not one.problem]
    if rtstruct and readable and all(one.scan is None for one in readable):
        raise UserError(f"--rtstruct: for DICOM series, and {readable[0].path} is an image file; leave out --rtstruct")


def with_pseudonyms(inputs: Sequence[Input], key: Path | None) -> list[Input]:
    """Name each input by a pseudonym: of a DICOM series the case id that ``mandseg prepare dicom`` gives it.

    Args:
        inputs: The images.
        key: The file with the key of the pseudonyms; default: the one in the user's settings, made if missing.
    """
    names = Names(read_or_make_key(key or default_key_file()))

    def pseudonym(one: Input) -> str:
        if one.scan is None:
            return f"i{names.pseudonyms.of('image', one.identity)}"
        return names.case(one.scan.patient, one.scan.uid, one.scan.frame_of_reference_uid)

    return [  # a problem's first part names no folder
        replace(one, name=pseudonym(one), hides_names=True, problem=one.problem.partition(";")[0]) for one in inputs
    ]


def _inputs_of(path: Path) -> Iterator[Input]:
    if path.is_dir():
        yield from _inputs_of_folder(path)
    elif looks_like_dicom(path):
        yield _input_of_dicom_file(path)
    else:
        known = is_image_file(path)
        problem = "" if known else f"unknown image format, expected DICOM or one of {', '.join(SUFFIXES)}"
        yield Input(path, stem(path), problem=problem)


def _inputs_of_folder(folder: Path) -> Iterator[Input]:
    if holds_dicom(folder):
        yield from _inputs_of_archive(folder, read_archive(folder))
        return
    files = sorted(file for file in folder.iterdir() if file.is_file() and is_image_file(file))
    yield from (Input(file, stem(file)) for file in files)
    if not files:
        problem = f"holds no DICOM file and no image file{_further_down(folder)}"
        yield Input(folder, folder.resolve().name, problem=problem)


def _further_down(folder: Path) -> str:
    """Where the images of a folder without images are, as the CTs of a cohort."""
    open_folders = (one for one in folder.iterdir() if one.is_dir() and os.access(one, os.R_OK | os.X_OK))
    below = sorted(one for one in open_folders if any(map(is_image_file, one.iterdir())))
    return f"; there are some in {', '.join(map(str, below[:3]))}" if below else ""


def _inputs_of_archive(folder: Path, archive: Archive) -> Iterator[Input]:
    beside: set[Path] = set()
    for scan in archive.scans:
        places = {record.path.parent for record in scan.records}
        place = places.pop() if len(places) == 1 else folder
        damaged = [r for r in archive.damaged if r.patient == scan.patient or r.path.parent == place]
        beside.update(record.path for record in damaged)
        problem = f"{count(len(damaged), 'file')} beside the series: {damaged[0].problem}" if damaged else ""
        yield Input(place, place.resolve().name, scan, problem)
    if not archive.scans:
        yield Input(folder, folder.resolve().name, problem=_no_series(archive))
        return
    of_no_series: dict[Path, list[Record]] = {}
    for record in archive.damaged:
        if record.path not in beside:
            of_no_series.setdefault(record.path if record.path.is_dir() else record.path.parent, []).append(record)
    for place, records in of_no_series.items():
        more = f" ({count(len(records), 'file')}, the first is {records[0].path.name})" if len(records) > 1 else ""
        yield Input(records[0].path, place.resolve().name, problem=f"{records[0].problem}{more}")


def _no_series(archive: Archive) -> str:
    """Why a folder with DICOM files has no CT series."""
    kinds = Counter(record.modality or record.kind for record in (*archive.others, *archive.doses))
    kinds.update("RTSTRUCT" for _ in archive.orphans)
    kinds.update("damaged" for _ in archive.damaged)
    words = ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
    return f"holds no CT series ({words})"


def _input_of_dicom_file(path: Path) -> Input:
    """An enhanced file is a series of its own; any other file is no image that can be predicted."""
    record = read_record(path)
    if record.kind == CT and not record.problem and len(record.planes) > 1:
        return Input(path, stem(path), Scan((record,)))
    return Input(path, stem(path), problem=_no_image(record))


def _no_image(record: Record) -> str:
    if record.problem:
        return record.problem
    if record.kind == CT:
        return "is one slice of a CT; give the folder of the series"
    kind = {OTHER: record.modality, FOREIGN: "no DICOM", DAMAGED: "damaged"}.get(record.kind, record.kind)
    return f"is {kind}, expected a CT"


def _with_names(inputs: Sequence[Input]) -> list[Input]:
    """Make the names differ: by the folders above, and then by the series' number."""
    named = list(inputs)
    for depth in range(1, 4):
        twice = _repeated(named)
        named = [
            replace(one, name="_".join([*one.path.resolve().parts[1:-1][-depth:], inputs[number].name]))
            if number in twice
            else one
            for number, one in enumerate(named)
        ]
    twice, count = _repeated(named), Counter[str]()
    for number in sorted(twice, key=lambda number: named[number].identity):
        count[named[number].name.casefold()] += 1
        named[number] = replace(named[number], name=f"{named[number].name}_{count[named[number].name.casefold()]}")
    return named


def _repeated(named: Sequence[Input]) -> set[int]:
    counts = Counter(one.name.casefold() for one in named)
    return {number for number, one in enumerate(named) if counts[one.name.casefold()] > 1}


def with_checked_name(one: Input) -> Input:
    """Give an input that cannot name a file a problem, and a name that can be printed."""
    try:
        checked_name("the image's name", one.name)
    except UserError as error:
        shown = one.name.encode("unicode_escape").decode()
        return replace(one, name=shown, problem=f"{error}; rename it, or give --pseudonyms", is_nameless=True)
    return one


def stem(path: Path) -> str:
    """A file's name without the suffix of an image file."""
    suffixes = sorted((*SUFFIXES, ".dcm", ".dicom", ".ima"), key=len, reverse=True)
    suffix = next((suffix for suffix in suffixes if path.name.lower().endswith(suffix)), "")
    return path.name[: len(path.name) - len(suffix)] or path.name
