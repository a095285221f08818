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
from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.segmentor import Segmentor

Betas = Annotated[Sequence[Momentum], Length(2)]


def parameter_groups(
    student: Segmentor,
    lr: float,
    head_factor: float,
    weight_decay: float,
    layer_decay: float = 1.0,
    decay_norms: bool = False,
) -> list[dict[str, Any]]:
    """Sort what the student learns into backbone, backbone norms and heads, and with a decay also into layers.

    official: everything outside the encoder learns `head_factor` times faster; encoder parameters with "norm"
    in their names have no weight decay; biases and the heads' BatchNorm keep theirs (docs/official.md 15);
    here: the same.

    Args:
        student: the network.
        lr: learning rate of the encoder.
        head_factor: learning rate of the heads / of the encoder.
        weight_decay: weight decay of all groups but the norms.
        layer_decay: each layer of the encoder learns so much slower than the one after it, in (0, 1].
        decay_norms: whether the encoder's norms have weight decay as everything else.
    """
    encoder: Backbone = student.backbone
    groups = _encoder_groups(encoder, lr, weight_decay, layer_decay, decay_norms)
    inside = {id(parameter) for parameter in encoder.parameters()}
    heads = [parameter for parameter in student.parameters() if id(parameter) not in inside]
    groups.append({"name": "head", "params": heads, "lr": lr * head_factor, "weight_decay": weight_decay})
    for group in groups:
        group["params"] = [parameter for parameter in group["params"] if parameter.requires_grad]
    return [group for group in groups if group["params"]]


def _encoder_groups(
    encoder: Backbone, lr: float, weight_decay: float, layer_decay: float, decay_norms: bool
) -> list[dict[str, Any]]:
    layers = encoder.layers() if layer_decay < 1 else {}
    last, groups = max(layers.values(), default=0), dict[str, dict[str, Any]]()
    for name, parameter in encoder.named_parameters():
        norm, layer = "norm" in name, layers.get(name)
        share = 1 if layer is None else layer_decay ** (last + 1 - layer)  # as BEiT: the heads are the layer after
        key = ("norm" if norm else "backbone") + ("" if layer is None else f"_{layer}")
        group = {"name": key, "params": [], "lr": lr * share}
        group["weight_decay"] = 0.0 if norm and not decay_norms else weight_decay
        groups.setdefault(key, group)["params"].append(parameter)
    return sorted(groups.values(), key=lambda group: "norm" in group["name"])


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


@dataclass(frozen=True)
class StudentOptim(ABC):
    """What optimisers of a student have in common: groups and schedule.

    Attributes:
        lr: learning rate of the encoder, > 0.
        head_factor: learning rate of the heads / of the encoder.
        weight_decay: weight decay of everything but the encoder's norms, >= 0.
        warmup: steps of the warm-up, >= 0.
        layer_decay: factor from the learning rate of a layer of the encoder to that of the layer before it,
            in (0, 1]; 1 in the papers, less for large pretrained transformers.
        clip: largest gradient norm, or None for no clipping (official: none).
        max_skipped: steps in a row that may be skipped because loss or gradient is not finite, >= 1.
        decay_norms: whether the encoder's norms have weight decay too.
    """

    decay_norms: ClassVar[bool] = False
    lr: Positive = 6e-5
    head_factor: Positive = 10.0
    weight_decay: NotNegative = 0.01
    warmup: Number = 1500
    layer_decay: AboveShare = 1.0
    clip: Positive | None = None
    max_skipped: Count = 20

    def build(self, student: nn.Module, total: int) -> tuple[Optimizer, LambdaLR]:
        """Return the optimiser and its schedule for a run of `total` steps."""
        assert isinstance(student, Segmentor)
        rates = (self.lr, self.head_factor, self.weight_decay, self.layer_decay)
        groups = parameter_groups(student, *rates, self.decay_norms)
        # The fused kernel can skip a bad step without a host sync.
        optimizer = self._optimizer(groups, _on_gpu(student))
        return add_schedule(optimizer, lambda step: self.share(step, total))

    @abstractmethod
    def share(self, step: int, total: int) -> float:
        """Return the learning rate of a step as a share of the base rate."""

    @abstractmethod
    def _optimizer(self, groups: list[dict[str, Any]], fused: bool) -> Optimizer:
        """Return the optimiser of some groups."""


@check_arguments
@dataclass(frozen=True)
class AdamWPoly(StudentOptim):
    """AdamW with warm-up and polynomial decay, the optimiser of DAFormer, HRDA and MIC.

    Args:
        betas: momenta of Adam.
        power: power of the decay; for the others see `StudentOptim`.

    Raises:
        ValueError: if a value is out of range.

    DAFormer section 4.1.
    """

    betas: Betas = (0.9, 0.999)
    power: NotNegative = 1.0

    def share(self, step: int, total: int) -> float:
        """See `schedule`."""
        return schedule(step, total, self.warmup, self.power)

    def _optimizer(self, groups: list[dict[str, Any]], fused: bool) -> Optimizer:
        return AdamW(groups, betas=(self.betas[0], self.betas[1]), fused=fused)


@check_arguments
@dataclass(frozen=True)
class AdamWLinear(StudentOptim):
    """AdamW whose rate rises linearly and then falls linearly to 0; weight decay acts on everything, norms included.

    Args:
        betas: momenta of Adam.
        warmup_from: share of the rate at the first step, in [0, 1]; for the others see `StudentOptim`.

    Raises:
        ValueError: if a value is out of range.

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
        return AdamW(groups, betas=(self.betas[0], self.betas[1]), fused=fused)


@check_arguments
@dataclass(frozen=True)
class SGDPoly(StudentOptim):
    """SGD with momentum, warm-up and polynomial decay, the optimiser of entropy minimisation and adversarial training.

    Args:
        momentum: share of the last direction that is kept.
        power: power of the decay; for the others see `StudentOptim`.

    Raises:
        ValueError: if a value is out of range.

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

    def build(self, network: nn.Module, total: int) -> tuple[Optimizer, LambdaLR]:
        """Return the optimiser and its schedule for a run of `total` steps."""
        group = {"name": "discriminator", "params": list(network.parameters()), "lr": self.lr}
        optimizer = Adam([group], betas=(self.betas[0], self.betas[1]), fused=_on_gpu(network))
        return add_schedule(optimizer, lambda step: schedule(step, total, 0, self.power))


def add_schedule(optimizer: Optimizer, share: Callable[[int], float]) -> tuple[Optimizer, LambdaLR]:
    """Return an optimiser, which leaves the scaling of gradients to others, with its schedule."""
    optimizer.register_load_state_dict_post_hook(_lay_out_like_weights)
    # Else GradScaler would leave it to the kernel to unscale gradients, after they are judged and clipped.
    optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]
    return optimizer, LambdaLR(optimizer, share)


def _lay_out_like_weights(optimizer: Optimizer) -> None:
    # A CPU's checkpoint holds moments in channels-last order; a fused kernel needs that of its weights.
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


def _on_gpu(network: nn.Module) -> bool:
    return all(parameter.is_cuda for parameter in network.parameters())
