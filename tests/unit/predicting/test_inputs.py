"""Files, folders and globs: what is found, what it is called, how it is read."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hrda_lit.data.images import read_pixels
from hrda_lit.predicting.inputs import find_inputs


def write(path: Path, size: tuple[int, int] = (4, 6), **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(len(path.name)).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(values).save(path, **options)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b.png", "a.jpg", "sub/deep/c.JPG", "sub/d.tiff", ".hidden/e.png", "sub/._f.png"):
        write(tmp_path / "tree" / name, format="TIFF" if name.endswith("tiff") else None)
    (tmp_path / "tree" / "notes.txt").write_text("no image")
    (tmp_path / "tree" / "folder.png").mkdir()
    return tmp_path / "tree"


def link(path: Path, to: Path) -> None:
    path.symlink_to(to, target_is_directory=to.is_dir())


def names(spec: object) -> list[str]:
    return [item.name for item in find_inputs(str(spec)).items]


def test_a_folder_gives_every_image_below_it_with_its_relative_path(tree: Path) -> None:
    inputs = find_inputs(str(tree))
    assert inputs.total == 4
    assert [item.name for item in inputs.items] == ["a", "b", "sub/d", "sub/deep/c"]
    assert inputs.base == tree


@pytest.mark.parametrize(
    ("pattern", "expected", "base"),
    [
        ("*.png", ["b"], ""),
        ("**/*.*", ["a", "b", "sub/d", "sub/deep/c"], ""),
        ("sub/*/*.JPG", ["deep/c"], "sub"),
        ("sub/d.t[hi]ff", ["d"], "sub"),
    ],
)
def test_a_glob_names_images_from_where_wildcards_begin(
    tree: Path, pattern: str, expected: list[str], base: str
) -> None:
    assert names(f"{tree}/{pattern}") == expected
    assert find_inputs(f"{tree}/{pattern}").base == tree / base


def test_a_file_is_called_by_its_stem(tree: Path) -> None:
    assert names(str(tree / "sub" / "d.tiff")) == ["d"]


def test_an_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "photos.zip").write_bytes(b"PK\3\4" + bytes(50))
    with pytest.raises(ValueError, match=r"photos\.zip is zip, which is not read as an image; unpack it\."):
        find_inputs(str(tmp_path / "photos.zip"))


def test_a_video_without_suffix_is_named(tmp_path: Path) -> None:
    (tmp_path / "clip").write_bytes(b"\0\0\0\x18ftypisom" + bytes(50))
    with pytest.raises(ValueError, match=r"clip is HEIC or a video, .* whose name needs a suffix such as \.mp4"):
        find_inputs(str(tmp_path / "clip"))


@pytest.mark.parametrize("suffix", ["jp2", "pgm", "avif"])
def test_every_format_that_datasets_may_have_is_found(suffix: str, tmp_path: Path) -> None:
    Image.new("L" if suffix == "pgm" else "RGB", (6, 4)).save(tmp_path / f"x.{suffix}")
    [item] = find_inputs(str(tmp_path)).items
    assert item.read().shape == (4, 6, 3)


@pytest.mark.parametrize(("suffix", "mode"), [("png", "RGB"), ("png", "P"), ("webp", "RGB")])
def test_further_frames_are_counted(suffix: str, mode: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frames = [Image.new("RGB", (6, 4), colour).convert(mode) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / f"x.{suffix}", save_all=True, append_images=frames[1:], lossless=True)
    [item] = find_inputs(str(tmp_path)).items
    assert (item.read() == (255, 0, 0)).all()
    assert f"x.{suffix} holds 3 frames, of which the first is read" in caplog.text


def test_bits_of_a_video_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"")
    with pytest.raises(ValueError, match=r"bits=12 is of 16-bit images, and .*x\.mp4 is a video; remove bits\."):
        find_inputs(str(tmp_path / "x.mp4"), 12)


def test_bits_of_16_bit_images(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.fromarray(np.full((4, 6), 4095, np.uint16)).save(tmp_path / "x.png")
    [dark], [bright] = (find_inputs(str(tmp_path), bits).items for bits in (None, 12))
    assert dark.read().max() == 16
    assert "nearly black; set bits=12" in caplog.text
    assert bright.read().min() == 255
    with pytest.raises(ValueError, match=r"x\.png holds values from 4095 to 4095, need 0 to 1023; raise bits\."):
        find_inputs(str(tmp_path / "x.png"), 10)


def test_a_name_with_brackets_is_no_glob(tmp_path: Path) -> None:
    write(tmp_path / "a [1]" / "b [2].png")
    assert names(str(tmp_path / "a [1]" / "b [2].png")) == ["b [2]"]
    assert names(str(tmp_path / "a [1]")) == ["b [2]"]


def test_predictions_of_any_run_are_no_input(tree: Path) -> None:
    write(tree / "label" / "a.png")
    write(tree / "sub" / "runs" / "colour" / "x" / "a.png")
    assert names(tree) == ["a", "b", "label/a", "sub/d", "sub/deep/c", "sub/runs/colour/x/a"]
    for folder in (tree, tree / "sub" / "runs"):
        (folder / "predictions.json").write_text("{}")
    assert names(tree) == names(f"{tree}/**/*.*") == ["a", "b", "sub/d", "sub/deep/c"]
    assert names(tree / "label") == ["a"]
    assert find_inputs(str(tree)).skipped == 1


@pytest.mark.parametrize("spec", ["nothing", "nothing.png", "tree/*.bmp", "tree/notes.txt/*"])
def test_nothing_is_refused(tree: Path, spec: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"no image at input=.*; give an image, a video, a folder or a glob"):
        find_inputs(str(tree.parent / spec))


def test_images_of_one_stem_keep_their_suffix_whichever_are_predicted(
    tree: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.png", "a.jpg.bmp", "sub/a.png"):
        write(tree / name)
    assert names(tree) == ["a.jpg", "a.jpg.bmp", "a.png", "b", "sub/a", "sub/d", "sub/deep/c"]
    assert "outputs of 3 images of equal stems keep the suffix, e.g. a.jpg.png" in caplog.text
    caplog.clear()
    assert names(tree / "sub") == ["a", "d", "deep/c"]
    assert not caplog.text
    assert names(f"{tree}/*.jpg") == names(tree / "a.jpg") == ["a.jpg"]


def test_a_single_broken_image_is_refused_at_once_and_one_of_many_when_it_is_read(tree: Path) -> None:
    (tree / "b.png").write_bytes((tree / "b.png").read_bytes()[:60])
    with pytest.raises(ValueError, match=r"b\.png is broken or no image"):
        find_inputs(str(tree / "b.png"))
    first, second, *_ = find_inputs(str(tree)).items
    assert first.read().shape == (4, 6, 3)
    with pytest.raises(ValueError, match=r"b\.png is broken or no image .*copy it again or remove it"):
        second.read()


@pytest.mark.parametrize(
    "content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", b"II*\x00\xff\xff"]
)
def test_whatever_a_broken_file_holds_becomes_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(ValueError, match="broken or no image"):
        read_pixels(tmp_path / "x.png")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_every_kind_of_image_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("x.tif" if mode == "CMYK" else "x.png")
    Image.new("RGB", (5, 3), (255, 255, 255)).convert(mode).save(path)
    values = read_pixels(path)
    assert values.shape == (3, 5, 3)
    assert values.dtype == np.uint8
    assert (values == 255).all()


def test_photographs_are_turned_upright(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: the file is to be shown turned by 90 degrees clockwise
    Image.fromarray(values).save(tmp_path / "x.png", exif=exif)
    assert np.array_equal(read_pixels(tmp_path / "x.png"), np.rot90(values, -1))


def test_linked_folders_are_followed_once(tree: Path, tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "x.png")
    link(tree / "linked", tmp_path / "elsewhere")
    link(tree / "again", tmp_path / "elsewhere")
    link(tree / "sub" / "loop", tree)
    link(tmp_path / "elsewhere" / "back", tree / "sub")
    link(tree / "nowhere", tmp_path / "gone")
    for spec in (tree, tree / "**" / "*"):
        found = names(str(spec))
        assert sum(name.endswith("/x") for name in found) == 1
        assert [name for name in found if not name.endswith("/x")] == ["a", "b", "sub/d", "sub/deep/c"]


def test_files_that_are_no_images_are_listed(tree: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tree / "sub" / "clip.mp4").write_bytes(b"")
    assert find_inputs(str(tree)).skipped == 2
    assert "skipped files that are not images: 1 .txt, 1 .mp4, e.g. notes.txt" in caplog.text
    assert find_inputs(f"{tree}/*.png").skipped == 0


@pytest.mark.parametrize("odd", ["two\nlines.png", "c:x.png", " .png", "\x1b[31mred.png"])
def test_a_single_image_of_an_odd_name_is_refused_at_once(tree: Path, odd: str) -> None:
    write(tree / odd)
    assert sorted(names(tree)) == sorted(["a", "b", "sub/d", "sub/deep/c", Path(odd).stem])
    with pytest.raises(ValueError, match="the name of the outputs of"):
        find_inputs(str(tree / odd))
