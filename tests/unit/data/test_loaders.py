import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrda_lit.data.loaders import StepBatches

SMALL = st.integers(1, 5)


@given(st.integers(0, 20), SMALL, SMALL, SMALL)
def test_resumed_batches_are_the_rest(first: int, more: int, size: int, world: int) -> None:
    for rank in range(world):
        full = list(StepBatches(0, first + more, size, rank, world))
        assert list(StepBatches(first, first + more, size, rank, world)) == full[first:]


@given(SMALL, SMALL, SMALL)
def test_ranks_share_the_draws(steps: int, size: int, world: int) -> None:
    shares = [list(StepBatches(0, steps, size, rank, world)) for rank in range(world)]
    together = [draw for step in zip(*shares, strict=True) for batch in step for draw in batch]
    assert together == list(range(steps * size * world))


def test_length_counts_from_the_run_s_beginning() -> None:
    assert len(StepBatches(7, 10, 2)) == 10


OPEN = """
import gc
from hrda_lit.data.loaders import QuietLoader, worker_options
gc.disable()
def open_loader():
    loader = QuietLoader(list(range(9)), batch_size=1, persistent_workers=True, **worker_options(1))
    batches = iter(loader)
    next(batches)
    cycle = [batches]
    cycle.append(cycle)
open_loader()
{}
"""


@pytest.mark.parametrize("end", ["", "gc.collect()"])
def test_a_process_ends_with_a_loader_that_is_open_or_was_collected(end: str) -> None:
    code = OPEN.format(end)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
