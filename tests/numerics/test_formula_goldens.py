"""The formulas against numbers of the authors' released code."""

import copy

import pytest
import torch
from goldens import Golden
from torch import Tensor, nn

from hrda_lit.data.classes import classes_from
from hrda_lit.inference.iou import class_iou, mean_iou
from hrda_lit.methods.base import supervise
from hrda_lit.networks.segmentor import Output, SingleScaleSegmentor, TrainingOutput
from hrda_lit.ops.boxes import Box, DeviceBox
from hrda_lit.ops.colour import Jitter, gaussian_blur, jitter
from hrda_lit.ops.losses import downscale_label, feature_distance, pixel_weighted_cross_entropy, thing_mask
from hrda_lit.ops.masks import batch_classes, block_mask, class_mask, paste
from hrda_lit.ops.normalise import denormalise, renormalise
from hrda_lit.ops.pseudo_labels import pseudo_labels, weight_map
from hrda_lit.optim import AdamWPoly
from hrda_lit.training.ema_teacher import detached, ema_momentum, ema_update_

CLASSES = classes_from("cityscapes")


@pytest.fixture(scope="module")
def losses() -> Golden:
    return Golden("d2_losses")


def label_of(golden: Golden) -> Tensor:
    return golden["label"].squeeze(1).long()


def test_cross_entropy(losses: Golden) -> None:
    for name, weight in (("single_nw", None), ("single_w", losses["weight"])):
        ours = pixel_weighted_cross_entropy(losses["fused"], label_of(losses), weight)
        assert float(ours) == pytest.approx(float(losses[name][0]), rel=1e-6)


def test_cross_entropy_of_an_image_without_labels(losses: Golden) -> None:
    logits = losses["fused"].requires_grad_()
    loss = pixel_weighted_cross_entropy(logits, torch.full_like(label_of(losses), 255))
    loss.backward()
    assert loss.item() == float(losses["all_ignored"][0]) == 0
    assert not logits.grad.any()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("lambda_d", [0.1, 0.4])
def test_fused_and_detail_loss(losses: Golden, lambda_d: float, weighted: bool) -> None:
    label, box = label_of(losses), Box(*losses["crop_box"].tolist())
    fused, detail = losses["fused"].requires_grad_(), losses["hr"].requires_grad_()
    outputs = [Output(fused, None, 1 - lambda_d), Output(detail, DeviceBox.of(box), lambda_d)]
    loss = supervise(TrainingOutput(outputs, fused), label, CLASSES, losses["weight"] if weighted else None)
    loss.backward()
    key = f"hr{lambda_d}_lr0.0_{'w' if weighted else 'nw'}"
    assert loss.item() == pytest.approx(losses.json(key)["loss"], rel=1e-6)
    if (lambda_d, weighted) in ((0.1, False), (0.4, True)):
        losses.check(f"{key}_grad_fused", fused.grad, rtol=1e-5, atol=1e-10)
        losses.check(f"{key}_grad_hr", detail.grad, rtol=1e-5, atol=1e-10)


@pytest.mark.parametrize("tau", [0.968, 0.5, 0.0, 1.1])
def test_pseudo_labels(tau: float) -> None:
    golden = Golden("d3_pseudo")
    made = pseudo_labels(golden["logits"], tau)
    weight = weight_map(made.q, golden["valid_pseudo_mask"].squeeze(1).float())
    assert torch.equal(made.label, golden["tau0.968_label"].long())
    assert float(made.q) == pytest.approx(float(golden[f"tau{tau}_q"]), rel=1e-6)
    golden.check(f"tau{tau}_weight_validmask", weight, atol=1e-7)


@pytest.fixture(scope="module")
def mixing() -> Golden:
    return Golden("d4_classmix")


def test_classmix(mixing: Golden) -> None:
    label = mixing["label"].squeeze(1)
    present = batch_classes(label)
    classes = present.nonzero().flatten()
    assert torch.equal(classes, mixing["batch_classes"])
    chosen = torch.zeros(2, 256, dtype=torch.bool)
    for one, name in zip(chosen, ("choice0", "choice1"), strict=True):
        one[classes[mixing[name]]] = True
    mask = class_mask(label, chosen)
    assert torch.equal(mask, mixing["mask"].squeeze(1).bool())
    assert torch.equal(paste(mask, mixing["img"], mixing["target_img"]), mixing["mixed_img"])
    assert torch.equal(paste(mask, label, mixing["pseudo_label"]), mixing["mixed_label"].squeeze(1))
    weight = mixing["pseudo_weight"]
    assert torch.equal(paste(mask, torch.ones_like(weight), weight), mixing["mixed_weight"])


@pytest.mark.parametrize("sigma", [0.3, 1.1])
def test_blur(mixing: Golden, sigma: float) -> None:
    made = gaussian_blur(mixing["img"][0], torch.tensor(sigma), taps=(5, 7))
    mixing.check(f"blur_s{sigma}", made.unsqueeze(0), atol=1e-6)


