"""Options of a training step: how it saves memory, and which runner executes it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import lightning as L
from lightning.pytorch.plugins import MixedPrecision, Precision
from torch import nn

from hrda_lit.config.ranges import Count, Speed
from hrda_lit.config.values import check_arguments
from hrda_lit.networks.memory_saving import blocks, predict_in_bfloat16_, recompute, store_in_bfloat16_
from hrda_lit.networks.segmentor import Segmentor
from hrda_lit.training.graph_runner import CudaGraphs, GraphRunner
from hrda_lit.training.regions import Regions
from hrda_lit.training.step_runner import CompiledRunner, StepRunner

log = logging.getLogger(__name__)

Kept = Literal["keep", "recompute"]
Format = Literal["full", "bfloat16"]


@check_arguments
@dataclass(frozen=True)
class Memory:
    """Choose how a training step saves memory. The first four change numbers only by rounding.

    Args:
        encoder: whether to keep activations of the encoder's blocks or recompute them in the backward pass.
        heads: the same for the heads.
        windows: number of detail windows that go through the teacher's head at once (and through its encoder, if
            that has no BatchNorm); the head runs once per level of its BatchNorm layers, so that statistics
            are those of all windows. None for all.
        rows: rows of pixels whose logits of all classes are held at full size at a time; None for all.
        imagenet: type of the frozen encoder's weights and activations.
        teacher: type in which the teacher predicts; its weights stay float32, which small steps need.
    """

    encoder: Kept = "keep"
    heads: Kept = "keep"
    windows: Count | None = None
    rows: Count | None = None
    imagenet: Format = "full"
    teacher: Format = "full"

    @property
    def recomputes(self) -> bool:
        """Return whether anything is computed again in the backward pass."""
        return "recompute" in (self.encoder, self.heads)

    def apply_to(self, student: Segmentor, teacher: Segmentor | None = None, imagenet: Any = None) -> None:
        """Change the networks of a step in place to save memory; `rows` acts on losses, by `rows_at_once`."""
        if self.encoder == "recompute":
            for block in blocks(student.backbone):
                recompute(block)
        if self.heads == "recompute":
            for head in student.heads():
                recompute(head)
        student.windows_at_once = self.windows
        if teacher is not None:
            teacher.windows_at_once = self.windows
            if self.teacher == "bfloat16":
                predict_in_bfloat16_(teacher)
        if imagenet is not None and self.imagenet == "bfloat16":
            store_in_bfloat16_(imagenet)


@dataclass(frozen=True)
class StepOptions:
    """Choose how a training step is run.

    Args:
        seed: seed of every draw.
        accumulate: number of equal parts of a batch that go through the network one after the other, >= 1.
        speed: how passes are executed, see `choose_runner`.
        memory: how it saves memory.
    """

    seed: int = 0
    accumulate: int = 1
    speed: Speed = "auto"
    memory: Memory = field(default_factory=Memory)


def choose_runner(
    options: StepOptions, networks: Sequence[nn.Module], names: Sequence[str], trainer: L.Trainer
) -> StepRunner:
    """Choose by `options.speed` how the passes `names` of these networks are executed, and log it once."""
    speed = options.speed  # "auto" is "eager" until docs/speed.md has a table measured on a GPU
    if speed in ("auto", "eager"):
        log.info("speed: eager")
        return StepRunner()
    regions, obstacle = Regions(networks), obstacle_to_graphs(options, trainer)
    if speed == "graphs" and obstacle is None:
        log.info("speed: graphs over compiled regions, the first step takes longer")
        return GraphRunner(networks, regions, names, CudaGraphs())
    if speed == "graphs":
        log.warning("speed=graphs, but %s; steps run one by one, with compiled regions", obstacle)
    else:
        log.info("speed: compiled, the first step takes longer")
    return CompiledRunner(networks, regions)


def obstacle_to_graphs(options: StepOptions, trainer: L.Trainer) -> str | None:
    """Return why steps cannot be captured as graphs, as a part of a sentence; None for no known reason."""
    plugin, device = trainer.precision_plugin, trainer.strategy.root_device
    if device.type != "cuda":
        return f"the device is a {device.type.upper()}, not a CUDA device"
    if trainer.world_size > 1:
        return "several devices exchange gradients within a step"
    if options.memory.recomputes:
        # Replayed, dropout would draw again in the backward pass, and gradients be those of another network.
        return "memory.encoder or memory.heads recomputes with the dropout of the forward pass, which no graph can"
    if getattr(plugin, "scaler", None) is not None:
        return f"the loss scale changes from step to step with trainer.precision={plugin.precision}"
    if type(plugin) not in (Precision, MixedPrecision):
        return f"trainer.precision={plugin.precision} is not known to work with graphs"
    return None
