"""Define a training method: a generator of forward/backward passes."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from hrda_lit.data.classes import Classes
from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.segmentor import Segmentor, TrainingOutput
from hrda_lit.ops.boxes import DeviceBox, crop_at
from hrda_lit.ops.colour import Augmentation
from hrda_lit.ops.losses import pixel_weighted_cross_entropy
from hrda_lit.ops.weak_jitter import WeakDraws
from hrda_lit.optim import AdamPoly

if TYPE_CHECKING:
    from hrda_lit.methods.masked_consistency import MaskDraws, MaskedConsistency

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


class Draws(NamedTuple):
    """Everything random of a step, in small tensors.

    Attributes:
        student: randomness of the student (for HRDA: offset of the detail crop), by the name of the pass.
        masks: hidden blocks of the masked pass; None without one.
        augmentation: jitter and blur of mixed images (without mixing: of source images); None for none.
        priorities: order in which classes are pasted, see `draw_priorities`; None without mixing.
        weak_source: weak jitter of the source pass's images; None for none.
        weak_target: weak jitter of target images before they are mixed; None for none.
    """

    student: dict[str, Tensor]
    masks: "MaskDraws | None" = None
    augmentation: Augmentation | None = None
    priorities: Int[Tensor, "B 256"] | None = None
    weak_source: WeakDraws | None = None
    weak_target: WeakDraws | None = None

    def source(self) -> Tensor:
        """Return the student's randomness of the pass "source", or the first of a method that renames it."""
        return self.student.get("source", next(iter(self.student.values())))


class LoggedCrops(NamedTuple):
    """Crops that a pass learned from, for pictures.

    Attributes:
        image: normalised crops.
        label: their class ids, or pseudo-labels.
        weight: of each pixel's loss; None for 1 everywhere.
        box: detail crop of the student; None for none.
    """

    image: Float[Tensor, "B 3 H W"]
    label: Int[Tensor, "B H W"]
    weight: Float[Tensor, "B H W"] | None = None
    box: DeviceBox | None = None


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
        classes: classes of the labels.
        needs_target: whether batches must hold target images.
        needs_teacher: whether a moving average of the student is kept.
        needs_imagenet: whether a frozen copy of the pretrained encoder is kept.
        names: passes of one step, in order; the last one reaches every weight that learns.
        discriminator_optim: optimiser of the network that `discriminator` builds; None without one.
        masked: the masked pass of MIC; None without one.
    """

    classes: Classes
    needs_target: bool = False
    needs_teacher: bool = False
    needs_imagenet: bool = False
    names: tuple[str, ...] = ()
    discriminator_optim: AdamPoly | None = None
    masked: "MaskedConsistency | None" = None

    def discriminator(self) -> nn.Module | None:
        """Build a network that learns against the student; it is stored and resumed like the student."""
        return None

    def add_masked_pass(self, masked: "MaskedConsistency | None", tau: float = 0.968) -> None:
        """End each step with a masked pass, of threshold `tau` where it sets none; None changes nothing."""
        if masked is None:
            return
        self.masked = replace(masked, tau=tau if masked.tau is None else masked.tau)
        self.names = (*self.names, "masked")
        self.needs_target = self.needs_target or self.masked.needs_target
        self.needs_teacher = self.needs_teacher or self.masked.needs_teacher

    def draw(self, student: Segmentor, shape: Sequence[int], generator: torch.Generator) -> Any:
        """Draw everything random of a step: tensors on the CPU, by default the `Draws` of student and masks.

        Args:
            student: network with randomness of its own, e.g. the place of the detail crop.
            shape: (B, 3, H, W) of the images.
            generator: source of randomness (CPU).
        """
        masked_last = sorted(self.names, key=lambda name: name == "masked")
        drawn = {name: student.draw((shape[-2], shape[-1]), generator) for name in masked_last}
        return Draws(drawn, None if self.masked is None else self.masked.draw(shape, generator))

    @abstractmethod
    def passes(self, batch: Batch, networks: Networks, drawn: Any) -> Iterator[Pass]:
        """Yield the passes of `names`, one at a time; the caller runs the backward of each before the next.

        Args:
            batch: {"source": {"image", "label"}, "target": {"image", "valid"}}.
            networks: those that `needs_*` asked for.
            drawn: random numbers of `draw`, on the device of the batch.
        """

    def check_crop(self, size: tuple[int, int]) -> None:
        """Raise a ValueError if high-resolution crops of `size` (height, width) make no sense."""
        if self.masked is not None:
            self.masked.check_crop(size)


def cut_into_parts(batch: Batch, count: int) -> Iterator[tuple[Batch, bool]]:
    """Yield equal parts of a batch, for gradients that are accumulated, and whether each is the last.

    Raises:
        ValueError: if the batch does not divide.
    """
    total = len(batch["source"]["image"])
    if total % count:
        raise ValueError(f"a batch of {total} has no {count} equal parts; load loading.batch_size for each of them.")
    size = total // count
    for start in range(0, total, size):
        yield pytree.tree_map(itemgetter(slice(start, start + size)), batch), start + size == total


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
    losses = []
    for output in supervised.outputs:
        labels, weights = label, weight
        if output.box is not None:
            labels = crop_at(label, output.box)
            weights = None if weight is None else crop_at(weight, output.box)
        loss = pixel_weighted_cross_entropy(output.logits, labels, weights, classes.ignore)
        losses.append(output.weight * loss)
    return torch.stack(losses).sum()


def source_pass(batch: Batch, student: Segmentor, drawn: Tensor, classes: Classes) -> Pass:
    """Make the pass "source" on source labels; for arguments see `Method.passes`.

    User's document, L^S.
    """
    image, label = batch["source"]["image"], batch["source"]["label"]
    return supervise_source(student(image, drawn), image, label, classes)


def supervise_source(
    outputs: TrainingOutput, image: Float[Tensor, "B 3 H W"], label: Int[Tensor, "B H W"], classes: Classes
) -> Pass:
    """Make the pass "source" of the student's outputs on labelled images; for arguments see `supervise`."""
    loss = supervise(outputs, label, classes)
    crops = {"source": LoggedCrops(image, label, box=outputs.outputs[-1].box)}
    return Pass("source", loss, {"loss/source": loss.detach()}, crops)
