"""Real CTs in the complete process: imported, checked, preprocessed, trained on and scored."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from mandseg.data.cache import prepare_cases
from mandseg.data.importers.openkbp import import_openkbp
from mandseg.data.loaded_case import load_case
from mandseg.data.preprocessing import Preprocessing
from mandseg.data.volume import Volume
from mandseg.noise import load_preset
from soft_values import back_to_original

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def cohort(real_data, tmp_path_factory):
    """The five OpenKBP patients in the data set's own layout: three train, one val, one test."""
    return import_openkbp(real_data / "openkbp_original", tmp_path_factory.mktemp("real") / "openkbp").cohort


@pytest.mark.slow
def test_a_reference_survives_the_way_to_the_networks_grid_and_back(cohort, tmp_path):
    prepared = prepare_cases(cohort.cases, Preprocessing((2.5, 2.5, 2.5)), tmp_path / "cache", workers=1)
    for case in prepared:
        reference = load_case(case.case).reference.array
        soft = Volume(case.reference.astype(np.float32), case.grid.affine)
        back = back_to_original(soft, case.original) >= 0.5
        assert 2 * (back & reference).sum() / (back.sum() + reference.sum()) > 0.93


@pytest.mark.slow
def test_simulated_planning_contours_of_real_mandibles_are_rough_but_not_absurd(cohort, tmp_path):
    prepared = prepare_cases(
        cohort.cases, Preprocessing((2.5, 2.5, 2.5)), tmp_path / "cache", load_preset("planning"), 1
    )
    scores = [2 * (c.noisy & c.reference).sum() / (c.noisy.sum() + c.reference.sum()) for c in prepared]
    assert min(scores) > 0.6
    assert 0.75 < np.mean(scores) < 0.95


@pytest.mark.slow
def test_a_short_run_on_real_cts_ends_with_a_scored_test_case(cohort, tmp_path):
    words = ["data=openkbp", f"data.manifest={cohort.root}/manifest.csv", f"cache_dir={tmp_path}/cache"]
    words += ["steps=2", "validations=1", "tracking=none", "noise_ratio=0.5", f"output_dir={tmp_path}/outputs"]
    done = subprocess.run([sys.executable, "-m", "mandseg.train", *words], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (table,) = tmp_path.glob("outputs/openkbp/*/cases.csv")
    cases = pd.read_csv(table)
    assert set(cases.dataset) >= {"test"}
    assert set(cases.case_id) == {"pt_243"}
    assert cases.dice.between(0, 1).all()
