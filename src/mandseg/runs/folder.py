"""One run folder: the names of its files, its state, its record and its tables. No other module knows these names.

What is wrong with a file comes back as one line of words.

Beside its results a run folder holds files of a protocol between processes. Their names begin with a dot:

- ``.launch-<start>``: the first process of a start from outside (srun, torchrun) says whether the others run or leave.
- ``.slurm-<job>``: which process trained for a SLURM job. It lets the job's next start release the lock.
- ``.predictions/``: predicted masks that the processes of a run exchange. It is removed at the end of the test.
- ``.<name>.<digits>``: a file or folder that is just being written (mandseg.system.leftovers). The next owner of the
  run removes it.
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

if TYPE_CHECKING:
    import pandas as pd

RECORD, CONFIG, CASES, LOCK = "run.json", "config.yaml", "cases.csv", "run.lease"
CURVE, PLAN, NOISE_APPLIED = "learning_curve.csv", "noise_plan.csv", "noise_applied.csv"
OVERLAYS, PREDICTIONS, CHECKPOINTS, LABELS = "overlays", "predictions", "checkpoints", "labels"
CONSOLE, LOG, HYDRA = "console.log", "train.log", ".hydra"
LAUNCH, SLURM = ".launch-", ".slurm-"

KEYS = ["run", "noise_ratio", "seed", "dataset", "case_id", "outcome"]
SHARE_TOLERANCE = 0.01 + 1e-9


class RunState(NamedTuple):
    """How a run stands: ``done``, ``running``, ``failed`` or ``missing``, why, and its record if there is one."""

    state: str
    reason: str
    record: RunRecord | None


@dataclass(frozen=True)
class RunFolder:
    """A run folder, which need not exist.

    Args:
        path: Where it lies: ``<output_dir>/<study>/<run>``.
    """

    path: Path

    @property
    def record_file(self) -> Path:
        """run.json: how the run stands and what it was made from."""
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
        """noise_plan.csv: which label each training case carries."""
        return self.path / PLAN

    @property
    def applied_file(self) -> Path:
        """noise_applied.csv: how far each noisy label is from its reference."""
        return self.path / NOISE_APPLIED

    @property
    def overlays(self) -> Path:
        """The folder of pictures: ``<data set>--<case>.png``."""
        return self.path / OVERLAYS

    @property
    def log_file(self) -> Path:
        """train.log: what the run logged."""
        return self.path / LOG

    @property
    def console_file(self) -> Path:
        """console.log: what the process printed that a launcher started for the run."""
        return self.path / CONSOLE

    def checkpoints(self, stage: str) -> Path:
        """The folder of a stage's checkpoints."""
        return self.path / CHECKPOINTS / stage

    def labels(self, stage: str) -> Path:
        """The folder of the labels that a stage makes."""
        return self.path / LABELS / stage

    def predictions(self, keep: bool) -> Path:
        """The folder of predicted masks, hidden where it is not kept."""
        return self.path / (PREDICTIONS if keep else f".{PREDICTIONS}")

    def launch_file(self, start: str) -> Path:
        """Says to the other processes of a start whether the run is run."""
        return self.path / f"{LAUNCH}{start}"

    def slurm_file(self, job: str) -> Path:
        """Says which process trained for a SLURM job."""
        return self.path / f"{SLURM}{job}"

    def record(self) -> RunRecord | None:
        """The run's record; None where there is no run.json.

        Raises:
            RecordError: run.json cannot be read or is no record of a run.
        """
        facts = read_facts(self.record_file)
        return record_of(facts) if facts else None

    def facts(self) -> dict[str, Any]:
        """run.json as a dict to add to; empty where there is none or it is no record of a run."""
        try:
            return read_facts(self.record_file)
        except RecordError:
            return {}

    def state(self) -> RunState:
        """How the run stands. Of its files only run.json is read, and of a done run whether cases.csv is complete."""
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
        """The one definition of a done run: it came to its end, and its cases.csv is complete.

        Args:
            evaluated: The hash of the requested tests; None: any.
        """
        state, _, record = self.state()
        return state == "done" and record is not None and evaluated in (None, record.evaluated)

    def config(self) -> dict[str, Any]:
        """The settings of config.yaml.

        Raises:
            ValueError: It cannot be read or holds no settings; one line.
        """
        try:
            settings = read_yaml(self.config_file)
        except ValueError as error:
            raise ValueError(f"{CONFIG} of run {self.path.name} cannot be read: {error}") from error
        if not isinstance(settings, dict):
            raise ValueError(f"{CONFIG} of run {self.path.name} holds no settings")
        return settings

    def check_cases(self, n_rows: int | None) -> str:
        """One line that says why cases.csv cannot be used, empty if it is complete; no value is read.

        Args:
            n_rows: How many rows the run wrote, None if it does not say.
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
        return "" if n_rows in (None, found) else f"{CASES} has {found} rows, the run wrote {n_rows}"

    def count_rows(self) -> int:
        """The number of rows of cases.csv below its header."""
        return self.cases_file.read_bytes().count(b"\n") - 1

    def cases(self, condition: Mapping[str, Any], problems: list[str]) -> "pd.DataFrame | str":
        """The cases.csv of a done run, or one line that says why it cannot be used.

        Args:
            condition: The condition in the run's record.
            problems: Gets a line for each score that has values which are no numbers.
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
            return f"{CASES}: case {row.case_id} of data set {row.dataset} is there twice"
        for key in ("noise_ratio", "seed"):
            if not (cases[key] == float(condition[key])).all():
                return f"{CASES}: {key} {cases[key].iloc[0]} differs from {RECORD}'s {condition[key]}"
        run = self.path.name
        cases = cases.replace([float("inf"), float("-inf")], float("nan")).assign(run=run)
        holes = {score: int(cases[score].isna().sum()) for score in SCORES}
        of_all = f"of {len(cases)} values of"
        problems += [f"run {run}: {n} {of_all} {score} left out, no number" for score, n in holes.items() if n]
        return cases

    def curve(self, condition: Mapping[Any, Any], problems: list[str]) -> "pd.DataFrame":
        """The learning curve as numbers with the run's condition, empty where there is none."""
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
        """The last validation Dice, for a search over settings; None where there is none."""
        if not self.curve_file.exists():  # as for each job that is submitted: no pandas to load
            return None
        import pandas as pd

        curve = read_table(self.curve_file, ["val_dice"])
        numbers = [] if isinstance(curve, str) else list(pd.to_numeric(curve.val_dice, errors="coerce").dropna())
        return float(numbers[-1]) if numbers else None

    def noisy_share(self) -> dict[str, int | None]:
        """How many training cases the plan gave a noisy label, of how many; None without a readable plan."""
        plan = read_table(self.plan_file, ["case_id", "label"])
        if isinstance(plan, str):
            return {"n_noisy": None, "n_training": None}
        return {"n_noisy": int((plan.label == "noisy").sum()), "n_training": len(plan)}


def share_line(ratio: float, n_noisy: int, n_training: int) -> str:
    """One line where the share of noisy cases differs from the requested ratio by more than 0.01; else empty."""
    share = n_noisy / n_training
    if abs(share - ratio) <= SHARE_TOLERANCE:
        return ""
    return (
        f"noise_ratio={ratio:g}: {n_noisy} of {n_training} training cases carry the noisy label, a share of {share:.3f}"
    )
