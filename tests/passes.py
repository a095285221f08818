"""A method's step: what is drawn, then what is computed."""

from collections.abc import Iterator

from hrda_lit.methods.base import Batch, Method, Networks, Pass
from hrda_lit.ops.rng import generator


def steps(method: Method, batch: Batch, networks: Networks, seed: int = 0) -> Iterator[Pass]:
    drawn = method.draw(networks.student, batch["source"]["image"].shape, generator(seed))
    return method.passes(batch, networks, drawn)
