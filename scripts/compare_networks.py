"""Show predictions of several networks for the same validation images, with labels and scale attention.

    python scripts/compare_networks.py compare.png source-only=a/last.ckpt HRDA=b/last.ckpt --images 0 50 100
    python scripts/compare_networks.py compare.pdf source-only=a/last.ckpt HRDA=b/last.ckpt     # for a paper; or .svg

One row per image: image, label, a prediction per network, and the attention of the last one that has it. Of .pdf and
.svg, words are vectors, and pictures are as in .png.
"""

import argparse
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from hrda_lit.build import build_validation
from hrda_lit.data.folder import Sample
from hrda_lit.data.mixed import Images
from hrda_lit.pictures.figures import suffix_of, write_figure
from hrda_lit.pictures.layers import TITLES, Picture, colourise, grey
from hrda_lit.pictures.sheet import legend, sheet
from hrda_lit.predicting.predictor import Predictor
from hrda_lit.system.errors import exit_on_errors, format_error
from hrda_lit.system.progress import track
from hrda_lit.system.text import count


@exit_on_errors()
def main() -> None:
    """Read the command line and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="the .png, .pdf or .svg file to write")
    parser.add_argument("networks", nargs="+", help="title=checkpoint of hrda_lit.train")
    parser.add_argument("--images", nargs="+", type=int, default=[0], help="numbers of validation images, from 0")
    arguments = parser.parse_args()
    strange = [given for given in arguments.networks if "=" not in given]
    if strange:
        parser.error(f"got {strange}, need title=checkpoint")
    checkpoints = dict(given.split("=", 1) for given in arguments.networks)
    if len(checkpoints) < len(arguments.networks) or "label" in checkpoints:
        parser.error(f"got {arguments.networks}, need a title of its own for each network, and not 'label'")
    try:
        suffix_of(arguments.output)  # before any network is loaded
        write_figure(arguments.output, compare(checkpoints, arguments.images))
    except (ValueError, OSError) as error:
        parser.error(format_error(error))
    images, networks = count(len(arguments.images), "image"), count(len(arguments.networks), "network")
    print(f"{arguments.output} shows {images} and {networks}")


def compare(checkpoints: dict[str, str], images: list[int]) -> Figure:
    """Predict validation images of the first network's run with every network, a row of the sheet per image.

    Raises:
        FileNotFoundError: if a checkpoint or an image is missing.
        ValueError: if a checkpoint does not fit, or there are fewer images.
    """
    loaded = track(checkpoints.items(), "loading networks")
    networks = {title: Predictor(path) for title, path in loaded}
    config = next(iter(networks.values())).config
    dataset = build_validation(config)
    samples = dataset.files(config.splits.val, labelled=True)
    strange = [index for index in images if not 0 <= index < len(samples)]
    if strange:
        raise ValueError(f"there are {len(samples)} validation images, got the numbers {strange}; choose others.")
    rows, labels = [], list[Tensor]()
    for index in track(images, "predicting"):
        row, found = _row(dataset, samples[index], networks)
        rows.append(row)
        labels += found
    return sheet(rows, f"{dataset.name}: {', '.join(networks)}", legend(labels, dataset.classes))


def _row(dataset: Images, sample: Sample, networks: dict[str, Predictor]) -> tuple[dict[str, Picture], list[Tensor]]:
    """Return titled pictures of an image, and the class ids that some of them show."""
    image, label = dataset.read(sample)
    assert label is not None, "validation samples are labelled"
    labels = {"label": label}
    row: dict[str, Picture] = {sample.image.name: image}
    attention: dict[str, Picture] = {}
    for title, network in networks.items():
        network.box = dataset.of(sample).size
        result = network(image.permute(1, 2, 0).contiguous().numpy(), views=network.has_views)
        labels[title] = torch.from_numpy(result.label)
        if network.has_views:
            caption = TITLES["attention"].replace("\n", f" of {title}\n")
            attention = {caption: grey(torch.from_numpy(result.views["attention"]))}
    row |= {title: colourise(ids, dataset.classes) for title, ids in labels.items()}
    return {**row, **attention}, [*labels.values()]


if __name__ == "__main__":
    main()
