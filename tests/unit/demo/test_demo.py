"""The demo domains: files as the real sets have them, scenes from the seed alone, folders whole or absent."""

import json
import platform
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hrda_lit.demo import render_demo, write
from hrda_lit.demo.painter import SCALE, Camera
from hrda_lit.demo.scene import draw_scene, rare_things
from hrda_lit.demo.style import SOURCE, TARGET
from hrda_lit.demo.write import expose
from hrda_lit.ops.rng import fold
from hrda_lit.system.files import scratch_prefix

pytestmark = pytest.mark.slow

# raw ids that must occur, and those that no class has: 1 ego vehicle, 4 static
CLASSES = {7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 33}
IGNORED = {1, 4}
STEM = "cityscapes/{}/train/demoville/demoville_000001_000019_{}.png"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("small") / "demo"
    render_demo(root, seed=3, source=2, target=2, val=1)
    return root


@pytest.fixture(scope="module")
def labels() -> list[np.ndarray]:
    rngs = [np.random.default_rng(fold("scene", i)) for i in range(40)]
    canvases = [draw_scene(rng, (SOURCE, TARGET)[i % 2], rare_things(0, "val", i)) for i, rng in enumerate(rngs)]
    return [np.asarray(canvas.label)[1::SCALE, 1::SCALE] for canvas in canvases]


def content(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*.png")}


def test_files_lie_where_gta_and_cityscapes_have_them(small: Path) -> None:
    stem = "{}/demo{}/demo{}_{:06d}_000019"
    scenes = [stem.format("train", "ville", "ville", i) for i in range(2)]
    scenes.append(stem.format("val", "stadt", "stadt", 0))
    expected = {f"gta/{kind}/0000{i}.png" for kind in ("images", "labels") for i in (1, 2)}
    expected |= {f"cityscapes/leftImg8bit/{scene}_leftImg8bit.png" for scene in scenes}
    expected |= {f"cityscapes/gtFine/{scene}_gtFine_labelIds.png" for scene in scenes}
    assert set(content(small)) == expected


def test_pictures_have_the_encodings_of_the_real_sets(small: Path) -> None:
    modes = {"gta/images/00001.png": "RGB", "gta/labels/00001.png": "P"}
    modes |= {STEM.format("leftImg8bit", "leftImg8bit"): "RGB", STEM.format("gtFine", "gtFine_labelIds"): "L"}
    for name, mode in modes.items():
        with Image.open(small / name) as picture:
            assert (picture.mode, picture.size) == (mode, (512, 256)), name


def test_a_second_source_lies_as_urbansyn_does_and_changes_nothing_else(small: Path, tmp_path: Path) -> None:
    render_demo(tmp_path / "demo", seed=3, source=2, target=2, val=1, second_source=1)
    ours, both = content(small), content(tmp_path / "demo")
    assert both.keys() - ours.keys() == {"urbansyn/rgb/rgb_0001.png", "urbansyn/ss/ss_0001.png"}
    assert all(both[name] == ours[name] for name in ours)
    ids = set(np.unique(np.asarray(Image.open(tmp_path / "demo/urbansyn/ss/ss_0001.png"))).tolist())
    assert {0, 2, 10} < ids <= {*range(19), 255}  # road, building, sky; train ids


def test_palette_shows_cityscapes_colours_for_raw_ids(small: Path) -> None:
    with Image.open(small / "gta/labels/00001.png") as picture:
        raw, shown = np.asarray(picture), np.asarray(picture.convert("RGB"))
    for index, colour in ((7, (128, 64, 128)), (11, (70, 70, 70)), (23, (70, 130, 180))):
        assert (raw == index).any()
        assert (shown[raw == index] == colour).all()


def test_scenes_are_the_same_whatever_their_number(small: Path, tmp_path: Path) -> None:
    render_demo(tmp_path / "demo", seed=3, source=1, target=3, val=1)
    ours, others = content(small), content(tmp_path / "demo")
    shared = ours.keys() & others.keys()
    assert len(shared) == 2 + 4 + 2
    assert all(ours[name] == others[name] for name in shared)


def test_another_seed_gives_other_scenes(small: Path, tmp_path: Path) -> None:
    render_demo(tmp_path / "demo", seed=4, source=2, target=2, val=1)
    ours, others = content(small), content(tmp_path / "demo")
    assert ours.keys() == others.keys()
    assert all(ours[name] != others[name] for name in ours)


def test_a_finished_folder_is_left_alone(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "_render_all", lambda *_: pytest.fail("rendered again"))
    render_demo(str(small), seed=3, source=2, target=2, val=1)


@pytest.mark.parametrize("change", [{"seed": 4}, {"source": 3}, {"target": 3}, {"val": 2}, {"second_source": 1}])
def test_other_parameters_are_refused(small: Path, change: dict[str, int]) -> None:
    before = content(small)
    with pytest.raises(FileExistsError, match=f"{small} .*delete it"):
        render_demo(small, **{"seed": 3, "source": 2, "target": 2, "val": 1, **change})
    assert content(small) == before


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(FileExistsError, match="other files"):
        render_demo(tmp_path, source=1, target=1, val=1)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_number_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="val=0"):
        render_demo(tmp_path / "demo", val=0)
    assert not any(tmp_path.iterdir())


