"""The command ``mandseg predict``: masks, pictures and structure sets of new images."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from mandseg.cli.wrong_words import refuse_options
from mandseg.system.errors import WRONG_INPUT, UserError


def predict(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(help="A run folder, a study or a checkpoint file (*.ckpt).")],
    images: Annotated[
        list[Path], typer.Argument(help="DICOM folders, or NIfTI, NRRD and MetaImage files, or folders of them.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder to write; may exist.")],
    rtstruct: Annotated[
        bool, typer.Option("--rtstruct", help="Write a structure set of each DICOM series, too.")
    ] = False,
    ensemble: Annotated[
        bool, typer.Option("--ensemble", help="Of a study: the mean of all seeds of a condition.")
    ] = False,
    choose: Annotated[
        list[str] | None,
        typer.Option("--choose", help="Of a study with several conditions: COLUMN=VALUE, e.g. noise_ratio=0."),
    ] = None,
    checkpoint: Annotated[
        str | None, typer.Option(help="last or best; default: the one that the run was tested with.")
    ] = None,
    roi_name: Annotated[str, typer.Option(help="ROI in the structure set; default: STRUCTURE_mandseg.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Predict images that look implausible, too.")] = False,
    pseudonyms: Annotated[
        bool, typer.Option("--pseudonyms", help="Name the files by pseudonyms, as mandseg prepare dicom does.")
    ] = False,
    key: Annotated[Path | None, typer.Option(help="With --pseudonyms: the file with their key.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")] = "auto",
    trust: Annotated[
        list[str] | None, typer.Option("--trust", help="Of a checkpoint file: a package of your own that it needs.")
    ] = None,
) -> None:
    """Segment new CTs: a mask on each image's own grid, a picture, quality figures, and structure sets.

    Writes NAME.nii.gz, NAME.png, NAME.rtstruct.dcm (with --rtstruct) and predictions.csv. A repeated call predicts
    only images that are new or have changed, and replaces no file that it did not write.

    A structure set carries the patient's name, number and study, because it goes back to the planning system.
    The other files carry the name of the image's file or folder only.

    Each contour has to be reviewed by a person. Exit code 2 if an image was refused; the others are there.

    Example: [bold]mandseg predict outputs/clinic --choose noise_ratio=0 export/ --out predictions --rtstruct[/bold]

    Example: [bold]mandseg predict outputs/clinic/RUN scan1.nii.gz scan2.nrrd --out predictions[/bold]

    Example: [bold]mandseg predict outputs/clinic --choose noise_ratio=0 --ensemble scans/ --out predictions[/bold]

    Example: [bold]mandseg predict network.ckpt export/patient1 --out predictions --rtstruct[/bold]
    """
    from mandseg.data.importers.dicom_report import refuse_public_place
    from mandseg.evaluation.prediction import inputs as found_in
    from mandseg.evaluation.prediction.network import refuse_different
    from mandseg.evaluation.prediction.predict import KIND, REFUSED, Wish, predict_images
    from mandseg.runs.grid_file import refuse_place_of_runs
    from mandseg.runs.trained.choice import choose_runs
    from mandseg.runs.trained.load import load_network
    from mandseg.system.growing_folder import refuse_growing

    if key is not None and not pseudonyms:
        raise UserError(f"--key {key}: for --pseudonyms only")
    if not rtstruct:
        refuse_options(context, {"--roi-name"}, "for --rtstruct only")
    if key is not None:
        refuse_public_place(key, out, "the key")
    places = choose_runs(run, columns(choose or ()), ensemble)
    inputs = found_in.find_inputs(images)
    found_in.refuse_folder_of_inputs(out, images, inputs)
    refuse_place_of_runs(out, KIND.noun)
    refuse_growing(out, KIND)
    found_in.refuse_nothing_to_predict(out, inputs, rtstruct)
    networks = [load_network(place, checkpoint, device, trust or ()) for place in places]
    refuse_different(networks)
    if pseudonyms:
        inputs = found_in.with_pseudonyms(inputs, key)
    print(f"{networks[0].structure}: {' + '.join(network.name for network in networks)}", file=sys.stderr)
    n_refused = 0
    for row, is_new in predict_images(inputs, networks, out, Wish(rtstruct, roi_name, force)):
        if row["status"] == REFUSED:
            n_refused += 1
            print(f"mandseg: {row['case']}: {row['reason']}", file=sys.stderr)
        else:
            why = f": {row['reason']}" if row["reason"] else ""
            unchanged = "" if is_new else " (from an earlier call)"
            print(f"{row['case']}: {float(row['volume_ml']):.1f} ml, {row['flag']}{why}{unchanged}")
    if n_refused:
        raise typer.Exit(WRONG_INPUT)


def columns(words: Sequence[str]) -> dict[str, str]:
    """The values of --choose, by column of the condition."""
    pairs = [word.partition("=") for text in words for word in text.split(",")]
    if wrong := [column for column, sign, value in pairs if not (column and sign and value)]:
        raise UserError(f"--choose {wrong[0]}: expected COLUMN=VALUE, e.g. noise_ratio=0")
    return {column.strip(): value.strip() for column, _, value in pairs}
