"""Every experiment composes, trains two steps and leaves what it promises."""

import csv
import json
import math
from importlib.resources import files
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from hrda_lit.data.draws import ready
from hrda_lit.module import CONFIG_KEY
from hrda_lit.train import train

from .compose import smoke

# The others are built and trained in test_all_experiments.py.
EXPERIMENTS = sorted(
    name
    for path in files("hrda_lit.conf").joinpath("experiment").iterdir()
    if (name := path.name.removesuffix(".yaml")).endswith(("_demo", "_gta", "oracle_cityscapes"))
)


def test_the_named_experiments_exist() -> None:
    domains = {"demo": ["oracle_demo"], "gta": ["oracle_cityscapes"]}
    for domain, oracle in domains.items():
        wanted = {f"{method}_{domain}" for method in ("hrda", "mic", "daformer", "source_only")} | set(oracle)
        assert wanted <= set(EXPERIMENTS)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_experiment_trains(experiment: str, tmp_path: Path, demo_root: Path) -> None:
    drawn = experiment in ("hrda_demo", "source_only_demo", "hrda_gta")
    score = train(smoke(tmp_path, demo_root, experiment, pictures=drawn))

    result = json.loads((tmp_path / "metrics.json").read_text())
    config = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert config["data"]["crop"] == [128, 128]
    assert "${" not in (tmp_path / "config.yaml").read_text()
    assert 0 <= result["val/miou"] == score <= 1
    assert len(result["val/iou"]) == 19
    with open(tmp_path / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    passes = {"hrda": ["source", "mixed"], "daformer": ["source", "mixed"], "mic": ["source", "mixed", "masked"]}
    for name in passes.get(experiment.split("_")[0], ["source"]):
        losses = [float(row[f"train/loss/{name}"]) for row in rows if row[f"train/loss/{name}"]]
        assert len(losses) == 2
        assert all(math.isfinite(loss) and loss >= 0 for loss in losses)
    checkpoint = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 2
    assert checkpoint[CONFIG_KEY]["name"] == experiment
    assert any(key.startswith("teacher.") for key in checkpoint["state_dict"]) == (
        not experiment.startswith(("source_only", "oracle", "generalise"))
    )
    sheets = list((tmp_path / "pictures").glob("step_2/*.png"))
    assert len(sheets) == 2 * drawn
    for path in sheets:
        with Image.open(path) as sheet:
            assert sheet.width >= 4 * 512


@pytest.mark.parametrize("experiment", ["hrda_gta", "mic_gta", "daformer_gta", "source_only_gta", "oracle_cityscapes"])
@pytest.mark.parametrize("s_T", [1, 2])  # 1.5 would need another crop
def test_the_papers_numbers_apply_to_every_experiment(
    experiment: str, s_T: int, tmp_path: Path, demo_root: Path
) -> None:
    numbers = ("lambda_d=0", "tau=0.9", f"s_T={s_T}", "trainer.max_steps=1", "callbacks.pictures.count=0")
    assert train(smoke(tmp_path, demo_root, experiment, *numbers, "trainer.limit_val_batches=1")) >= 0


def test_pictures_show_what_the_network_made(tmp_path: Path, demo_root: Path) -> None:
    from hrda_lit import build
    from hrda_lit.dashboards.pictures import validation_scene
    from hrda_lit.pictures.layers import paint

    config = smoke(tmp_path, demo_root, "hrda_demo")
    method, datamodule = build.build_task(config)
    datamodule.setup("validate")
    module = build.build_module(config, method).eval()
    item = ready(datamodule._val_images[0])  # type: ignore[index]
    scene = validation_scene(module, item["image"][None], item["label"][None])
    [pictures] = paint({"image": scene}, method.classes)
    assert list(pictures) == [
        "image",
        "label",
        "context prediction",
        "detail prediction",
        "scale attention\nwhite: detail, black: context",
        "fused prediction",
        "error\nred: wrong, pale: right, black: no label",
    ]
    assert {tuple(picture.shape) for picture in pictures.values()} == {(3, 256, 512)}
