"""The scores that are compared, and the loss of each that counts as no loss."""

from dataclasses import asdict, dataclass

from mandseg.metrics.catalogue import METRICS, Metric


@dataclass(frozen=True)
class Margins:
    """The loss that counts as no loss, per metric, in its unit: what changing the expert who contours would cost.

    - Dice 0.02: three annotators of one set reached 0.986, 0.985 and 0.969, best and last 0.017 apart (Oktay 2020,
      PMC7705593); one radiographer's cases scatter by 0.023 (the same source).
    - ASSD 0.3 mm: median (1.1) and best (0.8) of 14 radiation oncologists (van der Veen 2021,
      doi 10.1186/s13014-020-01677-2).
    - HD95 1 mm: about half of what lies between their median (3.4) and best (1.5); a network's own HD95 is a few mm.
    - Surface Dice 0.02: no published number is at hand; the margin of Dice is used.
    """

    dice: float | None = 0.02
    hd95_mm: float | None = 1.0
    assd_mm: float | None = 0.3
    nsd_1mm: float | None = 0.02
    nsd_2mm: float | None = 0.02
    volume_error_ml: float | None = None

    def of(self, metric: Metric) -> float | None:
        """The margin of one metric, None where none is stated."""
        return asdict(self).get(metric.column)

    @property
    def words(self) -> str:
        """Every stated margin with its unit: ``Dice 0.02, HD95 1 mm``."""
        stated = [(metric, margin) for metric in METRICS if (margin := self.of(metric)) is not None]
        return ", ".join(f"{metric.label} {margin:g} {metric.unit}".strip() for metric, margin in stated)


MARGINS = Margins()
MARGIN_SOURCES = {
    "dice": "three annotators' mandible Dice lies 0.017 apart (Oktay 2020)",
    "hd95_mm": "about half of the 1.9 mm between the median and the best of 14 oncologists (van der Veen 2021)",
    "assd_mm": "the 0.3 mm between the median and the best of 14 oncologists (van der Veen 2021)",
    "nsd_1mm": "as for Dice; no published figure at hand",
    "nsd_2mm": "as for Dice; no published figure at hand",
}
