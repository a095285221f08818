"""What a resumed run finds: whether it is complete, and what it takes over from another folder."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from hrda_lit.runs.resume import Start, find_final_score
from hrda_lit.system.files import write_atomically
from hrda_lit.train import _open_folder


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
