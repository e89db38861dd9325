"""What every method and every loss of conf/ keeps: its number of steps, its resume, its limits, its memory of nothing.

The methods and the losses are those of the files in conf/method and conf/loss: a new file is tested, too.
"""

from copy import deepcopy

import pytest
import torch

from composing import composed
from mandseg.runs.build import build_method, build_stages
from mandseg.runs.trained.load import load_method
from mandseg.system.config_paths import config_folder
from mandseg.training.cpu_copy import CpuCopy
from mandseg.training.methods.method import Batch
from stage_runs import StageRuns
from tiny_cohort import write_tiny_cohort

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's, which a run silences

METHODS = sorted(file.stem for file in (config_folder() / "method").glob("*.yaml"))
LOSSES = sorted(file.stem for file in (config_folder() / "loss").glob("*.yaml"))
TRUSTED = "clean_budget=2"  # for the methods that need trusted cases; the others take them, too
STEPS = 8
AS_SUPERVISED = {  # settings with which the first network is the supervised one
    "co_teaching": ["method.wrong_share=0"],
    "mean_teacher": ["method.consistency=0"],
    "early_learning": ["method.slowdown=1"],
    "learned_weighting": ["method.step=0", TRUSTED],
    "trusted_weighting": ["clean_budget=4"],
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("contract")
    write_tiny_cohort(folder / "cohort")
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield StageRuns(folder, monkeypatch)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_that_is_stopped_in_and_between_its_stages_ends_at_its_steps_as_if_undisturbed(world, method):
    own = [f"method={method}", TRUSTED, "dynamics=4"]
    cfg = world.config(*own)
    stages = build_stages(cfg)
    assert world.train(method, *own)
    stopped = f"{method}-stopped"
    assert not world.train(stopped, *own, stop_at=2)
    for stage in stages:
        if stage.relabel is not None:
            assert not world.train(stopped, *own, stop_between=stage.name)
    assert not world.train(stopped, *own, stop_at=STEPS - 1)
    assert world.train(stopped, *own)
    assert sum(world.checkpoint(method, stage.name)["global_step"] for stage in stages) == STEPS
    for stage in stages:
        wanted, found = world.weights(method, stage.name), world.weights(stopped, stage.name)
        assert found.keys() == wanted.keys()
        assert [key for key in wanted if not torch.equal(found[key], wanted[key])] == []
    records = [(world.folder / name / "dynamics.csv").read_bytes() for name in (method, stopped)]
    assert records[0] == records[1]
    assert len(records[0].splitlines()) > 4
    file = world.folder / method / "checkpoints" / stages[-1].name / "last.ckpt"
    answer = load_method(cfg, file).eval()(torch.zeros(1, 1, 16, 16, 16))  # from weights only
    assert answer.shape == (1, 1, 16, 16, 16)
    assert torch.isfinite(answer).all()


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss != "dice_ce"])
def test_a_training_with_any_loss_that_is_stopped_ends_as_if_undisturbed(world, loss):
    own = [f"loss={loss}"]
    assert world.train(loss, *own)
    assert not world.train(f"{loss}-stopped", *own, stop_at=5)
    assert world.train(f"{loss}-stopped", *own)
    wanted, found = world.weights(loss), world.weights(f"{loss}-stopped")
    assert world.checkpoint(loss)["global_step"] == STEPS
    assert [key for key in wanted if not torch.equal(found[key], wanted[key])] == []
    assert ("method.loss_of_labels.theta" in wanted) == (loss == "t_loss")  # what is learned is kept


@pytest.mark.parametrize("method", AS_SUPERVISED)
def test_a_method_at_its_limit_is_supervised_training(world, method):
    budget = [word for word in AS_SUPERVISED[method] if word.startswith("clean_budget")]
    world.train(f"{method}-limit", f"method={method}", *AS_SUPERVISED[method])
    plain = "-".join(["plain", *budget])  # methods with the same budget share it
    world.train(plain, *budget)
    first = {
        key.removeprefix("method.networks.0."): value
        for key, value in world.weights(f"{method}-limit").items()
        if key.startswith("method.networks.0.")
    }
    plain = world.weights(plain)
    assert len(first) == len(plain) > 0
    assert all(torch.equal(first[key.removeprefix("method.networks.0.")], value) for key, value in plain.items())


@pytest.mark.parametrize("method", METHODS)
def test_logits_and_loss_of_two_processes_shares_are_those_of_the_whole_batch(method):
    """The logits come from shares of the batch; the loss sees the whole batch, in the order of the processes."""
    learner, batch = learner_and_batch(method)
    order = torch.tensor([0, 2, 1, 3])  # what the two processes have, one after the other
    whole = logits_of(learner, [batch["image"]])
    shared = logits_of(learner, [batch["image"][0::2], batch["image"][1::2]])
    if method == "mean_teacher":  # the noise of its second view is each process's own
        shared = (shared[0], whole[1][order])
    for one, other in zip(whole, shared, strict=True):
        torch.testing.assert_close(other, one[order], atol=1e-5, rtol=1e-5)
    of_processes = on_cpu_too({key: share[order] for key, share in batch.items() if key != "trusted_on_cpu"})
    for progress in (0.0, 0.9):
        wanted = deepcopy(learner).loss(whole, batch, progress)
        found = deepcopy(learner).loss(shared, of_processes, progress)
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            torch.testing.assert_close(found[name], value, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("method", [method for method in METHODS if method != "early_learning"])
def test_no_step_waits_for_a_gpu(method):
    """Tensors without values stand for those on a GPU: to read a value fails. Early learning reads a hundred times."""
    learner, batch = learner_and_batch(method)
    batch = Batch(**{key: part.to("meta") if isinstance(part, torch.Tensor) else part for key, part in batch.items()})
    learner = learner.to("meta")
    terms = learner.loss(learner.logits(batch["image"]), batch, 0.9)
    terms["loss"].backward()
    with pytest.raises(RuntimeError):
        bool(terms["loss"])


@pytest.mark.parametrize("method", METHODS)
def test_a_methods_loss_and_its_gradients_are_finite_in_bf16(method):
    learner, batch = learner_and_batch(method)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        whole = logits_of(learner, [batch["image"]])
        terms = learner.loss(tuple(50 * logits for logits in whole), batch, 0.9)
    terms["loss"].backward()
    assert torch.isfinite(terms["loss"])
    assert all(torch.isfinite(p.grad).all() for p in learner.trainable_parameters())


def learner_and_batch(method):
    """A method with a small network, and a batch of four patches, two of them trusted."""
    words = ["model.network.channels=[4,8]", "model.network.strides=[2]", "model.network.norm=INSTANCE"]
    cfg = composed(f"method={method}", *words, "batch_size=4", "patches.patch_size=[16,16,16]")
    learner = build_method(cfg).train()
    image = torch.rand(4, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    trusted = torch.tensor([True, False, False, True])
    return learner, on_cpu_too(
        {"image": image, "label": (image > 0.5).float(), "case": torch.arange(4), "trusted": trusted}
    )


def on_cpu_too(batch):
    return Batch(**batch, trusted_on_cpu=CpuCopy(batch["trusted"]))


def logits_of(method, shares):
    torch.manual_seed(0)
    parts = [method.logits(share) for share in shares]
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))
