"""An assessment in, a table and a few lines for the terminal out."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from mandseg.fidelity.assessment import Assessment, misfits
from mandseg.fidelity.comparison import Comparison
from mandseg.fidelity.quantities import QUANTITIES

SIGNIFICANT = 0.05


def print_assessment(assessment: Assessment, console: Console) -> None:
    """Print every quantity of the held-out half, and what it comes to."""
    console.print(_table(assessment))
    for line in summary(assessment):
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def summary(assessment: Assessment) -> list[str]:
    """Say in a few lines what was compared and how far preset and baseline are off."""
    plan, halves = assessment.plan, assessment.halves
    lines = [
        *assessment.notes,
        f"{len(halves.fit)} pairs to fit on, {len(halves.check)} held out (seed {plan.seed}); "
        f"{plan.n_drawings} drawings of each reference",
    ]
    for name, fitted in assessment.fitted.items():
        lines.append(
            f"{name}: fitted, misfit {fitted.misfit_before:.3f} -> {fitted.misfit:.3f} in {fitted.n_tried} tries"
        )
    held_out, on_fit_half = misfits(assessment.held_out), misfits(assessment.on_fit_half)
    for name, comparisons in assessment.held_out.items():
        lines.append(
            f"{name}: misfit {held_out[name]:.3f} held out ({on_fit_half[name]:.3f} on the other half); "
            f"{_n_told_apart(comparisons)} of {len(comparisons)} quantities told apart (p < {SIGNIFICANT})"
        )
    lines.append(f"people: misfit {assessment.between_halves:.3f} between the two halves")
    return lines


def _n_told_apart(comparisons: Sequence[Comparison]) -> int:
    return sum(comparison.p < SIGNIFICANT for comparison in comparisons)


def _table(assessment: Assessment) -> Table:
    names = list(assessment.held_out)
    table = Table(title="Held-out half: real and simulated drawings, median (quartiles)", title_justify="left")
    table.add_column("quantity", no_wrap=True)
    table.add_column("real", justify="right")
    for name in names:
        table.add_column(name, justify="right")
        table.add_column("distance", justify="right")
        table.add_column("p", justify="right")
    for rows in zip(*assessment.held_out.values(), strict=True):
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
