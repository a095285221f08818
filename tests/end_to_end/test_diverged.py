"""A training that diverges ends with one sentence, and leaves no broken weights behind."""

from pathlib import Path

import pytest
import torch

from hrda_lit.train import train

from .compose import smoke

SMALL = ("trainer.max_steps=6", "optim.max_skipped=3", "optim.warmup=0", "callbacks.pictures.count=0")


def test_a_run_that_explodes_is_no_success(tmp_path: Path, demo_root: Path) -> None:
    config = smoke(tmp_path, demo_root, "hrda_demo", "optim.lr=1e25", *SMALL, "trainer.limit_val_batches=0")
    with pytest.raises(FloatingPointError, match=r"NaN or infinit.*lower optim\.lr") as caught:
        train(config)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "metrics.json").exists()
    for path in tmp_path.glob("checkpoints/*.ckpt"):
        state = torch.load(path, weights_only=True)["state_dict"]
        assert all(bool(value.isfinite().all()) for value in state.values()), path
