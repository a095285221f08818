"""Patches hidden behind a mask token, for encoders that embed patches by a convolution."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from hrda_lit.networks.backbone import Backbone

VIT = {"depth": 4, "embed_dim": 16, "num_heads": 2}
FAMILIES = {
    "vit_small_patch14_dinov2": VIT | {"img_size": 56},
    "vit_small_patch16_dinov3": VIT | {"img_size": 64},
    "eva02_tiny_patch14_224": VIT | {"img_size": 56},
    "vit_base_patch16_siglip_256": VIT | {"img_size": 64},
}


def masked(image: Tensor, hidden: Tensor) -> Tensor:
    return torch.cat([image, hidden.expand(len(image), 1, *image.shape[-2:]).float()], dim=1)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("scale", [None, 1.1])
def test_what_is_hidden_does_not_count_and_what_is_seen_does(name: str, scale: float | None) -> None:
    torch.manual_seed(0)
    backbone = Backbone(name, options=FAMILIES[name], mask_token=True, input_scale=scale).eval()
    image, other = torch.rand(2, 1, 3, 112, 112)
    hidden = torch.ones(112, 112)
    for x, y in zip(backbone(masked(image, hidden)), backbone(masked(other, hidden)), strict=True):
        assert torch.equal(x, y)
    seen = backbone(masked(image, 0 * hidden))
    for x, y in zip(seen, backbone(image), strict=True):
        assert torch.equal(x, y)
    hidden[:, :56] = 0
    half = backbone(masked(image, hidden))
    assert not torch.allclose(half[-1], seen[-1])
    half[0].sum().backward()
    assert backbone.model.model.patch_embed.proj.mask_token.grad.any()


def test_each_patch_is_judged_by_its_centre() -> None:
    backbone = Backbone("vit_small_patch16_dinov3", options=FAMILIES["vit_small_patch16_dinov3"], mask_token=True)
    embed = backbone.model.model.patch_embed.proj
    with torch.no_grad():
        embed.mask_token.fill_(7)
    hidden = torch.zeros(1, 1, 32, 32)
    hidden[..., 8, 24] = 1  # the centre of the second patch of the first row
    hidden[..., 16:, :16] = 1
    hidden[..., 24, 8] = 0  # the centre of the first patch of the second row
    tokens = embed(masked(torch.rand(1, 3, 32, 32), hidden))
    assert (tokens == 7).all(1).tolist() == [[[False, True], [False, False]]]


def test_the_token_of_a_weight_file_is_taken(tmp_path: Path) -> None:
    name, options = "vit_small_patch14_dinov2", FAMILIES["vit_small_patch14_dinov2"]
    state = Backbone(name, options=options).model.model.state_dict()
    torch.save(state | {"mask_token": torch.full((1, 16), 3.0)}, tmp_path / "vit.pth")
    backbone = Backbone(name, str(tmp_path / "vit.pth"), options=options, mask_token=True, tune="frozen")
    learned = {key: value for key, value in backbone.named_parameters() if value.requires_grad}
    assert list(learned) == ["model.model.patch_embed.proj.mask_token"]
    assert learned.popitem()[1].eq(3).all()
    assert Backbone(name, str(tmp_path / "vit.pth"), options=options).pretrained


def test_names_of_weights_stay(tmp_path: Path) -> None:
    name, options = "vit_small_patch14_dinov2", FAMILIES["vit_small_patch14_dinov2"]
    plain, own = (Backbone(name, options=options, mask_token=flag).state_dict() for flag in (False, True))
    assert own.keys() - plain.keys() == {"model.model.patch_embed.proj.mask_token"}
    assert plain.keys() < own.keys()


def test_encoders_without_patches_are_refused() -> None:
    with pytest.raises(ValueError, match=r"network\.backbone\.mask_token=true .*resnet10t"):
        Backbone("resnet10t", mask_token=True)
