"""`mandseg predict`: from a checkpoint, a run or a study and images of all kinds to files that lie on the anatomy."""

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import torch

from bone_network import SPACING_MM, anatomy, bone_config, write_bone_study, write_checkpoint
from command import run
from dicom_files import Ids, circle, ct_slices, save, write_structure_set
from mandseg.data.dicom.archive import read_series
from mandseg.data.dicom.rasterisation import rasterise
from mandseg.data.dicom.structures import read_structure_set
from mandseg.data.volume import Volume, read_volume, to_canonical, write_volume
from mandseg.evaluation.prediction.picture import draw_prediction
from mandseg.evaluation.prediction.predict import _because

WHO = Ids()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network, a study, and one head as NIfTI, NRRD, MetaImage and DICOM."""
    folder = tmp_path_factory.mktemp("predict")
    write_checkpoint(folder / "bone.ckpt")
    write_bone_study(folder / "study")
    image = anatomy()
    write_volume(folder / "images" / "head.nii.gz", image)
    of_itk = sitk.ReadImage(str(folder / "images" / "head.nii.gz"))
    for suffix in ("nrrd", "mha"):
        sitk.WriteImage(of_itk, str(folder / f"head_{suffix}.{suffix}"))
    stored = np.asarray(image.array)[::-1, ::-1]  # LPS
    origin_mm = (-(-50 + 75 * SPACING_MM[0]), -(-30 + 63 * SPACING_MM[1]), -40)
    slices = ct_slices(stored, WHO, spacing_mm=SPACING_MM, origin_mm=origin_mm)
    save(slices, folder / "patient" / "CT")
    write_structure_set(folder / "patient" / "RS.dcm", slices, {"Mandible": [circle(10, -40)]}, WHO)
    return folder


DRAW = "mandseg.evaluation.prediction.predict.draw_prediction"


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of pseudonyms lies in this test's own settings; pictures, most of the time, are their titles alone."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.setattr(DRAW, lambda image, mask, path, title: path.write_text(title))


@pytest.fixture
def with_pictures(settings: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are drawn."""
    monkeypatch.setattr(DRAW, draw_prediction)


def predict(*arguments: str | Path) -> int:
    return run("predict", *arguments, "--device", "cpu")


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "predictions.csv").open() as file:
        return {row["case"]: row for row in csv.DictReader(file)}


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_images_of_all_kinds_get_the_same_mask_on_their_own_grid(
    world: Path, tmp_path: Path, with_pictures: None
) -> None:
    images = [world / "images", world / "head_nrrd.nrrd", world / "head_mha.mha", world / "patient"]
    assert predict(world / "bone.ckpt", *images, "--out", tmp_path / "out") == 0
    expected = read_volume(tmp_path / "out" / "head.nii.gz")
    assert expected.array.dtype == np.uint8
    assert expected.geometry.disagreement(anatomy().geometry) is None
    for name in ("head_nrrd", "head_mha", "CT"):
        found = read_volume(tmp_path / "out" / f"{name}.nii.gz")
        np.testing.assert_array_equal(to_canonical(found).array, to_canonical(expected).array)
    assert sorted(rows(tmp_path / "out")) == ["CT", "head", "head_mha", "head_nrrd"]
    row = rows(tmp_path / "out")["head"]
    assert row["flag"] == "ok"
    assert float(row["volume_ml"]) == pytest.approx(expected.array.sum() * 3 / 1000, abs=1e-3)
    assert (tmp_path / "out" / "head.png").stat().st_size > 10_000


def test_the_structure_set_holds_the_mask_and_belongs_to_the_patient(
    world: Path, tmp_path: Path, with_pictures: None
) -> None:
    assert predict(world / "bone.ckpt", world / "patient", "--out", tmp_path, "--rtstruct") == 0
    series = read_series(world / "patient")
    path = tmp_path / "CT.rtstruct.dcm"
    (roi,) = read_structure_set(path).rois
    assert roi.name == "Mandible_mandseg"
    np.testing.assert_array_equal(rasterise(roi, series).mask, read_volume(tmp_path / "CT.nii.gz").array > 0)
    dataset = pydicom.dcmread(path)
    assert dataset.PatientID == WHO.patient
    assert dataset.ApprovalStatus == "UNAPPROVED"
    for name, content in files(tmp_path).items():
        holds_identity = WHO.patient.encode() in content or b"Muster" in content
        assert holds_identity == (name == path.name), name


