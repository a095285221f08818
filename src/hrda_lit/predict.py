"""Predict: `python -m hrda_lit.predict checkpoint=model.ckpt input=photos`; see `--help`."""

import sys
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from hrda_lit.runs.commands import command
from hrda_lit.schema.check import check_tree
from hrda_lit.schema.trees import PredictKeys

if TYPE_CHECKING:
    from hrda_lit.predicting.run import Tally


def predict(config: DictConfig) -> "Tally":
    """Predict every picture of the input, and pack the archive of a test server if one is asked for.

    Raises:
        ValueError: if a key or value does not fit, or a file is broken.
        FileNotFoundError: if the checkpoint or the input is missing.
    """
    check_tree(config, PredictKeys)
    # Imported here, so that --help and what is refused above need not wait for torch.
    from hrda_lit.predicting.run import run

    return run(config)


@command("predict", "the same command goes on from here")
def main(config: DictConfig) -> None:
    """Run `predict`; the exit code is 1 if any picture failed."""
    if predict(config).failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
