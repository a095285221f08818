"""Several sets of one class list as one: GTA5 with SYNTHIA and UrbanSyn, or Cityscapes with Mapillary."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from hrda_lit.config.ranges import Positive, Sides
from hrda_lit.data.folder import FolderDataset, Sample


class MixedDatasets:
    """Read several datasets as if they were one.

    Args:
        sets: datasets by any name; each fits its images into its own box and has its own margins.
        weights: frequency of each, relative to the others, > 0; 1 where not given.
        name: name in messages.
        size: (height, width) of one box for all, instead of their own; None leaves them.

    Raises:
        ValueError: if there is no set, their classes differ, or a weight is of none of them.
    """

    def __init__(
        self,
        sets: Mapping[str, FolderDataset],
        weights: Mapping[str, Positive] | None = None,
        name: str = "several",
        size: Sides | None = None,
    ) -> None:
        if not sets:
            raise ValueError(
                f"{name} holds no dataset; add some, e.g. +dataset@source.sets.one=gta5 "
                "+dataset@source.sets.other=synthia."
            )
        if unknown := sorted(set(weights or {}) - set(sets)):
            raise ValueError(f"weights of {name} has the keys {unknown}, which no set has; it may have {sorted(sets)}.")
        self.name, self.members = name, list(sets.values())
        self.weights = [float((weights or {}).get(key, 1)) for key in sets]
        for member in self.members:
            check_same_classes(self.members[0], member)
            member.size = member.size if size is None else (size[0], size[1])
        self.classes = self.members[0].classes
        self._owners: dict[Path, FolderDataset] = {}

    def files(self, split: str, labelled: bool) -> list[Sample]:
        """List the files of a split, one set after the other; a ValueError if two sets share a file."""
        samples = []
        for member in self.members:
            for sample in member.files(split, labelled):
                if self._owners.setdefault(sample.image, member) is not member:
                    raise ValueError(
                        f"{sample.image} is of two sets of {self.name}; correct root or images of one of them."
                    )
                samples.append(sample)
        return samples

    def read(self, sample: Sample) -> tuple[UInt8[Tensor, "3 H W"], UInt8[Tensor, "H W"] | None]:
        """Read an image and its label, see `FolderDataset.read`."""
        return self.of(sample).read(sample)

    def of(self, sample: Sample) -> FolderDataset:
        """Return the set of a sample of `files`."""
        return self._owners[sample.image]

    def shares(self, samples: list[Sample]) -> Float[Tensor, " files"]:
        """Return how often each file is drawn: the weight of its set, divided among the set's files."""
        counts = Counter(self.of(sample) for sample in samples)
        each = {one: weight / counts[one] for one, weight in zip(self.members, self.weights, strict=True)}
        shares = torch.tensor([each[self.of(sample)] for sample in samples], dtype=torch.float64)
        return shares / shares.sum()


Images = FolderDataset | MixedDatasets


def check_same_classes(one: Images, other: Images) -> None:
    """Raise a ValueError if two datasets have other class names or another ignored id."""
    a, b = one.classes, other.classes
    if (a.names, a.ignore) != (b.names, b.ignore):
        raise ValueError(
            f"{one.name} has the classes {list(a.names)} (ignore {a.ignore}) and {other.name} "
            f"{list(b.names)} (ignore {b.ignore}), need the same; correct one of them and its id_map."
        )


def dataset_configs(dataset: Mapping[str, Any]) -> list[Any]:
    """Return the configs of the sets that are read: its own, or one for each of several."""
    return [*(dataset.get("sets") or {"": dataset}).values()]


def dataset_name(dataset: Mapping[str, Any]) -> str:
    """Name a dataset; several by all of them, e.g. "gta5 + synthia"."""
    return " + ".join(map(str, dataset["sets"])) if dataset.get("sets") else str(dataset.get("name"))


def dataset_names(dataset: Mapping[str, Any]) -> set[str]:
    """Return the name of a dataset, or those of all that several are."""
    return {str(one["name"]) for one in dataset_configs(dataset) if "name" in one}
