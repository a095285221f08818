"""Well-formed checkpoints with wrong contents: each is one sentence that names the file, and changes nothing."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hrda_lit.train import train

from .compose import smoke

pytestmark = pytest.mark.slow

STEPS = (
    "trainer.max_steps=4", "trainer.val_check_interval=2", "trainer.limit_val_batches=1", "callbacks.pictures=null",
    "callbacks.progress=null", "callbacks.confusion=null",
)  # fmt: skip
Content = dict[str, Any]


def put(*keys: Any, to: Any) -> Callable[[Content], None]:
    """Return what replaces the value at some keys."""

    def change(content: Content) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = to

    return change


def drop(*keys: Any) -> Callable[[Content], None]:
    """Return what removes the last of some keys."""

    def change(content: Content) -> None:
        for key in keys[:-1]:
            content = content[key]
        del content[keys[-1]]

    return change


def spoil(part: str, value: float) -> Callable[[Content], None]:
    """Return what puts a value that is not finite into the weights or the moments."""

    def change(content: Content) -> None:
        tensors = content["state_dict"] if part == "weights" else content["optimizer_states"][0]["state"][0]
        name = "student.head.classify.weight" if part == "weights" else "exp_avg"
        name = name if name in tensors else next(key for key, tensor in tensors.items() if tensor.is_floating_point())
        tensors[name][(0,) * tensors[name].dim()] = value

    return change


def every_moment(make: Callable[[Content], Any]) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        for moments in content["optimizer_states"][0]["state"].values():
            make(moments)

    return change


def callback(name: str, to: Any) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        [key] = [key for key in content["callbacks"] if key.startswith(name)]
        content["callbacks"][key] = to

    return change


STATE, GROUPS = ("optimizer_states", 0, "state"), ("optimizer_states", 0, "param_groups")
WRONG: dict[str, Callable[[Content], None]] = {
    "step is text": put("global_step", to="x"),
    "step is negative": put("global_step", to=-5),
    "step is a truth": put("global_step", to=True),
    "step is a fraction": put("global_step", to=2.5),
    "step is None": put("global_step", to=None),
    "callbacks a list": put("callbacks", to=[]),
    "callbacks None": put("callbacks", to=None),
    "state of the checkpoints a list": callback("Checkpoint", []),
    "state of the checkpoints text": callback("Checkpoint", {"best": "x"}),
    "state of skipped steps empty": callback("BadSteps", {}),
    "state of skipped steps text": callback("BadSteps", {"skipped": "x", "in_a_row": 0, "seen": 0}),
    "loops a list": put("loops", to=[]),
    "loops empty": put("loops", to={}),
    "fit loop missing": drop("loops", "fit_loop"),
    "fit loop a number": put("loops", "fit_loop", to=3),
    "counter missing": drop("loops", "fit_loop", "epoch_progress"),
    "counter text": put("loops", "fit_loop", "epoch_loop.batch_progress", to="x"),
    "optimizers empty": put("optimizer_states", to=[]),
    "optimizers a dict": put("optimizer_states", to={}),
    "optimizer a number": put("optimizer_states", to=[3]),
    "moments missing": drop(*STATE),
    "moments a list": put(*STATE, to=[]),
    "moments of unknown weights": put(*STATE, 99999, to={"exp_avg": torch.zeros(1)}),
    "moments of another shape": put(*STATE, 0, "exp_avg", to=torch.zeros(7)),
    "a moment missing": drop(*STATE, 0, "exp_avg_sq"),
    "a moment text": put(*STATE, 0, "exp_avg", to="x"),
    "all second moments missing": every_moment(lambda moments: moments.pop("exp_avg_sq")),
    "groups missing": drop(*GROUPS),
    "groups empty": put(*GROUPS, to=[]),
    "a group of other weights": put(*GROUPS, 0, "params", to=[0]),
    "schedules empty": put("lr_schedulers", to=[]),
    "schedule text": put("lr_schedulers", to=["x"]),
    "scores text": put("hrda_lit_scores", to="x"),
    "scores of other classes": put("hrda_lit_scores", to={"scored": 2, "counts": torch.zeros(2, 2)}),
    "scored text": put("hrda_lit_scores", "scored", to="x"),
    "loggers a list": put("hrda_lit_loggers", to=[]),
    "logger a number": put("hrda_lit_loggers", to={"MetricsCSV": 3}),
    "version a number": put("pytorch-lightning_version", to=3),
    "weights of another shape": put("state_dict", "student.scale", to=torch.zeros(3)),
    "NaN weight": spoil("weights", float("nan")),
    "infinite weight": spoil("weights", float("inf")),
    "NaN moment": spoil("moments", float("nan")),
    "infinite moment": spoil("moments", float("inf")),
}
NAMED_WHEN_READ = {"NaN weight", "infinite weight", "NaN moment", "infinite moment"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, demo_root: Path) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(smoke(folder, demo_root, "hrda_demo", *STEPS, "trainer.max_steps=2"))
    return folder


@pytest.mark.parametrize("what", WRONG)
def test_wrong_contents(what: str, whole: Path, tmp_path: Path, demo_root: Path) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    path = tmp_path / "other" / "strange.ckpt"
    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    WRONG[what](content)
    path.parent.mkdir()
    torch.save(content, path)
    with pytest.raises((ValueError, FloatingPointError)) as caught:
        train(smoke(tmp_path / "new", demo_root, "hrda_demo", *STEPS, f"resume={path}"))
    said = str(caught.value)
    assert str(path) in said
    assert "\n" not in said
    assert len(said) < 600
    if what in NAMED_WHEN_READ:
        assert "NaN or infinity" in said
        assert not (tmp_path / "new").exists() or not list((tmp_path / "new").glob("*"))
