"""Predict pictures with a trained network: two lines in a notebook.

from hrda_lit import Predictor
Predictor("model.ckpt")("street.png").overlay()
"""

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from hrda_lit.checkpoints.load import load_trained
from hrda_lit.config.messages import wrong_value
from hrda_lit.config.nodes import read_choice
from hrda_lit.config.ranges import Bits, Sides
from hrda_lit.config.values import check
from hrda_lit.data.classes import ID_MAPS, raw_table
from hrda_lit.data.images import read_pixels
from hrda_lit.data.mixed import dataset_configs
from hrda_lit.data.pixels import KindError, Pixels, rgb
from hrda_lit.data.reading import fitted
from hrda_lit.inference.base import Inference, Original
from hrda_lit.ops.logits import attention_of, decide
from hrda_lit.ops.normalise import normalise
from hrda_lit.predicting.result import Result
from hrda_lit.system.process import choose_device
from hrda_lit.system.progress import track

log = logging.getLogger(__name__)

SCALE = 2  # factor between file and network above which a warning is logged
IDS = ("train", "raw", *ID_MAPS)
Picture = str | Path | Image.Image | Pixels | UInt8[Tensor, "H W 3"]
Pictures = list[Picture] | tuple[Picture, ...]


class Predictor:
    """Load one network of a checkpoint and predict pictures of any size.

    Pictures are resized as images of their dataset are, and predictions brought back to their own size.

    Args:
        checkpoint: a file that `hrda_lit.train` wrote.
        model: "student" or "teacher"; None: the one that training validated.
        device: see `choose_device`.
        inference: how a picture is predicted: "slide", "whole", "fast" or "tta", a config as in
            conf/inference, keys to change like {"bf16": True}, or an object; None: as in training.
        weights: pretrained weights of an encoder that was not trained whole; None: see `load_trained`.
        like: dataset that pictures are taken for, whose box and raw ids are used: a name like "acdc", or a
            config; None: that of validation.
        size: (height, width) of the box that pictures are fitted into, or one number for both, instead of
            that of `like`; a warning is logged once if pictures become more than twice as large or small.
        bits: bits that the values of 16-bit images use, see `read_pixels`.

    Attributes:
        classes: classes of the predictions.
        model: which of the two networks it is, "student" or "teacher".
        has_views: whether the network has a context, a detail and an attention to show.

    Raises:
        FileNotFoundError: if there is no checkpoint.
        ValueError: if the checkpoint or another argument does not fit.
    """

    def __init__(
        self,
        checkpoint: str | Path,
        model: str | None = None,
        device: str | torch.device = "auto",
        inference: Inference | str | Mapping[str, Any] | None = None,
        weights: str | None = None,
        like: Any = None,
        size: int | Sequence[int] | None = None,
        bits: int | None = None,
    ) -> None:
        sides = None if size is None else np.asarray(size).tolist()
        sides = [sides, sides] if isinstance(sides, int) else sides
        check(sides, Sides | None, "size")
        check(bits, Bits | None, "bits")
        for key, value in (("inference", inference), ("like", like)):
            if not isinstance(value, Inference | str | Mapping | None):
                raise ValueError(wrong_value(key, value, "a name or a config"))  # noqa: TRY004
        self._size, self.bits, self._warned = sides, bits, False
        self._given_like = read_choice("dataset", like) if isinstance(like, str) else like
        self.device = choose_device(str(device))
        trained = load_trained(checkpoint, model, self.device, weights)
        self.network, self.classes, self.model = trained.network, trained.classes, trained.model
        self.inference, self.config = trained.inference, trained.config
        if isinstance(inference, Inference):
            self.inference = inference
        elif inference is not None:
            self.inference = trained.other_inference(inference)
        self.has_views = hasattr(self.network, "fusion")

    @overload
    def __call__(self, picture: Picture, views: bool = False) -> Result: ...
    @overload
    def __call__(self, picture: Pictures, views: bool = False) -> list[Result]: ...
    def __call__(self, picture: Picture | Pictures, views: bool = False) -> Result | list[Result]:
        """Predict one picture, or each of a list.

        Args:
            picture: path, Pillow image, or RGB as an array or tensor of uint8, H x W x 3; or a list of such.
            views: whether the result holds context, detail and attention.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the picture cannot be used, the network has no views, or it predicts NaN.
        """
        if views:
            self.require_views()
        if isinstance(picture, list | tuple):
            return [self._predict(one, views) for one in track(picture, "predicting")]
        return self._predict(picture, views)

    def __repr__(self) -> str:
        how = type(self.inference).__name__.lower()
        return f"Predictor({self.config.name}, {self.model}, {len(self.classes)} classes, {how}, {self.device})"

    def _predict(self, picture: Any, views: bool) -> Result:
        image = self._read(picture)
        size, parts = (image.shape[0], image.shape[1]), dict[str, Tensor]()
        with torch.inference_mode():
            prepared, original = self._prepare(image)
            if views or original is not None or prepared.shape[-2:] != size:
                parts = self.inference.views(self.network, prepared, original, every=views)
                label, confidence = decide(parts.pop("fused"), size)
            else:
                label, confidence = self._decide_by_rows(prepared)
            shown = {
                name: attention_of(view, label) if name == "attention" else decide(view, size)[0]
                for name, view in parts.items()
            }
        arrays = {name: view.cpu().numpy() for name, view in shown.items()}
        name = Path(picture).name if isinstance(picture, str | Path) else ""
        return Result(image, label.cpu().numpy(), confidence.cpu().numpy(), self.classes, arrays, name)

    def _read(self, picture: Any) -> Pixels:
        if isinstance(picture, str | Path):
            return read_pixels(Path(picture).expanduser(), self.bits)
        if isinstance(picture, Image.Image) and 0 not in picture.size:
            try:
                return rgb(picture, self.bits)
            except KindError as error:
                raise ValueError(f"the picture {error}.") from error
        shape, dtype = tuple(getattr(picture, "shape", ())), getattr(picture, "dtype", type(picture).__name__)
        if str(dtype) not in ("uint8", "torch.uint8") or len(shape) != 3 or shape[2] != 3 or 0 in shape:
            raise ValueError(
                f"got a picture of {dtype} with shape {shape}, need RGB as uint8 of shape "
                "(height, width, 3); convert it."
            )
        # A copy where it may not be written to, of which torch would warn.
        return np.require(picture.cpu() if isinstance(picture, Tensor) else picture, requirements=["C", "W"])

    def require_views(self) -> None:
        """Raise a ValueError if the network has no context, detail and attention."""
        if not self.has_views:
            raise ValueError(
                "this network sees pictures at one scale, it has no context, detail and attention; "
                "ask for the label, or load a checkpoint of network=hrda."
            )

    def table(self, ids: str = "train") -> UInt8[Tensor, "256"]:
        """Return the table from train ids to the numbers of label files.

        Args:
            ids: "train", "raw" for the dataset that pictures are taken for, or a name of `ID_MAPS`.

        Raises:
            ValueError: if `ids` is unknown or does not fit the classes.
        """
        check_ids(ids)
        if ids == "train":
            return raw_table(None, self.classes)
        return raw_table(self._common("id_map", "ids=train") if ids == "raw" else ids, self.classes)

    @cached_property
    def box(self) -> tuple[int, int] | None:
        """(height, width) in pixels that pictures are fitted into; None: they keep their size.

        Raises:
            ValueError: if the boxes of several datasets of validation differ, and none was given.
        """
        box = self._size or self._common("size", "size=[height,width]")
        return None if box is None else (box[0], box[1])

    @property
    def _like(self) -> Any:
        """Return the dataset that pictures are taken for: given, validation, target, or source."""
        nodes = (self._given_like, self.config.val, self.config.target, self.config.source)
        return next(node for node in nodes if node is not None)

    def _common(self, key: str, else_give: str) -> Any:
        """Return a value of the dataset that pictures are taken for, the same in all of several."""
        like = self._like
        nodes = [like] if like.get(key) is not None else dataset_configs(like)
        [value, *others] = [one.get(key) for one in nodes]
        if any(other != value for other in others):
            raise ValueError(
                f"pictures are taken for images of {', '.join(map(str, like.sets))}, whose {key} differs; say which "
                f"they are like, e.g. dataset@like=cityscapes, or give {else_give}."
            )
        return value

    def _prepare(self, picture: Pixels) -> tuple[Tensor, Original | None]:
        tensor, size = torch.from_numpy(picture).permute(2, 0, 1), (picture.shape[0], picture.shape[1])
        sizes = (1, *self.inference.scales)
        resized = fitted(tensor, self.box, self.config.network.downscale, sizes)
        image, *scaled = (normalise(one.contiguous()[None].to(self.device)) for one in resized)
        self._warn_of_scale(size, (image.shape[-2], image.shape[-1]))
        return image, Original(scaled, size) if scaled else None

    def _warn_of_scale(self, size: tuple[int, int], seen: tuple[int, int]) -> None:
        factor = self.config.network.downscale * max(seen) / max(size)
        if self._warned or 1 / SCALE <= factor <= SCALE:
            return
        self._warned = True
        log.warning(
            "a picture of %d x %d is seen %.3g times as large, as one of %s would be; size=[%d,%d] leaves it as it is",
            *(*size, factor, self._like.get("name"), *size),
        )

    def _decide_by_rows(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Decide rows as they are finished: all logits of 12 megapixels would need 1 GB."""
        rows = self.inference.strips(self.network, image, every=False)
        decided = [decide(logits, (logits.shape[-2], logits.shape[-1])) for _, _, logits in rows]
        label, confidence = (torch.cat(parts) for parts in zip(*decided, strict=True))
        return label, confidence


def check_ids(ids: str) -> None:
    """Raise a ValueError if `ids` is unknown."""
    if ids not in IDS:
        raise ValueError(f"ids={ids!r} is none of {list(IDS)}; choose one.")
