"""Networks in the layout of a hub: written, read back, fetched by a client that is not there, and refused."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
import yaml

from hrda_lit import Predictor
from hrda_lit.checkpoints.hub import CARD, CONFIG, WEIGHTS, checksum
from hrda_lit.checkpoints.load import load_trained
from hrda_lit.exchange.publish import save_for_hub
from hrda_lit.module import CONFIG_KEY
from tests.scripts import run_script
from tests.trained import write_checkpoint

pytestmark = pytest.mark.slow
IMAGE = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a checkpoint and scores of it, whose data lay in a folder with a telling name."""
    folder = tmp_path_factory.mktemp("run")
    places = ("data_root=/home/me", "source.root=/mnt/me/gta5", "+prepare_data.seed=1")
    path = write_checkpoint(folder / "checkpoints/last.ckpt", "hrda_demo", *places)
    content = torch.load(path, weights_only=True)
    torch.save({**content, "global_step": 7}, path)
    names = load_trained(path).classes.names
    iou = dict.fromkeys(names, 0.25) | {"train": None}
    (folder / "metrics.json").write_text(json.dumps({"name": "demo", "step": 7, "val/miou": 0.25, "val/iou": iou}))
    return folder


@pytest.fixture(scope="module")
def checkpoint(run: Path) -> Path:
    return run / "checkpoints/last.ckpt"


