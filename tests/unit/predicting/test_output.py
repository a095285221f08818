"""Files of predictions: what they hold, what is refused, what one broken picture does."""

import io
import platform
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from hrda_lit.data.classes import CITYSCAPES
from hrda_lit.data.label_files import read_label
from hrda_lit.predicting.inputs import Inputs, Item, find_inputs
from hrda_lit.predicting.output import PredictionFolder
from hrda_lit.predicting.result import KINDS, Result
from hrda_lit.predicting.run import Tally, choose_kinds, predict_all

IMAGE = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
LABEL = np.random.default_rng(1).integers(0, 19, (5, 7), dtype=np.uint8)
SHARE = np.linspace(0, 1, 35, dtype=np.float32).reshape(5, 7)
RESULT = Result(
    IMAGE, LABEL, SHARE, CITYSCAPES, {"context": LABEL[::-1].copy(), "detail": LABEL.T.copy(), "attention": 1 - SHARE}
)
MADE_BY = {"checkpoint": "a", "ids": "train", "inference": None}


class Stand:
    """Predict without a network, and count how often."""

    classes = CITYSCAPES
    has_views = True

    def __init__(self) -> None:
        self.seen: list[bool] = []

    def __call__(self, image: np.ndarray, views: bool) -> Result:
        self.seen.append(views)
        if not image.any():
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate\na lot")
        return RESULT

    def table(self, ids: str) -> torch.Tensor:
        return torch.arange(256).to(torch.uint8).roll({"train": 0, "raw": -100}[ids])


def inputs(count: int = 2) -> Inputs:
    items = [Item(f"sub/{index}", f"/in/{index}.png", lambda: IMAGE) for index in range(count)]
    return Inputs(items, count, Path("/in"))


def read(path: Path) -> np.ndarray:
    return np.array(Image.open(path))


def test_every_kind_holds_what_it_says(tmp_path: Path) -> None:
    folder = PredictionFolder(tmp_path, list(KINDS))
    assert predict_all(Stand(), inputs(1), folder, "raw") == Tally(1, 0, 0)
    files = {kind: Image.open(tmp_path / kind / "sub" / "0.png") for kind in KINDS}
    assert {kind: file.mode for kind, file in files.items()} == {
        "label": "P", "colour": "RGB", "overlay": "RGB", "confidence": "L", "attention": "L",
        "context": "P", "detail": "P", "figure": "RGBA",
    }  # fmt: skip
    assert np.array_equal(np.array(files["label"]), LABEL + 100)
    assert np.array_equal(np.array(files["label"].convert("RGB")), np.array(CITYSCAPES.colours)[LABEL])
    assert np.array_equal(np.array(files["colour"]), np.array(CITYSCAPES.colours)[LABEL])
    assert np.array_equal(np.array(files["overlay"]), np.array(RESULT.overlay()))
    assert np.array_equal(np.array(files["context"]), LABEL[::-1])
    assert np.array_equal(np.array(files["context"].convert("RGB")), np.array(CITYSCAPES.colours)[LABEL[::-1]])
    assert np.array_equal(np.array(files["detail"]), LABEL.T)
    assert np.abs(np.array(files["confidence"]) / 255 - SHARE).max() < 1 / 255
    assert np.abs(np.array(files["attention"]) / 255 - (1 - SHARE)).max() < 1 / 255


def test_what_is_complete_is_skipped_and_only_what_is_missing_is_written(tmp_path: Path) -> None:
    folder = PredictionFolder(tmp_path, ["label", "colour"])
    assert predict_all(Stand(), inputs(3), folder, "train") == Tally(3, 0, 0)
    (tmp_path / "colour" / "sub" / "1.png").unlink()
    (tmp_path / "label" / "sub" / "1.png").write_bytes(b"not touched")
    stand = Stand()
    assert predict_all(stand, inputs(3), folder, "train") == Tally(1, 2, 0)
    assert len(stand.seen) == 1
    assert np.array_equal(read(tmp_path / "colour" / "sub" / "1.png"), np.array(CITYSCAPES.colours)[LABEL])
    assert (tmp_path / "label" / "sub" / "1.png").read_bytes() == b"not touched"


