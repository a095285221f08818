"""Loaders: which draws make up the batch of a step, and the processes that load them."""

import multiprocessing
import os
from collections.abc import Iterator
from typing import Any, Literal

from torch.utils.data import DataLoader, Sampler

from hrda_lit.system.signals import block_signals, ignore_signals


class StepBatches(Sampler[list[int]]):
    """Yield the draw indices of each step's batch, a function of (step, rank).

    A run that is resumed at step k gets the batches that an uninterrupted run gets from step k on. `last_step`
    is exclusive; `batch_size` counts the samples per rank; `world` is the number of processes.
    """

    def __init__(self, first_step: int, last_step: int, batch_size: int, rank: int = 0, world: int = 1) -> None:
        self.first_step, self.last_step = first_step, last_step
        self.batch_size, self.rank, self.world = batch_size, rank, world

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.first_step, self.last_step):
            start = (step * self.world + self.rank) * self.batch_size
            yield list(range(start, start + self.batch_size))

    def __len__(self) -> int:
        # Not last_step - first_step: a resumed Lightning loop goes on counting batches at first_step and ends
        # the epoch where its count reaches this length.
        return self.last_step


class QuietLoader(DataLoader[Any]):
    """Load in processes that no signal to the group of this one reaches; Lightning resumes it without a state."""

    def __iter__(self) -> Any:
        """Start the processes, or restart those that persist."""
        with block_signals():
            batches = super().__iter__()
        for worker in getattr(batches, "_workers", ()):
            worker._popen.terminate = worker._popen.kill  # as Python and torch end what hangs; SIGTERM is ignored
        return batches

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: the batches follow from the step."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Ignore `state`, which is empty."""


MOST_WORKERS = 4  # per domain, by default


def count_workers(asked: int | Literal["auto"]) -> int:
    """Return the loader processes of a domain: "auto" is half of the usable cores, 1 to 4."""
    if asked != "auto":
        return asked
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(MOST_WORKERS, cores // 2))


def worker_options(count: int) -> dict[str, Any]:
    """Return the options of a DataLoader for its processes; 0 loads in the calling one."""
    # In a job of joblib's launcher, the start method that is set serves only joblib's own processes. The first
    # of all methods is the platform's default, whatever was set since.
    return {
        "num_workers": count,
        "worker_init_fn": ignore_signals if count else None,
        "multiprocessing_context": multiprocessing.get_all_start_methods()[0] if count else None,
    }
