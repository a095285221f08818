"""Estimate the memory of a training step, by running it on tensors that have a shape and no numbers."""

import contextlib
import copy
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple
from unittest import mock

import torch
from hrda_lit.scripts.benchmarks.measure import GIB, Counts, Live, Row, Tell
from omegaconf import DictConfig
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F
from torch.utils import _pytree as pytree

from hrda_lit.build import build_bare_network, build_dataset, build_method, crop_size
from hrda_lit.methods.base import Method, Networks
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.ops.logits import rows_at_once
from hrda_lit.ops.rng import generator
from hrda_lit.training.options import Memory

MOMENTS = 2  # of AdamW, for each parameter
LOWER = {"16": torch.float16, "bf16": torch.bfloat16}
SMALL = Memory(encoder="recompute", heads="recompute", rows=128)  # as conf/memory/small.yaml
OPTIONS = {
    "full": Memory(),
    "encoder=recompute": Memory(encoder="recompute"),
    "heads=recompute": Memory(heads="recompute"),
    "windows=6": Memory(windows=6),
    "rows=128": Memory(rows=128),
    "imagenet=bfloat16": Memory(imagenet="bfloat16"),
    "teacher=bfloat16": Memory(teacher="bfloat16"),
    "small": SMALL,
    "small, windows=6": replace(SMALL, windows=6),
    "small, windows=6, both in bfloat16": replace(SMALL, windows=6, imagenet="bfloat16", teacher="bfloat16"),
}


def measure(config: DictConfig, tell: Tell) -> Iterator[Row]:
    """Estimate what a step of a config needs with each memory option."""
    classes = build_dataset(config.source, "source").classes
    lower = LOWER.get(str(config.trainer.get("precision", "32")).removesuffix("-mixed"))
    setting = Setting(crop_size(config), config.loading.batch_size, config.loading.accumulate, lower)
    for name, memory in OPTIONS.items():
        tell(f"{name}: running a step without numbers")
        start, counts = time.perf_counter(), Counts()
        student, method = build_bare_network(config, classes), build_method(config, classes)
        needed = estimate(student, method, memory, setting, counts)
        row = Row(name, {"rung": name, "crop": config.data.crop[0], "batch": config.loading.batch_size})
        row.flops = config.loading.accumulate * counts.flops
        row.memory, row.note = needed.total, describe(needed)
        row.parts = {"the estimate itself": [time.perf_counter() - start]}
        yield row


def describe(needed: "Estimate") -> str:
    """Describe in a sentence what the memory of a step is made of."""
    passes = ", ".join(f"{name} {_gib(max(peak[1:]))}" for name, peak in needed.passes.items())
    return (
        f"weights {_gib(needed.weights)}, moments {_gib(needed.moments)}, and at most {_gib(needed.activations)} GiB "
        f"in a pass ({passes})"
    )


def _gib(size: float) -> str:
    return f"{size / GIB:.1f}" if size > GIB else f"{size / GIB:.2f}"


class Peak(NamedTuple):
    """The most bytes that a pass has alive: up to its loss, the teacher's labelling included, and on the way back.

    Attributes:
        kept: bytes that the loss holds for the way back.
        forward: at most, until the loss is there.
        backward: at most, after that; gradients of weights included.
    """

    kept: int
    forward: int
    backward: int


class Estimate(NamedTuple):
    """Bytes that a training step needs.

    Attributes:
        weights: weights and buffers of all networks.
        moments: moments of the optimiser.
        passes: peaks by name of the pass.
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
        """Return the sum, without workspaces of libraries and what an allocator cannot give away again."""
        return self.weights + self.moments + self.batches + self.activations


class Setting(NamedTuple):
    """How large a step is.

    Attributes:
        crop: (height, width) as the network gets it.
        batch: crops of each domain that go through the network at once.
        accumulate: number of batches of a step.
        autocast: the type of mixed precision, or None.
    """

    crop: tuple[int, int]
    batch: int
    accumulate: int = 1
    autocast: torch.dtype | None = None


def estimate(
    student: Segmentor, method: Method, memory: Memory, setting: Setting, live: Live | None = None
) -> Estimate:
    """Run every pass of a step, forward and backward, without computing anything.

    Args:
        student: network on the meta device; changed.
        method: method by which it learns.
        memory: memory options of the step.
        setting: size of the step.
        live: follows what is alive, and perhaps more; None for one of its own.

    Returns:
        Bytes of the step, as it would be on a GPU.
    """
    mode, live = FakeTensorMode(allow_non_fake_inputs=True), live or Live()
    drawn = method.draw(student, (setting.batch, 3, *setting.crop), generator("estimate"))
    networks = _networks(student, method, memory, mode)
    passes: dict[str, Peak] = {}
    with mode, live, _like_a_gpu(setting.autocast), rows_at_once(memory.rows):
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


@contextlib.contextmanager
def _like_a_gpu(precision: torch.dtype | None) -> Iterator[None]:
    """Let a CPU take the forms of a GPU: one kernel for dilated convolutions, and float32 where its autocast has it."""
    with contextlib.ExitStack() as stack:
        # A mock would keep every tensor that it is called with.
        stack.enter_context(mock.patch("hrda_lit.ops.depthwise.goes_by_phases", _has_one_kernel))
        if precision is not None:
            # Not by a mode of overrides, which is off while the engine of autograd computes parts again.
            for name in ("layer_norm", "cross_entropy"):
                stack.enter_context(mock.patch.object(F, name, _in_float32(getattr(F, name))))
            stack.enter_context(torch.autocast("cpu", precision))
        yield


def _has_one_kernel(_: Tensor) -> bool:
    return False


def _in_float32(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def call(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return function(x.float() if torch.is_autocast_enabled("cpu") else x, *args, **kwargs)

    return call


def _batch(setting: Setting, target: bool) -> dict[str, dict[str, Tensor]]:
    shape = (setting.batch, *setting.crop)
    image = torch.zeros(setting.batch, 3, *setting.crop)
    source = {"source": {"image": image, "label": torch.zeros(shape, dtype=torch.long)}}
    return source | ({"target": {"image": torch.zeros_like(image), "valid": torch.ones(shape)}} if target else {})


def _networks(student: Segmentor, method: Method, memory: Memory, mode: FakeTensorMode) -> Networks:
    teacher = copy.deepcopy(student).requires_grad_(False) if method.needs_teacher else None
    imagenet: Any = copy.deepcopy(student.backbone).requires_grad_(False).eval() if method.needs_imagenet else None
    memory.apply_to(student.train(), teacher, imagenet)
    networks = Networks(student, teacher, imagenet)
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
