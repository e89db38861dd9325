"""The catalogue of bad input: what is fed to which command, and the exact lines that it answers with exit code 2.

``check`` prints its errors among its results; every other command prints them on standard error.
"""

import feeds
import numpy as np
import torch
from feeds import (
    AFFINE,
    META,
    NRRD,
    changed,
    checkpoint,
    flipped,
    grid,
    hu,
    label,
    manifest,
    nifti,
    nothing,
    odd,
    of_run,
    packed_meta,
    raw,
    record,
    row,
    rows,
)

CHECK = "check c --workers 1"
SLIM = np.diag([4.0, 4.0, 0.0, 1.0])
FAR = np.diag([4.0, 4.0, 4000.0, 1.0])
SHEARED = AFFINE + np.eye(4, k=1) * [[0.5], [0], [0], [0]]
NAN = np.full((4, 4), np.nan)
NETWORK = {"state_dict": {}, "mandseg_network": {"format": 1, "settings": {"seed": "${oc.env:HOME}"}}}


IMAGES = {
    "no image file": row(image="gone.nii.gz"),
    "image: empty file": changed("i.nii.gz", lambda whole: b""),
    "image: text": raw("x.nii", "hello\n"),
    "image: cut off": changed("i.nii.gz", lambda whole: whole[:-30]),
    "image: cut off, not packed": lambda: (nifti(hu())(), changed("x.nii", lambda whole: whole[:500])()),
    "image: one flipped bit": changed("i.nii.gz", flipped),
    "image: no voxel": nifti(np.zeros((0, 8, 8), np.int16)),
    "image: one slice": nifti(hu()[:, :, :1]),
    "image: 3 voxels wide": nifti(hu()[:3]),
    "image: a plane": nifti(hu()[:, :, 0]),
    "image: a series of volumes": nifti(np.stack([hu()] * 2, axis=3)),
    "image: colour": feeds.rgb,
    "image: complex numbers": nifti(hu().astype(np.complex64)),
    "image: CIFTI-2": feeds.cifti,
    "image: NaN": nifti(odd(np.nan)),
    "image: infinite": nifti(odd(-np.inf)),
    "image: metres": nifti(hu(), at=feeds.XYZT_UNITS, other=bytes([1])),
    "image: spacing 0": nifti(hu(), SLIM),
    "image: spacing 4 m": nifti(hu(), FAR),
    "image: affine NaN": nifti(hu(), NAN),
    "image: gantry tilt": nifti(hu(), SHEARED),
    "image: voxels far behind the header": nifti(hu(), at=feeds.VOX_OFFSET, other=np.float32(1.9e9).tobytes()),
    "image: a folder": feeds.folder_as_image,
    "image: unknown suffix": raw("x.png", b"\x89PNG"),
    "NRRD: a field of 5,000 letters": raw("x.nrrd", NRRD + f"kinds: {'a' * 5000}\n\n"),
    "NRRD: a file elsewhere": raw("x.nhdr", NRRD + "data file: /etc/passwd\n\n"),
    "NRRD: a file in the folder above": raw("x.nhdr", NRRD + "data file: ../secret.raw\n\n"),
    "NRRD: 4 dimensions": raw("x.nrrd", NRRD.replace("dimension: 3", "dimension: 4") + "\n"),
    "NRRD: encoding hex": raw("x.nrrd", NRRD.replace("raw", "hex") + "\n"),
    "NRRD: shorter than it claims": raw("x.nrrd", NRRD + "\n12345"),
    "NRRD: packed, claims 3 GB": feeds.packed_claim(),
    "MetaImage: -1 dimensions": raw("x.mha", META.replace("NDims = 3", "NDims = -1") + "ElementDataFile = LOCAL\n"),
    "MetaImage: a format of printf": raw("x.mhd", META + "ElementDataFile = %s%s%n 1 4 1\n"),
    "MetaImage: an empty list": raw("x.mha", META + "ElementDataFile = LIST\n"),
    "MetaImage: 0 voxels": raw("x.mha", META.replace("8 8 8", "8 0 8") + "ElementDataFile = LOCAL\n"),
    "MetaImage: packed, cut off": packed_meta(20),
    "label: other shape": label(hu()[:, :, :7] > 500),
    "label: other spacing": label(hu() > 500, np.diag([4.0, 4.0, 2.5, 1.0])),
    "label: values 1 and 7": label(np.where(hu() > 500, 7, 1).astype(np.uint8)),
    "label: NaN": label(np.where(hu() > 500, np.nan, 0).astype(np.float32)),
    "label: empty": label(np.zeros((8, 8, 8), np.uint8)),
}

