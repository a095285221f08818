import json
import os
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from hrda_lit.data.file_tree import FileTree
from hrda_lit.data.folder import DataSplit, FolderDataset
from hrda_lit.inspecting import survey
from hrda_lit.inspecting.data_check import DataCheck, Findings, check_data, require_good_data

Make = Callable[..., DataSplit]


def stripes(low: int, high: int) -> np.ndarray:
    return np.repeat(np.array([[low], [high]], np.uint8), 12, axis=0).repeat(32, axis=1)


@pytest.fixture
def looked(tmp_path: Path) -> Callable[..., Findings]:
    def run(*splits: DataSplit, **options: Any) -> Findings:
        return check_data(splits, DataCheck(cache_dir=str(tmp_path / "cache"), **options))

    return run


def cut(path: Path, end: int) -> None:
    path.write_bytes(path.read_bytes()[:end])


def wide(root: Path) -> None:
    Image.fromarray(np.zeros((24, 31), np.uint8)).save(root / "labels/03.png")


def deep(root: Path) -> None:
    Image.fromarray(np.full((24, 32), 300, np.uint16)).save(root / "labels/03.png")


FAULTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "truncated": (lambda root: cut(root / "images/03.jpg", -1), r"images/03\.jpg is broken.*1 broken"),
    "no end": (lambda root: cut(root / "labels/03.png", -4), r"labels/03\.png is broken.*end of the PNG is missing"),
    "empty": (lambda root: cut(root / "labels/03.png", 0), r"labels/03\.png is broken.*1 with a broken label"),
    "text": (lambda root: (root / "images/03.jpg").write_text("no image"), r"images/03\.jpg is broken"),
    "another size": (wide, r"labels/03\.png has \(24, 31\) pixels, its image \(24, 32\).*layout\.sizes=differ"),
    "no label": (lambda root: (root / "labels/03.png").unlink(), r"03\.jpg has no label, .*03\.png does not exist"),
    "strange id": (
        lambda root: Image.fromarray(stripes(0, 7)).save(root / "labels/03.png"),
        r"labels/03\.png holds the id 7, need train ids 0 to 1 or 255",
    ),
    "id above 255": (deep, r"labels/03\.png holds the id 300, need ids from 0 to 255"),
    "a folder": (lambda root: (root / "images/zz.jpg").mkdir(), r"images/zz\.jpg does not exist|without|zz"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_refused_in_one_sentence_or_left_out(
    name: str, make_part: Make, looked: Callable[..., Findings]
) -> None:
    part = make_part()
    (spoil, sentence) = FAULTS[name]
    spoil(part.dataset.root)
    total = 13 if name == "a folder" else 12
    seen = looked(part)
    [refusal] = seen.refusals
    with pytest.raises(ValueError, match=sentence):
        seen.require()
    assert "\n" not in refusal
    assert refusal.endswith("correct them, name them in layout.exclude, or set data.skip_broken=true.")
    assert f"of the {total} images of source (source, train), 1 cannot be used" in refusal

    seen = looked(part, skip_broken=True)
    assert seen.refusals == []
    assert any("1 images of source (source, train) are excluded" in text for text in seen.warnings)
    assert len(part.dataset.files("train", labelled=True)) == total - 1


def test_a_split_without_a_usable_image_is_refused(make_part: Make, looked: Callable[..., Findings]) -> None:
    part = make_part(count=2)
    for path in (part.dataset.root / "images").iterdir():
        cut(path, 9)
    [refusal] = looked(part, skip_broken=True).refusals
    assert "of the 2 images of source (source, train), 2 cannot be used (2 broken)" in refusal


def test_images_of_two_sources_are_compared_with_validation(make_part: Make, looked: Callable[..., Findings]) -> None:
    one, other = make_part(), make_part("other")._replace(role="source")
    assert any(
        "12 images are in both source and val" in text for text in looked(one, other, one._replace(role="val")).warnings
    )


def test_damage_inside_is_found_where_everything_is_decoded(make_part: Make, looked: Callable[..., Findings]) -> None:
    part = make_part()
    path = part.dataset.root / "labels/05.png"
    data = bytearray(path.read_bytes())
    data[-20] ^= 0x5A  # the checksum of the compressed pixels
    path.write_bytes(data)
    assert looked(part, labels=1).refusals == []
    assert "labels/05.png is broken" in looked(part, every=True).refusals[0]


def test_labels_of_another_size_pass_where_the_layout_says_so(make_part: Make, looked: Callable[..., Findings]) -> None:
    part = make_part(layout={"sizes": "differ"})
    wide(part.dataset.root)
    seen = looked(part)
    assert seen.refusals == []
    assert any("1 labels of source" in text and "03.png" in text for text in seen.warnings)


@pytest.mark.parametrize(
    ("label", "options", "sentence"),
    [
        (stripes(0, 255), {}, r"appear to be binary masks, but 255 is ignored .* id_map=\{0: 0, 255: 1\}"),
        (stripes(1, 1), {}, r"'sky' is the only class in the 12 labels of .* hold the ids 1, so that"),
        (stripes(1, 4), {"id_map": {4: 0}}, r"'road' is the only class .* the ids 1, 4,"),
        (stripes(1, 4), {"id_map": {9: 0}}, r"100\.0 % of the pixels are ignored .* hold the ids 1, 4; correct id_map"),
    ],
)
def test_labels_that_teach_nothing_are_refused(
    label: np.ndarray, options: dict[str, Any], sentence: str, make_part: Make, looked: Callable[..., Findings]
) -> None:
    with pytest.raises(ValueError, match=sentence):
        looked(make_part(label=label, **options)).require()


def test_all_labels_are_read_before_a_sample_is_refused(make_part: Make, looked: Callable[..., Findings]) -> None:
    part = make_part(label=stripes(0, 0))
    Image.fromarray(stripes(0, 1)).save(part.dataset.root / "labels/07.png")
    seen = looked(part, labels=2)
    assert seen.refusals == []
    assert len(seen.surveys[0].ids) == 12


def test_binary_masks_can_be_mapped(make_part: Make, looked: Callable[..., Findings]) -> None:
    assert looked(make_part(label=stripes(0, 255), id_map={0: 0, 255: 1})).refusals == []


def test_classes_that_never_meet_are_refused(make_part: Make, looked: Callable[..., Findings]) -> None:
    classes = {"names": ["a", "b", "c", "d"]}
    source = make_part(classes=classes)
    val = make_part("val", stripes(2, 3), classes=classes)
    [refusal] = looked(source, val, labels=3).refusals
    assert "hold a, b and those of val (val, train) c, d, no class of both" in refusal
    assert looked(source, make_part("val", stripes(1, 2), classes=classes)).refusals == []


def test_warnings_name_what_is_odd(make_part: Make, looked: Callable[..., Findings]) -> None:
    few = make_part(count=3, classes={"names": ["road", "sky", "car"]})
    twin = few._replace(role="val")
    texts = "\n".join(looked(few, twin).warnings)
    assert "source (source, train) has 3 images only." in texts
    assert "no pixel of car in the 3 labels" in texts
    assert "3 images are in both source and val" in texts
    mostly = np.full((24, 32), 255, np.uint8)
    mostly[0], mostly[1] = 0, 1
    assert any("92 % of the pixels" in text for text in looked(make_part("masked", mostly)).warnings)
    assert looked(make_part("masked", mostly), most_ignored=0.5).refusals


def test_files_and_ids_that_no_rule_names_are_counted(make_part: Make, looked: Callable[..., Findings]) -> None:
    part = make_part(id_map={0: 0, 2: 1}, label=np.repeat(np.array([0, 1, 2, 9], np.uint8), 6)[:, None].repeat(32, 1))
    assert not any("images=images" in text for text in looked(part).warnings)
    (part.dataset.root / "images/notes.txt").write_text("no picture")
    (part.dataset.root / "images/.hidden").write_text("no picture")
    texts = "\n".join(looked(part).warnings)
    assert "1 file is not used beside the images of source (source, train), e.g. " in texts
    assert "notes.txt: images=images/*.jpg does not fit; they are not images." in texts
    assert "2 ids are in no rule of id_map of source (source, train) and ignored, 50.0 % of the pixels: 1, 9." in texts
    Image.new("RGB", (32, 24)).save(part.dataset.root / "images/20.png")
    texts = "\n".join(looked(part).warnings)
    assert "2 files are not used" in texts
    assert "20.png: images=images/*.jpg does not fit; for all suffixes set images=images/*" in texts


def test_dark_images_of_16_bits_are_warned_of(make_part: Make, looked: Callable[..., Findings]) -> None:
    part, bright = make_part(images="images/*.png"), make_part("bright", images="images/*.png")
    for split, most in ((part, 4095), (bright, 65535)):
        for path in (split.dataset.root / "images").iterdir():
            Image.fromarray(np.linspace(0, most, 24 * 32).astype(np.uint16).reshape(24, 32)).save(
                path.with_suffix(".png")
            )
            path.unlink()
        split.dataset.label_rule = {"images/": "labels/"}
    [told] = [text for text in looked(part).warnings if "16 bits" in text]
    assert "source (source, train) holds 16 bits per channel, but no value above 4095" in told
    assert "the mean is 8 of 255, nearly black; set layout.bits=12" in told
    assert not [text for text in looked(bright).warnings if "16 bits" in text]


def test_files_of_several_frames_are_warned_of(make_part: Make, looked: Callable[..., Findings]) -> None:
    part = make_part()
    frame = Image.fromarray(stripes(0, 1))
    frame.save(part.dataset.root / "labels/03.png", save_all=True, append_images=[frame.rotate(180)] * 2)
    for _ in range(2):  # found again in the cache
        [told] = [text for text in looked(part).warnings if "frames" in text]
        assert told.startswith("1 file is of several frames in source (source, train), of which the first is read")
        assert told.endswith("labels/03.png has 3.")


def test_the_check_cannot_be_off_where_broken_files_are_to_be_skipped() -> None:
    config = OmegaConf.create({"data_check": None, "data": {"skip_broken": True}})
    with pytest.raises(ValueError, match=r"skip_broken=true needs the check of the data; remove data_check=null\."):
        DataCheck.of(config)


def test_a_damaged_archive_is_refused_by_name(make_part: Make, looked: Callable[..., Findings], tmp_path: Path) -> None:
    part = make_part()
    archive = tmp_path / "packed" / "all.tar"
    archive.parent.mkdir()
    with tarfile.open(archive, "w") as file:
        file.add(part.dataset.root, ".")
        start = next(info for info in file if info.name.endswith("03.jpg")).offset
    packed = part._replace(
        dataset=FolderDataset("packed", str(archive), "images/*.jpg", part.dataset.label_rule, part.dataset.classes)
    )
    assert looked(packed, every=True).refusals == []
    content = bytearray(archive.read_bytes())
    content[start + 5] ^= 4
    archive.write_bytes(content)
    packed.dataset.tree = FileTree(archive)
    with pytest.raises(ValueError, match=r"all.tar cannot be read \("):
        looked(packed, every=True)


def test_what_was_seen_is_kept_until_a_file_changes(
    make_part: Make, looked: Callable[..., Findings], monkeypatch: pytest.MonkeyPatch
) -> None:
    part = make_part()
    first = looked(part)
    monkeypatch.setattr(survey, "read_header", lambda path, *_: pytest.fail(f"read {path} again"))
    monkeypatch.setattr(part.dataset.labels, "count", lambda path: pytest.fail(f"counted {path} again"))
    again = looked(part)
    assert again.surveys[0].headers == first.surveys[0].headers
    assert again.surveys[0].ids == first.surveys[0].ids
    monkeypatch.undo()
    cut(part.dataset.root / "images/00.jpg", 10)
    assert "00.jpg is broken" in looked(part).refusals[0]
    assert "00.jpg is broken" in looked(part).refusals[0]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", "cut", "strange"])
def test_a_broken_cache_is_made_anew(
    content: bytes | str, make_part: Make, looked: Callable[..., Findings], tmp_path: Path
) -> None:
    part = make_part()
    first = looked(part)
    for path in (tmp_path / "cache").iterdir():
        if content == "cut":
            cut(path, path.stat().st_size // 2)
        elif content == "strange":
            entries = {key: [state, {"odd": [None]}] for key, (state, _) in json.loads(path.read_text()).items()}
            path.write_text(json.dumps(entries))
        else:
            path.write_bytes(bytes(content))  # type: ignore[arg-type]
    assert looked(part).surveys[0].headers == first.surveys[0].headers
    assert looked(part).surveys[0].ids == first.surveys[0].ids


def test_caches_that_nobody_reads_are_removed(make_part: Make, looked: Callable[..., Findings], tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    looked(make_part())
    mine = [*folder.iterdir()]
    old, young, other = folder / "records_old.json", folder / "records_young.json", folder / "class_counts_old.npy"
    long_ago = time.time() - 91 * 24 * 3600
    for path in (old, young, other):
        path.write_text("{}")
    for path in (old, other, *mine):
        os.utime(path, (long_ago, long_ago))
    part = make_part()
    cut(part.dataset.root / "images/03.jpg", -1)
    looked(part)
    assert sorted(folder.iterdir()) == sorted([*mine, young, other])


def test_nothing_is_written_among_the_data(make_part: Make, looked: Callable[..., Findings]) -> None:
    part = make_part()
    before = {path: os.stat(path).st_mtime_ns for path in part.dataset.root.rglob("*")}
    looked(part)
    assert {path: os.stat(path).st_mtime_ns for path in part.dataset.root.rglob("*")} == before


def test_the_check_of_a_run_raises_and_warns(make_part: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options = DataCheck(cache_dir=str(tmp_path / "cache"))
    require_good_data([make_part("few", count=2)], options)
    assert "few (few, train) has 2 images only." in caplog.text
    bad = make_part("bad", stripes(1, 1))
    require_good_data([bad], None)
    with pytest.raises(ValueError, match="'sky' is the only class"):
        require_good_data([bad], options)


@pytest.mark.parametrize("options", [{"labels": -1}, {"most_ignored": 1.5}])
def test_numbers_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))}=.* expected"):
        DataCheck(**options)


def test_crops_that_are_mostly_padding_are_told(make_part: Make, looked: Callable[..., Findings]) -> None:
    # Images are of 24 x 32 pixels.
    assert not any("padding" in text for text in looked(make_part(), crop=(24, 24)).warnings)
    [told] = [text for text in looked(make_part(), crop=(48, 64)).warnings if "padding" in text]
    assert told.startswith("crops of 48 x 64 from images of 24 x 32 (source")
    assert "are 75 % padding; lower data.crop to half of a picture, e.g. [32, 32], or raise source.size." in told
    assert not any("padding" in text for text in looked(make_part("val"), crop=(48, 64)).warnings)
