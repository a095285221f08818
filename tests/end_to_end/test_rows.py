"""Every experiment named after a row of a paper composes to that row of the authors' experiment generators.

The table is written from the generators, not from the YAML. Sizes are pixels as the network gets them: "LR" images have
half the resolution of "HR" images.
"""

from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_module
from omegaconf import DictConfig

from hrda_lit import build
from hrda_lit.inference.windows import Slide
from hrda_lit.methods.self_training import SelfTraining

pytestmark = pytest.mark.slow

Row = dict[str, Any]
ROOT = Path(str(files("hrda_lit.conf"))) / "experiment"

# What every row has unless it says otherwise.
ADAMW = ("AdamWPoly", 6e-5, 10, 0.01, [0.9, 0.999], 1500, 1.0)
SGD = ("SGDPoly", 2.5e-3, 1, 5e-4, 0.9, 1500, 1.0)
COMMON: Row = {
    "optim": ADAMW, "steps": 40000, "validated every": 4000, "batch": (2, 1), "precision": "32-true",
    "scored": "student", "cat_max_ratio": (0.75, 10), "distortion": None, "masked": None, "sync": None,
    "inference": "whole", "rcs": None, "margins": None, "lambda_fd": None, "alpha": None, "clip": None,
}  # fmt: skip
LR = {"source": ("gta5", (720, 1280)), "target": ("cityscapes", (512, 1024)), "crop": 512}
HR = {"source": ("gta5", (1440, 2560)), "target": ("cityscapes", (1024, 2048)), "crop": 1024}
SYNTHIA = {"source": ("synthia", (1520, 2560))}
SYNTHIA_LR = {"source": ("synthia", (760, 1280))}
ACDC, ZURICH = {"target": ("acdc", (1080, 1920))}, {"target": ("dark_zurich", (1080, 1920))}
ACDC_LR, ZURICH_LR = {"target": ("acdc", (540, 960))}, {"target": ("dark_zurich", (540, 960))}
FROM_CS, FROM_CS_LR = {"source": ("cityscapes", (1024, 2048))}, {"source": ("cityscapes", (512, 1024))}
V1_LR = ("crop", 15, 120)  # rows of the crop
V2, V2_LR = ("image", 30, 240, 30, 30), ("image", 15, 120, 15, 15)
MIT = {"encoder": ("mit_b5", "DAFormerHead", [1, 6, 12, 18])}
DEEPLAB = {"encoder": ("resnet101c", "DeepLabV2Head", [6, 12])}
SINGLE = {"hrda": None}
RCS_LR, RCS_HR = {"rcs": (0.01, 3000, 1500, 10)}, {"rcs": (0.01, 3000, 6000, 10)}
# DAFormer's self-training; the strong augmentation is jitter, its probability, blur and its sigma.
STRONG = (0.8, 0.2, 0.5, [0.15, 1.15])
SELF = {"method": ("SelfTraining", 0.968, "batch", "batch", STRONG), "alpha": 0.999, "lambda_fd": (0.005, 0.75)}
DACS = {**SELF, "alpha": 0.99, "lambda_fd": None}
SUPERVISED: Row = {"method": ("Supervised",), "distortion": 0.5}
MINENT: Row = {"method": ("MinEnt", 0.001), "optim": SGD}
ADVERSARIAL: Row = {"method": ("Adversarial", 0.001, 64, 1e-4, [0.9, 0.99], 0.9), "optim": SGD}


def hrda(detail: int = 512, lambda_d: float = 0.1, s_T: float = 2, **options: Any) -> Row:
    """Return the multi-resolution network; without options its attention is learned and class-wise."""
    kept = {"attention": "learned", "overlap": True, "blur": False} | options
    return {"hrda": {"detail": detail, "lambda_d": lambda_d, "s_T": pytest.approx(s_T), **kept}}


