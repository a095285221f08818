"""Networks in the layout of a hub: a folder with weights, config and model card, at hand or on the Hugging Face hub."""

import hashlib
import re
from pathlib import Path
from typing import Any

import yaml

from hrda_lit.module import CONFIG_KEY
from hrda_lit.networks.pretrained_reference import KEY as ENCODER_KEY
from hrda_lit.networks.weights import read_plain
from hrda_lit.system.torch_files import require_tensors

SCHEME = "hf://"
CONFIG, WEIGHTS, CARD = "config.yaml", "model.safetensors", "README.md"
CHECKSUM, MODEL = "sha256", "model"  # of config.yaml, beside the config itself
_NAME = re.compile(r"(?P<repository>[\w-][\w.-]*/[\w-][\w.-]*)(@(?P<revision>[\w.-]+))?")


def located(path: str | Path) -> Path:
    """Return where a checkpoint lies; one of the hub is fetched, once, and nothing of it but the three files.

    Args:
        path: a file, a folder, or `hf://user/name`, with `@revision` for one of its versions.

    Raises:
        ValueError: if there is no such name on the hub, or it cannot be reached.
    """
    if not str(path).startswith(SCHEME):
        return Path(path).expanduser()
    name = _NAME.fullmatch(str(path).removeprefix(SCHEME))
    if name is None:
        raise ValueError(f"{path} names nothing on the hub; write {SCHEME}user/name, or {SCHEME}user/name@revision.")
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            name["repository"], revision=name["revision"], allow_patterns=[CONFIG, WEIGHTS, CARD]
        )
    except Exception as error:  # of the network, of its client, of the hub: whatever it is, it is not there
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise ValueError(f"{path} cannot be fetched ({reason}); check its name, or give a folder at hand.") from error
    return Path(folder)


def read_folder(folder: Path) -> dict[str, Any]:
    """Read a folder of this layout as if it were a checkpoint, without running code; nothing may be built from it yet.

    Raises:
        ValueError: if a file is missing or damaged, or the weights are not those of the config.
    """
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise ValueError(f"{folder} has no {name}; give a folder that scripts/save_for_hub.py wrote.")
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
