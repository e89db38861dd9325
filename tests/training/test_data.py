"""Patches are a pure function of seed and index; two noise ratios differ in labels only."""

from dataclasses import dataclass
from types import SimpleNamespace

import lightning as L
import numpy as np
import pytest
import torch
import torchio as tio
from torch.utils.data import DataLoader, Dataset

from mandseg.data.case import Case
from mandseg.data.preprocessing import HuWindow, crop
from mandseg.data.volume import Geometry
from mandseg.noise.label_plan import Label, LabelPlan, plan_noise
from mandseg.system.errors import UserError
from mandseg.system.signals import Interruption
from mandseg.training.checkpoint import LastCheckpoint, RunCheckpointIO, best_checkpoint
from mandseg.training.loading import datamodule
from mandseg.training.loading.augmentation import Augmentation
from mandseg.training.loading.background import BackgroundLoader
from mandseg.training.loading.datamodule import PatchDataModule, StepSampler
from mandseg.training.loading.patches import PatchDataset, case_at

WINDOW = HuWindow(-200, 1500)
SIZE = (8, 8, 8)
GRID = Geometry((20, 18, 16), np.diag([2, 2, 2.5, 1]))


@dataclass
class Prepared:
    """What the patch data set uses of a prepared case, without the disk."""

    case: Case
    image: np.ndarray
    reference: np.ndarray
    noisy: np.ndarray | None
    grid: Geometry = GRID


def prepared(n=4, noisy=True):
    cases = []
    for k in range(n):
        rng = np.random.default_rng(k)
        reference, drawn = np.zeros((2, 20, 18, 16), np.uint8)
        reference[4:8, 4:8, 4:8] = 1
        drawn[12:16, 10:14, 8:12] = 1
        image = rng.integers(-200, 1500, reference.shape).astype(np.int16)
        cases.append(Prepared(Case(f"c{k}", f"c{k}", "train", None, None), image, reference, drawn if noisy else None))
    return cases


def dataset(ratio=0.0, seed=0, share=0.75, augmentation=None, noisy=True):
    cases = prepared(noisy=noisy)
    plan = plan_noise({p.case.case_id: "x" for p in cases}, ratio, seed)
    return PatchDataset(cases, plan, seed, SIZE, share, 0.25, WINDOW, augmentation)


def flip_and_blur():
    return tio.Compose([tio.RandomFlip(axes=(0,), p=0.5), tio.RandomAffine(p=1.0), tio.RandomNoise(p=1.0)])


def own():
    return Augmentation(0.9, 10, 0.1, 0.5, 0.9, 0.05)


AUGMENTATIONS = pytest.mark.parametrize("augmentation", [own, flip_and_blur])


@AUGMENTATIONS
def test_a_patch_depends_on_seed_and_index_alone(augmentation):
    first, again = dataset(augmentation=augmentation()), dataset(augmentation=augmentation())
    again[3], again[1]  # other patches asked for before, and torch's own stream moved
    torch.rand(5)
    for name in ("image", "label"):
        assert torch.equal(first[7][name], again[7][name])
    assert not torch.equal(first[7]["image"], dataset(seed=1, augmentation=augmentation())[7]["image"])


@AUGMENTATIONS
def test_two_ratios_differ_in_labels_only(augmentation):
    clean, noisy = dataset(0.0, augmentation=augmentation()), dataset(1.0, augmentation=augmentation())
    pairs = [(clean[k], noisy[k]) for k in range(24)]
    assert all(torch.equal(a["image"], b["image"]) for a, b in pairs)
    assert any(not torch.equal(a["label"], b["label"]) for a, b in pairs)


def test_patch_centres_come_from_the_noisy_label_at_every_ratio():
    patches = [dataset(0.0, share=1.0)[k] for k in range(40)]
    # the drawn block and the reference block lie so far apart that a patch round one hardly sees the other
    assert np.mean([float(p["label"].sum()) for p in patches]) < 8


def test_patch_centres_come_from_the_reference_where_there_is_no_noisy_label():
    patches = [dataset(0.0, share=1.0, noisy=False)[k] for k in range(40)]
    assert np.mean([float(p["label"].sum()) for p in patches]) > 32  # of the block's 64 voxels


