"""What a run ends with: a table of IoU per class, and metrics.json."""

from pathlib import Path
from typing import Any

from jaxtyping import Float
from rich.console import Console
from rich.table import Table
from torch import Tensor

from hrda_lit.data.classes import Classes
from hrda_lit.files import write_json
from hrda_lit.metrics import mean_iou


def print_iou(iou: Float[Tensor, " C"], classes: Classes, title: str) -> None:
    """Print IoU per class and their mean, in percent.

    Args:
        iou: fractions; NaN for classes that do not occur, which the mean leaves out.
        classes: names.
        title: of the table.
    """
    table = Table(title=title)
    table.add_column("class")
    table.add_column("IoU %", justify="right")
    for name, value in zip(classes.names, iou.tolist(), strict=True):
        table.add_row(name, f"{100 * value:.1f}" if value == value else "absent")
    table.add_section()
    table.add_row("mIoU", f"[bold]{100 * mean_iou(iou):.1f}[/bold]")
    Console().print(table)


def write_metrics(path: Path, iou: Float[Tensor, " C"], classes: Classes, extra: dict[str, Any]) -> None:
    """Write mIoU and IoU per class as fractions; classes that do not occur are null.

    Args:
        path: of metrics.json.
        iou: fractions or NaN.
        classes: names.
        extra: further entries.
    """
    per_class = {
        name: value if value == value else None for name, value in zip(classes.names, iou.tolist(), strict=True)
    }
    write_json(path, {"val/miou": mean_iou(iou), "val/iou": per_class, **extra})
