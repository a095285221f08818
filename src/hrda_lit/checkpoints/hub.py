"""Networks in the layout of a hub: a folder with weights, config and model card."""

import hashlib
from pathlib import Path
from typing import Any

import yaml

from hrda_lit.checkpoints.locate import HUB_FILES, LAST
from hrda_lit.module import CONFIG_KEY
from hrda_lit.networks.pretrained_reference import KEY as ENCODER_KEY
from hrda_lit.networks.weights import read_plain
from hrda_lit.system.torch_files import require_tensors

CONFIG, WEIGHTS, CARD = HUB_FILES
CHECKSUM, MODEL = "sha256", "model"  # of config.yaml, next to the config itself


def read_folder(folder: Path) -> dict[str, Any]:
    """Read a folder of this layout like a checkpoint, without running code; nothing may be built from it yet.

    Raises:
        ValueError: if a file is missing or damaged, or the weights are not those of the config.
    """
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        runs = [*folder.glob(f"*/{LAST}"), *folder.glob(f"*/*/{LAST}")]  # of a sweep, or of all experiments
        one = f" {runs[-1].parents[1]} is one." if runs else ""
        raise ValueError(
            f"{folder} has no {missing[0]}; give a folder that scripts/save_for_hub.py wrote, or that of a run, with "
            f"{LAST} inside.{one}"
        )
    try:
        entries = yaml.safe_load((folder / CONFIG).read_text())
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{folder / CONFIG} is no YAML; download or copy it again.") from error
    if not isinstance(entries, dict) or entries.get(MODEL) not in ("student", "teacher") or CONFIG_KEY not in entries:
        raise ValueError(f"{folder / CONFIG} is no config of hrda_lit; give a folder as it was written.")
    if entries.get(CHECKSUM) != checksum(folder / WEIGHTS):
        raise ValueError(f"{folder / WEIGHTS} differs from its checksum in {CONFIG}; download or copy it again.")
    state = require_tensors(read_plain(folder / WEIGHTS), folder / WEIGHTS)
    content = {CONFIG_KEY: entries[CONFIG_KEY]}
    content["state_dict"] = {f"{entries[MODEL]}.{name}": value for name, value in state.items()}
    return content | ({ENCODER_KEY: entries[ENCODER_KEY]} if ENCODER_KEY in entries else {})


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
