"""Phantom cohorts on disk: folders with a manifest, written completely or not at all, once for all jobs."""

import hashlib
import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from mandseg.data import volume
from mandseg.data.case import Case
from mandseg.data.importers.cohort_folder import FOLDER
from mandseg.data.label_source import AnnotatorPanel
from mandseg.data.manifest import SPLITS, Cohort, read_cohort, write_cohort
from mandseg.data.phantom.drawn_case import phantom_case
from mandseg.data.phantom.population import CLINIC, GERIATRIC, MAXILLOFACIAL, Population
from mandseg.data.volume import Volume, from_canonical, to_canonical, write_volume
from mandseg.metrics import masks, regions, signed_distance
from mandseg.system.cores import usable_cores
from mandseg.system.errors import UserError
from mandseg.system.files import replaced_folder, writable_folder
from mandseg.system.lock import locked
from mandseg.system.progress import for_each

CASES_PER_SEED = 100_000  # case i of a cohort with seed s is drawn from s * this + i


@dataclass(frozen=True)
class Sizes:
    """Number of cases in each split; with ``recorded``, each case also has an annotator's noisy label."""

    n_train: int
    n_val: int
    n_test: int
    recorded: bool = False


DEFAULT_SIZES: dict[Population, Sizes] = {
    CLINIC: Sizes(24, 4, 8, recorded=True),
    MAXILLOFACIAL: Sizes(0, 0, 8),
    GERIATRIC: Sizes(0, 0, 8),
}


def phantom_cohorts(
    cache_dir: Path,
    panel: AnnotatorPanel,
    sizes: Mapping[Population, Sizes] | None = None,
    seed: int = 0,
    processes: int | None = None,
) -> dict[str, Path]:
    """Make the phantom cohorts on first use, once for any number of simultaneous jobs.

    Args:
        cache_dir: The parent of their folder. A hash of arguments and code names the folder.
        panel: Annotators who contour each case of the populations that have ``recorded`` sizes.
        sizes: Cases per split of each population; by default 36 of the clinic and 8 of each external population.
        seed: Seed of subjects and annotators.
        processes: Number of cases that are made at the same time; by default one per core that this process may use.

    Returns:
        Population name to its cohort folder.
    """
    sizes = dict(DEFAULT_SIZES if sizes is None else sizes)
    root = cache_dir / f"phantom-{_fingerprint(sizes, seed, panel)}"
    folders = {population.name: root / population.name for population in sizes}
    writable_folder(cache_dir, "cache_dir")
    with locked(cache_dir / f".{root.name}.lease"):
        for population, size in sizes.items():
            if not folders[population.name].is_dir():
                noise = panel if size.recorded else None
                write_phantom_cohort(
                    folders[population.name],
                    population,
                    size.n_train,
                    size.n_val,
                    size.n_test,
                    seed,
                    noise,
                    processes,
                )
    return folders


def write_phantom_cohort(
    dest: Path,
    population: Population,
    n_train: int,
    n_val: int,
    n_test: int,
    seed: int,
    noise: AnnotatorPanel | None = None,
    processes: int | None = None,
) -> Cohort:
    """Write images, labels and manifest.csv of one cohort; the folder is written completely or not at all.

    Args:
        dest: The cohort's folder; must not exist.
        population: The common properties of the cases.
        n_train: Cases for training.
        n_val: Cases for validation.
        n_test: Cases for testing.
        seed: The same seed gives the same cohort for any number of processes.
        noise: Panel whose annotators contour each case with errors (columns ``noisy`` and ``annotator``); None:
            references only.
        processes: Number of cases that are made at the same time; by default one per core that this process may use.

    Raises:
        UserError: The folder exists already, or the number of cases is not positive.
    """
    drafts = _drafts(population, (n_train, n_val, n_test), seed, noise)
    if dest.exists():
        raise UserError(f"{dest}: exists already; remove it or choose another folder")
    title = f"phantom cohort {population.name}"
    with replaced_folder(dest, FOLDER) as root:
        cases = list(for_each(partial(_write_case, root), drafts, title, processes or usable_cores()))
        write_cohort(root, cases)
    return read_cohort(dest)


