"""Non-inferiority margins of the metrics, by default those of the catalogue."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mandseg.metrics.catalogue import METRICS, Metric


def _default(metric: Metric) -> float | None:
    return metric.margin.value if metric.margin else None


def _catalogued() -> dict[str, float | None]:
    return {metric.column: _default(metric) for metric in METRICS}


@dataclass(frozen=True)
class Margins:
    """The margin of every metric by its column, in the unit of the metric; None if none is stated.

    A metric that is not in ``values``, such as a score of the dose, has the margin of its own catalogue.
    """

    values: Mapping[str, float | None] = field(default_factory=_catalogued)

    def of(self, metric: Metric) -> float | None:
        """The margin of one metric; None if none is stated."""
        return self.values.get(metric.column, _default(metric))

    def changed(self, margins: Mapping[str, float | None]) -> "Margins":
        """Replace some margins."""
        return Margins({**self.values, **margins})

    def source(self, metric: Metric) -> str:
        """The source of the margin of a metric."""
        if metric.margin is not None and metric.margin.value == self.of(metric):
            return metric.margin.source
        return "declared for this study"

    @property
    def words(self) -> str:
        """Every stated margin with its unit: ``Dice 0.02, HD95 1 mm``."""
        stated = [(metric, margin) for metric in METRICS if (margin := self.of(metric)) is not None]
        return ", ".join(f"{metric.label} {margin:g} {metric.unit}".strip() for metric, margin in stated)


MARGINS = Margins()
