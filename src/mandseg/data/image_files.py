"""Lists the files of one image: its own file and the data files that a detached header names.

Code that hashes, compares or copies an image uses this list, so that it never takes a header for the voxels.
"""

from pathlib import Path

from mandseg.data.formats.text_header import existing, read_metaimage, read_nrrd
from mandseg.system.errors import UserError

PAIRED = {".hdr": ".img", ".img": ".hdr"}  # Analyze and NIfTI pairs: the header's suffix and the data's
HEADERS = {".nrrd": read_nrrd, ".nhdr": read_nrrd, ".mha": read_metaimage, ".mhd": read_metaimage}


def files_of(path: Path) -> tuple[Path, ...]:
    """List all files of an image: the given one first, the others in the order of their voxels.

    Args:
        path: The file in the manifest. Links are not followed: the data of a header is expected beside the link.

    Raises:
        UserError: The file, or a data file that its header names, is missing; or a name leaves the header's folder.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    read_header = HEADERS.get(path.suffix.lower())
    try:
        return (path, *existing(path, read_header(path).data_names if read_header else _pair_names(path)))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable image ({error})") from error


def _pair_names(path: Path) -> list[str]:
    """Name the other file of an Analyze or NIfTI pair, with or without .gz."""
    name = path.name[: -len(".gz")] if path.name.lower().endswith(".gz") else path.name
    stem, suffix = name[: -len(Path(name).suffix) or None], Path(name).suffix.lower()
    if suffix not in PAIRED:
        return []
    wanted = {f"{stem}{PAIRED[suffix]}{end}".lower() for end in ("", ".gz")}
    found = [file.name for file in sorted(path.parent.iterdir()) if file.name.lower() in wanted]
    return found or [f"{stem}{PAIRED[suffix]}"]
