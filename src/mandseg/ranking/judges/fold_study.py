"""Trains the networks of a ranking: one for each fold and seed of a cohort, as a study that can be resumed."""

import hashlib
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from mandseg.data.case import Case
from mandseg.data.manifest import MANIFEST, Cohort
from mandseg.data.ranked.folds import fold_of_cases
from mandseg.data.structure import COLUMN
from mandseg.ranking.drawn_label import cases_to_rank
from mandseg.runs.launchers.local import stopped_by_sigterm
from mandseg.system.errors import UserError

OUTPUTS = Path("outputs")
NO_RESULT = ("trainer", "hydra", "num_workers", "checkpoint_minutes", "debug", "tracking", "rerun", "dynamics")
"""Beginnings of settings that do not change a result; of the trainer few do, and they do not make another study."""
RECORDS = 5
"""Of all training cases in each training, for the scores from training dynamics."""
OWN = ("study=", "output_dir=", "data=", "data.", "seed=", "noise=", "noise_ratio=", "clean_budget=", "cache_dir=")
"""Beginnings of settings that the ranking decides."""


def study_of(cohort: Cohort, folds: int, settings: Sequence[str], split: str = "") -> Path:
    """The folder of the study: ``outputs/<cohort>-folds3``, in the current folder as for any training.

    Networks of other settings are in another study, so that they are not mixed: the settings that change a result are
    in its name, as a hash.
    """
    deciding = sorted(word for word in settings if not word.lstrip("+~").startswith(NO_RESULT))
    deciding += [f"split={split}"] if split else []
    digest = hashlib.sha256("\n".join(deciding).encode()).hexdigest()[:6]
    return OUTPUTS / (f"{cohort.name}-folds{folds}" + (f"-{digest}" if deciding else ""))


def train_folds(
    cohort: Cohort, cases: Sequence[Case], folds: int, seeds: int, settings: Sequence[str], split: str = ""
) -> int:
    """Train, or continue; runs that are done are not repeated.

    Args:
        cohort: The cohort.
        cases: Its cases that take part.
        folds: Number of folds.
        seeds: Number of networks of each fold.
        settings: Further settings of the training, e.g. ``steps=4000`` or ``trainer=gpu``.
        split: Only cases of this split; empty: all.

    Returns:
        Exit code of the training: 0 all done, 1 a run failed, 2 wrong input, 75 stopped by a signal.

    Raises:
        UserError: The folds do not fit the subjects, or a setting is one that the ranking decides.
    """
    fold_of_cases(cases, folds)
    if own := [word for word in settings if word.lstrip("+~").startswith(OWN)]:
        raise UserError(f"{own[0]}: set by mandseg rank itself, other settings of a training are possible")
    if seeds < 1:
        raise UserError(f"--seeds {seeds}: expected 1 or more")
    return run_to_end([sys.executable, "-P", *words(cohort, folds, seeds, settings, split)])


def run_to_end(command: Sequence[str]) -> int:
    """Run a training; Ctrl-C and SIGTERM are passed on as SIGINT, at which it saves its state. Its exit code."""
    process = subprocess.Popen(command, start_new_session=True)  # Ctrl-C reaches this process only
    try:
        with stopped_by_sigterm():
            return process.wait()
    except (KeyboardInterrupt, SystemExit):
        process.send_signal(signal.SIGINT)
        return process.wait()


def words(cohort: Cohort, folds: int, seeds: int, settings: Sequence[str], split: str = "") -> list[str]:
    """The command of the training, after the name of the interpreter."""
    numbers = [",".join(map(str, range(n))) for n in (folds, seeds)]
    own = ["data=fold", f"data.manifest={cohort.root / MANIFEST}", f"data.folds={folds}", f"data.split={split}"]
    own += [f"data.fold={numbers[0]}", f"seed={numbers[1]}", "noise=recorded", "noise_ratio=0", "tracking=none"]
    own += [f"output_dir={OUTPUTS}", f"study={study_of(cohort, folds, settings, split).name}"]
    stated = {case.groups[COLUMN] for case in cohort.cases if case.groups.get(COLUMN)}
    own += [f"structure={name}" for name in sorted(stated)[:1] if not any(w.startswith("structure=") for w in settings)]
    own += [] if any(word.startswith("dynamics=") for word in settings) else [f"dynamics={RECORDS}"]
    return ["-m", "mandseg.train", "-m", *own, *settings]


def cases_of_split(cohort: Cohort, split: str) -> Sequence[Case]:
    """The cases of a split, or all; enough of them have to be ranked.

    Raises:
        UserError: The split is empty, or fewer than two cases are to be ranked.
    """
    chosen = cohort.split(split) if split else cohort.cases
    cases_to_rank(Cohort(cohort.root, tuple(chosen)))
    return chosen
