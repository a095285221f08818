"""docs/tutorial.md, typed as it stands into an empty folder with a few drawn pictures."""

import re
import shlex
import subprocess
from collections import Counter
from pathlib import Path

import pytest
import yaml

from hrda_lit import api
from tests import commands
from tests.documented import ROOT
from tests.documented import commands as documented
from tests.scripts import run_script
from tests.street import NAMES, draw_street

PAGE = ROOT / "docs" / "tutorial.md"
# What a test does without: the download of weights, steps, and the size of crops.
SMALL = ("network.backbone.weights=null", "lambda_fd=0", "debug=smoke", "data_check.labels=2")
WITHOUT_PICTURES = (*SMALL, "callbacks.pictures=null", "callbacks.confusion=null")


@pytest.fixture
def street(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the page before its second section."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HRDA_LIT_CACHE", str(tmp_path / "cache"))
    draw_street(tmp_path)
    return tmp_path


def test_the_tutorial(street: Path) -> None:
    done, checkpoint = Counter[str](), ""
    for command in documented():
        words = [word for word in command.arguments if word not in ("--config-dir", "mine", "debug=smoke")]
        if command.page != PAGE.name or "-m" in words:  # several seeds of the same
            continue
        done[command.program] += 1
        match command.program:
            case "hrda_lit.init":
                assert api.init(*words) == street / "mine"
            case "hrda_lit.inspect":
                assert api.inspect(*words, "data_check.labels=2", config_dir="mine")
            case "hrda_lit.train":
                checkpoint = api.train(*words, *SMALL, config_dir="mine").checkpoint
            case "hrda_lit.scripts.results_table":
                table = run_script("results_table", *words)
                assert table.returncode == 0, table.stderr
                assert {"street_hrda", "street_source_only"} <= set(re.findall(r"\w+", table.stdout))
            case program:
                filled = [re.sub(r"^checkpoint=.*", f"checkpoint={checkpoint}", word) for word in words]
                getattr(api, program.removeprefix("hrda_lit."))(*filled)
    assert done == {"hrda_lit.init": 1, "hrda_lit.inspect": 1, "hrda_lit.train": 4,
                    "hrda_lit.scripts.results_table": 1, "hrda_lit.evaluate": 1, "hrda_lit.predict": 1}  # fmt: skip
    for kind in ("label", "overlay", "attention"):
        assert len(list((street / "predictions" / kind).glob("*.png"))) == 44


def test_what_init_prints_runs_and_every_number_has_its_reason(street: Path) -> None:
    done = commands.run("hrda_lit.init", "source=day", "target=dusk", "out=mine", cwd=street)
    assert done.returncode == 0, done.stderr
    printed = re.findall(r"^  \S*python\S* -m hrda_lit\.(\w+) (experiment=\S+) (--config-dir \S+)$", done.stdout, re.M)
    assert [(name, experiment) for name, experiment, _ in printed] == [
        ("inspect", "experiment=dusk_hrda"),
        ("train", "experiment=dusk_source_only"),
        ("train", "experiment=dusk_daformer"),
        ("train", "experiment=dusk_hrda"),
        ("train", "experiment=dusk_oracle"),
    ]
    for name, experiment, folder in printed:
        more = WITHOUT_PICTURES if name == "train" else ()
        ran = commands.run(f"hrda_lit.{name}", experiment, *folder.split(), *more, cwd=street)
        assert ran.returncode == 0, ran.stderr
    setting = (street / "mine/setting/dusk.yaml").read_text()
    numbers = [line for line in setting.splitlines() if re.search(r": [\[{]?-?\d", line)]
    assert len(numbers) > 6
    assert all(" # " in line for line in numbers if "head:" not in line)
    assert yaml.safe_load((street / "mine/dataset/dusk.yaml").read_text())["classes"]["names"] == NAMES


def test_what_init_prints_runs_from_elsewhere_with_spaces_and_without_scores(tmp_path: Path) -> None:
    draw_street(tmp_path / "my data", labelled=0)
    (tmp_path / "other place").mkdir()
    done = commands.run("hrda_lit.init", "source=my data/day", "target=my data/dusk", "out=my data/mine", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    printed = [shlex.split(line)[2:] for line in done.stdout.splitlines() if re.match(r"  \S*python\S* -m ", line)]
    kinds = [word for words in printed for word in words if word.startswith("experiment=")]
    assert kinds == [f"experiment=dusk_{kind}" for kind in ("hrda", "source_only", "daformer", "hrda")]
    for module, *words in printed:
        ran = commands.run(
            module, *words, *(WITHOUT_PICTURES if "train" in module else ()), cwd=tmp_path / "other place"
        )
        assert ran.returncode == 0, ran.stderr


def test_nothing_is_written_over_and_nothing_half_written_stays(street: Path) -> None:
    before = sorted(subprocess.check_output(["ls", "-R", "day", "dusk"], text=True).split())
    (street / "mine").mkdir()
    with pytest.raises(FileExistsError, match="out=mine"):
        api.init("source=day", "target=dusk", "out=mine")
    (street / "day/classes.txt").write_text("road\nsky")
    with pytest.raises(ValueError, match="classes="):
        api.init("source=day", "target=dusk", "out=other")
    (street / "day/classes.txt").write_text("\n".join(NAMES))
    assert sorted(path.name for path in street.iterdir()) == ["day", "dusk", "mine"]
    assert sorted(subprocess.check_output(["ls", "-R", "day", "dusk"], text=True).split()) == before
