"""The page: one HTML file that loads no other file."""

from collections.abc import Mapping, Sequence
from functools import cache

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from mandseg.metrics.catalogue import METRICS
from mandseg.report import finding
from mandseg.report.audience import Audience
from mandseg.report.figures.style import VERDICT_MARKS
from mandseg.report.section import Section
from mandseg.report.settings import READ_CONFIGS
from mandseg.report.settings import versions as versions_of
from mandseg.report.statistics_methods import has_one_seed
from mandseg.report.tables.table import Table
from mandseg.report.wording import number
from mandseg.runs.study import Study
from mandseg.system.wording import count, some_of, verb


@cache
def environment(*packages: str) -> Environment:
    """The one jinja environment, with its templates compiled once. It escapes what it prints and refuses unknown names.

    Args:
        packages: Packages with templates, searched before this one. Every page includes its ``page.css.j2`` and
            ``sort_tables.js.j2``.
    """
    loader = ChoiceLoader([PackageLoader(package) for package in (*packages, "mandseg.report")])
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.globals.update(number=number, count=count, some_of=some_of, verb=verb)
    made.filters["unbroken"] = _unbroken
    return made


def _unbroken(text: str) -> str:
    """A sentence in which no line breaks between a number and its percent sign."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


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
        shared: The tables of :func:`mandseg.report.tables.runs.study_tables`, and the matrix of training conditions
            and test sets.
        methods: The text of methods.md.
        settings: Each setting with its values.
        audience: Who reads it. The page for readers outside has no noise by annotator.
    """
    made = environment()
    made.globals.update(headline=finding.headline, sentences=finding.sentences, marks=VERDICT_MARKS)
    return made.get_template("report.html.j2").render(
        study=study,
        counts=study.counts(),
        parts=parts,
        shared={table.name: table for table in shared},
        margin_sources=margin_sources(parts),
        one_seed=all(has_one_seed(part.analysis) for part in parts),
        n_open=int((study.ledger.state != "done").sum()),
        settings=settings,
        read_configs=READ_CONFIGS,
        versions=versions_of(study),
        methods=[line for line in methods.split("\n\n") if not line.startswith("# ")],
        shows_people=audience is Audience.INSIDE,
    )


def margin_sources(parts: Sequence[Section]) -> list[str]:
    """One line for each margin, with its source."""
    if not parts:
        return []
    margins = parts[0].analysis.margins
    return [
        f"Margin of {metric.label}, {f'{margin:g} {metric.unit}'.strip()}: " + margins.source(metric)
        for metric in METRICS
        if (margin := margins.of(metric)) is not None
    ]
