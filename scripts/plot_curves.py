"""Draw how numbers of runs went over training steps: mean and spread over seeds.

    python scripts/plot_curves.py curves.png multirun/*/* --numbers val/miou train/pseudo/q
    python scripts/plot_curves.py curves.pdf multirun/*/*      # vectors, for a paper; or .svg

Runs are grouped as by results_table.py; numbers are those in the head of a run's metrics.csv.
"""

import argparse
import sys
from pathlib import Path

from hrda_lit.pictures.figures import suffix_of, write_figure
from hrda_lit.system.errors import exit_on_errors
from hrda_lit.system.progress import announce, track
from hrda_lit.system.table import show
from hrda_lit.system.text import PlainConsole, count, printable
from hrda_lit.tables.plots import draw_curves
from hrda_lit.tables.records import Results
from hrda_lit.tables.results import gather_curves, trainings


@exit_on_errors()
def main() -> None:
    """Read the command line and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="the .png, .pdf or .svg file to write")
    parser.add_argument("folders", nargs="+", type=Path, help="where runs lie, at any depth")
    parser.add_argument("--numbers", nargs="+", default=["val/miou", "train/pseudo/q"], help="one panel each")
    arguments = parser.parse_args()
    try:
        suffix_of(arguments.output)  # before any file is read
    except ValueError as error:
        parser.error(printable(error))
    with announce("looking for runs"):
        results = Results.below(arguments.folders)
        found = trainings(results)
    numbers = track(arguments.numbers, "reading curves")
    curves = {number: gather_curves(found, number, results) for number in numbers}
    missing = [number for number, lines in curves.items() if not any(lines.values())]
    if missing or not found:
        places = ", ".join(map(str, arguments.folders))
        fault = f"no run logged {missing}; choose from the head of a metrics.csv" if found else f"no run below {places}"
        parser.error("; ".join(map(printable, [fault, *results.notes()])))
    write_figure(arguments.output, draw_curves(curves))
    total = sum(len(group.runs) for group in found.values())
    show(f"{arguments.output} shows {', '.join(curves)} of {count(total, 'run')}")
    show(*results.notes(), console=PlainConsole(file=sys.stderr))


if __name__ == "__main__":
    main()
