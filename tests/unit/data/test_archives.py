import io
import pickle
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from hrda_lit.data.draws import SourceDraws
from hrda_lit.data.file_tree import FileTree
from hrda_lit.data.folder import DataSplit, FolderDataset
from hrda_lit.data.pipeline import Pipeline
from hrda_lit.data.rare_class import class_counts
from hrda_lit.inspecting.data_check import DataCheck, check_data

CLASSES = {"names": ["road", "sky", "tree", "person"], "things": ["person"]}
Make = Callable[..., Any]


def zipped(folder: Path, archive: Path, base: Path) -> None:
    archive.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("README", "of this archive")
        for path in sorted(folder.rglob("*")):
            file.write(path, path.relative_to(base).as_posix())


def dataset(root: Path, **options: Any) -> FolderDataset:
    rule = {"images/": "labels/", ".jpg": ".png"}
    return FolderDataset("data", str(root), "images/{split}/*.jpg", rule, CLASSES, **options)


@pytest.fixture
def unpacked(make_folder: Make) -> Path:
    root: Path = make_folder()
    (root / "train.txt").write_text("000\n003\n004\n")
    return root


@pytest.fixture(params=["two zips", "one zip", "tar"])
def packed(request: pytest.FixtureRequest, unpacked: Path, tmp_path: Path) -> Path:
    root = tmp_path / "packed"
    if request.param == "two zips":
        zipped(unpacked / "images", root / "01_images.zip", unpacked)
        zipped(unpacked / "labels", root / "01_labels.ZIP", unpacked)
        shutil.copy(unpacked / "train.txt", root)
        return root
    if request.param == "one zip":
        zipped(unpacked, archive := root / "all.zip", unpacked)
        return archive
    root.mkdir()
    with tarfile.open(root / "all.tar", "w") as file:
        for name in ("images", "labels", "train.txt"):
            file.add(unpacked / name, f"./{name}")
    return root


def test_archives_read_as_if_they_were_unpacked(unpacked: Path, packed: Path, tmp_path: Path) -> None:
    options = {"layout": {"split_file": "train.txt", "exclude": ["004"]}}
    plain, other = dataset(unpacked, **options), dataset(packed, **options)
    samples, packed_samples = plain.files("train", True), other.files("train", True)
    assert [s.image.relative_to(unpacked) for s in samples] == [s.image.relative_to(packed) for s in packed_samples]
    assert len(samples) == 2
    for one, two in zip(samples, packed_samples, strict=True):
        assert all(a.equal(b) for a, b in zip(plain.read(one), other.read(two), strict=True))
    counted = [class_counts(d, s, tmp_path) for d, s in ((plain, samples), (other, packed_samples))]
    assert counted[0].equal(counted[1])
    seen = check_data([DataSplit("source", other, "train", True)], DataCheck(every=True, cache_dir=str(tmp_path)))
    assert seen.refusals == []
    assert len(seen.surveys[0].ids) == 2


def test_every_process_reads_for_itself(unpacked: Path, packed: Path) -> None:
    draws = [
        SourceDraws(d, d.files("train", True), Pipeline((32, 32), rare_class=None), 0)
        for d in (dataset(unpacked), dataset(packed))
    ]
    draws[1][0]  # opened before the others are forked
    loader = DataLoader(draws[1], batch_size=2, sampler=range(24), num_workers=2)
    made = torch.cat([batch["image"] for batch in loader])
    assert made.equal(torch.stack([draws[0][index]["image"] for index in range(24)]))


def test_a_process_that_was_not_forked_finds_them(packed: Path) -> None:
    sample = (reader := dataset(packed)).files("train", True)[0]
    reader.read(sample)
    assert pickle.loads(pickle.dumps(reader)).read(sample)[0].shape == (3, 48, 64)


