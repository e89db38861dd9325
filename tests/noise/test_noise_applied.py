"""The applied noise of a run is measured on its training labels, once for all runs of a grid."""

import numpy as np
import pandas as pd
import pytest

from mandseg.data.cache import prepare_cases
from mandseg.data.preprocessing import Preprocessing
from mandseg.noise import Recorded
from mandseg.noise import applied as module
from mandseg.noise.applied import noise_applied
from mandseg.noise.label_plan import plan_noise

VOXEL_ML = 0.064  # 4 mm


@pytest.fixture
def training(make_case, bone, tmp_path):
    """Case a: the block of 9 x 9 x 9 voxels without its top layer; case b: nobody drew a second label."""
    smaller = bone.copy()
    smaller[:, :, 16] = False
    cases = [make_case("a", noisy=smaller), make_case("b")]
    return prepare_cases(cases, Preprocessing((4.0, 4.0, 4.0), 40.0), tmp_path / "cache", Recorded())


def test_a_label_that_lacks_a_layer_is_listed_with_its_dice_and_volume(training):
    table = noise_applied(training, plan_noise({"a": "", "b": ""}, 0.5, seed=1)).set_index("case_id")
    kept, whole = 9 * 9 * 8, 9 * 9 * 9
    assert table.dice["a"] == pytest.approx(2 * kept / (kept + whole))
    assert table.reference_ml["a"] == pytest.approx(whole * VOXEL_ML)
    assert table.volume_error_ml["a"] == pytest.approx((kept - whole) * VOXEL_ML)
    assert 0 < table.hd95_mm["a"] <= 4
    assert np.isnan(table.dice["b"])
    assert sorted(table.label) == ["noisy", "reference"]


def test_a_second_run_of_the_grid_measures_nothing_again(training, monkeypatch):
    first = noise_applied(training, plan_noise({"a": "", "b": ""}, 0.0, seed=0))
    monkeypatch.setattr(module, "score", lambda *_: pytest.fail("measured again"))
    pd.testing.assert_frame_equal(noise_applied(training, plan_noise({"a": "", "b": ""}, 0.0, seed=0)), first)
