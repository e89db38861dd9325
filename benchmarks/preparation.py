"""How long does it take to prepare one case, beside nnU-Net v2, MONAI and TorchIO? One row for each peer.

Run: python benchmarks/preparation.py [--repeats 5] [--cohort COHORT/manifest.csv]

Every side reads a CT and its label from compressed NIfTI files, brings them to 2.5 mm and writes them for training.
The peers have their default settings: nnU-Net's DefaultPreprocessor (crop to values that are not 0, cubic for the CT,
linear for the label, blosc2); MONAI's Orientation, CropForeground and Spacing; TorchIO's ToCanonical and Resample with
smoothing. mandseg also hashes the files, checks the case and writes files that survive a power cut. Its second start
finds the entry and reads no image.

Without --cohort a phantom's files are made. A peer is timed where it can be
imported. All sides take turns in one process.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

import nnunet_peer
from comparison import Timing, in_turn, show, time_row, timed
from mandseg.data.cache import prepare_case
from mandseg.data.case import Case
from mandseg.data.manifest import read_cohort
from mandseg.data.phantom import CLINIC, phantom_case
from mandseg.data.preprocessing import Preprocessing
from mandseg.data.volume import write_volume

SPACING_MM = (2.5, 2.5, 2.5)
BODY_HU = -300
Side = Callable[[Case, Path], object]


def phantom_files(folder: Path) -> Case:
    """A phantom's CT and label as files."""
    image, label = phantom_case(CLINIC, 0)
    write_volume(folder / "ct.nii.gz", image)
    write_volume(folder / "label.nii.gz", label)
    return Case("phantom", "phantom", "train", folder / "ct.nii.gz", folder / "label.nii.gz", None, "")


def mandseg(case: Case, folder: Path) -> object:
    """The product: an entry of an empty cache."""
    return prepare_case(case, Preprocessing(SPACING_MM), folder, None)


def monai() -> Side:
    """MONAI's transforms, and two arrays."""
    from monai.transforms import Compose, CropForegroundd, EnsureChannelFirstd, LoadImaged, Orientationd, Spacingd

    both = ("image", "label")
    steps = Compose(
        [
            LoadImaged(both),
            EnsureChannelFirstd(both),
            Orientationd(both, axcodes="RAS", labels=None),
            CropForegroundd(both, source_key="image", select_fn=lambda hu: hu > BODY_HU, margin=3),
            Spacingd(both, pixdim=SPACING_MM, mode=("bilinear", "nearest")),
        ]
    )

    def prepare(case: Case, folder: Path) -> None:
        made = steps({"image": str(case.image), "label": str(case.reference)})
        for name in both:
            np.save(folder / f"{name}.npy", made[name].numpy())

    return prepare


def torchio() -> Side:
    """TorchIO's transforms on the whole CT, and two arrays."""
    import torchio as tio

    steps = tio.Compose([tio.ToCanonical(), tio.Resample(SPACING_MM, antialias=True)])

    def prepare(case: Case, folder: Path) -> None:
        made = steps(tio.Subject(image=tio.ScalarImage(case.image), label=tio.LabelMap(case.reference)))
        for name in ("image", "label"):
            np.save(folder / f"{name}.npy", made[name].numpy())

    return prepare


def nnunet() -> Side:
    """nnU-Net's preprocessor with the plans that its planner writes for CT, at our spacing."""
    return nnunet_peer.preparation(SPACING_MM)


def turn(side: Side, case: Case) -> Timing:
    """A side, into an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        return timed(lambda: side(case, Path(folder)))


def second_starts(case: Case, repeats: int) -> list[Timing]:
    """The product where the entry is there."""
    with tempfile.TemporaryDirectory() as folder:
        time.sleep(2.5)  # digests of files that were just written are not kept
        mandseg(case, Path(folder))
        return [timed(lambda: mandseg(case, Path(folder))) for _ in range(repeats)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cohort", type=Path, help="a manifest; its first validation case is taken")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        case = phantom_files(Path(folder))
        if arguments.cohort:
            case = read_cohort(arguments.cohort).split("val")[0]
        sides: dict[str, Side] = {"mandseg": mandseg}
        for make in (nnunet, monai, torchio):
            try:
                sides[make.__name__] = make()
            except ImportError as error:
                print(f"{make.__name__} is not installed ({error}): not compared")
        for side in sides.values():
            turn(side, case)  # to warm up
        turns = in_turn({name: partial(turn, side, case) for name, side in sides.items()}, arguments.repeats)
        again = second_starts(case, arguments.repeats)
    own, work = turns.pop("mandseg"), "preparation of a case at 2.5 mm"
    rows = [time_row(work, name, own, other) for name, other in turns.items()]
    show("preparation", [*rows, time_row("second start with this case", "its preparation", again, own)])


if __name__ == "__main__":
    main()
