"""Which runner a run takes, said once."""

import logging
from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from hrda_lit.training.graphs import CudaGraphs
from hrda_lit.training.regions import Regions
from hrda_lit.training.step_runner import CompiledRunner, GraphRunner, StepRunner

log = logging.getLogger(__name__)

Speed = Literal["auto", "eager", "compiled", "graphs"]


def choose_runner(
    speed: Speed, networks: Sequence[nn.Module], names: Sequence[str], device: torch.device, obstacle: str | None
) -> StepRunner:
    """Choose how passes are run, and say it once.

    Args:
        speed: "auto" is "graphs" on a CUDA device without an obstacle, and "eager" elsewhere.
        networks: all that passes go through.
        names: of the passes.
        device: of the networks.
        obstacle: why steps of this run cannot be captured, as the part of a sentence; None for no reason known.

    Returns:
        The runner.
    """
    if device.type != "cuda":
        obstacle = f"the device is a {device.type.upper()} and no CUDA device"
    if speed == "eager" or (speed == "auto" and obstacle):
        log.info("speed: eager%s", f", because {obstacle}" if speed == "auto" else "")
        return StepRunner()
    if speed == "compiled":
        log.info("speed: compiled, the first step takes longer")
        return CompiledRunner(networks, Regions(networks))
    if obstacle:
        log.warning("speed=graphs, but %s; steps run one by one, with compiled regions", obstacle)
        return CompiledRunner(networks, Regions(networks))
    log.info("speed: graphs over compiled regions, the first step takes longer")
    return GraphRunner(networks, Regions(networks), names, CudaGraphs())
