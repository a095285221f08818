"""Computing activations again changes neither outputs nor gradients nor statistics, and keeps less."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.encoder_layers import DropPath
from hrda_lit.networks.heads import DAFormerHead
from hrda_lit.networks.memory_saving import Recomputed, blocks, recompute
from hrda_lit.networks.multires import MultiResSegmentor
from hrda_lit.ops.rng import generator

MIT = ("mit_b0", {"embed_dims": (8, 16, 20, 32), "depths": (1, 2, 1, 1), "drop_path_rate": 0.5})
RESNET = ("resnet10t", {"channels": [8, 8, 16, 16], "stem_width": 8})
CONVNEXT = ("convnext_atto", {"dims": (8, 16, 16, 16), "depths": (1, 1, 2, 1), "drop_path_rate": 0.5})


def test_the_blocks_of_an_encoder_are_found() -> None:
    for (name, options), count in ((MIT, 5), (RESNET, 4), (CONVNEXT, 5)):
        encoder = Backbone(name, options=options).model
        found = list(blocks(encoder))
        assert len(found) == count
        assert not any(isinstance(part, nn.Conv2d | DropPath) for part in found)


def head(channels: list[int]) -> DAFormerHead:
    return DAFormerHead(channels, 3, 8, dropout=0.5)


@pytest.mark.parametrize(("name", "options"), [MIT, RESNET, CONVNEXT])
def test_what_is_computed_again_is_the_same(name: str, options: dict[str, object]) -> None:
    torch.manual_seed(0)
    backbone = Backbone(name, options=options)
    plain = nn.ModuleDict({"backbone": backbone, "head": head(backbone.channels)}).train()
    again = copy.deepcopy(plain)
    for part in (*blocks(again["backbone"]), again["head"]):
        recompute(part)
    assert any(isinstance(part, Recomputed) for part in again["backbone"].modules())
    results = []
    for network in (plain, again):
        image = torch.randn(2, 3, 64, 64, generator=generator(0)).requires_grad_()
        torch.manual_seed(1)
        for _ in range(2):  # BatchNorm gathers from two batches
            network["head"](network["backbone"](image)).square().mean().backward()
        gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
        results.append({**gradients, **dict(network.named_buffers()), "image": image.grad, "next": torch.rand(2)})
    for key, value in results[0].items():
        assert value is not None
        assert torch.equal(results[1][key], value), key
    assert plain.state_dict().keys() == again.state_dict().keys()


class Kept:
    """How many bytes a forward pass keeps."""

    def __init__(self) -> None:
        self.storages: dict[int, int] = {}

    def pack(self, tensor: Tensor) -> Tensor:
        self.storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    def of(self, network: MultiResSegmentor) -> int:
        image = torch.randn(2, 3, 64, 64, generator=generator(0))
        with torch.autograd.graph.saved_tensors_hooks(self.pack, lambda tensor: tensor):
            supervised = network.train()(image, torch.tensor([8, 8]))
        del supervised
        return sum(self.storages.values())


def test_a_forward_pass_keeps_less(multires: Callable[..., MultiResSegmentor]) -> None:
    network = multires()
    before = Kept().of(network)
    for part in blocks(network.backbone):
        recompute(part)
    encoder = Kept().of(network)
    for part in (network.head, network.fusion.attention):
        recompute(part)
    assert Kept().of(network) < 0.75 * encoder
    assert encoder < 0.75 * before


def test_copies_compute_with_their_own_weights(multires: Callable[..., MultiResSegmentor]) -> None:
    network = multires()
    recompute(network.head)
    recompute(network.head)  # twice is once
    copied = copy.deepcopy(network)
    nn.init.zeros_(copied.head.classify.weight)
    features = network.backbone(torch.zeros(1, 3, 64, 64))
    assert not torch.equal(copied.head.eval()(features), network.head.eval()(features))
    assert type(network.head).__mro__[2] is DAFormerHead
