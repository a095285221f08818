"""What a training step will need, found by running it on tensors that have a shape and no numbers."""

import copy
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import _pytree as pytree

from hrda_lit.methods.base import Method, Networks
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.ops.rng import generator
from hrda_lit.training.live_memory import Live, like_cuda

GIB = 2**30
MOMENTS = 2  # of AdamW, for each parameter
WORKSPACE = GIB // 2  # of the libraries of a GPU, and what its allocator cannot give away again; not measured


class Peak(NamedTuple):
    """The most bytes that a pass has alive: up to its loss, the teacher's labelling included, and on the way back.

    Attributes:
        kept: what the loss holds for the way back.
        forward: at most, until the loss is there.
        backward: at most, after that; gradients of weights included.
    """

    kept: int
    forward: int
    backward: int


class Estimate(NamedTuple):
    """Bytes that a training step needs.

    Attributes:
        weights: of all networks, with their buffers.
        moments: of the optimiser.
        passes: by name.
        batches: images and labels of a step beyond those of the first pass.
    """

    weights: int
    moments: int
    passes: dict[str, Peak]
    batches: int = 0

    @property
    def activations(self) -> int:
        """Return the most that any pass has alive."""
        return max(max(peak.forward, peak.backward) for peak in self.passes.values())

    @property
    def total(self) -> int:
        """Return the sum, without `WORKSPACE`."""
        return self.weights + self.moments + self.batches + self.activations


class Setting(NamedTuple):
    """How large a step is.

    Attributes:
        crop: (height, width) as the network gets it.
        batch: crops of each domain that go through the network at once.
        accumulate: how many batches a step has.
        autocast: the type of mixed precision, or None.
    """

    crop: tuple[int, int]
    batch: int
    accumulate: int = 1
    autocast: torch.dtype | None = None


def estimate(student: Segmentor, method: Method, setting: Setting, live: Live | None = None) -> Estimate:
    """Run every pass of a step, forward and backward, without computing anything.

    Args:
        student: on the meta device, lightened as for training; changed.
        method: with which labels it learns.
        setting: how large the step is.
        live: follows what is alive, and perhaps more; None for one of its own.

    Returns:
        What it needs, as it would be on a GPU.
    """
    mode, live = FakeTensorMode(allow_non_fake_inputs=True), live or Live()
    drawn = method.draw(student, (setting.batch, 3, *setting.crop), generator("estimate"))
    networks = _networks(student, method, mode)
    passes: dict[str, Peak] = {}
    with ExitStack() as stack:
        for context in (mode, live, *_lower(setting.autocast)):
            stack.enter_context(context)
        drawn = pytree.tree_map_only(Tensor, mode.from_tensor, drawn)
        batch = _batch(setting, method.needs_target)
        size = live.now
        running = method.passes(batch, networks, drawn)
        while (done := next(running, None)) is not None:
            kept, forward = live.now, live.peak
            live.restart()
            torch.autograd.backward(done.loss)
            passes[done.name] = Peak(kept, forward, live.peak)
            del done
            live.restart()
    weights, learned = _bytes(networks), _bytes((student,), buffers=False)
    return Estimate(weights, MOMENTS * learned, passes, (setting.accumulate - 1) * size)


def _lower(precision: torch.dtype | None) -> list[AbstractContextManager[Any]]:
    return [] if precision is None else [like_cuda(), torch.autocast("cpu", precision)]


def _batch(setting: Setting, target: bool) -> dict[str, dict[str, Tensor]]:
    shape = (setting.batch, *setting.crop)
    image = torch.zeros(setting.batch, 3, *setting.crop)
    source = {"source": {"image": image, "label": torch.zeros(shape, dtype=torch.long)}}
    return source | ({"target": {"image": torch.zeros_like(image), "valid": torch.ones(shape)}} if target else {})


def _networks(student: Segmentor, method: Method, mode: FakeTensorMode) -> Networks:
    teacher = copy.deepcopy(student).requires_grad_(False) if method.needs_teacher else None
    imagenet: Any = copy.deepcopy(student.backbone).requires_grad_(False) if method.needs_imagenet else None
    networks = Networks(
        student.train(), teacher, None if imagenet is None else imagenet.eval().to(dtype=method.imagenet_in)
    )
    for network in networks:
        if network is not None:
            _without_numbers(network, mode)
    return networks


def _without_numbers(network: nn.Module, mode: FakeTensorMode) -> None:
    def convert(tensor: Tensor) -> Any:
        with mode:
            made = torch.empty(tensor.shape, dtype=tensor.dtype)
            return nn.Parameter(made, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else made

    for module in network.modules():
        for tensors in (module._parameters, module._buffers):
            tensors.update({name: convert(tensor) for name, tensor in tensors.items() if tensor is not None})


def _bytes(networks: Iterable[nn.Module | None], buffers: bool = True) -> int:
    return sum(
        tensor.numel() * tensor.element_size()
        for network in networks
        if network is not None
        for tensor in (*network.parameters(), *(network.buffers() if buffers else ()))
    )
