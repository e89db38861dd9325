"""The command line: ``mandseg prepare | check | audit | estimate | train | status | report`` and further commands.

Large libraries are imported only when a command runs, so that ``mandseg --help`` is fast.
"""

import sys
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any

import typer

from mandseg import __version__
from mandseg.cli.commission import commission
from mandseg.cli.estimate import estimate
from mandseg.cli.pair import pair
from mandseg.cli.predict import predict
from mandseg.cli.prepare import prepare
from mandseg.cli.rank import rank
from mandseg.cli.study import of_a_study
from mandseg.cli.wrong_words import Commands, run_words
from mandseg.system.errors import WRONG_INPUT, UserError
from mandseg.system.names import with_home

COMMANDS = (
    *("prepare", "pair", "check", "audit", "rank", "fidelity", "estimate", "train", "status", "forget", "report"),
    *("plan-study", "dose", "predict", "commission", "sync", "dashboard"),
)
"""All commands, in the order of their use, in which ``--help`` lists them."""


class InOrderOfUse(Commands):
    """The commands as :data:`COMMANDS` orders them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names; one that is not listed comes last."""
        return sorted(self.commands, key=lambda name: (*COMMANDS, name).index(name))


app = typer.Typer(
    name="mandseg",
    cls=InOrderOfUse,
    help="How much annotation noise can a mandible segmentation network tolerate?",
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(prepare, name="prepare")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command. A user error is printed as plain lines with exit code 2, without a traceback.

    Args:
        arguments: The words after ``mandseg``; default: the words of this process.
    """
    arguments = [with_home(word) for word in (sys.argv[1:] if arguments is None else arguments)]
    debug = "--debug" in takewhile(lambda argument: argument.startswith("-"), arguments)
    try:
        raise SystemExit(run_words(app, arguments))
    except (UserError, PermissionError) as error:
        if debug:
            raise
        for line in (str(error) if isinstance(error, UserError) else closed_place(error)).splitlines():
            print(f"mandseg: {line}", file=sys.stderr)
        raise SystemExit(WRONG_INPUT) from None


def closed_place(error: PermissionError) -> str:
    """The line about a file or folder that this user may not open."""
    return f"{error.filename or 'a file'}: may not be opened; ask for the right to do so, or name another place"


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"mandseg {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    """How much annotation noise can a mandible segmentation network tolerate?"""


@app.command()
def check(
    cohorts: Annotated[list[Path], typer.Argument(help="Folders of cohorts, or their manifest.csv.")],
    csv: Annotated[Path | None, typer.Option("--csv", help="Write all measurements to this CSV file.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that read the files.")] = None,
) -> None:
    """Check cohorts before a training: grids, label values, HU, pieces, duplicates, leaks, one patient under two names.

    Several cohorts are also compared with each other, to find cases of the same patient.
    Exit code 2 on errors, with which a training refuses the cohort; exit code 0 with warnings only.

    Example: [bold]mandseg check cohorts/openkbp --csv openkbp-check.csv[/bold]

    Example: [bold]mandseg check cohorts/openkbp cohorts/deepmind[/bold]
    """
    from mandseg.data.check import check_cohort
    from mandseg.data.check_table import print_checkup, print_same_patients, refuse_other_table, write_checkup
    from mandseg.system.terminal import open_console

    if csv is not None:
        if len(cohorts) > 1:
            raise UserError(f"--csv {csv}: for one cohort, {len(cohorts)} are given")
        refuse_other_table(csv)
    console = open_console()
    checkups = []
    for cohort in cohorts:
        checkups.append(check_cohort(cohort, workers))
        if csv is not None:
            write_checkup(csv, checkups[0])
        print_checkup(checkups[-1], console)
    print_same_patients(checkups, console)
    if any(checkup.errors for checkup in checkups):
        raise typer.Exit(WRONG_INPUT)


@app.command()
def audit(
    cohort: Annotated[Path, typer.Argument(help="A cohort's folder, or its manifest.csv.")],
    figures: Annotated[
        bool, typer.Option("--figures", help="Draw the worst cases and the worst one of each annotator.")
    ] = False,
    all_figures: Annotated[bool, typer.Option("--all-figures", help="Draw every case.")] = False,
    noise: Annotated[
        str | None, typer.Option(help="Simulate the noisy labels: a preset of conf/noise. Default: as recorded.")
    ] = None,
    target_dice: Annotated[float | None, typer.Option(help="With --noise: every label has this Dice.")] = None,
    severity: Annotated[float | None, typer.Option(help="With --noise: factor on the size of every error.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="With --noise: seed of the annotators' errors.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; default: audit, or audit-PRESET, in the cohort.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that measure and draw.")] = None,
) -> None:
    """Compare noisy labels with their references: errors by annotator and region, and the cases to correct first.

    Writes a page, tables as CSV and figures, and prints one row for each annotator.

    Example: [bold]mandseg audit cohorts/clinic --figures[/bold]

    Example: [bold]mandseg audit cohorts/openkbp --noise planning --target-dice 0.85[/bold]
    """
    from mandseg.audit.page import write_audit
    from mandseg.audit.pictures import EVERY_CASE, WORST_CASES
    from mandseg.audit.terminal import print_audit
    from mandseg.noise import Recorded, load_preset
    from mandseg.system.terminal import open_console

    given = {"target_dice": target_dice, "severity": severity, "seed": seed}
    parameters = {name: value for name, value in given.items() if value is not None}
    if parameters and not noise:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in parameters)
        raise UserError(f"{options}: for simulated labels only, name a preset with --noise")
    source = load_preset(noise, **parameters) if noise else Recorded()
    words = ", ".join([noise or "recorded", *(f"{name} {value:g}" for name, value in parameters.items())])
    folder = out or (cohort if cohort.is_dir() else cohort.parent) / (f"audit-{noise}" if noise else "audit")
    pictures = EVERY_CASE if all_figures else WORST_CASES if figures else 0
    found, page = write_audit(cohort, folder, source, words, pictures, workers)
    print_audit(found, open_console())
    print(page)


@app.command()
def fidelity(
    cohort: Annotated[Path, typer.Argument(help="A cohort's folder, or its manifest.csv; its CTs are not read.")],
    preset: Annotated[str, typer.Option(help="A preset of conf/noise.")] = "radiographer",
    out: Annotated[Path | None, typer.Option(help="Folder to write tables and figures to.")] = None,
    baseline: Annotated[str, typer.Option(help="The preset to compare it with.")] = "margin",
    drawings: Annotated[int, typer.Option(min=1, help="Simulated drawings of each reference.")] = 8,
    rounds: Annotated[int, typer.Option("--fit", min=0, help="Number of rounds to fit both presets; 0: no fit.")] = 0,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.")] = None,
) -> None:
    """Compare simulated with real pairs of contours: are a preset's errors distributed like those of annotators?

    Uses the cases with a reference and a noisy label. With --fit, both presets are fitted on each half of the pairs
    and compared on the other half; they are also fitted on all pairs, for use. Without --fit, nothing is fitted.

    Example: [bold]mandseg fidelity cohorts/deepmind --preset radiographer --out fidelity[/bold]

    Example: [bold]mandseg fidelity cohorts/clinic --fit 3 --out fidelity[/bold]
    """
    from mandseg.audit.fidelity.assessment import FOLDER, Plan, assess, write_assessment
    from mandseg.audit.fidelity.summary import print_assessment
    from mandseg.system.files import refuse_foreign_files
    from mandseg.system.terminal import open_console

    if out is not None:
        refuse_foreign_files(out, FOLDER)
    assessment = assess(cohort, Plan(preset, baseline, drawings, rounds, workers=workers))
    if out is not None:
        write_assessment(out, assessment)
    print_assessment(assessment, open_console())


@app.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "allow_interspersed_args": False},
)
def train(context: typer.Context) -> None:
    """Train and evaluate; the same as [bold]python -m mandseg.train[/bold], all arguments are Hydra's.

    Example: [bold]mandseg train -m noise_ratio=0,0.2,0.5,1.0[/bold]
    """
    import mandseg.train

    sys.argv = ["mandseg train", *context.args]
    mandseg.train.main()


app.command(context_settings={"ignore_unknown_options": False, "allow_extra_args": True})(estimate)
app.command()(rank)
app.command()(predict)
app.command()(commission)
app.command()(pair)
app.add_typer(of_a_study)

if __name__ == "__main__":
    main()
