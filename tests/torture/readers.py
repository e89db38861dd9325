"""The readers of files that anybody may have written, each with sound files to damage."""

import io
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import SimpleITK as sitk
import torch
from mutations import change_value, damage_bytes, damage_dicom, damage_headed, damage_json, damage_table, odd_value
from rich.console import Console

from composing import composed
from dicom_files import ct_slices, ids, save, square, write_structure_set
from mandseg.data.case import Case
from mandseg.data.dicom.archive import read_archive
from mandseg.data.dicom.pixels import read_ct
from mandseg.data.dicom.rasterisation import rasterise
from mandseg.data.dicom.structures import read_structure_set
from mandseg.data.loaded_case import load_case
from mandseg.data.manifest import read_cohort
from mandseg.data.preprocessing import Preprocessing
from mandseg.runs.build import build_method
from mandseg.runs.status import status
from mandseg.runs.study import open_study
from mandseg.runs.trained.load import load_network
from mandseg.runs.trained.network_record import network_record
from mandseg.system.errors import UserError
from mandseg.system.files import write_csv
from mandseg.training.checkpoint import RunCheckpointIO
from mandseg.training.dynamics import Record, read_dynamics
from mandseg.training.learning_curve import LearningCurve
from study_fixture import write_study
from tiny_cohort import SMALL

Damage = Callable[[Random, bytes, Sequence[bytes]], bytes]


@dataclass(frozen=True)
class Reader:
    """A reader: how its sound files are written below a folder, how they are damaged, and how a file is read."""

    name: str
    write: Callable[[Path], list[Path]]
    damage: Damage
    read: Callable[[Path], object]


# Images ---------------------------------------------------------------------------------------------------------------


def _image(kind: type) -> sitk.Image:
    hu = np.random.default_rng(0).integers(-1000, 1500, (6, 7, 8))
    image = sitk.GetImageFromArray(hu.astype(kind))
    image.SetSpacing((1.0, 1.25, 2.5))
    image.SetOrigin((-10.0, 20.0, 30.0))
    return image


def _images(*suffixes: str) -> Callable[[Path], list[Path]]:
    def write(folder: Path) -> list[Path]:
        paths = []
        for suffix in suffixes:
            for kind in (np.int16, np.float32):
                for packed in (False, True):
                    path = folder / f"{np.dtype(kind).name}-{packed}{suffix}"
                    sitk.WriteImage(_image(kind), str(path), packed)
                    paths.append(path)
        return paths

    return write


def _prepare(path: Path) -> object:
    """Read as a training reads an image, and resample it to 4 mm."""
    loaded = load_case(Case("a", "a", "test", path, None))
    return Preprocessing((4.0, 4.0, 4.0)).image(loaded.image)


# Tables and records ---------------------------------------------------------------------------------------------------


def _manifests(folder: Path) -> list[Path]:
    lines = ["case_id,subject_id,split,image,reference,noisy,annotator,protocol"]
    for number, split in enumerate(("train", "train", "val", "test")):
        for name in ("image", "reference", "noisy"):
            (folder / f"c{number}_{name}.nii.gz").touch()
        files = ",".join(f"c{number}_{name}.nii.gz" for name in ("image", "reference", "noisy"))
        lines.append(f"c{number},P{number},{split},{files},Dr A,low dose")
    text = "\n".join(lines) + "\n"
    (folder / "manifest.csv").write_text(text)
    (folder / "european.csv").write_text("sep=;\r\n" + text.replace(",", ";").replace("\n", "\r\n"))
    return [folder / "manifest.csv", folder / "european.csv"]


def _of_the_study(name: str) -> Callable[[Path], list[Path]]:
    def write(folder: Path) -> list[Path]:
        study = write_study(folder / "study", loss={0.0: 0.0, 0.5: 0.01}, seeds=(0,), n_cases=2)
        run = study / "ratio0-seed0"
        record = json.loads((run / "run.json").read_text())
        record |= {"settings": {"optimizer.lr": 0.003}, "content": {"train": {"images": "a"}}, "n_rows": 6}
        (run / "run.json").write_text(json.dumps(record))
        return [study / name if name == "grid.csv" else run / name]

    return write


def _study(path: Path) -> object:
    """List the study as ``status`` does, and read it as the report does."""
    study = path.parent if path.name == "grid.csv" else path.parent.parent
    status(study, Console(file=io.StringIO()))
    return open_study(study)


