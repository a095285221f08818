"""Layouts and files of other tools, and oddities: each is understood, or asked about in one sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image, ImageFilter

from hrda_lit.data.classes import CITYSCAPES
from hrda_lit.proposal.write import write
from tests.unit.proposal.test_found_layouts import (
    COLOURS,
    NAMES,
    beside,
    coco,
    coloured,
    ids,
    labelme,
    names,
    pairs,
    picture,
    plain,
    proposal_of,
    save,
    target,
    written,
)

pytestmark = pytest.mark.slow
__all__ = ["target"]

RAW = np.array([7, 23, 26], np.uint8)[ids()]  # road, sky and car of Cityscapes
BLOB = np.where(ids() == 2, 255, 0).astype(np.uint8)


def listed(image: str, label: str) -> Callable[[Path], Any]:
    """Write pairs by these patterns, and a list of classes."""
    return lambda root: (pairs(root, image, label), names(root))


def mapillary(root: Path) -> None:
    for version in ("v1.2", "v2.0"):
        for number in range(3):
            name = f"training/{{}}/{number}"
            picture(root / f"{name.format('images')}.jpg", number)
            save(root / f"{name.format(f'{version}/labels')}.png", ids())
            save(root / f"{name.format(f'{version}/instances')}.png", ids().astype(np.uint16) * 256)
        records = [{"name": name, "color": list(c)} for name, c in zip(NAMES, COLOURS, strict=True)]
        (root / f"config_{version}.json").write_text(json.dumps({"labels": records}))


def bdd(root: Path) -> None:
    pairs(root, "images/10k/train/{:04x}.jpg", "labels/sem_seg/masks/train/{:04x}.png", 4, RAW)
    save(root / "labels/sem_seg/colormaps/train/0000.png", coloured(ids()))


def kitti(root: Path) -> None:
    pairs(root, "training/image_2/{:06d}_10.png", "training/semantic/{:06d}_10.png", 4, RAW)
    for number in range(4):
        save(root / f"training/semantic_rgb/{number:06d}_10.png", coloured(ids()))
        save(root / f"training/instance/{number:06d}_10.png", RAW.astype(np.uint16) * 256)


def acdc(root: Path) -> None:
    for number in range(4):
        name = f"fog/train/GOPR0475/GOPR0475_frame_{number:06d}"
        picture(root / f"rgb_anon/{name}_rgb_anon.png", number)
        for kind in ("labelIds", "invIds", "labelTrainIds"):
            save(root / f"gt/{name}_gt_{kind}.png", RAW)


def ade(root: Path) -> None:
    pairs(root, "images/training/ADE_{:04d}.jpg", "annotations/training/ADE_{:04d}.png", 4, ids() + np.uint8(1))
    names(root.parent, "objects.txt", "\n".join(f"{number} name {number}" for number in range(1, 151)))


def kaggle(root: Path) -> None:
    for number in range(4):
        picture(root / f"train/{number}.jpg", number)
    (root / "train_masks").mkdir()
    for number in range(4):
        Image.fromarray(ids() == 2).save(root / f"train_masks/{number}_mask.gif")


def suffixes(root: Path) -> None:
    beside(root)
    for name in ("a.jpeg", "b.JPG", "c.png"):
        picture(root / name)
        save(root / f"{name[0]}_mask.png", ids())


def void(root: Path) -> None:
    plain(root)
    names(root, text="road\nsky\nvoid")


def arrays(root: Path) -> None:
    for number in range(4):
        picture(root / f"images/{number}.jpg", number)
        (root / "labels").mkdir(exist_ok=True)
        np.save(root / f"labels/{number}.npy", ids().astype(np.int64))
    names(root)


def broken(root: Path) -> None:
    plain(root)
    (root / "images/001.jpg").write_bytes(b"no image")
    (root / "labels/002.png").write_bytes(b"no label")
    (root / "images/z.jpg").symlink_to("/nowhere.jpg")


def annotated(root: Path, change: Callable[[Any], None]) -> None:
    """Write COCO's file and change it."""
    coco(root)
    path = root / "_annotations.coco.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def without_area(content: Any) -> None:
    for annotation in content["annotations"]:
        del annotation["area"]