MANIFESTS = {
    "manifest: empty file": manifest(""),
    "manifest: header alone": manifest("case_id,subject_id,split,image,reference,noisy,annotator\n"),
    "manifest: NUL": row(subject_id="A\0"),
    "manifest: not UTF-8": manifest("case_id,subject_id\nM\xfcller,1\n".encode("latin-1")),
    "manifest: a column is missing": manifest("case_id,subject_id,split,image\n"),
    "manifest: a column twice": manifest("case_id,case_id,subject_id,split,image,reference\n"),
    "manifest: a long row": rows("a,A,train,i.nii.gz,r.nii.gz,,,,extra"),
    "manifest: a cell of 140,000 letters": row(annotator="x" * 140_000),
    "case_id: empty": row(case_id=""),
    "case_id: leads elsewhere": row(case_id="../../a"),
    "case_id: hidden": row(case_id=".a"),
    "case_id: line break": row(case_id='"a\nb"'),
    "case_id: 300 letters": row(case_id="a" * 300),
    "case_id: twice": rows("a,A,train,i.nii.gz,r.nii.gz,,", "a,A,train,i.nii.gz,r.nii.gz,,"),
    "subject_id: empty": row(subject_id=""),
    "split: unknown": row(split="training"),
    "no label": row(reference=""),
    "a path of 5,000 letters": row(reference="r" * 5000),
    "a path with a line break": row(reference='"r\nr.nii.gz"'),
    "one image of two subjects": rows("a,A,train,i.nii.gz,r.nii.gz,,", "b,B,train,i.nii.gz,r.nii.gz,,"),
    "one subject in two splits": rows("a,A,train,i.nii.gz,r.nii.gz,,", "b,A,test,i.nii.gz,r.nii.gz,,"),
}

WORDS = {
    "check: no such folder": (nothing, "check nowhere"),
    "check: a table of two cohorts": (nothing, "check c c --csv t.csv"),
    "check: the manifest as its table": (nothing, "check c --csv c/manifest.csv"),
    "check: a file as a folder": (feeds.file_in_the_way, "check c --csv file/t.csv"),
    "audit: a file as its folder": (feeds.file_in_the_way, "audit c --out file"),
    "audit: somebody's folder": (feeds.foreign_folder, "audit c --out own"),
    "audit: no such preset": (nothing, "audit c --noise dentist"),
    "audit: a severity of recorded labels": (nothing, "audit c --severity 2"),
    "fidelity: somebody's folder": (feeds.foreign_folder, "fidelity c --out own"),
    "predict: no such checkpoint": (nothing, "predict gone.ckpt c/i.nii.gz --out p"),
    "predict: no run folder": (nothing, "predict c c/i.nii.gz --out p"),
    "predict: a text as a checkpoint": (lambda: feeds.raw_file("x.ckpt", "hi"), "predict x.ckpt c/i.nii.gz --out p"),
    "predict: a list as a checkpoint": (checkpoint([1]), "predict x.ckpt c/i.nii.gz --out p"),
    "predict: weights alone": (checkpoint({"state_dict": {}}), "predict x.ckpt c/i.nii.gz --out p"),
    "predict: a checkpoint that reads the environment": (checkpoint(NETWORK), "predict x.ckpt c/i.nii.gz --out p"),
    "predict: a tensor as settings": (
        checkpoint({"mandseg_network": {"format": 1, "settings": torch.zeros(2)}}),
        "predict x.ckpt c/i.nii.gz --out p",
    ),
    "dashboard: garbage": (lambda: feeds.raw_file("d.json", "garbage"), "dashboard d.json"),
    "dashboard: a list": (lambda: feeds.raw_file("d.json", "[1]"), "dashboard d.json"),
}

