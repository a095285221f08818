"""Evaluate: `python -m hrda_lit.evaluate checkpoint=last.ckpt`; see `--help`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from hrda_lit.runs.commands import command
from hrda_lit.schema.check import check_tree
from hrda_lit.schema.trees import EvaluateKeys

if TYPE_CHECKING:
    from hrda_lit.checkpoints.load import Trained
    from hrda_lit.data.reading import ValImages
    from hrda_lit.inspecting.data_check import DataCheck


def evaluate(config: DictConfig) -> float:
    """Score one network on every dataset, and return the mIoU on the first, a fraction.

    Raises:
        ValueError: if a key, the checkpoint or a file does not fit.
        FileNotFoundError: if the checkpoint or data are missing.
    """
    if OmegaConf.is_missing(config, "checkpoint"):
        raise ValueError("there is nothing to evaluate; give checkpoint=latest, or a file.")
    check_tree(config, EvaluateKeys)
    if (Path(config.run_dir) / "checkpoints").is_dir():
        raise ValueError(
            f"{config.run_dir} is the folder of a training, whose metrics would be replaced; choose another "
            "hydra.run.dir."
        )
    # Imported here, so that --help, shell completion and what is refused above need not wait for torch.
    from hrda_lit.checkpoints.load import load_trained
    from hrda_lit.checkpoints.locate import locate_here
    from hrda_lit.inspecting.data_check import DataCheck
    from hrda_lit.runs.folder import open_run
    from hrda_lit.system.process import at_full_speed, choose_device
    from hrda_lit.tables.scores import count_images, write_report

    config.checkpoint = locate_here(config.checkpoint)
    device = choose_device(config.device)
    trained = load_trained(config.checkpoint, config.model, device, config.weights)
    inference = trained.inference if config.inference is None else trained.other_inference(config.inference)
    sets = _images(config, trained, DataCheck.of(config), inference.scales)
    with at_full_speed(device):
        counts = {
            key: count_images(trained.network, inference, images, config.workers, config.views)
            for key, images in sets.items()
        }
    open_run(config)
    return write_report(Path(config.run_dir), trained, str(config.checkpoint), sets, counts)


def _images(
    config: DictConfig, trained: "Trained", check: "DataCheck | None", scales: Sequence[float]
) -> "dict[str, ValImages]":
    """List and check the files of every dataset before the first is predicted."""
    from hrda_lit.build import build_dataset
    from hrda_lit.data.folder import DataSplit
    from hrda_lit.data.reading import ValImages
    from hrda_lit.inspecting.data_check import require_good_data

    sets, default = {}, trained.config.splits.val
    nodes = _nodes(config, trained)
    unknown = sorted(set(map(str, config.splits)) - set(nodes))
    if unknown:
        raise ValueError(f"splits has the keys {unknown}, which no dataset has; it may have {sorted(nodes)}.")
    for key, node in nodes.items():
        dataset = build_dataset(node, key)
        if dataset.classes.names != trained.classes.names:
            raise ValueError(
                f"{config.checkpoint} knows the classes {list(trained.classes.names)} and {dataset.name} has "
                f"{list(dataset.classes.names)}, need the same; give another dataset or checkpoint."
            )
        split = config.splits.get(key, default)
        require_good_data([DataSplit(key, member, split, labelled=True) for member in dataset.members], check)
        samples = dataset.files(split, labelled=True)
        sets[key] = ValImages(dataset, samples, trained.network.downscale, scales=scales)
    return sets


def _nodes(config: DictConfig, trained: "Trained") -> dict[str, DictConfig]:
    from hrda_lit.data.mixed import dataset_configs

    before = str(trained.config.data_root)
    if config.data_root is None:
        config.data_root = before
    nodes = {} if config.val is None else {"val": config.val}
    nodes |= {str(key): node for key, node in config.datasets.items()}
    if not nodes and trained.config.val is None:
        raise ValueError(
            f"{config.checkpoint} was trained without a validation set; name one, e.g. dataset@val=cityscapes."
        )
    if not nodes:
        nodes["val"] = trained.config.val
        # Stored with their paths in training, which may lie elsewhere by now.
        for node in dataset_configs(nodes["val"]):
            root = Path(node.root)
            if root.is_relative_to(before):
                node.root = str(config.data_root / root.relative_to(before))
    return nodes


@command("evaluate")
def main(config: DictConfig) -> float:
    """Run `evaluate`; its mIoU is the objective of a sweep."""
    return evaluate(config)


if __name__ == "__main__":
    main()
