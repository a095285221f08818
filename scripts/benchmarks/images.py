"""Whole images: what each way to predict them costs."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from hrda_lit.scripts.benchmarks.measure import Counting, Row, Tell, timed
from omegaconf import DictConfig, open_dict

from hrda_lit.build import build_dataset, build_inference, build_network
from hrda_lit.ops.rng import generator
from hrda_lit.system.process import at_full_speed


def measure(
    configs: Mapping[str, DictConfig], size: tuple[int, int], warmup: int, repeats: int, tell: Tell
) -> Iterator[Row]:
    """Measure every way to predict an image of `size`, (height, width); encoders start from random weights."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    image = torch.randn(1, 3, *size, generator=generator("benchmark", "image")).to(device)
    for name, config in configs.items():
        row = Row(f"{name}, {size[0]} x {size[1]}", {"inference": name})
        try:
            with at_full_speed(device):
                _predict(config, image, row, warmup, repeats, tell)
        except Exception as error:  # one way may fail where another works
            row.note = " ".join(f"failed: {type(error).__name__}: {error}".split())[:300]
        yield row


@torch.no_grad()
def _predict(config: DictConfig, image: torch.Tensor, row: Row, warmup: int, repeats: int, tell: Tell) -> None:
    with open_dict(config):
        config.network.backbone.weights = None
    network = build_network(config, build_dataset(config.source, "source").classes).to(image.device).eval()
    inference = build_inference(config)
    if image.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(image.device)
    for index in range(warmup + repeats):
        tell(f"{row.name}: {index + 1} of {warmup + repeats}")
        with timed([] if index < warmup else row.seconds, image.device), _precision(config, image.device.type):
            inference(network, image)
    counting = Counting(image.device)
    counting.start()
    try:
        with _precision(config, image.device.type):
            inference(network, image)
    finally:
        counting.stop()
    counting.write(row)
    weights = sum(x.numel() * x.element_size() for x in (*network.parameters(), *network.buffers()))
    on_gpu = image.device.type == "cuda"
    row.memory = torch.cuda.max_memory_allocated(image.device) if on_gpu else counting.counts.peak + weights


def _precision(config: DictConfig, device: str) -> AbstractContextManager[Any]:
    lower = str(config.trainer.get("precision", "")).startswith("bf16")
    return torch.autocast(device, torch.bfloat16) if lower else nullcontext()
