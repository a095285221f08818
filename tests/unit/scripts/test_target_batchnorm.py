"""BatchNorm statistics of target crops, against sums over the crops; and nothing else changes."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from hrda_lit.build import build_datamodule
from hrda_lit.checkpoints.load import load_trained, read_checkpoint
from hrda_lit.data.draws import TargetDraws, ready
from hrda_lit.module import CONFIG_KEY
from tests.scripts import run_script
from tests.trained import write_checkpoint

pytestmark = pytest.mark.slow

BATCHES = 3


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, demo_root: Path) -> Path:
    path = tmp_path_factory.mktemp("daformer") / "last.ckpt"
    return write_checkpoint(path, "daformer_demo", f"data_root={demo_root}")


@pytest.fixture(scope="module")
def adapted(checkpoint: Path) -> Path:
    output = checkpoint.with_name("adapted.ckpt")
    done = run_script("target_batchnorm", checkpoint, output, "--batches", BATCHES)
    assert done.returncode == 0, done.stderr
    return output


def crops(checkpoint: Path) -> list[Tensor]:
    """Return the batches that a run of this checkpoint sees first."""
    config = load_trained(checkpoint).config
    data = build_datamodule(config, needs_target=True)
    assert data.target is not None
    draws = TargetDraws(data.target, data.target.files("train", labelled=False), data.pipeline, config.seed)
    size = config.loading.batch_size
    return [torch.stack([ready(draws[step * size + i])["image"] for i in range(size)]) for step in range(BATCHES)]


def test_the_first_layer_has_the_mean_and_variance_of_its_inputs(checkpoint: Path, adapted: Path) -> None:
    network = load_trained(adapted).network
    convolution, norm = (network.get_submodule(f"backbone.model.{name}") for name in ("conv1.0", "conv1.1"))
    with torch.no_grad():
        seen = [convolution(batch).transpose(0, 1).flatten(1) for batch in crops(checkpoint)]
    torch.testing.assert_close(norm.running_mean, torch.stack([x.mean(1) for x in seen]).mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var, torch.stack([x.var(1) for x in seen]).mean(0), rtol=1e-4, atol=1e-5)


def test_all_statistics_are_new_and_no_weight_is(checkpoint: Path, adapted: Path) -> None:
    before, after = (load_trained(path).network.state_dict() for path in (checkpoint, adapted))
    for name, value in before.items():
        changes = name.endswith(("running_mean", "running_var", "num_batches_tracked"))
        assert torch.equal(value, after[name]) != changes, name


def test_statistics_depend_on_weights_and_crops_alone(adapted: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.ckpt"
    assert run_script("target_batchnorm", adapted, again, "--batches", BATCHES).returncode == 0
    one, other = (load_trained(path).network.state_dict() for path in (adapted, again))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_checkpoint_holds_the_adapted_network_alone(checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "adapted.ckpt"
    assert run_script("target_batchnorm", checkpoint, output, "--model", "teacher", "--batches", 1).returncode == 0
    assert load_trained(output).model == "teacher"
    assert {key.split(".")[0] for key in read_checkpoint(output)["state_dict"]} == {"teacher"}


def test_a_foreign_cache_is_not_written(checkpoint: Path, tmp_path: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    content[CONFIG_KEY]["loading"] |= {"cache": str(tmp_path / "cache"), "num_workers": 512}
    content[CONFIG_KEY]["cache_dir"] = str(tmp_path / "statistics")
    torch.save(content, tmp_path / "foreign.ckpt")
    done = run_script("target_batchnorm", tmp_path / "foreign.ckpt", tmp_path / "adapted.ckpt", "--batches", 1)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapted.ckpt", "foreign.ckpt"]


def test_what_does_not_fit_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "adapted.ckpt"
    for arguments, code, message in (
        (["none.ckpt"], 1, "no checkpoint at none.ckpt"),
        ([str(checkpoint), "--batches", "0"], 2, "got 0 batches, need at least 1"),
    ):
        done = run_script("target_batchnorm", arguments[0], output, *arguments[1:])
        assert done.returncode == code
        assert message in done.stderr
    assert not output.exists()
