"""The declaration of a study before its runs: the primary metric and the non-inferiority margins."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from mandseg.metrics.catalogue import Metric, metric_named
from mandseg.metrics.dose.catalogue import levels_of, measure_named, measures
from mandseg.metrics.margins import MARGINS, Margins
from mandseg.system.errors import UserError, one_line
from mandseg.system.wording import some_of


@dataclass(frozen=True)
class Declaration:
    """The primary metric and the margins.

    Args:
        primary: Column of the primary metric; all other metrics are secondary.
        margins: The non-inferiority margin of each metric.
        is_declared: Whether the configs of the runs state them; otherwise these are the defaults.
        notes: Remarks on their origin for the reader of a report.
    """

    primary: str = "dice"
    margins: Margins = MARGINS
    is_declared: bool = False
    notes: tuple[str, ...] = ()

    def with_primary(self, primary: str | None) -> "Declaration":
        """Replace the primary metric by another one, and note it if it is not the declared one.

        Raises:
            UserError: There is no such metric.
        """
        if primary is None or primary == self.primary:
            return self
        label, declared = metric_named(primary).label, metric_named(self.primary).label
        origin = "declared before the runs" if self.is_declared else "the default"
        note = f"{label} was chosen as the primary metric after the runs; {declared} is {origin}"
        return replace(self, primary=primary, notes=(*self.notes, note))


def declare(settings: Mapping[str, Any]) -> Declaration:
    """Check the ``analysis`` group of a config.

    Raises:
        UserError: A key or a metric is unknown, or a margin is not a positive number.
    """
    if not isinstance(settings, Mapping):
        raise UserError(f"analysis={settings}: expected primary and margins, e.g. analysis.margins.dice=0.02")
    if not isinstance(margins := settings.get("margins") or {}, Mapping):
        raise UserError(f"analysis.margins={margins}: expected margins by metric, e.g. analysis.margins.dice=0.02")
    if unknown := set(settings) - {"primary", "margins"}:
        raise UserError(f"analysis.{min(unknown)}: expected primary or margins")
    primary = metric_named(str(settings.get("primary", Declaration.primary)))
    changed = {}
    for name, margin in margins.items():
        metric = _compared(str(name))
        if margin is not None and metric.better is None:
            raise UserError(f"analysis.margins.{name}={margin}: neither sign of {metric.label} is better")
        is_number = isinstance(margin, int | float) and not isinstance(margin, bool)
        most = metric.highest - metric.lowest
        if margin is not None and not (is_number and 0 < margin < most):
            below = f" below {most:g}" if most < inf else ""
            expected = f"expected a positive number{below}, or null for no margin"
            raise UserError(f"analysis.margins.{name}={margin}: {expected}")
        changed[metric.column] = margin
    chosen = MARGINS.changed(changed)
    if chosen.of(primary) is None:
        raise UserError(f"analysis.primary={primary.column}: the primary metric needs a margin")
    return Declaration(primary.column, chosen, is_declared=True)


def declared_levels_gy(settings: object) -> list[float]:
    """The doses of the V-levels for which the ``analysis`` group of a config declares a margin, in Gy."""
    margins = settings.get("margins") if isinstance(settings, Mapping) else None
    return levels_of(map(str, margins)) if isinstance(margins, Mapping) else []


def _compared(name: str) -> Metric:
    """The metric of a declared margin: that of the column, or the absolute error of the measure of the dose.

    Raises:
        UserError: There is no such metric.
    """
    if (measure := measure_named(name)) is not None:
        return measure.absolute
    doses = ", ".join(measure.name for measure in measures())
    try:
        return metric_named(name)
    except UserError as error:
        raise UserError(f"{error}; of the dose {doses}") from error


def read_declaration(stated: Iterable[object]) -> Declaration:
    """What the runs of a study declare, the most frequent where they differ, with a note.

    Args:
        stated: The group ``analysis`` of each run's settings; None for a run that has none.
    """
    groups = [json.dumps(group, sort_keys=True, default=str) if group is not None else "" for group in stated]
    seen = Counter(groups)
    blocks = [(group, n) for group, n in seen.most_common() if group]
    if not blocks:
        silent = "no run declares a primary metric or margins: the defaults are used"
        return Declaration(notes=(silent,) if seen else ())
    try:
        declaration = declare(json.loads(blocks[0][0]))
    except (UserError, ValueError, TypeError, AttributeError) as error:
        return Declaration(notes=(f"the declared analysis cannot be read, the defaults are used: {one_line(error)}",))
    notes = []
    if len(blocks) > 1:
        others = sum(n for _, n in blocks[1:])
        notes.append(f"{some_of(others, seen.total(), 'run', 'declare')} another primary metric or other margins")
    if seen[""]:
        notes.append(f"{some_of(seen[''], seen.total(), 'run', 'declare')} no primary metric and no margins")
    return replace(declaration, notes=tuple(notes))
