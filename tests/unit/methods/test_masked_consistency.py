"""The masked pass of MIC and the feature distance."""

import copy

import pytest
import torch

from hrda_lit.data.classes import Classes
from hrda_lit.methods.base import Batch, Labelled, Networks
from hrda_lit.methods.feature_distance import FeatureDistance
from hrda_lit.methods.labelling import Labeller
from hrda_lit.methods.masked_consistency import MaskedConsistency, visible
from hrda_lit.methods.self_training import SelfTraining
from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.detail_crop import DetailCrop
from hrda_lit.networks.fusion import MultiResFusion
from hrda_lit.networks.heads import ScaleAttentionHead
from hrda_lit.networks.multires import MultiResSegmentor
from hrda_lit.networks.segmentor import SingleScaleSegmentor, TrainingOutput
from hrda_lit.networks.upsample_head import UpsampleHead
from hrda_lit.ops.colour import StrongAugmentation
from hrda_lit.ops.rng import generator
from tests.passes import steps


def crops(value: float, label: int, weight: float) -> Labelled:
    image = value + torch.arange(2.0).view(2, 1, 1, 1) * torch.ones(2, 3, 32, 48)
    return Labelled(image, torch.full((2, 32, 48), label), torch.full((2, 32, 48), weight))


def prepared(masked: MaskedConsistency, source: Labelled, target: Labelled) -> Labelled:
    return masked.prepare(source, target, masked.draw(target.image.shape, generator(0)))


SOURCE, TARGET = crops(10, 1, 1.0), crops(20, 2, 0.5)


@pytest.mark.parametrize(
    ("images", "values", "labels", "weights"),
    [
        ("target", [20, 21], [2, 2], [0.5, 0.5]),
        ("source", [10, 11], [1, 1], [1, 1]),
        ("both", [10, 20], [1, 2], [1, 0.5]),
    ],
)
def test_which_images(images: str, values: list[int], labels: list[int], weights: list[float]) -> None:
    made = prepared(MaskedConsistency(ratio=0, images=images), SOURCE, TARGET)
    assert made.image.amax((1, 2, 3)).tolist() == values
    assert made.image.amin((1, 2, 3)).tolist() == values
    assert made.label[:, 0, 0].tolist() == labels
    assert made.weight[:, 0, 0].tolist() == weights


def test_halves_of_a_larger_batch() -> None:
    source, target = (Labelled(*(torch.cat([x, x]) for x in crops)) for crops in (SOURCE, TARGET))
    made = prepared(MaskedConsistency(ratio=0, images="both"), source, target)
    assert made.label[:, 0, 0].tolist() == [1, 1, 2, 2]


def test_hidden_blocks_are_the_mean_colour_and_keep_their_labels() -> None:
    made = prepared(MaskedConsistency(ratio=0.5, block=8), SOURCE, TARGET)
    blocks = made.image.unflatten(2, (4, 8)).unflatten(4, (6, 8))
    assert torch.equal(blocks.amax((3, 5)), blocks.amin((3, 5))), "blocks are hidden whole"
    hidden = made.image[:, 0] == 0
    assert 0.2 < hidden.float().mean() < 0.8
    assert (made.image[:, 0][~hidden] >= 20).all()
    assert torch.equal(made.label, TARGET.label)
    assert torch.equal(made.weight, TARGET.weight)


def test_block_shrinks_with_the_images() -> None:
    made = prepared(MaskedConsistency(ratio=0.5, block=32, downscale=4), SOURCE, TARGET)
    same = prepared(MaskedConsistency(ratio=0.5, block=8), SOURCE, TARGET)
    assert torch.equal(made.image, same.image)


def test_everything_hidden() -> None:
    assert not prepared(MaskedConsistency(ratio=1), SOURCE, TARGET).image.any()


@pytest.mark.parametrize("strong", [StrongAugmentation(1, 0.2, 1), None])
def test_own_augmentation(strong: StrongAugmentation | None) -> None:
    target = TARGET._replace(image=torch.randn(2, 3, 32, 48, generator=generator("image")))
    made = prepared(MaskedConsistency(ratio=0, augmentation=strong), SOURCE, target)
    assert torch.equal(made.image, target.image) == (strong is None)


