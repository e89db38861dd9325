"""One run folder, read and checked: its state, its record, its cases; what is wrong comes back as one line of words."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mandseg.metrics.catalogue import MEASURED, SCORES
from mandseg.metrics.mask_pair import OUTCOMES
from mandseg.runs.origin import Content, changes
from mandseg.system.lock import is_held

CASES = "cases.csv"
CONDITION = ["noise_ratio", "seed", "data", "noise", "model", "method"]
NUMBERS = ["noise_ratio", "seed", *MEASURED, "seconds"]
KEYS = ["run", "noise_ratio", "seed", "dataset", "case_id", "outcome"]
SHARE_TOLERANCE = 0.01 + 1e-9
PHASES = {"prepare": ("prepare",), "train": ("train", "relabel"), "evaluate": ("evaluate",)}
"""The parts of a run's cost, and the phases of run.json that each sums: ``train/<stage>``, ``relabel/<stage>``."""


def read_table(file: Path, required: Sequence[str]) -> pd.DataFrame | str:
    """A CSV file with identifiers kept as text and scores as numbers, or one line that says why it cannot be read."""
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8")
    except FileNotFoundError:
        return f"{file.name} is missing"
    except (OSError, ValueError) as error:
        return f"{file.name} cannot be read: {one_line(error)}"
    absent = [column for column in required if column not in table]
    if absent:
        return f"{file.name} lacks the column{'s' if len(absent) > 1 else ''} {', '.join(absent)}"
    for column in set(NUMBERS) & set(table.columns):
        table[column] = pd.to_numeric(table[column], errors="coerce")
    return table


def read_state(folder: Path) -> tuple[str, str, dict[str, Any]]:
    """State, reason and run.json of one run folder."""
    record = _read_record(folder / "run.json")
    if isinstance(record, str):
        return "failed", record, {}
    if record.get("state") == "done":
        fault = check_cases(folder, record)
        return "failed" if fault else "done", fault, record
    if record.get("state") == "failed":
        return "failed", one_line(record.get("error") or "no reason was recorded"), record
    if is_held(folder / "run.lease"):
        return "running", "", record
    if record:
        return "missing", f"interrupted (started {record.get('started', '?')} on {record.get('host', '?')})", record
    return "missing", "stopped before it wrote run.json" if folder.is_dir() else "not started", {}


def is_done(
    folder: Path, record: Mapping[str, Any], evaluated: str | None = None, content: Content | None = None
) -> bool:
    """The one definition of a done run: it came to its end, and its cases.csv is whole.

    Args:
        folder: The run folder.
        record: Its run.json.
        evaluated: The hash of the tests that are asked for; None: whichever it was tested on.
        content: The images and labels that are asked for; None: whichever it was made from. A run of an older version
            does not say.
    """
    return (
        record.get("state") == "done"
        and not check_cases(folder, record)
        and (evaluated is None or record.get("evaluated") == evaluated)
        and (content is None or not changes(record.get("content") or {}, content))
    )


