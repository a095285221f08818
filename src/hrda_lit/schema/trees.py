"""The keys of each command's tree that no constructor knows, or knows too widely, each with its type."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from hrda_lit.config.ranges import (
    Bits,
    Count,
    KeysOf,
    Length,
    NotNegative,
    Number,
    OpenPart,
    Part,
    Range,
    Ratio,
    Seed,
    Share,
    Sides,
    Speed,
    Width,
    Without,
    Workers,
)

# Classes by their dotted names, and in an order by which what is cheap to import is checked first.
PIPELINE, LOADING = "hrda_lit.data.pipeline.Pipeline", "hrda_lit.data.pipeline.Loading"
MEMORY, DATA_CHECK = "hrda_lit.training.options.Memory", "hrda_lit.inspecting.data_check.DataCheck"
RULES = "hrda_lit.predicting.submission.Rules"
DETAIL = "hrda_lit.networks.detail_crop.DetailCrop"
Group = Mapping[str, Any]
Parts = Mapping[str, Part | None]
ChangedInference = Annotated[OpenPart, KeysOf(others=True)]  # changes of that of training, or another one
DataCheck = Annotated[Group, KeysOf(DATA_CHECK, whole=True), Without("skip_broken", "cache_dir", "crop")]


class DetailKeys(TypedDict):
    """The key of conf/network's `detail` that may be open."""

    size: Sides | None


class NetworkKeys(TypedDict):
    """conf/network."""

    downscale: Ratio
    detail: NotRequired[Annotated[Group, KeysOf(DETAIL, DetailKeys, whole=True)]]
    width: NotRequired[Width]
    backbone: Part
    head: Annotated[OpenPart, Without("in_channels", "num_classes")]
    attention: NotRequired[Share | Annotated[OpenPart, Without("in_channels", "num_classes")]]
    segmentor: Annotated[OpenPart, Without("backbone", "head", "fusion", "num_classes", "detail")]


class SkipKeys(TypedDict):
    """The key of `data` that evaluation has too."""

    skip_broken: bool


class SplitKeys(TypedDict):
    """Split of each dataset."""

    source: str
    target: str
    val: str


class TrainerKeys(TypedDict, total=False):
    """conf/trainer, the keys for which Lightning's own annotations are wider than what fits here."""

    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps", "tpu"]
    devices: Count | Literal[-1, "auto"] | Annotated[Sequence[Number], Length(least=1)]
    num_nodes: Count
    # Not 16-true nor bf16-true: small steps, and those of the teacher, vanish in weights of so few digits. Not 64-true:
    # images are normalised to float32 on the device, after Lightning has cast the batch.
    precision: Literal[16, 32, "16", "32", "bf16", "16-mixed", "bf16-mixed", "32-true"]
    max_steps: Count
    val_check_interval: Count
    log_every_n_steps: Count
    num_sanity_val_steps: Annotated[int, Range(-1, 2**31 - 1)]
    limit_val_batches: Number | Share  # a number of batches, or a share of them
    fast_dev_run: bool | Number
    min_steps: Number | None
    max_time: str | Mapping[Literal["weeks", "days", "hours", "minutes", "seconds"], Number] | None


class TrainKeys(TypedDict):
    """conf/train.yaml."""

    name: str
    lambda_d: Share
    tau: Share
    s_T: Ratio
    alpha: Share
    lambda_fd: NotNegative
    seed: Seed
    data_root: str
    cache_dir: str
    run_dir: str
    resume: bool | str
    speed: Speed
    validate: Literal["student", "teacher"]
    splits: Annotated[Group, KeysOf(SplitKeys)]
    data: Annotated[Group, KeysOf(PIPELINE, SkipKeys, whole=True), Without("downscale")]
    loading: Annotated[Group, KeysOf(LOADING, whole=True), Without("seed", "cache_dir")]
    network: Annotated[Group, KeysOf(NetworkKeys)]
    optim: Part
    memory: Annotated[Group, KeysOf(MEMORY, whole=True)]
    source: Part
    target: Part | None
    val: Part | None
    method: Annotated[OpenPart, Without("classes")]
    inference: OpenPart
    data_check: DataCheck | None
    prepare_data: Part | None
    trainer: Part
    callbacks: NotRequired[Parts | None]
    logger: NotRequired[Parts | None]
    sheet: NotRequired[str]  # of inspect


class EvaluateKeys(TypedDict):
    """conf/evaluate.yaml."""

    checkpoint: str
    model: Literal["student", "teacher"] | None
    weights: str | None
    splits: Mapping[str, str]
    views: bool
    device: str
    workers: Workers
    data_root: str | None
    cache_dir: str
    run_dir: str
    data: Annotated[Group, KeysOf(SkipKeys)]
    val: Part | None
    datasets: Mapping[str, Part]
    inference: ChangedInference | None
    data_check: DataCheck | None


class DatasetKey(TypedDict):
    """The dataset that a server scores, of conf/submission."""

    dataset: Part


class PredictKeys(TypedDict):
    """conf/predict.yaml."""

    checkpoint: str | None
    input: str | None
    output: str
    save: str | Sequence[str] | None
    ids: str | None
    model: Literal["student", "teacher"] | None
    weights: str | None
    device: str
    size: Sides | None
    bits: Bits | None
    data_root: str
    cache_dir: str
    like: Part | None
    inference: ChangedInference | None
    submission: Annotated[Group, KeysOf(RULES, DatasetKey)] | None


class InitKeys(TypedDict):
    """conf/init.yaml."""

    source: str | None
    target: str | None
    out: str
    name: str | None
    classes: Any
    source_labels: str | None
    target_labels: str | None
    background: Literal["class", "ignore"] | None
    weights: str | None
    device: Literal["auto", "cpu", "cuda"]
    steps: Count | None
