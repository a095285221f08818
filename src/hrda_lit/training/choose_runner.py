"""Choose how the passes of a run are executed, and log it once."""

import logging
from collections.abc import Sequence

import lightning as L
from lightning.pytorch.plugins import MixedPrecision, Precision
from torch import nn

from hrda_lit.training.graph_runner import CudaGraphs, GraphRunner
from hrda_lit.training.options import StepOptions
from hrda_lit.training.regions import Regions
from hrda_lit.training.step_runner import CompiledRunner, StepRunner

log = logging.getLogger(__name__)


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
