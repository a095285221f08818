"""Everything that is known of the files of one split."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from hrda_lit.data.folder import Part, Sample
from hrda_lit.inspecting.cache import Cache
from hrda_lit.inspecting.files import Header, decode, read_header


@dataclass(frozen=True)
class Survey:
    """What was seen of a part.

    Args:
        part: which.
        samples: its files, those that can be used.
        headers: by file.
        ids: pixels by id of each label that was read; a fault in words where it cannot be read.
        left_out: images that were left out because they are broken.
    """

    part: Part
    samples: list[Sample]
    headers: dict[Path, Header]
    ids: dict[Path, Counter[int] | str] = field(default_factory=dict)
    left_out: tuple[Path, ...] = ()

    @property
    def raw(self) -> Counter[int]:
        """Return the pixels of each id, as files hold them, of all labels that were read."""
        used = {sample.label for sample in self.samples}
        readable = (ids for path, ids in self.ids.items() if path in used and not isinstance(ids, str))
        return sum(readable, Counter())

    @property
    def pixels(self) -> Int64[Tensor, "256"]:
        """Return the pixels of each train id."""
        counts, table = torch.zeros(256, dtype=torch.int64), self.part.dataset.labels.table.tolist()
        for raw, number in self.raw.items():
            counts[table[raw]] += number
        return counts

    @property
    def complete(self) -> bool:
        """Tell whether every label was read."""
        return all(sample.label in self.ids for sample in self.samples)

    def without(self, images: Iterable[Path]) -> "Survey":
        """Leave images out, here and whenever the data set is listed."""
        out = tuple(images)
        self.part.dataset.leave_out(out)
        kept = [sample for sample in self.samples if sample.image not in set(out)]
        return replace(self, samples=kept, left_out=(*self.left_out, *out))


def survey(part: Part, cache_dir: Path, every: bool) -> Survey:
    """Look at the header of every file of a part.

    Args:
        part: which.
        cache_dir: where what was seen is kept.
        every: whether images are decoded to the last pixel.

    Raises:
        FileNotFoundError: if there are no images.
    """
    samples = part.dataset.pairs(part.split, part.labelled)
    cache = Cache(cache_dir, f"{'decoded' if every else 'headers'} {part.dataset.root.absolute()}")
    files = [path for sample in samples for path in sample if path is not None]
    found = cache(files, decode if every else read_header, lambda seen: Header(*seen), f"looking at {part}")
    return Survey(part, samples, found)


def count_ids(seen: Survey, labels: Iterable[Path], cache_dir: Path) -> Survey:
    """Count the ids of some labels.

    Args:
        seen: of their headers.
        labels: which.
        cache_dir: where counts are kept.
    """
    dataset = seen.part.dataset
    cache = Cache(cache_dir, f"ids {dataset.root.absolute()} {dataset.labels.key}")
    fit = [path for path in labels if path in seen.headers and not seen.headers[path].fault]

    def count(path: Path) -> dict[int, int] | str:
        try:
            return dict(dataset.labels.count(path))
        except (ValueError, OSError) as error:
            return str(error)

    found = cache(fit, count, _parse_ids, f"reading labels of {seen.part}")
    return replace(seen, ids={**seen.ids, **found})


def _parse_ids(seen: Any) -> Counter[int] | str:
    # JSON turns ids into text.
    return seen if isinstance(seen, str) else Counter({int(raw): int(number) for raw, number in dict(seen).items()})


def spread(samples: list[Sample], count: int) -> list[Path]:
    """Choose the labels of some samples, evenly over all."""
    total = min(count, len(samples))
    chosen = (samples[len(samples) * index // total] for index in range(total))
    return [sample.label for sample in chosen if sample.label is not None]
