"""MLflow: parameters by the keys of the command line, the config as an artifact, tables as CSV."""

import logging
import os
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from lightning.pytorch.loggers import MLFlowLogger
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from hrda_lit.config.nodes import flatten
from hrda_lit.dashboards.dashboard import Dashboard, Lines, connecting
from hrda_lit.dashboards.run_name import name_run
from hrda_lit.system.table import as_csv

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # else it reports what it is used for
# Else it waits for minutes for a server that is away.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
with connecting("mlflow"):
    from mlflow.entities import Metric
    from mlflow.exceptions import MlflowException

_REMEDY = "give a server that runs, or sqlite:///mlflow.db"


class MlflowRun(Dashboard, MLFlowLogger):
    """MLflow's logger; a resumed run keeps its id.

    A run is named by `name_run` from the first four arguments, its group is the tag `sweep`; `project` is MLflow's
    experiment; `tracking_uri` is a server, or a file like sqlite:///mlflow.db.

    Raises:
        ValueError: if there is nothing at the `tracking_uri`.
    """

    title, remedy = "MLflow", f"set logger.mlflow.tracking_uri: {_REMEDY}"

    def __init__(
        self, name: str, save_dir: str, overrides: Sequence[str], sweep_dir: str, project: str, tracking_uri: str
    ) -> None:
        for package in ("mlflow", "alembic"):  # they report how a new file is filled with tables
            logging.getLogger(package).setLevel(logging.WARNING)
        run_name, group = name_run(name, save_dir, overrides, sweep_dir)
        with connecting("mlflow", f"logger.mlflow.tracking_uri={tracking_uri}", _REMEDY):
            super().__init__(project, run_name, tracking_uri, {"sweep": group} if group else {})
            self._require_project(project)

    @rank_zero_only
    def _require_project(self, project: str) -> None:
        found = self._mlflow_client.get_experiment_by_name(project)
        if found is None or found.lifecycle_stage == "deleted":
            self._mlflow_client.create_experiment(project)  # refuses the name of a deleted one

    def continue_run(self, version: str) -> None:
        """Continue the run of that id, if the store knows it."""
        try:
            self._mlflow_client.update_run(version, status="RUNNING")
        except MlflowException:
            return
        self._run_id = version

    def show_config(self, params: Mapping[str, Any]) -> None:
        """Show the config as parameters, and whole as the artifact config.yaml.

        A parameter of MLflow is set once: what a resumed run changes stands in its config.yaml.
        """
        named = {re.sub(r"[^\w. -]", "_", key): str(value) for key, value in flatten(params).items()}
        known = self.experiment.get_run(self.run_id).data.params
        super().show_config({key: value for key, value in named.items() if key not in known})
        self.experiment.log_text(self.run_id, yaml.safe_dump(dict(params), sort_keys=False), "config.yaml")

    def show_numbers(self, metrics: Mapping[str, float], step: int) -> None:
        """Show numbers under names that MLflow takes; Lightning would drop all letters but the English."""
        now = int(1000 * time.time())
        batch = [Metric(_metric_name(name), float(value), now, step) for name, value in metrics.items()]
        self.experiment.log_batch(self.run_id, batch)

    def show_picture(self, name: str, picture: Image.Image, step: int) -> None:
        """Show a picture, one of those that MLflow shows by step."""
        self.experiment.log_image(self.run_id, picture, key=name, step=step)

    def show_table(self, name: str, lines: Lines, step: int) -> None:
        """Show a table as the artifact <name>/step_<t>.csv."""
        self.experiment.log_text(self.run_id, as_csv(lines).decode(), f"{name}/step_{step}.csv")


def _metric_name(name: str) -> str:
    """Replace what MLflow refuses in the name of a metric, which it may store as a path."""
    parts = [re.sub(r"[^\w. :-]", "_", part) for part in name.split("/")]
    return "/".join("_" if part in ("", ".", "..") else part for part in parts)
