"""The processor cores that this process may use."""

import os


def usable_cores() -> int:
    """Count the cores that the system or SLURM leaves to this process; other programs may use them, too."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    of_task = os.environ.get("SLURM_CPUS_PER_TASK", "")  # some clusters do not bind a task to its cores
    return min(cores, int(of_task)) if of_task.isdecimal() and int(of_task) else cores
