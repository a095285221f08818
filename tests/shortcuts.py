"""What tests, and the commands that they run, do without: waiting for a disk, parsing conf/ for every config."""

import os
from pathlib import Path
from typing import Any

import yaml

from hrda_lit.system import progress

CONF = str(Path(__file__).parents[1] / "conf")


def take() -> None:
    """Take all of them, in this process and in those that are forked from it."""
    progress.PATIENCE = 3600.0  # how fast the machine is must not change what is printed
    os.fsync = lambda file: None  # processes are killed, but no test cuts the power
    load, parsed = yaml.load, dict[tuple[str, str], Any]()

    def load_once(stream: Any, Loader: Any) -> Any:
        """Parse a file of conf/ once; what comes of it is read, not changed."""
        key = str(getattr(stream, "name", "")), Loader.__qualname__
        if not key[0].startswith(CONF):
            return load(stream, Loader)
        if key not in parsed:
            parsed[key] = load(stream, Loader)
        return parsed[key]

    yaml.load = load_once