def test_weight_scales_the_pass_and_not_the_log(classes: Classes, batch: Batch, networks: Networks) -> None:
    made = []
    for weight in (1.0, 0.25, 0.0):
        torch.manual_seed(0)
        method = SelfTraining(classes, Labeller(0.3), masked=MaskedConsistency(block=16, weight=weight))
        made.append(list(steps(method, batch, networks))[-1])
    assert made[0].loss.item() > 0
    torch.testing.assert_close(made[1].loss, 0.25 * made[0].loss)
    assert made[2].loss.item() == 0
    assert len({done.logs["loss/masked"].item() for done in made}) == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"ratio": -0.1}, "ratio=-0.1: expected"),
        ({"ratio": 1.1}, "ratio=1.1: expected"),
        ({"block": 0}, "block=0: expected"),
        ({"block": 1, "downscale": 2}, "block=1: expected at least one pixel"),
        ({"weight": -1}, "weight=-1: expected"),
        ({"hide": "classes"}, "hide=classes: expected"),
        ({"images": "all"}, "images=all: expected"),
    ],
)
def test_out_of_range_arguments(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        MaskedConsistency(**options)


def test_feature_distance_acts_on_things_alone(classes: Classes, networks: Networks) -> None:
    image = torch.randn(1, 3, 128, 128, generator=generator("image"))
    label = torch.zeros(1, 128, 128, dtype=torch.long)
    label[:, :64, 64:] = 2  # one cell of the context's features shows a car
    features = networks.student.backbone(networks.student.context(image))[-1].detach().requires_grad_()
    distance = FeatureDistance(classes)(networks, TrainingOutput([], features), image, label)
    distance.backward()
    reference = networks.imagenet(networks.student.context(image))[-1]
    assert distance.item() == pytest.approx((features - reference)[0, :, 0, 1].norm().item(), rel=1e-5)
    moved = features.grad.abs().sum(1)[0]
    assert moved[0, 1] > 0
    assert moved.count_nonzero() == 1


def test_feature_distance_of_a_crop_that_is_no_multiple_of_the_cell(classes: Classes, networks: Networks) -> None:
    # 160 / 2 / 32 = 2.5: the encoder has 3 cells, the label 2.
    image = torch.randn(1, 3, 160, 160, generator=generator("image"))
    features = networks.student.backbone(networks.student.context(image))[-1]
    distance = FeatureDistance(classes)(networks, TrainingOutput([], features), image, torch.full((1, 160, 160), 2))
    assert features.shape[-2:] == (3, 3)
    assert torch.isfinite(distance)
    assert distance > 0


def test_feature_distance_without_things_is_zero(classes: Classes, networks: Networks) -> None:
    image, label = torch.randn(1, 3, 64, 64), torch.zeros(1, 64, 64, dtype=torch.long)
    features = networks.student.backbone(networks.student.context(image))[-1]
    distance = FeatureDistance(classes)(networks, TrainingOutput([], features), image, label)
    distance.backward()
    assert distance.item() == 0
    assert not any(p.grad.any() for p in networks.student.backbone.parameters() if p.grad is not None)


def test_feature_distance_counts_both_scales_where_the_detail_crop_is_all_of_the_crop(
    classes: Classes, networks: Networks
) -> None:
    image = torch.randn(1, 3, 128, 128, generator=generator("image"))
    label = torch.zeros(1, 128, 128, dtype=torch.long)
    label[:, :64, 64:] = 2
    student = networks.student
    context, detail_features = (student.backbone(seen)[-1] for seen in (student.context(image), image))
    coarse = FeatureDistance(classes)(networks, TrainingOutput([], context), image, label)
    reference = networks.imagenet(image)[-1]
    cells = (detail_features - reference)[0, :, :2, 2:].norm(dim=0)
    both = FeatureDistance(classes)(networks, TrainingOutput([], context, detail_features), image, label)
    assert both.item() == pytest.approx(coarse.item() + cells.mean().item(), rel=1e-5)


def test_tokens_are_hidden_by_a_fourth_channel_and_pixels_stay() -> None:
    made = prepared(MaskedConsistency(ratio=0.5, block=8, hide="tokens"), SOURCE, TARGET)
    pixels = prepared(MaskedConsistency(ratio=0.5, block=8), SOURCE, TARGET)
    assert torch.equal(made.image[:, :3], TARGET.image)
    assert torch.equal(made.image[:, 3] == 1, pixels.image[:, 0] == 0)
    assert torch.equal(visible(made.image), pixels.image)
    assert visible(pixels.image) is pixels.image


@pytest.mark.parametrize("scale", [None, 1.1])
def test_blocks_no_larger_than_a_patch_hide_tokens_independently(scale: float | None) -> None:
    options = {"depth": 4, "embed_dim": 16, "num_heads": 2, "img_size": 56}
    backbone = Backbone("vit_small_patch14_dinov2", options=options, mask_token=True, input_scale=scale)
    embed, found = backbone.model.model.patch_embed.proj, list[torch.Tensor]()
    embed.register_forward_hook(lambda layer, _, out: found.append((out == layer.mask_token[:, None, None]).all(1)))
    image = torch.randn(8, 3, 448, 448, generator=generator("image"))
    crops = Labelled(image, torch.zeros(8, 448, 448), torch.ones(8, 448, 448))
    backbone(prepared(MaskedConsistency(block=8, hide="tokens"), crops, crops).image)
    hidden = found[-1].float()
    assert hidden.mean() == pytest.approx(0.7, abs=0.01)
    both = (hidden[..., 1:] * hidden[..., :-1]).mean()
    assert both == pytest.approx(0.49, abs=0.015), "neighbours are independent"


@pytest.mark.parametrize("several", [False, True])
def test_a_masked_pass_over_tokens_trains_the_mask_token(classes: Classes, batch: Batch, several: bool) -> None:
    torch.manual_seed(0)
    options = {"depth": 4, "embed_dim": 16, "num_heads": 2, "img_size": 56}
    encoder = Backbone("vit_small_patch14_dinov2", levels=[-1], options=options, input_scale=1.1, mask_token=True)
    head = UpsampleHead(encoder.channels, 3)
    fusion = MultiResFusion(ScaleAttentionHead(encoder.channels, 3, 8))
    hrda = MultiResSegmentor(encoder, head, fusion, 3, DetailCrop((32, 32)))
    student = hrda if several else SingleScaleSegmentor(encoder, head, 3)
    networks = Networks(student, copy.deepcopy(student).requires_grad_(False))
    method = SelfTraining(classes, Labeller(0.3), lambda_fd=0, masked=MaskedConsistency(block=8, hide="tokens"))
    *_, done = steps(method, batch, networks)
    done.loss.backward()
    assert encoder.model.model.patch_embed.proj.mask_token.grad.any()
    assert done.crops["masked"].image.shape[1] == 3


def test_an_odd_number_of_images_has_no_half() -> None:
    both = MaskedConsistency(images="both", block=16)
    for count in (1, 3):
        with pytest.raises(ValueError, match=f"loading.batch_size={count}.*method.masked.images"):
            both.draw((count, 3, 64, 64), torch.Generator())
    both.draw((2, 3, 64, 64), torch.Generator())
    MaskedConsistency(block=16).draw((1, 3, 64, 64), torch.Generator())
