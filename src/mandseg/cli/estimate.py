"""The command ``mandseg estimate``: what a grid will cost on this machine."""

from typing import Annotated

import typer


def estimate(
    context: typer.Context,
    config_name: Annotated[str, typer.Option("--config-name", "-cn", help="A file of conf/ or sweeps/.")] = "train",
    json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
    multirun: Annotated[
        bool, typer.Option("--multirun", "-m", help="As for the training; makes no difference.")
    ] = False,
) -> None:
    """Estimate time, disk and memory of a grid, from two or three short runs of its first cell on this machine.

    Takes the words of [bold]mandseg train -m[/bold]. The runs are written to a temporary folder and removed. The
    cases that they prepare stay in the cache, where the grid finds them.

    Example: [bold]mandseg estimate noise_ratio=0,0.2,0.5,1.0 seed=0,1,2[/bold]

    Example: [bold]mandseg estimate --config-name demo[/bold]
    """
    from mandseg.runs.launchers.estimate import as_json, estimate
    from mandseg.runs.progress import duration
    from mandseg.runs.settings.typed_text import quoted
    from mandseg.system.cores import usable_cores
    from mandseg.system.names import with_home_in_setting
    from mandseg.system.wording import count

    found = estimate([quoted(with_home_in_setting(word)) for word in context.args], config_name)
    if json:
        print(as_json(found))
        return
    grid_s = found.cells * found.run_s
    parts = [
        count(found.steps, "step"),
        count(found.validations, "validation"),
        count(found.measurements, "measurement"),
        "test",
    ]
    rows = {
        "a step": f"{found.step_s:.3f} s, with its data",
        "a validation": f"{found.validation_s:.1f} s at most",
        "a measurement": f"{found.measurement_s:.1f} s, of memorisation",
        "new labels": f"{found.relabel_s:.1f} s, of later stages",
        "the test": f"{found.evaluate_s:.1f} s",
        "a run": f"{duration(found.run_s)}: {', '.join(parts)}",
        f"the grid, {count(found.cells, 'run')}": f"{duration(grid_s)} in one process",
    }
    if not found.measurements:
        del rows["a measurement"]
    if not found.relabel_s:
        del rows["new labels"]
    if (jobs := min(usable_cores(), found.cells)) > 1:
        rows[f"  {jobs} processes"] = f"{duration(grid_s / jobs)} or more: they share the cores and the memory bus"
    rows["disk"] = f"{found.run_bytes / 1e6:.0f} MB a run, {found.cells * found.run_bytes / 1e9:.2f} GB"
    rows["memory"] = f"{found.peak_bytes / 1e9:.1f} GB a process"
    for name, value in rows.items():
        print(f"{name:22}{value}")
