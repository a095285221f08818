"""Randomness that is a function of where we are, not of what ran before."""

import hashlib

import torch


def fold(*parts: int | str) -> int:
    """Fold numbers and words, e.g. (seed, "source", draw), into one 63-bit seed.

    Args:
        parts: what the draw depends on; the same parts give the same seed in every process.

    Returns:
        A seed in [0, 2**63).
    """
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(*parts: int | str) -> torch.Generator:
    """Make a CPU generator seeded by `fold(*parts)`.

    Args:
        parts: what the draws depend on.

    Returns:
        A fresh generator.
    """
    return torch.Generator().manual_seed(fold(*parts))
