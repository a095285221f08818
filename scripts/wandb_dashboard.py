"""Save the dashboard of this library on W&B: a workspace for runs, and a report for a sweep.

    pip install wandb-workspaces && wandb login
    python scripts/wandb_dashboard.py --entity me                                  # the workspace "hrda_lit"
    python scripts/wandb_dashboard.py --entity me --sweep 2026-11-24_12-00-00      # a report on the runs of that group
    python scripts/wandb_dashboard.py --list                                       # the panels; needs no account

docs/wandb.md says what the panels show.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from hrda_lit.data.classes import CITYSCAPES, classes_from
from hrda_lit.data.mixed import dataset_configs
from hrda_lit.system.errors import exit_on_errors
from hrda_lit.system.progress import announce

try:
    import wandb
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws
except ImportError:
    sys.exit("wandb-workspaces is missing; pip install wandb-workspaces.")

STEP = "trainer/global_step"
SWEPT = ("lambda_d", "tau", "s_T")


@exit_on_errors()
def main() -> None:
    """Read the command line, then build and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entity", default="", help="user or team on W&B")
    parser.add_argument("--project", default="hrda_lit", help="as logger.wandb.project (default: %(default)s)")
    parser.add_argument("--sweep", metavar="GROUP", help="make a report on this group of runs, not a workspace")
    parser.add_argument("--run", type=Path, help="folder of a run, whose classes are shown (default: Cityscapes)")
    parser.add_argument("--list", action="store_true", help="print the panels and save nothing")
    arguments = parser.parse_args()
    classes = classes_of(arguments.run) if arguments.run else CITYSCAPES.names
    if arguments.list:
        print_panels(sections(classes))
        return
    if not arguments.entity:
        parser.error("give --entity, the user or team on W&B that owns the project")
    if not wandb.login(prompt=False, verify=False):
        parser.error("nobody is logged in at W&B; run `wandb login` once, or set WANDB_API_KEY")
    where = (arguments.entity, arguments.project)
    saved = report(*where, arguments.sweep) if arguments.sweep else workspace(*where, classes)
    with announce("saving on W&B"):
        url = saved.save().url
    print(url)


def classes_of(run: Path) -> tuple[str, ...]:
    """Return the names of the classes that a run was trained on."""
    try:
        source = yaml.safe_load((run / "config.yaml").read_bytes())["source"]
        return tuple(classes_from(dataset_configs(source)[0]["classes"]).names)  # several have the same
    except (OSError, ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError) as error:
        sys.exit(f"error: {run} holds no config.yaml of a run ({type(error).__name__}); give the folder of a run.")


def workspace(entity: str, project: str, classes: Sequence[str] = CITYSCAPES.names) -> ws.Workspace:
    """Build the workspace of a user or team; nothing is sent before its `save`."""
    return ws.Workspace(name="hrda_lit", entity=entity, project=project, sections=sections(classes))


def sections(classes: Sequence[str]) -> list[ws.Section]:
    """Build the sections of the workspace, in order."""
    parts = {
        "Adaptation": [
            _lines("mIoU on the validation set", "val/miou"),
            _lines("losses", *(f"train/loss/{name}" for name in ("source", "mixed", "masked", "feature_distance"))),
            _lines("q, share of confident pixels", "train/pseudo/q", range_y=(0, 1)),
            _lines("teacher to student, relative", "train/teacher_distance", log_y=True),
            _lines("target crops: agreement and entropy", "target/agreement", "target/entropy", range_y=(0, 1)),
        ],
        "Validation": [
            wr.LinePlot(title="IoU per class", x=STEP, metric_regex="val/iou/.*"),
            wr.BarPlot(title="last IoU per class", metrics=[f"val/iou/{name}" for name in classes]),
            _confusion(),
            _media("prediction (masks can be switched)", "val/pictures/image"),
            _media("scale attention (white: detail)", "val/pictures/attention"),
            _media("errors", "val/pictures/error"),
            _media("confusion matrix", "val/pictures/confusion_matrix"),
        ],
        "A training step": [
            _media("source", "train/pictures/source"),
            _media("target with pseudo-label", "train/pictures/target"),
            _media("q where trusted", "train/pictures/q"),
            _media("mixed", "train/pictures/mixed"),
            _media("weight of the mixed loss", "train/pictures/weight"),
            _media("masked (MIC)", "train/pictures/masked", "train/pictures/masked_weight"),
        ],
        "Optimiser and machine": [
            _lines("learning rates", "train/lr/backbone", "train/lr/head"),
            _lines("norm of the gradient", "train/grad_norm", log_y=True),
            _lines("skipped steps", "train/skipped"),
            _lines("source crops per second", "train/throughput"),
            _lines("memory, GiB", "train/memory"),
            wr.BarPlot(title="class sampling", metrics=[f"train/class_probability/{name}" for name in classes]),
        ],
    }
    return [ws.Section(name=name, panels=panels, is_open=True) for name, panels in parts.items()]


