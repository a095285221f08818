import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hrda_lit.data.classes import CITYSCAPES
from hrda_lit.data.folder import DataNotFoundError, FolderDataset, Sample

Make = Callable[..., Any]


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array.astype(np.uint8)).save(path)


# Layouts of published data sets: image path, label path, the reader's arguments.
LAYOUTS = {
    "gta": (
        "images/00001.png",
        "labels/00001.png",
        {"images": "images/*.png", "label_rule": {"images/": "labels/"}},
    ),
    "synthia": (
        "RGB/0000001.png",
        "GT/LABELS/0000001.png",
        {"images": "RGB/*.png", "label_rule": {"RGB/": "GT/LABELS/"}},
    ),
    "cityscapes": (
        "leftImg8bit/train/ulm/ulm_000001_000019_leftImg8bit.png",
        "gtFine/train/ulm/ulm_000001_000019_gtFine_labelIds.png",
        {
            "images": "leftImg8bit/{split}/*/*_leftImg8bit.png",
            "label_rule": {"leftImg8bit/": "gtFine/", "_leftImg8bit.png": "_gtFine_labelIds.png"},
        },
    ),
    "acdc": (
        "rgb_anon/fog/train/GOPR0475/GOPR0475_frame_000041_rgb_anon.png",
        "gt/fog/train/GOPR0475/GOPR0475_frame_000041_gt_labelTrainIds.png",
        {
            "images": "rgb_anon/*/{split}/*/*_rgb_anon.png",
            "label_rule": {"rgb_anon/": "gt/", "_rgb_anon.png": "_gt_labelTrainIds.png"},
        },
    ),
    "dark_zurich": (
        "rgb_anon/train/night/GOPR0345/GOPR0345_frame_000001_rgb_anon.png",
        "gt/train/night/GOPR0345/GOPR0345_frame_000001_gt_labelTrainIds.png",
        {
            "images": "rgb_anon/{split}/night/*/*_rgb_anon.png",
            "label_rule": {"rgb_anon/": "gt/", "_rgb_anon.png": "_gt_labelTrainIds.png"},
        },
    ),
    "bdd100k": (
        "images/10k/train/a-b.jpg",
        "labels/sem_seg/masks/train/a-b.png",
        {
            "images": "images/10k/{split}/*.jpg",
            "label_rule": {"images/10k/": "labels/sem_seg/masks/", ".jpg": ".png"},
        },
    ),
    "mapillary": (
        "training/images/a-b.jpg",
        "training/labels/a-b.png",
        {
            "images": "{split}/images/*.jpg",
            "label_rule": {"images/": "labels/", ".jpg": ".png"},
            "layout": {"splits": {"train": "training", "val": "validation"}},
        },
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_published_layouts(tmp_path: Path, name: str) -> None:
    image, label, arguments = LAYOUTS[name]
    save(tmp_path / image, np.zeros((3, 4, 3)))
    save(tmp_path / label, np.full((3, 4), 5))
    dataset = FolderDataset(name, str(tmp_path), classes="cityscapes", **arguments)  # type: ignore[arg-type]
    assert dataset.files("train", labelled=True) == [Sample(tmp_path / image, tmp_path / label)]
    assert (dataset.read(dataset.files("train", labelled=True)[0])[1] == 5).all()


def test_files_are_sorted_and_split(make_dataset: Make) -> None:
    dataset = make_dataset()
    for split in ("train", "val"):
        names = [sample.image.relative_to(dataset.root).as_posix() for sample in dataset.files(split, False)]
        assert names == [f"images/{split}/{i:03d}.jpg" for i in range(6)]


def test_labels_are_looked_for_only_if_wanted(make_dataset: Make) -> None:
    dataset = make_dataset(labelled=False)
    samples = dataset.files("train", labelled=False)
    assert all(sample.label is None for sample in samples)
    assert dataset.read(samples[0])[1] is None
    with pytest.raises(
        DataNotFoundError, match=r"labels/train/000\.png does not exist.* 6 images .* 6 missing; .*; correct root"
    ):
        dataset.files("train", labelled=True)


def test_split_file_and_exclude(make_dataset: Make) -> None:
    dataset = make_dataset(layout={"split_file": "{split}.txt", "exclude": ["004"]})
    (dataset.root / "train.txt").write_text("004\n002\ntrain/001\n\n")
    assert [sample.image.stem for sample in dataset.files("train", True)] == ["001", "002"]
    (dataset.root / "val.txt").write_text("002\n777\n")
    with pytest.raises(DataNotFoundError, match=r"val\.txt lists 2 images.* 1 have none \(777\)"):
        dataset.files("val", True)


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n"])
def test_an_empty_split_list_is_named(make_dataset: Make, text: str) -> None:
    dataset = make_dataset(layout={"split_file": "{split}.txt"})
    (dataset.root / "train.txt").write_text(text)
    with pytest.raises(DataNotFoundError, match=r"train\.txt is empty, need the names of images of data, one a line"):
        dataset.files("train", True)


def test_missing_split_file(make_dataset: Make) -> None:
    dataset = make_dataset(layout={"split_file": "{split}.txt", "help": "ask the authors"})
    with pytest.raises(DataNotFoundError, match=r"train\.txt does not exist.*; ask the authors\.$"):
        dataset.files("train", False)


def test_missing_root_and_images(make_dataset: Make, tmp_path: Path) -> None:
    absent = FolderDataset("mine", str(tmp_path / "absent"), "*.png", {}, "cityscapes")
    with pytest.raises(
        DataNotFoundError, match=r"absent is not a folder.* mine there; correct root, images and label_rule"
    ):
        absent.files("train", False)
    with pytest.raises(DataNotFoundError, match=r"no file fits .*images/test/\*\.jpg"):
        make_dataset().files("test", False)


def test_unknown_split_is_refused(make_dataset: Make) -> None:
    with pytest.raises(ValueError, match=r"no split 'val'; choose one of \['train'\]"):
        make_dataset(layout={"splits": {"train": "train"}}).files("val", False)


def test_rule_that_does_not_fit_is_refused(make_dataset: Make) -> None:
    with pytest.raises(ValueError, match=r"replaces '\.png', which 'images/train/000\.jpg' does not contain"):
        make_dataset(label_rule={".png": ".gif"}).files("train", True)


def test_a_rule_may_replace_any_suffix_by_the_end_of_a_name(tmp_path: Path) -> None:
    for name in ("x.y.jpg", "z.PNG"):
        (tmp_path / name).touch()
    dataset = FolderDataset("data", str(tmp_path), "*", {".*": "_mask.png"}, {"names": ["a", "b"]})
    assert [sample.label.name for sample in dataset.pairs("train", True) if sample.label] == [
        "x.y_mask.png",
        "z_mask.png",
    ]


def test_id_map_ignores_the_rest(make_dataset: Make) -> None:
    dataset = make_dataset(id_map={3: 0, 1: 2})
    sample = dataset.files("train", True)[0]
    raw, label = np.asarray(Image.open(sample.label)), dataset.read(sample)[1]
    assert (label.numpy() == np.select([raw == 3, raw == 1], [0, 2], 255)).all()
    assert set(label.unique().tolist()) == {0, 2, 255}


def test_strange_train_ids_are_refused(make_dataset: Make) -> None:
    dataset = make_dataset()
    sample = dataset.files("train", True)[0]
    save(sample.label, np.full((48, 64), 4))
    with pytest.raises(ValueError, match=r"000\.png holds the id 4, need train ids 0 to 3 or 255"):
        dataset.read(sample)


def test_sizes_must_agree(make_dataset: Make) -> None:
    dataset = make_dataset()
    sample = dataset.files("train", True)[0]
    save(sample.label, np.zeros((48, 63)))
    with pytest.raises(ValueError, match=r"000\.png has \(48, 63\) pixels, its image \(48, 64\)"):
        dataset.read(sample)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"size": [10]}, "size=[10]: expected a list of 2"),
        ({"size": [0, 10]}, "size[0]=0: expected"),
        ({"layout": {"split": {}}}, "unknown key layout.split; did you mean layout.splits?"),
        ({"layout": {"margins": {"up": 3}}}, "unknown key layout.margins.up; layout.margins has"),
        ({"layout": {"margins": {"top": -3}}}, "layout.margins.top=-3: expected"),
        ({"layout": {"label_channel": "red"}}, "label_channel=red: expected"),
        ({"layout": {"exclude": [123]}}, "exclude[0]=123: expected text"),
        ({"id_map": {1: 4}}, "1 -> 4"),
        ({"id_map": {"7": 0}}, "id_map has the key '7': expected a whole number in [0, 255]; correct id_map"),
        ({"layout": {"colour_map": {"a": "#00ff00"}}}, "colour_map gives a #00ff00, need [red, green, blue]"),
    ],
)
def test_wrong_arguments_are_refused(options: dict[str, Any], sentence: str) -> None:
    arguments = {"classes": {"names": ["a", "b"]}} | options
    with pytest.raises(ValueError, match=re.escape(sentence)):
        FolderDataset("data", "anywhere", "*.png", {}, **arguments)


