"""The keys of train.yaml, evaluate.yaml and predict.yaml that no constructor knows, each with its type."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from hrda_lit.config.ranges import (
    Bits,
    Count,
    KeysOf,
    NotNegative,
    OpenPart,
    Part,
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
DataCheck = Annotated[Group, KeysOf(DATA_CHECK), Without("skip_broken", "cache_dir", "crop")]


class DetailKeys(TypedDict):
    """The key of conf/network's `detail` that may be open."""

    size: Sides | None


class NetworkKeys(TypedDict):
    """conf/network."""

    downscale: Ratio
    detail: NotRequired[Annotated[Group, KeysOf(DETAIL, DetailKeys)]]
    width: NotRequired[Width]
    backbone: Part
    head: Annotated[OpenPart, Without("in_channels", "num_classes")]
    attention: NotRequired[Share | Annotated[OpenPart, Without("in_channels", "num_classes")]]
    segmentor: Annotated[OpenPart, Without("backbone", "head", "fusion", "num_classes", "detail")]


class SkipKeys(TypedDict):
    """The key of `data` that evaluation has too."""

    skip_broken: bool


class SplitKeys(TypedDict, total=False):
    """Split of each dataset."""

    source: str
    target: str
    val: str


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
    resume: str
    speed: Speed
    validate: Literal["student", "teacher"]
    splits: Annotated[Group, KeysOf(SplitKeys)]
    data: Annotated[Group, KeysOf(PIPELINE, SkipKeys), Without("downscale")]
    loading: Annotated[Group, KeysOf(LOADING), Without("seed", "cache_dir")]
    network: Annotated[Group, KeysOf(NetworkKeys)]
    optim: Part
    memory: Annotated[Group, KeysOf(MEMORY)]
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
