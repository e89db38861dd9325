"""The schema of conf/train.yaml: each group is a dataclass, each setting has a type and an expectation.

``CLASS``: the class of mandseg whose object a group makes. ``OPEN``: the group may have further settings.
``NULL``: it may be null.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from mandseg.system.expectations import (
    FINITE,
    FLAG,
    LENGTHS,
    NAME,
    NOT_NEGATIVE,
    OVERLAP,
    PACKAGES,
    PATH,
    POSITIVE,
    SHARE,
    SIZES,
    SIZES_OR_AUTO,
    STUDY,
    TEXT,
    WORKERS,
    Expectation,
    is_number,
    list_of,
    number,
    one_of,
    optional,
    whole,
)

ACCELERATORS = ("auto", "cpu", "gpu", "cuda")
PRECISIONS = (
    *("auto", "32-true", "bf16-mixed", "16-mixed", "64-true", "bf16-true", "16-true"),
    *("32", "64", "16", "bf16", 32, 64, 16),
)
PROBABILITY = number(0, 1, "a probability, 0 to 1")
RATIO = number(0, 1, "a share of cases, expected a number from 0 to 1", plain=True)

BUDGET = Expectation(
    "expected a number of training cases, or a share of them between 0 and 1",
    lambda value: is_number(value) and ((isinstance(value, int) and value >= 0) or 0 <= value < 1),
)


@dataclass(frozen=True)
class Preprocessing:
    """Group ``preprocessing``."""

    CLASS: ClassVar = "Preprocessing"
    spacing_mm: Annotated[list[float], LENGTHS]
    margin_mm: Annotated[float, number(0, 1000, "a length in mm, 0 to 1000")] = 10.0


@dataclass(frozen=True)
class HuWindow:
    """Group ``hu_window``."""

    CLASS: ClassVar = "HuWindow"
    low: Annotated[float, FINITE]
    high: Annotated[float, FINITE]


@dataclass(frozen=True)
class Augmentation:
    """Node ``patches.augmentation``; null, or a TorchIO transform in its place."""

    CLASS: ClassVar = "Augmentation"
    NULL: ClassVar = True
    affine_probability: Annotated[float, PROBABILITY]
    degrees: Annotated[float, number(0, 45, "an angle in degrees, 0 to 45")]
    scale_share: Annotated[float, number(0, 0.5, "a share, 0 to 0.5")]
    flip_probability: Annotated[float, PROBABILITY]
    noise_probability: Annotated[float, PROBABILITY]
    noise_sd: Annotated[float, number(0, 2, "a standard deviation on the network's scale from -1 to 1, 0 to 2")]


@dataclass(frozen=True)
class Patches:
    """Group ``patches``."""

    patch_size: Annotated[list[int], SIZES]
    foreground_share: Annotated[float, SHARE]
    jitter_share: Annotated[float, SHARE]
    augmentation: Augmentation


@dataclass(frozen=True)
class Segmenter:
    """Group ``segmenter``."""

    warmup_steps: Annotated[int, whole(0)]
    final_lr_share: Annotated[float, SHARE]
    foreground_prior: Annotated[float, number(0, 1, "a share between 0 and 1, neither of them", ends=False)]


@dataclass(frozen=True)
class SlidingWindow:
    """Group ``sliding_window``."""

    CLASS: ClassVar = "SlidingWindow"
    patch_size: Annotated[list[int] | str, SIZES_OR_AUTO]
    overlap: Annotated[float, OVERLAP]
    memory_mib: Annotated[int, whole(16)] = 1024
    batch_size: Annotated[int, whole(1)] = 4


@dataclass(frozen=True)
class Evaluation:
    """Group ``evaluation``."""

    checkpoint: Annotated[str, one_of("last", "best")]
    smallest_piece: Annotated[float, SHARE]
    save_predictions: Annotated[bool, FLAG]
    shared_subjects: Annotated[list[str], list_of(TEXT, "a list of subject ids")]


@dataclass(frozen=True)
class Tracking:
    """Group ``tracking``."""

    CLASS: ClassVar = "TrackingSettings"
    mode: Annotated[str, one_of("auto", "online", "offline", "disabled")]
    project: Annotated[str, TEXT]
    entity: Annotated[str | None, optional(TEXT)]
    case_table: Annotated[bool, FLAG]
    overlays: Annotated[bool, FLAG]
    init_timeout_s: Annotated[float, POSITIVE]
    finish_timeout_s: Annotated[float, POSITIVE]


@dataclass(frozen=True)
class Noise:
    """Group ``noise``: the common settings of all presets; a recorded one has no severity."""

    OPEN: ClassVar = True
    name: Annotated[str, NAME]
    seed: Annotated[int, whole(0)] = 0
    severity: Annotated[float, NOT_NEGATIVE] = 1.0
    bias_mm: Annotated[float, number(-100, 100, "a length in mm, -100 to 100")] = 0.0
    target_dice: Annotated[float | None, optional(number(0, 1, "a Dice above 0, up to 1", above=True))] = None
    target_hd95_mm: Annotated[float | None, optional(NOT_NEGATIVE)] = None
    annotators: Annotated[list[str] | None, optional(list_of(TEXT, "a list of names", least=1))] = None
    leave_out: Annotated[str | None, optional(TEXT)] = None


@dataclass(frozen=True)
class Data:
    """Group ``data``."""

    OPEN: ClassVar = True
    name: Annotated[str, NAME]
    manifest: Annotated[str, PATH] = "manifest.csv"


@dataclass(frozen=True)
class Network:
    """Node ``model.network``: the common settings of all networks of MONAI."""

    OPEN: ClassVar = True
    spatial_dims: Annotated[int, one_of(3)] = 3
    in_channels: Annotated[int, one_of(1)] = 1
    out_channels: Annotated[int, one_of(1)] = 1


@dataclass(frozen=True)
class Model:
    """Group ``model``."""

    OPEN: ClassVar = True
    name: Annotated[str, NAME]
    network: Network


@dataclass(frozen=True)
class Method:
    """Group ``method``."""

    OPEN: ClassVar = True
    name: Annotated[str, NAME]


@dataclass(frozen=True)
class Loss:
    """Group ``loss``."""

    OPEN: ClassVar = True
    name: Annotated[str, NAME]


@dataclass(frozen=True)
class Optimizer:
    """Group ``optimizer``: the common settings of all optimisers of torch."""

    OPEN: ClassVar = True
    lr: Annotated[float, POSITIVE] = 1e-3
    weight_decay: Annotated[float, NOT_NEGATIVE] = 0.0


@dataclass(frozen=True)
class Trainer:
    """Group ``trainer``; further arguments of Lightning's Trainer may be added."""

    OPEN: ClassVar = True
    accelerator: Annotated[str, one_of(*ACCELERATORS)]
    devices: Any
    strategy: Any
    precision: Annotated[str, one_of(*PRECISIONS)]
    gradient_clip_val: Annotated[float | None, optional(NOT_NEGATIVE)]
    sync_batchnorm: Annotated[bool, FLAG]
    enable_progress_bar: Annotated[bool, FLAG]


