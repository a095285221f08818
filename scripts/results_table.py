"""Collect the results of runs into one table: mean and spread over seeds.

    python scripts/results_table.py multirun outputs

    python scripts/results_table.py --targets outputs/evaluate

Every folder that holds a metrics.json counts as a run. Trainings of one name and the same data are averaged, unless
something other than their seed was set differently on the command line; of the same run made twice with the same seed,
the newest counts. If they learned from different things, the table says from what (source-only, generalisation,
adaptation, oracle) and how much better than source-only they are. What `hrda_lit.evaluate` scored is a table of its
own, by kind and target set, with the mean and the gain over source-only; with --targets, it is the only one.

Runs that have not finished, runs that ended early and records that are damaged are named below the tables.
"""

import argparse
import sys
from pathlib import Path

from hrda_lit.system.errors import exit_on_errors
from hrda_lit.system.progress import announce
from hrda_lit.system.table import Table, show
from hrda_lit.system.text import PlainConsole, printable
from hrda_lit.tables import results as tables
from hrda_lit.tables.groups import RunGroup, class_table, classes, endings
from hrda_lit.tables.records import Results

WIDEST = 3  # trainings whose classes fit side by side on a narrow screen


@exit_on_errors()
def main() -> None:
    """Read the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="where runs lie, at any depth")
    parser.add_argument("--markdown", action="store_true", help="print Markdown for a README, with all classes")
    parser.add_argument("--targets", action="store_true", help="only evaluations, by kind and target set")
    arguments = parser.parse_args()
    with announce("looking for runs"):
        results = Results.below(arguments.folders)
        found = {} if arguments.targets else tables.trainings(results)
        rows = tables.evaluations(results)
    notes = results.notes()
    if not found and not rows:
        wanted = "result of hrda_lit.evaluate" if arguments.targets else "finished run (metrics.json)"
        places = ", ".join(map(str, arguments.folders))
        parser.error("; ".join(map(printable, [f"no {wanted} below {places}; give folders of runs", *notes])))
    if found:
        print_trainings(found, arguments.markdown)
    if rows and (arguments.targets or not arguments.markdown or not found):
        print_table(tables.evaluation_table(rows), arguments.markdown)
    show(*endings(list(found.values())), *notes, console=PlainConsole(file=sys.stderr))


def print_trainings(found: dict[str, RunGroup], markdown: bool) -> None:
    """Print one row per training, and its classes if there is room for them."""
    groups = list(found.values())
    names = classes(groups)
    if markdown:
        print_table(with_classes(found, names), markdown)
    elif len(found) <= WIDEST:
        show(tables.training_table(groups), class_table(found, names))
    else:
        show(tables.training_table(groups), "IoU of the classes: --markdown")


def with_classes(found: dict[str, RunGroup], names: list[str]) -> Table:
    """Lay out one row per training, mIoU first, classes behind it."""
    table = Table(["experiment", "runs", "mIoU", *names])
    for heading, group in found.items():
        cells = [whole_percent(group.class_values(name)) for name in names]
        table.add(heading, len(group.done), group.score, *cells)
    return table


def whole_percent(values: list[float]) -> str:
    """Write the mean of fractions in percent, without digits behind the point; "-" without values."""
    return f"{100 * sum(values) / len(values):.0f}" if values else "-"


def print_table(table: Table, markdown: bool) -> None:
    """Print a table for the screen or as Markdown."""
    if markdown:
        show(*table.as_markdown().splitlines())
    else:
        show(table)


if __name__ == "__main__":
    main()
