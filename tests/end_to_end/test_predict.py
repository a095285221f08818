"""The command as a user runs it: outputs, resuming, refusals, exit codes, archives."""

import json
import os
import re
import signal
import subprocess
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_module
from PIL import Image

from hrda_lit import Predictor
from hrda_lit.data.classes import CITYSCAPES
from hrda_lit.inference.windows import Slide
from hrda_lit.predict import predict
from hrda_lit.predicting import predictor
from hrda_lit.predicting.result import KINDS
from hrda_lit.predicting.run import Tally
from tests import commands
from tests.trained import write_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "hrda.ckpt", "hrda_demo")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name, size in {"a.png": (40, 60), "sub/b.jpg": (60, 40), "sub/deep/c.png": (33, 77)}.items():
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)
    return tmp_path / "photos"


def run(*overrides: str) -> Tally:
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        return predict(compose("predict", ["device=cpu", *overrides]))


def call(folder: Path, *overrides: str) -> "subprocess.CompletedProcess[str]":
    return commands.run("hrda_lit.predict", *overrides, cwd=folder)


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_command_predicts_a_folder_and_leaves_nothing_else(checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (photos / "broken.png").write_bytes((photos / "a.png").read_bytes()[:100])
    done = call(tmp_path / "here", f"checkpoint={checkpoint}", f"input={photos}", "output=out", "device=cpu")
    assert done.returncode == 1
    assert "3 predicted, 0 complete already, 1 failed: out" in done.stdout
    assert f"predicting 4 pictures of {photos} on cpu: label, colour, overlay go to out\n" in done.stderr
    assert f"error: {photos}/broken.png is broken" in done.stderr
    assert "Traceback" not in done.stderr
    names = ["a", "sub/b", "sub/deep/c"]
    wanted = [f"out/{kind}/{name}.png" for kind in ("label", "colour", "overlay") for name in names]
    assert files(tmp_path / "here") == sorted([*wanted, "out/predictions.json"])
    (photos / "broken.png").unlink()
    done = call(tmp_path / "here", f"checkpoint={checkpoint}", f"input={photos}", "output=out", "device=cpu")
    assert done.returncode == 0, done.stderr
    assert "0 predicted, 3 complete already, 0 failed: out" in done.stdout


def test_files_are_what_the_notebook_shows(checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    save = f"save=[{','.join(KINDS)}]"
    assert run(f"checkpoint={checkpoint}", f"input={photos}", f"output={out}", "ids=raw", save) == Tally(3, 0, 0)
    result = Predictor(checkpoint, device="cpu")(photos / "sub" / "deep" / "c.png", views=True)
    read = {kind: np.array(Image.open(out / kind / "sub" / "deep" / "c.png")) for kind in KINDS}
    published = np.array([7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33])
    assert np.array_equal(read["label"], published[result.label])
    assert np.array_equal(read["colour"], np.array(CITYSCAPES.colours)[result.label])
    assert np.array_equal(read["overlay"], np.array(result.overlay()))
    assert np.abs(read["confidence"] / 255 - result.confidence).max() < 1 / 255
    assert np.abs(read["attention"] / 255 - result.views["attention"]).max() < 1 / 255
    assert np.array_equal(read["context"], result.views["context"])
    assert np.array_equal(read["detail"], result.views["detail"])


def test_images_of_one_name_and_of_12_bits(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for suffix in ("png", "tif"):
        Image.fromarray(np.full((40, 60), 4095, np.uint16)).save(tmp_path / "deep" / f"a.{suffix}")
    done = call(
        tmp_path, f"checkpoint={checkpoint}", "input=deep", "output=out", "save=overlay", "bits=12", "device=cpu"
    )
    assert done.returncode == 0, done.stderr
    assert "outputs of 2 images of equal stems keep the suffix, e.g. a.png.png\n" in done.stderr
    assert "16 bits" not in done.stderr
    assert files(tmp_path / "out") == ["overlay/a.png.png", "overlay/a.tif.png", "predictions.json"]
    done = call(tmp_path, f"checkpoint={checkpoint}", "input=deep", "output=out", "save=overlay", "device=cpu")
    assert "holds predictions of another bits; set another output" in done.stderr


def test_teacher_and_another_inference(checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    common = (f"checkpoint={checkpoint}", f"input={photos}/a.png", "save=[label]")
    run(*common, f"output={tmp_path}/student", "model=student")
    run(*common, f"output={tmp_path}/teacher", "model=teacher")
    run(*common, f"output={tmp_path}/mirrored", "inference=tta", "inference.scales=[1.0]")
    found = {(tmp_path / name / "label/a.png").read_bytes() for name in ("student", "teacher", "mirrored")}
    assert len(found) == 3
    assert json.loads((tmp_path / "mirrored/predictions.json").read_text())["inference"]["scales"] == [1.0]


def test_keys_alone_change_the_inference_of_training(checkpoint: Path) -> None:
    """What a key does not name is as in training."""
    trained = Predictor(checkpoint, device="cpu").inference
    changed = Predictor(checkpoint, device="cpu", inference={"window": [64, 96], "bf16": True}).inference
    assert isinstance(trained, Slide)
    assert isinstance(changed, Slide)
    assert (changed.window, changed.bf16, changed.blend) == ((64, 96), True, trained.blend)
    with pytest.raises(ValueError, match=r"unknown key inference\.windw; did you mean inference\.window"):
        Predictor(checkpoint, device="cpu", inference={"windw": [64, 64]})


def test_a_run_that_was_killed_goes_on_and_ends_as_one_that_was_not(
    checkpoint: Path, photos: Path, tmp_path: Path
) -> None:
    for index in range(20):
        Image.open(photos / "a.png").save(photos / f"{index:02d}.png")
    overrides = [f"checkpoint={checkpoint}", f"input={photos}", "device=cpu"]
    process = commands.Command("hrda_lit.predict", *overrides, "output=killed", cwd=tmp_path)
    while process.poll() is None and not list((tmp_path / "killed").rglob("*.png")):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    there = list((tmp_path / "killed").rglob("*.png"))
    assert 0 < len(there) < 3 * 23
    before = {path: (path.stat().st_mtime_ns, np.array(Image.open(path)).sum()) for path in there}
    tally = run(*overrides, f"output={tmp_path}/killed")
    assert tally.done + tally.complete == 23
    assert tally.complete >= len(there) // 3 - 1
    assert {path: path.stat().st_mtime_ns for path in there} == {path: time for path, (time, _) in before.items()}
    run(*overrides, f"output={tmp_path}/whole")
    for kind in ("label", "colour", "overlay"):
        for path in (tmp_path / "whole" / kind).rglob("*.png"):
            twin = tmp_path / "killed" / path.relative_to(tmp_path / "whole")
            assert twin.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["checkpoint=null"], "there is nothing to predict with; give checkpoint="),
        (["checkpoint=/nowhere.ckpt"], "no checkpoint at /nowhere.ckpt"),
        (["checkpoint=/"], "no checkpoint at /config.yaml"),
        (["input=null"], "give either input=.* or submission="),
        (["input=''"], "give either input=.* or submission="),
        (["submission=acdc"], "give either input=.* or submission="),
        (["input=/nowhere"], "no image at input=/nowhere"),
        (["input=null", "submission=acdc", "data_root=/nowhere"], r"/nowhere/acdc is not a folder, .*get rgb_anon"),
        (
            ["input=null", "submission=acdc", "+submission.counts=3"],
            "unknown key submission.counts; did you mean submission.count",
        ),
        (
            ["input=null", "submission=acdc", "save=overlay", "ids=train", "bits=12"],
            "follows its server and its dataset; remove save, ids, bits",
        ),
        (["dataset@like=acdc", "size=[64,64]"], "and size replaces the box; remove like, or set ids=raw"),
        (["save=[labels]"], "correct save"),
        (["save=[]"], "correct save"),
        (["ids=names"], "ids='names' is none of"),
        (["device=tpu"], "device=tpu is not there"),
    ],
)
def test_what_is_wrong_is_refused_before_the_model_is_loaded(
    overrides: list[str],
    sentence: str,
    checkpoint: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(predictor, "load_trained", lambda *_: pytest.fail("loaded a model"))
    with pytest.raises((ValueError, FileNotFoundError), match=sentence) as caught:
        run(f"checkpoint={checkpoint}", f"input={photos}", f"output={tmp_path}/out", *overrides)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_the_command_prints_one_sentence_and_exits_with_1(checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    (photos / "x.png").write_bytes(b"no image")
    done = call(tmp_path, f"checkpoint={checkpoint}", f"input={photos}/x.png")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {photos}/x.png is broken or no image")
    assert len(done.stderr.strip().splitlines()) == 1


def test_another_checkpoint_or_folder_does_not_go_on_in_the_same_output(
    checkpoint: Path, photos: Path, tmp_path: Path
) -> None:
    out = f"output={tmp_path}/out"
    run(f"checkpoint={checkpoint}", f"input={photos}", out)
    other = write_checkpoint(tmp_path / "other.ckpt", "hrda_demo", "network.head.channels=8")
    with pytest.raises(ValueError, match="holds predictions of another checkpoint; set another output"):
        run(f"checkpoint={other}", f"input={photos}", out)
    with pytest.raises(ValueError, match="holds predictions of another input"):
        run(f"checkpoint={checkpoint}", f"input={photos}/sub", out)
    copied = tmp_path / "copied.ckpt"
    copied.write_bytes(checkpoint.read_bytes())
    assert run(f"checkpoint={copied}", f"input={photos}", out) == Tally(0, 3, 0)
    assert run(f"checkpoint={checkpoint}", f"input={photos}/*.png", out) == Tally(0, 1, 0)


def test_views_of_a_network_of_one_scale_are_refused(photos: Path, tmp_path: Path) -> None:
    daformer = write_checkpoint(tmp_path / "daformer.ckpt", "daformer_demo")
    with pytest.raises(ValueError, match="sees pictures at one scale"):
        run(f"checkpoint={daformer}", f"input={photos}", f"output={tmp_path}/out", "save=[attention]")
    assert not (tmp_path / "out").exists()
    assert run(f"checkpoint={daformer}", f"input={photos}", f"output={tmp_path}/out") == Tally(3, 0, 0)


SERVERS = {
    "cityscapes": ("leftImg8bit/test/ulm/ulm_00000{}_000019_leftImg8bit.png", {*range(7, 34)}),
    "acdc": ("rgb_anon/fog/test/GOPR0475/GOPR0475_frame_00000{}_rgb_anon.png", {*range(19)}),
    "dark_zurich": ("rgb_anon/test/night/GOPR0356/GOPR0356_frame_00000{}_rgb_anon.png", {*range(19)}),
}


@pytest.mark.parametrize("server", sorted(SERVERS))
def test_an_archive_for_a_server(server: str, checkpoint: Path, tmp_path: Path) -> None:
    pattern, ids = SERVERS[server]
    for index in range(2):
        path = tmp_path / "data" / server / pattern.format(index)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(index).integers(0, 256, (54, 96, 3), dtype=np.uint8)).save(path)
    common = (f"checkpoint={checkpoint}", f"submission={server}", f"data_root={tmp_path}/data")
    trial = (*common, f"output={tmp_path}/out", "submission.count=2")
    with pytest.raises(ValueError, match=rf"has 2 test images, the server of {server} wants \d+;"):
        run(*common, f"output={tmp_path}/out")
    with pytest.raises(ValueError, match=rf"is \(54, 96\), the server of {server} wants"):
        run(*trial)
    assert run(*trial, "submission.size=[54,96]", "size=[128,224]") == Tally(2, 0, 0)
    with zipfile.ZipFile(tmp_path / "out" / f"{server}.zip") as archive:
        assert archive.namelist() == [Path(pattern.format(index)).name for index in range(2)]
        for name in archive.namelist():
            with archive.open(name) as file, Image.open(file) as label:
                assert (label.mode, label.size, label.format) == ("L", (96, 54), "PNG")
                assert set(np.unique(np.array(label)).tolist()) <= ids


def test_no_archive_while_an_image_is_missing(checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data/acdc/rgb_anon/fog/test/x"
    folder.mkdir(parents=True)
    for index in range(2):
        Image.new("RGB", (96, 54)).save(folder / f"{index}_rgb_anon.png")
    # Its head, which tells the size, is whole.
    (folder / "1_rgb_anon.png").write_bytes((folder / "1_rgb_anon.png").read_bytes()[:60])
    server = ("submission=acdc", "submission.count=2", "submission.size=[54,96]", f"data_root={tmp_path}/data")
    assert run(f"checkpoint={checkpoint}", f"output={tmp_path}/out", *server) == Tally(1, 0, 1)
    assert not (tmp_path / "out/acdc.zip").exists()


def test_one_kind_of_file_is_one_word(checkpoint: Path, photos: Path, tmp_path: Path) -> None:
    run(f"checkpoint={checkpoint}", f"input={photos}/a.png", f"output={tmp_path}/out", "save=overlay")
    assert files(tmp_path / "out") == ["overlay/a.png", "predictions.json"]


def test_help_explains_itself() -> None:
    done = call(Path.cwd(), "--help")
    assert done.returncode == 0
    assert "input='photos/**/*.jpg'" in done.stdout
    assert re.search(r"submission +none +acdc, cityscapes, dark_zurich", done.stdout)
