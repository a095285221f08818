"""The passes of self-training: their names, losses and labels."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from hrda_lit.data.classes import Classes
from hrda_lit.methods.base import Batch, Labelled, Method, Networks, supervise
from hrda_lit.methods.labelling import Labeller, batch_statistics_mode
from hrda_lit.methods.masked_consistency import MaskedConsistency
from hrda_lit.methods.self_training import SelfTraining
from hrda_lit.methods.supervised import Supervised
from hrda_lit.networks.backbone import Backbone
from hrda_lit.ops.boxes import Box, crop_at
from hrda_lit.ops.colour import StrongAugmentation
from hrda_lit.ops.losses import pixel_weighted_cross_entropy
from hrda_lit.ops.rng import generator
from hrda_lit.ops.weak_jitter import WeakJitter
from tests.passes import steps

MASKED = MaskedConsistency(block=16)


def mic(classes: Classes, **options: object) -> SelfTraining:
    return SelfTraining(classes, Labeller(0.3), masked=MASKED, **options)


def mixed_by(method: SelfTraining, source: Labelled, target: Labelled) -> Labelled:
    student = SimpleNamespace(draw=lambda *_: torch.zeros(0))
    return method.mix(source, target, method.draw(student, source.image.shape, generator(2)))  # type: ignore[arg-type]


def methods(classes: Classes) -> list[Method]:
    return [Supervised(classes), SelfTraining(classes), mic(classes)]


@pytest.mark.parametrize("index", range(3))
def test_names_are_those_of_the_passes(classes: Classes, batch: Batch, networks: Networks, index: int) -> None:
    method = methods(classes)[index]
    made = list(steps(method, batch, networks))
    assert tuple(done.name for done in made) == method.names
    assert method.names == ("source", "mixed", "masked")[: index + 1]
    for done in made:
        assert done.loss.requires_grad
        assert f"loss/{done.name}" in done.logs
        assert not any(value.requires_grad for value in done.logs.values())


def test_needs(classes: Classes) -> None:
    needs = [(m.needs_target, m.needs_teacher, m.needs_imagenet) for m in methods(classes)]
    assert needs == [(False, False, False), (True, True, True), (True, True, True)]
    assert not SelfTraining(classes, lambda_fd=0).needs_imagenet


def test_supervised_needs_the_source_alone(classes: Classes, batch: Batch, networks: Networks) -> None:
    [done] = steps(Supervised(classes), {"source": batch["source"]}, Networks(networks.student))
    image, label = batch["source"]["image"], batch["source"]["label"]
    fused, detail = networks.student(image, networks.student.draw((64, 64), generator(0))).outputs
    expected = fused.weight * pixel_weighted_cross_entropy(fused.logits, label)
    expected += detail.weight * pixel_weighted_cross_entropy(detail.logits, crop_at(label, detail.box))
    assert done.loss.item() == pytest.approx(expected.item(), rel=1e-2)  # drop-out differs between the two passes


def test_loss_is_the_weighted_sum_of_the_outputs(classes: Classes, batch: Batch, networks: Networks) -> None:
    outputs = networks.student.eval()(batch["source"]["image"], torch.tensor([8, 16]))
    label, weight = batch["source"]["label"], torch.rand(2, 64, 64, generator=generator("weight"))
    fused, detail = outputs.outputs
    box = Box(8, 40, 16, 48)
    expected = 0.9 * pixel_weighted_cross_entropy(fused.logits, label, weight)
    cut = (
        label[:, box.top : box.bottom, box.left : box.right],
        weight[:, box.top : box.bottom, box.left : box.right],
    )
    expected = expected + 0.1 * pixel_weighted_cross_entropy(detail.logits, *cut)
    torch.testing.assert_close(supervise(outputs, label, classes, weight), expected)


def test_pseudo_labels_carry_no_gradient(classes: Classes, batch: Batch, networks: Networks) -> None:
    networks.teacher.requires_grad_(True)
    target = batch["target"]
    labelled, q = SelfTraining(classes, Labeller(0.3)).label_target(networks.teacher, target["image"], target["valid"])
    assert not labelled.weight.requires_grad
    assert not q.requires_grad
    assert 0 < q.item() <= 1
    assert labelled.label.shape == (2, 64, 64)
    assert torch.equal(labelled.weight, q * target["valid"])


def test_teacher_labels_as_it_would_predict(classes: Classes, batch: Batch, networks: Networks) -> None:
    image, valid = batch["target"]["image"], batch["target"]["valid"]
    labelled, q = SelfTraining(classes, Labeller(0.34)).label_target(networks.teacher, image, valid)
    probability = batch_statistics_mode(networks.teacher).predict(image).softmax(1)
    assert torch.equal(labelled.label, probability.argmax(1))
    assert q.item() == pytest.approx((probability.amax(1) >= 0.34).float().mean().item())


def test_mode_of_the_teacher(networks: Networks) -> None:
    teacher = batch_statistics_mode(networks.teacher.eval())
    kinds = {type(m).__name__: m.training for m in teacher.modules()}
    assert kinds["BatchNorm2d"]
    assert not kinds["Dropout2d"]
    assert not kinds["Dropout"]
    image = torch.randn(2, 3, 64, 64, generator=generator("image"))
    assert torch.equal(teacher.predict(image), teacher.predict(image)), "no chance is left"


def test_drop_path_of_the_teacher_is_off() -> None:
    from timm.layers import DropPath

    network = nn.Sequential(DropPath(0.9), nn.Dropout(0.9), nn.Dropout2d(0.9), nn.AlphaDropout(0.9), nn.BatchNorm2d(4))
    batch_statistics_mode(network)  # type: ignore[arg-type]
    assert [module.training for module in network] == [False, False, False, False, True]


TINY = {"embed_dims": (8, 16, 20, 32), "depths": (1, 1, 1, 1)}


@pytest.mark.parametrize(
    ("name", "options", "statistics"),
    [
        ("mit_b0", {**TINY, "attn_drop_rate": 0.5, "proj_drop_rate": 0.5, "drop_path_rate": 0.5}, False),
        ("pvt_v2_b0", {**TINY, "attn_drop_rate": 0.5, "drop_path_rate": 0.5}, False),
        ("convnext_atto", {"depths": (1, 1, 1, 1), "dims": (8, 16, 20, 32), "drop_path_rate": 0.5}, False),
        ("swin_tiny_patch4_window7_224", {"strict_img_size": False, "attn_drop_rate": 0.5, "depths": (1, 1, 1, 1),
         "embed_dim": 24}, False),
        ("densenet121", {"drop_rate": 0.5, "proj_drop_rate": 0.5, "block_config": (1, 1, 1, 1)}, True),
        ("efficientnet_b0", {"drop_rate": 0.5, "drop_path_rate": 0.5}, True),
    ],
)  # fmt: skip
def test_every_encoder_of_a_teacher_is_deterministic(name: str, options: dict[str, object], statistics: bool) -> None:
    encoder = Backbone(name, options=options)
    image = torch.randn(2, 3, 64, 64, generator=generator("image"))
    training = [encoder.train()(image)[-1] for _ in range(2)]
    assert not torch.equal(*training), "else the test shows nothing"
    first, again = (batch_statistics_mode(encoder)(image)[-1] for _ in range(2))  # type: ignore[arg-type]
    assert torch.equal(first, again)
    encoder.eval()
    assert torch.equal(encoder(image)[-1], first) != statistics, "BatchNorm looks at the batch, and nothing else does"


def test_a_teacher_whose_encoder_keeps_what_it_derives_follows_its_weights() -> None:
    class Cached(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.kept = nn.Parameter(torch.ones(1)), None

        def train(self, mode: bool = True) -> "Cached":
            self.kept = None if mode else self.kept
            return super().train(mode)

        def forward(self) -> torch.Tensor:
            self.kept = 2 * self.weight.detach() if self.kept is None else self.kept
            return self.kept

    network = Cached()
    assert batch_statistics_mode(network)().item() == 2  # type: ignore[arg-type]
    network.weight.data.add_(1)
    assert batch_statistics_mode(network)().item() == 4  # type: ignore[arg-type]


def test_mixed_crops(classes: Classes, batch: Batch) -> None:
    image, label = batch["source"]["image"], batch["source"]["label"]
    source = Labelled(image, label, torch.ones(2, 64, 64))
    target = Labelled(batch["target"]["image"], torch.full((2, 64, 64), 7), torch.full((2, 64, 64), 0.25))
    mixed = mixed_by(SelfTraining(classes), source, target)
    pasted = mixed.weight == 1
    assert 0 < pasted.float().mean() < 1
    assert torch.equal(mixed.label[pasted], label[pasted])
    assert (mixed.label[~pasted] == 7).all()
    assert (mixed.weight[~pasted] == 0.25).all()
    assert torch.equal(mixed.image, torch.where(pasted.unsqueeze(1), image, target.image))
    for one in range(2):  # classes are pasted whole: 2 of the batch's 4
        kept = set(label[one][pasted[one]].tolist())
        assert kept.isdisjoint(label[one][~pasted[one]].tolist())
        assert len(kept) <= 2


def test_mixed_labels_are_not_augmented(classes: Classes, batch: Batch) -> None:
    source = Labelled(batch["source"]["image"], batch["source"]["label"], torch.ones(2, 64, 64))
    target = Labelled(batch["target"]["image"], torch.zeros(2, 64, 64, dtype=torch.long), torch.zeros(2, 64, 64))
    strong = StrongAugmentation(jitter_probability=1, blur_probability=1)
    plain, augmented = (
        mixed_by(SelfTraining(classes, augmentation=choice), source, target) for choice in (None, strong)
    )
    assert torch.equal(plain.label, augmented.label)
    assert torch.equal(plain.weight, augmented.weight)
    assert not torch.allclose(plain.image, augmented.image, atol=0.01)


def test_feature_distance_is_part_of_the_source_loss(classes: Classes, batch: Batch, networks: Networks) -> None:
    passes = (steps(SelfTraining(classes, lambda_fd=fd), batch, networks) for fd in (0.0, 2.0))
    losses = []
    for step in passes:
        torch.manual_seed(0)
        losses.append(next(step))
    without, with_distance = losses
    distance = with_distance.logs["loss/feature_distance"]
    assert distance > 0.1
    assert "loss/feature_distance" not in without.logs
    assert torch.equal(without.logs["loss/source"], with_distance.logs["loss/source"])
    torch.testing.assert_close(with_distance.loss, without.loss + distance)


def test_step_repeats_from_its_seeds(classes: Classes, batch: Batch, networks: Networks) -> None:
    runs = []
    for seed in (0, 0, 2):
        torch.manual_seed(0)
        strong = StrongAugmentation()
        runs.append([done.loss.item() for done in steps(mic(classes, augmentation=strong), batch, networks, seed)])
    assert runs[0] == runs[1]
    assert all(a != b for a, b in zip(runs[0], runs[2], strict=True))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"lambda_fd": -1}, "lambda_fd=-1: expected"),
        ({"min_ratio": 0}, "min_ratio=0: expected"),
        ({"min_ratio": 1.1}, "min_ratio=1.1: expected"),
    ],
)
def test_out_of_range_arguments(classes: Classes, options: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        SelfTraining(classes, **options)


@pytest.mark.parametrize("tau", [-0.1, 2, float("nan")])
def test_thresholds_out_of_range(tau: float) -> None:
    with pytest.raises(ValueError, match=f"tau={tau}: expected"):
        Labeller(tau)


def test_mirrored_labels_are_those_of_the_averaged_softmax(classes: Classes, batch: Batch, networks: Networks) -> None:
    method, teacher, image = (
        SelfTraining(classes, Labeller(0.3, mirror=True)),
        networks.teacher,
        batch["target"]["image"],
    )
    labels, _ = method.label_target(teacher, image, torch.ones(2, 64, 64))
    straight, mirrored = teacher.predict(image).softmax(1), teacher.predict(image.flip(-1)).flip(-1).softmax(1)
    assert not torch.allclose(straight, mirrored)
    expected = (straight + mirrored) / 2
    torch.testing.assert_close(method.labeller.mirrored(teacher, image).softmax(1), expected)
    assert torch.equal(labels.label, expected.argmax(1))


def test_weak_jitter_spares_the_teacher(classes: Classes, batch: Batch, networks: Networks) -> None:
    jitter = WeakJitter(probability=1)
    plain, weak = (
        {key: crops for done in steps(method, batch, networks) for key, crops in done.crops.items()}
        for method in (SelfTraining(classes, Labeller(1)), SelfTraining(classes, Labeller(1), weak_jitter=jitter))
    )
    assert torch.equal(plain["target"].label, weak["target"].label), "labelled without jitter"
    changed = [key for key in plain if not torch.equal(plain[key].image, weak[key].image)]
    assert changed == ["source", "target", "mixed"]
    pasted = weak["mixed"].weight == 1  # the target's weigh 0
    assert pasted.any()
    assert torch.equal(weak["mixed"].image.movedim(1, -1)[pasted], plain["mixed"].image.movedim(1, -1)[pasted])