def test_a_repeated_call_predicts_nothing_again_and_another_network_does(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = (world / "bone.ckpt", world / "patient", "--out", out, "--rtstruct")
    assert predict(*command) == 0
    before = files(out)
    assert predict(*command) == 0
    assert "(from an earlier call)" in capsys.readouterr().out
    assert files(out) == before
    assert predict(write_checkpoint(tmp_path / "other.ckpt", 300.0), *command[1:]) == 0
    assert "(from an earlier call)" not in capsys.readouterr().out
    assert files(out)["CT.nii.gz"] != before["CT.nii.gz"]


def test_an_empty_mask_is_done_without_a_structure_set_and_its_row_states_it(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], with_pictures: None
) -> None:
    out, blind = tmp_path / "out", write_checkpoint(tmp_path / "blind.ckpt", 3000.0)
    assert predict(blind, world / "patient", "--out", out) == 0
    assert predict(blind, world / "patient", "--out", out, "--rtstruct") == 0
    said = capsys.readouterr().out
    assert "so no structure set was written" in said
    assert "(from an earlier call)" not in said  # the first call did not say so
    assert not (out / "CT.rtstruct.dcm").exists()
    before = files(out)
    assert predict(blind, world / "patient", "--out", out, "--rtstruct") == 0
    assert "so no structure set was written (from an earlier call)" in capsys.readouterr().out
    assert files(out) == before


