"""Prepare a network for a hub: its weights, its config without paths of this machine, and a model card."""

import math
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import safetensors.torch
import yaml
from omegaconf import OmegaConf
from torch.utils import _pytree as pytree

from hrda_lit.checkpoints.hub import CARD, CHECKSUM, CONFIG, MODEL, WEIGHTS, checksum
from hrda_lit.checkpoints.load import Trained, load_trained, network_state, read_checkpoint
from hrda_lit.data.mixed import dataset_name
from hrda_lit.methods.supervised import ADAPTATION
from hrda_lit.module import CONFIG_KEY
from hrda_lit.networks.pretrained_reference import KEY as ENCODER_KEY
from hrda_lit.system.files import read_json, write_atomically
from hrda_lit.system.table import Table

_ELSEWHERE = ("run_dir", "cache_dir", "resume")  # of the machine that trained
_CARD = """---
library_name: hrda_lit
pipeline_tag: image-segmentation
license: {licence}
tags: [semantic-segmentation, domain-adaptation, hrda]
---

# {name}

Semantic segmentation, learned from labelled images of {source}{adapted}.

{network}

## Scores

{scores}

## Classes

{classes}

## Use

With the Python package `hrda_lit`; `hf://user/name`, the name of this repository, works instead of a folder:

```bash
python -m hrda_lit.predict checkpoint=this_folder input=street.png
python -m hrda_lit.evaluate checkpoint=this_folder data_root=/path
```

```python
import hrda_lit

hrda_lit.Predictor("this_folder")("street.png").overlay()
```

No code of this repository is run: the weights are safetensors, and the config may name only the package's own parts.

## Sources and licence

HRDA: Hoyer, Dai, Van Gool, ECCV 2022. DAFormer: Hoyer, Dai, Van Gool, CVPR 2022.

The weights are given under: {licence}. The terms of the data they were learned from, and of the pretrained weights
that the encoder started from, hold besides.
"""


def save_for_hub(
    checkpoint: str | Path,
    folder: str | Path,
    model: str | None = None,
    metrics: str | Path | None = None,
    licence: str = "other",
    weights: str | None = None,
) -> str:
    """Write a network as safetensors, config and model card, which `checkpoint=` takes; return a sentence.

    Args:
        checkpoint: file of `hrda_lit.train`.
        folder: folder to write; made if it does not exist.
        model: "student" or "teacher"; None: the one that training validated.
        metrics: metrics.json of `hrda_lit.evaluate`, or of the training; None: that of the run in which the
            checkpoint lies, if it scored this very network.
        licence: licence of the weights in the hub's spelling, e.g. "cc-by-nc-4.0".
        weights: see `load_trained`.

    Raises:
        FileNotFoundError: if there is no checkpoint or no metrics.
        ValueError: if one of them cannot be used, or the folder has a README.md.
    """
    folder = Path(folder).expanduser()
    _check_request(folder, licence)
    trained = load_trained(checkpoint, model, weights=weights)
    content = read_checkpoint(checkpoint)
    scores = _read_scores(Path(checkpoint).expanduser(), content, trained.model, metrics)
    state = network_state(content["state_dict"], trained.model)
    tensors = {name: value.detach().clone().contiguous() for name, value in state.items()}
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / WEIGHTS, safetensors.torch.save(tensors, {"format": "pt"}))
    entries = {MODEL: trained.model, CHECKSUM: checksum(folder / WEIGHTS), CONFIG_KEY: _portable_config(trained)}
    if ENCODER_KEY in content:
        entries[ENCODER_KEY] = content[ENCODER_KEY]
    write_atomically(folder / CONFIG, yaml.safe_dump(entries, sort_keys=False).encode())
    write_atomically(folder / CARD, _card(trained, scores, licence).encode())
    shown = "with" if scores else "without"
    return f"{folder} holds the {trained.model} of {checkpoint} {shown} scores: {WEIGHTS}, {CONFIG} and {CARD}"


