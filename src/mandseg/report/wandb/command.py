"""The command of W&B in a separate process: it uploads recordings and inspects how a recording ends."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from tempfile import TemporaryFile

from mandseg.tracking.recordings import Recording

WANDB = (sys.executable, "-P", "-m", "wandb")  # -P: Python does not import modules from the current folder
READ_TIMEOUT_S = 60.0  # to read one recording
CLIENT_ENVIRONMENT = {  # by default the client retries for hours
    "WANDB_ERROR_REPORTING": "false",
    "WANDB__GRAPHQL_TIMEOUT_SECONDS": "10",
    "WANDB__GRAPHQL_RETRY_MAX": "3",
    "WANDB__GRAPHQL_RETRY_WAIT_MAX_SECONDS": "5",
    "WANDB__FILE_STREAM_RETRY_MAX": "5",
    "WANDB__FILE_STREAM_RETRY_WAIT_MAX_SECONDS": "5",
    "WANDB__FILE_TRANSFER_RETRY_MAX": "5",
    "WANDB__FILE_TRANSFER_RETRY_WAIT_MAX_SECONDS": "5",
}


def upload_recordings(batch: Sequence[Recording], patience_s: float) -> tuple[list[str], bool]:
    """Upload recordings. The command marks each recording that has arrived.

    Returns:
        The errors of the command as lines, and whether it ended within ``patience_s``.
    """
    command = [*WANDB, "sync", "--include-online", *(str(r.folder.resolve()) for r in batch)]
    environment = {**CLIENT_ENVIRONMENT, **os.environ}
    environment.pop("WANDB_MODE", None)  # a sync is online
    with TemporaryFile() as output:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            process.wait(patience_s)
            in_time = True
        except subprocess.TimeoutExpired:
            in_time = False
        finally:
            process.kill()
            process.wait()
        output.seek(0)
        lines = output.read().decode(errors="replace").splitlines()
    errors = [line.partition("ERROR ")[2] for line in lines if "ERROR " in line]
    return [*errors, *([] if in_time else [f"no end after {patience_s:g} s"])], in_time


def ended_early(recording: Recording) -> bool:
    """Whether a recording can be read but has no end, because its run was killed."""
    command = [*WANDB, "leet", "inspect", "--summary", "--json", str(recording.file.resolve())]
    environment = {**CLIENT_ENVIRONMENT, **os.environ}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=READ_TIMEOUT_S, check=True)
        summary = json.loads(done.stdout)
        return bool(summary["run_id"]) and summary["exit_code"] is None
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
        return False
