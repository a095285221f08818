"""What a process is told before it computes for long."""

import platform
import resource
from pathlib import Path

import pytest
import torch

from hrda_lit.system import process
from hrda_lit.system.process import at_full_speed

KEEPS = platform.libc_ver()[0] == "glibc"
PIXELS = 16 * 2**20  # 64 MiB, more than any allocator keeps by itself


def new_pages(times: int) -> int:
    """Return how many pages the system had to make for a tensor that is made and let go of so many times."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.ones(PIXELS)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def pages_held() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) if KEEPS else 0


def test_on_a_cpu_memory_is_kept_until_the_end() -> None:
    usual = new_pages(8)
    with at_full_speed(torch.device("cpu")):
        new_pages(16)  # until no gap is too small any more
        kept, held = new_pages(8), pages_held()
    assert kept <= usual
    if KEEPS:
        assert kept < usual / 2
        assert pages_held() < held - PIXELS * 4 // resource.getpagesize() / 2


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_products_may_be_rounded_as_tf32(device: str) -> None:
    torch.set_float32_matmul_precision("highest")
    with at_full_speed(torch.device(device)):
        assert torch.get_float32_matmul_precision() == "high"


def test_an_error_ends_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[int, int]] = []

    class Libc:
        def malloc_trim(self, pad: int) -> None:
            told.append({})

    monkeypatch.setattr(process, "_glibc", Libc)
    monkeypatch.setattr(process, "_set_options", lambda libc, options: told.append(options))
    with pytest.raises(ValueError, match="amid"), at_full_speed(torch.device("cpu")):
        raise ValueError("amid")
    assert told == [process.KEPT, process.USUAL, {}]


def test_where_there_is_no_glibc_all_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_glibc", lambda: None)
    with at_full_speed(torch.device("cpu")):
        assert float(torch.ones(4).sum()) == 4
