"""The commands ``mandseg prepare NAME`` of the public sets: one a set, each reads the provider's own layout."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from mandseg.cli.import_options import (
    AllIn,
    Dest,
    Fractions,
    Overwrite,
    SplitSeed,
    Structure,
    numbers,
    show,
)


def openkbp(
    source: Annotated[Path, typer.Argument(help="The repository's folder, or its provided-data.")],
    dest: Dest,
    hu_offset: Annotated[float, typer.Option(help="Stored value of 0 HU.")] = 1000.0,
    structure: Structure = "Mandible",
    overwrite: Overwrite = False,
) -> None:
    """Convert OpenKBP (github ababier/open-kbp) to HU and NIfTI; its own split, grouped by field of view.

    Example: [bold]mandseg prepare openkbp ~/open-kbp cohorts/openkbp[/bold]

    Example: [bold]mandseg prepare openkbp ~/open-kbp cohorts/parotid --structure Parotid_L[/bold]
    """
    from mandseg.data.importers.openkbp import import_openkbp

    show(import_openkbp(source, dest, hu_offset, overwrite, structure))


def deepmind_tcia(
    source: Annotated[Path, typer.Argument(help="The repository's folder, or its nrrds.")],
    dest: Dest,
    reference: Annotated[str, typer.Option(help="Whose contour is the reference.")] = "oncologist",
    noisy: Annotated[str, typer.Option(help="Whose contour is the noisy label.")] = "radiographer",
    split: Annotated[str, typer.Option(help="The split all cases go into: train, val or test.")] = "test",
    structure: Structure = "Mandible",
    overwrite: Overwrite = False,
) -> None:
    """Point at DeepMind's TCIA set, every structure drawn twice; the files stay where they are.

    Works with the contours alone; to train or segment, CT_IMAGE.nrrd must be there too (Git LFS).

    Example: [bold]mandseg prepare deepmind-tcia ~/tcia-ct-scan-dataset cohorts/deepmind[/bold]

    Example: [bold]mandseg prepare deepmind-tcia SOURCE DEST --reference radiographer --noisy oncologist[/bold]
    """
    from mandseg.data.importers.deepmind_tcia import import_deepmind_tcia

    show(import_deepmind_tcia(source, dest, reference, noisy, split, overwrite, structure))


def pddca(
    source: Annotated[Path, typer.Argument(help="The folder with the cases' folders 0522cNNNN, at any depth.")],
    dest: Dest,
    structure: Structure = "Mandible",
    all_in: AllIn = "",
    overwrite: Overwrite = False,
) -> None:
    """Point at PDDCA 1.4.1 (MICCAI 2015) with its official split; the files stay where they are.

    The challenge's additional cases become the validation set. 17 patients are also in DeepMind's set.

    Example: [bold]mandseg prepare pddca ~/PDDCA-1.4.1 cohorts/pddca[/bold]

    Example: [bold]mandseg prepare pddca ~/PDDCA-1.4.1 cohorts/pddca --all-in test[/bold]
    """
    from mandseg.data.importers.pddca import import_pddca

    show(import_pddca(source, dest, structure, all_in, overwrite))


def han_seg(
    source: Annotated[Path, typer.Argument(help="The set's folder, or its set_1.")],
    dest: Dest,
    structure: Structure = "Mandible",
    fractions: Fractions = "0.7,0.1,0.2",
    split_seed: SplitSeed = 0,
    all_in: AllIn = "",
    overwrite: Overwrite = False,
) -> None:
    """Point at the CTs of HaN-Seg; the MR images are not used, they are not registered to the CTs.

    Example: [bold]mandseg prepare han-seg ~/HaN-Seg cohorts/hanseg --all-in test[/bold]
    """
    from mandseg.data.importers.han_seg import import_han_seg
    from mandseg.data.splits import Splitting

    splitting = Splitting(numbers("--fractions", fractions), split_seed, all_in)
    show(import_han_seg(source, dest, structure, splitting, overwrite))


def structseg(
    source: Annotated[Path, typer.Argument(help="The set's folder, or its HaN_OAR.")],
    dest: Dest,
    structure: Structure = "Mandible",
    label_values: Annotated[
        str | None, typer.Option(help="Values of the structure, merged; default: 21,22, the mandible.")
    ] = None,
    fractions: Fractions = "0.7,0.1,0.2",
    split_seed: SplitSeed = 0,
    all_in: AllIn = "",
    overwrite: Overwrite = False,
) -> None:
    """Convert the labels of StructSeg 2019, task 1: the two halves of the mandible become one mask.

    Example: [bold]mandseg prepare structseg ~/HaN_OAR cohorts/structseg[/bold]
    """
    from mandseg.data.importers.structseg import import_structseg
    from mandseg.data.splits import Splitting

    values = None if label_values is None else numbers("--label-values", label_values)
    splitting = Splitting(numbers("--fractions", fractions), split_seed, all_in)
    show(import_structseg(source, dest, structure, values, splitting, overwrite))


def segrap(
    source: Annotated[Path, typer.Argument(help="The folder with the training set and, if there, the updated labels.")],
    dest: Dest,
    structure: Structure = "Mandible",
    label_values: Annotated[
        str | None, typer.Option(help="Values of the structure in files that hold all; default: 36,37, the mandible.")
    ] = None,
    fractions: Fractions = "0.7,0.1,0.2",
    split_seed: SplitSeed = 0,
    all_in: AllIn = "",
    overwrite: Overwrite = False,
) -> None:
    """Convert SegRap 2023: original labels become the noisy ones, updated labels the references.

    Updated labels lie below a folder with "update" in its name. Without them the original ones are the references.

    Example: [bold]mandseg prepare segrap ~/SegRap2023 cohorts/segrap[/bold]
    """
    from mandseg.data.importers.segrap import import_segrap
    from mandseg.data.splits import Splitting

    values = None if label_values is None else numbers("--label-values", label_values)
    splitting = Splitting(numbers("--fractions", fractions), split_seed, all_in)
    show(import_segrap(source, dest, structure, values, splitting, overwrite))


COMMANDS: dict[str, Callable[..., None]] = {
    "openkbp": openkbp,
    "deepmind-tcia": deepmind_tcia,
    "pddca": pddca,
    "han-seg": han_seg,
    "structseg": structseg,
    "segrap": segrap,
}
"""Name of the command -> the command."""
