"""A cohort in which half of the labels are wrong and the others equal their reference: the truth of a ranking is known.

python docs/results/ranking/mixture.py data/openkbp cohorts/mixture --noise planning
python docs/results/ranking/mixture.py cohorts/phantoms cohorts/rough --splits train --keep --bias-mm 1.5
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from mandseg.data.case import Case
from mandseg.data.manifest import read_cohort, write_cohort
from mandseg.data.volume import Volume, from_canonical, read_volume, to_canonical, write_volume
from mandseg.noise import Panel, load_preset


def main() -> None:
    """Write the cohort: the cases of some splits, half of them with simulated noise, all with an annotator."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("dest", type=Path)
    parser.add_argument("--noise", default="planning")
    parser.add_argument("--bias-mm", type=float, help="of all annotators, outward; default: that of the noise")
    parser.add_argument("--splits", nargs="+", default=["test", "val"], help="whose labels are half wrong")
    parser.add_argument("--keep", action="store_true", help="keep the cases of the other splits, too, as they are")
    arguments = parser.parse_args()
    everyone = read_cohort(arguments.cohort).cases
    cases = [case for case in everyone if case.split in arguments.splits]
    panel = load_preset(arguments.noise, **({} if arguments.bias_mm is None else {"bias_mm": arguments.bias_mm}))
    order = np.random.default_rng(0).permutation([case.case_id for case in cases]).tolist()
    wrong = set(order[: len(cases) // 2])
    rows = []
    for case in cases:
        file = drawn(case, panel, arguments.dest / "noisy") if case.case_id in wrong else case.reference
        rows.append(replace(case, noisy=file, annotator=panel.annotator(case), groups={}))
    if arguments.keep:
        rows += [case for case in everyone if case.split not in arguments.splits]
    write_cohort(arguments.dest, rows)


def drawn(case: Case, panel: Panel, folder: Path) -> Path:
    """Write the simulated label of a case."""
    if case.reference is None or case.image is None:
        raise ValueError(f"case {case.case_id}: a mixture needs a reference and a CT")
    original = read_volume(case.reference)
    reference, image = to_canonical(original), to_canonical(read_volume(case.image))
    mask = panel.draw(case, reference.array != 0, None, reference.geometry.spacing_mm, image.array)
    file = folder / f"{case.case_id}.nii.gz"
    write_volume(file, Volume(from_canonical(mask.astype(np.uint8), original.geometry), original.affine))
    return file


if __name__ == "__main__":
    main()