STUDIES = {
    "study: no such folder": (nothing, "status nowhere"),
    "study: no run in it": (nothing, "status c"),
    "grid.csv: empty": (grid(lambda text: ""), "status s"),
    "grid.csv: another table": (grid(lambda text: "a,b\n1,2\n"), "status s"),
    "grid.csv: not UTF-8": (grid(lambda text: b"run\xff\n"), "status s"),
    "grid.csv: a run elsewhere": (grid(lambda text: text.replace("ratio0-seed0", "../../x")), "status s"),
    "grid.csv: a run without a name": (grid(lambda text: text.replace("ratio0-seed0,", ",")), "status s"),
    "report: a file as its folder": (feeds.file_in_the_way, "report s --out file"),
    "report: somebody's folder": (feeds.foreign_folder, "report s --out own"),
    "report: no such column": (nothing, "report s --compare colour"),
    "report: no such file type": (nothing, "report s --formats bmp"),
    "plan-study: an infinite margin": (nothing, "plan-study s --margin inf"),
    "plan-study: no margin": (nothing, "plan-study s --margin 0"),
    "plan-study: a power of 2": (nothing, "plan-study s --margin 0.02 --power 2"),
    "plan-study: no such metric": (nothing, "plan-study s --margin 0.02 --metric iou"),
    "plan-study: no such data set": (nothing, "plan-study s --margin 0.02 --dataset far"),
}

RUNS = {
    "run.json: cut off": of_run("run.json", lambda text: text[:60]),
    "run.json: no JSON": of_run("run.json", lambda text: "[" * 100_000),
    "run.json: a list": of_run("run.json", lambda text: "[]"),
    "run.json: unknown state": record(state="almost"),
    "run.json: a ratio in words": record(condition={"noise_ratio": "half"}),
    "run.json: seconds as a list": record(seconds=[1]),
    "run.json: a negative number of steps": record(steps=-1),
    "cases.csv: empty": of_run("cases.csv", lambda text: ""),
    "cases.csv: cut off": of_run("cases.csv", lambda text: text[:-20]),
    "cases.csv: another table": of_run("cases.csv", lambda text: "a,b\n1,2\n"),
}
"""Runs whose files are damaged: ``status`` calls them failed, and ends with 1."""

COMMANDS = {
    "no such command": "chek c",
    "no such importer": "prepare opnkbp x y",
    "no such option, one is near": "check c --csvv t.csv",
    "no such option": "prepare --foo",
    "no such option of the program": "--verbos check c",
    "no such short option": "status s -x",
    "an argument is missing": "prepare folder x",
    "all arguments are missing": "check",
    "a required option is missing": "plan-study s",
    "a word too many": "report s t u",
    "an option without its value": "check c --csv",
    "a value behind a flag": "audit c --figures=3",
    "an option with no number": "check c --workers many",
    "an option below its range": "check c --workers=0",
    "an option with no number, of numbers": "plan-study s --margin small",
    "estimate: no such option": "estimate --multirn seed=1",
    "train: no such option": "train --foo",
    "train: no such option, one is near": "train --multirn seed=1",
    "train: a print of nothing": "train --cfg",
    "train: a print of something else": "train --cfg jobs",
    "train: a value that would be the next setting": "train --package seed=1",
    "train: a flag with a value": "train --multirun=3",
    "train: a print of a grid": "train -m --cfg job",
}
"""Words that the command line itself refuses, before a command runs."""

SETTINGS = {
    "a setting that is not there": "colour=red",
    "a word without a value": "noise_ratio",
    "no key": "=1",
    "a choice that is not there": "model=resnet",
    "no number": "optimizer.lr=fast",
    "a number of 400 digits": f"optimizer.lr={'9' * 400}",
    "a target of another package": "loss._target_=os.system",
    "a target that is not let through": "loss._target_=torch.load",
    "a target that does not exist": "loss._target_=torch.nn.NoLoss",
    "a target in a module that does not exist": "optimizer._target_=mandseg.optimizers.Best",
    "a target of the user that does not exist": "model.network={_target_: mine.Network} trusted_packages=[mine]",
    "a target that is a value": "noise.source={_target_: torch.pi}",
    "a target under another name": "method._target_=torch.os.system",
    "a target of an augmentation": "patches.augmentation._target_=torchio.NoFlip",
    "a study that leads elsewhere": "study=../elsewhere",
    "an interpolation of nothing": "study=${oc.env:MANDSEG_NOT_SET}",
    "margins that are no group": "analysis.margins=5",
    "an infinite margin": "analysis.margins.dice=inf",
    "a strategy that is a number": "trainer.strategy=0",
    "a range of no step": "seed=range(0,3,0)",
    "an interval without a search": "seed=interval(0,1)",
}
