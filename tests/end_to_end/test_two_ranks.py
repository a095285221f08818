"""Two real processes: their gradients, their teacher, what they count, and what happens when one dies."""

import csv
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.utils.data import default_collate

from hrda_lit import build
from hrda_lit.data.classes import ID_MAPS
from hrda_lit.data.draws import ready
from hrda_lit.data.loaders import StepBatches
from hrda_lit.methods.base import Networks
from hrda_lit.ops.rng import fold, generator
from tests import commands

from .compose import smoke


def start(data: Path, run: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return commands.run("tests.end_to_end.two_ranks", data, run, *words, timeout=240)


@pytest.fixture(scope="module")
def one_image(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the demo with one validation image, so that the second process has none."""
    data = tmp_path_factory.mktemp("one") / "demo"
    shutil.copytree(demo_root, data)
    for second in data.glob("cityscapes/*/val/*/*_000001_*"):
        second.unlink()
    return data


def gradients_of_one_process(data: Path, run: Path) -> dict[str, torch.Tensor]:
    """Average what each rank's batch and draws give in a process of its own."""
    config = smoke(run, data, "hrda_demo")
    method, datamodule = build.build_task(config)
    module = build.build_module(config, method)
    datamodule.setup("fit")
    draws = {"source": datamodule._source_draws, "target": datamodule._target_draws}
    networks = Networks(module.student.train(), module.teacher)
    for rank in range(2):
        (indices,) = StepBatches(0, 1, config.loading.batch_size, rank, 2)
        batch = {name: ready(default_collate([some[index] for index in indices])) for name, some in draws.items()}  # type: ignore[index]
        where = (config.seed, "step", 0, rank)
        torch.manual_seed(fold(*where, "dropout"))
        drawn = module.method.draw(module.student, batch["source"]["image"].shape, generator(*where))
        for done in module.method.passes(batch, networks, drawn):
            (done.loss / 2).backward()
    return {name: p.grad for name, p in module.student.named_parameters() if p.grad is not None}


def test_two_processes_learn_and_count_together(one_image: Path, tmp_path: Path) -> None:
    done = start(one_image, tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    (first, teacher), (second, other) = (torch.load(tmp_path / f"rank{rank}.pt") for rank in range(2))
    wanted = gradients_of_one_process(one_image, tmp_path / "alone")
    assert first[0].keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(first[0][name], gradient, rtol=1e-3, atol=1e-5, msg=name)
    for ours, theirs in zip(first, second, strict=True):
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert all(torch.equal(a, b) for a, b in zip(teacher, other, strict=True))

    with open(next(tmp_path.glob("confusion/*.csv"))) as file:
        counted = sum(int(cell) for row in csv.reader(file) for cell in row[1:] if cell.isdigit())
    (label,) = one_image.glob("cityscapes/gtFine/val/*/*_labelIds.png")
    with Image.open(label) as ids:
        assert counted == sum(ID_MAPS["cityscapes"].get(value, 255) != 255 for value in ids.tobytes())


def test_a_process_that_dies_ends_the_other(one_image: Path, tmp_path: Path) -> None:
    done = start(one_image, tmp_path, "die")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    # Lightning looks after its children every 5 seconds and may be faster than the sentence.
    assert done.returncode < 0 or "another process of this run has ended" in done.stderr
