"""The feature encoder f^E: any timm model as a checked NCHW pyramid."""

import contextlib
import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Annotated, Any, Literal

import timm
import torch
from jaxtyping import Float
from timm.layers.drop import DropPath as TimmDropPath
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hrda_lit.config.ranges import Count, KeysOf, Length, Level, Positive, Scale
from hrda_lit.networks.encoder_layers import DropPath, add_low_rank_, add_mask_token_
from hrda_lit.networks.layouts import mit_to_timm
from hrda_lit.networks.plain import STAGES, PlainPyramid, stage_ends, stage_strides
from hrda_lit.networks.timm_models import (
    IMAGENET,
    TimmOptions,
    check_backbone,
    created,
    feature_maps,
    layer_numbers,
    places,
    reason_of,
    unsupported,
)
from hrda_lit.networks.weights import load_checked, read_state_dict
from hrda_lit.ops.normalise import MEAN, STD
from hrda_lit.ops.resize import fill_up

MASK_TOKEN = "mask_token"  # its name in weight files of DINOv2, BEiT and their kin


class Backbone(nn.Module):
    """A timm model that returns some of its feature maps, finest first.

    Images come normalised for the papers' encoders; a model whose `pretrained_cfg` names other statistics
    gets them with those.

    Args:
        name: a timm model name, e.g. "mit_b5", "resnet50" or "vit_large_patch14_dinov2".
        weights: a file of encoder weights, "imagenet" for timm's own download, or None for random ones.
        levels: indices of the model's feature maps, finest first; the last four mostly have strides 4 to 32.
            A plain transformer is taken for four stages of equally many blocks, see `PlainPyramid`.
        options: further arguments of the timm model, e.g. drop_path_rate.
        tune: trained part: "full", all of it; "frozen", nothing, and it stays in evaluation mode; "lora", a
            difference of low rank for each linear layer.
        lora_rank: rank of these differences.
        lora_alpha: lora_rank times the factor of these differences.
        input_scale: factor by which a plain transformer's images are resized to whole patches, see
            `PlainPyramid`; None fills them up instead.
        mask_token: whether a plain transformer gets a token for hidden patches, of the weight file or random,
            which is learned whatever `tune` says.

    Attributes:
        channels: channels of each level.
        strides: pixels per cell of each level.
        pretrained: whether weights were loaded.

    Raises:
        ValueError: if timm does not know the model, it is no pyramid, the weights do not fit, or it has
            nothing that LoRA acts on.
        FileNotFoundError: if there are no weights at the path.

    User's document, f^E.
    """

    gain: Tensor | None
    offset: Tensor | None

    def __init__(
        self,
        name: str,
        weights: str | None = None,
        levels: Annotated[Sequence[Level], Length(least=1)] = (-4, -3, -2, -1),
        options: Annotated[Mapping[str, Any], KeysOf(TimmOptions, others=True)] | None = None,
        tune: Literal["full", "frozen", "lora"] = "full",
        lora_rank: Count = 16,
        lora_alpha: Positive = 32.0,
        input_scale: Scale | None = None,
        mask_token: bool = False,
    ) -> None:
        super().__init__()
        self.options = dict(options or {})
        check_backbone(name, weights, self.options)
        self.name, self.weights, self.tune = name, weights, tune
        self.pretrained, self.input_scale = weights is not None, input_scale
        self.model, self.channels, self.strides = self._build(tuple(levels))
        _exchange_drop_paths(self.model)
        self._normalise_as(timm.get_pretrained_cfg(name, allow_unregistered=True))
        # Without BatchNorm, an image's features do not depend on the others of its batch.
        self.independent = not any(isinstance(m, _BatchNorm) for m in self.model.modules())
        self.has_mask_token, token = mask_token, None
        if weights is not None and weights != IMAGENET:
            token = self._load(weights)
        self._check()
        self.train()
        self._freeze(lora_rank, lora_alpha)
        if mask_token:
            self._add_mask_token(token)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B C h w"]]:
        """Encode normalised images into feature maps of ceil(H / stride) x ceil(W / stride), finest first.

        Args:
            image: three channels, and where there is a mask token perhaps a fourth: 1 where patches are
                hidden.
        """
        if self.gain is not None and self.offset is not None:
            colours = image[:, :3] * self.gain + self.offset
            image = colours if image.shape[1] == 3 else torch.cat([colours, image[:, 3:]], dim=1)
        maps: list[Tensor] = self.model(fill_up(image, self.fills) if self.fills > 1 else image)
        if self.channels_last:
            maps = [x.permute(0, 3, 1, 2) for x in maps]
        if self.fills > 1:
            cells = [[-(-extent // stride) for extent in image.shape[-2:]] for stride in self.strides]
            maps = [x[..., :rows, :columns] for x, (rows, columns) in zip(maps, cells, strict=True)]
        return list(maps)

    def train(self, mode: bool = True) -> "Backbone":
        """Set training mode; a frozen encoder stays as it is in evaluation."""
        return super().train(mode and self.tune != "frozen")

    def together(self, *images: Float[Tensor, "B 3 H W"]) -> list[list[Float[Tensor, "B C h w"]]]:
        """Encode several batches, in one call if they have one size and the encoder no BatchNorm.

        Returns:
            The feature maps of each batch.
        """
        if not self.independent or len({image.shape[1:] for image in images}) > 1:
            return [self(image) for image in images]
        maps = self(torch.cat(images))
        # Not split() nor len(): a graph of any batch size can hold neither.
        ends = list(accumulate(image.shape[0] for image in images))
        return [[x[start:end] for x in maps] for start, end in zip((0, *ends), ends, strict=False)]

    def layers(self) -> dict[str, int]:
        """Number the layers of the encoder, the stem first, and return the layer of each parameter."""
        with torch.device("meta"):
            full: nn.Module = timm.create_model(self.name, **self.options)
        return {f"model.{name}": layer for name, layer in layer_numbers(self.model, full).items()}

    def _build(self, levels: tuple[int, ...]) -> tuple[nn.Module, list[int], list[int]]:
        """Return the encoder with channels and strides of its levels."""
        channels, strides = feature_maps(self.name, self.options, levels)
        if len(channels) > 1 and len(set(strides)) == 1:
            return self._build_plain(levels, strides[0])
        if self.input_scale is not None:
            raise ValueError(
                f"network.backbone.input_scale={self.input_scale:g}: expected null, since {self.name} is not a plain "
                "transformer; set it to null, or choose one, e.g. network/backbone=dinov2_large (debug=smoke_vit where "
                "debug=smoke chose the encoder)."
            )
        keys = {"features_only": True, "out_indices": levels, **self.options}
        model: Any = created(self.name, self.weights, {"strict_img_size": False}, **keys)
        return model, list(model.feature_info.channels()), list(model.feature_info.reduction())

    def _build_plain(self, levels: tuple[int, ...], patch: int) -> tuple[nn.Module, list[int], list[int]]:
        model: Any = created(self.name, self.weights, {"dynamic_img_size": True}, num_classes=0, **self.options)
        if not all(hasattr(model, name) for name in ("blocks", "embed_dim", "forward_intermediates")):
            raise unsupported(self.name, "its maps have one stride, and it is not a sequence of blocks")
        depth = len(model.blocks)
        if depth < STAGES or any(not -STAGES <= level < STAGES for level in levels):
            raise ValueError(
                f"network.backbone.levels={list(levels)}: expected levels from -4 to -1 of {self.name}, whose {depth} "
                "blocks are taken for four stages, of one block at least; choose others, or another encoder."
            )
        blocks = [stage_ends(depth)[level] for level in levels]
        model.prune_intermediate_layers(blocks, prune_norm=False, prune_head=True)
        strides = [stage_strides(patch / (self.input_scale or 1))[level] for level in levels]
        pyramid = PlainPyramid(model, patch, blocks, strides, self.input_scale)
        return pyramid, [int(model.embed_dim)] * len(levels), strides

    def _normalise_as(self, config: Any) -> None:
        mean, std = (MEAN, STD) if config is None else ([255 * x for x in part] for part in (config.mean, config.std))
        papers = all(math.isclose(x, y, rel_tol=1e-6) for x, y in zip((*mean, *std), (*MEAN, *STD), strict=True))
        gain, offset = (
            torch.tensor(STD) / torch.tensor(std),
            (torch.tensor(MEAN) - torch.tensor(mean)) / torch.tensor(std),
        )
        for name, values in (("gain", gain), ("offset", offset)):
            self.register_buffer(name, None if papers else values.view(3, 1, 1), persistent=False)

    def _freeze(self, rank: int, alpha: float) -> None:
        if self.tune == "frozen":
            self.requires_grad_(False).eval()
        elif self.tune == "lora" and not add_low_rank_(self.model, rank, alpha):
            raise ValueError(
                f"network.backbone.tune=lora acts on linear layers, and {self.name} has none; choose full or frozen."
            )

    def _add_mask_token(self, token: Tensor | None) -> None:
        try:
            if not isinstance(self.model, PlainPyramid):
                raise ValueError("it is not a plain transformer")  # noqa: TRY004  a choice of a config
            add_mask_token_(self.model.model, token)
        except ValueError as error:
            raise ValueError(
                f"network.backbone.mask_token=true does not fit {self.name} ({error}); set it to false, and "
                "method.masked.hide=pixels."
            ) from error

    def _load(self, path: str) -> Tensor | None:
        """Load the weights of a file; returns its mask token, if it has one."""
        state = mit_to_timm(read_state_dict(path))
        token = state.pop(MASK_TOKEN, None)
        with torch.device("meta"):
            full = timm.create_model(self.name, **self.options)
        own = self.model.state_dict()
        names = places(full.state_dict(), own)
        unused = {new for new in names.values() if new not in own}
        renamed = {names.get(key, key): value for key, value in state.items() if not _is_head(key)}
        load_checked(self.model, renamed, str(path), unused)
        return None if token is None else token.flatten()

    @torch.no_grad()
    def _check(self) -> None:
        # Two cells of the coarsest level, so that a wrong axis order cannot look right by accident.
        side = 2 * max(self.strides)
        maps = self._try(torch.zeros(1, 3, side, side))
        # Asked once, of the level with the fewest cells: of larger images, rows can equal channels by chance.
        self.channels_last = maps[-1].shape[1] != self.channels[-1]
        order = (3, 1, 2) if self.channels_last else (1, 2, 3)
        shapes = [tuple(x.shape[axis] for axis in order if axis < x.dim()) for x in maps]
        wanted = [(c, *self._cells(s, side)) for c, s in zip(self.channels, self.strides, strict=True)]
        if shapes != wanted or self.strides != sorted(self.strides):
            raise ValueError(
                f"{self.name} gives feature maps {shapes} of strides {self.strides} for an image of {side} "
                f"x {side}, where a pyramid from fine to coarse is needed; choose a backbone whose strides "
                "double, e.g. mit_b5 or resnet50, or other levels."
            )
        self.fills = self._needs_whole_cells(side)

    def _cells(self, stride: int, side: int) -> tuple[int, int]:
        if isinstance(self.model, PlainPyramid) and self.input_scale is not None:
            return self.model.cells(stride, (side, side))
        return side // stride, side // stride

    def _needs_whole_cells(self, side: int) -> int:
        """Return the pixels of which sides must be multiples; 1 for an encoder that pads by itself."""
        if self.input_scale is not None:
            return 1
        with contextlib.suppress(Exception):
            axis = -2 if not self.channels_last else 1
            rows = [x.shape[axis] for x in self.eval().model(torch.zeros(1, 3, side + 1, side))]
            if rows == [-(-(side + 1) // stride) for stride in self.strides]:
                return 1
        return max(self.strides)

    def _try(self, image: Tensor) -> list[Tensor]:
        try:
            maps: list[Tensor] = self.eval().model(image)
        except Exception as error:
            size = " x ".join(map(str, image.shape[-2:]))
            why = f"it cannot encode an image of {size}, and crops, windows and images have many sizes"
            raise unsupported(self.name, f"{why}: {reason_of(error)}") from error
        return maps


def _exchange_drop_paths(model: nn.Module) -> None:
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, TimmDropPath):
                setattr(module, name, DropPath(child.drop_prob) if child.drop_prob else nn.Identity())


def _is_head(key: str) -> bool:
    return key.startswith(("head.", "classifier.", "decode_head."))
