"""The Hydra callback that looks at the name of a run, before Hydra makes the folder that is named so."""

import sys
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from hrda_lit.system.paths import require_below


class RunName(Callback):
    """Refuse a name by which a run would lie elsewhere than in its folder of outputs."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """End the command with one sentence where the name does not fit."""
        try:
            require_below(str(config.name), "name")
        except ValueError as error:
            sys.exit(f"error: {error}")  # Hydra turns any other exception into a warning and goes on
