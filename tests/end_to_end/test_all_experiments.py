"""Every experiment composes and fits its network; every structure among them is built small, trained and validated."""

import json
import runpy
from importlib.resources import files
from pathlib import Path

import lightning as L
import pytest
from omegaconf import DictConfig, OmegaConf

from hrda_lit import build
from hrda_lit.geometry import check_geometry
from hrda_lit.keys.check import check_train
from tests.scripts import SCRIPTS

from .compose import compose

ROOT = Path(str(files("hrda_lit.conf"))) / "experiment"
EXPERIMENTS = sorted(path.relative_to(ROOT).with_suffix("").as_posix() for path in ROOT.rglob("*.yaml"))
SMALLER = 4  # than the papers' crops
ENCODER = {
    "_target_": "hrda_lit.networks.backbone.Backbone",
    "name": "resnet10t",
    "weights": None,
    "options": {"channels": [16, 24, 32, 48], "stem_width": 8},
}
SMALL = [
    "lambda_fd=0", "data.rare_class=null", "prepare=null", "loading.num_workers=0", "loading.val_workers=0",
    "trainer.max_steps=2", "trainer.val_check_interval=2", "trainer.limit_val_batches=1", "trainer.accelerator=cpu",
    "~logger", "source.size=[256,512]", "target.size=[256,512]", "val.size=[256,512]",
]  # fmt: skip
DEMO = {"source": "gta5", "target": "cityscapes", "val": "cityscapes"}
trained: set[str] = set()


def structure(config: DictConfig) -> str:
    """Return what of a config decides which code a step runs, and how large its tensors are."""
    part = {key: config[key] for key in ("network", "method", "data", "optim", "inference", "s_T", "evaluate")}
    part["several"] = [role for role in DEMO if "sets" in config[role]]
    plain = OmegaConf.to_container(OmegaConf.create(part), resolve=False)
    return json.dumps(plain, sort_keys=True)


def smaller(config: DictConfig) -> list[str]:
    sizes = {"data.crop": config.data.crop, "network.detail": config.network.get("detail")}
    if "_demo" in config.name:
        return []
    return [f"{key}={[side // SMALLER for side in size]}" for key, size in sizes.items() if size]


def fit_small(name: str, config: DictConfig, tmp_path: Path, demo_root: Path) -> L.Trainer:
    several = {role for role in DEMO if "sets" in config[role]}
    ours = [f"dataset@{role}={DEMO[role]}" for role in DEMO if role not in several]
    small = compose(tmp_path, demo_root, f"experiment={name}", *SMALL, *ours, *smaller(config))
    for role in several:
        for key in small[role].sets:
            small[role].sets[key] = compose(tmp_path, demo_root, f"dataset@source={DEMO[role]}").source
    small.callbacks = None
    OmegaConf.update(small, "network.backbone", ENCODER, merge=False, force_add=True)
    source = build.build_dataset(small.source, "source")
    method = build.build_method(small, source.classes)
    datamodule = build.build_datamodule(small, method.needs_target)
    datamodule.setup("fit")
    trainer = build.build_trainer(small)
    trainer.fit(build.build_module(small, method, source.classes), datamodule)
    return trainer


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_composes_fits_and_trains(name: str, tmp_path: Path, demo_root: Path) -> None:
    config = compose(tmp_path, demo_root, f"experiment={name}")
    assert config.name == name
    check_train(config)
    if (key := structure(config)) in trained:
        return
    trained.add(key)
    source = build.build_dataset(config.source, "source")
    build.build_datamodule(config, needs_target=config.target is not None)
    if "mit_b5" in config.network.backbone.name:  # a shallower one has the same geometry
        config.network.backbone.name = "mit_b0"
        check_geometry(config, build.build_method(config, source.classes), source.classes)
    trainer = fit_small(name, config, tmp_path, demo_root)
    assert trainer.global_step == 2
    assert 0 <= trainer.logged_metrics["val/miou"] <= 1


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
