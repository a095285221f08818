"""Collect the results of runs into one table: mean and spread over seeds.

    python scripts/results_table.py multirun/*/* outputs/*/*

    python scripts/results_table.py --targets outputs/evaluate

Every folder that holds a metrics.json counts as a run. Runs of one name are averaged, unless something other than
their seed was set differently on the command line. With --targets, what `hrda_lit.evaluate` scored is laid out by kind
(source-only, generalisation, adaptation, oracle) and target set, with the mean and the gain over source-only.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from rich.console import Console

from hrda_lit.sweeps.collect import collect
from hrda_lit.sweeps.report import class_table
from hrda_lit.sweeps.settings import Setting, classes, summary
from hrda_lit.sweeps.side_by_side import Row, as_table, rows, side_by_side


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="where runs lie, at any depth")
    parser.add_argument("--markdown", action="store_true", help="print Markdown for a README")
    parser.add_argument("--targets", action="store_true", help="evaluations, by kind and target set")
    arguments = parser.parse_args()
    try:
        if arguments.targets:
            print_targets(rows(arguments.folders), arguments.markdown)
            return
        columns = {title: found.setting for title, found in collect(arguments.folders).items()}
    except FileNotFoundError as error:
        parser.error(str(error))
    print_markdown(columns) if arguments.markdown else Console().print(class_table(columns))


def print_targets(some: Sequence[Row], markdown: bool) -> None:
    """Print one row per experiment, one column per target set."""
    if not markdown:
        Console().print(as_table(some))
        return
    headings, cells = side_by_side(some)
    for line in (headings, ["---"] * len(headings), *cells):
        print("| " + " | ".join(line) + " |")


def print_markdown(columns: dict[str, Setting]) -> None:
    """Print one row per setting, mIoU first, classes behind it."""
    names = classes(list(columns.values()))
    print("| experiment | runs | mIoU | " + " | ".join(names) + " |")
    print("|" + "---|" * (3 + len(names)))
    for title, setting in columns.items():
        cells = [f"{100 * mean(values):.0f}" if (values := setting.class_values(name)) else "-" for name in names]
        print(f"| {title} | {len(setting.done)} | {summary(setting.mious)} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