@pytest.fixture(scope="module")
def published(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub") / "mine"
    said = save_for_hub(checkpoint, folder, licence="cc-by-nc-4.0")
    assert said == f"{folder} holds the teacher of {checkpoint} with scores: {WEIGHTS}, {CONFIG} and {CARD}"
    return folder


def logits(path: Any, model: str | None = None) -> torch.Tensor:
    trained = load_trained(path, model)
    with torch.no_grad():
        return trained.inference(trained.network, IMAGE)


def test_the_same_network_comes_back(checkpoint: Path, published: Path) -> None:
    assert torch.equal(logits(published), logits(checkpoint, "teacher"))
    before, after = load_trained(checkpoint), load_trained(published)
    assert (after.model, after.classes) == (before.model, before.classes)
    assert after.config.val.id_map == before.config.val.id_map  # whose keys are numbers
    picture = (IMAGE[0].permute(1, 2, 0) * 255).byte().numpy()
    assert (
        Predictor(published, device="cpu")(picture).label == Predictor(checkpoint, device="cpu")(picture).label
    ).all()


def test_the_student_alone(checkpoint: Path, tmp_path: Path) -> None:
    done = run_script("save_for_hub", checkpoint, tmp_path / "student", "--model", "student")
    assert done.returncode == 0, done.stderr
    assert "without scores" in done.stdout  # those of the run are the teacher's
    assert "None were measured" in (tmp_path / "student" / CARD).read_text()
    assert torch.equal(logits(tmp_path / "student"), logits(checkpoint, "student"))
    with pytest.raises(ValueError, match=r"holds no teacher; choose model=student\."):
        load_trained(tmp_path / "student", "teacher")
    with pytest.raises(ValueError, match=r"licence='CC: 4\.0': expected the hub's spelling, e\.g\. cc-by-nc-4\.0"):
        save_for_hub(checkpoint, tmp_path / "other", licence="CC: 4.0")


def test_the_card(published: Path) -> None:
    card = (published / CARD).read_text()
    head = yaml.safe_load(card.split("---")[1])
    assert head["license"] == "cc-by-nc-4.0"
    assert head["pipeline_tag"] == "image-segmentation"
    for line in ("| mIoU | 25.0 |", "| road | 25.0 |", "| train | absent |", "| 0 | road | 128, 64, 128 |"):
        assert line in card
    assert "learned from labelled images of demo_source, adapted to unlabelled images of demo_target" in card
    assert "SelfTraining (lambda_d 0.1, tau 0.968, s_T 2, alpha 0.99, lambda_fd 0" in card


def test_nothing_of_the_machine_is_told(published: Path) -> None:
    text = (published / CONFIG).read_text() + (published / CARD).read_text()
    assert "/home/me" not in text
    assert "/mnt" not in text
    config = yaml.safe_load((published / CONFIG).read_text())[CONFIG_KEY]
    assert config["data_root"] == "data"
    assert config["val"]["root"] == "data/cityscapes"
    assert config["source"]["root"] == "data/gta5"
    assert not {"run_dir", "cache_dir", "trainer", "callbacks", "logger", "prepare_data"} & set(config)


def test_scores_of_an_evaluation(checkpoint: Path, tmp_path: Path) -> None:
    found = {"name": "x", "model": "student", "val/miou": 0.5, "val/iou": {"road": 0.5}}
    (tmp_path / "metrics.json").write_text(json.dumps(found))
    save_for_hub(checkpoint, tmp_path / "hub", "student", tmp_path / "metrics.json")
    assert "| road | 50.0 |" in (tmp_path / "hub" / CARD).read_text()
    with pytest.raises(ValueError, match="holds no scores of this teacher"):
        save_for_hub(checkpoint, tmp_path / "other", "teacher", tmp_path / "metrics.json")
    with pytest.raises(FileNotFoundError, match="no scores at"):
        save_for_hub(checkpoint, tmp_path / "other", metrics=tmp_path / "nowhere.json")
    for odd in ({"val/iou": {"road": "x"}}, {"val/miou": "x"}, {"val/iou": []}):
        (tmp_path / "metrics.json").write_text(json.dumps(found | odd))
        with pytest.raises(ValueError, match="holds no scores of this student"):
            save_for_hub(checkpoint, tmp_path / "other", "student", tmp_path / "metrics.json")
    assert not (tmp_path / "other").exists()


def test_a_card_is_not_written_over(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / CARD).write_text("# mine")
    with pytest.raises(ValueError, match=r"README\.md exists, perhaps with your own words; move it"):
        save_for_hub(checkpoint, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [CARD]


@pytest.mark.parametrize(("name", "revision"), [("me/net", None), ("me/net@v1.0", "v1.0")])
def test_a_name_on_the_hub(published: Path, monkeypatch: pytest.MonkeyPatch, name: str, revision: str | None) -> None:
    asked = []

    def snapshot_download(repository: str, **given: Any) -> str:
        asked.append((repository, given["revision"], given["allow_patterns"]))
        return str(published)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert torch.equal(logits(f"hf://{name}"), logits(published))
    assert asked == [("me/net", revision, [CONFIG, WEIGHTS, CARD])]


@pytest.mark.parametrize("name", ["net", "me/net/more", "../net", "me/..", "me/net@", "me/ne t"])
def test_a_name_that_is_none(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *a, **k: pytest.fail("asked the hub"))
    with pytest.raises(ValueError, match=re.escape(f"hf://{name} is not")):
        load_trained(f"hf://{name}")


def test_a_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot_download(*given: Any, **more: Any) -> str:
        raise huggingface_hub.errors.LocalEntryNotFoundError("offline")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(ValueError, match=r"hf://me/net cannot be downloaded \(offline\); check its name"):
        load_trained("hf://me/net")


def flip(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (folder / WEIGHTS).write_bytes(content)


def plant(folder: Path) -> None:
    rewrite(folder, lambda entries: entries[CONFIG_KEY]["network"]["head"].update(_target_="os.system"))


def rewrite(folder: Path, change: Any) -> None:
    entries = yaml.safe_load((folder / CONFIG).read_text())
    change(entries)
    (folder / CONFIG).write_text(yaml.safe_dump(entries))


def other_weights(folder: Path) -> None:
    import safetensors.torch

    safetensors.torch.save_file({"x": torch.zeros(1)}, folder / WEIGHTS)
    rewrite(folder, lambda entries: entries.update(sha256=checksum(folder / WEIGHTS)))


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (flip, "model.safetensors differs from its checksum in config.yaml"),
        (plant, "would build 'os.system' as network.head, which is no part of this library"),
        (other_weights, "does not fit its own config"),
        (lambda folder: (folder / WEIGHTS).unlink(), "has no model.safetensors; give a folder that"),
        (lambda folder: (folder / CONFIG).write_text("a: [b"), "config.yaml is no YAML"),
        (lambda folder: (folder / CONFIG).write_text("!!python/object/apply:os.system [ls]"), "config.yaml is no YAML"),
        (lambda folder: (folder / CONFIG).write_text("[]"), "config.yaml is no config of hrda_lit"),
        (lambda folder: (folder / CONFIG).write_bytes(b"\xff\xfe\x00"), "config.yaml is no YAML"),
        (lambda folder: rewrite(folder, lambda e: e.update(model="pupil")), "config.yaml is no config of hrda_lit"),
        (lambda folder: rewrite(folder, lambda e: e.update({CONFIG_KEY: 1})), "is a int, need a mapping"),
    ],
)
def test_damage_and_foreign_code_are_refused(published: Path, tmp_path: Path, harm: Any, sentence: str) -> None:
    folder = Path(shutil.copytree(published, tmp_path / "hub"))
    harm(folder)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        load_trained(folder)
