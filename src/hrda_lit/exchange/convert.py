"""Convert released checkpoints of HRDA, DAFormer and MIC to ours and back, and layouts of MiT.

Conversions return a sentence for the user.
"""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from omegaconf import DictConfig
from torch import Tensor

from hrda_lit.build import build_bare_network, build_dataset, stored_values
from hrda_lit.checkpoints.load import network_state, read_checkpoint, stored_config
from hrda_lit.module import CONFIG_KEY
from hrda_lit.networks.backbone import Backbone
from hrda_lit.networks.layouts import State, from_official, mit_to_official, mit_to_timm, to_official
from hrda_lit.networks.weights import check_keys, read_plain, read_state_dict, shortened
from hrda_lit.system.errors import name_in_errors
from hrda_lit.system.files import write_atomically
from hrda_lit.system.torch_files import require_tensors, write_torch_file

LAYOUTS = ("official", "timm")
OFFICIAL_KEY = "official"  # where a converted checkpoint keeps what only the way back needs
_PREFIXES = {"student": "model.", "teacher": "ema_model."}
# The frozen ImageNet network is a copy of a weight file; no prediction reads an auxiliary head.
_UNREAD = re.compile(r"imnet_model\.|((ema_)?model\.)?auxiliary_head\.")
# HRDA's head wraps one that classifies; what it inherits itself is not used.
_INHERITED = re.compile(r"((ema_)?model\.)?decode_head\.conv_seg\.")


def checkpoint_to_ours(source: str | Path, target: str | Path, config: DictConfig) -> str:
    """Convert a released checkpoint to one that evaluates, predicts and exports here.

    Args:
        source: released file: a state dict, or one under `state_dict`.
        target: file to write.
        config: config that it was trained with, from `hrda_lit.api.compose`.

    Raises:
        FileNotFoundError: if there is no source.
        ValueError: if it cannot be read, a key is left over or missing, or the config does not fit.
    """
    _require_file(source)
    entries = read_plain(source)
    if CONFIG_KEY in entries:
        raise ValueError(f"{source} is a checkpoint of this library already; use it as it is.")
    wrapped = isinstance(entries.get("state_dict"), Mapping)
    with name_in_errors(source):
        networks, kept = _sort_official(entries["state_dict"] if wrapped else entries, str(source))
    around = {key: value for key, value in entries.items() if key not in ("state_dict", "optimizer")}
    kept["around"] = around if wrapped else None
    expected = _expected(config)
    ours: State = {}
    for name, state in networks.items():
        check_keys(expected, state, f"the {name} of {source} does not fit experiment {config.name}")
        ours |= {f"{name}.{key}": value for key, value in from_official(state).items()}
    content = {"state_dict": ours, CONFIG_KEY: stored_values(config), OFFICIAL_KEY: kept}
    write_torch_file(Path(target), content)
    left = ", without the optimizer's state" if wrapped and "optimizer" in entries else ""
    return f"{target}: {_counts(networks)}, {len(kept['unread'])} other tensors kept for the way back{left}"


def checkpoint_to_official(source: str | Path, target: str | Path) -> str:
    """Convert a checkpoint of ours (MiT) to the official layout, the inverse of `checkpoint_to_ours`.

    Raises:
        FileNotFoundError: if there is no source.
        ValueError: if it is not a checkpoint of this library, or a parameter has no official name.
    """
    content = read_checkpoint(source)
    config = stored_config(content, source)
    with name_in_errors(source):
        kept = _kept(content, config, source)
    official: State = {}
    networks = {name: network_state(content["state_dict"], name) for name in kept["prefixes"]}
    left = [key for key in content["state_dict"] if key.split(".")[0] not in networks]
    if left:
        raise ValueError(
            f"{source} has {len(left)} keys of no network ({shortened(left)}); give one as it was written."
        )
    for name, state in networks.items():
        renamed = to_official(state, multires="attention" in config.network)
        official |= {kept["prefixes"][name] + key: value for key, value in renamed.items()}
    official |= kept["unread"]
    whole = official if kept["around"] is None else {**kept["around"], "state_dict": official}
    write_torch_file(Path(target), whole)
    return f"{target}: {_counts(networks)}, {len(kept['unread'])} other tensors put back"


