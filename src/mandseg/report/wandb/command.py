"""W&B's own command, called in a process of its own: it uploads recordings, and says how a recording ends."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from tempfile import TemporaryFile

from mandseg.tracking.recordings import Recording

WANDB = (sys.executable, "-P", "-m", "wandb")  # -P: a module in the current folder is not taken for the client's
PATIENCE_S = 60.0  # to read one recording
CLIENT_ENVIRONMENT = {  # the client's own patience is hours
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
    """Upload recordings; the command marks each that has arrived.

    Returns:
        Its errors as lines, and whether it ended by itself within ``patience_s``.
    """
    command = [*WANDB, "sync", "--include-online", *(str(r.folder.resolve()) for r in batch)]
    environment = {**CLIENT_ENVIRONMENT, **os.environ}
    environment.pop("WANDB_MODE", None)  # who syncs means to be online
    with TemporaryFile() as said:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        try:
            process.wait(patience_s)
            in_time = True
        except subprocess.TimeoutExpired:
            in_time = False
        finally:
            process.kill()
            process.wait()
        said.seek(0)
        lines = said.read().decode(errors="replace").splitlines()
    errors = [line.partition("ERROR ")[2] for line in lines if "ERROR " in line]
    return [*errors, *([] if in_time else [f"no end after {patience_s:g} s"])], in_time


def ended_early(recording: Recording) -> bool:
    """Whether a recording can be read and its run wrote no end, as when it was killed."""
    command = [*WANDB, "leet", "inspect", "--summary", "--json", str(recording.file.resolve())]
    environment = {**CLIENT_ENVIRONMENT, **os.environ}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=PATIENCE_S, check=True)
        found = json.loads(done.stdout)
        return bool(found["run_id"]) and found["exit_code"] is None
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
        return False
