"""Check that crops, windows and batches fit the network, by a training step on the meta device."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from hrda_lit.build import build_bare_network, build_inference, crop_size, training_crop
from hrda_lit.config.nodes import ConfigError
from hrda_lit.methods.base import Method
from hrda_lit.methods.labelling import batch_statistics_mode
from hrda_lit.networks.segmentor import TrainingOutput
from hrda_lit.ops.logits import tiles
from hrda_lit.system.progress import announce
from hrda_lit.system.text import reason_of

Size = tuple[int, int]
MULTIPLES = (8, 16, 32, 64, 128)  # of pixels, tried in turn for a crop in place of a refused one


# What gives back a tensor of the shape of its first argument, whatever else it gets.
aten = torch.ops.aten
SAME = {aten.clamp.default, aten.gelu.default, aten._softmax.default, aten._safe_softmax.default, aten.mul.Scalar}
FILLED = {
    aten.normal_.default, aten.uniform_.default, aten.erfinv_.default, aten.clamp_.default, aten.mul_.Scalar
}  # in place  # fmt: skip
NORMS = {aten.native_batch_norm.default, aten.native_layer_norm.default}  # with statistics that only a backward reads


def check_geometry(config: DictConfig, method: Method) -> None:
    """Refuse sizes that the first step or the first validation would stumble over."""
    with announce("checking sizes"), ShapesAlone():  # type: ignore[no-untyped-call]
        try:
            _check(config, method)
        except ValueError as error:
            near = _nearest_crop(config, method)
            if not near:
                raise
            raise type(error)(f"{str(error).rstrip('.')}; the nearest crop that fits is {near}.") from error


def _nearest_crop(config: DictConfig, method: Method) -> str:
    """Return key and value of the nearest crop that fits instead of a refused one; "" if none does."""
    name = "sync_crop" if config.data.get("sync_crop") else "crop"
    for multiple in MULTIPLES:
        crop = [max(multiple, round(side / multiple) * multiple) for side in config.data[name]]
        changed = OmegaConf.merge(config, {"data": {name: crop}})
        assert isinstance(changed, DictConfig)
        with suppress(ValueError):
            _check(changed, method)
            return f"data.{name}=[{crop[0]},{crop[1]}]"
    return ""


def _check(config: DictConfig, method: Method) -> None:
    size, shape = crop_size(config), (int(config.loading.batch_size), 3)
    method.check_crop(training_crop(config))
    network = build_bare_network(config, method.classes)
    network.check_crop(size)
    inference = build_inference(config)
    inference.check(network)
    method.draw(network, (*shape, *size), torch.Generator())
    crops, drawn = torch.zeros(*shape, *size, device="meta"), network.draw(size, torch.Generator()).to("meta")
    supervised: TrainingOutput = _try("a training step", size, config, lambda: network.train()(crops, drawn))
    for output in supervised.outputs:
        height, width = size if output.box is None else output.box.size
        next(tiles(output.logits.shape[-2], (height, width), config.memory.rows))
    if method.needs_teacher:
        _try("the teacher", size, config, lambda: batch_statistics_mode(network).predict(crops))
    seen = inference.network_size or size
    if seen != size or not method.needs_teacher:  # else the teacher has shown it
        window = torch.zeros(1, 3, *seen, device="meta")
        _try("a validation", seen, config, lambda: network.eval().predict(window))


@torch.no_grad()
def _try(what: str, size: Size, config: DictConfig, run: Callable[[], Any]) -> Any:
    try:
        return run()
    except Exception as error:  # whatever it is, training would end with it later
        raise ConfigError(
            f"{what} with loading.batch_size={config.loading.batch_size} crops of {size} does not fit the network "
            f"({reason_of(error)}); raise or correct data.crop, network.detail.size or loading.batch_size."
        ) from error


class ShapesAlone(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Answer by shape the frequent operations that torch defines in Python on the meta device.

    All others, convolutions and matrix products among them, are torch's own and check what they get.
    """

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Return what `func` would, of the same shapes and types."""
        first = args[0] if args else None
        if not isinstance(first, Tensor) or not first.is_meta:
            return func(*args, **(kwargs or {}))
        if func in FILLED:
            return first
        if func in SAME:
            return torch.empty_like(first)
        if func in NORMS:
            return torch.empty_like(first), first.new_empty(0), first.new_empty(0)
        if func is aten.upsample_bilinear2d.default:
            return first.new_empty((*first.shape[:2], *args[1]))
        return func(*args, **(kwargs or {}))
