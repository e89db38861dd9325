"""The phantom's claims: reproducible, within the measured ranges, hard for the right reasons, and written once."""

import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from mandseg.data.case import Case
from mandseg.data.manifest import Cohort, read_cohort
from mandseg.data.phantom import (
    CLINIC,
    GERIATRIC,
    MAXILLOFACIAL,
    POPULATIONS,
    Population,
    Sizes,
    cohorts,
    phantom_case,
    phantom_cohorts,
    write_phantom_cohort,
)
from mandseg.data.phantom.mandible import make_mandible, outline_table
from mandseg.data.phantom.solids import box, ellipsoid, mirrored, tube
from mandseg.data.phantom.subject import draw_subject
from mandseg.data.volume import Volume, read_volume, to_canonical
from mandseg.noise import load_preset
from mandseg.system.errors import UserError

COARSE = replace(CLINIC, shape=(44, 44, 48), spacing_mm=(6.0, 6.0, 5.0))
MASK_ONLY_MM = 2.5


@pytest.fixture(scope="module")
def clinic_case() -> tuple[Volume, Volume]:
    return phantom_case(CLINIC, 7)


@pytest.fixture(scope="module")
def mandible_masks() -> list[np.ndarray]:
    return [mandible_mask(POPULATIONS[seed % 3], seed) for seed in range(12)]


@pytest.fixture(scope="module")
def noisy_cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("phantom") / "clinic"
    return write_phantom_cohort(folder, COARSE, 1, 1, 1, seed=1, noise=load_preset("planning"), processes=1)


def dice(one: Path, other: Path) -> float:
    a, b = read_volume(one).array > 0, read_volume(other).array > 0
    return float(2 * np.sum(a & b) / (a.sum() + b.sum()))


def mandible_mask(population: Population, seed: int) -> np.ndarray:
    """A subject's mandible alone, on an isotropic grid of ``MASK_ONLY_MM``, in head coordinates."""
    solid = make_mandible(draw_subject(population, np.random.default_rng(seed))).solid
    axes = [np.arange(low, high, MASK_ONLY_MM, np.float32) for low, high in zip(solid.low, solid.high, strict=True)]
    return solid.distance(*np.meshgrid(*axes, indexing="ij")) <= 0


def test_same_seed_gives_the_same_case() -> None:
    first, again = phantom_case(COARSE, 3), phantom_case(COARSE, 3)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.array, other.array)
        np.testing.assert_array_equal(one.affine, other.affine)


def test_other_seed_gives_another_anatomy() -> None:
    (_, reference), (_, other) = phantom_case(COARSE, 3), phantom_case(COARSE, 4)
    assert np.any(reference.array != other.array)


def test_mandibles_lie_within_the_measured_ranges(mandible_masks: list[np.ndarray]) -> None:
    """Volume and extents of real reference mandibles: study.md, repeated in docs/phantom.md."""
    for seed, mask in enumerate(mandible_masks):
        right, front, up = (np.ptp(np.argwhere(mask), axis=0) + 1) * MASK_ONLY_MM
        assert 33 <= mask.sum() * MASK_ONLY_MM**3 / 1000 <= 93, f"seed {seed}: volume"
        assert 78 <= up <= 120, f"seed {seed}: cranio-caudal {up} mm"
        assert 75 <= front <= 125, f"seed {seed}: antero-posterior {front} mm"
        assert 100 <= right <= 142, f"seed {seed}: left-right {right} mm"


def test_mandible_is_one_piece(mandible_masks: list[np.ndarray], clinic_case: tuple[Volume, Volume]) -> None:
    assert [ndimage.label(mask)[1] for mask in mandible_masks] == [1] * 12
    assert ndimage.label(clinic_case[1].array)[1] == 1


def test_ct_and_reference_share_a_grid_and_types(clinic_case: tuple[Volume, Volume]) -> None:
    ct, reference = clinic_case
    assert ct.geometry.disagreement(reference.geometry) is None
    assert ct.array.shape == CLINIC.shape
    assert ct.geometry.spacing_mm == pytest.approx(CLINIC.spacing_mm)
    assert (ct.array.dtype, reference.array.dtype) == (np.int16, np.uint8)
    assert set(np.unique(reference.array)) == {0, 1}


