"""Collect the results of runs into one table: mean and spread over seeds.

    python scripts/results_table.py multirun/*/* outputs/*/*

Every folder that holds a metrics.json and .hydra/ counts as a run; runs of one name are averaged.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.console import Console
from rich.table import Table

Runs = dict[str, list[dict[str, Any]]]


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="where runs lie, at any depth")
    parser.add_argument("--markdown", action="store_true", help="print Markdown for a README")
    arguments = parser.parse_args()
    runs = collect(arguments.folders)
    if not runs:
        parser.error(f"no metrics.json below {[str(folder) for folder in arguments.folders]}; give folders of runs")
    print_markdown(runs) if arguments.markdown else print_table(runs)


def collect(folders: list[Path]) -> Runs:
    """Read every metrics.json below the folders, by the name of its experiment."""
    runs: Runs = defaultdict(list)
    for path in sorted({path for folder in folders for path in folder.rglob("metrics.json")}):
        result = json.loads(path.read_text())
        runs[result["name"]].append(result)
    return dict(sorted(runs.items(), key=lambda item: mean(run["val/miou"] for run in item[1])))


def summary(values: list[float]) -> str:
    """Write mean and sample standard deviation of fractions in percent."""
    spread = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * mean(values):.1f}{spread}"


def class_values(runs: list[dict[str, Any]], name: str) -> list[float]:
    """Return a class's IoU of every run in which it occurs."""
    return [run["val/iou"][name] for run in runs if run["val/iou"].get(name) is not None]


def print_table(runs: Runs) -> None:
    """Print one column per experiment and one row per class."""
    table = Table(title="IoU in percent, mean ± spread")
    table.add_column("class")
    for name, some in runs.items():
        table.add_column(f"{name} ({len(some)})", justify="right")
    classes = list(next(iter(runs.values()))[0]["val/iou"])
    for label in classes:
        rows = [class_values(some, label) for some in runs.values()]
        table.add_row(label, *(summary(row) if row else "absent" for row in rows))
    table.add_section()
    table.add_row("mIoU", *(summary([run["val/miou"] for run in some]) for some in runs.values()))
    Console().print(table)


def print_markdown(runs: Runs) -> None:
    """Print one row per experiment, mIoU first, classes behind it."""
    classes = [c for c in next(iter(runs.values()))[0]["val/iou"] if any(class_values(r, c) for r in runs.values())]
    print("| experiment | runs | mIoU | " + " | ".join(classes) + " |")
    print("|" + "---|" * (3 + len(classes)))
    for name, some in runs.items():
        cells = [f"{100 * mean(values):.0f}" if (values := class_values(some, c)) else "-" for c in classes]
        print(f"| {name} | {len(some)} | {summary([r['val/miou'] for r in some])} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
