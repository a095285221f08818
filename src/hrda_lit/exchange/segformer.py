"""Convert MiT with the MLP head to a model folder of `transformers`, and back."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import safetensors.torch
from omegaconf import DictConfig
from torch import Tensor

from hrda_lit.build import build_bare_network, build_dataset, stored_values
from hrda_lit.checkpoints.load import Trained, load_trained
from hrda_lit.config.ranges import Length, Width
from hrda_lit.config.values import check
from hrda_lit.module import CONFIG_KEY
from hrda_lit.networks.heads import SegFormerHead
from hrda_lit.networks.layouts import from_transformers, to_transformers
from hrda_lit.networks.segmentor import SingleScaleSegmentor
from hrda_lit.networks.weights import check_keys, find_weights, read_state_dict
from hrda_lit.ops.normalise import MEAN, STD
from hrda_lit.system.errors import name_in_errors
from hrda_lit.system.files import read_json, write_atomically, write_json
from hrda_lit.system.torch_files import write_torch_file

CONFIG, WEIGHTS, PROCESSOR = "config.json", "model.safetensors", "preprocessor_config.json"
# Numbers of MiT in any size; a folder with others is another network.
FIXED = {
    "num_attention_heads": [1, 2, 5, 8],
    "sr_ratios": [8, 4, 2, 1],
    "mlp_ratios": [4, 4, 4, 4],
    "patch_sizes": [7, 3, 3, 3],
    "strides": [4, 2, 2, 2],
    "hidden_act": "gelu",
}
_PROCESSOR = {
    "image_processor_type": "SegformerImageProcessor",
    "do_resize": False,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [value / 255 for value in MEAN],
    "image_std": [value / 255 for value in STD],
}
Stages = Annotated[Sequence[Width], Length(4)]


def checkpoint_to_transformers(checkpoint: str | Path, folder: str | Path, model: str | None = None) -> str:
    """Write a folder that SegformerForSemanticSegmentation.from_pretrained loads.

    Args:
        checkpoint: file of `hrda_lit.train`: one resolution, a MiT encoder, the head of SegFormer.
        folder: folder to write; made if it does not exist.
        model: "student" or "teacher"; None: the one that training validated.

    Raises:
        FileNotFoundError: if there is no checkpoint.
        ValueError: if it cannot be read, or its network is none of `transformers`.
    """
    trained, folder = load_trained(checkpoint, model), Path(folder).expanduser()
    network = trained.network
    if not isinstance(network, SingleScaleSegmentor) or not isinstance(network.head, SegFormerHead):
        raise ValueError(  # noqa: TRY004 - it is a file that is wrong
            f"{checkpoint} is a {type(network).__name__} with a {type(network.heads()[0]).__name__}, and transformers "
            "has only a SingleScaleSegmentor with a SegFormerHead; train with network=daformer network/head=segformer."
        )
    with name_in_errors(checkpoint):
        state = to_transformers(network.state_dict())
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {key: value.detach().contiguous() for key, value in state.items()}
    write_atomically(folder / WEIGHTS, safetensors.torch.save(tensors, {"format": "pt"}))
    write_json(folder / CONFIG, _config(trained, state))
    write_json(folder / PROCESSOR, _PROCESSOR)
    downscale = "" if network.downscale == 1 else f"; it takes images at 1/{network.downscale:g} of their size"
    return f"{folder} holds the {trained.model} of {checkpoint} as SegformerForSemanticSegmentation{downscale}"


def transformers_to_checkpoint(source: str | Path, target: str | Path, config: DictConfig) -> str:
    """Convert a SegformerForSemanticSegmentation to a checkpoint that evaluates, predicts and exports here.

    Args:
        source: its folder, with model.safetensors or pytorch_model.bin.
        target: file to write.
        config: config of its training, from `hrda_lit.api.compose` and the overrides of `read_shape`.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if the folder holds another network or other classes, or a key is left over or missing.
    """
    folder = Path(source).expanduser()
    with name_in_errors(folder):
        classes = build_dataset(config.source, "source").classes
        weights = find_weights(folder)
        state = from_transformers(read_state_dict(weights))
        expected = build_bare_network(config, classes).state_dict()
        check_keys(expected, state, f"{weights} does not fit experiment {config.name} with {len(classes)} classes")
    ours = {f"student.{key}": state[key] for key in expected if key in state}
    content = {"state_dict": ours, CONFIG_KEY: stored_values(config)}
    write_torch_file(Path(target), content)
    return f"{target}: student of {len(state)} tensors, MiT with SegFormer's head"


def read_shape(source: str | Path) -> list[str]:
    """Read the overrides that build the network of a folder of transformers from its config.json.

    Raises:
        ValueError: if it is another network.
    """
    folder = Path(source).expanduser()
    config = read_json(folder / CONFIG)
    if not isinstance(config, dict) or config.get("model_type") != "segformer":
        raise ValueError(f"{folder} has no {CONFIG} of a segformer; give a folder that save_pretrained wrote.")
    other = {key: config[key] for key, value in FIXED.items() if config.get(key, value) != value}
    if other:
        raise ValueError(f"{folder / CONFIG} has {other}, which no MiT has; give a MiT-B0 to B5.")
    sizes = {key: config.get(key) for key in ("hidden_sizes", "depths", "decoder_hidden_size")}
    with name_in_errors(folder / CONFIG):
        for key, value in sizes.items():
            check(value, Width if key == "decoder_hidden_size" else Stages, key)
    return [
        "network=daformer",
        "network.downscale=1",
        "network/head=segformer",
        f"network.head.channels={sizes['decoder_hidden_size']}",
        "network/backbone=mit_b5",
        "network.backbone.name=mit_b0",
        "network.backbone.weights=null",
        "lambda_fd=0",
        f"++network.backbone.options.embed_dims={sizes['hidden_sizes']}",
        f"++network.backbone.options.depths={sizes['depths']}",
    ]


def _config(trained: Trained, state: Mapping[str, Tensor]) -> dict[str, Any]:
    widths = [len(state[f"segformer.encoder.layer_norm.{stage}.weight"]) for stage in range(4)]
    blocks = {tuple(key.split(".")[3:5]) for key in state if key.startswith("segformer.encoder.block.")}
    depths, names = Counter(stage for stage, _ in blocks), trained.classes.names
    return {
        "architectures": ["SegformerForSemanticSegmentation"],
        "model_type": "segformer",
        "torch_dtype": "float32",
        "hidden_sizes": widths,
        "depths": [depths[str(stage)] for stage in range(4)],
        **FIXED,
        "decoder_hidden_size": len(state["decode_head.batch_norm.weight"]),
        "semantic_loss_ignore_index": trained.classes.ignore,
        "id2label": {str(index): name for index, name in enumerate(names)},
        "label2id": {name: index for index, name in enumerate(names)},
    }
