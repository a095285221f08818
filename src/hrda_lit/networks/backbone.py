"""The feature encoder f^E: any timm model as a checked NCHW pyramid."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hrda_lit.config.ranges import KeysOf, Length, Level, Scale
from hrda_lit.networks import timm_models
from hrda_lit.networks.encoder_layers import LowRank, add_low_rank_, add_mask_token_, exchange_drop_paths_
from hrda_lit.networks.plain import STAGES, PlainPyramid, stage_ends, stage_strides
from hrda_lit.networks.weights import load_checked, read_encoder
from hrda_lit.ops.normalise import MEAN, STD
from hrda_lit.ops.resize import fill_up
from hrda_lit.system.text import reason_of

MASK_TOKEN = "mask_token"  # its name in weight files of DINOv2, BEiT and their kin
_HEADS = ("head.", "classifier.", "decode_head.")  # beginnings of names in weight files that no encoder has


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
        lora: rank and factor of these differences, see `LowRank`; None for its defaults.
        input_scale: factor by which a plain transformer's images are resized to whole patches, see
            `PlainPyramid`; None fills them up instead.
        mask_token: whether a plain transformer gets a token for hidden patches, of the weight file or random,
            which is learned whatever `tune` says.

    Attributes:
        channels: channels of each level.
        strides: pixels per cell of each level.
        least: side in pixels of the smallest image that can be encoded.
        pretrained: whether weights were loaded.

    Raises:
        ValueError: if timm does not know the model, it is not a pyramid, the weights do not fit, or it has
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
        options: Annotated[Mapping[str, Any], KeysOf(timm_models.TimmOptions, others=True)] | None = None,
        tune: Literal["full", "frozen", "lora"] = "full",
        lora: Annotated[Mapping[str, Any], KeysOf(LowRank)] | None = None,
        input_scale: Scale | None = None,
        mask_token: bool = False,
    ) -> None:
        super().__init__()
        self.name, self.weights, self.options, self.tune = name, weights, dict(options or {}), tune
        self.pretrained, self.input_scale = weights is not None, input_scale
        timm_models.check_backbone(name, weights, self.options)
        self.model, self.channels, self.strides = self._build(tuple(levels))
        exchange_drop_paths_(self.model)
        # Without BatchNorm, an image's features do not depend on the others of its batch.
        self.independent = not any(isinstance(m, _BatchNorm) for m in self.model.modules())
        token = None if weights in (None, timm_models.IMAGENET) else self._load(str(weights))
        self._check()
        self.train()
        self._freeze(LowRank(**lora or {}))
        patches = self.model.model if isinstance(self.model, PlainPyramid) else None
        if mask_token and not add_mask_token_(patches, token):
            raise ValueError(
                f"network.backbone.mask_token=true needs patches that one convolution embeds, which {name} does "
                "not have; set it to false, and method.masked.hide=pixels."
            )

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B C h w"]]:
        """Encode normalised images into feature maps of ceil(H / stride) x ceil(W / stride), finest first.

        Args:
            image: three channels, and where there is a mask token perhaps a fourth: 1 where patches are
                hidden.
        """
        if self.gain is not None and self.offset is not None:
            colours = image[:, :3] * self.gain + self.offset
            image = colours if image.shape[1] == 3 else torch.cat([colours, image[:, 3:]], dim=1)
        if self.fills == 1:
            return [self._channels_first(x) for x in self.model(image)]
        maps, (height, width) = self.model(fill_up(image, self.fills)), image.shape[-2:]
        return [
            self._channels_first(x)[..., : -(-height // stride), : -(-width // stride)]
            for x, stride in zip(maps, self.strides, strict=True)
        ]

    def train(self, mode: bool = True) -> "Backbone":
        """Set training mode; a frozen encoder stays as it is in evaluation."""
        return super().train(mode and self.tune != "frozen")

    def encode_all(self, *images: Float[Tensor, "B 3 H W"]) -> list[list[Float[Tensor, "B C h w"]]]:
        """Encode several batches, in one call if they have one size and the encoder no BatchNorm.

        Returns:
            The feature maps of each batch.
        """
        if not self.independent or len({image.shape[1:] for image in images}) > 1:
            return [self(image) for image in images]
        maps = self(torch.cat(images))
        batches, start = [], 0
        for image in images:
            end = start + image.shape[0]  # not split() nor len(): a graph of any batch size can hold neither
            batches.append([x[start:end] for x in maps])
            start = end
        return batches

    def layers(self) -> dict[str, int]:
        """Number the layers of the encoder, the stem first, and return the layer of each parameter."""
        numbers = timm_models.layer_numbers(self.model, timm_models.create_whole(self.name, self.options))
        return {f"model.{name}": layer for name, layer in numbers.items()}

    def _build(self, levels: tuple[int, ...]) -> tuple[nn.Module, list[int], list[int]]:
        """Return the encoder with channels and strides of its levels."""
        strides = timm_models.list_strides(self.name, self.options)
        if len(strides) > 1 and len(set(strides)) == 1:
            return self._build_plain(levels, strides[0])
        if self.input_scale is not None:
            raise ValueError(
                f"network.backbone.input_scale={self.input_scale:g}: expected null, since {self.name} is not a "
                "plain transformer; set it to null, or choose one, e.g. network/backbone=dinov2_large."
            )
        if not all(-len(strides) <= level < len(strides) for level in levels):
            raise ValueError(
                f"network.backbone.levels={list(levels)}: expected indices of the {len(strides)} feature maps of "
                f"{self.name}, whose strides are {strides}; set "
                f"network.backbone.levels={list(range(-min(4, len(strides)), 0))}."
            )
        shape = {"features_only": True, "out_indices": levels, **self.options}
        model = timm_models.create_model(self.name, self.weights, {"strict_img_size": False}, **shape)
        self._normalise_as(model)
        return model, list(model.feature_info.channels()), list(model.feature_info.reduction())

    def _build_plain(self, levels: tuple[int, ...], patch: int) -> tuple[nn.Module, list[int], list[int]]:
        shape = {"num_classes": 0, **self.options}
        model = timm_models.create_model(self.name, self.weights, {"dynamic_img_size": True}, **shape)
        self._normalise_as(model)
        if not all(hasattr(model, name) for name in ("blocks", "embed_dim", "forward_intermediates")):
            raise timm_models.unsupported(self.name, "its maps have one stride, and it is not a sequence of blocks")
        depth = len(model.blocks)
        if depth < STAGES or any(not -STAGES <= level < STAGES for level in levels):
            raise ValueError(
                f"network.backbone.levels={list(levels)}: expected levels from -4 to -1 of {self.name}, whose "
                f"{depth} blocks are taken for four stages; choose others, or an encoder of at least four blocks."
            )
        blocks = [stage_ends(depth)[level] for level in levels]
        model.prune_intermediate_layers(blocks, prune_norm=False, prune_head=True)
        strides = [stage_strides(patch / (self.input_scale or 1))[level] for level in levels]
        pyramid = PlainPyramid(model, patch, blocks, strides, self.input_scale)
        return pyramid, [int(model.embed_dim)] * len(levels), strides

    def _normalise_as(self, model: nn.Module) -> None:
        """Store the map from the papers' normalisation to that of the model's weights, where they differ."""
        pretrained = getattr(model, "pretrained_cfg", None) or {}
        mean = [255 * value for value in pretrained["mean"]] if "mean" in pretrained else MEAN
        std = [255 * value for value in pretrained["std"]] if "std" in pretrained else STD
        same = all(math.isclose(x, y, rel_tol=1e-6) for x, y in zip((*mean, *std), (*MEAN, *STD), strict=True))
        gain = torch.tensor(STD) / torch.tensor(std)
        offset = (torch.tensor(MEAN) - torch.tensor(mean)) / torch.tensor(std)
        self.register_buffer("gain", None if same else gain.view(3, 1, 1), persistent=False)
        self.register_buffer("offset", None if same else offset.view(3, 1, 1), persistent=False)

    def _freeze(self, lora: LowRank) -> None:
        if self.tune == "frozen":
            self.requires_grad_(False).eval()
        elif self.tune == "lora" and not add_low_rank_(self.model, lora):
            raise ValueError(
                f"network.backbone.tune=lora acts on linear layers, and {self.name} has none; choose full or frozen."
            )

    def _load(self, path: str) -> Tensor | None:
        """Load the weights of a file; returns its mask token, if it has one."""
        given, full = read_encoder(path), timm_models.create_whole(self.name, self.options)
        own = self.model.state_dict()
        state = timm_models.to_timm_layout(self.name, given, full)
        token = state.pop(MASK_TOKEN, given.get(MASK_TOKEN))
        names = timm_models.places(full.state_dict(), own)
        unused = {new for new in names.values() if new not in own}
        renamed = {names.get(key, key): value for key, value in state.items() if not key.startswith(_HEADS)}
        load_checked(self.model, renamed, path, self.name, unused)
        return None if token is None else token.flatten()

    @torch.no_grad()
    def _check(self) -> None:
        # Two cells of the coarsest level, so that a wrong axis order cannot look right by accident.
        side = 2 * max(self.strides)
        maps = self._encode_zeros(side, side)
        if isinstance(maps, Exception):
            why = f"it cannot encode an image of {side} x {side}: {reason_of(maps)}"
            raise timm_models.unsupported(self.name, why) from maps
        # Found once, at the level with the fewest cells: of larger images, rows can equal channels by chance.
        self.channels_last = maps[-1].dim() == 4 and maps[-1].shape[1] != self.channels[-1]
        shapes = [tuple(self._channels_first(x).shape[1:]) for x in maps]
        expected = [(c, *self._cells(s, side)) for c, s in zip(self.channels, self.strides, strict=True)]
        if shapes != expected or self.strides != sorted(self.strides):
            raise ValueError(
                f"network.backbone.name={self.name} gives maps {shapes} of strides {self.strides} for an image of "
                f"{side} x {side}: expected a pyramid from fine to coarse; choose an encoder whose strides "
                "double, e.g. mit_b5 or resnet50, or other levels."
            )
        self._find_sizes(side)

    def _find_sizes(self, side: int) -> None:
        """Find the sides that the encoder takes, of which that of `side` pixels is one."""
        odd = self._encode_zeros(side + 1, side)
        rows = [] if isinstance(odd, Exception) else [self._channels_first(x).shape[-2] for x in odd]
        pads = self.input_scale is not None or rows == [-(-(side + 1) // stride) for stride in self.strides]
        self.fills = 1 if pads else max(self.strides)  # pixels of which sides must be multiples
        refuses_one = pads and isinstance(self._encode_zeros(1, 1), Exception)
        self.least = max(self.strides) if refuses_one else 1

    def _cells(self, stride: int, side: int) -> tuple[int, int]:
        if isinstance(self.model, PlainPyramid) and self.input_scale is not None:
            return self.model.cells(stride, (side, side))
        return side // stride, side // stride

    def _encode_zeros(self, height: int, width: int) -> list[Tensor] | Exception:
        """Return the maps of an image of zeros, or the error of an encoder that refuses its size."""
        try:
            maps: list[Tensor] = self.eval().model(torch.zeros(1, 3, height, width))
        except Exception as error:  # timm's models refuse in many ways
            return error
        return maps

    def _channels_first(self, x: Tensor) -> Tensor:
        return x.permute(0, 3, 1, 2) if self.channels_last else x
