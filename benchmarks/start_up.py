"""How long does the user wait for ``--help``, the printed configuration and the first prompt? Processor and clock.

Run: python benchmarks/start_up.py [--repeats 5]

The floor is Python with Hydra alone: the help of an application without settings. Every command is a process.
"""

import argparse
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from comparison import in_turn, show, time_row, timed

HYDRA_ALONE = """\
import hydra
@hydra.main(version_base="1.3", config_path=None)
def main(cfg):
    pass
main()
"""
COMMANDS = {
    "train --help": ["-m", "mandseg.train", "--help"],
    "train --cfg job": ["-m", "mandseg.train", "--cfg", "job"],
    "mandseg --help": ["-m", "mandseg.cli.main", "--help"],
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "alone.py").write_text(HYDRA_ALONE)
        commands = {"hydra": ["alone.py", "--help"], **COMMANDS}
        run = partial(subprocess.run, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        calls = {name: partial(timed, partial(run, [sys.executable, *words])) for name, words in commands.items()}
        for call in calls.values():
            call()  # the first writes compiled files
        turns = in_turn(calls, repeats)
    floor = turns.pop("hydra")
    show("start_up", [time_row(name, "Hydra alone", own, floor) for name, own in turns.items()])


if __name__ == "__main__":
    main()
