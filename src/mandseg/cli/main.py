"""The command line: ``mandseg prepare | check | audit | train | status | report`` and further commands.

Nothing heavy is imported before a command runs, so that ``mandseg --help`` answers at once.
"""

import sys
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Annotated

import typer

from mandseg import __version__
from mandseg.cli.pair import pair
from mandseg.cli.prepare import prepare
from mandseg.system.errors import UserError
from mandseg.system.names import with_home

BAD_INPUT = 2  # exit code
WIDTH_OF_A_FILE = 140  # columns, where there is no terminal to ask

app = typer.Typer(
    name="mandseg",
    help="How much annotation noise can a mandible segmentation network tolerate?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(prepare, name="prepare")
app.command("pair")(pair)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command. A user error is printed as plain lines with exit code 2, without a traceback.

    Args:
        arguments: The words after ``mandseg``; default: the words of this process.
    """
    arguments = [with_home(word) for word in (sys.argv[1:] if arguments is None else arguments)]
    debug = "--debug" in takewhile(lambda argument: argument.startswith("-"), arguments)
    try:
        app(arguments, prog_name="mandseg")
    except UserError as error:
        if debug:
            raise
        for line in str(error).splitlines():
            print(f"mandseg: {line}", file=sys.stderr)
        raise SystemExit(BAD_INPUT) from None


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
    csv: Annotated[Path | None, typer.Option("--csv", help="Write all that was measured to this CSV file.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that read the files.")] = None,
) -> None:
    """Check cohorts before a training: grids, label values, HU, pieces, duplicates, leaks, one patient under two names.

    Several cohorts are also compared with each other: which of their cases show the same patient?
    Exit code 2 on errors (training would refuse the cohort), 0 with warnings (worth a look).

    Example: [bold]mandseg check cohorts/openkbp --csv openkbp-check.csv[/bold]

    Example: [bold]mandseg check cohorts/openkbp cohorts/deepmind[/bold]
    """
    from rich.console import Console

    from mandseg.data.check import check_cohort
    from mandseg.data.check_table import print_checkup, print_same_patients, refuse_other_table, write_checkup

    if csv is not None:
        if len(cohorts) > 1:
            raise UserError(f"--csv {csv}: for one cohort, {len(cohorts)} are given")
        refuse_other_table(csv)
    console = Console() if Console().is_terminal else Console(width=WIDTH_OF_A_FILE)
    checkups = []
    for cohort in cohorts:
        checkups.append(check_cohort(cohort, workers))
        if csv is not None:
            write_checkup(csv, checkups[0])
        print_checkup(checkups[-1], console)
    print_same_patients(checkups, console)
    if any(checkup.errors for checkup in checkups):
        raise typer.Exit(BAD_INPUT)


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
    seed: Annotated[int | None, typer.Option(help="With --noise: seed of the annotators' errors.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; default: audit, or audit-PRESET, in the cohort.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that measure and draw.")] = None,
) -> None:
    """Compare noisy labels with their references: who errs, where and how far; which cases to correct first.

    Writes a page, tables as CSV and figures, and prints a row an annotator.

    Example: [bold]mandseg audit cohorts/clinic --figures[/bold]

    Example: [bold]mandseg audit cohorts/openkbp --noise planning --target-dice 0.85[/bold]
    """
    from rich.console import Console

    from mandseg.audit.page import write_audit
    from mandseg.audit.pictures import EVERY_CASE, WORST_CASES
    from mandseg.audit.terminal import print_audit
    from mandseg.noise import Recorded, load_preset

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
    console = Console()
    print_audit(found, console if console.is_terminal else Console(width=WIDTH_OF_A_FILE))
    print(page)


@app.command()
def fidelity(
    cohort: Annotated[Path, typer.Argument(help="A cohort's folder, or its manifest.csv; its CTs are not read.")],
    preset: Annotated[str, typer.Option(help="A preset of conf/noise.")] = "radiographer",
    out: Annotated[Path | None, typer.Option(help="Folder to write tables and figures to.")] = None,
    baseline: Annotated[str, typer.Option(help="The preset to beat.")] = "margin",
    drawings: Annotated[int, typer.Option(min=1, help="Simulated drawings of each reference.")] = 8,
    rounds: Annotated[int, typer.Option("--fit", min=0, help="Fit both presets first, in so many rounds.")] = 0,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.")] = None,
) -> None:
    """Compare simulated with real pairs of drawings: are a preset's errors distributed like people's?

    Takes the cases with a reference and a noisy label. With --fit both presets are fitted on either half and
    compared on the other, and fitted on all pairs to be used; without, they are compared as they are.

    Example: [bold]mandseg fidelity cohorts/deepmind --preset radiographer --out fidelity[/bold]

    Example: [bold]mandseg fidelity cohorts/clinic --fit 3 --out fidelity[/bold]
    """
    from rich.console import Console

    from mandseg.audit.fidelity.assessment import FOLDER, Plan, assess, write_assessment
    from mandseg.audit.fidelity.summary import print_assessment
    from mandseg.system.files import refuse_foreign_files

    if out is not None:
        refuse_foreign_files(out, FOLDER)
    assessment = assess(cohort, Plan(preset, baseline, drawings, rounds, workers=workers))
    if out is not None:
        write_assessment(out, assessment)
    console = Console()
    print_assessment(assessment, console if console.is_terminal else Console(width=WIDTH_OF_A_FILE))


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


@app.command()
def status(study: Annotated[Path, typer.Argument(help="A study's folder, e.g. outputs/openkbp.")]) -> None:
    """List a study's runs: done, running, failed with the reason, missing; exit code 0 if all are done.

    Example: [bold]mandseg status outputs/openkbp[/bold]
    """
    import mandseg.runs.status

    raise typer.Exit(mandseg.runs.status.status(study))


@app.command()
def report(
    study: Annotated[Path, typer.Argument(help="A study's folder, e.g. outputs/openkbp.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write to; default: report in the study.")] = None,
    compare: Annotated[
        str, typer.Option(help="What is compared: noise_ratio, method, loss, model, noise, data or variant.")
    ] = "noise_ratio",
    baseline: Annotated[
        str | None, typer.Option(help="What the others are compared with; default: ratio 0, else the most frequent.")
    ] = None,
    by: Annotated[str, typer.Option(help="Groups of cases to look at as well, by column: protocol,annotator.")] = "",
    primary: Annotated[
        str | None, typer.Option(help="The metric of the finding, e.g. hd95_mm; default: as declared before the runs.")
    ] = None,
    pdf: Annotated[bool, typer.Option(help="Print report.pdf, too, where there is a Chromium.")] = True,
) -> None:
    """Write the study's report: a page, its PDF, figures, tables as CSV and LaTeX, the methods in words.

    Examples: [bold]mandseg report outputs/openkbp[/bold]

    [bold]mandseg report outputs/openkbp --compare method --by protocol,annotator[/bold]
    """
    import mandseg.report

    names = [name.strip() for name in by.split(",") if name.strip()]
    page = mandseg.report.write_report(
        study, out, compare=compare, baseline=baseline, by=names, primary=primary, pdf=pdf
    )
    print(page)


@app.command("plan-study")
def plan_study(
    pilot: Annotated[Path, typer.Argument(help="A study's folder, or a pooled cases.csv such as a report's.")],
    margin: Annotated[float, typer.Option(help="The loss that counts as no loss, in the metric's unit.")],
    power: Annotated[float, typer.Option(help="How often the planned study is to show it.")] = 0.8,
    metric: Annotated[str, typer.Option(help="dice, hd95_mm, assd_mm, nsd_1mm or nsd_2mm.")] = "dice",
    loss: Annotated[float, typer.Option(help="The true loss that is assumed.")] = 0.0,
    dataset: Annotated[str | None, typer.Option(help="Data set of the pilot; default: the first.")] = None,
    ratio: Annotated[float | None, typer.Option(help="Noise ratio of the pilot; default: the most variable.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write to; default: plan in the study.")] = None,
) -> None:
    """Compute how many test cases and seeds a study needs, from the variation in a pilot.

    Example: [bold]mandseg plan-study outputs/demo --margin 0.02 --power 0.8[/bold]
    """
    import mandseg.report.study_plan

    print(mandseg.report.study_plan.plan_study(pilot, margin, power, metric, loss, dataset, ratio, out))


@app.command()
def sync(study: Annotated[Path, typer.Argument(help="A study's folder, e.g. outputs/openkbp.")]) -> None:
    """Send offline recordings to Weights & Biases, each run once, then the study's table, curves and report.

    Exit code 0 if all is there, 1 if something could not be sent (call it again), 2 without a key.

    Example: [bold]mandseg sync outputs/openkbp[/bold]
    """
    from rich.console import Console

    import mandseg.report.wandb.sync

    console = Console()
    raise typer.Exit(
        mandseg.report.wandb.sync.sync(study, console if console.is_terminal else Console(width=WIDTH_OF_A_FILE))
    )


@app.command()
def dashboard(
    study: Annotated[Path, typer.Argument(help="A study's folder, or a dashboard.json that is to be saved online.")],
) -> None:
    """Write a Weights & Biases workspace of a study to its dashboard.json, and save it online if a key is configured.

    A second call updates the saved workspace and overwrites changes that were made to it online.

    Example: [bold]mandseg dashboard outputs/openkbp[/bold]

    Example: [bold]mandseg dashboard dashboard.json[/bold]
    """
    import mandseg.report.wandb.workspace

    raise typer.Exit(mandseg.report.wandb.workspace.dashboard(study))


if __name__ == "__main__":
    main()
