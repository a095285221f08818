"""Domain generalisation: the source in other colours, with the labels it has."""

import pytest
import torch

from hrda_lit.data.classes import Classes
from hrda_lit.methods.base import Batch, Networks
from hrda_lit.methods.generalise import Generalise
from hrda_lit.methods.supervised import Supervised
from hrda_lit.ops.colour import StrongAugmentation
from tests.passes import steps


def test_without_augmentation_and_distance_it_is_source_only(
    classes: Classes, batch: Batch, networks: Networks
) -> None:
    networks.student.eval()
    losses = [
        next(iter(steps(method, batch, networks))).loss.item()
        for method in (Supervised(classes), Generalise(classes, lambda_fd=0))
    ]
    assert losses[0] == losses[1]


def test_the_student_sees_changed_colours_and_the_same_labels(
    classes: Classes, batch: Batch, networks: Networks
) -> None:
    method = Generalise(classes, augmentation=StrongAugmentation(jitter_probability=1))
    [done] = steps(method, batch, networks)
    source = done.crops["source"]
    assert torch.equal(source.label, batch["source"]["label"])
    assert not torch.equal(source.image, batch["source"]["image"])
    assert float(done.logs["loss/feature_distance"]) > 0
    assert float(done.loss) == pytest.approx(sum(map(float, done.logs.values())))
    assert not method.needs_target
