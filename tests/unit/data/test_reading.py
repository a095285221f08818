import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hrda_lit.data.draws import SourceDraws, TargetDraws
from hrda_lit.data.folder import FolderDataset
from hrda_lit.data.pipeline import Pipeline
from hrda_lit.data.reading import Reader, ValImages, require_room

Make = Callable[..., Any]


def kept(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.npy"))


def test_what_is_kept_changes_no_draw(make_dataset: Make, tmp_path: Path) -> None:
    dataset = make_dataset(size=(60, 80), layout={"margins": {"top": 3}})
    pipeline, samples = Pipeline((40, 40), downscale=2, rare_class=None), dataset.files("train", True)

    def items(cache: Path | None) -> list[dict[str, Any]]:
        source = SourceDraws(dataset, samples, pipeline, 0, cache=cache)
        target = TargetDraws(dataset, dataset.files("train", False), pipeline, 0, cache=cache)
        val = ValImages(dataset, dataset.files("val", True), 2, cache)
        return [draws[index] for draws in (source, target, val) for index in range(6)]

    plain, first, second = items(None), items(tmp_path / "kept"), items(tmp_path / "kept")
    for a, b, c in zip(plain, first, second, strict=True):
        assert a.keys() == b.keys() == c.keys()
        assert all(np.array_equal(a[name], b[name]) and np.array_equal(a[name], c[name]) for name in a)


def test_a_kept_picture_is_not_decoded_again(
    make_dataset: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = make_dataset(size=(24, 32))
    sample = dataset.files("train", True)[0]
    image, label = Reader(dataset, 1, tmp_path / "kept")(sample)
    assert image.shape == (3, 24, 32)
    assert label is not None
    assert label.shape == (48, 64)
    assert len(kept(tmp_path)) == 2

    def refuse(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(FolderDataset, "read", refuse)
    again = Reader(dataset, 1, tmp_path / "kept")(sample)
    assert again[0].equal(image)
    assert again[1] is not None
    assert again[1].equal(label)
    for other in (Reader(dataset, 2, tmp_path / "kept"), Reader(dataset, 1, tmp_path / "elsewhere")):
        with pytest.raises(AssertionError, match="decoded"):
            other(sample)


def test_a_file_that_changed_is_decoded_anew(make_dataset: Make, tmp_path: Path) -> None:
    dataset = make_dataset()
    sample, reading = dataset.files("train", True)[0], Reader(dataset, 1, tmp_path / "kept")
    before = reading(sample)[0].clone()
    Image.fromarray(np.full((48, 64, 3), 7, np.uint8)).save(sample.image)
    os.utime(sample.image, ns=(0, 1))
    after = reading(sample)[0]
    assert not after.equal(before)
    assert after.eq(7).all()


@pytest.mark.parametrize(
    "damage",
    [lambda _: b"", lambda _: b"\x93NUMPY", lambda whole: whole[:-1], lambda whole: whole.replace(b")", b"(", 1)],
    ids=["empty", "strange", "cut", "unbalanced"],
)
def test_what_was_damaged_is_made_anew(make_dataset: Make, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    dataset = make_dataset()
    sample, reading = dataset.files("train", True)[0], Reader(dataset, 1, tmp_path / "kept")
    before = [picture.clone() for picture in reading(sample) if picture is not None]
    sizes = [path.stat().st_size for path in kept(tmp_path)]
    for path in kept(tmp_path):
        path.write_bytes(damage(path.read_bytes()))
    after = reading(sample)
    assert all(a.equal(b) for a, b in zip(before, after, strict=True))
    assert [path.stat().st_size for path in kept(tmp_path)] == sizes


def test_nothing_is_written_into_what_is_kept(make_dataset: Make, tmp_path: Path) -> None:
    dataset = make_dataset()
    sample, reading = dataset.files("train", True)[0], Reader(dataset, 1, tmp_path / "kept")
    before = reading(sample)[0].clone()
    reading(sample)[0].zero_()
    assert reading(sample)[0].equal(before)


def test_a_missing_file_is_named_though_it_was_kept(make_dataset: Make, tmp_path: Path) -> None:
    dataset = make_dataset()
    sample, reading = dataset.files("train", True)[0], Reader(dataset, 1, tmp_path / "kept")
    reading(sample)
    sample.image.unlink()
    with pytest.raises(FileNotFoundError, match=f"{sample.image} does not exist"):
        reading(sample)


def test_the_room_is_told_and_refused(
    make_dataset: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = make_dataset(size=(96, 128))
    samples, folder = dataset.files("train", True), tmp_path / "not/there/yet"
    reading = Reader(dataset, 1, folder)
    needed = 6 * (96 * 128 * 3 + 48 * 64)
    assert reading.bytes_to_keep(samples) == needed
    with caplog.at_level("INFO"):
        require_room(folder, [(reading, samples)])
    assert f"are kept in {folder} as they are used, at most 0.00024 GB more" in caplog.text

    def little(_: object) -> Any:
        return shutil._ntuple_diskusage(10**6, 10**6, needed - 1)  # type: ignore[attr-defined]

    monkeypatch.setattr(shutil, "disk_usage", little)
    with pytest.raises(
        ValueError, match=r"would fill .* with another 0.00024 GB, but 0.00024 GB are free there; choose"
    ):
        require_room(folder, [(reading, samples)])
    for sample in samples[:2]:
        reading(sample)
    assert reading.bytes_to_keep(samples) * 6 == needed * 4
    require_room(folder, [(reading, samples)])
    for sample in samples[2:]:
        reading(sample)
    assert reading.bytes_to_keep(samples) == 0


def test_a_full_disk_costs_the_cache_alone(
    make_dataset: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = make_dataset()
    (tmp_path / "kept").write_text("a file where the folder should be")
    samples, reading = dataset.files("train", True), Reader(dataset, 1, tmp_path / "kept")
    for sample in samples[:2]:
        assert reading(sample)[0].equal(dataset.read(sample)[0])
    assert caplog.text.count("decoded pictures cannot be written") == 1
