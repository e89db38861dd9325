"""Real runs of ``mandseg.train`` that start in a moment: children of a process that has imported everything."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent


class Nursery:
    """Starts ``mandseg.train``, one run at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "stderr.txt"
        env = os.environ | {"WANDB_MODE": "offline", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(HERE / "faults.py")]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)

    def start(self, argv: Sequence[str], fault: Sequence[object] | None = None, **order: object) -> int:
        """Start a run and tell its process id."""
        self.log.write_text("")
        order = {"argv": list(argv), "cwd": str(self.folder), "stderr": str(self.log), "fault": fault, **order}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def end(self) -> int:
        """Wait for the run's exit code; minus the signal that killed it."""
        return int(self.process.stdout.readline())

    def run(self, argv: Sequence[str], fault: Sequence[object] | None = None, **order: object) -> int:
        self.start(argv, fault, **order)
        return self.end()

    def told(self) -> list[str]:
        """The lines for the user that the last run wrote."""
        return [line for line in self.log.read_text().splitlines() if line.startswith("mandseg:")]

    def close(self) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