def test_a_stopped_render_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, calls = write._render_one, []

    def stop_at_third(*args: object) -> None:
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        whole(*args)

    monkeypatch.setattr(write, "_render_one", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        render_demo(tmp_path / "demo", source=2, target=2, val=1)
    assert not any(tmp_path.iterdir())


def test_the_slower_of_two_processes_accepts_what_the_faster_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, render_all = tmp_path / "demo", write._render_all

    def overtaken(fresh: Path, seed: int, counts: dict[str, int]) -> None:
        render_all(fresh, seed, counts)
        monkeypatch.setattr(write, "_render_all", render_all)
        render_demo(root, source=1, target=1, val=1)

    monkeypatch.setattr(write, "_render_all", overtaken)
    render_demo(root, source=1, target=1, val=1)
    assert json.loads((root / "demo.json").read_text())["source"] == 1
    assert len(content(root)) == 6
    assert [p.name for p in tmp_path.iterdir()] == ["demo"]


def test_all_classes_occur_and_nothing_else(labels: list[np.ndarray]) -> None:
    assert CLASSES <= {int(raw) for label in labels for raw in np.unique(label)} <= CLASSES | IGNORED


def test_rare_classes_are_rare(labels: list[np.ndarray]) -> None:
    for raw in (12, 13, 19, 25, 27, 28, 33):
        assert 1 <= sum((label == raw).any() for label in labels) <= 20, raw


def test_most_poles_are_a_few_pixels_wide(labels: list[np.ndarray]) -> None:
    # a run of 1 to 4 pole pixels in a row of the label, counted from its differences
    widths: list[int] = []
    for label in labels:
        for row in np.pad(label == 17, ((0, 0), (1, 1)))[96:160:8].astype(int):
            change = np.diff(row)
            widths += (np.flatnonzero(change == -1) - np.flatnonzero(change == 1)).tolist()
    assert len(widths) > 500
    assert np.mean(np.asarray(widths) <= 4) > 0.7


def test_the_domains_differ_as_described() -> None:
    means = []
    for style in (SOURCE, TARGET):
        rngs = [np.random.default_rng(fold("look", i)) for i in range(6)]
        images = np.stack([expose(draw_scene(rng, style, frozenset()))[0] for rng in rngs]).astype(float)
        colourful = (images.max(-1) - images.min(-1)).mean()
        grain = np.abs(np.diff(images, axis=2)).mean() / images.std()
        means.append((colourful, grain))
    assert means[0][0] > 1.5 * means[1][0]
    assert means[0][1] < means[1][1]


def test_camera_projects_by_similar_triangles() -> None:
    camera = Camera(focal=500.0, height=1.5, horizon=120.0, centre=256.0, offset=1.0, curve=0.0)
    assert camera.project((1.0, 1.5, 7.0)) == (256.0, 120.0)
    assert camera.project((3.0, 0.0, 10.0)) == (256.0 + 500 * 2 / 10, 120.0 + 500 * 1.5 / 10)


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", refuse)
    with pytest.raises(OSError, match=r"no demo can be drawn at .*demo \(No space left on device\); free space"):
        render_demo(tmp_path / "demo", source=1, target=1, val=1)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed(tmp_path: Path, dead_process: int) -> None:
    (tmp_path / f".{platform.node()}-{dead_process}-x1.part" / "demo").mkdir(parents=True)
    alive = tmp_path / f"{scratch_prefix()}x2.part"
    alive.mkdir()
    render_demo(tmp_path / "demo", source=1, target=1, val=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([alive.name, "demo"])
