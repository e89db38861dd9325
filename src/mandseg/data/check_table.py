"""The results of a check as a table for the terminal or as a CSV file with all measurements."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mandseg.data.check import CaseCheck, CohortCheck, Finding, same_patients_between
from mandseg.system.files import refuse_foreign_file, write_csv
from mandseg.system.wording import count

CSV_COLUMNS = (
    *("case_id", "subject_id", "split", "annotator", "shape", "spacing_x_mm", "spacing_y_mm", "spacing_z_mm"),
    *("hu_min", "hu_max", "reference_ml", "noisy_ml", "noisy_dice", "image_hash", "errors", "warnings"),
)


def print_checkup(checkup: CohortCheck, console: Console) -> None:
    """Print a short line for each case, every finding and a summary of the cohort."""
    console.print(_table(checkup))
    for finding in [*checkup.errors, *checkup.warnings]:
        style = "red" if finding.severity == "error" else "yellow"
        console.print(f"[{style}]{finding.severity}[/]: {escape(finding.line)}", highlight=False, soft_wrap=True)
    for line in summary(checkup):
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def print_same_patients(checkups: Sequence[CohortCheck], console: Console) -> None:
    """Print which cases of each two cohorts show the same patient."""
    for first, second in combinations(checkups, 2):
        lines = same_patients_between(first, second)
        for line in lines:
            console.print(f"[yellow]warning[/]: {escape(line)}", highlight=False, soft_wrap=True)
        text = f"{first.cohort.name} and {second.cohort.name}: {count(len(lines), 'pair')} of one patient, or suspected"
        console.print(text, highlight=False, soft_wrap=True, markup=False)


def summary(checkup: CohortCheck) -> list[str]:
    """Summarise numbers of cases, voxel sizes, label volumes and the Dice of the noisy labels in a few lines."""
    cases, inspections = checkup.cohort.cases, checkup.inspections
    splits = ", ".join(f"{n} {name or '(no split)'}" for name, n in Counter(case.split for case in cases).items())
    lines = [f"{count(len(cases), 'case')} of {count(len({case.subject_id for case in cases}), 'subject')}: {splits}"]
    if spacings := [i.spacing_mm for i in inspections if i.spacing_mm]:
        axes = zip("xyz", np.array(spacings).T, strict=True)
        lines.append("voxel edges: " + "; ".join(f"{axis} {_range(edges)} mm" for axis, edges in axes))
    for name, volumes_ml in (
        ("reference", [i.reference_ml for i in inspections if i.reference_ml is not None]),
        ("noisy", [i.noisy_ml for i in inspections if i.noisy_ml is not None]),
    ):
        if volumes_ml:
            lines.append(f"{name} labels: {len(volumes_ml)} of {count(len(cases), 'case')}, {_range(volumes_ml)} ml")
    if dices := [i.noisy_dice for i in inspections if i.noisy_dice is not None]:
        lines.append(f"Dice of noisy to reference: {_range(dices)}{_by_annotator(inspections)}")
    lines.append(f"{count(len(checkup.errors), 'error')}, {count(len(checkup.warnings), 'warning')}")
    return lines


def refuse_other_table(path: Path) -> None:
    """Refuse to replace a file that no earlier check wrote.

    Raises:
        UserError: It is another file or a folder, or cannot be written.
    """
    refuse_foreign_file(path, ",".join(CSV_COLUMNS), "a table of a check", "choose another name with --csv")


def write_checkup(path: Path, checkup: CohortCheck) -> None:
    """Write one row for each case as CSV, completely or not at all.

    Raises:
        UserError: The file exists and no earlier check wrote it, or it cannot be written.
    """
    refuse_other_table(path)
    findings = _by_case(checkup)
    rows = [_csv_row(inspection, findings[inspection.case.case_id]) for inspection in checkup.inspections]
    write_csv(path, CSV_COLUMNS, rows)


def _table(checkup: CohortCheck) -> Table:
    table = Table(title=escape(f"Cohort {checkup.cohort.name}"), title_justify="left")
    table.add_column("case", no_wrap=True)
    for name in ("split", "shape", "spacing (mm)", "HU", "reference (ml)", "noisy (ml)", "noisy Dice", "found"):
        table.add_column(name, justify="left" if name in ("split", "found") else "right")
    findings = _by_case(checkup)
    for i in checkup.inspections:
        table.add_row(
            escape(i.case.case_id),
            escape(i.case.split),
            " x ".join(map(str, i.shape or ())),
            " x ".join(f"{mm:.3g}" for mm in i.spacing_mm or ()),
            "" if i.hu_min is None else f"{i.hu_min:.0f} to {i.hu_max:.0f}",
            "" if i.reference_ml is None else f"{i.reference_ml:.1f}",
            "" if i.noisy_ml is None else f"{i.noisy_ml:.1f}",
            "" if i.noisy_dice is None else f"{i.noisy_dice:.3f}",
            _counts(findings[i.case.case_id]),
        )
    return table


def _counts(findings: list[Finding]) -> str:
    numbers = [
        ("red", len(_lines(findings, "error")), "error"),
        ("yellow", len(_lines(findings, "warning")), "warning"),
    ]
    return ", ".join(f"[{colour}]{count(n, noun)}[/]" for colour, n, noun in numbers if n) or "[green]ok[/]"


def _by_case(checkup: CohortCheck) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = defaultdict(list)
    for finding in checkup.findings:
        found[finding.case_id].append(finding)
    return found


def _lines(findings: list[Finding], severity: str) -> list[str]:
    return [finding.line for finding in findings if finding.severity == severity]


def _csv_row(inspection: CaseCheck, findings: list[Finding]) -> dict[str, object]:
    case, spacing_mm = inspection.case, inspection.spacing_mm or ("", "", "")
    return {
        "case_id": case.case_id,
        "subject_id": case.subject_id,
        "split": case.split,
        "annotator": case.annotator,
        "shape": "x".join(map(str, inspection.shape or ())),
        **dict(zip(("spacing_x_mm", "spacing_y_mm", "spacing_z_mm"), spacing_mm, strict=True)),
        **{name: getattr(inspection, name) for name in ("hu_min", "hu_max", "image_hash")},
        **{name: _rounded(getattr(inspection, name)) for name in ("reference_ml", "noisy_ml", "noisy_dice")},
        "errors": "; ".join(_lines(findings, "error")),
        "warnings": "; ".join(_lines(findings, "warning")),
    }


def _by_annotator(inspections: tuple[CaseCheck, ...]) -> str:
    dices: dict[str, list[float]] = defaultdict(list)
    for inspection in inspections:
        if inspection.noisy_dice is not None and inspection.case.annotator:
            dices[inspection.case.annotator].append(inspection.noisy_dice)
    if len(dices) < 2:
        return ""
    return "; mean by annotator: " + ", ".join(f"{name} {np.mean(dices[name]):.3f}" for name in sorted(dices))


def _range(values: npt.ArrayLike) -> str:
    low, middle, high = np.quantile(np.asarray(values, dtype=float), [0, 0.5, 1])
    return f"{low:.3g} to {high:.3g} (median {middle:.3g})"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
