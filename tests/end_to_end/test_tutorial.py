"""docs/tutorial.md, typed as it stands into an empty folder with a few drawn pictures."""

import re
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hrda_lit import api
from hrda_lit.api import inspect, train
from tests.documented import ROOT, commands, write_yaml
from tests.scripts import run_script

PAGE = ROOT / "docs" / "tutorial.md"
# What a test does without: the download of weights, steps, and the size of crops.
SMALL = ("network.backbone.weights=null", "lambda_fd=0", "debug=smoke", "data_check.labels=2")


def draw(folder: Path, count: int, labelled: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for number in range(count):
        label = rng.integers(0, 10, (12, 16), dtype=np.uint8).repeat(10, 0).repeat(10, 1)
        Image.fromarray(label[..., None] * np.uint8([25, 20, 10])).save(folder / "images" / f"{number}.jpg")
        if number < labelled:
            Image.fromarray(label).save(folder / "labels" / f"{number}.png")


@pytest.fixture
def street(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the page after its third section."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HRDA_LIT_CACHE", str(tmp_path / "cache"))
    draw(tmp_path / "day", 4, 4, 0)
    draw(tmp_path / "dusk", 5, 2, 1)
    [lists] = [
        block for block in re.findall(r"^```bash\n(.*?)^```", PAGE.read_text(), re.M | re.S) if "ls day" in block
    ]
    subprocess.run(["bash", "-ec", lists], check=True)
    write_yaml("docs/tutorial.md", tmp_path / "mine")
    dusk = (tmp_path / "mine/dataset/day.yaml").read_text().replace("name: day", "name: dusk")
    (tmp_path / "mine/dataset/dusk.yaml").write_text(dusk.replace("root: day", "root: dusk"))
    return tmp_path


def test_the_tutorial(street: Path) -> None:
    assert {path: len((street / path).read_text().split()) for path in ("day/train.txt", "dusk/val.txt")} == {
        "day/train.txt": 4,
        "dusk/val.txt": 2,
    }
    assert (street / "dusk/train.txt").read_text().split() == ["2", "3", "4"]
    done, checkpoint = Counter[str](), ""
    for command in commands():
        words = [word for word in command.arguments if word not in ("--config-dir", "mine", "debug=smoke")]
        if command.page != PAGE.name or "-m" in words:  # several seeds of the same
            continue
        done[command.program] += 1
        match command.program:
            case "hrda_lit.inspect":
                inspect(*words, "data_check.labels=2", config_dir="mine")
            case "hrda_lit.train":
                checkpoint = train(*words, *SMALL, config_dir="mine").checkpoint
            case "hrda_lit.scripts.results_table":
                table = run_script("results_table", *words)
                assert table.returncode == 0, table.stderr
                assert {"street_hrda", "street_source_only"} <= set(re.findall(r"\w+", table.stdout))
            case program:
                filled = [re.sub(r"^checkpoint=.*", f"checkpoint={checkpoint}", word) for word in words]
                getattr(api, program.removeprefix("hrda_lit."))(*filled)
    assert done == {"hrda_lit.inspect": 1, "hrda_lit.train": 3, "hrda_lit.scripts.results_table": 1,
                    "hrda_lit.evaluate": 1, "hrda_lit.predict": 1}  # fmt: skip
    for kind in ("label", "overlay", "attention"):
        assert len(list((street / "predictions" / kind).glob("*.png"))) == 5