def _kept(content: Mapping[str, Any], config: DictConfig, source: str | Path) -> dict[str, Any]:
    """Return what `checkpoint_to_ours` kept for the way back, after a check of its types."""
    kept = content.get(OFFICIAL_KEY)
    if not kept:
        # What mmsegmentation shows with predictions.
        classes = build_dataset(config.source, "source").classes
        meta = {"CLASSES": list(classes.names), "PALETTE": [list(colour) for colour in classes.colours]}
        return {"prefixes": _PREFIXES, "unread": {}, "around": {"meta": meta}}
    prefixes, around = kept["prefixes"], kept["around"]
    known = {*_PREFIXES.items(), *((name, "") for name in _PREFIXES)}
    if not set(prefixes.items()) <= known or not isinstance(around, dict | None):
        raise ValueError(f"{source} holds an {OFFICIAL_KEY} that was not written here; give one as it was written.")
    return {"prefixes": prefixes, "unread": require_tensors(kept["unread"], source), "around": around}


def convert_mit(source: str | Path, target: str | Path, layout: str = "official") -> str:
    """Change the layout of MiT's weights.

    Args:
        source: weights in the official, the Hugging Face or timm's layout, `.safetensors` or a torch file.
        target: `.safetensors` or torch file to write.
        layout: "official" or "timm".

    Raises:
        FileNotFoundError: if there is no source.
        ValueError: if it cannot be read, or is not a MiT with no key missing or left over.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout={layout!r} is none of {list(LAYOUTS)}; choose one.")
    _require_file(source)
    with name_in_errors(source):
        state = mit_to_official(read_state_dict(source))
        expected = _expected_mit(state, source)
    check_keys(expected, state, f"{source} is no MiT", ("head.weight", "head.bias"))
    converted = state if layout == "official" else mit_to_timm(state)
    if Path(target).suffix == ".safetensors":
        write_atomically(Path(target), safetensors.torch.save(converted))
    else:
        write_torch_file(Path(target), converted)
    return f"{target}: {len(converted)} tensors in the {layout} layout"


def _require_file(source: str | Path) -> None:
    if not Path(source).expanduser().is_file():
        raise FileNotFoundError(f"no file at {source}; give one with the weights to convert.")


def _sort_official(official: Mapping[str, Any], origin: str) -> tuple[dict[str, State], dict[str, Any]]:
    """Split an official state dict into its networks, and what restores it: prefixes and unread tensors."""
    several = any(key.startswith("model.") for key in official)
    prefixes = _PREFIXES if several else {"student": ""}
    networks: dict[str, State] = {name: {} for name in prefixes}
    wraps = any("decode_head.head." in key for key in official)
    unread, left = {}, []
    for key, value in official.items():
        name = next((name for name, prefix in prefixes.items() if key.startswith(prefix)), None)
        if _UNREAD.match(key) or (wraps and _INHERITED.match(key)):
            unread[key] = value
        elif name is None or not isinstance(value, Tensor):
            left.append(key)
        else:
            networks[name][key.removeprefix(prefixes[name])] = value
    if left:
        raise ValueError(
            f"{len(left)} keys of {origin} are of no network of HRDA, DAFormer or MIC ({shortened(left)}); give a "
            "checkpoint as it was released."
        )
    networks = {name: state for name, state in networks.items() if state or name == "student"}
    return networks, {"prefixes": {name: prefixes[name] for name in networks}, "unread": unread}


def _expected(config: DictConfig) -> State:
    """Return the official names and shapes of the network, without its memory."""
    network = build_bare_network(config, build_dataset(config.source, "source").classes)
    return to_official(network.state_dict(), multires="attention" in config.network)


def _expected_mit(state: State, origin: str | Path) -> State:
    widths = [state.get(f"patch_embed{stage}.norm.weight") for stage in range(1, 5)]
    blocks = {tuple(key.split(".")[:2]) for key in state if key.startswith("block")}
    counts = Counter(name for name, _ in blocks)
    depths = [counts[f"block{stage}"] for stage in range(1, 5)]
    if any(width is None for width in widths) or not all(depths):
        raise ValueError(f"{origin} is no MiT, it lacks some of the four stages; give its weights, whole.")
    options = {"embed_dims": [len(width) for width in widths if width is not None], "depths": depths}
    with torch.device("meta"):
        return mit_to_official(Backbone("mit_b0", options=options).model.state_dict())


def _counts(networks: Mapping[str, State]) -> str:
    return ", ".join(f"{name} of {len(state)} tensors" for name, state in networks.items() if state)
