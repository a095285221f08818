"""Randomness that depends on the seed and the place in the run, not on what was drawn before."""

import hashlib

import torch


def fold(*parts: int | str) -> int:
    """Fold numbers and words, e.g. (seed, "source", draw), into a seed in [0, 2**63)."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(*parts: int | str) -> torch.Generator:
    """Make a CPU generator seeded by `fold(*parts)`."""
    return torch.Generator().manual_seed(fold(*parts))
