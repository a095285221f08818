"""What a user can get wrong fails in one sentence, before data is read or a model is built."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.errors import HydraException

from hrda_lit import build
from hrda_lit.train import train
from tests.commands import run

from .compose import compose, smoke


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("lambda_d=1.5", "lambda_d=1.5: expected"),
        ("lambda_d=-0.1", "lambda_d=-0.1: expected"),
        ("tau=2", "tau=2: expected"),
        ("alpha=-1", "alpha=-1: expected"),
        ("s_T=0.5", "s_T=0.5: expected"),
        ("lambda_fd=-1", "lambda_fd=-1: expected"),
        ("data.crop=[130,128]", r"is not a multiple of .* nearest crop that fits is data.crop=\[128,128\]"),
        ("s_T=3", r"divided by s_T = 3 gives \(42.6667, 42.6667\)"),
        ("network.detail.size=[256,256]", "does not fit into a context crop"),
        ("data.cat_max_ratio=0", "data.cat_max_ratio=0: expected"),
        ("optim.lr=0", "optim.lr=0: expected"),
        ("validate=both", "validate=both: expected"),
        ("inference.batch=0", "inference.batch=0: expected"),
        ("network.backbone.name=mit_b55", "timm knows no model named mit_b55"),
        (
            "network.backbone.name=mixer_b16_224 ~network.backbone.options",
            "an encoder whose strides double",
        ),
        ("+temperture=1", "unknown key temperture"),
        ("+method.labeller.taus=1", "unknown key method.labeller.taus; did you mean method.labeller.tau"),
        ("+optim.learning_rate=1", "unknown key optim.learning_rate; did you mean optim.lr"),
        ("+data.crops=1", "unknown key data.crops"),
        ("+loading.batchsize=1", "unknown key loading.batchsize"),
        ("+network.segmentor.scale=1", "unknown key network.segmentor.scale"),
        ("+source.layout.exclud=[a]", "unknown key source.layout.exclud"),
        ("+callbacks.pictures.number=1", "unknown key callbacks.pictures.number"),
        (
            "s_T=1 network.detail.size=[36,36] network.detail.overlap=true",
            r"network.detail.size .*off the grid of 4 pixels; choose a multiple of 8",
        ),
        ("inference.window=[100,100]", "inference.window of .* is not a multiple of 8 pixels"),
        ("inference.window=[64,64] inference.stride=[65,64]", "leaves gaps between windows"),
        (
            "data.crop=[64,64] loading.batch_size=1",
            "Expected more than 1 value per channel.*raise .*loading.batch_size",
        ),
        ("method=mic method.masked.block=400", r"method.masked.block=400 is larger than a crop of \(128, 128\)"),
        ("+network.backbone.options.depths=[1]", "network.backbone.options=.* does not fit"),
        ("trainer.accelerator=gpu", "trainer.accelerator=gpu: not allowed here"),
        ("~logger +logger.tensorboard._target_=nowhere.Logger", "logger.tensorboard._target_=nowhere.Logger: expected"),
        ("resume=/nowhere.ckpt", "no checkpoint at /nowhere.ckpt"),
        (
            "method=adversarial validate=student ~method.optim.betas ~method.optim.power "
            "method.optim._target_=hrda_lit.optim.AdamWPoly",
            "method.optim._target_=hrda_lit.optim.AdamWPoly: expected hrda_lit.optim.AdamPoly",
        ),
        (
            "+callbacks.mine._target_=lightning.pytorch.callbacks.LearningRateFinder",
            "callbacks=LearningRateFinder: not allowed here; set optim.lr",
        ),
        ("callbacks.checkpoint.mode=best", "callbacks.checkpoint.mode=best: expected"),
        ("callbacks.checkpoint.every=0", "callbacks.checkpoint.every=0: expected"),
        ("callbacks.checkpoint.every_minutes=0", "callbacks.checkpoint.every_minutes=0: expected"),
    ],
)
def test_wrong_value_is_refused(override: str, sentence: str, tmp_path: Path, demo_root: Path) -> None:
    config = smoke(tmp_path, demo_root, "hrda_demo", *override.split(" "))
    with pytest.raises((ValueError, FileNotFoundError), match=sentence) as caught:
        train(config)
    assert "\n" not in str(caught.value).strip()
    assert not (tmp_path / "metrics.csv").exists()


def test_numbers_are_refused_before_data_is_looked_at(tmp_path: Path) -> None:
    config = smoke(tmp_path, tmp_path / "nothing", "hrda_gta", "tau=2")
    with pytest.raises(ValueError, match="tau=2: expected"):
        train(config)


def test_unknown_key_on_the_command_line_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HydraException, match="lamda_d"):
        compose(tmp_path, tmp_path, "experiment=hrda_gta", "lamda_d=0.5")


def test_missing_data_are_named_before_a_model_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "build_module", lambda *_: pytest.fail("built a model"))
    with pytest.raises(FileNotFoundError, match=r"nothing/gta .*experiment=hrda_demo"):
        train(compose(tmp_path, tmp_path / "nothing", "experiment=hrda_gta"))


def test_missing_weights_are_named(tmp_path: Path, demo_root: Path) -> None:
    config = compose(tmp_path, demo_root, "experiment=hrda_gta", "network.backbone.name=mit_b0", "data.rare_class=null")
    with pytest.raises(FileNotFoundError, match=r"no weights of mit_b0 at .*weights/mit_b0.pth; download"):
        train(config)


def test_feature_distance_needs_pretrained_features(tmp_path: Path, demo_root: Path) -> None:
    with pytest.raises(ValueError, match=r"lambda_fd=0.005 .*weights is null"):
        train(smoke(tmp_path, demo_root, "hrda_demo", "lambda_fd=0.005"))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_truncated_image_is_named(workers: int, tmp_path: Path, demo_root: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(demo_root, root)
    for image in (root / "gta" / "images").iterdir():
        image.write_bytes(image.read_bytes()[:2000])
    overrides = ["experiment=hrda_gta", "debug=smoke", f"data_root={root}", f"loading.num_workers={workers}"]
    done = run("hrda_lit.train", *overrides, cwd=tmp_path)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"error: {root}/gta/images/0000")
    assert "is broken" in last
    assert "Traceback" not in done.stderr


def test_the_command_prints_one_sentence_and_exits_with_1(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hrda_lit.train", "experiment=hrda_gta", f"data_root={tmp_path}/nothing"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.strip().startswith(f"error: {tmp_path}/nothing/gta is not a folder")
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("group", ["dataset@source", "dataset@target", "network", "method", "optim", "trainer"])
def test_nothing_chosen_where_something_is_needed(group: str, tmp_path: Path, demo_root: Path) -> None:
    # `[]` is what the command makes of null, which Hydra refuses with a traceback.
    with pytest.raises(ValueError, match=rf"missing choice {group.rpartition('@')[2]}.*choose one"):
        train(smoke(tmp_path, demo_root, "hrda_demo", f"{group}=[]"))
