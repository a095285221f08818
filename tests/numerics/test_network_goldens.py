"""The multi-resolution network against every intermediate result of the authors' released code."""

from typing import NamedTuple

import pytest
import torch
from goldens import Golden, build_segmentor
from torch import Tensor

from hrda_lit.inference.windows import Slide, Whole
from hrda_lit.methods.labelling import batch_statistics_mode
from hrda_lit.networks.multires import Context, MultiResSegmentor
from hrda_lit.ops.boxes import Box, DeviceBox, crop, mask_outside, paste, sliding_boxes
from hrda_lit.ops.resize import resize


class Case(NamedTuple):
    golden: Golden
    network: MultiResSegmentor
    image: Tensor
    box: Box

    def build(self, **kwargs: object) -> MultiResSegmentor:
        return build_segmentor(self.golden.json("cfg"), self.golden.state("sd/"), **kwargs)


@pytest.fixture(scope="module", params=["d1_net19", "d1_net5"])
def case(request: pytest.FixtureRequest) -> Case:
    golden = Golden(request.param)
    network = build_segmentor(golden.json("cfg"), golden.state("sd/"))
    return Case(golden, network, golden["img"], Box(*golden["crop_box"].tolist()))


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


def fused(network: MultiResSegmentor, image: Tensor, box: Box) -> Tensor:
    """Fuse with one detail crop, as in training."""
    return network(image, DeviceBox.of(box).offset).outputs[0].logits


def test_context_image(case: Case) -> None:
    case.golden.check("lr_img", case.network.context(case.image))


def test_feature_pyramids(case: Case) -> None:
    views = {"lr": case.network.context(case.image), "hr": crop(case.image, case.box)}
    for name, image in views.items():
        for level, features in enumerate(case.network.backbone(image)):
            case.golden.check(f"{name}_feat{level}", features)


def context_of(network: MultiResSegmentor, image: Tensor) -> Context:
    shrunk = network.context(image)
    return network._context(network.backbone(shrunk), shrunk)


def test_context_logits_and_attention(case: Case) -> None:
    context = context_of(case.network, case.image)
    case.golden.check("raw_lr_seg", context.logits)
    case.golden.check("att", context.attention)
    case.golden.check("lr_feat3", context.features)
    features = case.network.backbone(case.network.context(case.image))
    case.golden.check("raw_att_logits", case.network.fusion.attention(features))


def test_parts_of_the_training_fusion(case: Case) -> None:
    network, context = case.network, context_of(case.network, case.image)
    detail = network.head(network.backbone(crop(case.image, case.box)))
    masked = mask_outside(context.attention, DeviceBox.of(case.box.divided(8)))
    size = (case.image.shape[-2] // 4, case.image.shape[-1] // 4)
    case.golden.check("raw_hr_seg", detail)
    case.golden.check("fwd_hr_seg", detail)
    case.golden.check("fwd_att_masked", masked)
    case.golden.check("fwd_att_up", resize(masked, size))
    case.golden.check("fwd_lr_seg", (1 - masked) * context.logits)
    padded = paste(detail, DeviceBox.of(case.box.divided(4)), size)
    assert padded.shape[-2:] == size
    assert torch.equal(crop(padded, case.box.divided(4)), detail)


def test_training_forward(case: Case) -> None:
    outputs = case.network(case.image, DeviceBox.of(case.box).offset).outputs
    assert [output.weight for output in outputs] == [0.9, 0.1]
    assert outputs[0].box is None
    assert outputs[1].box.on_host() == case.box
    case.golden.check("fwd_fused_seg", outputs[0].logits)
    case.golden.check("fwd_hr_seg", outputs[1].logits)


def test_double_precision(case: Case) -> None:
    network, image = case.build().double(), case.image.double()
    context = context_of(network, image)
    for name, ours in (
        ("raw_lr_seg", context.logits),
        ("att", context.attention),
        ("fwd_fused_seg", fused(network, image, case.box)),
    ):
        case.golden.check(f"f64/{name}", ours, rtol=1e-9, atol=1e-10)


def test_whole_image(case: Case) -> None:
    views = case.network.views(case.image)
    case.golden.check("whole_hr_pred", views["detail"])
    case.golden.check("whole_fused", views["fused"])
    logits = case.network.predict(case.image)
    case.golden.check("whole_full", logits[:1])
    check_labels(logits, case.golden["whole_argmax"])
    assert torch.equal(Whole()(case.network, case.image), logits)


def test_windows_of_the_whole_image(case: Case) -> None:
    window = case.network.detail.size
    boxes = sliding_boxes(tuple(case.image.shape[-2:]), window, (window[0] // 2, window[1] // 2))
    assert [list(box.divided(4)) for box in boxes] == case.golden["whole_boxes_os4"].tolist()


def check_labels(logits: Tensor, expected: Tensor) -> None:
    """Compare the labels of all pixels where rounding cannot decide between the best two classes."""
    first, second = logits.topk(2, dim=1).values.unbind(1)
    sure = first - second > 1e-4
    assert sure.float().mean() > 0.99
    assert torch.equal(logits.argmax(1)[sure], expected.reshape(sure.shape)[sure].long())


def test_sliding_over_a_larger_image(case: Case) -> None:
    config = case.golden.json("cfg")
    slide = Slide(config["test_crop"], config["test_stride"], batch=2)
    logits = slide(case.network, case.golden["big_img"])
    case.golden.check("big_slide", logits)
    check_labels(logits, case.golden["big_argmax"])
    height, width = case.golden["big_ori_shape"].tolist()
    check_labels(resize(logits, (height, width)), case.golden["big_argmax_rescaled"])


def test_detail_windows_without_overlap(case: Case) -> None:
    views = case.build(overlap=False).views(case.image)
    case.golden.check("var_nooverlap_whole_fused", views["fused"])


def test_one_attention_map_for_all_classes(case: Case) -> None:
    case.golden.check("var_singleatt_fused", fused(case.build(attention=False), case.image, case.box))


def test_fixed_attention(case: Case) -> None:
    case.golden.check("var_fixedatt05_fused", fused(case.build(attention=0.5), case.image, case.box))


def test_teacher_normalises_with_the_batch(case: Case) -> None:
    teacher = batch_statistics_mode(case.build())
    case.golden.check("trainbn_whole_full", teacher.predict(case.image), rtol=1e-4, atol=1e-4)
    norms = {"head.fuse.bottleneck.1": "decode_head.head.fuse_layer.bottleneck.bn"}
    norms["fusion.attention.fuse.1"] = "decode_head.scale_attention.fuse_layer.bn"
    buffers = dict(teacher.named_buffers())
    for ours, official in norms.items():
        for name in ("running_mean", "running_var"):
            case.golden.check(f"trainbn_after/{official}.{name}", buffers[f"{ours}.{name}"])