def accents(root: Path) -> None:
    """Images from a Mac, where an accent is a character of its own, and labels from elsewhere."""
    pairs(root, "images/cafe\u0301{}.jpg", "labels/caf\u00e9{}.png")
    names(root)


UNDERSTOOD: dict[str, tuple[Callable[[Path], Any], dict[str, Any], int, list[str], Any]] = {
    "Mapillary": (mapillary, {"source_labels": "v1.2/labels"}, 3, NAMES, None),
    "BDD100K": (bdd, {"classes": "cityscapes"}, 4, [], "cityscapes"),
    "KITTI": (kitti, {"classes": "cityscapes"}, 4, [], "cityscapes"),
    "ACDC": (acdc, {"source_labels": "labelIds"}, 4, [], "cityscapes"),
    "Kaggle": (kaggle, {}, 4, ["background", "foreground"], {0: 0, 255: 1}),
    "masks of 0 and 1": (
        lambda root: pairs(root, "images/{}.jpg", "masks/{}.png", 4, BLOB // 255),
        {}, 4, ["background", "foreground"], None,
    ),
    "grey levels": (
        lambda root: pairs(root, "images/{}.jpg", "masks/{}.png", 4, np.array([0, 255, 127], np.uint8)[ids()]),
        {"classes": {"a": 0, "b": 127, "c": 255}}, 4, ["a", "b", "c"], {0: 0, 127: 1, 255: 2},
    ),
    "suffixes that differ": (suffixes, {}, 7, NAMES, None),
    "the last name is void": (void, {}, 4, NAMES[:2], {0: 0, 1: 1}),
    "arrays": (arrays, {}, 4, NAMES, None),
    "masks below the images": (listed("{}.jpg", "masks/{}.png"), {}, 4, NAMES, None),
    "names with a first word": (listed("images/img_{}.jpg", "masks/mask_{}.png"), {}, 4, NAMES, None),
    "commas and blanks": (listed("images [1]/#a, b {}.jpg", "labels [1]/#a, b {}.png"), {}, 4, NAMES, None),
    "accents": (accents, {}, 4, NAMES, None),
    "names with an unknown end": (listed("images/{}.jpg", "gt/{}_pixels0.png"), {}, 4, NAMES, None),
    "folders with a word twice": (listed("my_images/images/{}.jpg", "my_images/labels/{}.png"), {}, 4, NAMES, None),
    "names with a suffix inside": (listed("images/a.jpg.{}.jpg", "labels/a.jpg.{}.png"), {}, 4, NAMES, None),
    "COCO without areas": (lambda root: annotated(root, without_area), {}, 4, NAMES, None),
    "some broken files": (broken, {}, 4, NAMES, None),
}  # fmt: skip


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_what_tools_write_is_understood(name: str, tmp_path: Path, target: Path) -> None:
    build, keys, train, classes, id_map = UNDERSTOOD[name]
    (tmp_path / "day").mkdir()
    build(tmp_path / "day")
    proposal = proposal_of(tmp_path / "day", target, **keys)
    source = proposal.source
    assert (len(source.lists["train"]), source.space.id_map) == (train, id_map)
    assert source.space.names == (classes or source.space.names)
    # Images of 96 x 128 are enlarged: training refuses smaller crops.
    assert proposal.plan.keys["data.crop"].value == "[128, 192]"
    assert len(written(proposal, tmp_path / "mine").files("train", labelled=True)) == train


def smooth(root: Path) -> None:
    mask = Image.fromarray(np.where(ids() == 0, 255, 0).astype(np.uint8))
    for number in range(4):
        picture(root / f"images/{number}.jpg", number)
        (root / "masks").mkdir(exist_ok=True)
        mask.rotate(13 + number).filter(ImageFilter.GaussianBlur(1)).save(root / f"masks/{number}.png")


def panoptic(root: Path) -> None:
    pairs(root, "val2017/{}.jpg", "panoptic_val2017/{}.png", 4, coloured(ids()))
    content = {"images": [], "annotations": [{"segments_info": []}], "categories": []}
    (root / "panoptic_val2017.json").write_text(json.dumps(content))


def read_by_others(name: str) -> Callable[[Path], None]:
    def build(root: Path) -> None:
        picture(root / "images/0.jpg")
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("{}")

    return build


def circle(root: Path) -> None:
    labelme(root)
    content = json.loads((root / "000.json").read_text())
    content["shapes"][0]["shape_type"] = "circle"
    (root / "000.json").write_text(json.dumps(content))


def named(text: str) -> Callable[[Path], None]:
    return lambda root: (plain(root), names(root, text=text))[0]


def empty_shapes(root: Path) -> None:
    labelme(root)
    for path in root.glob("*.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "shapes": []}))


def stereo(root: Path) -> None:
    plain(root)
    (root / "images").rename(root / "left")
    for number in range(4):
        picture(root / f"right/{number:03d}.jpg", number)


ASKED: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "Mapillary": (mapillary, ["v1.2/labels", "v2.0/labels", "source_labels="]),
    "ACDC": (acdc, ["_gt_labelIds", "_gt_labelTrainIds", "source_labels="]),
    "ids of KITTI": (kitti, ["7, 23, 26", "classes=cityscapes"]),
    "150 ids": (ade, ["classes=FILE"]),
    "COCO panoptic": (panoptic, ["panoptic", "convert"]),
    "Supervisely": (read_by_others("ann/0.jpg.json"), ["ann/0.jpg.json", "format"]),
    "CVAT": (read_by_others("annotations.xml"), ["annotations.xml", "format"]),
    "YOLO": (read_by_others("labels/0.txt"), ["labels/0.txt", "format"]),
    "smooth edges": (smooth, ["smooth edges", "source_labels="]),
    "JPEG": (lambda root: pairs(root, "images/{}.jpg", "masks/{}.jpg", made=BLOB), ["JPEG", "PNG"]),
    "one class": (named("road"), ["classes.txt names road alone"]),
    "no class": (named(""), ["names no class"]),
    "boxes": (
        lambda root: annotated(root, lambda c: [a.update(segmentation=[]) for a in c["annotations"]]), ["no polygons"]
    ),
    "an image of COCO is missing": (
        lambda root: (coco(root), (root / "003.jpg").unlink()), ["'003.jpg'", "0", "annotations"]
    ),
    "damaged JSON": (lambda root: (coco(root), (root / "x.json").write_text("{")), ["x.json"]),
    "a circle": (circle, ["circle"]),
    "no shapes": (empty_shapes, ["no polygons"]),
    "an odd polygon": (
        lambda root: annotated(root, lambda c: c["annotations"][0]["segmentation"][0].pop()), ["odd number"]
    ),
    "two cameras": (stereo, ["left/", "right/"]),
}  # fmt: skip


@pytest.mark.parametrize("name", ASKED)
def test_one_sentence_says_what_is_needed(name: str, tmp_path: Path, target: Path) -> None:
    build, words = ASKED[name]
    (tmp_path / "day").mkdir()
    build(tmp_path / "day")
    with pytest.raises((ValueError, FileNotFoundError)) as refused:
        proposal_of(tmp_path / "day", target)
    assert [word for word in words if word not in str(refused.value)] == []


def test_a_palette_for_each_file_is_read_by_its_colours(tmp_path: Path, target: Path) -> None:
    (tmp_path / "day/labels").mkdir(parents=True)
    for number in range(4):
        picture(tmp_path / f"day/images/{number}.jpg", number)
        order = np.roll(np.arange(3), number)
        label = Image.fromarray(order[ids()].astype(np.uint8))
        label.putpalette(np.array(COLOURS, np.uint8)[np.argsort(order)].tobytes())
        label.save(tmp_path / f"day/labels/{number}.png")
    with pytest.raises(ValueError, match="3 colours"):
        proposal_of(tmp_path / "day", target)
    rows = [f"{name}:{r},{g},{b}::" for name, (r, g, b) in zip(NAMES, COLOURS, strict=True)]
    names(tmp_path / "day", "labelmap.txt", "\n".join(rows))
    proposal = proposal_of(tmp_path / "day", target)
    assert proposal.source.space.colour_map == dict(zip(NAMES, COLOURS, strict=True))
    assert proposal.measured[0].shares[1] == pytest.approx(0.5)


def test_a_list_in_a_file_names_150_classes(tmp_path: Path, target: Path) -> None:
    (tmp_path / "day").mkdir()
    ade(tmp_path / "day")
    space = proposal_of(tmp_path / "day", target, classes=str(tmp_path / "objects.txt")).source.space
    assert (len(space.names), space.id_map[1], space.id_map[150]) == (150, 0, 149)  # type: ignore[index, call-overload]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"target": "day"}, "same images"),
        ({"target": "day/images"}, "same images"),
        ({"target": "nowhere"}, "does not exist"),
        ({"target": "film.mp4"}, "frames of a video"),
        ({"target": "films"}, "no image"),
        ({"out": "day/mine"}, "outside the data"),
        ({"name": "my set"}, "name=my set"),
        ({"weights": "nowhere.pth"}, "weights=nowhere.pth"),
        ({"classes": "nowhere.txt"}, "classes=nowhere.txt"),
        ({"classes": {"a": "b"}}, "classes has a: b"),
    ],
)
def test_keys_that_do_not_fit_are_refused(
    keys: dict[str, Any], words: str, tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "day").mkdir()
    plain(tmp_path / "day")
    (tmp_path / "films").mkdir()
    (tmp_path / "film.mp4").touch()
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        proposal_of(Path("day"), Path(keys.get("target", target)), **{k: v for k, v in keys.items() if k != "target"})


