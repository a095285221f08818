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
    from hrda_lit.predicting.output import PredictionFolder
    from hrda_lit.predicting.predictor import check_ids
    from hrda_lit.predicting.run import choose_kinds
    from hrda_lit.predicting.submission import pack
    from hrda_lit.system.process import choose_device

    rules = _rules(config)
    ids = rules.ids if rules else config.ids
    check_ids(ids)
    choose_device(config.device)
    checkpoint, digest = _find_checkpoint(config)
    inputs = _inputs(config, rules)
    kinds = ["label"] if rules else choose_kinds(config.save, inputs)
    folder = PredictionFolder(Path(config.output).expanduser(), kinds, palette=rules is None)
    settings = _settings(config, digest, ids, inputs)
    folder.refuse_other(settings)
    predictor = _load(config, checkpoint, rules, ids, kinds)
    folder.begin(settings)
    tally = _run(predictor, inputs, folder, ids, config.input or str(inputs.base))
    if rules and not tally.failed:
        labels = {f"{item.name}.png": folder.path("label", item.name) for item in inputs.items}
        print(pack(labels, folder.root / f"{rules.name}.zip", rules))
    return tally


def _rules(config: DictConfig) -> "Rules | None":
    from hrda_lit.config.nodes import construct, to_plain
    from hrda_lit.predicting.submission import Rules

    if config.submission is None:
        return None
    keys = {str(key): value for key, value in to_plain(config.submission).items() if key != "dataset"}
    rules: Rules = construct(Rules, "submission", keys)
    return rules


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
    own = [key for key in ("save", "like", "bits") if config[key] is not None]
    if rules and own:
        raise ValueError(f"a submission follows its server and its dataset; remove {', '.join(own)}.")
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


def _run(predictor: "Predictor", inputs: "Inputs", folder: "PredictionFolder", ids: str, source: str) -> "Tally":
    """Predict all pictures, and print what begins and how it ended."""
    from hrda_lit.predicting.run import predict_all
    from hrda_lit.system.process import at_full_speed

    count = "frames" if inputs.total is None else f"{inputs.total} picture{'s' * (inputs.total > 1)}"
    what = f"predicting {count} of {source} on {predictor.device}: {', '.join(folder.kinds)} go to {folder.root}"
    print(printable(what), file=sys.stderr, flush=True)
    start = time.perf_counter()
    with at_full_speed(predictor.device):
        tally = predict_all(predictor, inputs, folder, ids)
    speed = f", {tally.done / (time.perf_counter() - start):.3g} images/s" if tally.done else ""
    counts = f"{tally.done} predicted, {tally.complete} complete already, {tally.failed} failed"
    print(f"{counts}: {printable(folder.root)}{speed}")
    return tally


@command("predict", "the same command goes on from here")
def main(config: DictConfig) -> None:
    """Run `predict`; the exit code is 1 if any picture failed."""
    if predict(config).failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
