"""Pseudo-labels of target crops, and the mode of the network that predicts them."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hrda_lit.config.ranges import Share
from hrda_lit.config.values import check_arguments
from hrda_lit.inference.augmented import Augmented
from hrda_lit.inference.windows import Whole
from hrda_lit.methods.base import Labelled
from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.ops.pseudo_labels import pseudo_labels, weight_map


@check_arguments
class Labeller:
    """Label target crops with a teacher.

    Args:
        tau: confidence threshold in [0, 1]; with 0, every label outside the margins has a weight of 1.
        q_of: whether q is the share of confident pixels of the "batch", as in the released code, or of each
            "image", as in the papers (docs/official.md 2).
        mirror: whether to average the softmax over a crop and its mirror image.

    User's document, p^T and q^T.
    """

    def __init__(self, tau: Share = 0.968, q_of: Literal["batch", "image"] = "batch", mirror: bool = False) -> None:
        self.tau, self.per_image = tau, q_of == "image"
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


def batch_statistics_mode(teacher: Segmentor) -> Segmentor:
    """Put a teacher into `LabellingMode` and return it."""
    LabellingMode(teacher).enter()
    return teacher


class LabellingMode:
    """Mode of a teacher that labels: batch statistics in BatchNorm, all else and frozen encoders evaluate.

    official: the same, though the paper calls it inference (docs/official.md 11).
    """

    def __init__(self, teacher: Segmentor) -> None:
        self.teacher = teacher
        # Modules are listed once: in every step, it would cost host time.
        frozen: set[nn.Module] = set()
        for module in teacher.modules():
            if isinstance(module, Backbone) and module.tune == "frozen":
                frozen.update(module.modules())
        # By running_var, for timm's variants of BatchNorm; not by .train(), which reaches the parts of a layer.
        self._training = {
            module: "running_var" in module._buffers and module not in frozen for module in teacher.modules()
        }
        # Some encoders cache fused weights in eval mode; training mode drops them after each EMA update.
        self._caching = [module for module in teacher.modules() if type(module).train is not nn.Module.train]

    def enter(self) -> None:
        """Set the mode of every module."""
        for module in self._caching:
            module.train()  # not chained: some encoders of timm return None from it
            module.eval()
        for module, training in self._training.items():
            if module.training != training:
                module.training = training
