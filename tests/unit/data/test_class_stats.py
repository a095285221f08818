import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hrda_lit.data import class_stats
from hrda_lit.data.class_stats import class_counts, class_probabilities

Make = Callable[..., Any]


def counted_by_hand(samples: list[Any], classes: int) -> list[list[int]]:
    labels = [np.asarray(Image.open(sample.label)) for sample in samples]
    return [[int((label == c).sum()) for c in range(classes)] for label in labels]


def test_counts(make_dataset: Make, tmp_path: Path) -> None:
    dataset = make_dataset(size=(24, 32))  # the resize box does not matter
    samples = dataset.files("train", True)
    counts = class_counts(dataset, samples, tmp_path / "cache")
    assert counts.tolist() == counted_by_hand(samples, 4)
    assert counts.dtype == torch.int64
    assert 0 < counts[0].sum() < 48 * 64  # ignored pixels are left out


def test_second_time_comes_from_the_cache(make_dataset: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = make_dataset()
    samples = dataset.files("train", True)
    first = class_counts(dataset, samples, tmp_path / "cache")
    monkeypatch.setattr(class_stats, "_count", lambda *_: pytest.fail("counted again"))
    assert class_counts(dataset, samples, tmp_path / "cache").equal(first)


def test_nothing_is_written_into_the_data(make_dataset: Make, tmp_path: Path) -> None:
    dataset = make_dataset()
    before = sorted(dataset.root.rglob("*"))
    class_counts(dataset, dataset.files("train", True), tmp_path / "cache")
    assert sorted(dataset.root.rglob("*")) == before
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".npy"]


@pytest.mark.parametrize("change", ["content", "time", "files", "id_map"])
def test_changes_are_noticed(make_dataset: Make, tmp_path: Path, change: str) -> None:
    dataset = make_dataset()
    samples = dataset.files("train", True)
    class_counts(dataset, samples, tmp_path / "cache")
    if change == "content":
        Image.fromarray(np.full((48, 64), 2, np.uint8)).save(samples[0].label)
    elif change == "time":
        os.utime(samples[0].label, (1, 1))
    elif change == "files":
        samples = samples[1:]
    else:
        dataset = make_dataset(id_map={0: 1, 1: 0, 2: 2, 3: 3})
    counts = class_counts(dataset, samples, tmp_path / "cache")
    by_hand = counted_by_hand(samples, 4)
    assert counts.tolist() == ([[b, a, c, d] for a, b, c, d in by_hand] if change == "id_map" else by_hand)
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_probabilities_by_hand() -> None:
    counts = torch.tensor([[10, 0, 60], [0, 0, 30]])
    weights = [np.exp(0.9 / 0.5), 0, np.exp(0.1 / 0.5)]
    expected = np.array(weights) / sum(weights)
    assert np.allclose(class_probabilities(counts, 0.5), expected, rtol=1e-12)


def test_probabilities_among_some_are_renormalised() -> None:
    counts = torch.tensor([[10, 20, 70]])
    among = torch.tensor([True, False, True])
    every = class_probabilities(counts, 0.3)
    expected = torch.where(among, every, 0) / every[among].sum()
    assert torch.allclose(class_probabilities(counts, 0.3, among), expected)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match=r"temperature 0 .* above 0"):
        class_probabilities(torch.tensor([[1, 2]]), 0)
    with pytest.raises(ValueError, match="no label file holds a pixel"):
        class_probabilities(torch.tensor([[0, 0]]), 1)


def test_broken_label_names_its_path(make_dataset: Make, tmp_path: Path) -> None:
    dataset = make_dataset()
    samples = dataset.files("train", True)
    samples[3].label.write_bytes(b"")
    with pytest.raises(ValueError, match=r"003\.png is broken"):
        class_counts(dataset, samples, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("content", ["empty", "cut", "text", "pickle", "shape", "type", "negative"])
def test_a_broken_cache_is_made_anew(make_dataset: Make, tmp_path: Path, content: str) -> None:
    dataset = make_dataset()
    samples = dataset.files("train", True)
    counts = class_counts(dataset, samples, tmp_path / "cache")
    [path] = (tmp_path / "cache").iterdir()
    arrays = {
        "pickle": np.array([{}], object), "shape": counts.numpy()[1:], "type": counts.float().numpy(),
        "negative": -counts.numpy(),
    }  # fmt: skip
    if content in arrays:
        np.save(path, arrays[content], allow_pickle=True)
    else:
        data = path.read_bytes()
        path.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "text": b"no array"}[content])
    assert class_counts(dataset, samples, tmp_path / "cache").equal(counts)
