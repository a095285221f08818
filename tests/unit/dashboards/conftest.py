"""Runs of a real module on generated batches."""

from tests.fitted import fit, make_module

__all__ = ["fit", "make_module"]
