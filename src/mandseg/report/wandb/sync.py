"""Send the W&B recordings of a study, each once, then the W&B run of the study itself; print the results as a table."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from mandseg.report.wandb.command import ended_early, upload_recordings
from mandseg.report.wandb.upload import send, study_run, was_sent
from mandseg.runs.folder import RunFolder
from mandseg.runs.study import Study, open_study
from mandseg.system.errors import UserError, one_line
from mandseg.system.files import writable_folder
from mandseg.system.terminal import open_console
from mandseg.system.wording import count
from mandseg.tracking.client import Account, UnreachableError, open_account
from mandseg.tracking.recordings import SYNCED, Recording, overtaken, recordings, waiting

BATCH = 8  # runs that one call of the client uploads
COMMAND_TIMEOUT_S = 300.0  # for one such call


@dataclass(frozen=True)
class Row:
    """The result for one run (``uploaded``, ``already there``, ``failed`` or ``left out``) and its reason."""

    run: str
    result: str
    reason: str = ""


def sync(path: Path, console: Console | None = None, patience_s: float = COMMAND_TIMEOUT_S) -> int:
    """Send the recordings that have not arrived, then the run of the study if there is a report; print a table.

    A run that is training is left out. Every recording that has arrived is marked at once. So a call that was killed
    can be repeated.

    Args:
        path: The study folder.
        console: The table is printed here.
        patience_s: Time limit for one call of the client with at most ``BATCH`` runs, in seconds.

    Returns:
        0 if everything was sent, 1 if something could not be sent.

    Raises:
        UserError: No study, no key, W&B is disabled, or another process is sending this study.
    """
    study, console = open_study(path), console or open_console()
    if os.environ.get("WANDB_MODE") == "disabled":
        raise UserError("WANDB_MODE=disabled: nothing was sent")
    try:
        account = open_account()
        writable_folder(path, "study")
        with FileLock(path / "sync.lock", timeout=0):
            rows = [*_send_recordings(study, patience_s), _send_study_run(study, account)]
    except Timeout:
        raise UserError(f"study {path}: another mandseg sync is sending it") from None
    except UnreachableError as error:
        print(f"mandseg: {error}; nothing was sent", file=sys.stderr)
        return 1
    _print(rows, study, console)
    for line in study.problems:
        console.print(line, style="yellow", markup=False, highlight=False, soft_wrap=True)
    return int(any(row.result == "failed" for row in rows))


def _send_recordings(study: Study, patience_s: float) -> list[Row]:
    own = {str(run): recordings(study.path / str(run)) for run in study.ledger.run}
    known = {run: _known_row(run, recorded) for run, recorded in own.items()}
    queue = {run: waiting(own[run]) for run, row in known.items() if row is None}
    rows = {row.run: row for row in _uploaded(study, queue, patience_s)}
    return [row or rows[run] for run, row in known.items()]


def _uploaded(study: Study, queue: Mapping[str, Sequence[Recording]], patience_s: float) -> Iterator[Row]:
    """Upload batch by batch; after the server has become unreachable, the rest is not tried."""
    runs, console, gone = list(queue), Console(stderr=True), ""
    batches = [runs[place : place + BATCH] for place in range(0, len(runs), BATCH)]
    for batch in track(batches, "Uploading", console=console, disable=not console.is_terminal):
        training = [run for run in batch if RunFolder(study.path / run).state().state == "running"]
        yield from (Row(run, "left out", "it is training") for run in training)
        tried = {run: queue[run] for run in batch if run not in training}
        if not gone:
            rows, gone = _sent(tried, patience_s)
            yield from rows
        else:
            yield from (Row(run, "failed", f"not tried: {gone}") for run in tried)


def _sent(batch: Mapping[str, Sequence[Recording]], patience_s: float) -> tuple[list[Row], str]:
    """Upload a batch, then the failed runs one by one, because a damaged recording stops the client for the batch.

    Returns:
        The result of each run; and why the server is unreachable, empty if it can be reached.
    """
    if not batch:
        return [], ""
    errors, in_time = upload_recordings([recording for own in batch.values() for recording in own], patience_s)
    rows = {run: _outcome(run, own, errors) for run, own in batch.items()}
    failed = [run for run, row in rows.items() if row.result == "failed"]
    gone = _unreachable() if failed else ""
    for run in failed:
        if not gone and len(batch) > 1:
            (rows[run],), gone = _sent({run: batch[run]}, patience_s)
        elif not gone and in_time:
            rows[run] = _accept_readable_part(rows[run], batch[run])
    return list(rows.values()), gone


def _outcome(run: str, batch: Sequence[Recording], errors: Sequence[str]) -> Row:
    """The result of a run, from the marks of the client; a failed run has the errors of the client as reason."""
    if not waiting(batch):
        return Row(run, "uploaded")
    reasons = [line for line in errors if any(recording.folder.name in line for recording in batch)]
    reasons = reasons or [line for line in errors if "run-" not in line]
    return Row(run, "failed", "; ".join(reasons[:2]) or "the client gave no reason")


def _accept_readable_part(row: Row, batch: Sequence[Recording]) -> Row:
    """Accept a run that was killed while it wrote. The client has sent the readable part but sets no mark.

    Args:
        row: The failed result of the run, uploaded alone while the server could be reached.
        batch: The recordings of the run.
    """
    left = waiting(batch)
    if not all(ended_early(recording) for recording in left):
        return row
    for recording in left:
        recording.mark(SYNCED)
    return Row(row.run, "uploaded", "cut short where the run was killed")


def _known_row(run: str, own: Sequence[Recording]) -> Row | None:
    """The result of a run that is known without the server; None if recordings wait to be sent."""
    if not own:
        return Row(run, "left out", "nothing was recorded")
    if waiting(own):
        return None
    return Row(run, "already there", "a part is older than a later recording and stays here" if overtaken(own) else "")


def _unreachable() -> str:
    try:
        open_account()
    except UnreachableError as error:
        return str(error)
    return ""


def _send_study_run(study: Study, account: Account) -> Row:
    name = f"{study.name} (the study itself)"
    content = study_run(study)
    if isinstance(content, str):
        return Row(name, "left out", content)
    if was_sent(content, study.path):
        return Row(name, "already there")
    try:
        send(content, study.path, account.entity)
    except Exception as error:
        return Row(name, "failed", one_line(error))
    return Row(name, "uploaded")


def _print(rows: Sequence[Row], study: Study, console: Console) -> None:
    """Print one line for each run. Runs that were there already, or left out for the same reason, share a line."""
    table = Table("run", "on W&B", "", title=escape(f"Study {study.name}"), title_justify="left")
    groups: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        own = row.run if row.result in ("uploaded", "failed") else ""
        groups.setdefault((own, row.result, row.reason), []).append(row.run)
    for (_, result, reason), runs in groups.items():
        table.add_row(escape(runs[0]) if len(runs) == 1 else count(len(runs), "run"), result, escape(reason))
    console.print(table)