def test_files_that_look_like_labels_may_be_none(tmp_path: Path, target: Path) -> None:
    (tmp_path / "day").mkdir()
    coco(tmp_path / "day")
    for number in range(4):
        picture(tmp_path / f"day/{number:03d}.png", number)
        picture(target / f"{number:03d}.png", number)
    with pytest.raises(ValueError, match=r"source_labels=\.\.\. \(none"):
        proposal_of(tmp_path / "day", target)
    proposal = proposal_of(tmp_path / "day", target, source_labels="none", target_labels="none")
    assert (len(proposal.source.lists["train"]), len(proposal.target.lists["train"])) == (4, 16)


def test_a_target_named_as_cityscapes_has_its_classes(tmp_path: Path) -> None:
    (tmp_path / "day").mkdir()
    plain(tmp_path / "day")
    names(tmp_path / "day", text="\n".join([*CITYSCAPES.names[::-1], "lane"]))
    pairs(tmp_path / "dusk", "leftImg8bit/{:06d}_leftImg8bit.png", "gtFine/{:06d}_gtFine_labelIds.png", 4, RAW)
    id_map = proposal_of(tmp_path / "day", tmp_path / "dusk").target.space.id_map
    assert isinstance(id_map, dict)
    assert (id_map[7], id_map[23]) == (18, 8)  # road and sky in the source's order


