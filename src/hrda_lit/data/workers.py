"""Processes that load images."""

import multiprocessing
from typing import Any

from hrda_lit.system.signals import ignore_signals


def worker_options(count: int) -> dict[str, Any]:
    """Tell a DataLoader how many processes load for it, and how they start.

    Inside a job of joblib's launcher, Python's default is a way to start that only joblib's own processes can use, so
    the platform's is named.

    Args:
        count: of processes; 0 loads in the calling one.

    Returns:
        Arguments of `torch.utils.data.DataLoader`.
    """
    # The first of all methods is the platform's default, whatever was set since.
    return {
        "num_workers": count,
        "worker_init_fn": ignore_signals if count else None,
        "multiprocessing_context": multiprocessing.get_all_start_methods()[0] if count else None,
    }
