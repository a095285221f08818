"""Well-formed checkpoints with wrong contents: refused in one sentence that names file and entry, or resumed alike."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.trainer import call
from omegaconf import DictConfig

from hrda_lit import build
from hrda_lit.runs import restore, resume, state
from hrda_lit.train import train

from .compose import smoke
from .kills import unlike
from .spoiled import Spoiled, copied, spoil_entries

pytestmark = pytest.mark.slow

STEPS = (
    "trainer.max_steps=4", "trainer.val_check_interval=2", "trainer.limit_val_batches=1", "callbacks.pictures=null",
    "callbacks.progress=null", "callbacks.confusion=null", "network.backbone.options.channels=[8,8,16,16]",
    "network.backbone.options.stem_width=8",
)  # fmt: skip
Content = dict[str, Any]
FEW, MANY = 300, 5000


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
    "best is no IoU": callback("Checkpoint", {"best": -1}),
    "state of skipped steps empty": callback("BadSteps", {}),
    "state of skipped steps text": callback("BadSteps", {"skipped": "x", "in_a_row": 0, "seen": 0}),
    "loops a list": put("loops", to=[]),
    "loops empty": put("loops", to={}),
    "fit loop missing": drop("loops", "fit_loop"),
    "fit loop a number": put("loops", "fit_loop", to=3),
    "count of steps missing": drop("loops", "fit_loop", "epoch_loop.manual_optimization.optim_step_progress"),
    "count of steps another": put("global_step", to=3),
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
    "moments of other names": every_moment(lambda moments: moments.update(momentum_buffer=moments.pop("exp_avg"))),
    "negative squares": every_moment(lambda moments: moments["exp_avg_sq"].sub_(1)),
    "a step beyond the last": put(*STATE, 0, "step", to=torch.tensor(3.0)),
    "scores text": put("hrda_lit_scores", to="x"),
    "scores of other classes": put("hrda_lit_scores", to={"scored": 2, "counts": torch.zeros(2, 2)}),
    "scored text": put("hrda_lit_scores", "scored", to="x"),
    "loggers a list": put("hrda_lit_loggers", to=[]),
    "logger a number": put("hrda_lit_loggers", to={"MetricsCSV": 3}),
    "version of long ago": put("pytorch-lightning_version", to="1.0.0"),
    "version missing": drop("pytorch-lightning_version"),
    "version a number": put("pytorch-lightning_version", to=3),
    "weights of another shape": put("state_dict", "student.scale", to=torch.zeros(3)),
    "NaN weight": spoil("weights", float("nan")),
    "infinite weight": spoil("weights", float("inf")),
    "NaN moment": spoil("moments", float("nan")),
    "infinite moment": spoil("moments", float("inf")),
}
UNUSED: dict[str, Callable[[Content], None]] = {
    "schedules empty": put("lr_schedulers", to=[]),
    "schedule text": put("lr_schedulers", to=["x"]),
    "counter missing": drop("loops", "fit_loop", "epoch_progress"),
    "counter text": put("loops", "fit_loop", "epoch_loop.batch_progress", to="x"),
    "rate NaN": put(*GROUPS, 0, "lr", to=float("nan")),
    "epoch text": put("epoch", to="x"),
}
RESUMED, END = "resumed", "all contents are tried"


class Resume(L.Callback):
    """Resume, inside one run that has begun, from one content after another; then end the run."""

    def __init__(self, config: DictConfig, good: Content, contents: Iterator[tuple[str, Content]]) -> None:
        self.config, self.good, self.contents = config, good, contents
        self.outcomes: dict[str, str] = {}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        connector, callbacks = trainer._checkpoint_connector, list(trainer.callbacks)  # type: ignore[attr-defined]
        self.resume(trainer, self.good)
        good = copied(connector.dump_checkpoint())
        for name, content in self.contents:
            trainer.callbacks = list(callbacks)  # type: ignore[attr-defined]
            call._call_callbacks_load_state_dict(trainer, self.good)  # nothing of the content before is left
            try:
                self.resume(trainer, content)
            except ValueError as error:
                self.outcomes[name] = str(error)
            else:
                self.outcomes[name] = f"{RESUMED} {unlike(good, connector.dump_checkpoint())}"
        trainer.callbacks = callbacks  # type: ignore[attr-defined]
        raise RuntimeError(END)

    def resume(self, trainer: L.Trainer, content: Content) -> None:
        """Read and restore as `train` and Lightning do."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("hrda_lit.checkpoints.load.read_torch_file", lambda path: content)
            start = resume.find_start(self.config)
        connector = trainer._checkpoint_connector
        with restore.restore(trainer, start):
            connector._loaded_checkpoint = copied(content)
            connector.restore_model()
            connector.restore_callbacks()
            connector.restore_training_state()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, demo_root: Path) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(smoke(folder, demo_root, "hrda_demo", *STEPS, "trainer.max_steps=2"))
    return folder / "checkpoints" / "last.ckpt"


