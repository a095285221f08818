"""Pixels per class and file, counted once and kept in a cache folder, never among the data."""

import hashlib
import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, Num
from torch import Tensor

from hrda_lit.data.archives import state
from hrda_lit.data.folder import FolderDataset, Sample
from hrda_lit.system.files import write_atomically
from hrda_lit.system.progress import counted


def class_counts(dataset: FolderDataset, samples: list[Sample], cache_dir: Path) -> Int64[Tensor, "files classes"]:
    """Count the pixels of each class in each label file, at original resolution.

    Args:
        dataset: reads the labels.
        samples: labelled, from `dataset.files`.
        cache_dir: folder of the cache, made if missing; files, their sizes or times, or the id map changing
            makes a new entry.

    Returns:
        Pixel counts; ignored pixels count for no class.

    Raises:
        ValueError: if a label file is broken or holds strange ids.

    DAFormer section 3.3, rare class sampling.
    """
    path = cache_dir / f"class_counts_{dataset.name}_{_key(dataset, samples)}.npy"
    shape = (len(samples), len(dataset.classes))
    counts = _load(path, shape)
    if counts is None:
        counts = _count(dataset, samples)
        _save(path, counts.numpy())
    return counts


def class_probabilities(
    counts: Num[Tensor, "files classes"],
    temperature: float,
    among: Bool[Tensor, " classes"] | None = None,
) -> Float[Tensor, " classes"]:
    """Compute how often rare class sampling picks each class.

    Args:
        counts: pixels per file and class, weighted where files are drawn more or less often.
        temperature: > 0; the smaller, the more the rarest classes prevail.
        among: which classes may be picked; None for all.

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


def _count(dataset: FolderDataset, samples: list[Sample]) -> Int64[Tensor, "files classes"]:
    def count(sample: Sample) -> Tensor:
        assert sample.label is not None, "statistics need labelled samples"
        label = dataset.read_label(sample.label)
        return torch.bincount(label.flatten(), minlength=256)[: len(dataset.classes)]

    # Threads suffice: decoding and counting release the interpreter's lock.
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        text = f"counting classes of {dataset.name}"
        return torch.stack(list(counted(pool.map(count, samples), text, len(samples))))


def _key(dataset: FolderDataset, samples: list[Sample]) -> str:
    digest = hashlib.blake2b(digest_size=12)
    digest.update(dataset.labels.key.encode())
    for sample in samples:
        assert sample.label is not None, "statistics need labelled samples"
        relative = sample.label.relative_to(dataset.root).as_posix()
        digest.update(repr((relative, *state(sample.label))).encode())
    return digest.hexdigest()


def _load(path: Path, shape: tuple[int, int]) -> Tensor | None:
    """Read the cache; one that is cut or strange is made anew."""
    try:
        counts = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    fits = isinstance(counts, np.ndarray) and counts.shape == shape and counts.dtype == np.int64
    return torch.from_numpy(counts) if fits and counts.min() >= 0 else None


def _save(path: Path, counts: np.ndarray) -> None:
    buffer = io.BytesIO()
    np.save(buffer, counts)
    write_atomically(path, buffer.getvalue())
