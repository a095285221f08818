"""Check that crops, windows and batches fit the network, by a training step on the meta device."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from hrda_lit.build import build_inference, build_network, training_crop
from hrda_lit.config.nodes import ConfigError
from hrda_lit.data.classes import Classes
from hrda_lit.methods.base import Method
from hrda_lit.methods.labelling import batch_statistics_mode
from hrda_lit.networks.segmentor import Segmentor, TrainingOutput
from hrda_lit.ops.logits import tiles
from hrda_lit.ops.resize import low_resolution_size
from hrda_lit.ops.shapes import ShapesAlone
from hrda_lit.system.progress import announce

Size = tuple[int, int]
MULTIPLES = (8, 16, 32, 64, 128)  # of pixels, tried in turn for a crop in place of a refused one


def check_geometry(config: DictConfig, method: Method, classes: Classes) -> None:
    """Refuse sizes that the first step or the first validation would stumble over."""
    with announce("checking sizes"), ShapesAlone():  # type: ignore[no-untyped-call]
        try:
            _check(config, method, classes)
        except ValueError as error:
            near = _nearest_crop(config, method, classes)
            if not near:
                raise
            raise type(error)(f"{str(error).rstrip('.')}; the nearest crop that fits is {near}.") from error


def _nearest_crop(config: DictConfig, method: Method, classes: Classes) -> str:
    """Return key and value of the nearest crop that fits instead of a refused one; "" if none does."""
    name = "sync_crop" if config.data.get("sync_crop") else "crop"
    for multiple in MULTIPLES:
        crop = [max(multiple, round(side / multiple) * multiple) for side in config.data[name]]
        changed = OmegaConf.merge(config, {"data": {name: crop}})
        assert isinstance(changed, DictConfig)
        with suppress(ValueError):
            _check(changed, method, classes)
            return f"data.{name}=[{crop[0]},{crop[1]}]"
    return ""


def _check(config: DictConfig, method: Method, classes: Classes) -> None:
    size, shape = crop_size(config), (int(config.loading.batch_size), 3)
    method.check_crop(training_crop(config))
    network = without_memory(config, classes)
    network.check_crop(size)
    inference = build_inference(config)
    inference.check(network)
    method.draw(network, (*shape, *size), torch.Generator())
    crops, drawn = torch.zeros(*shape, *size, device="meta"), network.draw(size, torch.Generator()).to("meta")
    supervised: TrainingOutput = _try("a training step", size, config, lambda: network.train()(crops, drawn))
    for output in supervised.outputs:
        height, width = size if output.spot is None else output.spot.size
        next(tiles(output.logits.shape[-2], (height, width), config.memory.rows))
    if method.needs_teacher:
        _try("the teacher", size, config, lambda: batch_statistics_mode(network).predict(crops))
    seen = inference.network_size or size
    if seen != size or not method.needs_teacher:  # else the teacher has shown it
        window = torch.zeros(1, 3, *seen, device="meta")
        _try("a validation", seen, config, lambda: network.eval().predict(window))


def crop_size(config: DictConfig) -> Size:
    """Return (height, width) of the training crops as the network gets them."""
    return low_resolution_size(training_crop(config), config.network.downscale)


def without_memory(config: DictConfig, classes: Classes) -> Segmentor:
    """Build the student without weights and numbers, on the meta device."""
    dry = OmegaConf.merge(config, {"network": {"backbone": {"weights": None}}})
    assert isinstance(dry, DictConfig)
    with torch.device("meta"):
        return build_network(dry, classes)


@torch.no_grad()
def _try(what: str, size: Size, config: DictConfig, run: Callable[[], Any]) -> Any:
    try:
        return run()
    except Exception as error:  # whatever it is, training would end with it later
        reason = " ".join(str(error).split()).rstrip(".")
        raise ConfigError(
            f"{what} with loading.batch_size={config.loading.batch_size} crops of {size} does not fit the network "
            f"({reason}); raise or correct data.crop, network.detail or loading.batch_size."
        ) from error
