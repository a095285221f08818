"""Collect the results of runs into one table: mean and spread over seeds.

    python scripts/results_table.py multirun outputs

    python scripts/results_table.py --targets outputs/evaluate

Every folder that holds a metrics.json counts as a run. Trainings of one name and the same data are averaged, unless
something other than their seed was set differently on the command line; of the same run made twice with the same seed,
the newest counts. Where they learned from different things, the table says from what (source-only, generalisation,
adaptation, oracle) and how much better than source-only they are. What `hrda_lit.evaluate` scored comes in a table of
its own, by kind and target set, with the mean and the gain over source-only; with --targets, it alone.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from rich.console import Console

from hrda_lit.system.progress import waiting
from hrda_lit.tables.collect import Collected, collect
from hrda_lit.tables.overview import as_table as overview
from hrda_lit.tables.report import class_table
from hrda_lit.tables.settings import classes, summary
from hrda_lit.tables.side_by_side import Row, as_table, rows, side_by_side

WIDEST = 3  # settings whose classes fit side by side on a narrow screen


def main() -> None:
    """Read the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="where runs lie, at any depth")
    parser.add_argument("--markdown", action="store_true", help="print Markdown for a README, with all classes")
    parser.add_argument("--targets", action="store_true", help="evaluations alone, by kind and target set")
    arguments = parser.parse_args()
    found, some, absent = {}, [], []
    try:
        with waiting("looking for runs"):
            found = {} if arguments.targets else collect(arguments.folders)
    except FileNotFoundError as error:
        absent.append(error)
    try:
        some = rows(arguments.folders)
    except FileNotFoundError as error:
        absent.append(error)
    if not found and not some:
        parser.error(str(absent[0]))
    if found:
        print_trainings(found, arguments.markdown)
    if some and (arguments.targets or not arguments.markdown or not found):
        print_targets(some, arguments.markdown)


def print_trainings(found: dict[str, Collected], markdown: bool) -> None:
    """Print one row per setting, and its classes where there is room for them."""
    if markdown:
        print_markdown(found)
        return
    console = Console()
    console.print(overview(list(found.values())))
    if len(found) <= WIDEST:
        console.print(class_table({title: one.setting for title, one in found.items()}))
    else:
        console.print("IoU of the classes: --markdown", highlight=False)


def print_targets(some: Sequence[Row], markdown: bool) -> None:
    """Print one row per experiment, one column per target set."""
    if not markdown:
        Console().print(as_table(some))
        return
    headings, cells = side_by_side(some)
    for line in (headings, ["---"] * len(headings), *cells):
        print("| " + " | ".join(line) + " |")


def print_markdown(found: dict[str, Collected]) -> None:
    """Print one row per setting, mIoU first, classes behind it."""
    names = classes([one.setting for one in found.values()])
    print("| experiment | runs | mIoU | " + " | ".join(names) + " |")
    print("|" + "---|" * (3 + len(names)))
    for title, (setting, *_) in found.items():
        cells = [f"{100 * mean(values):.0f}" if (values := setting.class_values(name)) else "-" for name in names]
        print(f"| {title} | {len(setting.done)} | {summary(setting.mious)} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