def _read_record(file: Path) -> dict[str, Any] | str:
    """run.json, empty where there is none, or one line that says what is wrong with it."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        return f"run.json cannot be read: {one_line(error)}"
    if not isinstance(record, dict) or not isinstance(record.get("condition"), dict):
        return "run.json holds no condition"
    if absent := [key for key in CONDITION if key not in record["condition"]]:
        return f"run.json: the condition lacks {', '.join(absent)}"
    if record.get("state") not in ("running", "done", "failed", "interrupted"):
        return f"run.json: unknown state {record.get('state')!r}"
    return record


def read_cases(folder: Path, condition: dict[str, Any], problems: list[str]) -> pd.DataFrame | str:
    """The cases.csv of one done run, or one line that says why it cannot be used."""
    cases = read_table(folder / "cases.csv", [*KEYS, *SCORES])
    if isinstance(cases, str):
        return cases
    if cases.empty:
        return "cases.csv holds no case"
    if strange := sorted(set(cases.outcome) - set(OUTCOMES)):
        return f"cases.csv: unknown outcome {strange[0]!r}"
    if (twice := cases.duplicated(["dataset", "case_id"])).any():
        return (
            f"cases.csv: case {cases.case_id[twice].iloc[0]} of data set {cases.dataset[twice].iloc[0]} is there twice"
        )
    for key in ("noise_ratio", "seed"):
        if not (cases[key] == float(condition[key])).all():
            return f"cases.csv: {key} {cases[key].iloc[0]} differs from run.json's {condition[key]}"
    cases = cases.replace([float("inf"), float("-inf")], float("nan")).assign(run=folder.name)
    holes = {score: int(cases[score].isna().sum()) for score in SCORES}
    of_all = f"of {len(cases)} values of"
    problems += [f"run {folder.name}: {n} {of_all} {score} left out, no number" for score, n in holes.items() if n]
    return cases


def check_cases(folder: Path, record: Mapping[str, Any]) -> str:
    """One line that says why cases.csv cannot be used, empty if it is whole; no value is read.

    Args:
        folder: The run folder.
        record: Its run.json; ``n_rows`` says how many rows the run wrote, which older versions did not record.
    """
    try:
        text = (folder / CASES).read_bytes()
        head = text.partition(b"\n")[0].decode("utf-8").rstrip("\r").lstrip("\ufeff")
    except FileNotFoundError:
        return "cases.csv is missing"
    except (OSError, ValueError) as error:
        return f"cases.csv cannot be read: {one_line(error)}"
    if not text:
        return "cases.csv is empty"
    columns = head.split(",")
    if absent := [column for column in (*KEYS, *SCORES) if column not in columns]:
        return f"cases.csv lacks the column{'s' if len(absent) > 1 else ''} {', '.join(absent)}"
    if not text.endswith(b"\n"):
        return "cases.csv ends in the middle of a row"
    n_rows, expected = text.count(b"\n") - 1, record.get("n_rows")
    return "" if expected in (None, n_rows) else f"cases.csv has {n_rows} rows, the run wrote {expected}"


def count_rows(folder: Path) -> int:
    """The number of rows of cases.csv below its header."""
    return (folder / CASES).read_bytes().count(b"\n") - 1


def cost(record: dict[str, Any]) -> dict[str, Any]:
    """Steps, device and seconds of one run, None where run.json does not say; relabelling is part of the training."""
    seconds = record.get("seconds") or {}
    facts = {key: record.get(key) for key in ("steps", "device", "precision", "started", "ended", "host")}
    for part, phases in PHASES.items():
        found = [s for name, s in seconds.items() if name.partition("/")[0] in phases]
        facts[f"{part}_s"] = round(sum(found), 2) if found else None
    return facts


def noisy_share(folder: Path) -> dict[str, int | None]:
    """How many training cases the plan gave a noisy label, of how many; None without a readable plan."""
    plan = read_table(folder / "noise_plan.csv", ["case_id", "label"])
    if isinstance(plan, str):
        return {"n_noisy": None, "n_training": None}
    return {"n_noisy": int((plan.label == "noisy").sum()), "n_training": len(plan)}


def share_line(ratio: float, n_noisy: int, n_training: int) -> str:
    """One line where the real share of noisy cases is not the ratio asked for, to within a hundredth; else empty."""
    share = n_noisy / n_training
    if abs(share - ratio) <= SHARE_TOLERANCE:
        return ""
    return (
        f"noise_ratio={ratio:g}: {n_noisy} of {n_training} training cases carry the noisy label, a share of {share:.3f}"
    )


def read_curve(folder: Path, condition: Mapping[Any, Any], problems: list[str]) -> pd.DataFrame:
    """The learning curve of one run as numbers, empty where there is none."""
    if not (folder / "learning_curve.csv").exists():
        return pd.DataFrame()
    curve = read_table(folder / "learning_curve.csv", ["step"])
    if isinstance(curve, str):
        problems.append(f"run {folder.name}: {curve}")
        return pd.DataFrame()
    numbers: pd.DataFrame = curve.apply(pd.to_numeric, errors="coerce").dropna(subset=["step"])
    return numbers.assign(run=folder.name, noise_ratio=condition["noise_ratio"], seed=condition["seed"])


def one_line(message: object) -> str:
    """A message without line breaks."""
    return " ".join(str(message).split())
