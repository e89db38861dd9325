"""A nursery of ``python -m mandseg.train``: its children start with everything imported, and are struck by faults.

``python faults.py`` reads one JSON object a line (argv, cwd, stderr, fault, env, diary) and answers two lines: the
child's process id, then its exit code. A fault is [MOMENT, COUNT, SIGNAL]: the child signals itself at the COUNT-th
such moment. The diary gets a line for each run and each cache entry that the child makes. Pictures, nearly half of
such a small run's time, are empty files.
"""

import json
import os
import sys
from pathlib import Path


def fault(moment: str, count: int, signum: int) -> None:
    """Arrange that this process signals itself at a moment."""
    left = [count]

    def strike() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signum)

    def before(owner: object, name: str) -> None:
        whole = getattr(owner, name)

        def struck(*args, **kwargs):
            strike()
            return whole(*args, **kwargs)

        setattr(owner, name, struck)

    def after(owner: object, name: str) -> None:
        whole = getattr(owner, name)

        def struck(*args, **kwargs):
            result = whole(*args, **kwargs)
            strike()
            return result

        setattr(owner, name, struck)

    if moment == "step":  # in the middle of a step: after the loss, before the optimiser
        from mandseg.training.module import Segmenter

        after(Segmenter, "training_step")
    elif moment == "saved":  # a checkpoint has just been renamed
        from mandseg.training.checkpoint import RunCheckpointIO

        after(RunCheckpointIO, "save_checkpoint")
    elif moment == "saving":  # half of a checkpoint is written
        import torch

        whole = torch.save

        def half(checkpoint, file, *args, **kwargs):
            import io

            buffer = io.BytesIO()
            whole(checkpoint, buffer)
            file.write(buffer.getvalue()[: len(buffer.getvalue()) // 2])
            file.flush()
            strike()
            file.seek(0)
            file.truncate()
            whole(checkpoint, file, *args, **kwargs)

        torch.save = half
    elif moment == "validation":  # one validation case is done
        from mandseg.training.module import Segmenter

        after(Segmenter, "validation_step")
    elif moment == "evaluation":  # a case is predicted, its scores are not
        import mandseg.evaluation.evaluate

        before(mandseg.evaluation.evaluate, "load_scan")
    elif moment == "cases":  # everything is scored, cases.csv is not there
        from mandseg.tracking.tracker import Tracker

        before(Tracker, "log_results")
    elif moment == "cache":  # an array of a cache entry is half there
        import mandseg.data.cache

        whole = mandseg.data.cache.np.save

        def torn(file, array):
            file.write(array.tobytes()[: array.nbytes // 2])
            file.flush()
            strike()
            file.seek(0)
            file.truncate()
            whole(file, array)

        mandseg.data.cache.np = type("np", (), {**vars(mandseg.data.cache.np), "save": staticmethod(torn)})
    elif moment == "cached":  # an entry's image is there, the rest is not
        import mandseg.data.cache

        after(mandseg.data.cache, "_save_array")
    else:
        raise ValueError(moment)


def keep_diary(file: str) -> None:
    import mandseg.data.cache
    import mandseg.runs.run

    run, write = mandseg.runs.run.run, mandseg.data.cache._write_folder

    def note(what: str) -> None:
        with Path(file).open("a") as diary:
            diary.write(what + "\n")

    def noted_run(cfg, claim, interruption):
        note(f"run {claim.folder.name}")
        return run(cfg, claim, interruption)

    def noted_write(folder, *args):
        note(f"entry {folder.name}")
        return write(folder, *args)

    mandseg.runs.run.run, mandseg.data.cache._write_folder = noted_run, noted_write


def draw_nothing() -> None:
    import mandseg.evaluation.evaluate
    import mandseg.training.validation_overlay

    def draw(image, reference, prediction, spacing_mm, file, title):
        file.parent.mkdir(exist_ok=True)
        file.touch()

    mandseg.evaluation.evaluate.draw_overlay = mandseg.training.validation_overlay.draw_overlay = draw


def child(order: dict) -> int:
    """What a fresh ``python -m mandseg.train`` would do."""
    os.chdir(order["cwd"])
    os.dup2(os.open(order["stderr"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    os.dup2(2, 1)
    os.environ.update(order.get("env", {}))
    draw_nothing()
    if order.get("fault"):
        fault(*order["fault"])
    if order.get("diary"):
        keep_diary(order["diary"])
    sys.argv[1:] = order["argv"]
    from mandseg.train import main

    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def nurse() -> None:
    import hydra._internal.hydra
    import matplotlib.pyplot
    import monai.inferers
    import monai.losses
    import monai.networks.nets
    import torchio
    from PIL import Image

    del hydra, matplotlib, monai, torchio, Image
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                code = child(json.loads(line))
            finally:
                sys.stdout.flush()
                os._exit(code)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    nurse()