def report(entity: str, project: str, group: str) -> wr.Report:
    """Build the report on a sweep over lambda_d, tau and s_T; nothing is sent before its `save`.

    Args:
        entity: user or team.
        project: project of the runs.
        group: group of the runs, which is the name of the sweep's folder.
    """
    runs = wr.Runset(entity=entity, project=project, name=group, filters=f"Group == '{group}'")
    text = wr.P("One run per setting; rates are fractions of the last validation.")
    blocks = [wr.H1(f"Sweep {group}"), text, wr.PanelGrid(runsets=[runs], panels=sweep_panels())]
    return wr.Report(project=project, entity=entity, title=f"hrda_lit: {group}", blocks=blocks, width="fluid")


def sweep_panels() -> list[Any]:
    """Build the panels of the report."""
    columns = [wr.ParallelCoordinatesPlotColumn(wr.Config(name)) for name in SWEPT]
    score = wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric("val/miou"))
    return [
        wr.ParallelCoordinatesPlot(title="mIoU by what was swept", columns=[*columns, score]),
        wr.ParameterImportancePlot(with_respect_to="val/miou"),
        *(wr.ScatterPlot(title=name, x=wr.Config(name), y=wr.SummaryMetric("val/miou")) for name in SWEPT),
        _lines("mIoU", "val/miou"),
        _lines("q, share of confident pixels", "train/pseudo/q"),
        wr.RunComparer(diff_only="split"),
    ]


def print_panels(parts: Sequence[ws.Section]) -> None:
    """Print titles and keys, section by section."""
    for section in parts:
        print(section.name)
        for panel in section.panels:
            print(f"  {getattr(panel, 'title', None) or 'pixels by label and prediction'}: {', '.join(keys(panel))}")


def keys(panel: Any) -> list[str]:
    """Return what a panel shows: logged keys, in a regular expression's place the expression."""
    if isinstance(panel, wr.CustomChart):
        return [panel.query["summaryTable"]["tableKey"]]
    if isinstance(panel, wr.MediaBrowser):
        return list(panel.media_keys)
    if isinstance(panel, wr.BarPlot):
        return [_name(metric) for metric in panel.metrics]
    if isinstance(panel, wr.LinePlot):
        return [panel.metric_regex] if panel.metric_regex else [_name(metric) for metric in panel.y]
    if isinstance(panel, wr.ParallelCoordinatesPlot):
        return [_name(column.metric) for column in panel.columns]
    if isinstance(panel, wr.ScatterPlot):
        return [_name(panel.x), _name(panel.y)]
    return [panel.with_respect_to] if isinstance(panel, wr.ParameterImportancePlot) else []


def _name(metric: Any) -> str:
    return str(getattr(metric, "name", metric))


def _lines(title: str, *metrics: str, **options: Any) -> wr.LinePlot:
    return wr.LinePlot(title=title, x=STEP, y=list(metrics), **options)


def _media(title: str, *names: str) -> wr.MediaBrowser:
    return wr.MediaBrowser(title=title, media_keys=list(names), num_columns=2)


def _confusion() -> wr.CustomChart:
    fields = ("Actual", "Predicted", "nPredictions")
    return wr.CustomChart(
        query={"summaryTable": {"tableKey": "val/confusion_matrix_table"}},
        chart_name="wandb/confusion_matrix/v1",
        chart_fields={field: field for field in fields},
        chart_strings={"title": "pixels by label and prediction"},
    )


if __name__ == "__main__":
    main()
