"""Nothing is read or written outside its folder by a name, whoever gave it."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hrda_lit.data.folder import FolderDataset
from hrda_lit.predicting.inputs import find_inputs
from hrda_lit.predicting.output import PredictionFolder
from hrda_lit.predicting.submission import Rules
from hrda_lit.tables.records import Results
from hrda_lit.tables.results import trainings

BESIDE = ["../x", "a/../../x", "/x", "..\\x", "C:\\x"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One image and its label, and the same beside the root."""
    for folder in ("data/images", "data/labels", "images", "labels"):
        (tmp_path / folder).mkdir(parents=True)
        Image.new("L", (4, 4)).save(tmp_path / folder / "a.png")
    (tmp_path / "list.txt").write_text("a\n")
    return tmp_path / "data"


def dataset(root: Path, **changed: Any) -> FolderDataset:
    usual = {"name": "x", "images": "images/*.png", "label_rule": {"images/": "labels/"}, "classes": "cityscapes"}
    return FolderDataset(root=str(root), **(usual | changed))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [*BESIDE, "a/b", "", "a\0"])
def test_the_name_of_a_data_set_names_its_cache(name: str, root: Path) -> None:
    with pytest.raises(ValueError, match="the name of a dataset is"):
        dataset(root, name=name)


@pytest.mark.parametrize("images", ["../images/*.png", "images/../../images/*.png", "/etc/*", "{split}/*.png"])
def test_images_lie_below_the_root(images: str, root: Path) -> None:
    with pytest.raises(ValueError, match="images of x is"):
        dataset(root, images=images, layout={"splits": {"train": "../images"}}).files("train", labelled=False)


@pytest.mark.parametrize("listing", ["../list.txt", "{split}/list.txt", "/etc/passwd"])
def test_lists_lie_below_the_root(listing: str, root: Path) -> None:
    layout = {"split_file": listing, "splits": {"train": ".."}}
    with pytest.raises(ValueError, match=r"layout\.split_file of x is"):
        dataset(root, layout=layout).files("train", labelled=False)


@pytest.mark.parametrize("rule", [{"images/": "../labels/"}, {"images/a": "/etc/a"}])
def test_labels_lie_below_the_root(rule: dict[str, str], root: Path) -> None:
    with pytest.raises(ValueError, match="what label_rule of x makes of"):
        dataset(root, label_rule=rule).files("train", labelled=True)


def rules(**changed: Any) -> Rules:
    return Rules(**({"name": "x", "split": "test", "count": 1, "size": (4, 4), "ids": "train"} | changed))


@pytest.mark.parametrize("name", BESIDE)
def test_submissions_stay_in_their_folder(name: str) -> None:
    with pytest.raises(ValueError, match=r"submission\.name is"):
        rules(name=name)
    with pytest.raises(ValueError, match=r"submission\.file is"):
        rules(file=f"{name}{{stem}}.png")


@pytest.mark.parametrize("name", BESIDE)
def test_predictions_stay_in_their_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the name of a prediction is"):
        PredictionFolder(tmp_path, ["label"]).path("label", name)


def test_a_video_may_be_named_by_dots(tmp_path: Path) -> None:
    (tmp_path / "...mp4").touch()
    assert (tmp_path / "...mp4").stem == ".."
    with pytest.raises(ValueError, match=r"the name of the outputs of .*\.\.\.mp4' is '\.\.'"):
        find_inputs(str(tmp_path / "...mp4"))


def test_tables_of_foreign_runs_read_no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "told")
    for run, override in (("a", "tau=${oc.env:SECRET}"), ("b", "tau=0.5")):
        (tmp_path / run / ".hydra").mkdir(parents=True)
        (tmp_path / run / ".hydra" / "overrides.yaml").write_text(f"- {override}\n")
        (tmp_path / run / "metrics.json").write_text('{"name": "x", "val/miou": 0.5, "val/iou": {}}')
    assert not any("told" in heading for heading in trainings(Results.below([tmp_path])))
