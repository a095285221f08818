"""MLflow: parameters by the keys of the command line, the config as an artifact, tables as CSV."""

import logging
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import yaml
from lightning.pytorch.loggers import MLFlowLogger
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from hrda_lit.dashboards.dashboard import Dashboard, Lines, brief, name_run, require_package
from hrda_lit.runs.differences import flatten
from hrda_lit.system.table import as_csv


class MlflowRun(Dashboard, MLFlowLogger):
    """MLflow's logger; a resumed run keeps its id."""

    def resume_state(self) -> dict[str, Any]:
        """Return the id of the run."""
        return {"id": self.run_id}

    @rank_zero_only
    def resume(self, step: int, state: Mapping[str, Any]) -> None:
        """Continue the run of that id, or start one where the store does not know it."""
        from mlflow.exceptions import MlflowException

        if not isinstance(identity := state.get("id"), str):
            return
        try:
            self._mlflow_client.update_run(identity, status="RUNNING")
        except MlflowException:
            return
        self._run_id = identity

    @rank_zero_only
    def log_hyperparams(self, params: Any) -> None:
        """Log the config as parameters, and whole as the artifact config.yaml.

        A parameter of MLflow is set once: what a resumed run changes stands in its config.yaml.
        """
        named = {re.sub(r"[^\w. -]", "_", key): str(value) for key, value in flatten(params).items()}
        page = yaml.safe_dump(dict(params), sort_keys=False)
        with _explain_failures():
            known = self.experiment.get_run(self.run_id).data.params
            super().log_hyperparams({key: value for key, value in named.items() if key not in known})
            self.experiment.log_text(self.run_id, page, "config.yaml")

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers under names that MLflow takes; Lightning would drop all letters but the English."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        batch = [Metric(_metric_name(name), float(value), now, step or 0) for name, value in metrics.items()]
        with _explain_failures():
            self.experiment.log_batch(self.run_id, batch)

    def show_picture(self, name: str, picture: Image.Image, step: int) -> None:
        """Show a picture, one of those that MLflow shows by step."""
        with _explain_failures():
            self.experiment.log_image(self.run_id, picture, key=name, step=step)

    def show_table(self, name: str, lines: Lines, step: int) -> None:
        """Show a table as the artifact <name>/step_<t>.csv."""
        with _explain_failures():
            self.experiment.log_text(self.run_id, as_csv(lines).decode(), f"{name}/step_{step}.csv")


@contextmanager
def _explain_failures() -> Iterator[None]:
    """Turn an error of the store, which may be lost amid a run, into one sentence."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise ConnectionError(
            f"MLflow does not take what this run logs ({brief(error)}); mend that, and continue by resume=auto."
        ) from error


def _metric_name(name: str) -> str:
    """Replace what MLflow refuses in the name of a metric, which it may store as a path."""
    parts = [re.sub(r"[^\w. :-]", "_", part) for part in name.split("/")]
    return "/".join("_" if part in ("", ".", "..") else part for part in parts)


def mlflow_logger(
    name: str, save_dir: str, overrides: Sequence[str], sweep_dir: str, project: str, tracking_uri: str
) -> MlflowRun:
    """Build MLflow's logger, named by `name_run` from the first four arguments, its group as the tag `sweep`.

    `project` is MLflow's experiment; `tracking_uri` is a server, or a file like sqlite:///mlflow.db.

    Raises:
        ValueError: if MLflow is not installed, or there is nothing at the `tracking_uri`.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # else it reports what it is used for
    run_name, group = name_run(name, save_dir, overrides, sweep_dir)
    with require_package("mlflow"):
        import mlflow.exceptions

        for package in ("mlflow", "alembic"):  # they report how a new file is filled with tables
            logging.getLogger(package).setLevel(logging.WARNING)
        try:
            logger = MlflowRun(project, run_name, tracking_uri, {"sweep": group} if group else {})
            _require_project(logger._mlflow_client, project)
        except mlflow.exceptions.MlflowException as error:
            raise ValueError(
                f"logger.mlflow.tracking_uri={tracking_uri} cannot be used ({brief(error)}); "
                "give a server that runs, or sqlite:///mlflow.db."
            ) from error
    return logger


@rank_zero_only
def _require_project(client: Any, project: str) -> None:
    if client.get_experiment_by_name(project) is None:
        client.create_experiment(project)