def outcomes(whole: Path, demo_root: Path, folder: Path, contents: Iterator[tuple[str, Content]]) -> dict[str, str]:
    """Return by name the error that each content leads to, or how the resumed run differs from the good one."""
    config = smoke(folder / "new", demo_root, "hrda_demo", *STEPS, f"resume={whole}")
    callback, make = Resume(config, torch.load(whole, weights_only=True), contents), build.build_trainer

    def build_trainer(config: DictConfig) -> L.Trainer:
        trainer = make(config)
        trainer.callbacks.append(callback)  # type: ignore[attr-defined]
        return trainer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "build_trainer", build_trainer)
        with pytest.raises(ValueError, match=END):  # as the first step has not begun
            train(config)
    return callback.outcomes


def check_sentence(said: str, path: Path) -> None:
    assert str(path) in said
    assert "; " in said, "a remedy"
    assert said.isprintable()
    assert len(said) < 2500  # of which names of weights are most


def test_wrong_contents(whole: Path, tmp_path: Path, demo_root: Path) -> None:
    def contents() -> Iterator[tuple[str, Content]]:
        for name, change in {**WRONG, **UNUSED}.items():
            content = torch.load(whole, weights_only=True)
            change(content)
            yield name, content

    found = outcomes(whole, demo_root, tmp_path, contents())
    for name in WRONG:
        check_sentence(found[name], whole)
    assert {name: found[name] for name in UNUSED} == dict.fromkeys(UNUSED, f"{RESUMED} []")


def check_refused(what: str, whole: Path, folder: Path, demo_root: Path, match: str) -> None:
    """Resume by the command's function from a file with wrong contents, which must end in a sentence."""
    path = folder / "strange.ckpt"
    content = torch.load(whole, weights_only=True)
    WRONG[what](content)
    torch.save(content, path)
    with pytest.raises(ValueError, match=match) as caught:
        train(smoke(folder / "new", demo_root, "hrda_demo", *STEPS, f"resume={path}"))
    check_sentence(str(caught.value), path)


@pytest.mark.parametrize("what", ["NaN weight", "NaN moment", "step is text"])
def test_what_is_seen_in_the_file_is_refused_before_anything_is_written(
    what: str, whole: Path, tmp_path: Path, demo_root: Path
) -> None:
    check_refused(what, whole, tmp_path, demo_root, r"NaN or infinity|global_step is 'x'")
    assert not list((tmp_path / "new").glob("*"))


@pytest.mark.parametrize("what", ["moments of another shape", "logger a number", "weights of another shape"])
def test_the_command_ends_with_the_sentence(what: str, whole: Path, tmp_path: Path, demo_root: Path) -> None:
    check_refused(what, whole, tmp_path, demo_root, r"another|architecture")


@pytest.mark.parametrize("count", [FEW, pytest.param(MANY, marks=pytest.mark.thorough)])
def test_any_wrong_entry_is_refused_or_changes_nothing(
    count: int, whole: Path, tmp_path: Path, demo_root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spoiled: dict[str, Spoiled] = {}
    warned: dict[str, str] = {}

    def contents() -> Iterator[tuple[str, Content]]:
        good = torch.load(whole, weights_only=True)
        for number, one in enumerate(spoil_entries(good, count)):
            name = f"{number}: {one}"
            spoiled[name] = one
            caplog.clear()
            yield name, one.content
            warned[name] = " ".join(record.message for record in caplog.records if record.levelno >= logging.WARNING)
            one.content.clear()

    found = outcomes(whole, demo_root, tmp_path, contents())
    assert len(found) == count
    wrong = {}
    for name, said in found.items():
        if not fits(spoiled[name], said, warned[name], whole):
            wrong[name] = f"{said} {warned[name]}"
    assert not wrong, "\n".join(f"{name}: {said}" for name, said in wrong.items())


def fits(spoiled: Spoiled, said: str, warned: str, path: Path) -> bool:
    """Return whether an outcome is a sentence that names file and entry, an equal run, or a difference that is told."""
    if said.startswith(RESUMED):
        told = "start without moments" in warned or "starts anew" in warned
        again = spoiled.place[0] == state.SCORES and "val_loop" in said  # the validation is repeated
        return said == f"{RESUMED} []" or told or again
    check_sentence(said, path)
    names = {key.removeprefix("hrda_lit_") for key in spoiled.place if isinstance(key, str)}
    names |= {"weights"} if "state_dict" in names else set()
    return any(name in said for name in names)