def test_hu_stay_within_what_a_scanner_stores(clinic_case: tuple[Volume, Volume]) -> None:
    ct, _ = clinic_case
    assert ct.array.min() >= -1024
    assert ct.array.max() <= 3071


def test_reference_is_bone_and_its_shell_denser_than_its_core(clinic_case: tuple[Volume, Volume]) -> None:
    ct, reference = clinic_case
    mask = reference.array > 0
    depth = ndimage.distance_transform_edt(mask, sampling=CLINIC.spacing_mm)
    assert np.mean(ct.array[mask] > 200) > 0.85
    assert np.median(ct.array[mask & (depth < 4)]) > np.median(ct.array[depth > 6]) + 100


def test_air_surrounds_the_head_and_tissue_the_mandible(clinic_case: tuple[Volume, Volume]) -> None:
    ct, reference = clinic_case
    assert ct.array[:3, -3:, -3:].mean() == pytest.approx(-1000, abs=20)
    around = ndimage.binary_dilation(reference.array > 0, iterations=6) & ~ndimage.binary_dilation(reference.array > 0)
    assert np.mean(ct.array[around] < -500) < 0.15


def test_no_bone_sticks_out_of_the_skin(clinic_case: tuple[Volume, Volume]) -> None:
    ct, _ = clinic_case
    outside = ndimage.label(ct.array < -500)[0] == 1  # the first component holds the corner
    near_air = ndimage.binary_dilation(outside)
    bone = ndimage.binary_opening(ct.array > 400)
    assert np.sum(bone & near_air) < 0.002 * bone.sum()


def test_bone_of_mandible_hu_exists_outside_the_label(clinic_case: tuple[Volume, Volume]) -> None:
    ct, reference = clinic_case
    mask = reference.array > 0
    low, high = np.percentile(ct.array[mask], [25, 95])
    alike = (ct.array >= low) & (ct.array <= high) & ~mask
    assert alike.sum() > 2 * mask.sum()


def test_chin_is_in_front_and_below_and_condyles_above(clinic_case: tuple[Volume, Volume]) -> None:
    _, reference = clinic_case
    points = np.argwhere(to_canonical(reference).array) * CLINIC.spacing_mm
    centre = points.mean(axis=0)
    chin = points[points[:, 1] > points[:, 1].max() - 5].mean(axis=0)
    condyles = points[points[:, 2] > points[:, 2].max() - 5].mean(axis=0)
    assert chin[1] > centre[1] + 20
    assert condyles[2] > chin[2] + 40
    assert condyles[1] < chin[1] - 40


@pytest.mark.parametrize("population", [COARSE, replace(COARSE, orientation="LPS")])
def test_right_stays_right_for_any_storage(population: Population) -> None:
    """A metal crown on the right must end up at positive x of the patient, in both orientations."""
    seed = next(s for s in range(200) if _metal_on_the_right_only(s))
    ct, _ = phantom_case(replace(population, metal_share=1.0, shape=(88, 88, 60), spacing_mm=(3.0, 3.0, 4.0)), seed)
    metal = np.argwhere(ct.array > 2400)
    assert len(metal) > 0
    in_patient = metal @ ct.affine[:3, :3].T + ct.affine[:3, 3]
    assert np.all(in_patient[:, 0] > 5)


def _metal_on_the_right_only(seed: int) -> bool:
    from mandseg.data.phantom.drawn_case import subject_of

    subject = subject_of(replace(COARSE, metal_share=1.0), seed)
    return bool(subject.metal_crowns) and all(index in (1, 2, 3) for _, index in subject.metal_crowns)


