"""Show how good pseudo-labels are: what share of each class is confident, and what share of that is right.

    python scripts/pseudo_labels.py last.ckpt                               # the teacher's, above the run's own tau
    python scripts/pseudo_labels.py last.ckpt --model student --tau 0.9

The network predicts the validation images of its run, whose labels say what is right. The student learns from all
pixels with the weight q, so a class that is seldom confident, or confident and wrong, says where adaptation stalls.
"""

import argparse
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix

from hrda_lit.build import build_validation
from hrda_lit.config.ranges import Share
from hrda_lit.config.values import check
from hrda_lit.predicting.predictor import Predictor
from hrda_lit.system.errors import exit_on_errors
from hrda_lit.system.progress import announce, track
from hrda_lit.system.table import show
from hrda_lit.tables.scores import Measures, score_table


@exit_on_errors()
def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="of hrda_lit.train")
    parser.add_argument("--model", choices=("student", "teacher"), default="teacher", help="(default: %(default)s)")
    parser.add_argument("--tau", type=float, help="confident is a probability of at least this (default: the run's)")
    arguments = parser.parse_args()
    try:
        with announce(f"loading {arguments.checkpoint}"):
            predictor = Predictor(arguments.checkpoint, arguments.model)
        tau = predictor.config.tau if arguments.tau is None else arguments.tau
        check(tau, Share, "tau")
        everything, confident = confusions(predictor, tau)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    title = f"{predictor.config.name}, {arguments.model}, tau {tau:g}, %"
    show(score_table(title, quality(everything, confident, predictor.classes.names)))


def confusions(predictor: Predictor, tau: float) -> tuple[Int[Tensor, "C C"], Int[Tensor, "C C"]]:
    """Predict the validation images of a network's run.

    Returns:
        Pixels by label (rows) and prediction (columns): all of them, and those with a confidence of at least `tau`.

    Raises:
        FileNotFoundError: if the images are missing.
        ValueError: if one cannot be used.
    """
    classes, config = predictor.classes, predictor.config
    dataset = build_validation(config)
    everything, confident = (
        MulticlassConfusionMatrix(len(classes), ignore_index=classes.ignore, validate_args=False) for _ in range(2)
    )
    for sample in track(dataset.files(config.splits.val, labelled=True), f"predicting {dataset.name}"):
        image, label = dataset.read(sample)
        assert label is not None, "validation samples are labelled"
        predictor.box = dataset.of(sample).size
        result = predictor(image.permute(1, 2, 0).contiguous().numpy())
        prediction, sure = torch.from_numpy(result.label).long(), torch.from_numpy(result.confidence) >= tau
        everything.update(prediction, label.long())
        confident.update(prediction[sure], label.long()[sure])
    return everything.confmat, confident.confmat


def quality(
    everything: Int[Tensor, "C C"], confident: Int[Tensor, "C C"], names: tuple[str, ...]
) -> dict[str, Measures]:
    """Compare confusion matrices of all pixels and of the confident ones.

    Returns:
        Shares by heading, of each class of the label and of all pixels; NaN where there is no pixel.
    """

    def shares(part: Tensor, whole: Tensor) -> Measures:
        by_class = dict(zip(names, (part.double() / whole).tolist(), strict=True))
        return {"class": by_class, "all": {"all pixels": float(part.sum() / whole.sum())}}

    pixels, sure = everything.sum(1), confident.sum(1)
    return {
        "of all pixels": shares(pixels, pixels.sum()),
        "right": shares(everything.diagonal(), pixels),
        "confident": shares(sure, pixels),
        "right of these": shares(confident.diagonal(), sure),
    }


if __name__ == "__main__":
    main()