def test_the_plan_decides_which_label_is_trained_on():
    half = dataset(0.5, share=0.0)
    for k in range(12):
        number = case_at(k, 4, 0)
        label = half.plan.label_of(half.cases[number])
        is_noisy = half.cases[number].case.case_id in half.plan.noisy
        assert bool(label[13, 11, 9]) == is_noisy


def test_a_plan_with_a_missing_label_names_the_case():
    with pytest.raises(UserError, match=r"case c\d: the noise plan needs a noisy label"):
        dataset(1.0, noisy=False)[0]


def test_a_corrected_label_is_trained_on_and_the_patches_stay_the_same(tmp_path):
    noisy = dataset(1.0, augmentation=own())
    files = {p.case.case_id: tmp_path / f"{p.case.case_id}.npy" for p in noisy.cases}
    for prepared_case in noisy.cases:
        np.save(files[prepared_case.case.case_id], prepared_case.reference)
    plan = noisy.plan.replaced(files)
    corrected = PatchDataset(noisy.cases, plan, 0, SIZE, 0.75, 0.25, WINDOW, own())
    clean = dataset(0.0, augmentation=own())
    for k in range(12):
        for name in ("image", "label", "case"):  # the corrected labels are the references
            assert torch.equal(corrected[k][name], clean[k][name])


def test_a_batch_has_the_case_and_whether_its_label_is_trusted():
    half = dataset(0.5)
    trusted = dict(half.plan.labels)
    trusted["c2"] = Label("reference", "x", trusted=True)
    data = PatchDataset(half.cases, LabelPlan(trusted, half.plan.order), 0, SIZE, 0.75, 0.25, WINDOW, None)
    (batch,) = DataLoader(data, batch_sampler=[range(8)])
    assert batch["case"].tolist() == [case_at(k, 4, 0) for k in range(8)]
    assert batch["trusted"].tolist() == [case == 2 for case in batch["case"].tolist()]


def test_a_part_of_the_cases_is_trained_on_under_their_own_numbers():
    whole = dataset(0.5)
    part = PatchDataset(whole.cases, whole.plan.only(["c1", "c3"]), 0, SIZE, 0.75, 0.25, WINDOW, None)
    assert sorted(int(part[k]["case"]) for k in range(6)) == [1, 1, 1, 3, 3, 3]


def test_every_case_is_used_once_in_each_pass_in_a_new_order():
    passes = [[case_at(k, 5, seed=0) for k in range(start, start + 5)] for start in range(0, 50, 5)]
    assert all(sorted(p) == [0, 1, 2, 3, 4] for p in passes)
    assert len({tuple(p) for p in passes}) > 5


@pytest.mark.parametrize("workers", [0, 2])
def test_the_number_of_workers_changes_nothing(workers):
    sampler = StepSampler(2, 3, lambda: 0)
    batches = list(DataLoader(dataset(augmentation=own()), batch_sampler=sampler, num_workers=workers))
    expected = dataset(augmentation=own())
    for step, batch in enumerate(batches):
        for position in range(2):
            assert torch.equal(batch["image"][position], expected[2 * step + position]["image"])


def test_the_sampler_continues_at_the_trainings_step_and_divides_a_batch_among_processes():
    assert list(StepSampler(4, 2, lambda: 6)) == [[24, 25, 26, 27], [28, 29, 30, 31]]
    assert list(StepSampler(4, 2, lambda: 1, steps_before=6)) == [[28, 29, 30, 31]]  # the second of a later stage
    ranks = [StepSampler(4, 1, lambda: 0, rank, 2) for rank in (0, 1)]
    assert [next(iter(r)) for r in ranks] == [[0, 2], [1, 3]]
    with pytest.raises(UserError, match="batch_size=3"):
        StepSampler(3, 1, lambda: 0, 0, 2)


