"""How long does it take to compose a grid of 1,000 cells and to submit it to SLURM? Prints wall and processor seconds.

Run: python benchmarks/submission.py [--cells 1000]

Two small scripts stand in for sbatch and srun, so this is the time of the submitting process without SLURM's own; with
--slurm, the sbatch of this machine is asked (the jobs are held and cancelled).
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT_S = 60.0
SBATCH = "#!/bin/sh\necho Submitted batch job 1\n"
TRACED = """\
import sys, time, mandseg.train
try:
    mandseg.train.main()
finally:
    print(time.process_time(), "torch" in sys.modules, file=sys.stderr)
"""


def submit(cells: int, folder: Path, real: bool) -> tuple[float, float, bool]:
    """Wall seconds and processor seconds of one submission, and whether it imported torch."""
    programs = folder / "bin"
    programs.mkdir()
    if not real:
        for name in ("sbatch", "srun"):
            (programs / name).write_text(SBATCH)
            (programs / name).chmod(0o755)
    ratios = ",".join(str(k / 10) for k in range(10))
    words = [f"noise_ratio={ratios}", f"seed=range({cells // 10})", "tracking=none", "hydra/launcher=slurm"]
    words += ["+hydra.launcher.additional_parameters.hold=true", "hydra.launcher.cpus_per_task=1"]
    env = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", TRACED, "-m", *words], cwd=folder, env=env, capture_output=True, text=True
    )
    seconds = time.perf_counter() - start
    assert done.returncode == 0, done.stderr
    listed = len((folder / "outputs" / "phantom" / "grid.csv").read_text().splitlines()) - 1
    assert listed == cells, f"{listed} of {cells} cells are listed"
    assert f"{cells} jobs submitted" in done.stdout, done.stdout
    if real:
        job = done.stdout.partition("job ")[2].partition(";")[0]
        subprocess.run(["scancel", job], check=True)
    processor, torch = done.stderr.splitlines()[-1].split()
    return seconds, float(processor), torch == "True"


def main() -> None:
    """Measure once, cold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=1000, help="a multiple of ten")
    parser.add_argument("--slurm", action="store_true", help="submit to the SLURM of this machine")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wall, processor, torch = submit(arguments.cells, Path(folder), arguments.slurm)
    print(f"{arguments.cells} cells composed and submitted: {wall:.1f} s, of the processor {processor:.1f} s")
    print(f"torch imported: {torch}")
    sys.exit(torch or processor > LIMIT_S)  # of the processor: a busy machine says nothing about the program


if __name__ == "__main__":
    main()
