"""Windows of a voxelwise network give the whole volume's result, in one piece or in many; their memory is bounded."""

from itertools import pairwise
from math import prod

import pytest
import torch
from torch import nn

from mandseg.evaluation.activations import WORKSPACE, bytes_per_voxel, fitted
from mandseg.evaluation.sliding_window import AIR, AUTO, SlidingWindow, starts_along, windows_along
from mandseg.system.errors import UserError

SHAPES = [(17, 13, 11), (8, 8, 8), (5, 30, 9), (1, 3, 2)]
MIB = 2**20


class Seen(list):
    """A voxelwise network that keeps the shapes it was given."""

    def __call__(self, image):
        self.append(tuple(image.shape))
        return image + 1


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("patch_size", [(8, 8, 8), AUTO])
def test_windows_of_a_voxelwise_network_give_the_whole_volumes_result(shape, overlap, patch_size):
    image = torch.rand(1, 1, *shape)
    logits = SlidingWindow(patch_size, overlap, multiple=(2, 4, 1))(lambda x: x + 1, image)
    torch.testing.assert_close(logits, image + 1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("voxels", [64, 200, 1000])
def test_a_volume_beyond_the_memory_is_predicted_in_windows_that_fit(shape, overlap, voxels):
    image, network = torch.rand(1, 1, *shape), Seen()
    window = SlidingWindow(AUTO, overlap, memory_mib=1, multiple=(4, 4, 4), bytes_per_voxel=MIB / voxels)
    torch.testing.assert_close(window(network, image), image + 1)
    assert {sides[0] for sides in network} == {1}  # a batch would need the memory of several
    assert len(set(network)) == 1
    assert prod(network[0]) <= voxels
    assert all(side % 4 == 0 for side in network[0][2:])


def test_a_volume_that_fits_is_seen_once_with_air_beyond_its_end():
    seen = []

    def network(image):
        seen.append(image)
        return image

    SlidingWindow(AUTO, 0.25, multiple=(8, 8, 8))(network, torch.zeros(1, 1, 9, 8, 3))
    (image,) = seen
    assert image.shape == (1, 1, 16, 8, 8)
    assert (image[0, 0, :9, :, :3] == 0).all()
    assert (image[0, 0, 9:] == AIR).all()
    assert (image[0, 0, :, :, 3:] == AIR).all()


def test_the_windows_are_the_largest_equal_ones_along_the_longest_axes():
    window = SlidingWindow(AUTO, 0.0, memory_mib=1, multiple=(8, 8, 8), bytes_per_voxel=MIB / 16**3)
    assert window.size((16, 16, 16)) == (16, 16, 16)
    assert window.size((16, 16, 32)) == (16, 16, 16)
    assert window.size((64, 8, 8)) == (64, 8, 8)
    assert window.size((66, 8, 8)) == (40, 8, 8)
    assert SlidingWindow(AUTO, 0.5, memory_mib=1, bytes_per_voxel=1e9).size((50, 50, 50)) == (1, 1, 1)  # the least


@pytest.mark.parametrize(
    ("n", "side", "overlap"), [(8, 8, 0.5), (9, 8, 0.0), (100, 8, 0.25), (31, 16, 0.9), (3, 1, 0.5)]
)
def test_windows_reach_from_end_to_end_and_overlap_enough(n, side, overlap):
    starts = starts_along(n, side, overlap)
    assert starts[0] == 0
    assert starts[-1] + side == n
    steps = [b - a for a, b in pairwise(starts)]
    assert all(0 < step <= max(1, side * (1 - overlap)) for step in steps)
    total = torch.zeros(n)
    for place, weights in windows_along(n, side, overlap):
        total[place] += weights
    torch.testing.assert_close(total, torch.ones(n))


class Halving(nn.Module):
    """16 channels at half the size, between two of 1 at full size."""

    def __init__(self, norm: nn.Module | None = None) -> None:
        super().__init__()
        self.down, self.up = nn.Conv3d(1, 16, 2, 2), nn.ConvTranspose3d(16, 1, 2, 2)
        self.norm = norm or nn.Identity()

    def forward(self, image):
        return self.up(self.norm(self.down(image)))


def test_the_memory_of_a_voxel_is_counted_where_most_is_alive():
    float32 = 4
    assert bytes_per_voxel(nn.Identity(), (8, 8, 8)) == float32  # the image
    assert bytes_per_voxel(Halving(), (8, 8, 8)) == float32 * (1 + 16 / 8 + 1)  # image, 16 of an eighth, logits
    assert bytes_per_voxel(nn.Sequential(*[Halving() for _ in range(3)]), (8, 8, 8)) == float32 * 5  # and one between


class Looking(nn.Module):
    """A network that looks at values."""

    def forward(self, image):
        return image if float(image.mean()) > 0 else -image


def test_a_network_that_looks_at_values_has_no_known_memory():
    assert bytes_per_voxel(Looking(), (8, 8, 8)) is None


def test_the_trial_leaves_the_network_as_it_was():
    network = Halving(nn.BatchNorm3d(16)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    bytes_per_voxel(network, (8, 8, 8))
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_a_window_is_fitted_to_what_is_known_of_a_network():
    fit = fitted(SlidingWindow(AUTO, 0.25), Halving(nn.BatchNorm3d(16)), (2, 2, 2), (8, 8, 8))
    assert fit.multiple == (2, 2, 2)
    assert fit.bytes_per_voxel > WORKSPACE * 4 * 4
    assert fit.size((9, 9, 9)) == (10, 10, 10)


def test_a_network_that_cannot_be_tried_gets_the_window_of_its_training():
    fit = fitted(SlidingWindow(AUTO, 0.25), Looking(), (2, 2, 2), (8, 8, 8))
    assert fit.size((9, 9, 9)) == (8, 8, 8)


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("overlap", 1.0, "a share, 0 to 0.95"),  # no window would be the last
        ("overlap", -0.5, "a share, 0 to 0.95"),  # there would be gaps
        ("overlap", float("nan"), "a share, 0 to 0.95"),
        ("patch_size", (16, 16), "three whole numbers of voxels"),
        ("patch_size", (16, 0, 16), "three whole numbers of voxels"),
        ("patch_size", "full", "three whole numbers of voxels"),
        ("memory_mib", 0, "a whole number, 1 or more"),
        ("memory_mib", -1, "a whole number, 1 or more"),
        ("batch_size", 0, "a whole number, 1 or more"),
        ("multiple", (8, 8, 0), "three whole numbers of voxels"),
        ("bytes_per_voxel", -1.0, "a number, 0 or more"),
    ],
)
def test_a_window_that_cannot_work_is_one_line_with_setting_and_value(setting, value, expected):
    with pytest.raises(UserError, match=rf"^sliding_window.{setting}=.*: expected {expected}"):
        SlidingWindow(**{"patch_size": (8, 8, 8), "overlap": 0.25, setting: value})


@pytest.mark.parametrize("patch_size", ["auto", (8, 8, 8)])
def test_several_volumes_of_one_size_are_predicted_like_each_of_them(patch_size):
    volumes = torch.rand(3, 1, 20, 9, 12, generator=torch.Generator().manual_seed(0))
    tool = SlidingWindow(patch_size, 0.25)
    together = tool(lambda image: image**2, volumes)
    assert torch.equal(together, torch.cat([tool(lambda image: image**2, one[None]) for one in volumes]))