def test_layout_from_mapping() -> None:
    layout = {"margins": {"top": 30, "bottom": 240}, "exclude": ["x"], "label_channel": "red16"}
    dataset = FolderDataset("data", "~/x", "*.png", {}, CITYSCAPES, layout=layout)
    assert (dataset.layout.margins.bottom, dataset.layout.margins.left) == (240, 0)
    assert dataset.layout.label_channel == "red16"
    assert dataset.root == Path.home() / "x"


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        (["004"], {"000", "001", "002", "003", "005"}),
        (["images/train/004.jpg", "images/train/00[01]*"], {"002", "003", "005"}),
        (["images/train/004", "*/val/*"], {"000", "001", "002", "003", "005"}),
        (["00[0-3]", "nothing"], {"004", "005"}),
    ],
)
def test_exclude_takes_stems_paths_and_patterns(make_dataset: Make, exclude: list[str], left: set[str]) -> None:
    dataset = make_dataset(layout={"exclude": exclude})
    assert {sample.image.stem for sample in dataset.files("train", True)} == left


def test_folders_of_a_split_list_tell_images_of_one_name_apart(make_dataset: Make) -> None:
    dataset = make_dataset(images="images/*/*.jpg", layout={"split_file": "{split}.txt"})
    (dataset.root / "train.txt").write_text("train/000\ntrain/001\n")
    (dataset.root / "val.txt").write_text("val/000\n")
    listed = {split: [sample.image for sample in dataset.files(split, True)] for split in ("train", "val")}
    assert listed["train"] == [dataset.root / "images/train/000.jpg", dataset.root / "images/train/001.jpg"]
    assert listed["val"] == [dataset.root / "images/val/000.jpg"]
    (dataset.root / "val.txt").write_text("000\n")
    with pytest.raises(ValueError, match="means both"):
        dataset.files("val", True)


