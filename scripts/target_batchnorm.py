"""Recompute a trained network's BatchNorm statistics on unlabelled target crops; no weight changes.

    python scripts/target_batchnorm.py last.ckpt adapted.ckpt
    python -m hrda_lit.evaluate checkpoint=adapted.ckpt

It shows how much of an adaptation comes from these statistics: apply it to a source-only run. Crops are drawn as
in training, from the target of the run's config. Li et al., Revisiting Batch Normalization For Practical Domain
Adaptation, 2016.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn
from torch.utils.data import DataLoader

from hrda_lit.build import build_datamodule
from hrda_lit.checkpoints.load import load_trained, read_checkpoint
from hrda_lit.data.draws import ready
from hrda_lit.data.loaders import StepBatches, count_workers, worker_options
from hrda_lit.module import CONFIG_KEY
from hrda_lit.networks.segmentor import Segmentor, TrainingOutput
from hrda_lit.ops import rng
from hrda_lit.system.errors import exit_on_errors, name_in_errors
from hrda_lit.system.process import choose_device
from hrda_lit.system.progress import announce, track
from hrda_lit.system.torch_files import write_torch_file


@exit_on_errors()
def main() -> None:
    """Read the command line, adapt, and say what was written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="of hrda_lit.train")
    parser.add_argument("output", type=Path, help="the checkpoint to write; it holds only the adapted network")
    parser.add_argument("--model", choices=("student", "teacher"), help="(default: the one that training validated)")
    parser.add_argument("--batches", type=int, default=100, help="of the run's batch size (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.batches < 1:
        parser.error(f"got {arguments.batches} batches, need at least 1")
    layers = adapt(arguments.checkpoint, arguments.output, arguments.model, arguments.batches)
    print(f"{arguments.output} has the statistics of {arguments.batches} target batches in {layers} BatchNorm layers")


def adapt(checkpoint: str | Path, output: Path, model: str | None, batches: int) -> int:
    """Write a checkpoint whose BatchNorm statistics are those of target crops; return how many layers have new ones.

    Args:
        checkpoint: checkpoint of `hrda_lit.train`.
        output: file to write.
        model: "student" or "teacher"; None for the one that training validated.
        batches: number of batches of the run's size.

    Raises:
        FileNotFoundError: if the checkpoint or the target are missing.
        ValueError: if the checkpoint does not fit, or a target image cannot be used.
    """
    with announce(f"loading {checkpoint}"):
        network, _, _, config, model = load_trained(checkpoint, model, choose_device("auto"))
    with name_in_errors(checkpoint):
        data = build_datamodule(config, needs_target=True)
    assert data.target is not None
    loader: DataLoader[Any] = DataLoader(
        data.target_draws(data.target),
        batch_sampler=StepBatches(0, batches, data.loading.batch_size),
        **worker_options(count_workers(data.loading.num_workers)),
    )
    torch.manual_seed(config.seed)  # of dropout, which is on as in training
    update_bn(_images(loader), _Training(network), next(network.parameters()).device)
    state = {f"{model}.{name}": value.cpu() for name, value in network.state_dict().items()}
    evaluated = {**read_checkpoint(checkpoint)[CONFIG_KEY], "validate": model}
    write_torch_file(output, {"state_dict": state, CONFIG_KEY: evaluated})
    return sum(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in network.modules())


class _Training(nn.Module):
    """Call a segmentor as its training does, with nothing but an image."""

    def __init__(self, network: Segmentor) -> None:
        super().__init__()
        self.network, self.generator = network, rng.generator("target_batchnorm")

    def forward(self, image: Tensor) -> TrainingOutput:
        drawn = self.network.draw((image.shape[-2], image.shape[-1]), self.generator)
        return self.network(image, drawn.to(image.device))


def _images(loader: DataLoader[Any]) -> Iterator[Tensor]:
    return (ready(batch)["image"] for batch in track(loader, "looking at target crops"))


if __name__ == "__main__":
    main()
