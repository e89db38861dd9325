"""Networks of a run: each has its own seed, and every output layer starts at the prior, anywhere in the network."""

import pytest
import torch
from monai.networks.nets import AttentionUnet, DynUNet, UNet
from torch import nn

from mandseg.training.networks import SEED_STRIDE, NetworkFactory, output_layers, set_output_prior

SHAPE = (2, 1, 16, 16, 16)
PLAIN = {"spatial_dims": 3, "in_channels": 1, "out_channels": 1}
KERNELS = {"kernel_size": [3, 3, 3], "strides": [1, 2, 2], "upsample_kernel_size": [2, 2], "filters": [4, 8, 8]}


def unet():
    return UNet(**PLAIN, channels=[4, 8], strides=[2], num_res_units=2)


class HeadFirst(nn.Module):
    """Its output layer comes first in the list of its modules, an attention map of one channel last."""

    def __init__(self):
        super().__init__()
        self.head = nn.Conv3d(4, 1, 1)
        self.body = nn.Conv3d(1, 4, 3, padding=1)
        self.attention = nn.Conv3d(1, 1, 1)

    def forward(self, image):
        return self.head(self.body(image) * torch.sigmoid(self.attention(image)))


def test_the_output_layer_is_found_wherever_it_stands():
    network = HeadFirst()
    assert output_layers(network, SHAPE) == [network.head]
    before = network.attention.bias.item()
    set_output_prior(network, 0.02, SHAPE)
    assert torch.sigmoid(network.head.bias).item() == pytest.approx(0.02)
    assert network.attention.bias.item() == before


def test_the_gates_of_an_attention_unet_are_no_output_layers():
    network = AttentionUnet(**PLAIN, channels=[4, 8], strides=[2])
    (layer,) = output_layers(network, SHAPE)
    assert layer is [m for m in network.modules() if isinstance(m, nn.Conv3d)][-1]


def test_the_last_layer_of_a_residual_unet_is_found_and_not_the_upsampling_before_it():
    network = unet()
    (layer,) = output_layers(network, SHAPE)
    assert isinstance(layer, nn.Conv3d)
    assert layer is [m for m in network.modules() if isinstance(m, nn.Conv3d | nn.ConvTranspose3d)][-1]


def test_with_deep_supervision_every_head_starts_at_the_prior():
    network = DynUNet(**PLAIN, **KERNELS, deep_supervision=True, deep_supr_num=1)
    heads = {network.output_block.conv.conv, network.deep_supervision_heads[0].conv.conv}
    assert set(output_layers(network, SHAPE)) == heads
    set_output_prior(network, 0.01, SHAPE)
    assert all(torch.sigmoid(head.bias).item() == pytest.approx(0.01) for head in heads)


def test_a_network_without_an_output_bias_is_refused():
    with pytest.raises(ValueError, match="no output convolution"):
        set_output_prior(nn.Conv3d(1, 1, 1, bias=False), 0.01, SHAPE)


def test_looking_for_the_output_layer_changes_no_weight_and_no_random_number():
    network = unet()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    output_layers(network, SHAPE)
    assert torch.equal(torch.rand(2), expected)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_the_kth_network_is_the_one_that_its_own_seed_gives():
    make = NetworkFactory(unet, 5, 0.01, SHAPE)
    for seed, network in zip((5, 5 + SEED_STRIDE, 5 + 2 * SEED_STRIDE), [make(), make(), make()], strict=True):
        torch.manual_seed(seed)
        alone = unet()
        set_output_prior(alone, 0.01, SHAPE)
        for name, value in network.state_dict().items():
            assert torch.equal(value, alone.state_dict()[name]), name


def test_an_untrained_network_predicts_the_prior():
    network = NetworkFactory(lambda: nn.Conv3d(1, 1, 1), 0, 0.02, SHAPE)()
    nn.init.zeros_(network.weight)
    assert torch.sigmoid(network(torch.zeros(1, 1, 2, 2, 2))).flatten()[0].item() == pytest.approx(0.02, abs=1e-4)
