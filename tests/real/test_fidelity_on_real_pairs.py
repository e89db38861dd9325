"""The preset `radiographer` and plain dilation and erosion beside real radiographers, on pairs held out."""

from pathlib import Path

import pytest

from mandseg.fidelity.comparison import Comparison, compare, misfit
from mandseg.fidelity.pairs import Pair, read_pairs, split_pairs
from mandseg.fidelity.simulation import real_table, simulated_table
from mandseg.importers.deepmind_tcia import import_deepmind_tcia
from mandseg.noise import load_preset

pytestmark = [pytest.mark.real_data, pytest.mark.slow]


@pytest.fixture(scope="module")
def held_out(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Pair, ...]:
    cohort = tmp_path_factory.mktemp("deepmind") / "cohort"
    import_deepmind_tcia(real_data / "deepmind_tcia", cohort)
    pairs, notes = read_pairs(cohort)
    assert notes == ["case 0522c0457 left out: its two labels are one drawing and a copy of it"]
    halves = split_pairs(pairs, seed=0)
    assert [len(halves.fit), len(halves.check)] == [13, 14]
    return halves.check


@pytest.fixture(scope="module")
def comparisons(held_out: tuple[Pair, ...]) -> dict[str, list[Comparison]]:
    real = real_table(held_out)
    return {
        name: compare(real, simulated_table(load_preset(name), held_out, 2, workers=None))
        for name in ("radiographer", "margin")
    }


def test_tails_and_roughness_are_nearer_to_people_than_those_of_a_margin(
    comparisons: dict[str, list[Comparison]],
) -> None:
    ours, margin = ({c.quantity: c for c in comparisons[name]} for name in ("radiographer", "margin"))
    for quantity in ("hd95_mm", "nsd_2mm", "teeth_spread_mm", "slice_roughness_mm_1", "slice_roughness_mm_2"):
        assert ours[quantity].wasserstein < margin[quantity].wasserstein, quantity


def test_held_out_distances_stay_within_what_was_measured(comparisons: dict[str, list[Comparison]]) -> None:
    ours = {c.quantity: c for c in comparisons["radiographer"]}
    for quantity, most in {"dice": 0.035, "hd95_mm": 0.35, "nsd_2mm": 0.012, "volume_difference": 0.12}.items():
        assert ours[quantity].wasserstein < most, quantity
    assert misfit(comparisons["radiographer"]) < 1.1