def test_geriatric_cases_are_stored_lps_and_become_the_same_ras_case() -> None:
    small = replace(GERIATRIC, shape=(44, 44, 40), spacing_mm=(7.0, 7.0, 6.0))
    stored, as_ras = phantom_case(small, 5), phantom_case(replace(small, orientation="RAS"), 5)
    for lps, ras in zip(stored, as_ras, strict=True):
        assert np.all(np.diag(lps.affine)[:2] < 0)
        canonical = to_canonical(lps)
        np.testing.assert_array_equal(canonical.array, ras.array)
        np.testing.assert_allclose(canonical.affine, ras.affine)


def test_sharp_kernel_population_is_noisier() -> None:
    def noise_hu(population: Population) -> float:
        quiet = replace(population, shape=(64, 64, 24), spacing_mm=(4.0, 4.0, 8.0), couch=False, mask_share=0.0)
        ct, _ = phantom_case(quiet, 1)
        corner = to_canonical(ct).array[:6, -6:, :].astype(float)
        return float(corner[corner > -1024].std())

    assert noise_hu(MAXILLOFACIAL) > 1.15 * noise_hu(GERIATRIC)


def test_metal_clips_and_streaks_its_slices() -> None:
    without = replace(CLINIC, metal_share=0.0, edentulous_share=0.0, shape=(80, 80, 60), spacing_mm=(3.2, 3.2, 4.0))
    plain, _ = phantom_case(without, 2)
    metal, _ = phantom_case(replace(without, metal_share=1.0, metal_teeth=(4, 4)), 2)
    changed = np.abs(metal.array.astype(int) - plain.array) > 60
    per_slice = changed.sum(axis=(0, 1))
    assert metal.array.max() > plain.array.max()
    assert per_slice.max() > 100
    assert np.median(per_slice) < 10


def test_ellipsoid_distance_is_exact_on_a_sphere() -> None:
    sphere = ellipsoid((1, 2, 3), (5, 5, 5))
    x, y, z = (np.array([v], np.float32) for v in (1, 2, 11))
    assert sphere.distance(x, y, z)[0] == pytest.approx(3.0, abs=1e-3)


def test_box_and_tube_distances_by_ruler() -> None:
    point = [np.array([v], np.float32) for v in (10, 0, 0)]
    assert box((0, 0, 0), (4, 5, 6), 1.0).distance(*point)[0] == pytest.approx(6.0)
    assert box((0, 0, 0), (4, 5, 6), 1.0, yaw_deg=90).distance(*point)[0] == pytest.approx(5.0, abs=1e-5)
    assert tube([(0, 0, -5), (0, 0, 5)], [2, 2]).distance(*point)[0] == pytest.approx(8.0)
    assert mirrored(tube([(-10, 0, -5), (-10, 0, 5)], [2, 2])).distance(*point)[0] == pytest.approx(-2.0)


def test_outline_distances_of_a_square_by_ruler() -> None:
    table = outline_table(np.array([[0.0, -100.0], [20.0, -100.0], [20.0, -80.0], [0.0, -80.0]]))
    along, z = 10 + 12, -90 + 110  # the table starts at along = -12 mm, z = -110 mm
    assert table[along, z] == pytest.approx(-10)
    assert table[along + 15, z] == pytest.approx(5)
    assert table[0, z] == pytest.approx(12)


def test_cohort_has_its_splits_annotators_and_labels(noisy_cohort: Cohort) -> None:
    assert read_cohort(noisy_cohort.root) == noisy_cohort
    assert [case.split for case in noisy_cohort.cases] == ["train", "val", "test"]
    assert len({case.annotator for case in noisy_cohort.cases}) == 3  # twelve annotators, dealt round
    for case in noisy_cohort.cases:
        reference, noisy, image = (read_volume(path).geometry for path in labelled(case))
        assert reference.disagreement(noisy) is None
        assert reference.disagreement(image) is None
        assert 0.4 < dice(*labelled(case)[:2]) < 1


def labelled(case: Case) -> tuple[Path, Path, Path]:
    """Reference, noisy label and image, all there."""
    assert case.reference
    assert case.noisy
    assert case.image
    return case.reference, case.noisy, case.image


