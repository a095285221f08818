"""What a method is: a generator of forward/backward passes."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hrda_lit.data.classes import Classes
from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.segmentor import Segmentor, Supervised
from hrda_lit.ops.device_box import DeviceBox, crop_at
from hrda_lit.ops.losses import pixel_weighted_cross_entropy
from hrda_lit.optim import AdamPoly

Batch = Mapping[str, Mapping[str, Tensor]]


class Labelled(NamedTuple):
    """Images with labels and the weight of each pixel's loss."""

    image: Float[Tensor, "B 3 H W"]
    label: Int[Tensor, "B H W"]
    weight: Float[Tensor, "B H W"]


class Networks(NamedTuple):
    """The student, its moving average, the frozen encoder of the feature distance, and what learns against it."""

    student: Segmentor
    teacher: Segmentor | None = None
    imagenet: Backbone | None = None
    discriminator: nn.Module | None = None


class LoggedCrops(NamedTuple):
    """Crops that a pass used, for pictures; `spot` is where the student looked in detail."""

    image: Float[Tensor, "B 3 H W"]
    label: Int[Tensor, "B H W"]
    weight: Float[Tensor, "B H W"] | None = None
    spot: DeviceBox | None = None


class Pass(NamedTuple):
    """One forward pass that waits for its backward: the loss, detached numbers to log, and crops by name."""

    name: str
    loss: Float[Tensor, ""]
    logs: dict[str, Tensor]
    seen: dict[str, LoggedCrops]


class Method(ABC):
    """With which labels the student learns.

    A step draws first and then computes: `draw` makes all that is random, small tensors on the CPU; `passes` is a
    function of tensors, which never asks the device for a number.

    Attributes:
        needs_target: whether batches must hold target images.
        needs_teacher: whether a moving average of the student is kept.
        needs_imagenet: whether a frozen copy of the pretrained encoder is kept.
        names: the passes of one step, in order.
        rows: rows of pixels whose logits are held at full size at a time; None for all.
        labels_in: the type that the teacher labels in, under autocast; None for that of the training.
        imagenet_in: the type of the frozen encoder's weights; None for that of the student's.
        names: the passes of one step, in order; the last one reaches every weight that learns.
        discriminator_optim: how the network of `discriminator` learns; None without one.
    """

    needs_target: ClassVar[bool] = False
    needs_teacher: ClassVar[bool] = False
    needs_imagenet: bool = False
    names: tuple[str, ...] = ()
    rows: int | None = None
    labels_in: torch.dtype | None = None
    imagenet_in: torch.dtype | None = None
    discriminator_optim: AdamPoly | None = None

    def discriminator(self) -> nn.Module | None:
        """Build a network that learns against the student; it is kept, stored and resumed like the student."""
        return None

    @abstractmethod
    def draw(self, student: Segmentor, shape: Sequence[int], generator: torch.Generator) -> Any:
        """Draw everything random of a step.

        Args:
            student: draws what it leaves to chance.
            shape: (B, 3, H, W) of the images.
            generator: source of randomness (CPU).

        Returns:
            Tensors on the CPU, in a NamedTuple.
        """

    @abstractmethod
    def passes(self, batch: Batch, networks: Networks, drawn: Any) -> Iterator[Pass]:
        """Yield one pass at a time; the caller runs its backward before it asks for the next.

        Args:
            batch: {"source": {"image", "label"}, "target": {"image", "valid"}}.
            networks: what `needs_*` asked for.
            drawn: of `draw`, on the device of the batch.

        Returns:
            The passes named by `names`.
        """

    def check_crop(self, size: tuple[int, int]) -> None:  # noqa: B027  most methods take any
        """Raise a ValueError if training crops of `size` (height, width), at high resolution, make no sense."""


def parts(batch: Batch, count: int) -> list[Batch]:
    """Cut a batch into equal parts, for gradients that are accumulated.

    Args:
        batch: see `Method.passes`.
        count: how many, >= 1.

    Returns:
        The parts in order.

    Raises:
        ValueError: if the batch does not divide.
    """
    total = len(batch["source"]["image"])
    if total % count:
        raise ValueError(f"a batch of {total} has no {count} equal parts; load loading.batch_size for each of them.")
    sizes = [total // count] * count
    pieces = {domain: {key: torch.split(x, sizes) for key, x in tensors.items()} for domain, tensors in batch.items()}
    return [
        {domain: {key: x[i] for key, x in tensors.items()} for domain, tensors in pieces.items()} for i in range(count)
    ]


def supervise(
    supervised: Supervised,
    label: Int[Tensor, "B H W"],
    classes: Classes,
    weight: Float[Tensor, "B H W"] | None = None,
    rows: int | None = None,
) -> Float[Tensor, ""]:
    """Sum the cross entropies of all outputs: (1 - lambda_d) L_ce(fused) + lambda_d L_ce(detail) for HRDA.

    Args:
        supervised: what the student returned.
        label: class ids of the whole input.
        classes: says which id is ignored.
        weight: q per pixel, or None for 1.
        rows: see `Method.rows`.

    Returns:
        The loss.

    User's document, L^S_HRDA and L^T_HRDA.
    """
    losses = [
        output.weight
        * pixel_weighted_cross_entropy(
            output.logits,
            _part(label, output.spot),
            None if weight is None else _part(weight, output.spot),
            classes.ignore,
            rows,
        )
        for output in supervised.outputs
    ]
    return torch.stack(losses).sum()


def source_pass(batch: Batch, student: Segmentor, drawn: Tensor, classes: Classes, rows: int | None = None) -> Pass:
    """Make the pass on source labels.

    Args:
        batch: see `Method.passes`.
        student: to train.
        drawn: what it leaves to chance.
        classes: of the labels.
        rows: see `Method`.

    Returns:
        The pass "source".

    User's document, L^S.
    """
    image, label = batch["source"]["image"], batch["source"]["label"]
    return on_source(student(image, drawn), image, label, classes, rows)


def on_source(
    outputs: Supervised,
    image: Float[Tensor, "B 3 H W"],
    label: Int[Tensor, "B H W"],
    classes: Classes,
    rows: int | None = None,
) -> Pass:
    """Make the pass "source" of what the student made of labelled images; for arguments see `supervise`."""
    loss = supervise(outputs, label, classes, rows=rows)
    seen = {"source": LoggedCrops(image, label, spot=outputs.outputs[-1].spot)}
    return Pass("source", loss, {"loss/source": loss.detach()}, seen)


def _part(x: Tensor, spot: DeviceBox | None) -> Tensor:
    return x if spot is None else crop_at(x, spot)
