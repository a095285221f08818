"""The device that a process computes on, and its settings: TF32, and a malloc that keeps its pages."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

# Options of glibc's malloc (malloc.h) for a heap that keeps its pages, and the usual ones.
# Blocks beyond the threshold are still given back at once: large blocks leave large gaps in a heap.
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
KEPT = {MMAP_THRESHOLD: 256 * 2**20, TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 64 * 2**20}
USUAL = {MMAP_THRESHOLD: 32 * 2**20, TRIM_THRESHOLD: 64 * 2**20, TOP_PAD: 128 * 2**10}


def choose_device(name: str) -> torch.device:
    """Turn "auto", "cpu", "cuda" or "cuda:<n>" into a device; "auto" is the GPU where there is one.

    Raises:
        ValueError: if there is no such device.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = ["auto", "cpu", *(["cuda"] if count else []), *(f"cuda:{index}" for index in range(count))]
    if name not in names:
        raise ValueError(f"device={name} is not there, this machine has {names}; choose one.")
    return torch.device(("cuda" if count else "cpu") if name == "auto" else name)


@contextmanager
def at_full_speed(device: torch.device) -> Iterator[None]:
    """Compute with TF32 on GPUs that have it and, on a CPU, in memory that is kept from step to step."""
    torch.set_float32_matmul_precision("high")
    with keep_heap() if device.type == "cpu" else nullcontext():
        yield


@contextmanager
def keep_heap() -> Iterator[None]:
    """Keep what is freed, for the next tensor of that size; give it back to the system at the end.

    glibc gives large blocks back at once, and the system clears their pages for the next tensor: a tenth of a
    step with MiT-B0, heads of 256 channels and crops of 256 pixels. Other C libraries stay as they are.
    """
    libc = _glibc()
    if libc is None:
        yield
        return
    _set_options(libc, KEPT)
    try:
        yield
    finally:
        _set_options(libc, USUAL)
        libc.malloc_trim(0)


def _glibc() -> Any:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None


def _set_options(libc: Any, options: dict[int, int]) -> None:
    for option, value in options.items():
        libc.mallopt(option, value)