def test_names_that_lead_out_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"x")
    root = tmp_path / "root"
    root.mkdir()
    with zipfile.ZipFile(root / "bad.zip", "w") as file:
        for name in ("../secret.jpg", "images/../../secret.jpg", "/etc/x.jpg", "images/.hidden.jpg", "images/a.jpg"):
            file.writestr(name, "x")
    tree = FileTree(root)
    assert [path.relative_to(root).as_posix() for path in tree.search("**/*.jpg")] == ["images/a.jpg"]
    assert tree.search("*.jpg") == []
    assert tree.search("images/.hidden.jpg") == [root / "images/.hidden.jpg"]


def test_accents_and_brackets_in_names(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("stra\u0301sse [1]/x.png", "decomposed")
    tree = FileTree(tmp_path)
    [path] = tree.search("str\u00e1sse [1]/*.png")
    assert tree.archived(path) == tree.archived(tmp_path / "str\u00e1sse [1]/x.png") == b"decomposed"


def test_what_was_unpacked_comes_first(unpacked: Path) -> None:
    (unpacked / "broken.zip").write_bytes(b"no zip")
    assert len(dataset(unpacked).files("train", True)) == 6


@pytest.mark.parametrize("name", ["images.zip", "images.tar"])
def test_damaged_archives_are_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK" + bytes(3000))
    with pytest.raises(ValueError, match=rf"{name} cannot be read \(.*\); copy the archive again"):
        dataset(tmp_path).files("train", True)


def test_damaged_members_are_named(unpacked: Path, tmp_path: Path) -> None:
    archive = tmp_path / "new" / "all.zip"
    zipped(unpacked, archive, unpacked)
    content = archive.read_bytes()
    at = content.index(b"images/train/000.jpg") + 500
    archive.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    sample = (reader := dataset(archive.parent)).files("train", True)[0]
    with pytest.raises(ValueError, match=r"images/train/000.jpg in .*all.zip cannot be read \("):
        reader.read(sample)


def test_a_cut_tar_is_named(unpacked: Path, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        file.add(unpacked / "images", "images")
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut/images.tar").write_bytes(buffer.getvalue()[:-12000])
    with pytest.raises(ValueError, match=r"cut/images.tar cannot be read \("):
        dataset(tmp_path / "cut").files("train", False)


def test_compressed_tars_are_refused(tmp_path: Path) -> None:
    (tmp_path / "all.tar.gz").write_bytes(b"")
    with pytest.raises(ValueError, match=r"all.tar.gz would be read from its start for every file; unpack it"):
        dataset(tmp_path / "all.tar.gz").files("train", True)


def tar_of(path: Path, members: dict[str, Any]) -> Path:
    """Pack files (bytes), links (str, hard ones with a leading "=") and members of other types."""
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes) and len(content) > 1:
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
                continue
            info.type = content if isinstance(content, bytes) else tarfile.SYMTYPE
            if isinstance(content, str):
                info.type, info.linkname = (
                    (tarfile.LNKTYPE, content[1:]) if content[0] == "=" else (tarfile.SYMTYPE, content)
                )
            file.addfile(info)
    return path


def test_odd_members(tmp_path: Path) -> None:
    links = {"b/soft.png": "../a/x.png", "b/hard.png": "=a/x.png", "b/chain.png": "soft.png", "c": "a"}
    tree = FileTree(tar_of(tmp_path / "t/good.tar", {"a/x.png": b"content", **links}))
    for name in ("a/x.png", "b/soft.png", "b/hard.png", "b/chain.png", "c/x.png"):
        assert tree.archived(tree.root / name) == b"content", name
    with zipfile.ZipFile(tmp_path / "t/good.zip", "w") as file:
        file.writestr("a/x.png", "content")
        info = zipfile.ZipInfo("b.png")
        info.external_attr = 0o120777 << 16
        file.writestr(info, "a/x.png")
    tree = FileTree(tmp_path / "t/good.zip")
    assert tree.archived(tree.root / "b.png") == b"content"
    odd: dict[str, Any] = {
        "outside": "../../etc/passwd", "nowhere": "gone.png", "circle": "circle", "pipe": tarfile.FIFOTYPE,
        "device": tarfile.CHRTYPE, "sparse": tarfile.GNUTYPE_SPARSE,
    }  # fmt: skip
    for name, member in odd.items():
        archive = tar_of(tmp_path / f"t/{name}.tar", {"a/x.png": b"content", name: member})
        with pytest.raises(ValueError, match=rf"{name}.tar cannot be read \({name} in it is"):
            FileTree(archive).search("*")


def test_a_zip_whose_directory_lacks_a_file_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in ("a.png", "b.png", "c.png"):
            file.writestr(name, "content")
        del file.filelist[1]
    (tmp_path / "a.zip").write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match=r"a.zip cannot be read \(it holds files that its directory does not list"):
        FileTree(tmp_path / "a.zip").search("*")


