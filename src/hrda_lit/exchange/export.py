"""Export a trained network as a graph that runs without this library: ONNX or torch.export."""

import contextlib
import io
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hrda_lit.build import training_crop
from hrda_lit.checkpoints.load import Trained, load_trained
from hrda_lit.config.ranges import Sides
from hrda_lit.config.values import check
from hrda_lit.inference.traceable import ImageToIds, ImageToLogits
from hrda_lit.inference.windows import Slide, Whole
from hrda_lit.networks.multires import MultiResSegmentor
from hrda_lit.ops.normalise import renormalise
from hrda_lit.ops.resize import low_resolution_size
from hrda_lit.system.errors import format_error
from hrda_lit.system.files import write_atomically
from hrda_lit.system.progress import announce

TOLERANCE = 1e-4  # of logits; relative to the largest, where that is above 1
AXES = {"batch": {0: "batch"}, "size": {2: "height", 3: "width"}}
SUFFIXES = (".onnx", ".pt2")
_EXTRA = ("onnx", "onnxscript", "onnxruntime")
Size = tuple[int, int]
Run = Callable[[Tensor], Tensor]
Result = tuple[bytes, Run]  # content of the file, and a function that runs its graph


def export(
    checkpoint: str | Path,
    output: str | Path,
    model: str | None = None,
    size: Size | None = None,
    dynamic: Sequence[str] = (),
    whole: bool = False,
    ids: bool = False,
) -> str:
    """Export a network with its windows, fusion and normalisation; return a sentence on how the graph compares.

    The graph takes "image", B x 3 x H x W, RGB in [0, 1], and returns "logits", B x C x H x W; images of a
    low-resolution network must be downscaled by s_T before.

    Args:
        checkpoint: file of `hrda_lit.train`.
        output: `.onnx`, or `.pt2` for torch.export.
        model: "student" or "teacher"; None: the one that training validated.
        size: (height, width) in pixels of the image; None for that of a training crop.
        dynamic: what may differ from `size` later: "batch", "size", both or neither.
        whole: whether to predict the image at once, where the checkpoint would slide a window.
        ids: whether the graph returns "ids" instead: train ids, B x H x W, uint8.

    Raises:
        FileNotFoundError: if there is no checkpoint.
        ValueError: if it cannot be read, the extra packages are missing, or this network has no such graph.
    """
    output = Path(output)
    _check_request(output, size, dynamic)
    with torch.no_grad(), announce(f"loading {checkpoint}") as report:
        trained = _load(checkpoint, model, whole, output, dynamic)
        size = size or low_resolution_size(training_crop(trained.config), trained.network.downscale)
        report("tracing the network and translating it")
        start = time.perf_counter()
        content, run = _translate(trained, output, size, dynamic, ids)
        seconds = time.perf_counter() - start
        report("comparing the graph with the network")
        compared = _compare(trained, run, _shapes(size, dynamic), ids)
        write_atomically(output, content)
    return f"{output}: {compared}; {len(content) / 1e6:.1f} MB, made in {seconds:.0f} s"


def _check_request(output: Path, size: Size | None, dynamic: Sequence[str]) -> None:
    check(size, Sides | None, "size")
    if output.suffix not in SUFFIXES:
        raise ValueError(f"{output} ends in none of {list(SUFFIXES)}; choose .onnx, or .pt2 for torch.export.")
    unknown = sorted(set(dynamic) - AXES.keys())
    if unknown:
        raise ValueError(f"dynamic={unknown} is none of {list(AXES)}; choose from these.")
    missing = [name for name in _EXTRA if find_spec(name) is None]
    if output.suffix == ".onnx" and missing:
        raise ValueError(f"export to ONNX needs {', '.join(missing)}; run: pip install {' '.join(missing)}")


def _load(path: str | Path, model: str | None, whole: bool, output: Path, dynamic: Sequence[str]) -> Trained:
    trained = load_trained(path, model)
    if whole:
        trained = trained._replace(inference=Whole())
    if "size" not in dynamic:
        return trained
    if isinstance(trained.inference, Whole) and isinstance(trained.network, MultiResSegmentor):
        raise ValueError(  # noqa: TRY004  a choice of the caller, not a wrong type
            "the number of detail windows in a whole image follows from its size and is fixed in a graph; remove "
            "whole, so that windows of a fixed size slide over the image, or keep the size."
        )
    if isinstance(trained.inference, Slide) and output.suffix == ".pt2":
        raise ValueError(
            "torch.export does not hold for both images of one window and images of several; export to "
            ".onnx, where it does, or keep the size."
        )
    return trained


