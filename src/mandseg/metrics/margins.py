"""Non-inferiority margins of the metrics, by default those of the catalogue."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mandseg.metrics.catalogue import METRICS, Metric


def _catalogued(metrics: Iterable[Metric] = METRICS) -> dict[str, float | None]:
    return {metric.column: metric.margin.value if metric.margin else None for metric in metrics}


@dataclass(frozen=True)
class Margins:
    """The margin of every metric by its column, in the unit of the metric; None if none is stated."""

    values: Mapping[str, float | None] = field(default_factory=_catalogued)

    def of(self, metric: Metric) -> float | None:
        """The margin of one metric; None if none is stated."""
        return self.values[metric.column]

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


def margins_of(metrics: Iterable[Metric]) -> Margins:
    """The margins of other metrics than those of the catalogue of masks."""
    return Margins(_catalogued(metrics))


MARGINS = Margins()