@pytest.mark.parametrize("run", range(3))
def test_jitter(mixing: Golden, run: int) -> None:
    drawn = mixing.json(f"jitter{run}_params")
    kinds = ("brightness", "contrast", "saturation", "hue")
    factors = Jitter(torch.tensor([drawn[f"{kind}_factor"][0] for kind in kinds]), torch.tensor(drawn["order"]))
    made = renormalise(jitter(denormalise(mixing["img"][0]), factors))
    mixing.check(f"jitter{run}_out", made.unsqueeze(0), rtol=1e-4, atol=1e-4)


def test_feature_distance() -> None:
    golden = Golden("d5_featdist")
    label, things = golden["label"].squeeze(1), frozenset(golden["fd_classes"].tolist())
    small = downscale_label(label, int(golden["scale_factor"]), 0.75, 19)
    mask = thing_mask(small, things)
    assert torch.equal(small, golden["down_label"].squeeze(1))
    assert torch.equal(mask, golden["mask"].squeeze(1))
    student = golden["f_student"].requires_grad_()
    loss = 0.005 * feature_distance(student, golden["f_imnet"], mask)
    loss.backward()
    assert loss.item() == pytest.approx(float(golden["loss"]), rel=1e-6)
    golden.check("grad", student.grad, atol=1e-9)
    everywhere = feature_distance(golden["f_student"], golden["f_imnet"])
    assert float(everywhere) == pytest.approx(float(golden["nomask_dist"]), rel=1e-6)


def test_feature_distance_of_an_empty_mask() -> None:
    golden = Golden("d5_featdist")
    student = golden["f_student"].requires_grad_()
    loss = feature_distance(student, golden["f_imnet"], torch.zeros(2, 4, 6, dtype=torch.bool))
    loss.backward()
    assert torch.isnan(golden["empty_loss"]), "the official value is NaN"
    assert loss.item() == 0
    golden.check("empty_grad", student.grad, rtol=0, atol=0)


def test_feature_distance_of_equal_features() -> None:
    golden = Golden("d5_featdist")
    student = golden["f_imnet"].clone().requires_grad_()
    feature_distance(student, golden["f_imnet"]).backward()
    assert float(student.grad.abs().max()) == float(golden["same_grad_absmax"]) == 0


@pytest.mark.parametrize("alpha", [0.999, 0.99])
def test_ema(alpha: float) -> None:
    golden, key = Golden("d7_ema"), f"a{alpha}"
    student = nn.ParameterDict({"scalar": torch.zeros(()), "vec": torch.zeros(3)})
    teacher = copy.deepcopy(student).requires_grad_(False)
    for row, step in enumerate(golden["iters"].tolist()):
        assert ema_momentum(step, alpha) == pytest.approx(float(golden[f"{key}_alpha"][row]), rel=1e-12)
        for name in student:
            student[name].data = golden[f"{key}_student_{name}"][row].clone()
        ema_update_(detached(teacher), detached(student), step, alpha)
        for name in student:
            torch.testing.assert_close(teacher[name].data, golden[f"{key}_teacher_{name}"][row])


def test_learning_rates() -> None:
    golden = Golden("d8_lr")
    network = SingleScaleSegmentor(nn.Linear(1, 1), nn.Linear(1, 1), 2)  # type: ignore[arg-type]
    optimizer, scheduler = AdamWPoly().build(network, 40000)
    expected = dict(zip(golden["iters"].tolist(), golden["lr"].tolist(), strict=True))
    optimizer.step()
    for step, wanted in expected.items():
        scheduler.last_epoch = step - 1
        scheduler.step()
        rates = {group["name"]: group["lr"] for group in optimizer.param_groups}
        assert [rates["backbone"], rates["head"]] == pytest.approx(wanted, rel=1e-9), step


@pytest.mark.parametrize("run", range(3))
def test_block_mask(run: int) -> None:
    golden = Golden("d10_mask")
    block, ratio, batch, height, width = golden[f"c{run}_cfg"].tolist()
    draws = golden[f"c{run}_rand"]
    assert draws.shape == (batch, 1, round(height / block), round(width / block))
    mask = block_mask(draws, ratio, (int(height), int(width)))
    assert torch.equal(mask, golden[f"c{run}_mask"].bool())
    if run == 2:
        assert torch.equal(golden["c2_img"] * mask, golden["c2_masked"])


def test_miou() -> None:
    golden = Golden("d11_miou")
    count = int(golden["num_classes"])
    label, prediction = golden["gt"].long(), golden["pred"].long()
    known = label != 255
    confusion = torch.zeros(count, count, dtype=torch.long)
    confusion.index_put_((label[known], prediction[known]), torch.tensor(1), accumulate=True)
    iou = class_iou(confusion)
    torch.testing.assert_close(iou, golden["IoU"], equal_nan=True)
    assert mean_iou(iou) == pytest.approx(float(golden["mIoU"]), rel=1e-12)
