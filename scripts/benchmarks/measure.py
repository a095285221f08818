"""Time, memory, operators, waits and arithmetic of something that runs."""

import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

Tell = Callable[[str], None]

GIB = 2**30

# Operators after which the host knows a number of the device: on a GPU it waits for each of them.
WAITS = {"_local_scalar_dense", "nonzero", "_unique2", "unique_dim", "unique_consecutive", "masked_select", "equal"}
_GPU_WAITS = {"cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize"}


@dataclass
class Row:
    """What was measured of one thing.

    Args:
        name: name of the thing.
        settings: settings that may differ between rows of a table, e.g. {"mode": "eager", "crop": 512}.
        seconds: duration of every repetition; empty for what was not run.
        samples: images per repetition.
        parts: seconds of its parts, by name.
        memory: bytes at most: what PyTorch allocated on a GPU, else what tensors hold.
        operators: kernels on a GPU, else operators of PyTorch, per repetition.
        waits: number of times that the host waits for a GPU, or would.
        flops: additions and multiplications per repetition.
        note: why something is missing.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    samples: int = 1
    parts: dict[str, list[float]] = field(default_factory=dict)
    memory: int | None = None
    operators: int | None = None
    waits: int | None = None
    flops: int | None = None
    note: str = ""

    @property
    def median(self) -> float | None:
        """Return the median of the seconds."""
        return median(self.seconds) if self.seconds else None

    @property
    def rate(self) -> float | None:
        """Return images a second, over all repetitions: several loader processes deliver in bursts."""
        return self.samples * len(self.seconds) / sum(self.seconds) if self.seconds else None


class Live(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follow the bytes of what operators make, until it is freed; views and in-place operators make nothing.

    Attributes:
        now: bytes alive.
        peak: maximum of `now` since `restart`.
        operators: number of operators that ran.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = self.operators = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        self.operators += 1
        for one in pytree.tree_leaves(made) if isinstance(made, list | tuple) else (made,):
            if isinstance(one, Tensor):
                self._follow(one.untyped_storage())
        return made

    def restart(self) -> None:
        """Forget the peak."""
        self.peak = self.now

    def _follow(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


class Counts(Live):  # type: ignore[no-untyped-call]
    """Count operators, those that a host would wait for, arithmetic, and the bytes alive."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = self.flops = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = super().__torch_dispatch__(function, types, args, kwargs)
        self.waits += function.__name__.partition(".")[0] in WAITS
        if (formula := FLOPS.get(getattr(function, "_overloadpacket", None))) is not None:
            self.flops += int(formula(*args, **(kwargs or {}), out_val=made))
        return made


def _attention(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query.shape, key.shape, value.shape))  # type: ignore[no-untyped-call]


def _attention_back(outer: Tensor, query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> int:
    shapes = (outer.shape, query.shape, key.shape, value.shape)
    return int(sdpa_backward_flop_count(*shapes))  # type: ignore[no-untyped-call]


def _convolution_back(outer: Tensor, image: Tensor, weight: Tensor, *rest: Any, **_: Any) -> int:
    # Not PyTorch's: it takes the gradient of a depthwise weight for that of a dense one, a thousand times as much.
    wanted = rest[-1]
    once = 2 * outer.numel() * weight.numel() // weight.shape[0]
    return once * sum(bool(one) for one in wanted[:2])


# By operator; with the attention of a CPU, which PyTorch's own table lacks.
FLOPS: dict[Any, Callable[..., int]] = {
    **flop_registry,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_back,
    torch.ops.aten.convolution_backward: _convolution_back,
}


class Counting:
    """Count what is done between `start` and `stop`, in this thread."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.counts = Counts()
        self._profile: Any = None
        self._on = False

    def start(self) -> None:
        """Begin to count."""
        self._on = True
        if self.device.type == "cuda":
            self._profile = torch.profiler.profile()
            self._profile.start()
        self.counts.__enter__()  # type: ignore[no-untyped-call]

    def stop(self) -> None:
        """End counting, once."""
        if not self._on:
            return
        self._on = False
        self.counts.__exit__(None, None, None)  # type: ignore[no-untyped-call]
        if self._profile is not None:
            self._profile.stop()

    def write(self, row: Row) -> None:
        """Enter the counts into a row."""
        row.operators, row.waits, row.flops = self.counts.operators, self.counts.waits, self.counts.flops
        if self._profile is not None:
            events = self._profile.events()
            row.operators = sum(one.device_type.name == "CUDA" and not one.name.startswith("Mem") for one in events)
            row.waits = sum(one.name in _GPU_WAITS for one in events)


def clock(device: torch.device) -> float:
    """Return the time in seconds once a device has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


@contextmanager
def timed(seconds: list[float], device: torch.device) -> Iterator[None]:
    """Append how long something takes."""
    start = clock(device)
    yield
    seconds.append(clock(device) - start)


def matrix_rate(device: torch.device, dtype: torch.dtype = torch.float32) -> float:
    """Measure additions and multiplications a second of large matrices, the most that a device does."""
    side = 8192 if device.type == "cuda" else 768
    matrix = torch.rand(side, side, device=device).to(dtype)
    timer = Timer("matrix @ matrix", globals={"matrix": matrix}, num_threads=torch.get_num_threads())
    return 2 * side**3 / min(timer.timeit(1).median for _ in range(3))


def spread(seconds: Sequence[float]) -> tuple[float, float, float]:
    """Return the median, and what a tenth of the repetitions lie below and above."""
    ordered = sorted(seconds)
    last = len(ordered) - 1
    return median(ordered), ordered[round(0.1 * last)], ordered[round(0.9 * last)]
