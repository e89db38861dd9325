"""The commands ``mandseg prepare ...``: one for each source; each writes a cohort folder with its manifest."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from mandseg.cli import public_sets
from mandseg.cli.import_options import AllIn, Dest, Fractions, Overwrite, SplitSeed, Structure, numbers, show, words
from mandseg.cli.wrong_words import Commands
from mandseg.system.errors import WRONG_INPUT, UserError
from mandseg.system.wording import summed_up

prepare = typer.Typer(
    cls=Commands,
    help="Write a cohort folder with its manifest.csv from your data, a public set or a phantom.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
for name, command in public_sets.COMMANDS.items():
    prepare.command(name)(command)


@prepare.command()
def phantom(
    dest: Dest,
    population: Annotated[str, typer.Option(help="clinic, maxillofacial or geriatric.")] = "clinic",
    n_train: Annotated[int, typer.Option("--train", min=0, help="Training cases.")] = 24,
    n_val: Annotated[int, typer.Option("--val", min=0, help="Validation cases.")] = 4,
    n_test: Annotated[int, typer.Option("--test", min=0, help="Test cases.")] = 8,
    noisy: Annotated[bool, typer.Option(help="Add contours of twelve simulated annotators as noisy labels.")] = True,
    seed: Annotated[int, typer.Option(help="The same seed gives the same cohort.")] = 0,
) -> None:
    """Draw procedural head-and-neck CTs with a mandible: no data needed.

    Example: [bold]mandseg prepare phantom cohorts/clinic[/bold]

    Example: [bold]mandseg prepare phantom cohorts/old --population geriatric --train 0 --val 0 --test 20[/bold]
    """
    from mandseg.data.importers.cohort_folder import Imported
    from mandseg.data.phantom.cohorts import write_phantom_cohort
    from mandseg.data.phantom.population import POPULATIONS
    from mandseg.noise import load_preset

    known = {known.name: known for known in POPULATIONS}
    if population not in known:
        raise UserError(f"population {population!r}: expected one of {', '.join(known)}")
    panel = load_preset("planning", seed=seed) if noisy else None
    show(Imported(write_phantom_cohort(dest, known[population], n_train, n_val, n_test, seed, panel)))


@prepare.command()
def folder(
    source: Annotated[Path, typer.Argument(help="A folder, or a CSV file with one row per case.")],
    dest: Dest,
    csv: Annotated[Path | None, typer.Option("--csv", help="The CSV file; default: the one in the folder.")] = None,
    case_id: Annotated[str | None, typer.Option(help="Column with the case's name.")] = None,
    subject_id: Annotated[str | None, typer.Option(help="Column with the patient.")] = None,
    split: Annotated[str | None, typer.Option(help="Column with train, val or test.")] = None,
    image: Annotated[str | None, typer.Option(help="Column or pattern of the CTs.")] = None,
    reference: Annotated[str | None, typer.Option(help="Column or pattern of the reference labels.")] = None,
    noisy: Annotated[str | None, typer.Option(help="Column or pattern of the noisy labels.")] = None,
    annotator: Annotated[str | None, typer.Option(help="Column with the annotator of the noisy label.")] = None,
    structure: Structure = "",
    dose: Annotated[str | None, typer.Option(help="Column or pattern of the planned doses, in Gy.")] = None,
    label_values: Annotated[
        str | None, typer.Option(help="Values of the structure, merged into one mask, e.g. 21,22.")
    ] = None,
    hu_offset: Annotated[
        float | None, typer.Option(help="Stored value of 0 HU, e.g. 1000, if images are not in HU.")
    ] = None,
    fractions: Fractions = "0.7,0.1,0.2",
    split_seed: SplitSeed = 0,
    all_in: AllIn = "",
    overwrite: Overwrite = False,
) -> None:
    """Make a cohort of your own NIfTI, NRRD or MetaImage files, by a CSV file or by file name patterns.

    Files are not copied unless they have to change (--hu-offset, --label-values).
    Columns that no option names are guessed; further columns are kept as grouping variables.

    Example: [bold]mandseg prepare folder data/openkbp cohorts/openkbp --hu-offset 1000[/bold]

    Example: [bold]mandseg prepare folder set out --image '{case}/img.nrrd' --reference '{case}/*/Mandible.nrrd'[/bold]

    Example: [bold]mandseg prepare folder data cohort --reference '{case}/label.nii.gz' --label-values 21,22[/bold]
    """
    from mandseg.data.importers.folder import Conversion, Layout, import_folder
    from mandseg.data.importers.labels import label_values as label_values_of
    from mandseg.data.splits import Splitting

    names = {
        "case_id": case_id,
        "subject_id": subject_id,
        "split": split,
        "image": image,
        "reference": reference,
        "noisy": noisy,
        "annotator": annotator,
        "dose": dose,
    }
    layout = Layout(csv, {ours: theirs for ours, theirs in names.items() if theirs})
    values = () if label_values is None else label_values_of(numbers("--label-values", label_values))
    if label_values is not None and not values:
        raise UserError(f"--label-values {label_values!r}: expected numbers with commas between")
    splitting = Splitting(numbers("--fractions", fractions), split_seed, all_in)
    show(import_folder(source, dest, layout, Conversion(hu_offset, values, structure), splitting, overwrite))


@prepare.command()
def dicom(
    source: Annotated[Path, typer.Argument(help="A folder tree with an export: CT series, RTSTRUCTs, RTDOSEs.")],
    dest: Annotated[Path | None, typer.Argument(help="The cohort folder to write; must not exist.")] = None,
    structure: Annotated[str, typer.Option(help="Names of the structure, the preferred name first.")] = "Mandible",
    reference: Annotated[
        str | None, typer.Option(help="The reference's RTSTRUCT: file, label, name, description or operator; * and ?.")
    ] = None,
    noisy: Annotated[str | None, typer.Option(help="The noisy label's RTSTRUCT, by the same kinds of names.")] = None,
    noisy_structure: Annotated[
        str | None, typer.Option(help="The noisy label's ROI, if it has another name or is in the same RTSTRUCT.")
    ] = None,
    several: Annotated[str, typer.Option(help="If several ROIs fit: refuse, merge, or take the first.")] = "refuse",
    dose: Annotated[str | None, typer.Option(help="The RTDOSE file, if there are several.")] = None,
    synonyms: Annotated[Path | None, typer.Option(help="YAML file with further names of structures.")] = None,
    key: Annotated[
        Path | None, typer.Option(help="File with the key of the pseudonyms; made once, mode 600, in your settings.")
    ] = None,
    linking_table: Annotated[
        Path | None, typer.Option(help="Write the patient of each pseudonym to this file, outside the cohort.")
    ] = None,
    show_names: Annotated[
        bool, typer.Option("--show-names", help="Print the names of RTSTRUCTs and ROIs, and write nothing.")
    ] = False,
    fractions: Annotated[
        str | None, typer.Option(help="Shares of train, val, test; default 0.7,0.1,0.2, or all in test if too few.")
    ] = None,
    split_seed: SplitSeed = 0,
    all_in: AllIn = "",
    overwrite: Overwrite = False,
) -> None:
    """Convert an export of a planning system: contours to masks, doses to Gy, patients to pseudonyms.

    The cohort has no name, number, date or UID of a patient. Exit code 2 if a patient failed; the others are imported.

    Example: [bold]mandseg prepare dicom export cohorts/clinic --reference '*corrected*' --noisy '*planning*'[/bold]

    Example: [bold]mandseg prepare dicom export cohorts/clinic --structure 'Mandible,Kiefer' --all-in test[/bold]

    Example: [bold]mandseg prepare dicom export --show-names[/bold]
    """
    from mandseg.data.dicom.pseudonyms import default_key_file
    from mandseg.data.dicom.selection import SEVERAL, Selection
    from mandseg.data.dicom.vocabulary import read_vocabulary
    from mandseg.data.importers.dicom_rt import Privacy, import_dicom_rt, list_names
    from mandseg.data.splits import Splitting

    if show_names:
        print("\n".join(list_names(source)))
        return
    if dest is None:
        raise UserError("DEST is missing: name the cohort folder to write, or give --show-names")
    if several not in SEVERAL:
        raise UserError(f"--several {several!r}: expected one of {', '.join(SEVERAL)}")
    selection = Selection(
        structures=words("--structure", structure),
        reference=reference or "",
        noisy=noisy or "",
        noisy_structures=words("--noisy-structure", noisy_structure) if noisy_structure else (),
        several=several,
        dose=dose or "",
        vocabulary=read_vocabulary(synonyms),
    )
    privacy = Privacy(key or default_key_file(), linking_table)
    new_key = not privacy.key.exists()
    is_given = fractions or all_in or split_seed
    splitting = Splitting(numbers("--fractions", fractions or "0.7,0.1,0.2"), split_seed, all_in) if is_given else None
    result = import_dicom_rt(source, dest, selection, privacy, splitting, overwrite)
    if new_key:
        print(f"{privacy.key}: a new key for pseudonyms; keep it, and keep it secret", file=sys.stderr)
    for line in summed_up(result.failed):
        print(f"mandseg: {line}", file=sys.stderr)
    show(result)
    if (result.failed or result.skipped) and linking_table is None:
        print("to store which patients these are: --linking-table FILE, outside the cohort", file=sys.stderr)
    if result.failed:
        raise typer.Exit(WRONG_INPUT)
