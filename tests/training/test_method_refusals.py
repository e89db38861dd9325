"""What a method cannot learn from is one line, before anything is trained."""

import pytest

from mandseg.data.manifest import read_cohort, write_cohort
from mandseg.system.errors import UserError
from stage_runs import StageRuns
from tiny_cohort import write_tiny_cohort

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's, which a run silences

WHOLE_BATCH = """
def loss(logits, label):
    if len(logits) < 2:
        raise ValueError("expected two patches")
    return ((logits - label) ** 2).mean()
"""
OWN = ["loss._target_=whole_batch.loss", "loss.name=own", "~loss.sigmoid", "~loss.batch", "+loss._partial_=true"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("refusals")
    cohort = write_tiny_cohort(folder / "cohort")
    one = [case for case in cohort.cases if case.split != "train" or case.case_id == "t0"]
    write_cohort(folder / "one", one)
    (folder / "whole_batch.py").write_text(WHOLE_BATCH)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.syspath_prepend(str(folder))
        yield StageRuns(folder, monkeypatch)


@pytest.mark.parametrize(
    ("own", "line"),
    [
        (["clean_budget=5"], "clean_budget=5: 5 cases, but 4 of 4 training cases have a reference; expected"),
        (["method=fine_tuning"], "stage trusted: trained on trusted cases only, and the label plan has none"),
        (["method=learned_weighting"], "method=learned_weighting: no training case is trusted; clean_budget=10"),
        (["method=trusted_weighting"], "method.weight: no training case is trusted; clean_budget=10"),
        (["method=bias_correction", "clean_budget=1"], "bias correction: 1 trusted training cases have both labels"),
        (["method=confident_learning", "ONE"], "stage fold-1: 3 folds of 1 subject: expected 2 or more"),
        (["method=trusted_weighting", "clean_budget=2", *OWN, "trusted_packages=[whole_batch]"],
         r"loss: the method TrustedWeighting cannot use it \(expected two patches\)"),
        (["method=co_teaching", "method.wrong_share=1"], "method.wrong_share=1: expected a share from 0 to below 1"),
        (["method=trusted_weighting", "method.weight=0"], "method.weight=0: expected a number above 0"),
        (["method=self_refinement", "method.stages.1.relabel.confidence=1"], "relabel.confidence=1: expected a number"),
    ],
)  # fmt: skip
def test_a_method_that_cannot_learn_from_these_cases_is_one_line(world, own, line):
    one = f"data.manifest={world.folder}/one/manifest.csv"
    with pytest.raises(UserError, match=line):
        world.train(f"refused-{own[0]}", *(one if word == "ONE" else word for word in own))
    assert not list((world.folder / f"refused-{own[0]}").rglob("*.ckpt"))


@pytest.mark.parametrize("method", ["supervised", "trusted_weighting"])
def test_one_case_can_be_trained_on(world, method):
    one = f"data.manifest={world.folder}/one/manifest.csv"
    assert len(read_cohort(world.folder / "one").split("train")) == 1
    assert world.train(f"one-{method}", one, f"method={method}", "clean_budget=1", "noise_ratio=1")
