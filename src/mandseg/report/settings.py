"""Contents of the run folders besides scores: settings, versions, cost, and the noise that was applied."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from mandseg.report.audience import Audience
from mandseg.runs.folder import CONFIG, RunFolder
from mandseg.runs.study import Study
from mandseg.tracking.redaction import without_folders

PHASE_COLUMNS = ["prepare_s", "train_s", "evaluate_s"]
READ_CONFIGS = 200  # of more runs, this number is read, evenly spaced over the study


class StudySettings:
    """The config.yaml files of the runs of a study, each read once.

    Args:
        study: The study.
    """

    def __init__(self, study: Study) -> None:
        self._folder = study.path
        self.runs = [str(run) for run in study.ledger.run[study.ledger.state == "done"]]
        self._read: dict[str, dict[str, Any]] = {}

    def of(self, run: str, audience: Audience = Audience.INSIDE) -> dict[str, Any]:
        """The settings of one run that an audience may see.

        Raises:
            ValueError: The config.yaml of the run cannot be read; one line.
        """
        if run not in self._read:
            self._read[run] = RunFolder(self._folder / run).config()
        return self._read[run] if audience is Audience.INSIDE else without_folders(self._read[run])

    def values(self, audience: Audience) -> dict[str, str]:
        """Each setting with its different values over the runs that are done."""
        values: dict[str, dict[str, None]] = {}
        for run in evenly_chosen(self.runs, READ_CONFIGS):
            for key, value in _flat(self._shown(run, audience)):
                values.setdefault(key, {})[value] = None
        return {key: " | ".join(seen) for key, seen in values.items()}

    def _shown(self, run: str, audience: Audience) -> Any:
        try:
            return self.of(run, audience)
        except ValueError as error:
            return {CONFIG: str(error)}


def evenly_chosen(runs: Iterable[str], most: int) -> list[str]:
    """At most ``most`` of the runs, evenly spaced."""
    names = [str(run) for run in runs]
    return names if len(names) <= most else [names[k * len(names) // most] for k in range(most)]


def versions(study: Study) -> dict[str, str]:
    """Each package with its different versions over the runs that are done."""
    seen: dict[str, dict[str, None]] = {}
    for run in study.ledger.run[study.ledger.state == "done"]:
        for name, version in (study.records[str(run)].versions or {}).items():
            seen.setdefault(name, {})[version] = None
    return {name: ", ".join(found) for name, found in seen.items()}


def cost(study: Study) -> pd.DataFrame:
    """For the runs that are done, by noise ratio: mean seconds of each phase, and the sum of all runs in hours."""
    done = study.ledger[study.ledger.state == "done"]
    numbers = done.assign(**{phase: pd.to_numeric(done[phase], errors="coerce") for phase in PHASE_COLUMNS})
    grouped = numbers.groupby("noise_ratio")
    hours = numbers[PHASE_COLUMNS].sum(axis=1).groupby(numbers.noise_ratio).sum() / 3600
    return grouped[PHASE_COLUMNS].mean().assign(runs=grouped.size(), hours=hours).reset_index()


def applied_noise(study: Study, runs: Iterable[str]) -> pd.DataFrame:
    """noise_applied.csv of one run at each noise ratio and clean budget: the first run that has the file, if any.

    Returns:
        ``noise_ratio, clean_budget, seed, noise, case_id, annotator, label, dice, hd95_mm, ...``.
    """
    wanted = set(runs)
    done = study.ledger[study.ledger.run.isin(wanted) & (study.ledger.state == "done")]
    tables = []
    for _, rows in done.groupby(["noise_ratio", "clean_budget"]):
        for row in rows.sort_values("seed", kind="stable").to_dict("records"):
            table = _read_applied(RunFolder(study.path / str(row["run"])).applied_file)
            if table is not None:
                tables.append(
                    table.assign(**{name: row[name] for name in ("noise_ratio", "clean_budget", "seed", "noise")})
                )
                break
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _read_applied(file: Path) -> pd.DataFrame | None:
    try:
        table = pd.read_csv(file, dtype={"case_id": str, "annotator": str, "label": str})
    except (OSError, ValueError):
        return None
    complete = {"case_id", "annotator", "label", "dice", "hd95_mm", "volume_error_ml"} <= set(table.columns)
    return table.assign(annotator=table.annotator.fillna("")) if complete and len(table) else None


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as ``group.key``, text."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, "none" if value is None else str(value)
