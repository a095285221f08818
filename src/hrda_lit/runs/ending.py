"""How a run ends: its files and what to try next, or after a signal how to resume it."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Quote, QuotedString
from omegaconf import DictConfig

from hrda_lit.runs import claim
from hrda_lit.system.files import is_first_process
from hrda_lit.system.signals import REQUEUE, Stopped
from hrda_lit.system.table import show

if TYPE_CHECKING:
    import lightning as L

_PLAIN = re.compile(r"[\w/.:+@%-]*/[\w/.:+@%-]*", re.ASCII)  # a path that Hydra takes for no number or null
_LEFT = {
    "checkpoints/last.ckpt": "the network after the last step, and its config",
    "checkpoints/best.ckpt": "the network of the best validation",
    "metrics.json": "mIoU and IoU per class",
    "metrics.csv": "every logged number by step",
    "pictures": "what it sees and learned from",
    "confusion": "which class it takes for which",
    "train.log": "all that was printed",
}


def early_end(trainer: "L.Trainer") -> str | None:
    """Say who ended a run early and after how many steps; None for a run that did all its steps."""
    if trainer.global_step >= trainer.max_steps:
        return None
    from lightning.pytorch.callbacks import EarlyStopping, Timer

    who = "a callback"
    for one in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(one, Timer) and (one.time_remaining() or 0) <= 0:
            who = "trainer.max_time"
        elif isinstance(one, EarlyStopping) and getattr(one, "stopping_reason_message", None):
            who = f"{type(one).__name__} of {one.monitor}"
    return f"{who} ended it after {trainer.global_step} of {trainer.max_steps} steps"


def show_ending(config: DictConfig, image: Path | None) -> None:
    """Print what a run left where, and commands to try; `image` is one to predict, if there is any."""
    folder = relative(Path(config.run_dir))
    left = [f"  {name:<24} {what}" for name, what in _LEFT.items() if (Path(config.run_dir) / name).exists()]
    show(f"in {folder}", *left, "next", *(f"  {command}" for command in next_commands(folder, image)))


def next_commands(folder: Path, image: Path | None) -> Iterator[str]:
    """Yield commands to try with a trained network; without an image, the user fills in a folder."""
    checkpoint = folder / "checkpoints" / "last.ckpt"
    given = f"checkpoint={quote(str(checkpoint))}"
    yield command_line("hrda_lit.evaluate", given)
    picture = "input=photos" if image is None else f"input={quote(str(relative(image)))}"
    output = f"output={quote(str(folder / 'predictions'))}"
    yield command_line("hrda_lit.predict", given, picture, output, "save=[label,overlay,figure]")
    yield command_line("hrda_lit.scripts.compare_networks", str(folder / "compare.pdf"), f"this={checkpoint}")
    if (folder / "metrics.csv").exists():
        curves = str(folder / "curves.pdf")
        yield command_line("hrda_lit.scripts.plot_curves", curves, str(folder), "--numbers", "val/miou")


def command_line(module: str, *words: str) -> str:
    """Write the shell command that runs a module with the Python that runs now."""
    found, own = shutil.which("python"), Path(sys.executable)
    in_path = found is not None and Path(found).absolute().parent == own.parent
    return shlex.join(["python" if in_path else str(relative(own)), "-m", module, *words])


def relative(path: Path) -> Path:
    """Return a path as seen from the folder that the command was started in, if it lies below."""
    # Not that of the process, which is the run's own with hydra.job.chdir=true.
    here = Path(HydraConfig.get().runtime.cwd) if HydraConfig.initialized() else Path.cwd()
    return path.absolute().relative_to(here) if path.absolute().is_relative_to(here) else path


def resume_command(module: str, arguments: Sequence[str], folder: Path, sweep: bool) -> str:
    """Write the shell command that resumes a run or sweep: its module, arguments and folder."""
    key = "hydra.sweep.dir" if sweep else "hydra.run.dir"
    place = quote(str(folder))  # for Hydra, and below for the shell
    given = [f"{key}={place}"] if sweep else [f"{key}={place}", "resume=auto"]
    return command_line(module, *claim.without(arguments, key, "resume"), *given)


def quote(text: str) -> str:
    """Quote a value for Hydra, if it needs that."""
    return text if _PLAIN.fullmatch(text) else QuotedString(text, Quote.single).with_quotes()


def end_stopped(stopped: Stopped, command: str) -> int:
    """Print what happened and the command that resumes the run; requeue a job where Slurm asked for it.

    Returns:
        The exit code: 0 for a job that is in the queue again, else 128 + the number of the signal.
    """
    if not is_first_process():
        return 0  # the first process speaks; a failure here would have the others killed
    requeued = stopped.signum == REQUEUE and requeue()
    print(f"{stopped}; {'it is in the queue again' if requeued else 'resume with'}: {command}", file=sys.stderr)
    return 0 if requeued else stopped.code


def requeue() -> bool:
    """Put this Slurm job into the queue again; return whether that worked."""
    job = os.environ.get("SLURM_JOB_ID", "")
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ.get('SLURM_ARRAY_TASK_ID', '')}"
    if not re.fullmatch(r"\d+(_\d+)?", job):
        return False
    try:
        return subprocess.run(["scontrol", "requeue", job], check=False, timeout=60).returncode == 0
    except (OSError, subprocess.SubprocessError) as error:
        print(f"warning: scontrol requeue {job} did not work: {error}", file=sys.stderr)
        return False
