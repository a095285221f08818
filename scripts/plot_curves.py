"""Draw how numbers of runs went over training steps: mean and spread over seeds.

    python scripts/plot_curves.py curves.png multirun/*/* --numbers val/miou train/pseudo/q
    python scripts/plot_curves.py curves.pdf multirun/*/*      # vectors, for a paper; or .svg

Runs are gathered as by results_table.py; numbers are those in the head of a run's metrics.csv.
"""

import argparse
from pathlib import Path

from hrda_lit.pictures.figures import encode, suffix_of
from hrda_lit.system.files import write_atomically
from hrda_lit.system.progress import counted, waiting
from hrda_lit.tables.collect import collect
from hrda_lit.tables.curves import draw_curves, read_curve


def main() -> None:
    """Read the command line and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="the .png, .pdf or .svg file to write")
    parser.add_argument("folders", nargs="+", type=Path, help="where runs lie, at any depth")
    parser.add_argument("--numbers", nargs="+", default=["val/miou", "train/pseudo/q"], help="one panel each")
    arguments = parser.parse_args()
    try:
        suffix = suffix_of(arguments.output)
        with waiting("looking for runs"):
            found = collect(arguments.folders)
        curves = {
            number: {title: read_curve(one.folders, number) for title, one in found.items()}
            for number in counted(arguments.numbers, "reading curves")
        }
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    if missing := [number for number, lines in curves.items() if not any(lines.values())]:
        parser.error(f"no run logged {missing}; choose from the head of a metrics.csv")
    with waiting(f"drawing {arguments.output}"):
        write_atomically(arguments.output, encode(draw_curves(curves), suffix))
    print(f"{arguments.output} shows {', '.join(curves)} of {sum(len(one.folders) for one in found.values())} runs")


if __name__ == "__main__":
    main()
