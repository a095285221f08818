"""Rare class sampling: images of rare classes come up more often."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int64, Num
from torch import Tensor

from hrda_lit.config.ranges import NotNegative, Number, Positive
from hrda_lit.config.values import check_arguments
from hrda_lit.data.folder import FolderDataset, Sample

log = logging.getLogger(__name__)


def class_counts(dataset: FolderDataset, samples: list[Sample], cache_dir: Path) -> Int64[Tensor, "files classes"]:
    """Count the pixels of each class in each label file, at original resolution, without ignored ones.

    A label is counted again when it or the id map changes, see `Records`.

    Raises:
        ValueError: if a label file is broken or holds ids that do not exist.

    DAFormer section 3.3, rare class sampling.
    """
    files = [sample.label for sample in samples if sample.label is not None]
    found = dataset.labels.count_files(files, cache_dir, f"counting classes of {dataset.name}")
    counts = torch.zeros(len(files), 256, dtype=torch.int64)
    for row, path in zip(counts, files, strict=True):
        ids = found[path]
        if isinstance(ids, str):
            raise ValueError(ids)  # noqa: TRY004
        row += dataset.labels.train_counts(ids)
    return counts[:, : len(dataset.classes)]


def class_probabilities(
    counts: Num[Tensor, "files classes"],
    temperature: float,
    among: Bool[Tensor, " classes"] | None = None,
) -> Float[Tensor, " classes"]:
    """Compute how often rare class sampling picks each class.

    Args:
        counts: pixels per file and class, weighted where files are drawn more or less often.
        temperature: temperature T, > 0; the smaller, the more the rarest classes prevail.
        among: classes that may be picked; None for all.

    Returns:
        P(c) = softmax((1 - f_c) / T) over those classes that occur, in float64; 0 for the others.

    Raises:
        ValueError: if no class occurs or the temperature is not positive.

    DAFormer equations 8 and 9.
    """
    if temperature <= 0:
        raise ValueError(f"temperature {temperature} of rare class sampling must be above 0; the paper has 0.01.")
    pixels = counts.sum(0).double()
    if not pixels.any():
        raise ValueError("no label file holds a pixel of any class; check the source's id_map.")
    scores = (1 - pixels / pixels.sum()) / temperature
    eligible = pixels > 0 if among is None else among & (pixels > 0)
    return scores.where(eligible, -torch.inf).softmax(0)


@check_arguments
@dataclass(frozen=True)
class RareClass:
    """Set up rare class sampling.

    Args:
        temperature: T of the paper, > 0.
        min_pixels: a file serves a class if it has more pixels of it than this, at original resolution.
        accept_ratio: a high-resolution crop is accepted if it has more than accept_ratio * min_pixels
            pixels of the class; at low resolution divided by s_T^2.
        max_tries: number of crops of one file that are judged before one is taken as it comes.
        jointly: whether a crop must have enough pixels of the class and be varied at once (VFM-UDA); else
            crops are first drawn until they are varied, and then judged by the class (DAFormer).

    DAFormer section 3.3; official: 3000 * 2.0 at high and 3000 * 0.5 at half resolution, 10 tries.
    """

    temperature: Positive = 0.01
    min_pixels: Number = 3000
    accept_ratio: NotNegative = 2.0
    max_tries: Number = 10
    jointly: bool = False

    def accept_pixels(self, downscale: float) -> float:
        """Compute how many pixels of its class a crop must exceed, at a `downscale` >= 1."""
        return self.min_pixels * self.accept_ratio / downscale**2


class RareClassSampler:
    """Pick a class by its rarity, then one of the files that have enough of it.

    `counts` are pixels at original resolution; `shares` the frequency of each file, None draws uniformly.

    Raises:
        ValueError: if no file has enough pixels of any class.

    DAFormer section 3.3.
    """

    def __init__(
        self,
        counts: Int64[Tensor, "files classes"],
        options: RareClass,
        names: Sequence[str],
        shares: Float[Tensor, " files"] | None = None,
    ) -> None:
        self.shares = shares
        self.candidates = [(column > options.min_pixels).nonzero().flatten().tolist() for column in counts.unbind(1)]
        served = torch.tensor([bool(files) for files in self.candidates])
        if not served.any():
            raise ValueError(
                f"no file has more than min_pixels={options.min_pixels} pixels of any class; lower "
                "data.rare_class.min_pixels."
            )
        # official: stops with an assertion where a class has no file; here: the class is skipped, because a
        # small dataset should train too.
        dropped = (counts.sum(0) > 0) & ~served
        if dropped.any():
            log.warning(
                "rare class sampling skips %s: no file has more than min_pixels=%d pixels of it",
                ", ".join(names[index] for index in dropped.nonzero().flatten().tolist()),
                options.min_pixels,
            )
        seen = counts if shares is None else counts * shares[:, None]
        self.probabilities = class_probabilities(seen, options.temperature, among=served)

    def pick(self, generator: torch.Generator) -> tuple[int, int]:
        """Pick a class and the index of a file."""
        chosen = draw_index(len(self.probabilities), self.probabilities, generator)
        files = self.candidates[chosen]
        shares = None if self.shares is None else self.shares[files]
        return chosen, files[draw_index(len(files), shares, generator)]


def draw_index(count: int, shares: Float[Tensor, " count"] | None, generator: torch.Generator) -> int:
    """Draw one of `count` indices, by their shares or uniformly."""
    if shares is None:
        return int(torch.randint(count, (), generator=generator))
    return int(torch.multinomial(shares, 1, generator=generator))
