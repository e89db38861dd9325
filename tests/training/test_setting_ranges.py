"""Every number that a loss, a method or a relabelling takes has a range, and one outside is one line."""

import inspect
from functools import partial
from math import inf, nan

import pytest
from torch import nn

from composing import composed
from mandseg.runs.build import build_loss, build_method
from mandseg.system.config_paths import config_folder
from mandseg.system.errors import UserError
from mandseg.training.losses.abstention import DeclaredAbstention
from mandseg.training.losses.bootstrapping import SoftBootstrapping
from mandseg.training.losses.boundary_smoothing import BoundarySmoothing
from mandseg.training.losses.focal_tversky import FocalTversky
from mandseg.training.losses.generalised_cross_entropy import GeneralisedCrossEntropy
from mandseg.training.losses.noise_robust_dice import NoiseRobustDice
from mandseg.training.losses.symmetric_cross_entropy import SymmetricCrossEntropy
from mandseg.training.losses.t_loss import TLoss
from mandseg.training.losses.trimmed import TrimmedLoss
from mandseg.training.methods.co_teaching import CoTeaching
from mandseg.training.methods.early_learning import EarlyLearning
from mandseg.training.methods.learned_weighting import LearnedWeighting
from mandseg.training.methods.mean_teacher import MeanTeacher
from mandseg.training.methods.supervised import Supervised
from mandseg.training.methods.teacher import Teacher
from mandseg.training.methods.trusted_weighting import TrustedWeighting
from mandseg.training.relabelling.annotator_bias import AnnotatorBias
from mandseg.training.relabelling.confident_learning import ConfidentLearning
from mandseg.training.relabelling.network_labels import NetworkLabels

SHARE, BELOW_1, POSITIVE, NOT_NEGATIVE = (-0.1, 1.1), (-0.1, 1), (0, -1), (-0.1,)
REACH, SPACING = (-1, 201), ([2, 2], [2, 2, 0], [2, 2, -1])
BAND = {"ramp_share": SHARE, "reach_mm": REACH, "spacing_mm": SPACING}
WRONG = {
    DeclaredAbstention: {"rate": BELOW_1, "dice_weight": NOT_NEGATIVE, **BAND},
    SoftBootstrapping: {"beta": SHARE, "dice_weight": NOT_NEGATIVE},
    BoundarySmoothing: {"sigma_mm": (-1, 51), "spacing_mm": SPACING, "dice_weight": NOT_NEGATIVE},
    FocalTversky: {"missed": POSITIVE, "added": POSITIVE, "gamma": (0, 0.9)},
    GeneralisedCrossEntropy: {"q": (-0.1, 2), "dice_weight": NOT_NEGATIVE},
    NoiseRobustDice: {"gamma": (0.9, 3), "epsilon": NOT_NEGATIVE},
    SymmetricCrossEntropy: {
        **dict.fromkeys(("alpha", "beta", "dice_weight"), NOT_NEGATIVE),
        "log_of_zero": (0, 1),
    },
    TLoss: {"dice_weight": NOT_NEGATIVE},
    TrimmedLoss: {"share": BELOW_1, **BAND},
    CoTeaching: {"wrong_share": BELOW_1, **BAND},
    EarlyLearning: {"slowdown": SHARE, "confidence": (0.4, 1.1), "decay": BELOW_1},
    LearnedWeighting: {"step": NOT_NEGATIVE, "decay": BELOW_1, "reach_mm": REACH, "spacing_mm": SPACING},
    MeanTeacher: {"consistency": NOT_NEGATIVE, "noise_std": NOT_NEGATIVE, "ramp_share": SHARE, "decay": BELOW_1},
    Supervised: {},
    Teacher: {"decay": BELOW_1},
    TrustedWeighting: {"weight": POSITIVE},
    AnnotatorBias: {"confidence": (0, 1)},
    ConfidentLearning: {"reach_mm": REACH},
    NetworkLabels: {"confidence": (0.4, 1)},
}
RIGHT = {
    "rate": 0.1,
    "share": 0.1,
    "wrong_share": 0.1,
    "ramp_share": 0.5,
    "reach_mm": 10.0,
    "spacing_mm": [2, 2, 2.5],
    "sigma_mm": 1.0,
    "slowdown": 0.9,
    "confidence": 0.8,
    "decay": 0.99,
    "consistency": 0.1,
    "noise_std": 0.1,
    "weight": 5.0,
    "step": 0.01,
    "loss": nn.BCEWithLogitsLoss(),
    "make_network": partial(nn.Conv3d, 1, 1, 1),
    "network": nn.Conv3d(1, 1, 1),
}
PARTS = {"loss", "make_network", "network"}  # objects, no settings
CASES = [
    pytest.param(kind, name, value, id=f"{kind.__name__}.{name}={value}")
    for kind, settings in WRONG.items()
    for name, values in settings.items()
    for value in (*values, *([] if name == "spacing_mm" else [nan, inf, "many", True]))
]


def made(kind, **changes):
    wanted = inspect.signature(kind).parameters
    return kind(**{name: RIGHT[name] for name in wanted if name in RIGHT} | changes)


@pytest.mark.parametrize("kind", WRONG)
def test_every_setting_has_a_range_here(kind):
    assert made(kind)
    assert set(inspect.signature(kind).parameters) - PARTS == set(WRONG[kind])


@pytest.mark.parametrize("group", ["loss", "method"])
def test_every_class_of_the_configuration_is_here(group):
    texts = [file.read_text() for file in (config_folder() / group).glob("*.yaml")]
    targets = {
        line.split("_target_:")[1].strip() for text in texts for line in text.splitlines() if "_target_:" in line
    }
    own = {target for target in targets if target.startswith("mandseg.")}
    assert own <= {f"{kind.__module__}.{kind.__name__}" for kind in WRONG}


@pytest.mark.parametrize(("kind", "name", "value"), CASES)
def test_a_setting_out_of_range_is_one_line_with_setting_and_value(kind, name, value):
    with pytest.raises(UserError) as caught:
        made(kind, **{name: value})
    (line,) = caught.value.problems
    setting, _, expected = line.partition(": ")
    assert setting.endswith(f".{name}={value}".replace("True", "true"))
    assert setting.split(".")[0] in ("loss", "method")
    assert expected.startswith("expected ")


@pytest.mark.parametrize(
    ("build", "words", "line"),
    [
        (build_loss, ["loss=gce", "loss.q=2"], "loss.q=2: expected a number from 0 to 1"),
        (build_loss, ["loss=trimmed", "loss.reach_mm=-1"], "loss.reach_mm=-1: expected a length in mm, 0 to 200"),
        (
            build_method,
            ["method=early_learning", "method.decay=1"],
            "method.decay=1: expected a share from 0 to below 1",
        ),
    ],
)
def test_the_line_reaches_the_user_as_it_is(build, words, line):
    with pytest.raises(UserError) as caught:
        build(composed(*words))
    (found,) = caught.value.problems
    assert found.startswith(line)
