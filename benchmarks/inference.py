"""How much faster is a whole CT predicted than by the windows of MONAI and nnU-Net? Ratios of medians.

Run: python benchmarks/inference.py [--repeats 4] [--spacing 1 1 2.5]      about 3 minutes on two cores

A procedural CT of 500 x 500 x 128 voxels of 1 x 1 x 2.5 mm: once blanked outside the head, as OpenKBP's are, once with
shoulders. The default network with random weights, on the CT's own grid, so that all sides see the same voxels.

- peer: MONAI's SlidingWindowInferer, windows of the training (64^3), overlap 0.5, Gaussian weights, batches of 4, on
  the whole CT. It visits every window whatever is in it, and takes about a minute: it is timed once (n in the table) in
  each arithmetic, on the first CT, for a ratio of 20 or more.
- nnU-Net, where it is installed: its sliding window in fp32, windows of 64^3, overlap 0.5, without mirroring (with
  mirroring, its default, it takes eight times as long). Timed once.
- mandseg: ``Predictor.mask``, from the CT in memory to the mask on the CT's own grid: body crop, preprocessing, the
  windows that the product takes, mask without small pieces. Timed before and after the peer.

All run in one process, after one pass to warm up. bf16 is left out on a processor without instructions for it.
"""

import argparse
import importlib.util
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from monai.inferers import SlidingWindowInferer
from monai.networks.nets import UNet

import nnunet_peer
from comparison import Timing, in_turn, show, time_row, timed
from mandseg.data.preprocessing import HuWindow, Preprocessing
from mandseg.data.volume import AIR_HU, Volume
from mandseg.evaluation.activations import fitted
from mandseg.evaluation.predictor import Predictor
from mandseg.evaluation.sliding_window import AUTO, SlidingWindow
from mandseg.training.libraries import tune_malloc
from mandseg.training.precision import BF16, FP32, can_compute

SHAPE, CT_SPACING_MM = (500, 500, 128), (1.0, 1.0, 2.5)
PATCH, MULTIPLE = (64, 64, 64), (8, 8, 8)
HU = HuWindow(-200, 1500)
HEAD_MM, SHOULDERS_MM = (80.0, 100.0), (230.0, 120.0)  # half axes, left to right and front to back
SHOULDERS_SHARE = 0.3  # of the slices
SMALLEST_PIECE = 0.2  # the default of evaluation.smallest_piece
AUTOCAST = {"fp32": FP32} | ({"bf16": BF16} if can_compute(BF16, torch.device("cpu")) else {})
BLANKED, SHOULDERS = "500x500x128, blanked outside the head", "500x500x128, with shoulders"
TISSUE_HU, BONE_HU, NOISE_HU = 40, 900, 20


def head_and_neck_ct(shoulders: bool) -> Volume:
    """An elliptic head with a horseshoe of bone, with or without shoulders below it, in air."""
    x, y = np.ogrid[: SHAPE[0], : SHAPE[1]]
    x, y = x - SHAPE[0] / 2, y - SHAPE[1] / 2
    slices = np.full(SHAPE, AIR_HU, np.int16)
    slices[_ellipse(x, y, HEAD_MM)] = TISSUE_HU
    if shoulders:
        slices[_ellipse(x, y, SHOULDERS_MM), : round(SHOULDERS_SHARE * SHAPE[2])] = TISSUE_HU
    jaw = (abs(np.hypot(x, y) - 50) < 6) & (y > -10)
    slices[jaw, 55:70] = BONE_HU
    noise = np.random.default_rng(0).normal(0, NOISE_HU, SHAPE).astype(np.int16)
    return Volume(np.where(slices > AIR_HU, slices + noise, AIR_HU).astype(np.int16), np.diag([*CT_SPACING_MM, 1.0]))


def _ellipse(x: np.ndarray, y: np.ndarray, half_axes: Sequence[float]) -> np.ndarray:
    return (x / half_axes[0]) ** 2 + (y / half_axes[1]) ** 2 < 1


def default_network() -> torch.nn.Module:
    """The network of conf/model/unet.yaml; its output layer starts at the prior, so that few voxels are mandible."""
    torch.manual_seed(0)
    network = UNet(3, 1, 1, (16, 32, 64, 128), (2, 2, 2), num_res_units=2, norm="BATCH").eval()
    *_, last = (module for module in network.modules() if isinstance(module, torch.nn.Conv3d))
    torch.nn.init.constant_(last.bias, -4.6)
    return network.to(memory_format=torch.channels_last_3d)


def monai(network: torch.nn.Module, ct: Volume, arithmetic: str) -> np.ndarray:
    """The mask by MONAI's windows over the whole CT."""
    inferer = SlidingWindowInferer(PATCH, sw_batch_size=4, overlap=0.5, mode="gaussian", cval=-1.0)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=arithmetic == "bf16"):
        logits = inferer(HU(ct.array)[None, None], network)
    return logits[0, 0].float().numpy() > 0


def product(network: torch.nn.Module, precision: str, spacing_mm: Sequence[float]) -> Predictor:
    """The product's predictor, as a run makes it."""
    window = fitted(SlidingWindow(AUTO, 0.25), network, MULTIPLE, PATCH)
    predict = lambda image: network(image.contiguous(memory_format=torch.channels_last_3d))  # noqa: E731
    return Predictor(predict, Preprocessing(tuple(spacing_mm)), HU, window, torch.device("cpu"), precision)


def time_product(ct: Volume, repeats: int, spacing_mm: Sequence[float]) -> dict[str, list[Timing]]:
    """The product in each arithmetic, in turn."""
    tools = {name: product(default_network(), AUTOCAST[name], spacing_mm) for name in AUTOCAST}
    next(reversed(tools.values())).mask(ct, SMALLEST_PIECE)  # to warm up
    calls = {name: partial(timed, partial(tool.mask, ct, SMALLEST_PIECE)) for name, tool in tools.items()}
    return in_turn(calls, repeats)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--spacing", type=float, nargs=3, default=CT_SPACING_MM, help="of the network's grid, mm")
    arguments = parser.parse_args()
    tune_malloc()
    settings = arguments.repeats, arguments.spacing
    cts = {name: head_and_neck_ct(name == SHOULDERS) for name in (BLANKED, SHOULDERS)}
    own = {name: time_product(ct, *settings) for name, ct in cts.items()}
    peer = {
        f"MONAI {name}, overlap 0.5": [timed(partial(monai, default_network(), cts[BLANKED], name))]
        for name in AUTOCAST
    }
    if importlib.util.find_spec("nnunetv2"):
        image = HU(cts[BLANKED].array)[None]
        peer["nnU-Net fp32, overlap 0.5"] = [timed(partial(nnunet_peer.prediction, image, PATCH))]
    rows = []
    for name, ct in cts.items():
        again = time_product(ct, *settings)  # after the peer: the machine may have changed
        for theirs, seconds in peer.items():
            for ours in AUTOCAST:
                turns = [*own[name][ours], *again[ours]]
                rows.append(time_row(f"whole CT {name}, {ours}", theirs, turns, seconds))
    show("inference", rows)


if __name__ == "__main__":
    main()