@dataclass(frozen=True)
class _Draft:
    """The data that a process needs to make one case."""

    case_id: str
    split: str
    population: Population
    seed: int
    annotator: str
    noise: AnnotatorPanel | None


def _drafts(
    population: Population, counts: tuple[int, int, int], seed: int, noise: AnnotatorPanel | None
) -> list[_Draft]:
    """List the cases; annotators are assigned in shuffled rounds, so that all have nearly equal shares."""
    if min(counts) < 0 or sum(counts) == 0:
        raise UserError(
            f"phantom cohort {population.name}: cases {counts} in {', '.join(SPLITS)}, expected at least one"
        )
    splits = [split for split, n in zip(SPLITS, counts, strict=True) for _ in range(n)]
    rng = np.random.default_rng([seed, *population.name.encode()])
    first = seed * CASES_PER_SEED
    annotators: list[int] = []
    while noise and len(annotators) < len(splits):
        annotators += [int(i) for i in rng.permutation(noise.size)]
    return [
        _Draft(
            case_id=f"{population.name}_{i:03d}",
            split=split,
            population=population,
            seed=_case_seed(population, first + i),
            annotator=noise.names[annotators[i]] if noise else "",
            noise=noise,
        )
        for i, split in enumerate(splits)
    ]


def _case_seed(population: Population, number: int) -> int:
    """Give a different subject seed for each number and population name."""
    digest = hashlib.sha256(f"{population.name}/{number}".encode()).digest()
    return int.from_bytes(digest[:6], "big")


def _case(root: Path, draft: _Draft) -> Case:
    return Case(
        case_id=draft.case_id,
        subject_id=draft.case_id,
        split=draft.split,
        image=root / "images" / f"{draft.case_id}.nii.gz",
        reference=root / "references" / f"{draft.case_id}.nii.gz",
        noisy=root / "noisy" / f"{draft.case_id}.nii.gz" if draft.noise else None,
        annotator=draft.annotator,
        groups={"population": draft.population.name},
    )


def _write_case(root: Path, draft: _Draft) -> Case:
    ct, reference = phantom_case(draft.population, draft.seed)
    case = _case(root, draft)
    if case.image is None or case.reference is None:
        raise ValueError(f"case {draft.case_id}: a phantom has an image and a reference")
    write_volume(case.image, ct)
    write_volume(case.reference, reference)
    if draft.noise and case.noisy:
        write_volume(case.noisy, _contoured(case, ct, reference, draft.noise))
    return case


def _contoured(case: Case, ct: Volume, reference: Volume, noise: AnnotatorPanel) -> Volume:
    canonical = to_canonical(reference)
    hu = to_canonical(ct).array
    drawn = noise.draw(case, canonical.array.astype(np.bool_), None, canonical.geometry.spacing_mm, hu)
    return Volume(from_canonical(drawn.astype(np.uint8), reference.geometry), reference.affine)


def _fingerprint(sizes: Mapping[Population, Sizes], seed: int, panel: AnnotatorPanel) -> str:
    """Twelve hex digits of everything that defines the cohorts: arguments and code."""
    arguments = [(asdict(population), asdict(size)) for population, size in sizes.items()]
    return hashlib.sha256(
        f"{_code_digest(type(panel))}{panel!r}{arguments}{seed}{CASES_PER_SEED}".encode()
    ).hexdigest()[:12]


@lru_cache
def _code_digest(panel: type) -> str:
    """A digest of the code of phantoms: this package, the package of the panel, masks, regions and geometry."""
    of_panel = Path(inspect.getfile(panel)).parent
    sources = [*Path(__file__).parent.glob("*.py"), *of_panel.rglob("*.py")]
    sources += [Path(str(module.__file__)) for module in (masks, regions, signed_distance, volume)]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sorted(sources))).hexdigest()
