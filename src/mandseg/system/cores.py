"""The processor cores that this process may use."""

import os


def cores_of_process(processes: int) -> int:
    """Count the cores for each of the processes of one run on this machine.

    Args:
        processes: Their number. Where SLURM started each as a task, ``usable_cores`` counts those of the task already;
            the processes that one task started itself divide its cores.
    """
    is_task_of_several = "SLURM_CPUS_PER_TASK" in os.environ and os.environ.get("SLURM_STEP_NUM_TASKS", "1") != "1"
    return usable_cores() if is_task_of_several else usable_cores() // processes


def usable_cores() -> int:
    """Count the cores that the system or SLURM leaves to this process; other programs may use them, too."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    of_task = os.environ.get("SLURM_CPUS_PER_TASK", "")  # some clusters do not bind a task to its cores
    return min(cores, int(of_task)) if of_task.isdecimal() and int(of_task) else cores