def _translate(trained: Trained, output: Path, size: Size, dynamic: Sequence[str], ids: bool) -> Result:
    graph = (ImageToIds if ids else ImageToLogits)(trained.network, trained.inference).eval()
    translate = _onnx if output.suffix == ".onnx" else _pt2
    return translate(graph, _example(trained, size, dynamic), dynamic, trained)


def _example(trained: Trained, size: Size, dynamic: Sequence[str]) -> Tensor:
    # More than one of what may vary: tracing takes a one for a constant.
    slides = "size" in dynamic and isinstance(trained.inference, Slide)
    height, width = (2 * extent for extent in trained.inference.window) if slides else size  # type: ignore[attr-defined]
    return torch.rand(2 if "batch" in dynamic else 1, 3, height, width)


def _shapes(size: Size, dynamic: Sequence[str]) -> list[tuple[int, ...]]:
    height, width = size
    shapes: list[tuple[int, ...]] = [(1, 3, height, width)]
    if "batch" in dynamic:
        shapes.append((2, 3, height, width))
    if "size" in dynamic:
        shapes.append((1, 3, height - height // 8, width + width // 4))
    return shapes


def _onnx(graph: nn.Module, example: Tensor, dynamic: Sequence[str], trained: Trained) -> Result:
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)  # its notices concern its own passes
    output = "ids" if isinstance(graph, ImageToIds) else "logits"
    axes: dict[int, str] = {}
    for key in dynamic:
        axes |= AXES[key]
    with _refusal(dynamic):
        program: Any = torch.onnx.export(
            graph,
            (example,),
            input_names=["image"],
            output_names=[output],
            dynamic_shapes=(axes,) if axes else None,
            dynamo=True,
            verbose=False,
        )
    classes = {"names": trained.classes.names, "colours": trained.classes.colours}
    program.model.metadata_props["classes"] = json.dumps(classes)
    program.model.metadata_props["image"] = "B x 3 x H x W, RGB in [0, 1]"
    content: bytes = program.model_proto.SerializeToString()
    session = import_module("onnxruntime").InferenceSession(content, providers=["CPUExecutionProvider"])
    return content, lambda image: torch.from_numpy(session.run([output], {"image": image.numpy()})[0])


def _pt2(graph: nn.Module, example: Tensor, dynamic: Sequence[str], trained: Trained) -> Result:
    axes: dict[int, Any] = {}
    for key in dynamic:
        axes |= dict.fromkeys(AXES[key], torch.export.Dim.DYNAMIC)
    buffer = io.BytesIO()
    with _refusal(dynamic):
        program = torch.export.export(graph, (example,), dynamic_shapes=(axes,) if axes else None)
    torch.export.save(program, buffer)
    buffer.seek(0)
    return buffer.getvalue(), torch.export.load(buffer).module()


@contextlib.contextmanager
def _refusal(dynamic: Sequence[str]) -> Iterator[None]:
    """Say in one sentence that an encoder has no such graph; any timm model may come."""
    try:
        yield
    except (RuntimeError, torch.onnx.OnnxExporterError) as error:
        cause = error.__cause__ or error
        raise ValueError(
            f"this network cannot be exported with dynamic={list(dynamic)} ({format_error(cause)[:200]}); "
            "keep batch and size, or choose another encoder."
        ) from error


def _compare(trained: Trained, run: Run, shapes: Sequence[tuple[int, ...]], ids: bool) -> str:
    """Compare the graph with the network on random images, and say in a sentence how much they differ."""
    largest = share = 0.0
    for shape in shapes:
        image = torch.rand(shape)
        expected, found = trained.inference(trained.network, renormalise(image)), run(image)
        if ids:
            # Only classes whose logits are equal up to rounding may change places.
            chosen = expected.gather(1, found.long()[:, None])
            difference = float((expected.amax(dim=1, keepdim=True) - chosen).max())
            share = max(share, float((found != expected.argmax(dim=1)).float().mean()))
        else:
            difference = float((found - expected).abs().max())
        if not difference <= TOLERANCE * max(1.0, float(expected.abs().max())):
            raise ValueError(
                f"the graph's logits of an image {shape} differ by {difference:.1e} from the network's, more "
                f"than {TOLERANCE:g}; nothing was written, try another version of torch or onnxruntime."
            )
        largest = max(largest, difference)
    images = f"image {', '.join(map(str, shapes))}"
    if ids:
        return f"{images}: {100 * share:.2g} % of the ids differ, between classes that are equal up to rounding"
    return f"{images}: logits differ by at most {largest:.1e}"