def slide(window: int) -> Row:
    return {"inference": ("slide", window, window // 2)}


def masked(
    block: int,
    ratio: float = 0.7,
    images: str = "target",
    augment: bool = True,
    tau: float = 0.968,
    teacher: bool = True,
) -> Row:
    return {"masked": (block, ratio, images, STRONG if augment else None, tau, teacher, 1.0)}


HRDA = {**HR, **SELF, **RCS_HR, **MIT, **hrda(), "margins": V2, **slide(1024)}
DAFORMER = {**LR, **SELF, **RCS_LR, **MIT, **SINGLE, "margins": V1_LR}
NAIVE_LR = {**DAFORMER, "margins": V2_LR}
NAIVE_HR = {**HRDA, **SINGLE}
ORACLE_LR = {**LR, **FROM_CS_LR, **SUPERVISED, **MIT, **SINGLE}
ORACLE_HR = {**HR, **FROM_CS, **SUPERVISED, **MIT, **SINGLE}
DEEPLAB_LR, DEEPLAB_HRDA = {**LR, **DEEPLAB, **SINGLE}, {**HR, **DEEPLAB, **hrda(attention="DeepLabV2Head")}
MIC_DAFORMER = {**DAFORMER, **masked(32)}
MIC_ACDC = {**HRDA, **FROM_CS, **ACDC, "margins": None}
SOURCE_LR = {**LR, **SUPERVISED, **MIT, **SINGLE}

ROWS: dict[str, Row] = {
    # HRDA table 1, DAFormer, MIC table 2
    "hrda_gta": HRDA,
    "hrda_synthia": {**HRDA, **SYNTHIA},
    "hrda_acdc": {**HRDA, **FROM_CS, **ACDC, "margins": None},
    "hrda_dark_zurich": {**HRDA, **FROM_CS, **ZURICH, "margins": None},
    "daformer_gta": DAFORMER,
    "daformer_synthia": {**DAFORMER, **SYNTHIA_LR},
    "daformer_acdc": {**DAFORMER, **FROM_CS_LR, **ACDC_LR},
    "daformer_dark_zurich": {**DAFORMER, **FROM_CS_LR, **ZURICH_LR},
    "mic_gta": {**HRDA, **masked(64)},
    "mic_synthia": {**HRDA, **SYNTHIA, **masked(64)},
    "mic_acdc": {**MIC_ACDC, **masked(64, images="both", augment=False)},
    "mic_dark_zurich": {**MIC_ACDC, **ZURICH, **masked(64, images="both", augment=False)},
    "source_only_gta": SOURCE_LR,
    # HRDA table 2
    "methods/adversarial": {**DEEPLAB_LR, **ADVERSARIAL, "distortion": 0.5},
    "methods/adversarial_hrda": {**DEEPLAB_HRDA, **ADVERSARIAL, "distortion": 0.5},
    "methods/minent": {**DEEPLAB_LR, **MINENT, "distortion": 0.5},
    "methods/minent_hrda": {**DEEPLAB_HRDA, **MINENT, "distortion": 0.5},
    "methods/dacs": {**DEEPLAB_LR, **DACS},
    "methods/dacs_hrda": {**DEEPLAB_HRDA, **DACS},
    "methods/daformer_resnet101": {**DEEPLAB_LR, **SELF, **RCS_LR, "margins": V2_LR},
    "methods/hrda_resnet101": {**DEEPLAB_HRDA, **SELF, **RCS_HR, "margins": V2},
    # HRDA figure 4
    "naive_resolution/low_crop_128": {**NAIVE_LR, "sync": 128, **slide(128)},
    "naive_resolution/low_crop_256": {**NAIVE_LR, "sync": 256, **slide(256)},
    "naive_resolution/low_crop_384": {**NAIVE_LR, "sync": 384, **slide(384)},
    "naive_resolution/low_crop_512": {**NAIVE_LR, **slide(512)},
    "naive_resolution/high_crop_256": {**NAIVE_HR, "sync": 256, **slide(256)},
    "naive_resolution/high_crop_512": {**NAIVE_HR, "sync": 512, **slide(512)},
    "naive_resolution/high_crop_768": {**NAIVE_HR, "sync": 768, **slide(768)},
    **{f"naive_resolution/oracle_low_crop_{c}": {**ORACLE_LR, "crop": c, **slide(c)} for c in (128, 256, 384, 512)},
    **{f"naive_resolution/oracle_high_crop_{c}": {**ORACLE_HR, "crop": c, **slide(c)} for c in (256, 512, 768)},
    # HRDA tables 3 to 7, figure S1, table S1
    "crop_size/context_512_detail_512": {**HRDA, "sync": 512, **slide(512)},
    "crop_size/context_768_detail_512": {**HRDA, "sync": 768, **slide(768)},
    "crop_size/context_1024_detail_256": {**HRDA, **hrda(256)},
    "crop_size/context_1024_detail_384": {**HRDA, **hrda(384)},
    "crop_size/context_768_detail_384": {**HRDA, **hrda(384), "sync": 768, **slide(768)},
    "components/low_resolution_twice": {**NAIVE_LR, **hrda(256, s_T=1), **slide(512)},
    "components/blurred_detail": {**HRDA, **hrda(blur=True)},
    "components/average_of_scales": {**HRDA, **hrda(lambda_d=0, attention=0.5, overlap=False)},
    "components/no_overlap": {**HRDA, **hrda(lambda_d=0, overlap=False)},
    "components/no_detail_loss": {**HRDA, **hrda(lambda_d=0)},
    **{f"lambda_d/0_{ten}": {**HRDA, **hrda(lambda_d=ten / 10)} for ten in (2, 3, 4, 5, 6, 7)},
    "lambda_d/0": {**HRDA, **hrda(lambda_d=0)},
    "context_scale/1_4": {**HRDA, **hrda(s_T=4), "sync": 512, **slide(512)},
    "context_scale/3_4": {**HRDA, **hrda(s_T=4 / 3), "sync": 512, **slide(512)},
    # generalisation without SHADE
    "methods/generalise": {
        **LR, **MIT, **SINGLE, **RCS_LR, "method": ("Generalise", None), "lambda_fd": (0.005, 0.75), "distortion": 0.5
    },
    "methods/generalise_hrda": {
        **HR, **MIT, **hrda(), **RCS_HR, **slide(1024), "method": ("Generalise", None), "lambda_fd": (0.005, 0.75),
        "distortion": 0.5,
    },
    # MIC table 1
    "mic/adversarial": {**DEEPLAB_LR, **ADVERSARIAL, "alpha": 0.999, **masked(32)},
    "mic/minent": {**DEEPLAB_LR, **MINENT, "alpha": 0.999, **masked(32)},
    "mic/dacs": {**DEEPLAB_LR, **DACS, **masked(32)},
    "mic/daformer_resnet101": {**DEEPLAB_LR, **SELF, **RCS_LR, "margins": V1_LR, **masked(32)},
    "mic/hrda_resnet101": {**DEEPLAB_HRDA, **SELF, **RCS_HR, "margins": V2, **slide(1024), **masked(64)},
    "mic/daformer": MIC_DAFORMER,
    # MIC tables 6 to 9
    "mic/gta_source": {**HRDA, **masked(64, images="source")},
    "mic/gta_both": {**HRDA, **masked(64, images="both")},
    "mic/acdc_source": {**MIC_ACDC, **masked(64, images="source", augment=False)},
    "mic/acdc_target": {**MIC_ACDC, **masked(64, augment=False)},
    "mic/no_augmentation": {**MIC_DAFORMER, **masked(32, augment=False)},
    "mic/no_mask": {**MIC_DAFORMER, **masked(32, 0)},
    "mic/no_teacher": {**MIC_DAFORMER, **masked(32, teacher=False)},
    "mic/no_confidence": {**MIC_DAFORMER, **masked(32, tau=0)},
    **{
        f"mic/block_{block}_ratio_0_{ten}": {**MIC_DAFORMER, **masked(block, ten / 10)}
        for block in (16, 32, 64, 128)
        for ten in (3, 5, 7, 9)
        if (block, ten) != (32, 7)  # mic/daformer
    },
    "mic/oracle_cityscapes": {**ORACLE_LR, "distortion": None, **masked(32, images="source", augment=False)},
}  # fmt: skip


def facts(config: DictConfig) -> Row:
    """Read from a composed experiment what a row fixes."""
    shrink, data = config.network.downscale, config.data

    def pixels(size: Any) -> int:
        height, width = size
        assert height == width
        return int(height / shrink)

    inference = build.build_inference(config)
    assert isinstance(inference, Slide) or "Whole" in config.inference._target_
    method = build.build_method(config, build.build_dataset(config.source, "source").classes)
    return {
        "source": images(config, "source"), "target": images(config, "target"), "val": images(config, "val"),
        "crop": pixels(data.crop), "sync": data.sync_crop and pixels(data.sync_crop),
        "cat_max_ratio": (data.cat_max_ratio, data.crop_tries),
        "distortion": data.distortion and data.distortion.probability,
        "rcs": rare_classes(config),
        "margins": margins(config) if isinstance(method, SelfTraining) else None,
        "inference": ("slide", inference.window[0], stride(inference)) if isinstance(inference, Slide) else "whole",
        "encoder": (config.network.backbone.name, name(config.network.head), list(config.network.head.dilations)),
        "hrda": multires(config),
        "method": method_of(config), "masked": masked_of(config, shrink),
        "alpha": config.alpha if method.needs_teacher else None,
        "lambda_fd": (method.lambda_fd, config.method.min_ratio) if method.needs_imagenet else None,
        "optim": optim(config.optim), "clip": config.optim.clip, "steps": config.trainer.max_steps,
        "validated every": config.trainer.val_check_interval, "precision": config.trainer.precision,
        "batch": (config.loading.batch_size, config.loading.accumulate), "scored": config.validate,
    }  # fmt: skip


def images(config: DictConfig, role: str) -> Any:
    return (config[role].name, tuple(int(side / config.network.downscale) for side in config[role].size))


def rare_classes(config: DictConfig) -> Any:
    rare = config.data.rare_class
    if rare is None:
        return None
    enough = rare.min_pixels * rare.accept_ratio / config.network.downscale**2
    return (rare.temperature, rare.min_pixels, enough, rare.max_tries)


def name(node: Any) -> str:
    return str(node._target_.rpartition(".")[2])


def stride(inference: Slide) -> int:
    window, (step, _) = inference.window, inference.stride
    assert inference.overlap
    return step or window[0] // 2


def margins(config: DictConfig) -> Any:
    found, of = config.target.layout.get("margins"), config.data.margins_of
    if found is None or of is None:
        return None
    sides = {"image": ("top", "bottom", "left", "right"), "crop": ("top", "bottom")}[of]
    return (of, *(int(found[side] / config.network.downscale) for side in sides))


def multires(config: DictConfig) -> Row | None:
    network = config.network
    if "attention" not in network:
        return None
    keys, attention = network.segmentor, network.attention
    if isinstance(attention, DictConfig):
        assert attention.class_wise
        attention = {"ScaleAttentionHead": "learned"}.get(name(attention), name(attention))
    side = network.detail.size[0] if network.detail.size else 1024 // 2
    return {
        "detail": side, "lambda_d": keys.lambda_d, "s_T": keys.s_T,
        "attention": attention, "overlap": network.detail.overlap, "blur": network.detail.blur,
    }  # fmt: skip


def strong(node: Any) -> Any:
    return node and (node.jitter_probability, node.strength, node.blur_probability, list(node.sigma))


def method_of(config: DictConfig) -> Any:
    keys = config.method
    found = {
        "SelfTraining": lambda: (keys.labeller.tau, keys.labeller.q_of, keys.mix_classes_of, strong(keys.augmentation)),
        "Supervised": tuple,
        "MinEnt": lambda: (keys.lambda_ent,),
        "Adversarial": lambda: (
            keys.lambda_adv,
            keys.channels,
            keys.optim.lr,
            list(keys.optim.betas),
            keys.optim.power,
        ),
        "Generalise": lambda: (strong(keys.augmentation),),
    }[name(keys)]
    return (name(keys), *found())


def masked_of(config: DictConfig, shrink: float) -> Any:
    keys = config.method.get("masked")
    if keys is None:
        return None
    assert keys.downscale == shrink
    block = int(keys.block / shrink)
    return (block, keys.ratio, keys.images, strong(keys.augmentation), keys.tau, keys.teacher, keys.weight)


def optim(keys: DictConfig) -> Any:
    momentum = keys.momentum if "momentum" in keys else list(keys.betas)
    assert keys.layer_decay == 1
    return (name(keys), keys.lr, keys.head_factor, keys.weight_decay, momentum, keys.warmup, keys.power)


@pytest.fixture(scope="module")
def composed() -> Iterator[Callable[[str], DictConfig]]:
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        where = ["data_root=data", "cache_dir=cache", "run_dir=run"]
        yield lambda name: compose("train", [*where, f"experiment={name}"])


@pytest.mark.parametrize("name", ROWS)
def test_an_experiment_is_the_row_it_names(name: str, composed: Callable[[str], DictConfig]) -> None:
    row = {**COMMON, **ROWS[name]}
    assert facts(composed(name)) == {**row, "val": row["target"]}  # the target's validation split is scored


def test_every_experiment_is_a_row_or_says_what_it_is() -> None:
    """The head of a row names paper and table; all others are the project's own, or of drawn data."""
    for path in sorted(ROOT.rglob("*.yaml")):
        name = path.relative_to(ROOT).with_suffix("").as_posix()
        if name.endswith("_demo") or name.startswith("foundation/"):
            continue
        origin = path.read_text().splitlines()[3]
        if name in ROWS:
            assert ": equals the released row" in origin or ": differs: " in origin, name
        else:
            assert origin.startswith("# The project's own, in no "), name
