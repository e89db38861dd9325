"""An assessment in, a table and a few lines for the terminal out."""

import numpy as np
from rich.console import Console
from rich.table import Table

from mandseg.audit.fidelity.assessment import Assessment
from mandseg.audit.fidelity.quantities import QUANTITIES
from mandseg.audit.fidelity.realism import Comparison, misfit
from mandseg.system.wording import count, verb

SIGNIFICANT = 0.05


def print_assessment(assessment: Assessment, console: Console) -> None:
    """Print every quantity and the summary."""
    console.print(_table(assessment))
    for line in summary(assessment):
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def summary(assessment: Assessment) -> list[str]:
    """A few lines: the compared pairs, and the misfits of preset and baseline."""
    plan, halves = assessment.plan, assessment.halves
    means_mm = [np.mean([pair.displacement_mm for pair in half]) for half in halves]
    lines = [
        *assessment.notes,
        f"{len(halves[0])} + {len(halves[1])} pairs, divided by displacement "
        f"(mean {means_mm[0]:+.2f} and {means_mm[1]:+.2f} mm); {count(plan.n_drawings, 'drawing')} of each reference",
    ]
    for name, fits in assessment.fits.items():
        for where, own in (("the first half", fits.first), ("the second", fits.second), ("all pairs", fits.whole)):
            lines.append(
                f"{name}: fitted on {where}, misfit {own.misfit_before:.3f} -> {own.misfit:.3f} "
                f"in {count(own.n_tried, 'attempt')}"
            )
    for name, comparisons in assessment.comparisons.items():
        fitted = f"held out ({misfit(assessment.in_sample[name]):.3f} fitted on all)" if assessment.fits else "as it is"
        n_different = sum(comparison.p < SIGNIFICANT for comparison in comparisons)
        lines.append(
            f"{name}: misfit {misfit(comparisons):.3f} {fitted}; "
            f"{n_different} of {len(comparisons)} quantities {verb(n_different, 'differ')} (p < {SIGNIFICANT})"
        )
    won = assessment.advantage
    lines += [
        f"{plan.preset} minus {plan.baseline}: {won.difference:+.3f} ({won.low:+.3f} to {won.high:+.3f}, over cases)",
        f"people: misfit {assessment.between_halves:.3f} between the two halves",
    ]
    return lines


def _table(assessment: Assessment) -> Table:
    names = list(assessment.comparisons)
    how = "Held out" if assessment.fits else "Presets as they are"
    table = Table(title=f"{how}: real and simulated drawings, median (quartiles)", title_justify="left")
    table.add_column("quantity", no_wrap=True)
    table.add_column("real", justify="right")
    for name in names:
        table.add_column(name, justify="right")
        table.add_column("distance", justify="right")
        table.add_column("p", justify="right")
    for rows in zip(*assessment.comparisons.values(), strict=True):
        first = rows[0]
        cells = [_label(first), _spread(first.real_median, first.real_low, first.real_high)]
        for own in rows:
            cells += [
                _spread(own.simulated_median, own.simulated_low, own.simulated_high),
                f"{own.wasserstein:.3f}",
                f"{own.p:.3f}",
            ]
        table.add_row(*cells)
    return table


def _label(comparison: Comparison) -> str:
    quantity = QUANTITIES[comparison.quantity]
    return f"{quantity.label} ({quantity.unit})" if quantity.unit else quantity.label


def _spread(median: float, low: float, high: float) -> str:
    return f"{median:.3f} ({low:.3f} to {high:.3f})"