def _check_request(folder: Path, licence: str) -> None:
    if not re.fullmatch(r"[\w.+-]+", licence):
        raise ValueError(f"licence={licence!r}: expected the hub's spelling, e.g. cc-by-nc-4.0; correct it.")
    if (folder / CARD).exists():
        raise ValueError(f"{folder / CARD} exists, perhaps with your own words; move it or choose another folder.")


def _portable_config(trained: Trained) -> dict[str, Any]:
    plain: Any = OmegaConf.to_container(trained.config, resolve=True)
    plain = {key: value for key, value in plain.items() if key not in _ELSEWHERE}
    plain["network"]["backbone"]["weights"] = None
    plain["validate"] = trained.model  # the only one that is there
    return pytree.tree_map_only(str, partial(_relocate, root=str(plain["data_root"])), plain)


def _relocate(value: str, root: str) -> str:
    """Replace the folder of all data in a path; of other absolute paths only the last part is kept."""
    if (value + "/").startswith(root + "/"):
        return "data" + value[len(root) :]
    return f"data/{Path(value).name}" if Path(value).is_absolute() else value


def _read_scores(
    checkpoint: Path, content: Mapping[str, Any], model: str, metrics: str | Path | None
) -> dict[str, Any] | None:
    path = checkpoint.parent.parent / "metrics.json" if metrics is None else Path(metrics).expanduser()
    if metrics is not None and not path.is_file():
        raise FileNotFoundError(f"no scores at {path}; give metrics.json of an evaluation, or remove metrics.")
    found = read_json(path) if path.is_file() else None
    if isinstance(found, dict) and _are_scores_of(found, content, model):
        return found
    if metrics is not None:
        raise ValueError(f"{path} holds no scores of this {model}; evaluate the checkpoint, and give those.")
    return None


def _are_scores_of(scores: Mapping[str, Any], content: Mapping[str, Any], model: str) -> bool:
    iou = scores.get("val/iou")
    if not isinstance(iou, dict):
        return False
    if not all(isinstance(value, float | int | None) for value in (scores.get("val/miou", ""), *iou.values())):
        return False
    if "model" in scores:  # of an evaluation; a training scores what it validates
        return bool(scores["model"] == model)
    same_step = scores.get("step") == content.get("global_step")
    return same_step and bool(content[CONFIG_KEY].get("validate") == model)


def _card(trained: Trained, scores: Mapping[str, Any] | None, licence: str) -> str:
    """Write the model card in Markdown: network, scores of metrics.json if any, classes, use, licence."""
    config, kind = trained.config, type(trained.network).__name__
    target = config.get("target") if config.get("kind") == ADAPTATION else None
    keys = [key for key in ("lambda_d", "tau", "s_T", "alpha", "lambda_fd") if key in config]
    method = str(config.method.get("_target_", "")).rpartition(".")[2] if "method" in config else "unknown"
    network, classes = Table(["", ""]), Table(["id", "name", "colour (RGB)"])
    network.add("network", f"{kind} with the encoder {config.network.backbone.name}")
    network.add("method", f"{method} ({', '.join(f'{key} {config[key]}' for key in keys)})")
    network.add("which network", f"the {trained.model}")
    network.add("parameters", f"{sum(value.numel() for value in trained.network.parameters()):,}")
    for index, (name, colour) in enumerate(zip(trained.classes.names, trained.classes.colours, strict=True)):
        classes.add(index, name, ", ".join(map(str, colour)))
    return _CARD.format(
        name=config.name,
        source=dataset_name(config.source),
        adapted=f", adapted to unlabelled images of {dataset_name(target)}" if target else "",
        network=network.as_markdown(),
        scores="None were measured for this network." if scores is None else _describe_scores(scores),
        classes=classes.as_markdown(),
        licence=licence,
    )


def _describe_scores(scores: Mapping[str, Any]) -> str:
    table = Table(["class", "IoU"])
    for name, value in {"mIoU": scores["val/miou"], **scores["val/iou"]}.items():
        table.add(name, "absent" if value is None or math.isnan(value) else f"{100 * value:.1f}")
    return f"IoU in percent, {scores.get('name', 'validation set')}:\n\n{table.as_markdown()}"
