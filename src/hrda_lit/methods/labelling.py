"""Pseudo-labels of target crops, and the mode of the network that makes them."""

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hrda_lit.inference.augmented import Augmented
from hrda_lit.inference.windows import Whole
from hrda_lit.methods.base import Labelled
from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.ops.pseudo_labels import pseudo_labels, weight_map


class Labeller:
    """Label target crops with a teacher.

    Args:
        tau: confidence threshold in [0, 1]; 0 gives every label outside the margins a weight of 1.
        per_image: whether q is the share of each image instead of the batch (docs/official.md 2).
        mirror: whether to average the softmax over a crop and its mirror image.

    User's document, p^T and q^T.
    """

    def __init__(self, tau: float, per_image: bool = False, mirror: bool = False) -> None:
        self.tau, self.per_image = tau, per_image
        self.mirrored = Augmented((1, 1), Whole()) if mirror else None
        self._mode: LabellingMode | None = None

    @torch.no_grad()
    def __call__(
        self, teacher: Segmentor, image: Float[Tensor, "B 3 H W"], valid: Float[Tensor, "B H W"]
    ) -> tuple[Labelled, Float[Tensor, ""]]:
        """Return the labelled crops, weighted by q and 0 outside `valid`, and the mean of q."""
        if self._mode is None or self._mode.teacher is not teacher:
            self._mode = LabellingMode(teacher)
        self._mode.enter()
        size = (image.shape[-2], image.shape[-1])
        logits = teacher.views(image)["fused"] if self.mirrored is None else self.mirrored(teacher, image)
        labels = pseudo_labels(logits, self.tau, size, self.per_image)
        return Labelled(image, labels.label, weight_map(labels.q, valid)), labels.q.mean()


def twin(network: Segmentor) -> Segmentor:
    """Copy a network that shares its parameters with the copy, but neither buffers nor mode."""
    return copy.deepcopy(network, {id(parameter): parameter for parameter in network.parameters()})


def batch_statistics_mode(teacher: Segmentor) -> Segmentor:
    """Put a teacher into `LabellingMode` and return it."""
    LabellingMode(teacher).enter()
    return teacher


class LabellingMode:
    """Mode of a teacher that labels: BatchNorm uses batch statistics, everything else is in evaluation mode.

    A frozen encoder keeps its mode.

    official: the same, though the paper calls it inference (docs/official.md 11).

    Args:
        teacher: network whose modules are listed once, because listing them every step costs host time.
    """

    def __init__(self, teacher: Segmentor) -> None:
        self.teacher = teacher
        self._modules = list(teacher.modules())
        # By running_var, as timm has relatives of BatchNorm; .train() would reach the parts of a layer.
        encoders = [one for one in self._modules if isinstance(one, Backbone) and one.tune == "frozen"]
        frozen = {id(part) for one in encoders for part in one.modules()}
        self._modes = ["running_var" in module._buffers and id(module) not in frozen for module in self._modules]
        # Some encoders cache fused weights in eval mode; training mode drops them after each EMA update.
        self._keeping = [module for module in self._modules if type(module).train is not nn.Module.train]

    def enter(self) -> None:
        """Set the mode of every module."""
        for module in self._keeping:
            module.train()  # apart, for some encoders of timm return nothing from it
            module.eval()
        for module, training in zip(self._modules, self._modes, strict=True):
            if module.training != training:
                module.training = training
