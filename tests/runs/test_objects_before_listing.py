"""Objects are made before a run is listed, unless the config is one that mandseg ships."""

import pytest

from composing import composed
from mandseg.runs import build
from mandseg.runs.launchers.objects import refuse_objects
from mandseg.system.errors import UserError


@pytest.fixture
def made(monkeypatch):
    """The losses of the configs whose objects were made."""
    found = []
    monkeypatch.setattr(build, "refuse_unfit", lambda cfg: found.append(cfg.loss.name))
    return found


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["seed=3", "steps=40", "batch_size=4", "patches.patch_size=[32,32,32]", "preprocessing.spacing_mm=[3,3,3]"],
        ["optimizer.lr=0.1", "optimizer.weight_decay=0", "segmenter.warmup_steps=3", "patches.augmentation.degrees=5"],
        ["trainer=ddp", "trainer.devices=2", "tracking=none", "sliding_window.patch_size=[64,64,64]"],
        ["noise=planning", "noise.severity=2", "noise.target_dice=0.9", "noise.annotators=[a]"],
        ["noise=recorded", "data=folder", "data.manifest=c"],
        ["data=openkbp", "eval.far=c", "trainer=gpu", "noise=expert"],
    ],
)
def test_a_launch_of_shipped_objects_makes_none_and_imports_no_torch(words, made):
    refuse_objects([composed(*words)])
    assert made == []


@pytest.mark.parametrize(
    "word",
    [
        *("loss=gce", "method=co_teaching", "model=dynunet", "model.network.num_res_units=1", "+loss.weight=1"),
        *("optimizer._target_=torch.optim.SGD", "+optimizer.amsgrad=true", "patches.augmentation=null"),
        *("+noise.source.case_spread=0.5", "trainer.strategy=fsdp", "+trainer.benchmark=true"),
        "method.stages=[{name: a, share: 1}]",
    ],
)
def test_a_launch_of_other_objects_makes_them_first(word, made):
    override = [] if not word.startswith("+noise") else ["noise=panel"]
    refuse_objects([composed(*override, word), composed()])
    assert len(made) == 1


def test_the_lines_of_all_configs_are_collected_once(monkeypatch):
    def refuse(cfg):
        raise UserError([f"loss={cfg.loss.name}: no"])

    monkeypatch.setattr(build, "refuse_unfit", refuse)
    with pytest.raises(UserError) as error:
        refuse_objects([composed(f"loss={name}", f"seed={seed}") for name in ("gce", "t_loss") for seed in (0, 1)])
    assert error.value.problems == ["loss=gce: no", "loss=t_loss: no"]


def test_equal_objects_of_many_seeds_are_made_once(monkeypatch):
    calls = []
    build._refuse_unfit.cache_clear()
    monkeypatch.setattr(build, "refuse_unknown", calls.append)
    small = ["loss=gce", "batch_size=1", "patches.patch_size=[16,16,16]", "model.network.channels=[4,8]"]
    refuse_objects([composed(*small, "model.network.strides=[2]", f"seed={seed}") for seed in range(3)])
    assert len(calls) == 1
