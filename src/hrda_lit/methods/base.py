"""What a method is: a generator of forward/backward passes."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hrda_lit.data.classes import Classes
from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.segmentor import Segmentor, TrainingOutput
from hrda_lit.ops.boxes import DeviceBox, crop_at
from hrda_lit.ops.losses import pixel_weighted_cross_entropy
from hrda_lit.optim import AdamPoly

if TYPE_CHECKING:
    from hrda_lit.methods.masked_consistency import MaskedPass

Batch = Mapping[str, Mapping[str, Tensor]]


class Labelled(NamedTuple):
    """Images with labels and the weight of each pixel's loss."""

    image: Float[Tensor, "B 3 H W"]
    label: Int[Tensor, "B H W"]
    weight: Float[Tensor, "B H W"]


class Networks(NamedTuple):
    """The student, its moving average, the frozen encoder of the feature distance, and the discriminator."""

    student: Segmentor
    teacher: Segmentor | None = None
    imagenet: Backbone | None = None
    discriminator: nn.Module | None = None


class LoggedCrops(NamedTuple):
    """Crops that a pass learned from, for pictures.

    Attributes:
        image: normalised crops.
        label: their class ids, or pseudo-labels.
        weight: of each pixel's loss; None for 1 everywhere.
        spot: where the student looked in detail; None for no place in particular.
    """

    image: Float[Tensor, "B 3 H W"]
    label: Int[Tensor, "B H W"]
    weight: Float[Tensor, "B H W"] | None = None
    spot: DeviceBox | None = None


class Pass(NamedTuple):
    """One forward pass that waits for its backward.

    Attributes:
        name: one of `Method.names`.
        loss: to back-propagate.
        logs: detached scalars, logged as train/<name>.
        crops: what pictures show of the pass, under names of the method's choice; the passes of a step may
            log none, and need not log a "source". Of a name that several passes or parts log, the first crops
            are shown.
    """

    name: str
    loss: Float[Tensor, ""]
    logs: dict[str, Tensor]
    crops: dict[str, LoggedCrops]


class Method(ABC):
    """With which labels the student learns.

    A step draws first and then computes: `draw` makes all that is random, small tensors on the CPU; `passes`
    is a function of tensors, which never asks the device for a number.

    Attributes:
        needs_target: whether batches must hold target images.
        needs_teacher: whether a moving average of the student is kept.
        needs_imagenet: whether a frozen copy of the pretrained encoder is kept.
        names: the passes of one step, in order; the last one reaches every weight that learns.
        discriminator_optim: how the network of `discriminator` learns; None without one.
        masked: the masked pass of MIC; None without one.
    """

    needs_target: bool = False
    needs_teacher: bool = False
    needs_imagenet: bool = False
    names: tuple[str, ...] = ()
    discriminator_optim: AdamPoly | None = None
    masked: "MaskedPass | None" = None

    def discriminator(self) -> nn.Module | None:
        """Build a network that learns against the student; it is stored and resumed like the student."""
        return None

    @abstractmethod
    def draw(self, student: Segmentor, shape: Sequence[int], generator: torch.Generator) -> Any:
        """Draw everything random of a step: tensors on the CPU, in a NamedTuple.

        Args:
            student: network with randomness of its own, e.g. where it looks in detail.
            shape: (B, 3, H, W) of the images.
            generator: source of randomness (CPU).
        """

    @abstractmethod
    def passes(self, batch: Batch, networks: Networks, drawn: Any) -> Iterator[Pass]:
        """Yield the passes of `names`, one at a time; the caller runs its backward before it asks for the next.

        Args:
            batch: {"source": {"image", "label"}, "target": {"image", "valid"}}.
            networks: those that `needs_*` asked for.
            drawn: random numbers of `draw`, on the device of the batch.
        """

    def check_crop(self, size: tuple[int, int]) -> None:
        """Raise a ValueError if high-resolution crops of `size` (height, width) make no sense."""
        if self.masked is not None:
            self.masked.options.check_crop(size)


def cut_into_parts(batch: Batch, count: int) -> list[tuple[Batch, bool]]:
    """Cut a batch into equal parts, for gradients that are accumulated.

    Returns:
        The parts in order, and whether each is the last.

    Raises:
        ValueError: if the batch does not divide.
    """
    total = len(batch["source"]["image"])
    if total % count:
        raise ValueError(f"a batch of {total} has no {count} equal parts; load loading.batch_size for each of them.")
    sizes = [total // count] * count
    pieces = {domain: {key: torch.split(x, sizes) for key, x in tensors.items()} for domain, tensors in batch.items()}
    return [
        ({domain: {key: x[i] for key, x in tensors.items()} for domain, tensors in pieces.items()}, i == count - 1)
        for i in range(count)
    ]


def supervise(
    supervised: TrainingOutput,
    label: Int[Tensor, "B H W"],
    classes: Classes,
    weight: Float[Tensor, "B H W"] | None = None,
) -> Float[Tensor, ""]:
    """Sum the cross entropies of all outputs: (1 - lambda_d) L_ce(fused) + lambda_d L_ce(detail) for HRDA.

    Args:
        supervised: what the student returned.
        label: class ids of the whole input.
        classes: label space, with the ignored id.
        weight: q per pixel, or None for 1.

    User's document, L^S_HRDA and L^T_HRDA.
    """
    losses = [
        output.weight
        * pixel_weighted_cross_entropy(
            output.logits,
            _part(label, output.spot),
            None if weight is None else _part(weight, output.spot),
            classes.ignore,
        )
        for output in supervised.outputs
    ]
    return torch.stack(losses).sum()


def source_pass(batch: Batch, student: Segmentor, drawn: Tensor, classes: Classes) -> Pass:
    """Make the pass "source" on source labels; for arguments see `Method.passes`.

    User's document, L^S.
    """
    image, label = batch["source"]["image"], batch["source"]["label"]
    return on_source(student(image, drawn), image, label, classes)


def on_source(
    outputs: TrainingOutput, image: Float[Tensor, "B 3 H W"], label: Int[Tensor, "B H W"], classes: Classes
) -> Pass:
    """Make the pass "source" of what the student made of labelled images; for arguments see `supervise`."""
    loss = supervise(outputs, label, classes)
    crops = {"source": LoggedCrops(image, label, spot=outputs.outputs[-1].spot)}
    return Pass("source", loss, {"loss/source": loss.detach()}, crops)


def _part(x: Tensor, spot: DeviceBox | None) -> Tensor:
    return x if spot is None else crop_at(x, spot)