def test_views_are_asked_for_only_where_they_are_wanted(tmp_path: Path) -> None:
    stand = Stand()
    predict_all(stand, inputs(1), PredictionFolder(tmp_path, ["label"]), "train")
    predict_all(stand, inputs(1), PredictionFolder(tmp_path, ["label", "attention"]), "train")
    assert stand.seen == [False, True]


def _fail(error: Exception) -> np.ndarray:
    raise error


def test_broken_pictures_are_reported_and_the_others_predicted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = inputs(2).items
    bad = [
        Item("b", "/in/b.png", partial(_fail, ValueError("/in/b.png is broken [or] no image"))),
        Item("c", "/in/c.png", partial(_fail, RuntimeError("odd\nsecond line"))),
        Item("d", "/in/d.png", lambda: np.zeros_like(IMAGE)),
        Item("e", "/in/e.png", partial(_fail, MemoryError())),
        Item("f", "/in/f.png", partial(_fail, RuntimeError())),
    ]
    folder = PredictionFolder(tmp_path, ["label"])
    found = predict_all(Stand(), Inputs([good[0], *bad, good[1]], 7, Path("/in")), folder, "train")
    assert found == Tally(2, 0, 5)
    said = capsys.readouterr().err
    assert "error: /in/b.png is broken [or] no image\n" in said
    assert "error: /in/c.png: odd\n" in said
    assert "error: /in/d.png: memory ran out" in said
    assert "error: /in/e.png: memory ran out" in said
    assert "error: /in/f.png: RuntimeError\n" in said
    assert "device=cpu" in said
    assert sorted(path.name for path in tmp_path.rglob("*.png")) == ["0.png", "1.png"]


def test_a_full_disk_stops_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hrda_lit.predicting.output.write_atomically", full)
    with pytest.raises(OSError, match="No space left"):
        predict_all(Stand(), inputs(3), PredictionFolder(tmp_path, ["label"]), "train")


@pytest.mark.parametrize("kinds", [[], ["labels"], ["label", "Colour"]])
def test_unknown_kinds_are_refused(tmp_path: Path, kinds: list[str]) -> None:
    with pytest.raises(ValueError, match=r"expected at least one of \['label', 'colour'.*correct save"):
        PredictionFolder(tmp_path, kinds)


def test_predictions_of_another_run_are_not_taken_for_this_one(tmp_path: Path) -> None:
    folder = PredictionFolder(tmp_path / "out", ["label"])
    folder.refuse_other(MADE_BY)
    assert not (tmp_path / "out").exists()
    folder.begin(MADE_BY)
    folder.refuse_other(MADE_BY)
    with pytest.raises(ValueError, match="holds predictions of another checkpoint and ids; set another output"):
        folder.refuse_other(MADE_BY | {"checkpoint": "b", "ids": "raw"})


def test_files_of_unknown_origin_are_not_taken_for_predictions(tmp_path: Path) -> None:
    (tmp_path / "colour").mkdir()
    with pytest.raises(ValueError, match=r"colour exists and no predictions.json says what made it"):
        PredictionFolder(tmp_path, ["label"]).refuse_other(MADE_BY)


@pytest.mark.parametrize(("palette", "colour_type"), [(True, 3), (False, 0)])
def test_label_files_are_8_bit_pngs_of_one_channel(tmp_path: Path, palette: bool, colour_type: int) -> None:
    predict_all(Stand(), inputs(1), PredictionFolder(tmp_path, ["label"], palette), "train")
    content = (tmp_path / "label" / "sub" / "0.png").read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert (content[24], content[25]) == (8, colour_type)  # bit depth, and "palette" or "grey", of the header
    assert np.array_equal(np.array(Image.open(io.BytesIO(content))), LABEL)


def test_labels_with_a_palette_are_read_as_labels(tmp_path: Path) -> None:
    predict_all(Stand(), inputs(1), PredictionFolder(tmp_path, ["label"]), "train")
    assert np.array_equal(read_label(tmp_path / "label" / "sub" / "0.png"), LABEL)


def film(folder: Path) -> Inputs:
    """Return the input that a video of 5 odd-sized frames is."""
    path = folder / "drive.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=7)
        stream.width, stream.height, stream.pix_fmt = 34, 31, "bgr0"
        for index in range(5):
            grey = np.full((31, 34, 3), 40 * index + 20, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode())
    return find_inputs(str(path))


