"""Put what several networks see in the same validation images side by side, with labels and scale attention.

    python scripts/compare_networks.py compare.png source-only=a/last.ckpt HRDA=b/last.ckpt --images 0 50 100

One row per image: image, label, a prediction per network, and the attention of the last one that has it.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from hrda_lit.build import build_validation
from hrda_lit.callbacks.pictures import TITLES
from hrda_lit.data.folder import Sample
from hrda_lit.data.several import Images
from hrda_lit.guards.files import write_atomically
from hrda_lit.pictures.layers import Picture, colourise, grey, panels, png
from hrda_lit.predicting.predictor import Predictor


def main() -> None:
    """Read the command line and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="the PNG file to write")
    parser.add_argument("networks", nargs="+", help="title=checkpoint of hrda_lit.train")
    parser.add_argument("--images", nargs="+", type=int, default=[0], help="numbers of validation images, from 0")
    arguments = parser.parse_args()
    if strange := [given for given in arguments.networks if "=" not in given]:
        parser.error(f"got {strange}, need title=checkpoint")
    checkpoints = dict(given.split("=", 1) for given in arguments.networks)
    if len(checkpoints) < len(arguments.networks):
        parser.error(f"got {arguments.networks}, need a title of its own for each network")
    try:
        sheet, columns = compare(checkpoints, arguments.images)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    write_atomically(arguments.output, png(panels(sheet, columns)))
    print(f"{arguments.output} shows {len(arguments.images)} images and {len(arguments.networks)} networks")


def compare(checkpoints: dict[str, str], images: list[int]) -> tuple[dict[str, Picture], int]:
    """Predict validation images of the first network's run with every network.

    Args:
        checkpoints: by title.
        images: numbers of images, from 0.

    Returns:
        Titled pictures row by row, and how many make a row.

    Raises:
        FileNotFoundError: if a checkpoint or an image is missing.
        ValueError: if a checkpoint does not fit, or there are fewer images.
    """
    networks = {title: Predictor(path) for title, path in checkpoints.items()}
    config = next(iter(networks.values())).config
    dataset = build_validation(config)
    samples = dataset.files(config.splits.val, labelled=True)
    if strange := [index for index in images if not 0 <= index < len(samples)]:
        raise ValueError(f"there are {len(samples)} validation images, got the numbers {strange}; choose others.")
    sheet: dict[str, Picture] = {}
    for index in images:
        row = _row(dataset, samples[index], networks)
        sheet |= {f"{index}: {title}": picture for title, picture in row.items()}
    return sheet, len(row)


def _row(dataset: Images, sample: Sample, networks: dict[str, Predictor]) -> dict[str, Picture]:
    image, label = dataset.read(sample)
    assert label is not None, "validation samples are labelled"
    row: dict[str, Picture] = {"image": image, "label": colourise(label, dataset.classes)}
    attention: Tensor | None = None
    for title, network in networks.items():
        result = network(image.permute(1, 2, 0).contiguous().numpy(), views=network.has_views)
        row[title] = colourise(torch.from_numpy(result.label), network.classes)
        if network.has_views:
            attention = grey(torch.from_numpy(result.views["attention"]))
    return row if attention is None else {**row, TITLES["attention"]: attention}


if __name__ == "__main__":
    main()
