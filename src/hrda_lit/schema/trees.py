"""The keys of train.yaml, evaluate.yaml and predict.yaml that no constructor knows, each with its type."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from hrda_lit.data.datamodule import Loading
from hrda_lit.data.pipeline import Pipeline
from hrda_lit.inspecting.data_check import DataCheck
from hrda_lit.ops.ranges import (
    KeysOf,
    NotNegative,
    Part,
    Ratio,
    Seed,
    Share,
    Sides,
    Width,
    Without,
    Workers,
)
from hrda_lit.predicting.submission import Rules
from hrda_lit.schema.trainer import TrainerKeys
from hrda_lit.training.options import Memory, Speed

Group = Mapping[str, Any]
Parts = Mapping[str, Part | None]


class NetworkKeys(TypedDict):
    """conf/network."""

    downscale: Ratio
    detail: NotRequired[Sides | None]
    width: NotRequired[Width]
    backbone: Part
    head: Annotated[Part, Without("in_channels", "num_classes")]
    attention: NotRequired[Share | Annotated[Part, Without("in_channels", "num_classes")]]
    segmentor: Annotated[Part, Without("backbone", "head", "fusion", "num_classes", "detail")]


@dataclass(frozen=True, kw_only=True)
class DataKeys(Pipeline):
    """conf/train.yaml, data: how crops are made, and whether images that cannot be used are left out."""

    skip_broken: bool = False


class SkipKeys(TypedDict):
    """conf/evaluate.yaml, data."""

    skip_broken: bool


class SplitKeys(TypedDict, total=False):
    """Which split of each data set."""

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
    validate: Literal["student", "teacher"]
    speed: Speed
    prepare_data: Part | None
    network: Annotated[Group, KeysOf(NetworkKeys)]
    data: Annotated[Group, KeysOf(DataKeys), Without("downscale")]
    loading: Annotated[Group, KeysOf(Loading), Without("seed", "cache_dir")]
    memory: Annotated[Group, KeysOf(Memory)]
    data_check: Annotated[Group, KeysOf(DataCheck), Without("skip_broken", "cache_dir", "crop")] | None
    splits: Annotated[Group, KeysOf(SplitKeys)]
    source: Part
    target: Part | None
    val: Part | None
    method: Annotated[Part, Without("classes")]
    optim: Part
    inference: Part
    trainer: Part
    callbacks: NotRequired[Parts | None]
    logger: NotRequired[Parts | None]
    sheet: NotRequired[str]  # of inspect


class ChangedKeys(TypedDict):
    """Keys of the inference that training had; the checkpoint tells which there are."""


class EvaluateKeys(TypedDict):
    """conf/evaluate.yaml."""

    checkpoint: str
    model: Literal["student", "teacher"] | None
    weights: str | None
    val: Part | None
    datasets: Mapping[str, Part]
    inference: Annotated[Part, KeysOf(ChangedKeys, others=True)] | None
    splits: Mapping[str, str]
    views: bool
    data: Annotated[Group, KeysOf(SkipKeys)]
    data_check: Annotated[Group, KeysOf(DataCheck), Without("skip_broken", "cache_dir", "crop")] | None
    device: str
    workers: Workers
    data_root: str | None
    cache_dir: str
    run_dir: str


@dataclass(frozen=True, kw_only=True)
class SubmissionKeys(Rules):
    """conf/submission: the rules of a server, and the data set it scores."""

    dataset: Part


class PredictKeys(TypedDict):
    """conf/predict.yaml."""

    checkpoint: str | None
    input: str | None
    output: str
    save: str | Sequence[str]
    ids: str
    model: Literal["student", "teacher"] | None
    weights: str | None
    inference: Annotated[Part, KeysOf(ChangedKeys, others=True)] | None
    device: str
    submission: Annotated[Group, KeysOf(SubmissionKeys)] | None
    like: Part | None
    size: Sides | None
    data_root: str
    cache_dir: str


# Keys of constructors of others, where theirs would take what training cannot use.
BETTER = {"lightning.Trainer": TrainerKeys}