class Painter(Stand):
    """Predict road everywhere."""

    def __call__(self, image: np.ndarray, views: bool) -> Result:
        self.seen.append(views)
        return Result(image, np.zeros(image.shape[:2], np.uint8), np.ones(image.shape[:2], np.float32), CITYSCAPES)


def test_a_video_of_a_video_shows_the_overlay_beside_it(tmp_path: Path) -> None:
    folder, painter = PredictionFolder(tmp_path / "out", ["video"]), Painter()
    assert predict_all(painter, film(tmp_path), folder, "train") == Tally(5, 0, 0)
    assert [path.name for path in (tmp_path / "out").rglob("*.*")] == ["drive.mp4"]
    with av.open(str(tmp_path / "out" / "video" / "drive.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video"]
        assert container.streams.video[0].average_rate == 7
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
    assert [frame.shape for frame in frames] == [(32, 68, 3)] * 5
    for index, frame in enumerate(frames):
        value = 40 * index + 20
        assert np.abs(frame[:, :30] - value).max() < 12
        assert np.abs(frame[:, 38:] - (value + np.array(CITYSCAPES.colours[0])) / 2).max() < 16
    assert predict_all(painter, film(tmp_path), folder, "train") == Tally(0, 5, 0)
    assert len(painter.seen) == 5


def test_a_video_that_was_stopped_is_not_there(tmp_path: Path) -> None:
    class Stopped(Painter):
        def __call__(self, image: np.ndarray, views: bool) -> Result:
            if len(self.seen) == 3:
                raise KeyboardInterrupt
            return super().__call__(image, views)

    folder = PredictionFolder(tmp_path / "out", ["label", "video"])
    with pytest.raises(KeyboardInterrupt):
        predict_all(Stopped(), film(tmp_path), folder, "train")
    assert [path.suffix for path in (tmp_path / "out").rglob("*.*")] == [".png"] * 3
    assert predict_all(Painter(), film(tmp_path), folder, "train") == Tally(5, 0, 0)
    assert (tmp_path / "out" / "video" / "drive.mp4").is_file()


def test_a_video_of_pictures_is_refused(tmp_path: Path) -> None:
    assert choose_kinds(None, film(tmp_path)) == choose_kinds("video", film(tmp_path)) == ["video"]
    assert choose_kinds(None, inputs(1)) == ["label", "colour", "overlay"]
    with pytest.raises(ValueError, match="save=video needs a video as input, and /in is none"):
        choose_kinds(["label", "video"], inputs(1))


def test_a_damaged_video_keeps_what_was_predicted_and_fails_each_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    film(tmp_path)
    path = tmp_path / "drive.avi"
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"00dc", 0, content.index(b"idx1"))])  # without its last frame
    for kinds in (["video"], ["label", "video"]):
        folder = PredictionFolder(tmp_path / kinds[0], kinds)
        first = predict_all(Painter(), find_inputs(str(path)), folder, "train")
        assert (first.failed, 0 < first.done < 5) == (1, True)
        assert (tmp_path / kinds[0] / "video" / "drive.mp4").is_file()
        again = predict_all(Painter(), find_inputs(str(path)), folder, "train")
        assert again == Tally(0, first.done, 1)
    assert capsys.readouterr().err.count(f"error: {path} is damaged, {first.done} frames could be read") == 4


def test_odd_names_fail_and_other_files_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = ["two\nlines.png", "c:x.png", "\x1b[31mred.png"]
    for name in ["a.png", *odd]:
        Image.fromarray(IMAGE).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    folder = PredictionFolder(tmp_path / "out", ["label"])
    assert predict_all(Stand(), find_inputs(str(tmp_path)), folder, "train") == Tally(1, 0, 3, 1)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == len(odd)
    assert any(line.startswith(f"error: {tmp_path}/c:x.png: the name of a prediction is 'c:x.png'") for line in said)


def test_what_a_killed_process_left_is_removed(tmp_path: Path, dead_process: int) -> None:
    folder = PredictionFolder(tmp_path, ["label"])
    half = tmp_path / "label" / "sub" / f".{platform.node()}-{dead_process}-x.part"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    folder.begin(MADE_BY)
    assert not half.exists()