@dataclass(frozen=True)
class Settings:
    """The whole config."""

    OPEN: ClassVar = True
    study: Annotated[str, STUDY]
    structure: Annotated[str, NAME]
    noise_ratio: Annotated[float, RATIO]
    clean_budget: Annotated[float, BUDGET]
    ranking: Annotated[str, TEXT]
    seed: Annotated[int, whole(0, 2**32 - 1)]
    steps: Annotated[int, whole(1)]
    validations: Annotated[int, whole(1)]
    memorisation: Annotated[int, whole(0)]
    dynamics: Annotated[int, whole(0)]
    batch_size: Annotated[int, whole(1)]
    checkpoint_minutes: Annotated[float, NOT_NEGATIVE]
    num_workers: Annotated[int | str, WORKERS]
    debug: Annotated[bool, FLAG]
    rerun: Annotated[bool, FLAG]
    output_dir: Annotated[str, PATH]
    cache_dir: Annotated[str, PATH]
    trusted_packages: Annotated[list[str], PACKAGES]
    data: Data
    noise: Noise
    model: Model
    method: Method
    loss: Loss
    preprocessing: Preprocessing
    hu_window: HuWindow
    patches: Patches
    optimizer: Optimizer
    segmenter: Segmenter
    sliding_window: SlidingWindow
    evaluation: Evaluation
    trainer: Trainer
    tracking: Tracking
