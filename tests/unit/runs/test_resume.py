"""What a resumed run finds and takes over, and what it may change."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from hrda_lit.runs.resume import Start, differences, find_final_score, format_changes, refuse_fixed
from hrda_lit.system.files import write_atomically
from hrda_lit.train import _open_folder

CONFIG = {
    "run_dir": "/a/run",
    "data_root": "/a",
    "cache_dir": "/a/cache",
    "s_T": 2,
    "lambda_d": 0.1,
    "optim": {"lr": 0.1, "betas": [0.9, 0.99]},
    "network": {"head": {"channels": 16}, "segmentor": {"lambda_d": 0.1}, "backbone": {"weights": "/a/w.pth"}},
    "method": {"_target_": "x.SelfTraining", "tau": 0.9, "masked": None},
    "source": {"root": "/a/gta", "classes": ["road", "sky"]},
    "callbacks": {"checkpoint": {"folder": "/a/run/checkpoints"}},
    "trainer": {"max_steps": 10},
}


@pytest.mark.parametrize(
    ("record", "score"),
    [
        ({"step": 4, "val/miou": 0.5}, 0.5),
        ({"step": 4, "val/miou": None}, math.nan),
        ({"step": 3, "val/miou": 0.5}, None),
        ({"step": 4}, None),
        ({"step": 4, "val/miou": "x"}, None),
        ({"step": 4, "val/miou": [0.5]}, None),
        ([4], None),
    ],
)
def test_a_complete_run_has_a_score_of_its_last_step(record: Any, score: float | None, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps(record))
    config = OmegaConf.create({"trainer": {"max_steps": 4}, "val": {"name": "x"}, "run_dir": str(tmp_path)})
    found = find_final_score(Start(Path("x.ckpt"), 4, {}, {}), config)
    assert found == score or (found is not None and score is not None and math.isnan(found) and math.isnan(score))
    assert find_final_score(Start(Path("x.ckpt"), 3, {}, {}), config) is None


def test_the_first_process_alone_takes_over_what_another_folder_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["checkpoints/best.ckpt", "checkpoints/last.ckpt", "metrics.csv"]
    for name in names:
        write_atomically(tmp_path / "old" / name, name.encode())
    start = Start(tmp_path / "old/checkpoints/last.ckpt", 4, {}, {})
    config = OmegaConf.create({"run_dir": str(tmp_path / "new")})
    monkeypatch.setenv("LOCAL_RANK", "1")
    _open_folder(config, [], start)  # the curve would replace the one that the first process has cut
    assert not (tmp_path / "new").exists()
    monkeypatch.delenv("LOCAL_RANK")
    _open_folder(config, [], start)
    assert [(tmp_path / "new" / name).read_text() for name in names] == names


def changed(**values: Any) -> dict[str, tuple[Any, Any]]:
    def merged(node: Any, more: Any) -> Any:
        if not isinstance(node, dict) or not isinstance(more, dict):
            return more
        return {**node, **{key: merged(node.get(key), value) for key, value in more.items()}}

    return differences(CONFIG, merged(CONFIG, values))


def test_where_things_lie_is_no_difference() -> None:
    elsewhere = {
        "run_dir": "/b/again", "data_root": "/data", "resume": "auto",
        "source": {"root": "/data/gta"}, "callbacks": {"checkpoint": {"folder": "/b/again/checkpoints"}},
        "network": {"backbone": {"weights": "/data/w.pth"}},
    }  # fmt: skip
    assert changed(**elsewhere) == {}


def test_differences_are_told() -> None:
    found = changed(optim={"lr": 0.2, "betas": [0.9, 0.9]}, new={"key": 1})
    assert format_changes(found) == "optim.lr 0.1 -> 0.2, optim.betas [0.9, 0.99] -> [0.9, 0.9], new.key (none) -> 1"
    assert "\n" not in format_changes(found)


@pytest.mark.parametrize(
    "values",
    [
        {"optim": {"lr": 1}},
        {"trainer": {"max_steps": 20}},
        {"method": {"tau": 0.8}},
        {"lambda_d": 0.2, "network": {"segmentor": {"lambda_d": 0.2}}},
    ],
)
def test_what_can_be_applied_is_allowed(values: dict[str, Any]) -> None:
    refuse_fixed(changed(**values), "last.ckpt")


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"network": {"head": {"channels": 32}}}, "network.head.channels 16 -> 32"),
        ({"s_T": 1}, "s_T 2 -> 1"),
        ({"method": {"_target_": "x.Supervised"}}, "method._target_"),
        ({"method": {"masked": {"_target_": "x.Masked"}}}, "method.masked"),
        ({"source": {"classes": ["road"]}}, "source.classes"),
    ],
)
def test_what_the_weights_do_not_allow_is_refused(values: dict[str, Any], key: str) -> None:
    with pytest.raises(ValueError, match=r"last\.ckpt cannot be resumed with") as caught:
        refuse_fixed(changed(**values), "last.ckpt")
    assert key in str(caught.value)