def test_labels_beside_a_folder_of_images_are_pointed_at(tmp_path: Path, target: Path) -> None:
    (tmp_path / "day").mkdir()
    plain(tmp_path / "day")
    with pytest.raises(FileNotFoundError, match=r"labels lies beside it: give the folder of both"):
        proposal_of(tmp_path / "day/images", target)
    pairs(tmp_path / "night", "images/{}.jpg", "labels/{}.png")
    assert "labels lies beside it" in proposal_of(tmp_path / "day", tmp_path / "night/images").target.why


def test_one_target_image_is_adapted_to_and_scored(tmp_path: Path) -> None:
    (tmp_path / "day").mkdir()
    plain(tmp_path / "day")
    pairs(tmp_path / "dusk", "images/{}.jpg", "labels/{}.png", 1)
    lists = proposal_of(tmp_path / "day", tmp_path / "dusk").target.lists
    assert lists == {"train": ["images/0.jpg"], "val": ["images/0.jpg"]}


def test_a_linked_folder_has_the_name_of_the_link(tmp_path: Path, target: Path) -> None:
    (tmp_path / "store/x81").mkdir(parents=True)
    plain(tmp_path / "store/x81")
    (tmp_path / "day").symlink_to(tmp_path / "store/x81")
    assert proposal_of(tmp_path / "store/../day", target).source.name == "day"


