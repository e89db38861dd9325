"""Finds the label files of a structure in a case's folder, and makes one binary label of them on the image's grid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mandseg.data.dicom.vocabulary import LEFT, RIGHT, WHOLE, plain
from mandseg.data.importers.cohort_folder import stem
from mandseg.data.importers.labels import fraction_among
from mandseg.data.loaded_case import with_integer_values
from mandseg.data.structure import vocabulary
from mandseg.data.volume import Geometry, Volume, is_image_file, read_geometry, read_volume, write_volume
from mandseg.metrics.masks import Mask
from mandseg.system.errors import UserError

WHOLE_VOXELS = 0.01  # of a voxel: how exactly a label that was cropped has to fit on the image's grid


@dataclass(frozen=True)
class OrganFiles:
    """The files of a structure: one for the whole, or one for each half."""

    paths: tuple[Path, ...] = ()
    missing: str = ""
    """What is missing, e.g. ``no Mandible`` or ``the left half of Mandible and not the right``; empty if nothing."""


def find_organ(files: Mapping[str, Path], structure: str) -> OrganFiles:
    """Choose the files of a structure by their names; the names of structures.yaml all mean the same.

    Args:
        files: Name of a structure, as the provider writes it -> its file.
        structure: The wanted structure by any of its names.
    """
    parts: dict[str, Path] = {}
    for name in sorted(files):
        if part := vocabulary().part(structure, name):
            if part in parts:
                both = f"{parts[part].name} and {files[name].name}"
                return OrganFiles(missing=f"two files of {structure}, {both}: expected one")
            parts[part] = files[name]
    if WHOLE in parts:
        return OrganFiles((parts[WHOLE],))
    if LEFT in parts and RIGHT in parts:
        return OrganFiles((parts[LEFT], parts[RIGHT]))
    if not parts:
        return OrganFiles(missing=f"no {structure}")
    there, absent = (LEFT, RIGHT) if LEFT in parts else (RIGHT, LEFT)
    return OrganFiles(missing=f"the {there} half of {structure} and not the {absent}")


def image_files(folder: Path) -> dict[str, Path]:
    """List the image files directly in a folder, by name without suffix; empty if there is no folder."""
    return (
        {stem(path.name): path for path in sorted(folder.iterdir()) if is_image_file(path)} if folder.is_dir() else {}
    )


def image_named(folder: Path, *names: str) -> Path | None:
    """Find the image file with one of these names, ignoring case, hyphens, underscores and blanks."""
    wanted = set(map(plain, names))
    return next((path for name, path in image_files(folder).items() if plain(name) in wanted), None)


def one_label(case_id: str, column: str, paths: Sequence[Path], image: Path | None, dest: Path) -> Path | None:
    """Give one binary label of a structure on the grid of its image.

    Args:
        case_id: The case, for messages.
        column: ``reference`` or ``noisy``.
        paths: The files of its parts; voxels other than 0 belong to it.
        image: The case's image.
        dest: The file to write if the provider's file cannot be used as it is.

    Returns:
        The provider's own file if it is the only one, binary and on the image's grid; otherwise the written file, in
        which halves are merged and a label that covers only a part of the image is put in its place. None if empty.

    Raises:
        UserError: A file cannot be read, or its grid does not fit on the image's; without an image, on that of the
            first file.
    """
    try:
        volumes = [_read_whole_numbers(path) for path in paths]
        grid, whose = (read_geometry(image), "the image") if image else (volumes[0].geometry, paths[0].name)
        masks = [placed_on(volume, grid, whose) for volume in volumes]
    except UserError as error:
        raise UserError([f"case {case_id}: {column} {line}" for line in error.problems]) from error
    merged = np.logical_or.reduce(masks)
    if not merged.any():
        return None
    stored = volumes[0].array
    is_on_grid = volumes[0].geometry.disagreement(grid) is None
    if len(paths) == 1 and is_on_grid and bool(np.isin(stored, (0, 1)).all()):
        return paths[0]
    write_volume(dest, Volume(merged.astype(np.uint8), grid.affine))
    return dest


def _read_whole_numbers(path: Path) -> Volume:
    label, _ = with_integer_values(read_volume(path))
    if label.array.dtype.kind == "f" and (fraction := fraction_among(np.unique(label.array))):
        raise UserError(f"{path}: {fraction}")
    return label


def placed_on(label: Volume, grid: Geometry, whose: str = "the image") -> Mask:
    """Put a label into the grid of its image; 3D Slicer stores only the part of a label that is not empty.

    Args:
        label: The label, (X, Y, Z); voxels other than 0 belong to it.
        grid: The grid.
        whose: What has the grid, for messages.

    Returns:
        A mask, bool, with the grid's shape.

    Raises:
        UserError: The label has other voxels than the grid, or some of its set voxels lie outside.
    """
    mask: Mask = label.array != 0
    difference = label.geometry.disagreement(grid)
    if difference is None:
        return mask
    to_grid = np.linalg.inv(grid.affine) @ label.affine
    start = np.rint(to_grid[:3, 3]).astype(int)
    fits = np.allclose(to_grid[:3, :3], np.eye(3), atol=1e-3)
    if not fits or not np.allclose(to_grid[:3, 3], start, atol=WHOLE_VOXELS):
        raise UserError(f"{difference} of {whose}")
    voxels = np.argwhere(mask) + start
    if (voxels < 0).any() or (voxels >= np.array(grid.shape)).any():
        raise UserError(f"{difference} of {whose}, and the label reaches out of it")
    out: Mask = np.zeros(grid.shape, bool)
    out[tuple(voxels.T)] = True
    return out
