"""Runs of a real module on generated batches, and networks that have a shape alone."""

from tests.fitted import fit, make_module
from tests.shapes import build

__all__ = ["build", "fit", "make_module"]