def test_files_without_use_are_reported(tmp_path: Path, target: Path) -> None:
    (tmp_path / "day").mkdir()
    plain(tmp_path / "day")
    save(tmp_path / "day/labels/099.png", ids())
    (tmp_path / "day/train.txt").write_text("000\n777\n")
    proposal = proposal_of(tmp_path / "day", target)
    summary = "\n".join(proposal.summary())
    assert "unused: 1, e.g. labels/099.png" in summary
    assert "lines without an image: 1, e.g. 777" in summary


def test_faults_of_the_data_leave_files_that_can_name_them(tmp_path: Path, target: Path) -> None:
    from hrda_lit import api

    (tmp_path / "day").mkdir()
    broken(tmp_path / "day")
    with pytest.raises(ValueError, match="skip_broken"):
        api.init(f"source={tmp_path}/day", f"target={target}", f"out={tmp_path}/mine", "device=cpu")
    assert (tmp_path / "mine/experiment/dusk_hrda.yaml").is_file()


def test_many_labels_of_the_target_are_scored_once(tmp_path: Path, target: Path) -> None:
    (tmp_path / "day").mkdir()
    plain(tmp_path / "day")
    keys = [proposal_of(tmp_path / "day", target).plan.keys]
    for number in range(501):
        picture(tmp_path / f"night/images/{number}.png", number, (8, 8))
        save(tmp_path / f"night/labels/{number}.png", ids((8, 8)))
        picture(tmp_path / f"night/images/x{number}.png", number, (8, 8))
    keys.append(proposal_of(tmp_path / "day", tmp_path / "night").plan.keys)
    assert [one["trainer.val_check_interval"].value for one in keys] == ["400", "1600"]


def test_large_images_are_scaled_down_and_so_are_the_pixels_of_a_rare_class(tmp_path: Path, target: Path) -> None:
    for number in range(2):
        picture(tmp_path / f"day/images/{number}.jpg", number, (960, 1280))
        save(tmp_path / f"day/labels/{number}.png", ids((960, 1280)))
    names(tmp_path / "day")
    proposal = proposal_of(tmp_path / "day", target)
    assert proposal.source.size.value == "[480, 640]"
    assert "accept_ratio: 0.25 }" in proposal.plan.keys["data.rare_class"].value


def test_names_that_yaml_reads_as_numbers_are_quoted(tmp_path: Path, target: Path) -> None:
    (tmp_path / "2023").mkdir()
    plain(tmp_path / "2023")
    target.rename(tmp_path / "2024")
    proposal = proposal_of(tmp_path / "2023", tmp_path / "2024")
    assert written(proposal, tmp_path / "mine").name == "2023"
    setting = yaml.safe_load((tmp_path / "mine/setting/2024.yaml").read_text())["defaults"]
    assert setting[:2] == [{"override /dataset@source": "2023"}, {"override /dataset@target": "2024"}]
    assert yaml.safe_load((tmp_path / "mine/experiment/2024_hrda.yaml").read_text())["defaults"] == [
        {"/setting": "2024"}
    ]


def test_two_polygon_images_of_one_stem_are_refused(tmp_path: Path, target: Path) -> None:
    (tmp_path / "day").mkdir()
    coco(tmp_path / "day")
    picture(tmp_path / "day/000.ppm")
    path = tmp_path / "day/_annotations.coco.json"
    content = json.loads(path.read_text())
    content["images"].append({"id": 9, "file_name": "000.ppm", "height": 96, "width": 128})
    path.write_text(json.dumps(content))
    proposal = proposal_of(tmp_path / "day", target, background="class")
    with pytest.raises(ValueError, match=r"000\.ppm .*rename"):
        write(proposal, tmp_path / "mine", tmp_path / "mine")