def test_noisy_label_of_an_lps_case_overlaps_its_reference(tmp_path: Path) -> None:
    population = replace(COARSE, orientation="LPS")
    cohort = write_phantom_cohort(
        tmp_path / "lps", population, 0, 0, 1, seed=1, noise=load_preset("planning"), processes=1
    )
    assert dice(*labelled(cohort.cases[0])[:2]) > 0.4


def test_cohorts_of_two_seeds_share_no_subject(tmp_path: Path) -> None:
    one, other = (
        write_phantom_cohort(tmp_path / str(seed), COARSE, 0, 0, 1, seed=seed, processes=1) for seed in (1, 2)
    )
    first, second = (read_volume(c.cases[0].image).array for c in (one, other) if c.cases[0].image)
    assert np.any(first != second)


def test_interrupted_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def interrupted(population: Population, seed: int) -> tuple[Volume, Volume]:
        drawn.append(seed)
        if len(drawn) == 2:
            raise KeyboardInterrupt
        return phantom_case(population, seed)

    monkeypatch.setattr(cohorts, "phantom_case", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_phantom_cohort(tmp_path / "cohort", COARSE, 0, 0, 3, seed=1, processes=1)
    assert len(drawn) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_cohort_takes_no_more_processes_than_slurm_gives_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def in_one_process(work, drafts, title, workers):
        seen.append(workers)
        return map(work, drafts)

    monkeypatch.setattr(cohorts, "for_each", in_one_process)
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "3")
    write_phantom_cohort(tmp_path / "cohort", COARSE, 0, 0, 1, seed=1)
    assert seen == [3]


def test_existing_folder_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(UserError, match="mine: exists already"):
        write_phantom_cohort(tmp_path / "mine", COARSE, 0, 0, 1, seed=1)


def test_cohort_without_cases_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cases \(0, 0, 0\) in train, val, test"):
        write_phantom_cohort(tmp_path / "none", COARSE, 0, 0, 0, seed=1)


def test_cache_folder_depends_on_everything_that_defines_the_cohorts(tmp_path: Path) -> None:
    one_case = {COARSE: Sizes(0, 0, 1)}
    names = {
        phantom_cohorts(tmp_path, load_preset("planning"), sizes, seed, processes=1)["clinic"].parent.name
        for sizes, seed in (
            (one_case, 0),
            (one_case, 0),
            (one_case, 1),
            ({replace(COARSE, metal_share=0.5): Sizes(0, 0, 1)}, 0),
        )
    }
    assert len(names) == 3


def _ask_for_cohorts(cache_dir: Path, answers: "multiprocessing.Queue[tuple[str, int]]") -> None:
    folder = phantom_cohorts(cache_dir, load_preset("planning"), {COARSE: Sizes(0, 0, 2)}, processes=1)["clinic"]
    answers.put((str(folder), (folder / "manifest.csv").stat().st_mtime_ns))


def test_two_processes_at_once_make_one_cohort(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")  # a new interpreter would import for seconds
    answers = context.Queue()
    asking = [context.Process(target=_ask_for_cohorts, args=(tmp_path, answers)) for _ in range(2)]
    for process in asking:
        process.start()
    (folder, written), (other_folder, other_written) = (answers.get(timeout=120) for _ in asking)
    for process in asking:
        process.join(timeout=60)
        assert process.exitcode == 0
    assert (folder, written) == (other_folder, other_written)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [Path(folder).parent.name]
    assert len(read_cohort(Path(folder)).cases) == 2


def test_parallel_and_serial_writing_agree(noisy_cohort: Cohort, tmp_path: Path) -> None:
    parallel = write_phantom_cohort(tmp_path / "p", COARSE, 1, 1, 1, seed=1, noise=load_preset("planning"), processes=2)
    for one, other in zip(noisy_cohort.cases, parallel.cases, strict=True):
        assert (one.case_id, one.annotator) == (other.case_id, other.annotator)
        for path, same in zip(labelled(one), labelled(other), strict=True):
            np.testing.assert_array_equal(read_volume(path).array, read_volume(same).array)
