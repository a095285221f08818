"""The device part of a step never asks the device for a number; and how many operators it takes."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    unset_fake_temporarily,
)
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from hrda_lit.data.classes import CITYSCAPES
from hrda_lit.methods.adversarial import Adversarial, Discriminator
from hrda_lit.methods.base import Method, Networks
from hrda_lit.methods.generalise import Generalise
from hrda_lit.methods.labelling import Labeller
from hrda_lit.methods.masked_consistency import MaskedConsistency
from hrda_lit.methods.minent import MinEnt
from hrda_lit.methods.self_training import SelfTraining
from hrda_lit.methods.supervised import Supervised
from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.detail_crop import DetailCrop
from hrda_lit.networks.fusion import MultiResFusion
from hrda_lit.networks.heads import DAFormerHead, ScaleAttentionHead
from hrda_lit.networks.multires import MultiResSegmentor
from hrda_lit.networks.segmentor import Segmentor, SingleScaleSegmentor
from hrda_lit.networks.upsample_head import UpsampleHead
from hrda_lit.ops.colour import StrongAugmentation
from hrda_lit.ops.rng import generator
from hrda_lit.ops.weak_jitter import WeakJitter

pytestmark = pytest.mark.slow

SIDE = 128


def methods() -> dict[str, Method]:
    strong = StrongAugmentation()
    return {
        "supervised": Supervised(CITYSCAPES),
        "self_training": SelfTraining(CITYSCAPES, augmentation=strong),
        "minent": MinEnt(CITYSCAPES),
        "adversarial": Adversarial(CITYSCAPES, channels=4),
        "generalise": Generalise(CITYSCAPES, augmentation=strong),
        "mic": SelfTraining(CITYSCAPES, augmentation=strong, masked=MaskedConsistency(block=16)),
        "mirrored": SelfTraining(CITYSCAPES, Labeller(mirror=True), augmentation=strong, weak_jitter=WeakJitter()),
    }


def student(multires: bool) -> Segmentor:
    options = {"embed_dims": (8, 16, 20, 32), "depths": (1, 1, 1, 1), "drop_path_rate": 0.1}
    backbone = Backbone("mit_b0", options=options)
    head = DAFormerHead(backbone.channels, 19, 8)
    if not multires:
        return SingleScaleSegmentor(backbone, head, 19)
    fusion = MultiResFusion(ScaleAttentionHead(backbone.channels, 19, 8))
    return MultiResSegmentor(backbone, head, fusion, 19, DetailCrop((SIDE // 2, SIDE // 2)))


def on_device(tree: Any) -> Any:
    """Move the tensors of nested tuples and dictionaries to a GPU that is not there."""
    return pytree.tree_map_only(Tensor, lambda x: x.to("cuda"), tree)


def step(method: Method, networks: Networks, seed: int = 0) -> Iterator[str]:
    """Run the device part of one step; yields the names of the passes."""
    image, label = torch.zeros(2, 3, SIDE, SIDE), torch.zeros(2, SIDE, SIDE, dtype=torch.long)
    batch = {
        "source": {"image": image, "label": label},
        "target": {"image": image, "valid": torch.ones(2, SIDE, SIDE)},
    }
    with unset_fake_temporarily():  # the host part draws real numbers
        drawn = method.draw(networks.student, image.shape, generator(seed))
    batch, drawn = on_device(batch), on_device(drawn)
    # No backward: the engine of autograd looks for the device itself; test_no_waits.py has the rest of a step.
    with NothingFromTheHost():
        for done in method.passes(batch, networks, drawn):
            assert done.loss.device.type == "cuda"
            yield done.name


class NothingFromTheHost(TorchDispatchMode):
    """Refuse copies to the device, which wait for all that is queued there, and which no graph can replay."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        given = [x.device.type for x in pytree.tree_leaves(args) if isinstance(x, Tensor) and x.dim() > 0]
        if isinstance(out, Tensor) and out.device.type == "cuda":
            assert "cpu" not in given, f"{function} brings a tensor of the host to the device"
        return out


