"""What a training ends with, beside its table: where things lie, and what to try next."""

import shlex
from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from hrda_lit.runs.ending import hydras


def show(config: DictConfig, image: Path | None, console: Console) -> None:
    """Print where a run left what, and commands that can be run as they stand.

    Args:
        config: of the run.
        image: of the validation set; None where none is a file of its own.
        console: where.
    """
    folder = nearest(Path(config.run_dir))
    lines = [f"in {folder}", *(f"  {name:<24} {what}" for name, what in left(Path(config.run_dir))), "next"]
    for line in [*lines, *(f"  {command}" for command in commands(folder, image))]:
        # Never broken, so that a command can be copied.
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def left(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield what lies in the folder of a run, and what it is."""
    for name, what in (
        ("checkpoints/last.ckpt", "the network after the last step, and its config"),
        ("checkpoints/best.ckpt", "the network of the best validation"),
        ("metrics.json", "mIoU and IoU per class"),
        ("metrics.csv", "every logged number by step"),
        ("pictures", "what it sees and learned from"),
        ("confusion", "which class it takes for which"),
        ("train.log", "all that was printed"),
    ):
        if (folder / name).exists():
            yield name, what


def commands(folder: Path, image: Path | None) -> Iterator[str]:
    """Yield what can be tried with a trained network.

    Args:
        folder: of the run.
        image: to predict; None for one that the user fills in.
    """
    checkpoint = folder / "checkpoints" / "last.ckpt"
    given = f"checkpoint={hydras(str(checkpoint))}"
    yield shlex.join(["python", "-m", "hrda_lit.evaluate", given])
    picture = "input=photos" if image is None else f"input={hydras(str(nearest(image)))}"
    output = f"output={hydras(str(folder / 'predictions'))}"
    yield shlex.join(["python", "-m", "hrda_lit.predict", given, picture, output, "save=[label,overlay,figure]"])
    compare = ["python", "-m", "hrda_lit.scripts.compare_networks", str(folder / "compare.pdf"), f"this={checkpoint}"]
    yield shlex.join(compare)
    if (folder / "metrics.csv").exists():
        curves = ["python", "-m", "hrda_lit.scripts.plot_curves", str(folder / "curves.pdf"), str(folder)]
        yield shlex.join([*curves, "--numbers", "val/miou"])


def nearest(path: Path) -> Path:
    """Return a path as seen from the folder that the command was started in, if it lies below."""
    here = Path.cwd()
    return path.absolute().relative_to(here) if path.absolute().is_relative_to(here) else path
