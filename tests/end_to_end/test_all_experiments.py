"""Every experiment composes and fits its network; every structure among them is built small, trained and validated."""

import functools
import json
import runpy
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import lightning as L
import pytest
from hydra import compose, initialize_config_module
from omegaconf import DictConfig, OmegaConf

from hrda_lit import build
from hrda_lit.runs.geometry import check_geometry
from hrda_lit.schema.check import check_train
from tests.scripts import SCRIPTS

pytestmark = [pytest.mark.slow, pytest.mark.thorough]

ROOT = Path(str(files("hrda_lit.conf"))) / "experiment"
EXPERIMENTS = sorted(path.relative_to(ROOT).with_suffix("").as_posix() for path in ROOT.rglob("*.yaml"))
ROLES = ("source", "target", "val")
CROP = [128, 128]  # the smallest of which a context at a quarter is a cell of the encoder
ENCODER = {"name": "resnet10t", "weights": None, "options": {"channels": [16, 24, 32, 48], "stem_width": 8}}
# Of patches as large as the experiment's, where these are resized images' and tokens are hidden.
PLAIN = {"name": "vit_small_patch14_dinov2", "weights": None, "options": {"depth": 4, "embed_dim": 16, "num_heads": 2}}
SMALL = {
    "callbacks": None,
    "logger": None,
    "lambda_fd": 0,
    "data": {"crop": CROP, "rare_class": None},
    "network": {"width": 16, "backbone": ENCODER},
    "loading": {"num_workers": 0, "val_workers": 0},
    "trainer": {
        "max_steps": 1, "val_check_interval": 1, "limit_val_batches": 1, "accelerator": "cpu", "log_every_n_steps": 1
    },
}  # fmt: skip
trained: set[str] = set()
fitted: set[str] = set()


def shape(node: Any) -> Any:
    """Return what of a part of a config decides which code runs: everything but its numbers."""
    if isinstance(node, dict):
        return {key: shape(value) for key, value in node.items()}
    return node if isinstance(node, str | bool | None) else type(node).__name__


def structure(config: DictConfig) -> str:
    """Return what of a config decides which code a step runs."""
    plain = OmegaConf.to_container(config, resolve=False)
    encoder = config.network.backbone
    kind = [encoder.get(key) for key in ("input_scale", "mask_token")]
    plain["network"]["backbone"] = [*sorted(encoder.options.keys() & {"output_stride"}), *map(str, kind)]
    part = {key: shape(plain[key]) for key in ("network", "method", "optim", "inference", "validate")}
    part |= {"s_T": config.s_T, "whole": detail_is_crop(config), "several": several(config)}
    part |= {"sync": config.data.sync_crop is not None}
    part |= {"distortion": shape(plain["data"]["distortion"]), "margins_of": config.data.margins_of}
    return json.dumps(part, sort_keys=True)


def detail_is_crop(config: DictConfig) -> bool:
    return bool(config.network.get("detail") == (config.data.sync_crop or config.data.crop))


def several(config: DictConfig) -> list[str]:
    return [role for role in ROLES if "sets" in config[role]]


@pytest.fixture(scope="module")
def composed(demo_root: Path) -> Iterator[Callable[..., DictConfig]]:
    """Compose experiments in one go, which reads each file of the tree once."""
    where = [f"{key}={demo_root}" for key in ("data_root", "cache_dir", "run_dir")]
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        yield functools.cache(lambda *overrides: compose("train", [*where, *overrides]))


@pytest.fixture
def demo(composed: Callable[..., DictConfig]) -> DictConfig:
    return composed("experiment=hrda_demo", *(f"{role}.size=[128,256]" for role in ROLES))


def small(config: DictConfig, demo: DictConfig) -> DictConfig:
    """Return an experiment with a tiny encoder, tiny crops of drawn images, and a single step."""
    made = config.copy()
    OmegaConf.set_struct(made, False)
    dilated = {"output_stride": 8} if "output_stride" in made.network.backbone.options else {}
    made.network.backbone.options = {}
    made = OmegaConf.merge(made, SMALL, {"network": {"backbone": {"options": dilated}}})
    if made.network.backbone.get("input_scale"):
        made.network.backbone = OmegaConf.merge(made.network.backbone, {"options": None}, PLAIN)
    if made.network.get("detail") and made.network.detail.size:
        shrink = 1 if detail_is_crop(config) else 2 * made.network.downscale
        made.network.detail.size = [int(side / shrink) for side in CROP]
    if made.data.sync_crop:
        made.data.crop, made.data.sync_crop = [2 * side for side in CROP], CROP
    for role in ROLES:
        if role in several(config):
            made[role].sets = dict(zip(made[role].sets, (demo.source, demo.target), strict=False))
        else:
            made[role] = demo[role]
    return made


def fit(config: DictConfig) -> L.Trainer:
    method, datamodule = build.build_task(config)
    datamodule.setup("fit")
    trainer = build.build_trainer(config)
    trainer.fit(build.build_module(config, method), datamodule)
    return trainer


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_composes_fits_and_trains(
    name: str, composed: Callable[..., DictConfig], demo: DictConfig
) -> None:
    config = composed(f"experiment={name}").copy()
    assert config.name == name
    check_train(config)
    method, _ = build.build_task(config)
    if (key := structure(config)) not in trained:
        trained.add(key)
        trainer = fit(small(config, demo))
        assert trainer.global_step == 1
        assert 0 <= trainer.logged_metrics["val/miou"] <= 1
    network = config.network
    sizes = f"{key} {build.training_crop(config)} {network.get('detail')} {network.downscale}"
    if sizes not in fitted:
        fitted.add(sizes)
        # A shallow encoder of the same strides has the same geometry.
        config.network.backbone = small(config, demo).network.backbone
        check_geometry(config, method)


def test_structures_tell_experiments_apart(composed: Callable[..., DictConfig]) -> None:
    names = ("hrda_gta", "mic_gta", "methods/hrda_resnet101", "crop_size/context_512_detail_512", "oracle_cityscapes")
    keys = {name: structure(composed(f"experiment={name}")) for name in (*names, "lambda_d/0_2")}
    assert len(set(keys.values())) == len(names)
    assert keys["lambda_d/0_2"] == keys["hrda_gta"]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_head_tells_the_command_and_the_file_is_short(name: str) -> None:
    lines = (ROOT / f"{name}.yaml").read_text().splitlines()
    assert lines[2].startswith(f"#   python -m hrda_lit.train experiment={name}")
    assert 3 <= sum(not line.startswith("#") for line in lines) + 2 <= 15


def test_the_page_of_experiments_is_current() -> None:
    table = runpy.run_path(str(SCRIPTS / "experiments_table.py"))
    assert table["PAGE"].read_text() == table["page"](), "run python scripts/experiments_table.py"
    assert {row.name for row in table["rows"]()} == set(EXPERIMENTS)


def test_published_numbers_stand_in_the_table() -> None:
    rows = {row.name: row for row in runpy.run_path(str(SCRIPTS / "experiments_table.py"))["rows"]()}
    published = {"hrda_gta": "73.8", "mic_gta": "75.9", "daformer_synthia": "60.9", "hrda_acdc": "68.0"}
    assert {name: rows[name].published for name in published} == published
    assert rows["hrda_gta"].hardware == "32 h on a Titan RTX with 22.5 GB"