def on_gpu(network: nn.Module, mode: FakeTensorMode) -> nn.Module:
    """Turn the tensors of a network into fake ones that claim to lie on a GPU."""

    def convert(tensor: Tensor) -> Tensor:
        made = mode.from_tensor(tensor.data)
        with mode:
            made = made.to("cuda")
            return nn.Parameter(made, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else made

    for module in network.modules():
        for tensors in (module._parameters, module._buffers):
            tensors.update({name: convert(tensor) for name, tensor in tensors.items() if tensor is not None})
    return network


def plain(multires: bool) -> Segmentor:
    """Return a network whose patches can be hidden behind a mask token."""
    options = {"depth": 4, "embed_dim": 16, "num_heads": 2, "img_size": 56}
    backbone = Backbone("vit_small_patch14_dinov2", levels=[-1], options=options, input_scale=1.1, mask_token=True)
    head = UpsampleHead(backbone.channels, 19)
    if not multires:
        return SingleScaleSegmentor(backbone, head, 19)
    fusion = MultiResFusion(ScaleAttentionHead(backbone.channels, 19, 8))
    return MultiResSegmentor(backbone, head, fusion, 19, DetailCrop((SIDE // 2, SIDE // 2)))


def fakes(multires: bool, mode: FakeTensorMode, make: Callable[[bool], Segmentor] = student) -> Networks:
    made = make(multires)
    teacher, imagenet = copy.deepcopy(made).requires_grad_(False), copy.deepcopy(made.backbone).requires_grad_(False)
    discriminator = Discriminator(19, 4)
    return Networks(*(on_gpu(network, mode) for network in (made, teacher, imagenet.eval(), discriminator)))


@pytest.mark.parametrize("multires", [True, False])
@pytest.mark.parametrize("name", methods())
def test_a_step_waits_for_nothing(name: str, multires: bool) -> None:
    method, mode = methods()[name], FakeTensorMode(allow_non_fake_inputs=True)
    networks = fakes(multires, mode)
    with mode:
        assert tuple(step(method, networks)) == method.names


@pytest.mark.parametrize("multires", [True, False])
def test_a_masked_pass_over_tokens_waits_for_nothing(multires: bool) -> None:
    masked, mode = MaskedConsistency(block=8, hide="tokens"), FakeTensorMode(allow_non_fake_inputs=True)
    method = SelfTraining(CITYSCAPES, Labeller(mirror=True), lambda_fd=0, masked=masked, weak_jitter=WeakJitter())
    networks = fakes(multires, mode, plain)
    with mode:
        assert tuple(step(method, networks)) == ("source", "mixed", "masked")


@pytest.mark.parametrize("wait", [lambda x: x.item(), torch.unique, torch.nonzero, lambda x: x[x > 0], bool])
def test_a_wait_is_found(wait: Callable[[Tensor], object]) -> None:
    with FakeTensorMode():
        x = torch.ones(1, device="cuda")
        with pytest.raises((DataDependentOutputException, DynamicOutputShapeException)):
            wait(x)


def test_a_copy_from_the_host_is_found() -> None:
    with FakeTensorMode(), NothingFromTheHost(), pytest.raises(AssertionError, match="brings a tensor of the host"):
        torch.tensor([1.0, 2.0]).to("cuda")


class Counting(TorchDispatchMode):
    """Count operators."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += 1
        return function(*args, **(kwargs or {}))


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["self_training", "mic"])
def test_operators_do_not_depend_on_the_draws(name: str) -> None:
    """A graph that was captured in one step can then be replayed in another."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    networks, counts = fakes(True, mode), set()
    for seed in range(4):
        with mode, Counting() as counting:
            list(step(methods()[name], networks, seed))
        counts.add(counting.count)
    assert len(counts) == 1
