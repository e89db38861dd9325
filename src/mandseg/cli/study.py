"""The commands about a study folder: ``mandseg status | forget | report | dose | plan-study | sync | dashboard``."""

from pathlib import Path
from typing import Annotated

import typer

of_a_study = typer.Typer()


@of_a_study.command()
def status(study: Annotated[Path, typer.Argument(help="A study's folder, e.g. outputs/openkbp.")]) -> None:
    """List a study's runs: done, running, failed with the reason, missing; exit code 0 if all are done.

    Example: [bold]mandseg status outputs/openkbp[/bold]
    """
    import mandseg.runs.status

    code = mandseg.runs.status.status(study)
    if not code:
        print(mandseg.runs.status.next_step(study))
    raise typer.Exit(code)


@of_a_study.command()
def forget(
    study: Annotated[Path, typer.Argument(help="A study's folder, e.g. outputs/openkbp.")],
    runs: Annotated[list[str], typer.Argument(help="Names of runs, as mandseg status prints them.")],
) -> None:
    """Withdraw runs from the list of a study, so that they are no longer expected. Nothing else is removed.

    A run whose folder holds a result stays in the study; remove the folder first. A running run is refused.

    Example: [bold]mandseg forget outputs/demo ratio0.5_seed0_planning_unet_supervised_1a2b3c4d[/bold]
    """
    from mandseg.runs.forget import forget_runs

    for line in forget_runs(study, runs):
        print(line)


@of_a_study.command()
def report(
    study: Annotated[Path, typer.Argument(help="A study's folder, e.g. outputs/openkbp.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write to; default: report in the study.")] = None,
    compare: Annotated[
        str,
        typer.Option(help="A column: noise_ratio, method, loss, clean_budget, ranking, model, noise, data or variant."),
    ] = "noise_ratio",
    baseline: Annotated[
        str | None, typer.Option(help="The others are compared with it; default: ratio 0, else the most frequent.")
    ] = None,
    by: Annotated[str, typer.Option(help="Also analyse groups of cases, by column: protocol,annotator.")] = "",
    primary: Annotated[
        str | None, typer.Option(help="The metric of the finding, e.g. hd95_mm; default: as declared before the runs.")
    ] = None,
    pdf: Annotated[bool, typer.Option(help="Also print report.pdf, if there is a Chromium.")] = True,
    formats: Annotated[str, typer.Option(help="File types of the figures: svg,png,pdf.")] = "svg",
) -> None:
    """Write the study's report: a page, its PDF, figures, tables as CSV and LaTeX, a methods text.

    Examples: [bold]mandseg report outputs/openkbp[/bold]

    [bold]mandseg report outputs/openkbp --compare method --by protocol,annotator[/bold]
    """
    from mandseg.report.folder import checked_folder

    kinds, groups = _names(formats) or [formats], _names(by)
    checked_folder(study, out, compare, kinds)  # before the libraries are imported, which takes a second

    from mandseg.report.write import write_report

    page = write_report(
        study, out, compare=compare, baseline=baseline, by=groups, primary=primary, pdf=pdf, formats=kinds
    )
    print(page)


@of_a_study.command()
def dose(
    study: Annotated[Path, typer.Argument(help="A study's folder, e.g. outputs/openkbp.")],
    manifest: Annotated[
        list[str] | None,
        typer.Option(
            help="A manifest with the column dose, for a study without: of the training cohort, or NAME=MANIFEST."
        ),
    ] = None,
    levels: Annotated[str, typer.Option(help="Doses of the V-levels, in Gy.")] = "44,58",
    device: Annotated[str, typer.Option(help="Where to predict: auto (a GPU if there is one), cpu, cuda:1.")] = "auto",
) -> None:
    """Score the dose of the predicted contours of every done run: Dmean, D0.1cc, D2cc, V-levels and their errors.

    Nothing is trained. Writes dose.csv into each run folder; the next report of the study shows it.

    Examples: [bold]mandseg dose outputs/clinic[/bold]

    [bold]mandseg dose outputs/openkbp --manifest cohorts/openkbp-with-dose[/bold]
    """
    from mandseg.cli.import_options import numbers
    from mandseg.runs.dose.score import score_study

    named = dict(_named_manifest(text) for text in manifest or [])
    for line in score_study(study, named, numbers("--levels", levels), device):
        print(line)


def _named_manifest(text: str) -> tuple[str, str]:
    """The data set of a manifest and its path; the empty name for the training cohort."""
    name, sign, path = text.partition("=")
    return (name, path) if sign and not Path(text).exists() else ("", text)


def _names(text: str) -> list[str]:
    """The words of a list like ``protocol,annotator``."""
    return [name.strip() for name in text.split(",") if name.strip()]


@of_a_study.command("plan-study")
def plan_study(
    pilot: Annotated[Path, typer.Argument(help="A study's folder, or a pooled cases.csv such as a report's.")],
    margin: Annotated[float, typer.Option(help="The largest tolerated loss, in the metric's unit.")],
    power: Annotated[float, typer.Option(help="Probability that the planned study shows it.")] = 0.8,
    metric: Annotated[str, typer.Option(help="dice, hd95_mm, assd_mm, nsd_1mm or nsd_2mm.")] = "dice",
    loss: Annotated[float, typer.Option(help="The assumed true loss.")] = 0.0,
    dataset: Annotated[str | None, typer.Option(help="Data set of the pilot; default: the first.")] = None,
    ratio: Annotated[float | None, typer.Option(help="Noise ratio of the pilot; default: the most variable.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write to; default: plan in the study.")] = None,
) -> None:
    """Compute how many test cases and seeds a study needs, from the variation in a pilot.

    Example: [bold]mandseg plan-study outputs/demo --margin 0.02 --power 0.8[/bold]
    """
    import mandseg.report.study_plan

    print(mandseg.report.study_plan.plan_study(pilot, margin, power, metric, loss, dataset, ratio, out))


@of_a_study.command()
def sync(study: Annotated[Path, typer.Argument(help="A study's folder, e.g. outputs/openkbp.")]) -> None:
    """Send offline recordings to Weights & Biases, each run once, then the study's table, curves and report.

    Exit code 0 if all was sent, 1 if something could not be sent (call it again), 2 without a key.

    Example: [bold]mandseg sync outputs/openkbp[/bold]
    """
    import mandseg.report.wandb.sync

    raise typer.Exit(mandseg.report.wandb.sync.sync(study))


@of_a_study.command()
def dashboard(
    study: Annotated[Path, typer.Argument(help="A study's folder, or a dashboard.json to save online.")],
) -> None:
    """Write a Weights & Biases workspace of a study to its dashboard.json, and save it online if a key is configured.

    A second call updates the saved workspace and overwrites changes that were made to it online.

    Example: [bold]mandseg dashboard outputs/openkbp[/bold]

    Example: [bold]mandseg dashboard dashboard.json[/bold]
    """
    import mandseg.report.wandb.workspace

    raise typer.Exit(mandseg.report.wandb.workspace.dashboard(study))