def test_names_as_programs_write_them(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for name in (
            "./images/0.png",
            "images\\1.png",
            "images\\",
            "images/._0.png",
            "__MACOSX/images/._0.png",
            "images/Thumbs.db",
        ):
            info = zipfile.ZipInfo("x")
            info.filename = name  # ZipInfo itself would turn backslashes on Windows
            file.writestr(info, name)
    tree = FileTree(tmp_path)
    found = tree.search("images/*.png")
    assert [path.name for path in sorted(found)] == ["0.png", "1.png"]
    assert [tree.archived(path) for path in sorted(found)] == [b"./images/0.png", b"images\\1.png"]
    assert tree.search("**/*.png") == found
    assert tree.beside([tmp_path / "images"]) == sorted(found)


@pytest.mark.parametrize(("flags", "method"), [(1, 8), (0, 9), (0, 99)], ids=["encrypted", "deflate64", "aes"])
def test_zips_that_python_cannot_read_are_refused_when_they_are_listed(tmp_path: Path, flags: int, method: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.png", "content")
    content = bytearray(buffer.getvalue())
    for magic, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        start = content.index(magic) + at
        content[start] |= flags
        content[start + 2] = method
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ValueError, match=r"a.zip cannot be read \(.*(encrypted|compression).*\); .* unpack it"):
        FileTree(tmp_path).search("*.png")


def test_one_of_several_volumes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.z01").write_bytes(b"PK")
    (tmp_path / "a.zip").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"a.zip cannot be read \(it is one of several volumes\)"):
        FileTree(tmp_path).search("*.png")


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ({"a.zip": ["mine/images/train/0.jpg"]}, r"no file fits .*, \S*root holds mine/images/train/0.jpg, need"),
        ({"mine/images/0.jpg": []}, r"no file fits .*, \S*root holds mine, need"),
        ({"images/train/0.JPG": []}, r"no file fits .*, \S*train holds 0.JPG, need"),
        ({"a.tar.gz": []}, r"no file fits .*, \S*a.tar.gz is not read: unpack it, or pack it as .zip or .tar"),
        ({"a.zip.001": []}, r"no file fits .*, \S*a.zip.001 is not read: unpack it"),
        (
            {"images/train/0.jpg": [], "Labels/train/0.png": []},
            r"labels/train/0.png does not .*root holds Labels, images",
        ),
    ],
)
def test_what_lies_there_instead_is_said(tmp_path: Path, names: dict[str, list[str]], sentence: str) -> None:
    root = tmp_path / "root"
    for name, members in names.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
        if name.endswith(".zip"):
            with zipfile.ZipFile(root / name, "w") as file:
                for member in members:
                    file.writestr(member, "content")
    with pytest.raises(FileNotFoundError, match=sentence):
        dataset(root).files("train", True)


def test_a_folder_is_no_image(make_folder: Make) -> None:
    root = make_folder()
    with pytest.raises(
        FileNotFoundError, match=r"no file fits \S*images/train, \S*train holds 000.jpg, 001.jpg, 002.jpg"
    ):
        FolderDataset("data", str(root), "images/{split}/", {}, CLASSES).files("train", False)
