"""The command ``mandseg rank``: which labels of a cohort to correct first."""

from pathlib import Path
from typing import Annotated

import typer

from mandseg.cli.wrong_words import refuse_options, typed_options
from mandseg.system.errors import UserError
from mandseg.system.wording import count, some_of, typed


def rank(
    context: typer.Context,
    cohort: Annotated[Path, typer.Argument(help="A cohort's folder, or its manifest.csv; no reference is needed.")],
    settings: Annotated[
        list[str] | None, typer.Argument(help="With --folds: settings of the training, e.g. steps=4000 trainer=gpu.")
    ] = None,
    run: Annotated[
        Path | None, typer.Option("--run", help="A study or run folder whose networks do not know all cases.")
    ] = None,
    folds: Annotated[
        int | None, typer.Option("--folds", help="Train networks, each without one of so many parts of the cases.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="With --folds: networks of each part.")] = 1,
    by: Annotated[str | None, typer.Option("--by", help="The score that decides the order (docs/ranking.md).")] = None,
    decoys: Annotated[
        str | None,
        typer.Option("--decoys", help="A noise of conf/noise, e.g. planning: simulated labels set a threshold."),
    ] = None,
    split: Annotated[str, typer.Option(help="Rank cases of one split only: train, val or test.")] = "",
    choose: Annotated[
        list[str] | None, typer.Option("--choose", help="Of --run with several conditions: COLUMN=VALUE.")
    ] = None,
    corrected: Annotated[
        Path | None, typer.Option("--take-in", help="Folder of corrected masks, CASE.nii.gz: makes a new cohort.")
    ] = None,
    pictures: Annotated[int, typer.Option(min=0, help="Number of first cases to draw.")] = 24,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write; default: ranking, in the cohort; with --take-in COHORT-corrected."),
    ] = None,
    device: Annotated[str, typer.Option(help="Of the predictions: auto, cpu, cuda or cuda:1.")] = "auto",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that measure and draw.")] = None,
) -> None:
    """Rank the labels of a cohort by how likely they are wrong: the cases to correct first.

    Ranks the noisy label of a case, or its reference if it has no noisy one. Cases with 1 in the column trusted of the
    manifest are not ranked. Writes a page with pictures, and ranking.csv, which is also a value of ranking= of a
    training. The page names cases and annotators; it is for readers inside.

    Without --run and --folds no network is needed: about a second a case. --folds trains networks as a study in
    outputs/; if it is stopped, the same command continues it.

    Example: [bold]mandseg rank cohorts/clinic[/bold]

    Example: [bold]mandseg rank cohorts/clinic --folds 3 steps=4000 trainer=gpu[/bold]

    Example: [bold]mandseg rank cohorts/clinic --folds 3 --seeds 2 --decoys planning --by learned[/bold]

    Example: [bold]mandseg rank cohorts/new --run outputs/clinic --choose noise_ratio=0[/bold]

    Example: [bold]mandseg rank cohorts/clinic --take-in corrected/[/bold]
    """
    from mandseg.cli.predict import columns
    from mandseg.data.manifest import read_cohort
    from mandseg.noise import load_preset
    from mandseg.ranking.folder import default_folder, refuse_folder, write_ranking
    from mandseg.ranking.judges.fold_study import cases_of_split, study_of, train_folds
    from mandseg.ranking.judges.judgement import Judgement, judgement_of
    from mandseg.ranking.rank import Wish, rank_cohort, refuse_score
    from mandseg.ranking.ranking import Ranking
    from mandseg.ranking.terminal import print_ranking
    from mandseg.system.terminal import open_console

    if corrected is not None:
        reason = "--take-in ranks nothing, leave out these options"
        refuse_options(context, set(typed_options(context)) - {"--take-in", "--out"}, reason)
        if settings:
            raise UserError(f"--take-in {corrected}: ranks nothing, so it goes without settings of a training")
        _take_in(cohort, corrected, out)
        return
    if run is not None and folds is not None:
        raise UserError(f"--run {run} and --folds {folds}: give one of them")
    if settings and folds is None:
        raise UserError(f"{settings[0]}: settings of a training are for --folds only")
    records = run is not None or (folds is not None and "dynamics=0" not in (settings or ()))
    refuse_score(by, 2 if run is not None else 0 if folds is None else seeds, decoys is not None, records)
    if folds is None:
        refuse_options(context, {"--seeds"}, "for --folds only")
    if run is None:
        refuse_options(context, {"--choose"}, "for --run only")
    if run is None and folds is None:
        refuse_options(context, {"--device"}, "for the networks of --run and --folds only")
    folder = out or default_folder(cohort)
    found = read_cohort(cohort)
    refuse_folder(folder)
    cases = cases_of_split(found, split)
    wish = Wish(by, load_preset(decoys) if decoys else None, decoys or "", workers)
    if folds is not None:
        if code := train_folds(found, cases, folds, seeds, settings or (), split):
            raise typer.Exit(code)
        run = study_of(found, folds, settings or (), split)

    def ranked() -> tuple[Ranking, Judgement | None]:
        judgement = None if run is None else judgement_of(run, cases, columns(choose or ()), device, workers)
        return rank_cohort(found, cases, wish, judgement), judgement

    written = write_ranking(folder, ranked, pictures, workers)
    print_ranking(written.ranking, open_console())
    print(written.file)


def _take_in(cohort: Path, corrected: Path, out: Path | None) -> None:
    from mandseg.ranking.take_in import default_destination, take_in

    found = take_in(cohort, corrected, out or default_destination(cohort))
    n = len(found.cohort.cases) - len(found.open)
    print(
        f"{count(found.n_corrected, 'corrected mask')}; {some_of(n, len(found.cohort.cases), 'case', 'are')} trusted",
        end="",
    )
    print(f", next: {', '.join(found.open[:3])}" if found.open else ", none is left")
    print(f"original against corrected: mandseg audit {typed(found.cohort.root)} --figures")
    print(found.cohort.root / "manifest.csv")
