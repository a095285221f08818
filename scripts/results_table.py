"""Collect the results of runs into one table: mean and spread over seeds.

    python scripts/results_table.py multirun/*/* outputs/*/*

Every folder that holds a metrics.json counts as a run. Runs of one name are averaged, unless something other than
their seed was set differently on the command line.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from statistics import mean

from omegaconf import OmegaConf
from rich.console import Console

from hrda_lit.sweeps.jobs import Job, parse, with_result
from hrda_lit.sweeps.report import class_table
from hrda_lit.sweeps.settings import Setting, classes, settings, summary

# They say where things lie and who loads them, not what is computed; a name stands for its experiment.
WORKERS = {"loading.num_workers", "loading.val_workers"}
ELSEWHERE = {"experiment", "data_root", "cache_dir", "run_dir", "ckpt_path"} | WORKERS


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="where runs lie, at any depth")
    parser.add_argument("--markdown", action="store_true", help="print Markdown for a README")
    arguments = parser.parse_args()
    columns = collect(arguments.folders)
    if not columns:
        parser.error(f"no metrics.json below {[str(folder) for folder in arguments.folders]}; give folders of runs")
    print_markdown(columns) if arguments.markdown else Console().print(class_table(columns))


def collect(folders: list[Path]) -> dict[str, Setting]:
    """Read every metrics.json below the folders; the settings come by heading, the worst first."""
    runs: dict[str, list[Job]] = defaultdict(list)
    for path in sorted({path for folder in folders for path in folder.rglob("metrics.json")}):
        metrics = json.loads(path.read_text())
        run = with_result(Job(len(runs), overrides(path.parent)), metrics)
        if run.state == "done":
            runs[metrics["name"]].append(run)
    found = {heading(name, setting): setting for name, jobs in runs.items() for setting in settings(jobs)}
    return dict(sorted(found.items(), key=lambda item: item[1].miou))


def overrides(folder: Path) -> dict[str, str]:
    """Read what a run was asked for on its command line, as far as it bears on the result."""
    path = folder / ".hydra" / "overrides.yaml"
    asked = parse(list(OmegaConf.load(path))) if path.is_file() else {}
    return {key: value for key, value in asked.items() if key not in ELSEWHERE}


def heading(name: str, setting: Setting) -> str:
    """Name a setting by its experiment and by what distinguishes it from others of the same."""
    return f"{name}, {setting.label}" if setting.values else name


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