def test_a_crop_beyond_the_volume_is_padded():
    volume = np.arange(27).reshape(3, 3, 3)
    box = crop(volume, np.array([-1, 1, 2]), np.array([3, 3, 3]), fill=-7)
    assert box.shape == (3, 3, 3)
    assert (box[0] == -7).all()
    assert box[1, 0, 0] == volume[0, 1, 2]
    assert (box[1:, 2:] == -7).all()
    assert (crop(volume, np.array([9, 9, 9]), np.array([2, 2, 2]), 0) == 0).all()


def test_the_window_maps_its_ends_to_minus_one_and_one():
    scaled = WINDOW(np.array([[[-1000, -200, 650, 1500, 3071]]], np.int16))
    torch.testing.assert_close(scaled, torch.tensor([[[-1.0, -1, 0, 1, 1]]]))


class Numbers(Dataset):
    """The patch's index instead of the patch."""

    runs_in_a_thread = True

    def __getitem__(self, index):
        return {"index": index}


class Recorder(L.LightningModule):
    """Keeps the indices of the patches it is trained on."""

    def __init__(self):
        super().__init__()
        self.weight, self.seen = torch.nn.Parameter(torch.zeros(1)), []

    def training_step(self, batch, _):
        self.seen.extend(batch["index"].tolist())
        return self.weight.sum() * 0

    def validation_step(self, batch, _):
        self.log("val_dice", 0.0)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def fit_numbers(folder, steps, workers=0):
    """The indices of a run with validations every 3 steps, resumed from its last checkpoint if it has one."""
    data = PatchDataModule(Numbers(), [{"index": 0}], batch_size=2, steps_per_epoch=3, num_workers=workers)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    callbacks = [best_checkpoint(folder), LastCheckpoint(folder, 3, 5, Interruption())]
    options = {"callbacks": callbacks, "plugins": [RunCheckpointIO({})], "num_sanity_val_steps": 0, **quiet}
    trainer = L.Trainer(max_epochs=steps // 3, **options)
    module, last = Recorder(), folder / "last.ckpt"
    trainer.fit(module, data, ckpt_path=last if last.exists() else None, weights_only=True)
    return module.seen


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("workers", [0, 1, "auto"])
def test_lightning_takes_every_patch_of_a_run_once_over_its_epochs(tmp_path, workers, monkeypatch):
    monkeypatch.setattr(datamodule, "free_cores", lambda *_: 2)
    assert fit_numbers(tmp_path, steps=9, workers=workers) == list(range(18))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("workers", [0, "auto"])
def test_a_resumed_run_takes_the_patches_that_are_left(tmp_path, workers, monkeypatch):
    monkeypatch.setattr(datamodule, "free_cores", lambda *_: 2)
    assert fit_numbers(tmp_path, steps=6, workers=workers) == list(range(12))
    assert fit_numbers(tmp_path, steps=12, workers=workers) == list(range(12, 24))


@pytest.mark.parametrize(
    ("wanted", "free", "augmentation", "place"),
    [
        ("auto", 1, own, "thread"),
        ("auto", 3, own, "thread"),
        ("auto", 3, flip_and_blur, "process"),  # it draws from the training's random stream
        ("auto", 0, own, "training"),
        (0, 3, own, "training"),
        (1, 3, own, "process"),
    ],
)
def test_patches_are_loaded_beside_the_training_where_cores_are_free(monkeypatch, wanted, free, augmentation, place):
    monkeypatch.setattr(datamodule, "free_cores", lambda *_: free)
    data = PatchDataModule(dataset(augmentation=augmentation()), [], 2, 3, wanted)
    device = SimpleNamespace(root_device=torch.device("cpu"))
    data.trainer = SimpleNamespace(global_rank=0, world_size=1, num_nodes=1, global_step=0, strategy=device)
    loader = data.train_dataloader()
    found = "thread" if isinstance(loader, BackgroundLoader) else "process" if loader.num_workers else "training"
    assert found == place
    expected = dataset(augmentation=augmentation())
    for step, batch in enumerate(loader):
        torch.rand(3)  # as the training does meanwhile
        for name in ("image", "label"):
            assert torch.equal(batch[name], torch.stack([expected[2 * step + k][name] for k in range(2)]))
