"""From train ids back to the numbers that a data set's own label files hold."""

from collections.abc import Mapping

import torch
from jaxtyping import UInt8
from torch import Tensor

from hrda_lit.data.classes import ID_MAPS, Classes, id_table


def raw_table(spec: str | Mapping[int, int] | None, classes: Classes) -> UInt8[Tensor, "256"]:
    """Make the lookup table from train id to raw id; of several raw ids of a class, the first listed.

    Args:
        spec: see `classes.id_table`; None keeps train ids.
        classes: what the train ids index.

    Returns:
        The raw id of each train id; `classes.ignore` elsewhere.

    Raises:
        ValueError: if `spec` does not fit, or names no raw id for a class.
    """
    id_table(spec, classes)  # refuses what does not fit
    table = torch.full((256,), classes.ignore, dtype=torch.uint8)
    ids = {i: i for i in range(len(classes))} if spec is None else ID_MAPS[spec] if isinstance(spec, str) else spec
    for raw, train in reversed(list(ids.items())):
        if train != classes.ignore:
            table[train] = raw
    if without := [name for index, name in enumerate(classes.names) if index not in ids.values()]:
        raise ValueError(f"the id map has no raw id for the classes {without}; add them, or set ids=train.")
    return table
