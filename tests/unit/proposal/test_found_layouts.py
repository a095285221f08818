"""Folders as people keep them: what is found in each, and what its labels mean."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import yaml
from PIL import Image

from hrda_lit.config.nodes import ConfigError
from hrda_lit.data.folder import FolderDataset
from hrda_lit.proposal.propose import propose
from hrda_lit.proposal.write import Proposal, write

pytestmark = pytest.mark.slow

SIDES = (96, 128)
NAMES = ["road", "sky", "car"]
COLOURS = [(128, 64, 128), (70, 130, 180), (0, 0, 142)]
Build = Callable[[Path], None]
KEYS: dict[str, Any] = {
    "out": "mine", "name": None, "classes": None, "source_labels": None, "target_labels": None, "background": None,
    "weights": None, "device": "cpu", "steps": None,
}  # fmt: skip


def picture(path: Path, seed: int = 0, sides: tuple[int, int] = SIDES) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (*sides, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def ids(sides: tuple[int, int] = SIDES) -> np.ndarray:
    """Road below, sky above, a small car between."""
    label = np.zeros(sides, np.uint8)
    label[: sides[0] // 2] = 1
    label[sides[0] // 2 : sides[0] // 2 + 6, 10:20] = 2
    return label


def save(path: Path, label: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(label).save(path)


def coloured(label: np.ndarray) -> np.ndarray:
    return np.array(COLOURS, np.uint8)[label]


def pairs(root: Path, image: str, label: str, count: int = 4, made: np.ndarray | None = None) -> None:
    """Write images and labels by patterns of their number."""
    for number in range(count):
        picture(root / image.format(number), number)
        save(root / label.format(number), ids() if made is None else made)


def names(root: Path, file: str = "classes.txt", text: str | None = None) -> None:
    (root / file).write_text("\n".join(NAMES) if text is None else text)


def plain(root: Path) -> None:
    pairs(root, "images/{:03d}.jpg", "labels/{:03d}.png")
    names(root)


def beside(root: Path) -> None:
    pairs(root, "{:03d}.jpg", "{:03d}_mask.png")
    names(root)


def beside_as_png(root: Path) -> None:
    pairs(root, "{:03d}.png", "{:03d}_label.png")
    names(root, "names.txt")


def binary(root: Path) -> None:
    pairs(root, "imgs/{:03d}.png", "masks/{:03d}.png", made=np.where(ids() == 2, 255, 0).astype(np.uint8))


def lists(root: Path) -> None:
    pairs(root, "images/{:03d}.jpg", "labels/{:03d}.png", 6)
    names(root)
    (root / "train.txt").write_text("000\n001\n002\n003\n")
    (root / "val.txt").write_text("004\n005\n")


def split_folders(root: Path) -> None:
    pairs(root, "train/images/{:03d}.jpg", "train/labels/{:03d}.png", 4)
    pairs(root, "valid/images/{:03d}.jpg", "valid/labels/{:03d}.png", 2)
    names(root)


def camvid(root: Path) -> None:
    pairs(root, "train/{:03d}.png", "trainannot/{:03d}.png", 4)
    names(
        root,
        "label_colors.txt",
        "\n".join(f"{r} {g} {b} {name}" for name, (r, g, b) in zip(NAMES, COLOURS, strict=True)),
    )


def voc(root: Path) -> None:
    """CVAT's "Segmentation mask": VOC's folders, colours, labelmap.txt."""
    pairs(root, "JPEGImages/{:03d}.jpg", "SegmentationClass/{:03d}.png", 4, coloured(ids()))
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    (root / "ImageSets/Segmentation/train.txt").write_text("000\n001\n002\n")
    rows = [f"{name}:{r},{g},{b}::" for name, (r, g, b) in zip(NAMES, COLOURS, strict=True)]
    names(root, "labelmap.txt", "# label:color_rgb:parts:actions\n" + "\n".join(rows))


def cityscapes(root: Path) -> None:
    raw = np.array([7, 23, 26], np.uint8)[ids()]
    pairs(root, "leftImg8bit/train/a/a_{:06d}_leftImg8bit.png", "gtFine/train/a/a_{:06d}_gtFine_labelIds.png", 4, raw)


def roboflow(root: Path) -> None:
    pairs(root, "train/x_{:03d}.jpg", "train/x_{:03d}_mask.png", 4)
    names(root / "train", "_classes.csv", "Pixel Value, Class\n" + "\n".join(f"{i}, {n}" for i, n in enumerate(NAMES)))


def labelme_masks(root: Path) -> None:
    """What labelme2voc writes."""
    pairs(root, "JPEGImages/{:03d}.jpg", "SegmentationClassPNG/{:03d}.png", 4)
    names(root, "class_names.txt", "__ignore__\n" + "\n".join(NAMES))


def square(left: int, top: int, right: int, bottom: int) -> list[float]:
    return [left, top, right, top, right, bottom, left, bottom]


PARTS = [(1, square(0, 0, 128, 48)), (0, square(0, 48, 128, 96)), (2, square(10, 48, 20, 54))]


def coco(root: Path) -> None:
    content: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
    content["categories"] = [{"id": i + 1, "name": name} for i, name in enumerate(NAMES)]
    for number in range(4):
        picture(root / f"{number:03d}.jpg", number)
        content["images"].append({"id": number, "file_name": f"{number:03d}.jpg", "height": 96, "width": 128})
        for index, ring in PARTS:
            content["annotations"].append({
                "id": len(content["annotations"]), "image_id": number, "category_id": index + 1, "segmentation": [ring],
                "area": (ring[2] - ring[0]) * (ring[5] - ring[1]), "iscrowd": 0,
            })  # fmt: skip
    (root / "_annotations.coco.json").write_text(json.dumps(content))


def labelme(root: Path) -> None:
    for number in range(4):
        picture(root / f"{number:03d}.jpg", number)
        points = [(NAMES[index], list(zip(ring[::2], ring[1::2], strict=True))) for index, ring in PARTS]
        shapes = [{"label": label, "points": ring, "shape_type": "polygon"} for label, ring in points]
        content = {"shapes": shapes, "imagePath": f"{number:03d}.jpg", "imageHeight": 96, "imageWidth": 128}
        (root / f"{number:03d}.json").write_text(json.dumps(content))


def odd_sizes(root: Path) -> None:
    for number, sides in enumerate([(96, 128), (200, 140), (101, 333), (480, 640)]):
        picture(root / f"images/{number}.jpg", number, sides)
        save(root / f"labels/{number}.png", ids(sides))
    names(root)


class Layout(NamedTuple):
    """A builder, and what must come out: classes, images to learn from, id map."""

    build: Build
    classes: list[str]
    train: int = 4
    id_map: dict[int, int] | str | None = None


LAYOUTS = {
    "images and labels": Layout(plain, NAMES),
    "masks beside": Layout(beside, NAMES),
    "labels beside as PNG": Layout(beside_as_png, NAMES),
    "masks of 0 and 255": Layout(binary, ["background", "foreground"], 4, {0: 0, 255: 1}),
    "lists": Layout(lists, NAMES),
    "a folder for each split": Layout(split_folders, NAMES),
    "CamVid": Layout(camvid, NAMES),
    "VOC by CVAT": Layout(voc, NAMES, 3),
    "Cityscapes": Layout(cityscapes, [], 4, "cityscapes"),
    "Roboflow": Layout(roboflow, NAMES),
    "labelme as VOC": Layout(labelme_masks, NAMES),
    "COCO": Layout(coco, NAMES),
    "labelme": Layout(labelme, sorted(NAMES)),
    "odd sizes": Layout(odd_sizes, NAMES),
}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    for number in range(12):
        picture(tmp_path / f"dusk/{number:03d}.jpg", 100 + number)
    return tmp_path / "dusk"


def proposal_of(source: Path, target: Path, **keys: Any) -> Proposal:
    return propose({**KEYS, "source": str(source), "target": str(target), **keys})


def written(proposal: Proposal, folder: Path) -> FolderDataset:
    """Write a proposal and read its source as a training does."""
    write(proposal, folder, folder)
    keys = yaml.safe_load((folder / f"dataset/{proposal.source.name}.yaml").read_text())
    return FolderDataset(**{key: value for key, value in keys.items() if key != "_target_"})


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_found(name: str, tmp_path: Path, target: Path) -> None:
    layout = LAYOUTS[name]
    (tmp_path / "day").mkdir()
    layout.build(tmp_path / "day")
    proposal = proposal_of(tmp_path / "day", target)
    assert len(proposal.source.lists["train"]) == layout.train
    assert proposal.source.space.id_map == layout.id_map
    if layout.classes:
        assert proposal.source.space.names == layout.classes
    assert proposal.target.lists == {"train": sorted(path.name for path in target.iterdir())}
    source = written(proposal, tmp_path / "mine")
    sample = source.files("train", labelled=True)[-1]
    assert sample.label is not None
    assert set(source.labels.read(sample.label).unique().tolist()) <= set(range(len(source.classes)))
    found = sorted(path.relative_to(tmp_path / "mine").as_posix() for path in (tmp_path / "mine").glob("*/*.yaml"))
    assert found == ["dataset/day.yaml", "dataset/dusk.yaml", "experiment/dusk_daformer.yaml",
                     "experiment/dusk_hrda.yaml", "experiment/dusk_source_only.yaml", "setting/dusk.yaml"]  # fmt: skip


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name != "Cityscapes"])
def test_shares_of_classes_are_those_of_the_labels(name: str, tmp_path: Path, target: Path) -> None:
    (tmp_path / "day").mkdir()
    LAYOUTS[name].build(tmp_path / "day")
    proposal = proposal_of(tmp_path / "day", target)
    shares = dict(zip(proposal.source.space.names, proposal.measured[0].shares, strict=True))
    small = shares["foreground" if "foreground" in shares else "car"]
    assert 0 < small < 0.02
    if "sky" in shares:
        assert shares["sky"] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("build", "keys", "words"),
    [
        (lambda root: pairs(root, "images/{}.jpg", "labels/{}.png"), {}, ["classes="]),
        (lambda root: pairs(root, "images/{}.jpg", "labels/{}.png", 4, coloured(ids())), {}, ["3 colours", "classes="]),
        (lambda root: picture(root / "images/0.jpg"), {}, ["no label", "source_labels"]),
        (lambda root: (root / "notes.txt").write_text("x"), {}, ["no image"]),
        (lambda root: (plain(root), pairs(root, "images/{:03d}.jpg", "masks/{:03d}.png")), {}, ["source_labels"]),
        (plain, {"source_labels": "nothing"}, ["source_labels=nothing"]),
        (plain, {"classes": ["a", "b"]}, ["ids 2", "classes="]),
    ],
)
def test_what_is_ambiguous_is_asked_for(
    build: Build, keys: dict[str, Any], words: list[str], tmp_path: Path, target: Path
) -> None:
    (tmp_path / "day").mkdir()
    build(tmp_path / "day")
    with pytest.raises((ValueError, FileNotFoundError)) as refused:
        proposal_of(tmp_path / "day", target, **keys)
    assert not isinstance(refused.value, ConfigError)
    assert all(word in str(refused.value) for word in words)


def test_answers_are_taken(tmp_path: Path, target: Path) -> None:
    (tmp_path / "day").mkdir()
    plain(tmp_path / "day")
    pairs(tmp_path / "day", "images/{:03d}.jpg", "masks/{:03d}.png", 4, coloured(ids()))
    proposal = proposal_of(tmp_path / "day", target, source_labels="labels/", classes=["a", "b", "c"])
    assert proposal.source.space.names == ["a", "b", "c"]
    colours = {name: list(colour) for name, colour in zip(NAMES, COLOURS, strict=True)}
    proposal = proposal_of(tmp_path / "day", target, source_labels="masks/", classes=colours)
    assert proposal.source.space.colour_map == dict(zip(NAMES, COLOURS, strict=True))


def test_a_target_of_several_drives_is_scored_on_whole_ones(tmp_path: Path) -> None:
    (tmp_path / "day").mkdir()
    plain(tmp_path / "day")
    for drive in "abcde":
        pairs(tmp_path / "dusk", f"images/{drive}_{{:03d}}.jpg", f"labels/{drive}_{{:03d}}.png", 5)
    names(tmp_path / "dusk", text="sky\nroad\ncar")
    proposal = proposal_of(tmp_path / "day", tmp_path / "dusk")
    assert [name[:8] for name in proposal.target.lists["val"]] == ["images/e"] * 5
    assert len(proposal.target.lists["train"]) == 20
    assert proposal.target.space.id_map == {0: 1, 1: 0, 2: 2}  # in the source's order


def test_half_of_the_pixels_in_no_polygon_must_be_said(tmp_path: Path, target: Path) -> None:
    (tmp_path / "day").mkdir()
    labelme(tmp_path / "day")
    for path in (tmp_path / "day").glob("*.json"):
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, "shapes": content["shapes"][1:]}))
    with pytest.raises(ValueError, match="background="):
        proposal_of(tmp_path / "day", target)
    assert proposal_of(tmp_path / "day", target, background="class").source.space.names == ["car", "road", "background"]


def test_a_bonnet_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "day").mkdir()
    plain(tmp_path / "day")
    for number in range(12):
        picture(tmp_path / f"dusk/{number}.png", number)
        image = Image.open(tmp_path / f"dusk/{number}.png")
        image.paste((40, 40, 40), (0, 80, 128, 96))
        image.save(tmp_path / f"dusk/{number}.png")
    margins = proposal_of(tmp_path / "day", tmp_path / "dusk").target.margins
    assert margins is not None
    assert margins.value.startswith("{ top: 0, bottom: 3")  # of 192 rows, to which 96 are enlarged
