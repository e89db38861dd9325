"""The page: one HTML file that needs nothing else."""

from collections.abc import Mapping, Sequence

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from mandseg.metrics.catalogue import METRICS, metric_named
from mandseg.report import finding
from mandseg.report.audience import Audience
from mandseg.report.section import Section
from mandseg.report.settings import versions as versions_of
from mandseg.report.tables.table import Table
from mandseg.report.wording import number
from mandseg.runs.study import Study


def environment(*packages: str) -> Environment:
    """The one jinja environment: it escapes what it prints and refuses names that it does not know.

    Args:
        packages: Where templates are, besides this package, whose ``page.css.j2`` every page includes.
    """
    loader = ChoiceLoader([PackageLoader(package) for package in (*packages, "mandseg.report")])
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.globals.update(number=number)
    return made


def page(
    study: Study,
    parts: Sequence[Section],
    shared: Sequence[Table],
    methods: str,
    settings: Mapping[str, str],
    audience: Audience,
) -> str:
    """Render the page.

    Args:
        study: The study.
        parts: Its arms.
        shared: The tables of :func:`mandseg.report.tables.runs.study_tables` and the matrix, by name.
        methods: methods.md.
        settings: Each setting with its values.
        audience: Who reads it; outside, the noise by annotator is left out.
    """
    made = environment()
    made.globals.update(headline=finding.headline, sentences=finding.sentences, metric_named=metric_named)
    return made.get_template("report.html.j2").render(
        study=study,
        counts=study.counts(),
        parts=parts,
        shared={table.name: table for table in shared},
        margin_sources=margin_sources(parts),
        n_open=int((study.ledger.state != "done").sum()),
        settings=settings,
        versions=versions_of(study),
        methods=[line for line in methods.split("\n\n") if not line.startswith("# ")],
        shows_people=audience is Audience.INSIDE,
    )


def margin_sources(parts: Sequence[Section]) -> list[str]:
    """Each margin with where it comes from, a line each."""
    if not parts:
        return []
    margins = parts[0].analysis.margins
    return [
        f"Margin of {metric.label}, {f'{margin:g} {metric.unit}'.strip()}: " + margins.source(metric)
        for metric in METRICS
        if (margin := margins.of(metric)) is not None
    ]
