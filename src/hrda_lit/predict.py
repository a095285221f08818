"""Predict: `python -m hrda_lit.predict checkpoint=model.ckpt input=photos`; see `--help`."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from hrda_lit.runs.commands import command
from hrda_lit.schema.check import check_predict
from hrda_lit.system.text import printable

if TYPE_CHECKING:
    from hrda_lit.predicting.inputs import Inputs
    from hrda_lit.predicting.output import PredictionFolder
    from hrda_lit.predicting.predictor import Predictor
    from hrda_lit.predicting.run import Tally
    from hrda_lit.predicting.submission import Rules


def predict(config: DictConfig) -> "Tally":
    """Predict every picture of the input, and pack the archive of a test server if one is asked for.

    Raises:
        ValueError: if a key or value does not fit, or a file is broken.
        FileNotFoundError: if the checkpoint or the input is missing.
    """
    check_predict(config)
    # Imported here, so that --help and what is refused above need not wait for torch.
    from hrda_lit.checkpoints.load import choose_device
    from hrda_lit.predicting.output import PredictionFolder
    from hrda_lit.predicting.predictor import check_ids
    from hrda_lit.predicting.run import choose_kinds, predict_all
    from hrda_lit.system.process import at_full_speed

    rules = _rules(config)
    ids = rules.ids if rules else config.ids
    check_ids(ids)
    device = choose_device(config.device)
    checkpoint, digest = _find_checkpoint(config)
    inputs = _inputs(config, rules)
    kinds = ["label"] if rules else choose_kinds(config.save, inputs)
    folder = PredictionFolder(Path(config.output).expanduser(), kinds, palette=rules is None)
    settings = _settings(config, digest, ids, inputs)
    folder.refuse_other(settings)
    predictor = _load(config, checkpoint, rules, ids, kinds)
    folder.begin(settings)
    _announce(inputs, folder, predictor)
    start = time.perf_counter()
    with at_full_speed(device):
        tally = predict_all(predictor, inputs, folder, ids)
    speed = f", {tally.done / (time.perf_counter() - start):.3g} images/s" if tally.done else ""
    counts = f"{tally.done} predicted, {tally.complete} complete already, {tally.failed} failed"
    print(f"{counts}: {printable(folder.root)}{speed}")
    if rules and not tally.failed:
        _pack(folder, inputs, rules)
    return tally


def _rules(config: DictConfig) -> "Rules | None":
    from hrda_lit.config.nodes import ConfigError
    from hrda_lit.predicting.submission import Rules

    if config.submission is None:
        return None
    values = {str(key): value for key, value in config.submission.items() if key != "dataset"}
    try:
        return Rules(**OmegaConf.to_object(OmegaConf.create(values)))  # type: ignore[arg-type]
    except TypeError as error:
        raise ConfigError(f"submission does not fit: {error}; correct submission.") from error


def _find_checkpoint(config: DictConfig) -> tuple[Path, str]:
    """Return the path of the checkpoint and its checksum."""
    from hrda_lit.checkpoints.hub import CONFIG, checksum
    from hrda_lit.checkpoints.locate import locate

    if config.checkpoint is None:
        raise ValueError("there is nothing to predict with; give checkpoint=latest, or a file.")
    path = locate(config.checkpoint)
    # The config of a hub's folder holds the checksum of its weights.
    file = path / CONFIG if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"no checkpoint at {file}; give a file that `hrda_lit.train` wrote.")
    return path, checksum(file)


def _inputs(config: DictConfig, rules: "Rules | None") -> "Inputs":
    from hrda_lit.build import build_dataset
    from hrda_lit.predicting.inputs import find_inputs
    from hrda_lit.predicting.submission import images_to_submit

    if bool(config.input) == bool(rules):
        raise ValueError("give either input=, an image, a folder, a glob or a video, or submission= with data_root=.")
    if rules:
        [dataset] = build_dataset(config.submission.dataset, "submission.dataset").members
        return images_to_submit(dataset, rules)
    return find_inputs(config.input, config.bits)


def _settings(config: DictConfig, digest: str, ids: str, inputs: "Inputs") -> dict[str, Any]:
    """List what predictions depend on, so that those of another run are not taken for this one's."""
    settings = {
        "checkpoint": digest,
        "model": config.model,
        "ids": ids,
        "inference": config.inference and OmegaConf.to_container(config.inference, resolve=True),
        "input": str(inputs.base.resolve()),
        # The box of a submission follows from its name, and with it from the input.
        "size": config.size and list(config.size),
        "like": config.like and [config.like.name, list(config.like.size or ())],
    }
    return settings if config.bits is None else {**settings, "bits": config.bits}


def _load(config: DictConfig, checkpoint: Path, rules: "Rules | None", ids: str, kinds: list[str]) -> "Predictor":
    """Load the network, and refuse before the first picture what it cannot do."""
    from hrda_lit.predicting.predictor import Predictor
    from hrda_lit.predicting.result import VIEWS
    from hrda_lit.predicting.submission import check_classes

    like = config.submission.dataset if rules else config.like
    predictor = Predictor(checkpoint, config.model, config.device, config.inference, config.weights, like, config.size)
    if set(kinds) & set(VIEWS):
        predictor.require_views()
    if rules:
        check_classes(predictor.classes, rules)
    predictor.table(ids)
    _ = predictor.box
    return predictor


def _announce(inputs: "Inputs", folder: "PredictionFolder", predictor: "Predictor") -> None:
    if inputs.others:
        print(printable(inputs.describe_skipped()), file=sys.stderr)
    if inputs.twins:
        shown = f"{len(inputs.twins)} images share their name but for the suffix, which their outputs keep"
        print(printable(f"{shown}, e.g. {inputs.twins[0]}.png"), file=sys.stderr)
    count = "frames" if inputs.total is None else f"{inputs.total} pictures"
    what = f"predicting {count} of {inputs.base} on {predictor.device}: {', '.join(folder.kinds)}"
    print(printable(f"{what} go to {folder.root}"), file=sys.stderr, flush=True)


def _pack(folder: "PredictionFolder", inputs: "Inputs", rules: "Rules") -> None:
    from hrda_lit.predicting.submission import pack

    labels = {f"{item.name}.png": folder.path("label", item.name) for item in inputs.items}
    target = folder.root / f"{rules.name}.zip"
    pack(labels, target, rules)
    print(f"{target} holds {len(labels)} labels, checked: names, sizes and ids are as the server wants them.")


@command("predict", "the same command goes on from here")
def main(config: DictConfig) -> None:
    """Run `predict`; the exit code is 1 if any picture failed."""
    if predict(config).failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
