"""The command ``mandseg estimate``: what a grid will cost on this machine."""

from typing import Annotated

import typer


def estimate(
    context: typer.Context,
    config_name: Annotated[str, typer.Option("--config-name", help="A file of conf/ or sweeps/.")] = "train",
    json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Estimate time, disk and memory of a grid, from two short runs of its first cell on this machine.

    Takes the overrides of [bold]mandseg train -m[/bold]. The runs are written to a temporary folder and removed. The
    cases that they prepare stay in the cache, where the grid finds them.

    Example: [bold]mandseg estimate noise_ratio=0,0.2,0.5,1.0 seed=0,1,2[/bold]
    """
    from mandseg.runs.launchers.estimate import as_json, estimate
    from mandseg.runs.progress import duration
    from mandseg.system.cores import usable_cores

    found = estimate(context.args, config_name)
    if json:
        print(as_json(found))
        return
    hours = found.cells * found.run_s
    print(f"a step                {found.step_s:.3f} s, with its data")
    print(f"a validation          {found.validation_s:.1f} s at most, with memorisation")
    print(f"the test              {found.evaluate_s:.1f} s")
    print(f"a run                 {duration(found.run_s)}: {found.steps} steps, {found.validations} validations, test")
    print(f"the grid, {found.cells} runs     {duration(hours)} in one process")
    for jobs in range(2, min(usable_cores(), found.cells) + 1):
        print(f"  {jobs} processes         {duration(hours / jobs)} or more: they share the cores and the memory bus")
    print(f"disk                  {found.run_bytes / 1e6:.0f} MB a run, {found.cells * found.run_bytes / 1e9:.2f} GB")
    print(f"memory                {found.peak_bytes / 1e9:.1f} GB a process")
