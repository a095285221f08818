"""A method's step: what is drawn, then what is computed."""

from collections.abc import Iterator

import torch

from hrda_lit.methods.base import Batch, Method, Networks, Pass
from hrda_lit.ops.rng import generator


def steps(method: Method, batch: Batch, networks: Networks, seed: int = 0) -> Iterator[Pass]:
    drawn = method.draw(networks.student, batch["source"]["image"].shape, generator(seed))
    return method.passes(batch, networks, drawn)


def crops(name: str) -> Batch:
    """Draw two crops of 64 x 64 in each domain, of three classes; a car fills a cell of the feature distance."""
    drawn = generator(name)
    label = torch.randint(0, 3, (2, 8, 8), generator=drawn)
    label[0, 0], label[1, :7] = 255, 2
    label = label.repeat_interleave(8, 1).repeat_interleave(8, 2)
    image, target = torch.randn(2, 2, 3, 64, 64, generator=drawn)
    return {"source": {"image": image, "label": label}, "target": {"image": target, "valid": torch.ones(2, 64, 64)}}
