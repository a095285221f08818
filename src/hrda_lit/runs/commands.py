"""What the commands share: how a command line is read, and how errors and signals end it."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from hrda_lit.config.arguments import run_hydra
from hrda_lit.runs.claim import release_all
from hrda_lit.system.errors import exit_on_errors
from hrda_lit.system.text import quieten_libraries


def command(
    name: str, remedy: str = "the same command starts again"
) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Decorate a task: Hydra composes its config, and an error or a signal is one line and an exit code.

    Args:
        name: config of the command in conf/, e.g. "predict".
        remedy: how to go on after a signal, as a part of a sentence.
    """

    def decorate(task: Callable[[DictConfig], Any]) -> Callable[[], None]:
        @wraps(task)
        def run(config: DictConfig) -> Any:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                return task(config)  # what is raised marks the job as failed
            with exit_on_errors(remedy):
                return task(config)

        composed = hydra.main(version_base="1.3", config_path="pkg://hrda_lit.conf", config_name=name)(run)

        @wraps(task)
        def main() -> None:
            logging.raiseExceptions = False  # a line for a closed pipe or a full disk would print a traceback each
            quieten_libraries()
            with exit_on_errors(remedy), release_all():
                run_hydra(composed, name)

        return main

    return decorate
