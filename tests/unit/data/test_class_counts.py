import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hrda_lit.data.folder import DataSplit
from hrda_lit.data.labels import Labels
from hrda_lit.data.rare_class import class_counts, class_probabilities
from hrda_lit.inspecting.data_check import DataCheck, check_data

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
    monkeypatch.setattr(Labels, "count", lambda *_: pytest.fail("counted again"))
    assert class_counts(dataset, samples, tmp_path / "cache").equal(first)


def test_nothing_is_written_into_the_data(make_dataset: Make, tmp_path: Path) -> None:
    dataset = make_dataset()
    before = sorted(dataset.root.rglob("*"))
    class_counts(dataset, dataset.files("train", True), tmp_path / "cache")
    assert sorted(dataset.root.rglob("*")) == before
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".json"]


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
    assert len(list((tmp_path / "cache").iterdir())) == (2 if change == "id_map" else 1)


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
    for _ in range(2):
        with pytest.raises(ValueError, match=r"003\.png is broken"):
            class_counts(dataset, samples, tmp_path / "cache")


def test_what_the_data_check_counted_is_not_counted_again(
    make_dataset: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = make_dataset()
    options = DataCheck(cache_dir=str(tmp_path / "cache"), labels=2**20)
    check_data([DataSplit("source", dataset, "train", True)], options)
    monkeypatch.setattr(Labels, "count", lambda *_: pytest.fail("counted again"))
    samples = dataset.files("train", True)
    assert class_counts(dataset, samples, tmp_path / "cache").tolist() == counted_by_hand(samples, 4)


@pytest.mark.parametrize("place", ["file", "file/below", "folder"])
def test_a_cache_that_cannot_be_written_is_said_and_costs_time_alone(
    make_dataset: Make, tmp_path: Path, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = make_dataset()
    samples = dataset.files("train", True)
    (tmp_path / "file").write_text("a file where the folder should be")
    if place == "folder":
        class_counts(dataset, samples, tmp_path / place)
        [record] = (tmp_path / place).iterdir()
        record.unlink()
        record.mkdir()
    assert class_counts(dataset, samples, tmp_path / place).tolist() == counted_by_hand(samples, 4)
    assert caplog.text.count("cannot be written, the run continues without") == 1
    assert "damaged" not in caplog.text


@pytest.mark.parametrize("content", [b"", b"no json", b"[]", b"[" * 10**5, "cut", "entries", "endless"])
def test_a_broken_cache_is_made_anew_and_said(
    make_dataset: Make, tmp_path: Path, content: bytes | str, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = make_dataset()
    samples = dataset.files("train", True)
    counts = class_counts(dataset, samples, tmp_path / "cache")
    [path] = (tmp_path / "cache").iterdir()
    data = path.read_bytes()
    if content in ("entries", "endless"):
        ids = {"odd": [None]} if content == "entries" else {"0": math.inf}
        odd = {key: [state, ids] for key, (state, _) in json.loads(data).items()}
        path.write_text(json.dumps(odd))
    else:
        path.write_bytes(data[: len(data) // 2] if isinstance(content, str) else content)
    assert class_counts(dataset, samples, tmp_path / "cache").equal(counts)
    assert caplog.text.count("damaged") == 1
    assert str(path) in caplog.text
    assert ("6 entries" in caplog.text) == (content in ("entries", "endless"))
