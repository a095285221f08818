"""The fusion of context and detail."""

import pytest
import torch
from torch import Tensor

from hrda_lit.networks.fusion import MultiResFusion, fuse
from hrda_lit.networks.heads import DAFormerHead, ScaleAttentionHead
from hrda_lit.ops.boxes import Box, DeviceBox, crop, mask_outside, paste
from hrda_lit.ops.resize import resize
from hrda_lit.ops.rng import generator

BOX = Box(2, 6, 4, 10)  # in cells of the fused logits, 8 x 12
PLACE = DeviceBox.of(BOX)


@pytest.fixture
def logits() -> tuple[Tensor, Tensor]:
    source = generator("fusion")
    return torch.randn(2, 3, 4, 6, generator=source), torch.randn(2, 3, *BOX.size, generator=source)


def test_attention_of_zero_is_the_upsampled_context(logits: tuple[Tensor, Tensor]) -> None:
    context, detail = logits
    fused = MultiResFusion(0.0)(context, torch.zeros(2, 3, 4, 6), detail, PLACE, 2)
    torch.testing.assert_close(fused, resize(context, (8, 12)))


def test_attention_of_one_is_the_detail_inside_the_box(logits: tuple[Tensor, Tensor]) -> None:
    context, detail = logits
    fused = MultiResFusion(1.0)(context, torch.ones(2, 3, 4, 6), detail, PLACE, 2)
    # One cell from the border, where the upsampled mask is 1.
    inner = Box(BOX.top + 1, BOX.bottom - 1, BOX.left + 1, BOX.right - 1)
    torch.testing.assert_close(crop(fused, inner), detail[..., 1:-1, 1:-1])
    outside = torch.ones(8, 12, dtype=torch.bool)
    crop(outside, Box(1, 7, 3, 11)).fill_(False)
    torch.testing.assert_close(fused[..., outside], resize(context, (8, 12))[..., outside])


def test_mask_leaks_one_cell_where_the_detail_is_zero(logits: tuple[Tensor, Tensor]) -> None:
    context, detail = torch.ones(1, 3, 4, 6), torch.full((1, 3, *BOX.size), 5.0)
    fused = MultiResFusion(1.0)(context, torch.ones(1, 3, 4, 6), detail, PLACE, 2)
    # Just above the box: upsampled 1 - a is 3/4 there and the padded detail 0.
    assert fused[0, 0, BOX.top - 1, 6].item() == pytest.approx(0.75)
    assert fused[0, 0, BOX.top - 2, 6].item() == pytest.approx(1)


def test_formula_term_by_term(logits: tuple[Tensor, Tensor]) -> None:
    context, detail = logits
    attention = torch.rand(2, 3, 4, 6, generator=generator("attention"))
    masked = torch.zeros_like(attention)
    masked[:, :, 1:3, 2:5] = attention[:, :, 1:3, 2:5]
    padded = torch.zeros(2, 3, 8, 12)
    padded[:, :, 2:6, 4:10] = detail
    expected = resize((1 - masked) * context, (8, 12)) + resize(masked, (8, 12)) * padded
    torch.testing.assert_close(MultiResFusion(0.5)(context, attention, detail, PLACE, 2), expected)
    assert torch.equal(mask_outside(attention, PLACE.divided(2)), masked)
    assert torch.equal(paste(detail, PLACE, (8, 12)), padded)


def test_gradients_reach_context_attention_and_detail(logits: tuple[Tensor, Tensor]) -> None:
    context, detail = (x.requires_grad_() for x in logits)
    attention = torch.full((2, 3, 4, 6), 0.5, requires_grad=True)
    MultiResFusion(0.5)(context, attention, detail, PLACE, 2).sum().backward()
    assert context.grad.all()
    assert detail.grad.all()
    outside = torch.ones(4, 6, dtype=torch.bool)
    outside[1:3, 2:5] = False
    assert not attention.grad[..., outside].any()
    assert attention.grad[..., ~outside].any()


def test_one_map_for_all_classes_broadcasts(logits: tuple[Tensor, Tensor]) -> None:
    context, detail = logits
    padded = paste(detail, PLACE, (8, 12))
    one = torch.rand(2, 1, 4, 6, generator=generator("one"))
    torch.testing.assert_close(fuse(context, one, padded), fuse(context, one.expand(2, 3, 4, 6), padded))


def test_misaligned_box_is_refused(logits: tuple[Tensor, Tensor]) -> None:
    context, detail = logits
    with pytest.raises(ValueError, match="does not lie on a grid of 2"):
        MultiResFusion(0.5)(context, torch.ones(2, 3, 4, 6), detail, DeviceBox.of(Box(2, 5, 4, 10)), 2)


def test_fixed_attention() -> None:
    attention = MultiResFusion(0.25).attend([torch.rand(2, 8, 4, 6), torch.rand(2, 16, 2, 3)], (4, 6))
    assert torch.equal(attention, torch.full((2, 1, 4, 6), 0.25))


@pytest.mark.parametrize("value", [-0.1, 1.5])
def test_fixed_attention_out_of_range(value: float) -> None:
    with pytest.raises(ValueError, match=f"attention={value}: expected"):
        MultiResFusion(value)


def features() -> list[Tensor]:
    return [torch.randn(2, c, 32 // 2**i, 16 // 2**i) for i, c in enumerate((4, 8, 12, 16))]


@pytest.mark.parametrize(("class_wise", "maps"), [(True, 5), (False, 1)])
def test_attention_head(class_wise: bool, maps: int) -> None:
    fusion = MultiResFusion(ScaleAttentionHead([4, 8, 12, 16], 5, 8, class_wise=class_wise))
    attention = fusion.attend(features(), (32, 16))
    assert attention.shape == (2, maps, 32, 16)
    assert attention.min() > 0
    assert attention.max() < 1


def test_published_sizes_of_the_heads() -> None:
    channels = [64, 128, 320, 512]
    with torch.device("meta"):
        counts = [
            sum(p.numel() for p in head.parameters())
            for head in (DAFormerHead(channels, 19), ScaleAttentionHead(channels, 19))
        ]
    assert [round(count / 1e6, 3) for count in counts] == [3.712, 0.531]


def test_heads_begin_undecided() -> None:
    head = DAFormerHead([4, 8, 12, 16], 7, 8).eval()
    assert head(features()).shape == (2, 7, 32, 16)
    assert not head.classify.bias.any()
    assert head.classify.weight.std().item() == pytest.approx(0.01, rel=0.4)
    convolution = head.fuse.bottleneck[0].weight
    fan_out = convolution.shape[0] * 9
    assert convolution.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.1)


def test_dilations_keep_the_size() -> None:
    head = DAFormerHead([4, 8, 12, 16], 3, 8)
    dilations = [branch[0][0].dilation[0] if hasattr(branch[0], "__len__") else 1 for branch in head.fuse.branches]
    assert dilations == [1, 6, 12, 18]
    assert all(branch[0][0].groups == 32 for branch in head.fuse.branches[1:])
