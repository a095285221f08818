"""Optimisers with the official parameter groups, and their schedules."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from hrda_lit.config.ranges import AboveShare, Count, Length, Momentum, NotNegative, Number, Positive, Share
from hrda_lit.config.values import check_arguments
from hrda_lit.networks.segmentor import Segmentor

Betas = Annotated[Sequence[Momentum], Length(2)]
Scheduled = tuple[Optimizer, LambdaLR]


def schedule(step: int, total: int, warmup: int, power: float = 1.0, warmup_ratio: float = 1e-6) -> float:
    """Return the learning rate of step t >= 0 as a share of the base rate, in [0, 1].

    The decay also runs during the warm-up (docs/official.md 16), which begins at `warmup_ratio`.

    DAFormer section 4.1.
    """
    decay: float = max(0.0, 1 - step / total) ** power
    if step >= warmup:
        return decay
    return decay * (1 - (1 - step / warmup) * (1 - warmup_ratio))


def linear_schedule(step: int, total: int, warmup: int, start: float) -> float:
    """Return the share of the base rate at step t >= 0: from `start` up to 1 by `warmup`, then to 0.

    VFM-UDA, released code.
    """
    if step < warmup:
        return start + (1 - start) * step / warmup
    return max(0.0, (total - step) / max(total - warmup, 1))


def parameter_groups(student: Segmentor, optim: "StudentOptim") -> list[dict[str, Any]]:
    """Sort the weights that learn into backbone, backbone norms and heads; with layer decay also by layer.

    official: everything outside the encoder learns `head_factor` times faster; encoder parameters with "norm"
    in their names have no weight decay; biases and the heads' BatchNorm keep theirs (docs/official.md 15);
    here: the same.
    """
    layers = student.backbone.layers() if optim.layer_decay < 1 else {}
    heads = max(layers.values(), default=0) + 1  # as in BEiT: the heads are the layer after the last
    groups: dict[str, dict[str, Any]] = {}
    for name, parameter in student.named_parameters():
        key, lr, weight_decay = "backbone", optim.lr, optim.weight_decay
        layer = layers.get(name.removeprefix("backbone."))
        if not name.startswith("backbone."):
            key, lr = "head", lr * optim.head_factor
        elif "norm" in name:
            key = "norm"
            weight_decay = weight_decay if optim.decay_norms else 0.0
        if layer is not None:
            key, lr = f"{key}_{layer}", lr * optim.layer_decay ** (heads - layer)
        group = groups.setdefault(key, {"name": key, "params": [], "lr": lr, "weight_decay": weight_decay})
        if parameter.requires_grad:
            group["params"].append(parameter)
    learning = [group for group in groups.values() if group["params"]]
    return sorted(learning, key=lambda group: (group["name"] == "head", "norm" in group["name"]))


@dataclass(frozen=True)
class StudentOptim(ABC):
    """Base of the optimisers of a student: parameter groups and schedule.

    Attributes:
        lr: learning rate of the encoder, > 0.
        head_factor: learning rate of the heads / of the encoder.
        weight_decay: weight decay of everything but the encoder's norms, >= 0.
        warmup: steps of the warm-up, >= 0.
        layer_decay: learning rate of an encoder layer / that of the next one, in (0, 1]; 1 in the papers.
        clip: largest gradient norm, or None for no clipping (official: none).
        max_skipped: largest number of skipped steps in a row (non-finite loss or gradient), >= 1.
        decay_norms: whether the encoder's norms have weight decay too.

    Raises:
        ValueError: if a value is out of range.
    """

    decay_norms: ClassVar[bool] = False
    lr: Positive = 6e-5
    head_factor: Positive = 10.0
    weight_decay: NotNegative = 0.01
    warmup: Number = 1500
    layer_decay: AboveShare = 1.0
    clip: Positive | None = None
    max_skipped: Count = 20

    def build(self, student: nn.Module, total: int) -> Scheduled:
        """Return the optimiser and its schedule for a run of `total` steps."""
        assert isinstance(student, Segmentor)
        # The fused kernel can skip a bad step without a host sync.
        optimizer = self._optimizer(parameter_groups(student, self), _on_gpu(student))
        return add_schedule(optimizer, lambda step: self.share(step, total))

    @abstractmethod
    def share(self, step: int, total: int) -> float:
        """Return the learning rate of a step as a share of the base rate."""

    @abstractmethod
    def _optimizer(self, groups: list[dict[str, Any]], fused: bool) -> Optimizer:
        """Return the optimiser of these groups."""


@check_arguments
@dataclass(frozen=True)
class AdamWPoly(StudentOptim):
    """AdamW with warm-up and polynomial decay, the optimiser of DAFormer, HRDA and MIC.

    Args:
        betas: momenta of Adam.
        power: power of the decay; for the others see `StudentOptim`.

    DAFormer section 4.1.
    """

    betas: Betas = (0.9, 0.999)
    power: NotNegative = 1.0

    def share(self, step: int, total: int) -> float:
        """See `schedule`."""
        return schedule(step, total, self.warmup, self.power)

    def _optimizer(self, groups: list[dict[str, Any]], fused: bool) -> Optimizer:
        return AdamW(groups, betas=_floats(self.betas), fused=fused)


@check_arguments
@dataclass(frozen=True)
class AdamWLinear(StudentOptim):
    """AdamW with a linear warm-up and a linear decay to 0, and weight decay on everything, norms included.

    Args:
        betas: momenta of Adam.
        warmup_from: share of the rate at the first step, in [0, 1]; for the others see `StudentOptim`.

    VFM-UDA section 4 and released code.
    """

    decay_norms: ClassVar[bool] = True
    lr: Positive = 1.41e-5
    betas: Betas = (0.9, 0.999)
    warmup_from: Share = 1e-3

    def share(self, step: int, total: int) -> float:
        """See `linear_schedule`."""
        return linear_schedule(step, total, self.warmup, self.warmup_from)

    def _optimizer(self, groups: list[dict[str, Any]], fused: bool) -> Optimizer:
        return AdamW(groups, betas=_floats(self.betas), fused=fused)


@check_arguments
@dataclass(frozen=True)
class SGDPoly(StudentOptim):
    """SGD with momentum, warm-up and polynomial decay, for entropy minimisation and adversarial training.

    Args:
        momentum: momentum of the gradients, in [0, 1).
        power: power of the decay; for the others see `StudentOptim`.

    HRDA, released code; the papers of both methods decay by a power of 0.9, without a warm-up.
    """

    lr: Positive = 2.5e-3
    head_factor: Positive = 1.0
    weight_decay: NotNegative = 5e-4
    momentum: Momentum = 0.9
    power: NotNegative = 1.0

    def share(self, step: int, total: int) -> float:
        """See `schedule`."""
        return schedule(step, total, self.warmup, self.power)

    def _optimizer(self, groups: list[dict[str, Any]], fused: bool) -> Optimizer:
        optimizer = SGD(groups, lr=self.lr, momentum=self.momentum, fused=fused)
        if fused:
            _start_momentum(optimizer)
            optimizer.register_load_state_dict_post_hook(_start_momentum)
        return optimizer


@check_arguments
@dataclass(frozen=True)
class AdamPoly:
    """Adam with polynomial decay, the optimiser of a discriminator.

    Args:
        lr: learning rate, > 0.
        betas: momenta.
        power: power of the decay.

    AdaptSegNet section 5.
    """

    lr: Positive = 1e-4
    betas: Betas = (0.9, 0.99)
    power: NotNegative = 0.9

    def build(self, network: nn.Module, total: int) -> Scheduled:
        """Return the optimiser and its schedule for a run of `total` steps."""
        group = {"name": "discriminator", "params": list(network.parameters()), "lr": self.lr}
        optimizer = Adam([group], betas=_floats(self.betas), fused=_on_gpu(network))
        return add_schedule(optimizer, lambda step: schedule(step, total, 0, self.power))


def add_schedule(optimizer: Optimizer, share: Callable[[int], float]) -> Scheduled:
    """Return an optimiser and its schedule."""
    optimizer.register_load_state_dict_post_hook(_lay_out_like_weights)
    # Else GradScaler lets the fused kernel unscale gradients, after they are checked and clipped.
    optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]
    return optimizer, LambdaLR(optimizer, share)


def _lay_out_like_weights(optimizer: Optimizer) -> None:
    # Checkpoints of a CPU hold moments channels-last; a fused kernel needs the layout of its weights.
    for weight, state in optimizer.state.items():
        for name, value in state.items():
            if value.shape == weight.shape and value.stride() != weight.stride():
                state[name] = torch.empty_like(weight, dtype=value.dtype).copy_(value)


def _start_momentum(optimizer: Optimizer) -> None:
    # The fused kernel allocates momenta in its first step, uninitialised if that step is skipped.
    for group in optimizer.param_groups:
        for weight in group["params"]:
            if group["momentum"] and optimizer.state[weight].get("momentum_buffer") is None:
                optimizer.state[weight]["momentum_buffer"] = torch.zeros_like(weight)


def _floats(betas: Sequence[float]) -> tuple[float, float]:
    first, second = map(float, betas)  # torch refuses whole numbers, e.g. a first momentum of 0
    return first, second


def _on_gpu(network: nn.Module) -> bool:
    return all(parameter.is_cuda for parameter in network.parameters())