@pytest.mark.parametrize("name", ["my data", "data [1]", "caf\u00e9", "cafe\u0301", "a*b", "x;y"])
def test_names_of_folders_are_taken_as_they_are(tmp_path: Path, name: str) -> None:
    for number in (1, 2):
        save(tmp_path / name / name / f"{number}.png", np.zeros((3, 4, 3)))
        save(tmp_path / name / "labels" / f"{number}.png", np.zeros((3, 4)))
    other = name.replace("cafe\u0301", "caf\u00e9") if "e\u0301" in name else name.replace("caf\u00e9", "cafe\u0301")
    for written in (name, other):
        rule = {f"{name}/": "labels/"}
        dataset = FolderDataset("data", str(tmp_path / written), f"{written}/*.png", rule, {"names": ["a", "b"]})
        assert [sample.image.name for sample in dataset.files("train", True)] == ["1.png", "2.png"]


def test_hidden_files_are_no_images(make_dataset: Make) -> None:
    dataset = make_dataset()
    (dataset.root / "images/train/._000.jpg").write_bytes(b"left by another system")
    assert len(dataset.files("train", True)) == 6


def test_an_image_is_not_its_own_label(make_dataset: Make) -> None:
    with pytest.raises(ValueError, match=r"takes .*000\.jpg for its own label"):
        make_dataset(label_rule={}).files("train", True)


def test_colours_of_labels(make_dataset: Make) -> None:
    colours = {"a": [10, 20, 30], "b": [40, 50, 60]}
    options = {"classes": {"names": ["a", "b"]}, "layout": {"colour_map": colours}}
    dataset = make_dataset(**options)
    sample = dataset.files("train", True)[0]
    pixels = np.zeros((48, 64, 3), np.uint8) + np.array([10, 20, 30], np.uint8)
    pixels[:24] = (40, 50, 60)
    Image.fromarray(pixels).save(sample.label)
    wanted = np.repeat([1, 0], 24)[:, None].repeat(64, 1)
    assert (dataset.read(sample)[1].numpy() == wanted).all()
    Image.fromarray(pixels).quantize(4).save(sample.label)  # the same colours in a palette
    assert (dataset.read(sample)[1].numpy() == wanted).all()
    pixels[0, 0] = (1, 2, 3)
    Image.fromarray(pixels).save(sample.label)
    with pytest.raises(ValueError, match=r"000\.png has 1 pixels of 1 colours .* most of them \[1, 2, 3\] \(1\)"):
        dataset.read(sample)
    options["layout"] = {"colour_map": colours, "unknown_colours": "ignore"}
    assert int(make_dataset(**options).labels.read(sample.label)[0, 0]) == 255
    with pytest.raises(ValueError, match="both an id_map and a layout"):
        make_dataset(**options, id_map={0: 0})
