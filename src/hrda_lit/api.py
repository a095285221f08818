"""The commands from Python, e.g. `train("experiment=hrda_demo", "lambda_d=0.3")`."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from hrda_lit.predicting.run import Tally

T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """The result of a training or an evaluation.

    Attributes:
        folder: folder of its files.
        checkpoint: path of the network: the last one of a training, or the one that was scored.
        miou: on the validation set, a fraction; NaN without one.
        iou: by class, fractions; NaN for classes that do not occur.
        metrics: all of metrics.json.
    """

    folder: Path
    checkpoint: str
    miou: float
    iou: dict[str, float] = field(repr=False)
    metrics: dict[str, Any] = field(repr=False)


def train(*overrides: str, config_dir: str | Path | None = None) -> Run:
    """Train as `python -m hrda_lit.train` does.

    Args:
        overrides: as on the command line, e.g. "experiment=hrda_demo", "lambda_d=0.3".
        config_dir: a folder with YAML files of your own, what `--config-dir` names there.

    Returns:
        Folder, checkpoint and scores.

    Raises:
        ValueError: if a key or value does not fit, or a file is broken.
        FileNotFoundError: if data, weights or the checkpoint are missing.
    """
    from hrda_lit.train import train as command

    return _run("train", overrides, config_dir, lambda config: _read(config, command(config)))


def evaluate(*overrides: str, config_dir: str | Path | None = None) -> Run:
    """Score a network as `python -m hrda_lit.evaluate` does; for arguments and errors see `train`.

    Returns:
        Folder, checkpoint and scores of the first dataset; `metrics["datasets"]` has those of all.
    """
    from hrda_lit.evaluate import evaluate as command

    return _run("evaluate", overrides, config_dir, lambda config: _read(config, command(config)))


def predict(*overrides: str, config_dir: str | Path | None = None) -> "Tally":
    """Predict files as `python -m hrda_lit.predict` does, and count them; for arguments see `train`.

    For single pictures see `Predictor`.
    """
    from hrda_lit.predict import predict as command

    return _run("predict", overrides, config_dir, command)


def inspect(*overrides: str, config_dir: str | Path | None = None) -> bool:
    """Check data as `python -m hrda_lit.inspect` does; return whether training can start."""
    from hrda_lit.inspect import inspect as command

    return _run("inspect", overrides, config_dir, command)


def init(*overrides: str) -> Path:
    """Propose an experiment for two folders of images as `python -m hrda_lit.init` does.

    Returns:
        The new folder, for `config_dir` of `train` and `inspect`.
    """
    from hrda_lit.init import init as command

    return _run("init", overrides, None, command)


def compose(*overrides: str, config_dir: str | Path | None = None) -> "DictConfig":
    """Compose and check the config that `train` would use, e.g. for a checkpoint from elsewhere."""
    from hrda_lit.schema.check import compose_train

    return compose_train(overrides, config_dir)


def _run(command: str, overrides: Sequence[str], config_dir: str | Path | None, task: "Callable[[DictConfig], T]") -> T:
    """Have Hydra compose the config, make the folder and run the task, as it does for a command line."""
    from hrda_lit.config.arguments import start_hydra
    from hrda_lit.runs.claim import release_all
    from hrda_lit.system import signals
    from hrda_lit.system.text import quieten_libraries

    quieten_libraries()
    try:
        with start_hydra(command, overrides, config_dir) as (hydra, words), release_all():
            value: T = hydra.run(command, task, words).return_value
    except signals.Stopped as stopped:
        raise KeyboardInterrupt(f"{stopped}; the same call with resume=auto resumes it") from None
    return value


def _read(config: "DictConfig", miou: float) -> Run:
    folder = Path(config.run_dir)
    checkpoint = config.get("checkpoint") or folder / "checkpoints" / "last.ckpt"
    metrics = json.loads((folder / "metrics.json").read_text())
    iou = {name: float("nan") if value is None else value for name, value in metrics.get("val/iou", {}).items()}
    return Run(folder, str(checkpoint), miou, iou, metrics)
