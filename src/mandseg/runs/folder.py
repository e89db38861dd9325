"""One run folder: the names of its files, its state, its record and its tables. No other module defines these names.

A problem with a file is returned as one line of text.

A run folder also contains files by which processes exchange information. Their names begin with a dot:

- ``.launch-<start>``: after a start by srun or torchrun, the first process writes whether the others run or leave.
- ``.slurm-<job>``: the process that trained for a SLURM job. With it, the job's next start can release the lock.
- ``.predictions/``: predicted masks that the processes of a run exchange. It is removed at the end of the test.
- ``.<name>.<digits>``: an unfinished file or folder (mandseg.system.leftovers). The next owner of the run removes it.
- In the study folder, ``.grid.csv.lease`` is the lock of grid.csv.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mandseg.metrics.catalogue import SCORES
from mandseg.metrics.outcome import OUTCOMES
from mandseg.runs.record import RecordError, RunRecord, read_facts, record_of
from mandseg.runs.tables import read_table
from mandseg.system.errors import one_line
from mandseg.system.lock import is_held
from mandseg.system.plain_yaml import read_yaml
from mandseg.system.wording import count

if TYPE_CHECKING:
    import pandas as pd

RECORD, CONFIG, CASES, LOCK = "run.json", "config.yaml", "cases.csv", "run.lease"
CURVE, PLAN, NOISE_APPLIED = "learning_curve.csv", "noise_plan.csv", "noise_applied.csv"
DOSE, DYNAMICS = "dose.csv", "dynamics.csv"
OVERLAYS, PREDICTIONS, CHECKPOINTS, LABELS = "overlays", "predictions", "checkpoints", "labels"
CONSOLE, LOG, HYDRA = "console.log", "train.log", ".hydra"
LAUNCH, SLURM = ".launch-", ".slurm-"

KEYS = ["run", "noise_ratio", "seed", "dataset", "case_id", "outcome"]
SHARE_TOLERANCE = 0.01 + 1e-9


class RunState(NamedTuple):
    """The state of a run: ``done``, ``running``, ``failed`` or ``missing``, the reason, and its record if it exists."""

    state: str
    reason: str
    record: RunRecord | None


@dataclass(frozen=True)
class RunFolder:
    """A run folder, which need not exist.

    Args:
        path: Its path: ``<output_dir>/<study>/<run>``.
    """

    path: Path

    @property
    def record_file(self) -> Path:
        """run.json: the state of the run, and the inputs and software that it used."""
        return self.path / RECORD

    @property
    def lock_file(self) -> Path:
        """The lease of the process that owns the run."""
        return self.path / LOCK

    @property
    def config_file(self) -> Path:
        """config.yaml: all settings of the run, resolved."""
        return self.path / CONFIG

    @property
    def cases_file(self) -> Path:
        """cases.csv: one row for each data set and case, the last file of a run."""
        return self.path / CASES

    @property
    def curve_file(self) -> Path:
        """learning_curve.csv: one row for each logged step."""
        return self.path / CURVE

    @property
    def plan_file(self) -> Path:
        """noise_plan.csv: the label of each training case."""
        return self.path / PLAN

    @property
    def applied_file(self) -> Path:
        """noise_applied.csv: how far each noisy label is from its reference."""
        return self.path / NOISE_APPLIED

    @property
    def dose_file(self) -> Path:
        """dose.csv: the dose scores, which ``mandseg dose`` writes (mandseg.runs.dose.table)."""
        return self.path / DOSE

    @property
    def dynamics_file(self) -> Path:
        """dynamics.csv: the predictions of the training cases during the training (mandseg.training.dynamics)."""
        return self.path / DYNAMICS

    @property
    def overlays(self) -> Path:
        """The folder of pictures: ``<data set>--<case>.png``, and the slices of the case in a ``.webp`` file."""
        return self.path / OVERLAYS

    @property
    def log_file(self) -> Path:
        """train.log: the log of the run."""
        return self.path / LOG

    @property
    def console_file(self) -> Path:
        """console.log: the output of the process that a launcher started for the run."""
        return self.path / CONSOLE

    def checkpoints(self, stage: str) -> Path:
        """The folder of a stage's checkpoints."""
        return self.path / CHECKPOINTS / stage

    def labels(self, stage: str) -> Path:
        """The folder of the labels that a stage makes."""
        return self.path / LABELS / stage

    def predictions(self, keep: bool) -> Path:
        """The folder of predicted masks; it is hidden if it is temporary."""
        return self.path / (PREDICTIONS if keep else f".{PREDICTIONS}")

    def launch_file(self, start: str) -> Path:
        """The file in which the first process announces whether the others run."""
        return self.path / f"{LAUNCH}{start}"

    def slurm_file(self, job: str) -> Path:
        """The file with the process that trained for a SLURM job."""
        return self.path / f"{SLURM}{job}"

    def record(self) -> RunRecord | None:
        """The run's record; None without a run.json.

        Raises:
            RecordError: run.json cannot be read or is no record of a run.
        """
        return record_of(facts) if (facts := read_facts(self.record_file)) else None

    def facts(self) -> dict[str, Any]:
        """run.json as a dict for new facts; empty if there is none, or if it is no record of a run."""
        try:
            return read_facts(self.record_file)
        except RecordError:
            return {}

    def state(self) -> RunState:
        """The state of the run. It reads only run.json, and for a done run whether cases.csv is complete."""
        try:
            record = self.record()
        except RecordError as error:
            return RunState("failed", str(error), None)
        if record is not None and record.state == "done":
            fault = self.check_cases(record.n_rows)
            return RunState("failed" if fault else "done", fault, record)
        if record is not None and record.state == "failed":
            reason = " ".join((record.error or "no reason was recorded").split())  # on one line
            return RunState("failed", reason, record)
        if is_held(self.lock_file):
            return RunState("running", "", record)
        if record is not None:
            start = f"started {record.started or '?'} on {record.host or '?'}"
            return RunState("missing", f"interrupted ({start})", record)
        return RunState("missing", f"stopped before it wrote {RECORD}" if self.path.is_dir() else "not started", None)

    def is_done(self, evaluated: str | None = None) -> bool:
        """The only definition of a done run: it reached its end, and its cases.csv is complete.

        Args:
            evaluated: The hash of the requested tests; None: any.
        """
        state, _, record = self.state()
        return state == "done" and record is not None and evaluated in (None, record.evaluated)

    def config(self) -> dict[str, Any]:
        """The settings of config.yaml.

        Raises:
            ValueError: One line: it cannot be read or holds no settings.
        """
        try:
            settings = read_yaml(self.config_file)
        except ValueError as error:
            raise ValueError(f"{CONFIG} of run {self.path.name} cannot be read: {error}") from error
        if not isinstance(settings, dict):
            raise ValueError(f"{CONFIG} of run {self.path.name} holds no settings")
        return settings

    def declared_analysis(self, record: RunRecord | None) -> object:
        """The analysis that the run declared: of its record, or of its config.yaml for a run of an earlier version.

        Args:
            record: The run's record.

        Raises:
            ValueError: One line: config.yaml cannot be read or holds no settings.
        """
        if record is not None and record.analysis is not None:
            return record.analysis
        return self.config().get("analysis") if self.config_file.exists() else None

    def check_cases(self, n_rows: int | None) -> str:
        """One line with the reason why cases.csv cannot be used, empty if it is complete; no value is read.

        Args:
            n_rows: Number of rows that the run wrote; None if it is not recorded.
        """
        try:
            content = self.cases_file.read_bytes()
            head = content.partition(b"\n")[0].decode("utf-8").rstrip("\r").lstrip("\ufeff")
        except FileNotFoundError:
            return f"{CASES} is missing"
        except (OSError, ValueError) as error:
            return f"{CASES} cannot be read: {one_line(error)}"
        if not content:
            return f"{CASES} is empty"
        columns = head.split(",")
        if absent := [column for column in (*KEYS, *SCORES) if column not in columns]:
            return f"{CASES} lacks the column{'s' if len(absent) > 1 else ''} {', '.join(absent)}"
        if not content.endswith(b"\n"):
            return f"{CASES} ends in the middle of a row"
        found = content.count(b"\n") - 1
        return "" if n_rows in (None, found) else f"{CASES} has {count(found, 'row')}, the run wrote {n_rows}"

    def count_rows(self) -> int:
        """The number of rows of cases.csv below its header."""
        return self.cases_file.read_bytes().count(b"\n") - 1

    def cases(self, condition: Mapping[str, Any], problems: list[str]) -> "pd.DataFrame | str":
        """The cases.csv of a done run, or one line with the reason why it cannot be used.

        Args:
            condition: The condition in the run's record.
            problems: The list gets a line for each score with values that are no numbers.
        """
        cases = read_table(self.cases_file, [*KEYS, *SCORES])
        if isinstance(cases, str):
            return cases
        if cases.empty:
            return f"{CASES} holds no case"
        if strange := sorted(set(cases.outcome) - set(OUTCOMES)):
            return f"{CASES}: unknown outcome {strange[0]!r}"
        if (twice := cases.duplicated(["dataset", "case_id"])).any():
            row = cases[twice].iloc[0]
            return f"{CASES}: case {row.case_id} of data set {row.dataset} occurs twice"
        for key in ("noise_ratio", "seed"):
            if not (cases[key] == float(condition[key])).all():
                return f"{CASES}: {key} {cases[key].iloc[0]} differs from {RECORD}'s {condition[key]}"
        run = self.path.name
        cases = cases.replace([float("inf"), float("-inf")], float("nan")).assign(run=run)
        holes, n_all = {score: int(cases[score].isna().sum()) for score in SCORES}, count(len(cases), "value")
        problems += [f"run {run}: {n} of {n_all} of {score} left out, no number" for score, n in holes.items() if n]
        return cases

    def curve(self, condition: Mapping[Any, Any], problems: list[str]) -> "pd.DataFrame":
        """The learning curve as numbers with the run's condition; empty if there is none."""
        import pandas as pd

        if not self.curve_file.exists():
            return pd.DataFrame()
        curve = read_table(self.curve_file, ["step"])
        if isinstance(curve, str):
            problems.append(f"run {self.path.name}: {curve}")
            return pd.DataFrame()
        numbers: pd.DataFrame = curve.apply(pd.to_numeric, errors="coerce").dropna(subset=["step"])
        return numbers.assign(run=self.path.name, noise_ratio=condition["noise_ratio"], seed=condition["seed"])

    def validation_dice(self) -> float | None:
        """The last validation Dice, for a search over settings; None if there is none."""
        if not self.curve_file.exists():  # as for each job that is submitted: pandas is not imported
            return None
        import pandas as pd

        curve = read_table(self.curve_file, ["val_dice"])
        numbers = [] if isinstance(curve, str) else list(pd.to_numeric(curve.val_dice, errors="coerce").dropna())
        return float(numbers[-1]) if numbers else None

    def noisy_share(self) -> dict[str, int | None]:
        """Number of training cases with a noisy label, and of all training cases; None without a readable plan."""
        plan = read_table(self.plan_file, ["case_id", "label"])
        if isinstance(plan, str):
            return {"n_noisy": None, "n_training": None}
        return {"n_noisy": int((plan.label == "noisy").sum()), "n_training": len(plan)}


def share_line(ratio: float, n_noisy: int, n_training: int) -> str:
    """One line if the share of noisy cases differs from the requested ratio by more than 0.01; else empty."""
    share = n_noisy / n_training
    if abs(share - ratio) <= SHARE_TOLERANCE:
        return ""
    cases = f"{n_noisy} of {n_training} training cases"
    return f"noise_ratio={ratio:g}: {cases} have the noisy label, a share of {share:.3f}"
