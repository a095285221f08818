"""A run that is killed and resumed equals one that was not, bit for bit."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from hrda_lit.train import train

from .compose import smoke


def final_state(folder: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return state


@pytest.mark.parametrize("experiment", ["hrda_demo", "mic_demo"])
def test_resumed_run_is_equal(experiment: str, tmp_path: Path, demo_root: Path) -> None:
    steps = ["trainer.max_steps=4", "trainer.val_check_interval=2", "trainer.limit_val_batches=1"]
    # The schedule depends on max_steps, so the interrupted run is stopped by an exception, as a kill would.
    train(smoke(tmp_path / "whole", demo_root, experiment, *steps))
    with pytest.raises(RuntimeError, match="killed"):
        train(
            smoke(
                tmp_path / "killed",
                demo_root,
                experiment,
                *steps,
                "+callbacks.kill._target_=tests.end_to_end.kill.Kill",
            )
        )
    checkpoint = tmp_path / "killed" / "checkpoints" / "last.ckpt"
    assert torch.load(checkpoint, weights_only=True)["global_step"] == 2
    resumed = smoke(
        tmp_path / "resumed", demo_root, experiment, *steps, "loading.num_workers=1", f"resume={checkpoint}"
    )
    train(resumed)

    whole, again = final_state(tmp_path / "whole"), final_state(tmp_path / "resumed")
    assert whole.keys() == again.keys()
    assert [name for name in whole if not torch.equal(whole[name], again[name])] == []
