"""Whether a run is complete, as far as its record can be believed."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from hrda_lit.runs.resume import Start, find_final_score


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
