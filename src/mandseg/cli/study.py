"""The commands about a study folder: ``mandseg status | report | plan-study | sync | dashboard``."""

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

    raise typer.Exit(mandseg.runs.status.status(study))


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

    kinds, groups = _names(formats), _names(by)
    checked_folder(study, out, compare, kinds)  # before the libraries are imported, which takes a second

    from mandseg.report.write import write_report

    page = write_report(
        study, out, compare=compare, baseline=baseline, by=groups, primary=primary, pdf=pdf, formats=kinds
    )
    print(page)


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