def test_files_of_others_are_never_replaced(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = (world / "bone.ckpt", world / "images", "--out")
    own = tmp_path / "own"
    own.mkdir()
    (own / "head.nii.gz").write_bytes(b"mine")
    assert predict(*command, own) == 2
    assert "head.nii.gz: predictions did not write it; move it away or choose another folder" in capsys.readouterr().err
    assert (own / "head.nii.gz").read_bytes() == b"mine"
    assert [path.name for path in own.iterdir()] == ["head.nii.gz"]
    for inputs, place in ((world / "images", world / "images"), (world / "patient", world / "patient" / "CT")):
        before = sorted(place.iterdir())
        assert predict(world / "bone.ckpt", inputs, "--out", place) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.endswith(
            f"{place}: holds the images, and masks among them would be taken for images; choose another --out"
        )
        assert sorted(place.iterdir()) == before
    out = tmp_path / "out"
    assert predict(*command, out) == 0
    (out / "notes.txt").write_text("mine")
    (out / "predictions.csv").write_text("edited")
    assert predict(*command, out) == 2
    assert "predictions.csv: was changed after it was written" in capsys.readouterr().err
    assert (out / "predictions.csv").read_text() == "edited"


def test_wrong_images_are_one_line_each_and_the_others_are_predicted(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, image = tmp_path / "source", anatomy()
    (source / "text").mkdir(parents=True)
    (source / "text" / "notes.txt").write_text("a text")
    (source / "cut.nii.gz").write_bytes((world / "images" / "head.nii.gz").read_bytes()[:5000])
    write_volume(source / "offset.nii.gz", Volume(image.array + 1024, image.affine))
    write_volume(source / "scout.nii.gz", Volume(image.array[:, :, :2], image.affine))
    slices = ct_slices(np.asarray(image.array), WHO)
    save([one for number, one in enumerate(slices) if number != 20], source / "gap")
    damaged = save(slices, source / "damaged")[7]
    damaged.write_bytes(damaged.read_bytes()[:3000])
    images = [
        *(source / name for name in ("text", "text/notes.txt", "cut.nii.gz", "offset.nii.gz", "scout.nii.gz")),
        *(source / "gap", source / "damaged", world / "patient" / "RS.dcm", damaged, world / "images" / "head.nii.gz"),
    ]
    assert predict(world / "bone.ckpt", *images, "--out", tmp_path / "out") == 2
    said = capsys.readouterr()
    lines = [line for line in said.err.splitlines() if line.startswith("mandseg: ")]
    assert len(lines) == 9, lines
    for words in (
        "text: holds no DICOM file and no image file",
        "notes.txt: unknown image format, expected DICOM or one of .nii",
        "cut: cannot be read to its end, the file is damaged",
        "offset: is not in HU: the lowest value is 24, expected air below -200",
        "scout: has 76 x 64 x 2 voxels",
        "gap: slices are missing: a gap of 5 mm",
        "damaged: the pixels of a slice cannot be read",
        "RS: is RTSTRUCT, expected a CT",
        "is one slice of a CT; give the folder of the series",
    ):
        assert any(words in line for line in lines), (words, lines)
    assert said.out.startswith("head: ")
    assert {name for name in files(tmp_path / "out") if name.endswith(".nii.gz")} == {"head.nii.gz"}
    assert predict(world / "bone.ckpt", source / "offset.nii.gz", "--out", tmp_path / "forced", "--force") == 0
    row = rows(tmp_path / "forced")["offset"]
    assert row["flag"] == "review"
    assert row["reason"].startswith("is not in HU")


def test_two_affines_that_put_the_image_elsewhere_are_refused_unless_forced(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = nib.load(world / "images" / "head.nii.gz")
    moved = image.affine.copy()
    moved[0, 3] += 30
    image.set_sform(image.affine, 1)
    image.set_qform(moved, 1)
    nib.save(image, tmp_path / "forms.nii.gz")
    assert predict(world / "bone.ckpt", tmp_path / "forms.nii.gz", "--out", tmp_path / "out") == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("mandseg: forms: sform (code 1) and qform (code 1) disagree, up to 30 mm apart")
    assert not (tmp_path / "out" / "forms.nii.gz").exists()
    assert predict(world / "bone.ckpt", tmp_path / "forms.nii.gz", "--out", tmp_path / "out", "--force") == 0
    assert "disagree, up to 30 mm apart" in rows(tmp_path / "out")["forms"]["reason"]


def test_a_folder_that_cannot_be_made_is_one_line(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    assert predict(world / "bone.ckpt", world / "images", "--out", tmp_path / "file" / "out") == 2
    assert f"{tmp_path / 'file' / 'out'}: cannot be written (Not a directory)" in capsys.readouterr().err


def test_an_image_that_became_unreadable_loses_its_old_mask(world: Path, tmp_path: Path) -> None:
    image = tmp_path / "a.nii.gz"
    image.write_bytes((world / "images" / "head.nii.gz").read_bytes())
    assert predict(world / "bone.ckpt", image, "--out", tmp_path / "out") == 0
    image.write_bytes(image.read_bytes()[:5000])
    assert predict(world / "bone.ckpt", image, "--out", tmp_path / "out") == 2
    assert sorted(files(tmp_path / "out")) == [".mandseg.json", "predictions.csv"]


def test_a_structure_set_of_an_image_file_is_refused(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(world / "bone.ckpt", world / "images", "--out", tmp_path / "out", "--rtstruct") == 2
    line = (
        f"--rtstruct: for DICOM series, and {world / 'images' / 'head.nii.gz'} is an image file; leave out --rtstruct"
    )
    assert line in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    both = (world / "images", world / "patient", "--out", tmp_path / "out", "--rtstruct")
    assert predict(world / "bone.ckpt", *both) == 2
    assert "head: --rtstruct needs a DICOM series, this is an image file" in capsys.readouterr().err
    assert (tmp_path / "out" / "CT.rtstruct.dcm").exists()


def test_a_place_without_images_is_refused_before_anything_is_written(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cohort, empty = tmp_path / "cohort", tmp_path / "empty"
    (cohort / "image").mkdir(parents=True)
    (cohort / "image" / "a.nii.gz").write_bytes((world / "images" / "head.nii.gz").read_bytes())
    empty.mkdir()
    assert predict(world / "bone.ckpt", cohort, empty, "--out", tmp_path / "out") == 2
    assert [line for line in capsys.readouterr().err.splitlines() if line] == [
        f"mandseg: {cohort}: holds no DICOM file and no image file; there are some in {cohort / 'image'}",
        f"mandseg: {empty}: holds no DICOM file and no image file",
    ]
    assert not (tmp_path / "out").exists()


def test_the_title_of_a_picture_has_two_reasons_and_counts_the_others() -> None:
    assert _because([]) == ""
    assert _because(["dim, expected 3", "thin"]) == ": dim, expected 3; thin"
    assert _because(["dim", "thin", "cut", "far"]) == ": dim; thin; 2 more"


def test_a_folder_of_studies_and_a_mistyped_column_are_answered_with_what_is_there(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (world / "images", "--out", tmp_path / "out")
    assert predict(world, *words) == 2
    assert f"; name a study in it: {world / 'study'}" in capsys.readouterr().err
    assert predict(world / "study", *words, "--choose", "noise_rate=0") == 2
    line = "--choose noise_rate=0: there is no such column; did you mean noise_ratio? Expected one of clean_budget, "
    assert line in capsys.readouterr().err


def test_images_with_one_name_are_distinguished_by_their_folders(world: Path, tmp_path: Path) -> None:
    for patient in ("a", "b"):
        (tmp_path / patient).mkdir()
        (tmp_path / patient / "ct.nii.gz").write_bytes((world / "images" / "head.nii.gz").read_bytes())
    images = [tmp_path / "a" / "ct.nii.gz", tmp_path / "b" / "ct.nii.gz", tmp_path / "b"]
    assert predict(world / "bone.ckpt", *images, "--out", tmp_path / "out") == 0
    assert sorted(rows(tmp_path / "out")) == ["a_ct", "b_ct"]


def test_the_key_of_pseudonyms_is_not_made_beside_the_predictions(world: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    options = ("--pseudonyms", "--key", out / "key")
    assert predict(world / "bone.ckpt", world / "patient", "--out", out, *options) == 2
    assert f"the key would lie in {out}, which may be shared" in capsys.readouterr().err
    assert not out.exists()


def test_pseudonyms_are_those_of_an_import_and_hide_the_names(world: Path, tmp_path: Path) -> None:
    assert predict(world / "bone.ckpt", world / "patient", "--out", tmp_path / "out", "--pseudonyms") == 0
    (name,) = rows(tmp_path / "out")
    assert run("prepare", "dicom", world / "patient", tmp_path / "cohort", "--all-in", "test") == 0
    assert name in (tmp_path / "cohort" / "manifest.csv").read_text()


def test_pseudonyms_hide_the_names_in_the_reasons_of_refused_images(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = nib.load(world / "images" / "head.nii.gz")
    folder = tmp_path / "Muster_Erika"
    (folder / "deeper").mkdir(parents=True)
    nib.save(head, folder / "deeper" / "Muster_Erika.nii")
    cut = folder / "Muster_Erika.nii"
    nib.save(head, cut)
    cut.write_bytes(cut.read_bytes()[:5000])
    (folder / "more" / "Muster_Erika").mkdir(parents=True)
    nib.save(head, folder / "more" / "Muster_Erika" / "ct.nii")
    words = (world / "images", cut, folder / "more", "--out", tmp_path / "out", "--pseudonyms")
    assert predict(world / "bone.ckpt", *words) == 2
    assert "Muster_Erika.nii holds 4648 bytes of voxels" in capsys.readouterr().err  # on the terminal
    assert "Muster" not in (tmp_path / "out" / "predictions.csv").read_text()
    reasons = [row["reason"] for row in rows(tmp_path / "out").values() if row["status"] == "refused"]
    assert sorted(reasons) == [
        "cannot be read; the terminal has the reason, which names the file",
        "holds no DICOM file and no image file",
    ]


# Networks -------------------------------------------------------------------------------------------------------------


def test_a_study_gives_the_first_seed_or_the_mean_of_all(world: Path, tmp_path: Path) -> None:
    images = world / "images"
    assert predict(world / "study", images, "--out", tmp_path / "one") == 0
    assert rows(tmp_path / "one")["head"]["networks"] == "ratio0-seed0"
    assert rows(tmp_path / "one")["head"]["disagreement"] == ""
    assert predict(world / "study", images, "--out", tmp_path / "all", "--ensemble") == 0
    row = rows(tmp_path / "all")["head"]
    assert row["networks"] == "ratio0-seed0 ratio0-seed1 ratio0-seed2"
    assert 0 < float(row["disagreement"]) < 1
    assert predict(world / "study" / "ratio0-seed1", images, "--out", tmp_path / "run") == 0
    assert rows(tmp_path / "run")["head"]["networks"] == "ratio0-seed1"


def test_a_study_with_several_conditions_lists_them(
    tmp_path: Path, world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = write_bone_study(tmp_path / "study", ratios=(0.0, 0.5), seeds=(0,))
    arguments = (study, world / "images", "--out", tmp_path / "out")
    assert predict(*arguments) == 2
    assert "2 conditions (noise_ratio 0, 0.5); choose one, e.g. --choose noise_ratio=0" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert predict(*arguments, "--choose", "noise_ratio=0.5") == 0
    assert predict(*arguments, "--choose", "noise_ratio=0.3") == 2
    assert "no run with noise_ratio=0.3, the runs have 0, 0.5" in capsys.readouterr().err
    assert predict(*arguments, "--choose", "noise_ratio=0", "--ensemble") == 2
    assert "--ensemble with 1 run of this condition" in capsys.readouterr().err


def test_a_run_that_is_not_done_is_refused(tmp_path: Path, world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_bone_study(tmp_path / "study", seeds=(0,)) / "ratio0-seed0"
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | {"state": "failed", "error": "disk"}))
    assert predict(folder, world / "images", "--out", tmp_path / "out") == 2
    assert "the run is failed, its network is not trained to the end" in capsys.readouterr().err


def test_a_checkpoint_alone_predicts_as_its_run_and_names_no_path(world: Path, tmp_path: Path) -> None:
    file = tmp_path / "moved.ckpt"
    file.write_bytes((world / "study" / "ratio0-seed1" / "checkpoints" / "train" / "last.ckpt").read_bytes())
    assert predict(file, world / "images", "--out", tmp_path / "file") == 0
    assert predict(world / "study" / "ratio0-seed1", world / "images", "--out", tmp_path / "run") == 0
    assert files(tmp_path / "file")["head.nii.gz"] == files(tmp_path / "run")["head.nii.gz"]
    record = repr(torch.load(file, weights_only=True)["mandseg_network"])
    assert str(world) not in record
    assert "manifest" not in record


def test_a_checkpoint_runs_no_code_that_the_user_did_not_trust(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evil_package.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    cfg = bone_config()
    write_checkpoint(tmp_path / "own.ckpt", cfg=cfg)
    content = torch.load(tmp_path / "own.ckpt", weights_only=True)
    settings = content["mandseg_network"]["settings"]
    settings["model"]["network"]["_target_"] = "evil_package.Network"
    settings["trusted_packages"] = ["evil_package"]
    torch.save(content, tmp_path / "own.ckpt")
    assert predict(tmp_path / "own.ckpt", world / "images", "--out", tmp_path / "out") == 2
    assert "model.network._target_=evil_package.Network: expected a path in mandseg" in capsys.readouterr().err
    content["call"] = print
    torch.save(content, tmp_path / "own.ckpt")
    assert predict(tmp_path / "own.ckpt", world / "images", "--out", tmp_path / "out") == 2
    assert "own.ckpt: cannot be read as a checkpoint" in capsys.readouterr().err


def test_weights_without_a_description_need_their_run_folder(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = torch.load(world / "bone.ckpt", weights_only=True)
    torch.save({"state_dict": content["state_dict"], "mandseg_run": {}}, tmp_path / "old.ckpt")
    assert predict(tmp_path / "old.ckpt", world / "images", "--out", tmp_path / "out") == 2
    assert "holds weights alone, it was written by an earlier version; give its run folder" in capsys.readouterr().err
    run_folder = write_bone_study(tmp_path / "study", seeds=(0,)) / "ratio0-seed0"
    torch.save({"state_dict": content["state_dict"]}, run_folder / "checkpoints" / "train" / "last.ckpt")
    assert predict(run_folder, world / "images", "--out", tmp_path / "out") == 0
