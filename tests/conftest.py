"""What every test shares: one thread per process, and tiny demo domains on disk."""

import gc
import os

# Before torch is imported: with several test processes, several threads each are many times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import pytest

from tests import shortcuts

shortcuts.take()
gc.disable()  # until all tests are imported


@pytest.fixture(scope="session")
def demo_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Render 6 source, 4 target and 2 validation scenes in the layout of GTA5 and Cityscapes."""
    from hrda_lit.demo import render_demo  # here, so that who only deals tests out to processes waits for no torch

    root = tmp_path_factory.mktemp("data") / "demo"
    render_demo(root, seed=0, source=6, target=4, val=2)
    return root


def pytest_collection_finish() -> None:
    """Collect garbage from now on, but never look through what was imported: millions of objects that stay."""
    gc.freeze()
    gc.enable()
