"""Where the papers say otherwise than the released code, the papers' rule is a key."""

import torch

from hrda_lit.data.classes import Classes
from hrda_lit.methods.base import Batch, Networks
from hrda_lit.methods.labelling import Labeller, batch_statistics_mode
from hrda_lit.methods.self_training import SelfTraining
from hrda_lit.ops.masks import choose_classes, draw_priorities, sample_classes
from hrda_lit.ops.pseudo_labels import pseudo_labels, weight_map
from hrda_lit.ops.rng import generator
from tests.passes import steps


def test_q_of_each_image() -> None:
    logits = torch.zeros(2, 3, 4, 4)
    logits[0, 1, :2] = 20  # half of the first image is sure
    logits[1, 2, :1] = 20
    batch, image = (pseudo_labels(logits, 0.9, per_image=per_image) for per_image in (False, True))
    assert float(batch.q) == 12 / 32
    assert image.q.tolist() == [8 / 16, 4 / 16]
    valid = torch.ones(2, 4, 4)
    valid[:, -1] = 0
    weights = weight_map(image.q, valid)
    assert weights[0].unique().tolist() == [0, 0.5]
    assert weights[1].unique().tolist() == [0, 0.25]


def test_classes_of_each_sample() -> None:
    label = torch.tensor([[[0, 1], [2, 255]], [[3, 3], [3, 3]]])
    present = sample_classes(label, 255)
    assert [row.nonzero().flatten().tolist() for row in present] == [[0, 1, 2], [3]]
    for seed in range(20):
        chosen = choose_classes(present, draw_priorities(2, generator(seed)))
        assert chosen.sum(1).tolist() == [2, 1], "half of its own, rounded up"
        assert not (chosen & ~present).any()


def test_both_keys_change_the_mixed_pass_alone(classes: Classes, batch: Batch, networks: Networks) -> None:
    networks.student.eval()

    # Such that some pixels are above it and others below.
    confidence = pseudo_labels(batch_statistics_mode(networks.teacher).predict(batch["target"]["image"]), 0).confidence
    tau = float(confidence.median())

    def losses(q_of: str = "batch", **keys: str) -> dict[str, float]:
        made = steps(SelfTraining(classes, Labeller(tau, q_of), **keys), batch, networks)
        return {done.name: float(done.loss.detach()) for done in made}

    usual, per_image, per_sample = losses(), losses(q_of="image"), losses(mix_classes_of="sample")
    assert usual["source"] == per_image["source"] == per_sample["source"]
    assert usual["mixed"] != per_image["mixed"]
    assert usual["mixed"] != per_sample["mixed"]
