"""MLflow's logger: named as its sweep, going on in the run that it was, with pictures, tables and the config."""

import logging
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from lightning.pytorch.loggers import MLFlowLogger
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from hrda_lit.runs.loggers import as_csv, dotted
from hrda_lit.runs.run_names import called

LONGEST = 500  # characters of a parameter, which all stores take


class MlflowRun(MLFlowLogger):
    """MLflow's logger; a run that goes on has the id that it had."""

    def kept(self) -> dict[str, Any]:
        """Return the id of the run."""
        return {"id": self.run_id}

    @rank_zero_only
    def go_on(self, step: int, kept: Mapping[str, Any]) -> None:
        """Continue the run of that id, or start one where the store does not know it."""
        from mlflow.exceptions import MlflowException

        if not isinstance(identity := kept.get("id"), str):
            return
        try:
            self._mlflow_client.update_run(identity, status="RUNNING")
        except MlflowException:
            return
        self._run_id = identity

    @rank_zero_only
    def log_hyperparams(self, params: Any) -> None:
        """Log the config as parameters, called as on the command line, and whole as the artifact config.yaml.

        A parameter of MLflow is set once: of a run that goes on, config.yaml tells what has changed.
        """
        from mlflow.entities import Param

        there = self.experiment.get_run(self.run_id).data.params
        named = {re.sub(r"[^\w. -]", "_", key): str(value)[:LONGEST] for key, value in dotted(params).items()}
        new = [Param(key, value) for key, value in named.items() if key not in there]
        for first in range(0, len(new), 100):  # as many as a call takes
            self.experiment.log_batch(self.run_id, params=new[first : first + 100])
        self.experiment.log_text(self.run_id, yaml.safe_dump(dict(params), sort_keys=False), "config.yaml")

    def show(self, name: str, picture: Image.Image, step: int) -> None:
        """Log a picture, one of those that MLflow shows by step."""
        self.experiment.log_image(self.run_id, picture, key=name, step=step)

    def tabulate(self, name: str, rows: Sequence[Mapping[str, Any]], step: int) -> None:
        """Log a table as the artifact <name>/step_<t>.csv."""
        columns = list(rows[0])
        page = as_csv([dict(zip(columns, columns, strict=True)), *rows], columns).decode()
        self.experiment.log_text(self.run_id, page, f"{name}/step_{step}.csv")


def mlflow_logger(
    name: str, save_dir: str, overrides: Sequence[str], sweep_dir: str, project: str, tracking_uri: str
) -> MlflowRun:
    """Build MLflow's logger.

    Args:
        name: of the experiment.
        save_dir: the run's folder; below `sweep_dir` for a job of a sweep.
        overrides: of this job, e.g. ["lambda_d=0.1", "experiment=hrda_demo"].
        sweep_dir: where Hydra keeps a sweep.
        project: what MLflow calls an experiment.
        tracking_uri: a server, or a file like sqlite:///mlflow.db.

    Returns:
        The logger of a run called `name`, or of one called e.g. "lambda_d=0.1" with the tag `sweep`.

    Raises:
        ValueError: if MLflow is not installed, or has nothing there.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # else it reports what it is used for
    try:
        import mlflow.exceptions
    except ImportError as error:
        raise _missing(error) from error
    for logger in ("mlflow", "alembic"):  # they tell how a new file is filled with tables
        logging.getLogger(logger).setLevel(logging.WARNING)
    name, sweep = called(name, save_dir, overrides, sweep_dir)
    try:
        run = MlflowRun(project, name, tracking_uri, {} if sweep is None else {"sweep": sweep})
        _require_project(run, project)
    except ImportError as error:  # what a file needs, and a server does not
        raise _missing(error) from error
    except mlflow.exceptions.MlflowException as error:
        raise _refused(tracking_uri, error) from error
    return run


@rank_zero_only
def _require_project(run: MlflowRun, project: str) -> None:
    client = run._mlflow_client
    if client.get_experiment_by_name(project) is None:
        client.create_experiment(project)


def _missing(error: ImportError) -> ValueError:
    return ValueError(f"logger=mlflow needs {error.name or error}; run: pip install mlflow.")


def _refused(tracking_uri: str, error: Exception) -> ValueError:
    reason = " ".join(str(error).split())[:300].rstrip(".")
    return ValueError(
        f"logger.mlflow.tracking_uri={tracking_uri} cannot be used ({reason}); give a server that runs, or "
        "sqlite:///mlflow.db."
    )