def _dynamics(folder: Path) -> list[Path]:
    rows = [Record(step, case, "0123abcd", 1.5, 0.75) for step in (10, 20) for case in ("a", "b")]
    write_csv(folder / "dynamics.csv", Record._fields, rows)
    return [folder / "dynamics.csv"]


def _curve(path: Path) -> object:
    """Go on with a learning curve, as a resumed run does."""
    curve = LearningCurve(path)
    curve.log_metrics({"train_loss": 0.5}, 400)
    return curve


# Checkpoints ----------------------------------------------------------------------------------------------------------


def _checkpoint(folder: Path) -> list[Path]:
    cfg = composed(*SMALL, "data.manifest=cohort/manifest.csv", "cache_dir=cache")
    with torch.random.fork_rng(devices=[]):
        weights = {f"method.{name}": tensor for name, tensor in build_method(cfg).state_dict().items()}
    marks = {"noise_ratio": 0.5, "seed": 0, "noise": "recorded", "model": "unet", "method": "supervised"}
    record = network_record(cfg, marks | {"config_hash": "0123abcd"}, "32-true", None)
    RunCheckpointIO(marks, record).save_checkpoint({"state_dict": weights, "global_step": 4}, folder / "a.ckpt")
    return [folder / "a.ckpt"]


def _damage_checkpoint(rng: Random, whole: bytes, others: Sequence[bytes]) -> bytes:
    """A value anywhere in a checkpoint, or its bytes."""
    if rng.random() < 0.3:
        return damage_bytes(rng, whole, others)
    checkpoint = torch.load(io.BytesIO(whole), weights_only=True)
    tensors = (torch.zeros(0), torch.tensor(float("nan")), torch.zeros(3, 3, dtype=torch.int64))
    change_value(rng, checkpoint, lambda: rng.choice(tensors) if rng.random() < 0.2 else odd_value(rng))
    damaged = io.BytesIO()
    try:
        torch.save(checkpoint, damaged)
    except RecursionError:
        return damage_bytes(rng, whole, others)
    return damaged.getvalue()


def _network(path: Path) -> object:
    """Make a network of a checkpoint alone, and read it as a resumed run does."""
    with suppress(UserError):
        RunCheckpointIO({"noise_ratio": 0.5}).load_checkpoint(path)
    return load_network(path, device="cpu")


# DICOM ----------------------------------------------------------------------------------------------------------------


def _export(folder: Path, of: str) -> list[Path]:
    hu = np.full((10, 9, 4), 40, np.int16)
    slices = ct_slices(hu, ids(1))
    paths = save(slices, folder / "export")
    rois = {"Mandible": [square(2, z, (-16, -26)) for z in (42.5, 45.0)]}
    write_structure_set(folder / "export" / "RS.dcm", slices, rois, ids(1))
    return paths if of == "ct" else [folder / "export" / "RS.dcm"]


def _dicom(path: Path) -> object:
    """Sort the export, read each series and fill each contour, as the import does."""
    archive = read_archive(path.parent)
    masks = []
    for scan in archive.scans:
        series = scan.series()
        read_ct(series)
        for found in scan.structure_sets:
            masks += [rasterise(roi, series) for roi in read_structure_set(found.path).rois]
    return masks


READERS = {
    reader.name: reader
    for reader in (
        Reader("NIfTI", _images(".nii", ".nii.gz"), damage_bytes, _prepare),
        Reader("NRRD", _images(".nrrd"), damage_headed, _prepare),
        Reader("MetaImage", _images(".mha"), damage_headed, _prepare),
        Reader("manifest.csv", _manifests, damage_table, read_cohort),
        Reader("run.json", _of_the_study("run.json"), damage_json, _study),
        Reader("config.yaml", _of_the_study("config.yaml"), damage_bytes, _study),
        Reader("grid.csv", _of_the_study("grid.csv"), damage_table, _study),
        Reader("cases.csv", _of_the_study("cases.csv"), damage_table, _study),
        Reader("learning_curve.csv", _of_the_study("learning_curve.csv"), damage_table, _study),
        Reader("learning curve of a resumed run", _of_the_study("learning_curve.csv"), damage_table, _curve),
        Reader("dynamics.csv", _dynamics, damage_table, read_dynamics),
        Reader("checkpoint", _checkpoint, _damage_checkpoint, _network),
        Reader("DICOM CT", lambda folder: _export(folder, "ct"), damage_dicom, _dicom),
        Reader("RTSTRUCT", lambda folder: _export(folder, "rs"), damage_dicom, _dicom),
    )
}
