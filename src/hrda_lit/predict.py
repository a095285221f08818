"""Predict: `python -m hrda_lit.predict checkpoint=model.ckpt input=photos`; see `--help`."""

import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from hrda_lit.runs.commands import command
from hrda_lit.schema.check import check_predict
from hrda_lit.system.text import printable

if TYPE_CHECKING:
    from hrda_lit.predicting.inputs import Inputs
    from hrda_lit.predicting.output import PredictionFolder, Tally
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
    from hrda_lit.predicting.output import PredictionFolder, predict_all
    from hrda_lit.predicting.predictor import Predictor, check_ids
    from hrda_lit.predicting.result import VIEWS
    from hrda_lit.predicting.submission import check_classes
    from hrda_lit.system.process import at_full_speed

    rules = _rules(config)
    ids = rules.ids if rules else config.ids
    check_ids(ids)
    device = choose_device(config.device)
    checkpoint = _checkpoint(config)
    root = Path(config.output).expanduser()
    inputs = _inputs(config, rules, root)
    folder = PredictionFolder(root, ["label"] if rules else _kinds(config, inputs), palette=rules is None)
    folder.require_video(inputs)
    settings = _settings(config, checkpoint, ids, inputs)
    folder.refuse_other(settings)
    like = config.submission.dataset if rules else config.like
    predictor = Predictor(checkpoint, config.model, config.device, config.inference, config.weights, like, config.size)
    if set(folder.kinds) & set(VIEWS):
        predictor.require_views()
    if rules:
        check_classes(predictor.classes, rules)
    predictor.table(ids)
    _ = predictor.box  # refused before the first picture, where it is not known
    folder.begin(settings)
    if inputs.others:
        print(_describe_skipped(inputs), file=sys.stderr)
    start = time.perf_counter()
    with at_full_speed(device):
        tally = predict_all(predictor, inputs, folder, ids)
    _print_tally(tally, folder, time.perf_counter() - start)
    if rules and not tally.failed:
        _pack(folder, inputs, rules)
    return tally


def _print_tally(tally: "Tally", folder: "PredictionFolder", seconds: float) -> None:
    speed = f", {tally.done / seconds:.3g} images/s" if tally.done else ""
    counts = f"{tally.done} predicted, {tally.complete} complete already, {tally.failed} failed"
    print(f"{counts}: {printable(folder.root)}{speed}")


def _kinds(config: DictConfig, inputs: "Inputs") -> list[str]:
    from hrda_lit.predicting.output import USUAL, VIDEO

    if config.save is None:
        return [*USUAL] if inputs.video is None else [VIDEO]
    return [config.save] if isinstance(config.save, str) else list(config.save)


def _describe_skipped(inputs: "Inputs") -> str:
    kinds = Counter(path.suffix.lower() or "no suffix" for path in inputs.others)
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5))
    first = inputs.others[0].relative_to(inputs.base)
    return printable(f"skipped files that are no images: {counts}, e.g. {first}")


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


def _checkpoint(config: DictConfig) -> Path:
    from hrda_lit.checkpoints.locate import locate

    if config.checkpoint is None:
        raise ValueError("there is nothing to predict with; give checkpoint=latest, or a file.")
    path = locate(config.checkpoint)
    if not path.exists():
        raise FileNotFoundError(f"no checkpoint at {path}; give a file that `hrda_lit.train` wrote.")
    return path


def _inputs(config: DictConfig, rules: "Rules | None", root: Path) -> "Inputs":
    from hrda_lit.build import build_dataset
    from hrda_lit.data.mixed import members
    from hrda_lit.predicting.inputs import find_inputs
    from hrda_lit.predicting.output import output_paths
    from hrda_lit.predicting.submission import images_to_submit

    if (config.input is None) == (rules is None):
        raise ValueError("give either input=, an image, a folder, a glob or a video, or submission= with data_root=.")
    if rules:
        [dataset] = members(build_dataset(config.submission.dataset, "submission.dataset"))
        return images_to_submit(dataset, rules)
    return find_inputs(str(config.input), leave_out=output_paths(root))


def _settings(config: DictConfig, checkpoint: Path, ids: str, inputs: "Inputs") -> dict[str, Any]:
    """List what predictions depend on, so that those of another run are not taken for this one's."""
    from hrda_lit.checkpoints.hub import CONFIG, checksum

    # The config of a hub's folder holds the checksum of its weights.
    digest = checksum(checkpoint / CONFIG if checkpoint.is_dir() else checkpoint)
    return {
        "checkpoint": digest,
        "model": config.model,
        "ids": ids,
        "inference": config.inference and OmegaConf.to_container(config.inference, resolve=True),
        "input": str(inputs.base.resolve()),
        # The box of a submission follows from its name, and with it from the input.
        "size": config.size and list(config.size),
        "like": config.like and [config.like.name, list(config.like.size or ())],
    }


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
