"""Draw the picture of a sweep again, e.g. for a paper: lines, heat maps or dots of mIoU over the swept keys.

    python scripts/plot_sweep.py sweep.pdf multirun/2026-11-24_12-00-00

The sweep itself leaves the same picture as sweep.png; .pdf and .svg are vectors.
"""

import argparse
from pathlib import Path

from hrda_lit.pictures.figures import write_figure
from hrda_lit.system.errors import exit_on_errors
from hrda_lit.system.table import show
from hrda_lit.system.text import count
from hrda_lit.tables.groups import group_by_seed
from hrda_lit.tables.plots import draw_sweep
from hrda_lit.tables.sweeps import read_jobs


@exit_on_errors()
def main() -> None:
    """Read the command line and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="the .png, .pdf or .svg file to write")
    parser.add_argument("sweep", type=Path, help="folder of a sweep")
    arguments = parser.parse_args()
    jobs, damaged = read_jobs(arguments.sweep)
    if not jobs:
        parser.error(f"no job of a sweep in {arguments.sweep}; give a folder like multirun/<date>")
    write_figure(arguments.output, draw_sweep(group_by_seed(jobs)))
    show(f"{arguments.output} shows {count(len(jobs), 'job')}", *(f"passed over: {sentence}" for sentence in damaged))


if __name__ == "__main__":
    main()
