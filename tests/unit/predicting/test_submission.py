"""Archives for test servers: what is packed, and every fault that is found."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_module
from PIL import Image

from hrda_lit.data.classes import CITYSCAPES, classes_from
from hrda_lit.data.folder import FolderDataset
from hrda_lit.predicting.submission import Rules, check_classes, images_to_submit, pack

RULES = Rules("cityscapes", "test", 2, (4, 6), "cityscapes")
NAMES = ["a_leftImg8bit.png", "b_leftImg8bit.png"]
GOOD = np.array([7, 8, 11, 33] * 6, np.uint8).reshape(4, 6)


def png(values: np.ndarray = GOOD, mode: str | None = None) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(values)
    (image if mode is None else image.convert(mode)).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        (png(GOOD[:3]), r"1 faults, the first: .*b_leftImg8bit\.png is \(3, 6\) instead of \(4, 6\); delete"),
        (png(GOOD * 0), r"b_leftImg8bit.png holds the ids \[0\], which are no cityscapes ids"),
        (png(GOOD * 0 + 255), r"holds the ids \[255\]"),
        (png(mode="RGB"), "has the mode RGB instead of 8 bits in one channel"),
        (png(mode="P"), "has the mode P"),
        (png(GOOD.astype(np.uint16)), "has the mode I;16"),
        (png()[:-20], "is broken or no PNG"),
        (png()[:60] + bytes([png()[60] ^ 1]) + png()[61:], "is broken or no PNG"),
        (b"text", "is broken or no PNG"),
        (png(GOOD[:3] * 0), "2 faults, the first"),
    ],
)
def test_a_wrong_label_is_named(second: bytes, sentence: str, tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in NAMES}
    for path, content in zip(files.values(), (png(), second), strict=True):
        path.write_bytes(content)
    with pytest.raises(ValueError, match=sentence):
        pack(files, tmp_path / "a.zip", RULES)
    assert not (tmp_path / "a.zip").exists()


def test_what_is_packed_is_what_lies_there(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in NAMES}
    for path in files.values():
        path.write_bytes(png())
    pack(files, tmp_path / "a.zip", RULES)
    with zipfile.ZipFile(tmp_path / "a.zip") as opened:
        assert {name: opened.read(name) for name in opened.namelist()} == dict.fromkeys(NAMES, png())


@pytest.fixture
def dataset(tmp_path: Path) -> FolderDataset:
    for name in ("test/x/a.png", "test/y/b.png", "val/x/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 4)).save(tmp_path / name)
    return FolderDataset("small", str(tmp_path), "{split}/*/*.png", {}, CITYSCAPES)


def test_test_images_are_listed_under_the_names_of_their_labels(dataset: FolderDataset) -> None:
    inputs = images_to_submit(dataset, RULES)
    assert [item.name for item in inputs.items] == ["a", "b"]
    renamed = images_to_submit(dataset, Rules("x", "test", 2, (4, 6), "train", "{stem}_pred.png"))
    assert [item.name for item in renamed.items] == ["a_pred", "b_pred"]


def test_an_incomplete_set_is_refused(dataset: FolderDataset) -> None:
    with pytest.raises(ValueError, match="has 2 test images, the server of cityscapes wants 3; complete the data"):
        images_to_submit(dataset, Rules("cityscapes", "test", 3, (4, 6), "train"))


def test_images_of_another_size_are_refused(dataset: FolderDataset) -> None:
    with pytest.raises(ValueError, match=r"a.png is \(4, 6\), the server of x wants \(5, 6\)"):
        images_to_submit(dataset, Rules("x", "test", 2, (5, 6), "train"))
    (dataset.root / "test" / "y" / "b.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"b.png is broken or no image"):
        images_to_submit(dataset, RULES)


def test_one_name_for_two_images_is_refused(dataset: FolderDataset) -> None:
    (dataset.root / "test" / "y" / "b.png").rename(dataset.root / "test" / "y" / "a.png")
    with pytest.raises(ValueError, match=r"a\.png and .*y/a\.png would have labels of the same name a; remove"):
        images_to_submit(dataset, RULES)


def test_other_classes_are_refused() -> None:
    check_classes(CITYSCAPES, RULES)
    with pytest.raises(ValueError, match=r"knows 2 classes, a, b .* scores the 19 of Cityscapes"):
        check_classes(classes_from({"names": ["a", "b"]}), RULES)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("file", "label.png", r"must hold \{stem\} and end in .png"),
        ("file", "{stem}.jpg", r"must hold \{stem\} and end in .png"),
        ("count", 0, "count=0: expected"),
        ("size", [4], r"size=\[4\]: expected"),
        ("ids", "kitti", "id_map 'kitti' is unknown"),
    ],
)
def test_rules_that_make_no_sense_are_refused(key: str, value: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Rules(**({"name": "x", "split": "test", "count": 1, "size": (4, 6), "ids": "train"} | {key: value}))


@pytest.mark.parametrize(
    ("name", "image", "count", "size", "ids"),
    [
        ("cityscapes", "leftImg8bit/test/berlin/berlin_000000_000019_leftImg8bit.png", 1525, (1024, 2048), {7, 33}),
        ("acdc", "rgb_anon/fog/test/GOPR0475/GOPR0475_frame_000001_rgb_anon.png", 2000, (1080, 1920), {0, 18}),
        ("dark_zurich", "rgb_anon/test/night/GOPR0356/GOPR0356_frame_000321_rgb_anon.png", 151, (1080, 1920), {0, 18}),
    ],
)
def test_the_table_of_each_server(
    name: str, image: str, count: int, size: tuple[int, int], ids: set[int], tmp_path: Path
) -> None:
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        config = compose("predict", [f"submission={name}", f"data_root={tmp_path}"]).submission
    rules = Rules(**{key: value for key, value in config.items() if key != "dataset"})
    assert (rules.count, tuple(rules.size)) == (count, size)
    assert len(rules.allowed) == 19
    assert {min(rules.allowed), max(rules.allowed)} == ids
    assert rules.file.format(stem=Path(image).stem) == Path(image).name
    pattern = config.dataset.images.replace("{split}", config.dataset.layout.splits[rules.split])
    path = tmp_path / name / image
    path.parent.mkdir(parents=True)
    path.touch()
    assert list(Path(config.dataset.root).glob(pattern)) == [path]
