"""A training step: the real module under the real Trainer, on crops of random numbers."""

import copy
import gc
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import lightning as L
import torch
from hrda_lit.scripts.benchmarks.measure import Counting, Row, Tell, clock
from omegaconf import DictConfig, open_dict
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hrda_lit import build
from hrda_lit.data.classes import Classes
from hrda_lit.methods.base import Method
from hrda_lit.module import UDAModule
from hrda_lit.ops.rng import generator
from hrda_lit.system.process import at_full_speed

MODES = ("eager", "compiled", "graphs")
LABELS = "teacher labels"


class Again(Dataset[dict[str, Tensor]]):
    """The same item for every step."""

    def __init__(self, item: dict[str, Tensor], steps: int) -> None:
        self.item, self.steps = item, steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        return self.item


class RandomCrops(L.LightningDataModule):
    """Give one random batch to every step, as quickly as memory can.

    Args:
        size: (height, width) of the crops.
        batch: source crops and target crops of a step.
        classes: classes of the labels.
        target: whether target crops are needed.
        steps: number of steps.
    """

    class_probabilities = None

    def __init__(self, size: tuple[int, int], batch: int, classes: Classes, target: bool, steps: int) -> None:
        super().__init__()
        drawn, files = generator("benchmark"), torch.arange(batch)
        # Labels in patches of 32 pixels, so that there are things for the feature distance.
        cells = torch.randint(0, len(classes), (batch, size[0] // 32 + 1, size[1] // 32 + 1), generator=drawn)
        label = cells.repeat_interleave(32, 1).repeat_interleave(32, 2)[:, : size[0], : size[1]]
        source, images = torch.randn(2, batch, 3, *size, generator=drawn)
        domains = {"source": {"image": source, "label": label.contiguous(), "file": files}}
        if target:
            domains["target"] = {"image": images, "valid": torch.ones(batch, *size), "file": files}
        self.domains, self.steps = domains, steps

    def train_dataloader(self) -> dict[str, DataLoader[Any]]:
        """Return a loader per domain."""
        return {name: DataLoader(Again(item, self.steps), batch_size=None) for name, item in self.domains.items()}


class Stopwatch(L.Callback):
    """Time steps, then the parts of as many, then count what one does.

    It is the first of all callbacks, and the time of a step runs to the start of the next: all that others do is in it.

    Args:
        warmup: steps before.
        steps: number of steps that are timed.
        row: row that results go to.
        tell: is told how it goes.
    """

    def __init__(self, warmup: int, steps: int, row: Row, tell: Tell) -> None:
        self.row, self.tell = row, tell
        self.first_part, self.counted = warmup + steps, warmup + 2 * steps
        self.first, self.total = warmup, warmup + 2 * steps + 1
        self.counting: Counting | None = None
        self._parts: Parts | None = None
        self._start = 0.0

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, index: int) -> None:
        """End the step before, begin the next."""
        step, device = trainer.global_step, pl_module.device
        self._end(step - 1, device)
        self.tell(f"{self.row.name}: step {step + 1} of {self.total}")
        if step == self.first and device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        if step == self.first_part:
            if device.type == "cuda":  # before anything is counted, which keeps tensors longer
                self.row.memory = torch.cuda.max_memory_allocated(device)
            self._parts = Parts(cast(UDAModule, pl_module), device)
        if step == self.counted:
            self.counting = Counting(device)
            self.counting.start()
        self._start = clock(device)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        """End the count of the last step."""
        if self.counting is not None:
            self.counting.stop()
            self.counting.write(self.row)

    def _end(self, step: int, device: torch.device) -> None:
        seconds = clock(device) - self._start
        if self.first <= step < self.first_part:
            self.row.seconds.append(seconds)
        elif self._parts is not None and step < self.counted:
            self._parts.write(self.row, seconds)


class Parts:
    """Time what the passes of a module's steps take: to label, forward and back.

    Args:
        module: changed, so that it is to be thrown away.
        device: device of the module.
    """

    def __init__(self, module: UDAModule, device: torch.device) -> None:
        self.device, self.seconds, self._name = device, dict[str, float](), ""
        method: Any = module.method
        self._passes, self._backward = method.passes, module.manual_backward
        method.passes, module.manual_backward = self._forward, self._back  # type: ignore[method-assign]
        self._label = getattr(method, "label_target", None)
        if self._label is not None:
            method.label_target = self._labelled

    def write(self, row: Row, seconds: float) -> None:
        """Enter what the parts of a step took, which took `seconds` as a whole."""
        for name, value in {**self.seconds, "all else": max(0.0, seconds - sum(self.seconds.values()))}.items():
            row.parts.setdefault(name, []).append(value)
        self.seconds = {}

    def _add(self, name: str, seconds: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def _forward(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        running = self._passes(*args, **kwargs)
        while True:
            start, before = clock(self.device), self.seconds.get(LABELS, 0.0)
            done = next(running, None)
            if done is None:
                return
            self._name = done.name
            labels = self.seconds.get(LABELS, 0.0) - before
            self._add(f"{done.name}, forward", clock(self.device) - start - labels)
            yield done

    def _back(self, *args: Any, **kwargs: Any) -> None:
        with self._timing(f"{self._name}, backward"):
            self._backward(*args, **kwargs)

    def _labelled(self, *args: Any, **kwargs: Any) -> Any:
        assert self._label is not None
        with self._timing(LABELS):
            return self._label(*args, **kwargs)

    @contextmanager
    def _timing(self, name: str) -> Iterator[None]:
        start = clock(self.device)
        yield
        self._add(name, clock(self.device) - start)


def measure(config: DictConfig, modes: Sequence[str], warmup: int, steps: int, tell: Tell) -> Iterator[Row]:
    """Measure training steps, a row per mode of `MODES`, with a note in place of numbers where one cannot be had."""
    for mode in modes:
        size, batch = build.crop_size(config), config.loading.batch_size * config.loading.accumulate
        settings = {"mode": mode, "crop": size[0], "batch": config.loading.batch_size}
        row = Row(f"{mode}, crop {size[0]} x {size[1]}, batch {config.loading.batch_size}", settings, samples=batch)
        if (note := _unavailable(config, mode)) is None:
            try:
                _run(config, mode, row, warmup, steps, tell)
            except Exception as error:  # one mode may fail where another works
                row.note = " ".join(f"failed: {type(error).__name__}: {error}".split())[:300]
        else:
            row.note = note
        _forget()
        yield row


def _unavailable(config: DictConfig, mode: str) -> str | None:
    if mode == "graphs" and not torch.cuda.is_available():
        return "not available: graphs need a CUDA device"
    if mode != "eager" and "speed" not in config:
        return "not available: the config has no key speed"
    return None


def _run(config: DictConfig, mode: str, row: Row, warmup: int, steps: int, tell: Tell) -> None:
    tell(f"{row.name}: building")
    stopwatch = Stopwatch(warmup, steps, row, tell)
    with tempfile.TemporaryDirectory() as folder:
        module, method, trainer = _built(config, mode, folder, stopwatch)
        crops = RandomCrops(build.crop_size(config), row.samples, module.classes, method.needs_target, stopwatch.total)
        try:
            with at_full_speed(trainer.strategy.root_device):
                trainer.fit(module, crops)
        finally:
            if stopwatch.counting is not None:
                stopwatch.counting.stop()
    if trainer.strategy.root_device.type != "cuda" and stopwatch.counting is not None:
        row.memory = stopwatch.counting.counts.peak + held(module)


def _built(config: DictConfig, mode: str, folder: str, stopwatch: L.Callback) -> tuple[UDAModule, Method, L.Trainer]:
    config = copy.deepcopy(config)
    method, _ = build.build_task(config)
    with open_dict(config):
        config.network.backbone.weights = None  # after the method, which may ask for them
        config.run_dir, config.callbacks, config.logger = folder, None, None
        config.trainer.update(
            {"max_steps": stopwatch.total, "limit_val_batches": 0, "enable_progress_bar": False}  # type: ignore[attr-defined]
        )
        if "speed" in config:
            config.speed = mode
    module = build.build_module(config, method)
    trainer = build.build_trainer(config)
    trainer.callbacks.insert(0, stopwatch)  # type: ignore[attr-defined]
    return module, method, trainer


def held(module: UDAModule) -> int:
    """Return the bytes of all weights, statistics and moments of a module that has learned."""
    networks = [module, *module._imagenet]
    tensors = [x for network in networks for x in (*network.parameters(), *network.buffers())]
    moments = [x for state in module.trainer.optimizers[0].state.values() for x in state.values()]
    return sum(x.numel() * x.element_size() for x in (*tensors, *moments) if isinstance(x, Tensor))


def _forget() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
