"""What each rung of the memory ladder needs, by an estimate that computes nothing."""

import time
from collections.abc import Iterator
from dataclasses import replace

from hrda_lit.scripts.benchmarks.measure import Counts, Row, Tell
from omegaconf import DictConfig

from hrda_lit.build import build_dataset
from hrda_lit.runs.memory_check import estimated, told
from hrda_lit.training.memory_options import SMALL, Memory

RUNGS = {
    "full": Memory(),
    "encoder=recompute": Memory(encoder="recompute"),
    "heads=recompute": Memory(heads="recompute"),
    "windows=6": Memory(windows=6),
    "rows=128": Memory(rows=128),
    "imagenet=bfloat16": Memory(imagenet="bfloat16"),
    "teacher=bfloat16": Memory(teacher="bfloat16"),
    "small": SMALL,
    "small, windows=6": replace(SMALL, windows=6),
    "small, windows=6, both in bfloat16": replace(SMALL, windows=6, imagenet="bfloat16", teacher="bfloat16"),
}


def measure(config: DictConfig, tell: Tell) -> Iterator[Row]:
    """Estimate what a step of a config needs on each rung.

    Args:
        config: the composed tree.
        tell: is told how it goes.
    """
    classes = build_dataset(config.source, "source").classes
    for name, memory in RUNGS.items():
        tell(f"{name}: running a step without numbers")
        start, counts = time.perf_counter(), Counts()
        needed = estimated(config, classes, memory, counts)
        row = Row(name, {"rung": name, "crop": config.data.crop[0], "batch": config.loading.batch_size})
        row.flops = config.loading.accumulate * counts.flops
        row.memory, row.note = needed.total, told(needed).partition(": ")[2]
        row.parts = {"the estimate itself": [time.perf_counter() - start]}
        yield row
