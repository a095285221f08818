"""Choose sizes, encoder and schedule from what was measured, each with its reason."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from hrda_lit.data.rare_class import class_probabilities
from hrda_lit.data.transforms import half_crop
from hrda_lit.proposal.measure import Measured, Size

MULTIPLE = 32  # of a crop's sides, see `half_crop`
SMALLEST = 192  # side of an image in pixels: crops of half its area fit the encoder
SCALED = 3000 / (1024 * 2048)  # of an image: pixels that make it a candidate for a class, as in the paper
CANDIDATES = 5  # images that must be candidates for each class
TEMPERATURES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
MANY = 500  # images that are scored: more are scored once, at the end
GIB = 2**30


@dataclass(frozen=True)
class Encoder:
    """An encoder with ImageNet weights from timm, and the settings that suit it."""

    name: str  # in timm
    least: float  # memory that the device needs, in bytes; 0 for a CPU
    pixels: int  # most pixels of an image; larger ones are scaled down
    head: str = ""  # keys of the DAFormer head; "" for the paper's
    attention: int | None = None  # channels of the attention head; None for the paper's
    learning_rate: float = 6.0e-5  # of the heads; the encoder's is that by `head_factor`
    batch_norm: bool = False  # whether it has statistics that differ between student and teacher
    steps: int = 40000  # length of a training
    rate_why: str = "the papers' for MiT, a relative of this encoder; not measured with it"
    steps_why: str = "as in the papers"


ENCODERS = (
    Encoder("pvt_v2_b5", 22 * GIB, 2048 * 1024),
    Encoder("pvt_v2_b2", 11 * GIB, 1536 * 768),
    Encoder(
        "pvt_v2_b1", 1, 1024 * 512, "{ channels: 128 }", 128, steps=20000,
        steps_why="half of the papers', for a small GPU",
    ),
    Encoder(
        "mobilenetv2_100", 0, 640 * 480, "{ channels: 32, dilations: [1, 6, 12] }", 32, 1.0e-3, True, 1600,
        "as measured from CARLA to CamVid with this encoder", "20 minutes of HRDA on 2 cores at 480 x 360",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """A value for a key, as YAML has it, and why."""

    value: str
    why: str


@dataclass(frozen=True)
class Plan:
    """Everything in the YAML files except names and paths."""

    encoder: Encoder
    source_size: Choice  # box into which images are fitted; null keeps them
    target_size: Choice
    margins: Choice | None  # of target images, in pixels of their box
    things: list[int]  # ids of thing classes
    keys: dict[str, Choice]  # other keys of the setting, dotted


def choose(
    source: Measured, target: Measured, names: Sequence[str], scored: int, memory: float, steps: int | None
) -> Plan:
    """Choose everything for `scored` validation images and `memory` bytes of the GPU, 0 for a CPU.

    `steps` is the length of a training where the user gave one.
    """
    encoder = next(one for one in ENCODERS if memory >= one.least)
    device = f"a GPU of {memory / GIB:.0f} GB" if memory else "a CPU"
    source_seen, source_size = _fit(source, encoder, device)
    seen, target_size = _fit(target, encoder, device)
    # Half of a target image, in area, as far as it fits into a source image.
    half = (min(sides) for sides in zip(half_crop(seen), seen, source_seen, strict=True))
    height, width = (max(MULTIPLE, side // MULTIPLE * MULTIPLE) for side in half)
    things = source.things(names)
    length = steps or encoder.steps
    rounds = 4 if scored <= MANY else 1
    fast = Choice("0.99", f"{length} steps need a teacher that follows fast")
    crop_why = f"about half of an image of {seen[0]} x {seen[1]}; sides are multiples of {MULTIPLE}"
    keys = {
        "data.crop": Choice(f"[{height}, {width}]", crop_why),
        "data.rare_class": _rare_classes(source, source_seen),
        "loading.batch_size": Choice("2", "source and target images each, as in the paper"),
        "optim.lr": Choice(f"{encoder.learning_rate:.1e}", encoder.rate_why),
        "optim.warmup": Choice(str(round(length / 27)), "1500 of 40 000 steps in the paper"),
        "alpha": fast if length < 10000 else Choice("0.999", "as in the paper"),
        "trainer.max_steps": Choice(str(length), "given" if steps else encoder.steps_why),
        "trainer.val_check_interval": Choice(str(max(1, length // rounds)), f"validations: {rounds}"),
    }
    if encoder.batch_norm:
        keys["optim.head_factor"] = Choice("10", "heads start from random weights")
    if not things:
        keys["lambda_fd"] = Choice("0", "it acts on thing classes, of which there are none")
    return Plan(encoder, source_size, target_size, _margins(target, seen), things, keys)


def _fit(seen: Measured, encoder: Encoder, device: str) -> tuple[Size, Choice]:
    """Return the size in which images are seen, and the box into which they are fitted for it."""
    height, width = seen.size
    shrink, grow = math.sqrt(encoder.pixels / (height * width)), SMALLEST / min(height, width)
    if grow > 1:
        why = f"{height} x {width} is small; enlarged, because the encoder needs larger crops"
    elif shrink < 0.9:
        why = f"{height} x {width} is large for {encoder.name} on {device}; a rule of thumb"
    elif seen.varied:
        why = "sizes vary; this is the median, so that objects have similar sizes"
        return seen.size, Choice(f"[{height}, {width}]", why)
    else:
        return seen.size, Choice("null", f"as they are, {height} x {width}")
    factor = max(min(shrink, 1), grow)
    height, width = (round(side * factor / 8) * 8 for side in seen.size)
    return (height, width), Choice(f"[{height}, {width}]", why)


def _rare_classes(source: Measured, box: Size) -> Choice:
    """Choose min_pixels and the temperature of rare class sampling."""
    there = source.pixels.any(0)
    if there.sum() < 3:
        return Choice("null", "rare classes need three classes or more")
    height, width = source.size
    pixels = SCALED * height * width
    why = "3000 of 2048 x 1024 pixels, as in the paper"
    known = np.sort(source.pixels[:, there], axis=0)[::-1]
    enough = float(known[min(CANDIDATES, len(known)) - 1].min())
    if enough < pixels:
        pixels = max(enough, 20.0)
        why = f"so that {CANDIDATES} of {len(known)} labels show enough of each class"
    least = max(1, int(float(f"{pixels:.1g}")))
    counts, most = torch.from_numpy(source.pixels), 2 / there.sum()
    flat = (t for t in TEMPERATURES if class_probabilities(counts, t).max() <= most)
    temperature = next(flat, TEMPERATURES[-1])
    # min_pixels counts at the original size, the crop that is accepted has the size of the box.
    ratio = float(f"{box[0] * box[1] / (height * width):.2g}")
    return Choice(
        f"{{ temperature: {temperature}, min_pixels: {least}, accept_ratio: {ratio} }}",
        f"{why}; no class is sampled more than twice as often as uniformly",
    )


def _margins(target: Measured, size: Size) -> Choice | None:
    depths = [math.ceil(share * size[0 if index < 2 else 1]) for index, share in enumerate(target.still)]
    if not any(depths):
        return None
    top, bottom, left, right = depths
    return Choice(
        f"{{ top: {top}, bottom: {bottom}, left: {left}, right: {right} }}",
        "constant over all images (the camera's own car, a frame), so pseudo-labels are not trusted there",
    )
