"""Nonsense for every key of every command is refused in one sentence, by the check of types and ranges alone."""

import copy
import math
import re
from collections.abc import Iterator
from typing import Any, get_type_hints

import pytest
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from hrda_lit.config.values import check
from hrda_lit.schema.check import check_train, check_trainer, check_tree
from hrda_lit.schema.trees import EvaluateKeys, PredictKeys, TrainKeys

pytestmark = pytest.mark.slow

TRAIN = ["run_dir=run", "cache_dir=cache"]
TREES = {
    "hrda": ("train", TRAIN),
    "mic_tta": ("train", ["experiment=mic_demo", "logger=tensorboard", "inference=tta", *TRAIN]),
    "daformer": ("train", ["experiment=daformer_gta", "dataset@source=synthia", "logger=wandb", *TRAIN]),
    "source_only": ("train", ["experiment=source_only_gta", "dataset@source=folder", "dataset@val=acdc", *TRAIN]),
    "against": (
        "train",
        ["method=adversarial", "optim=sgd", "network/head=deeplabv2", "network/attention=deeplabv2", *TRAIN],
    ),
    "entropy": (
        "train",
        ["method=minent", "network/backbone=dinov2_large", "network/head=linear", "logger=mlflow", *TRAIN],
    ),
    "generalise": (
        "train",
        ["method=generalise", "network/backbone=resnet101", "network/head=segformer", "logger=trackio", *TRAIN],
    ),
    "smoke": ("train", ["experiment=oracle_demo", "debug=smoke", "dataset@target=bdd100k", *TRAIN]),
    "several": ("train", ["experiment=multi_source/hrda_gta_synthia_urbansyn", *TRAIN]),
    "evaluate": ("evaluate", ["checkpoint=x", "dataset@val=cityscapes", "data_root=x", "run_dir=run", "cache_dir=c"]),
    "evaluate_sets": ("evaluate", ["checkpoint=x", "+dataset@datasets.a=acdc", "+splits.a=val", "run_dir=run"]),
    "predict": ("predict", ["inference=tta", "cache_dir=cache"]),
    "submission": ("predict", ["inference=slide", "submission=acdc", "dataset@like=synthia", "cache_dir=cache"]),
}
ROOTS = {"train": TrainKeys, "evaluate": EvaluateKeys, "predict": PredictKeys}
NONSENSE = {
    "nan": math.nan, "inf": math.inf, "-1": -1, "0": 0, "huge": 10**30, "2.5": 2.5, "true": True, "null": None,
    "maybe": "maybe", "[]": [], "[1,2]": [1, 2], "[nan]": [math.nan], "{a: 1}": {"a": 1},
}  # fmt: skip
# What is no nonsense for some keys, and why; keys by a pattern.
SENSE: list[tuple[str, set[str], str]] = [
    (r".*(root|dir|dirpath|folder|path|checkpoint|input|output|weights|images|split_file|name|filename|file|help|version"
     r"|splits\.\w+|label_rule\..*|classes|id_map|ids|device|project|group|overrides|tracking_uri)", {"maybe"},
     "a text; what it names is looked for or refused by its user, before data are read"),
    (r"(data\.(rare_class|distortion|sync_crop|scale_jitter|margins_of)|method\.masked(\.tau)?|network\.backbone\.weights|inference(\.base)?\.(window|stride|batch)|optim\.clip"
     r"|.*(size|id_map|split_file)|data_check|prepare_data|checkpoint|input|model|data_root|network\.backbone\.options"
     r"|weights|submission|like|bits|inference\.base|logger\.(csv|tensorboard)\.(name|version)|trainer\.(check_val_every_n_epoch|benchmark"
     r"|enable_model_summary|default_root_dir)|callbacks\.checkpoint\.(best|every_minutes)|val|memory\.(windows|rows)|method\.((masked\.)?augmentation|weak_jitter|labeller)"
     r"|network\.backbone\.(input_scale|lora)|.*\.layout)", {"null"},
     "null leaves it out or open"),
    (r"(views|memory\.check|data\.skip_broken|data_check\.every|.*(flip|jointly|mirror|mask_token|teacher|overlap|bf16|blur|last_offset|class_wise|benchmark"
     r"|enable_model_summary|default_hp_metric))", {"true"}, "a switch"),
    (r"(lambda_d|tau|alpha|lambda_fd|method\.(labeller\.tau|lambda_fd|masked\.(ratio|weight|tau)|(masked\.augmentation|augmentation|weak_jitter)\.\w+)|seed"
     r"|network\.segmentor\.lambda_d|network\.backbone\.options\.drop_path_rate|workers|loading\.\w+_workers|optim\.(warmup"
     r"|power|weight_decay)|data\.(crop_tries|(rare_class|distortion)\.\w+)|.*margins\.\w+|callbacks\.(pictures\.\w+"
     r"|watch\.\w+)|data_check\.\w+"
     r"|trainer\.(limit_val_batches|num_sanity_val_steps))", {"0"}, "none of it"),
    (r"(lambda_fd|s_T|method\.(lambda_fd|masked\.(weight|downscale))|network\.(downscale|segmentor\.(s_T|downscale))"
     r"|optim\.\w+|data\.rare_class\.(accept_ratio|temperature))", {"2.5", "huge"}, "a number without an upper bound"),
    (r"(.*size|data\.((sync_)?crop|scale_jitter)|inference(\.base)?\.(window|stride)|inference\.scales|network\.(head|attention)\.dilations"
     r"|network\.backbone\.levels|method\.(masked\.)?augmentation\.sigma|trainer\.devices)", {"[1,2]"},
     "two small numbers"),
    (r"trainer\.num_sanity_val_steps|trainer\.devices", {"-1"}, "all"),
    (r"network\.backbone\.(lora\.alpha|input_scale)|method\.(lambda_(adv|ent)|optim\.(lr|power))", {"2.5", "huge"},
     "a number without an upper bound"),
    (r"method\.(lambda_(adv|ent)|optim\.power)|optim\.momentum", {"0"}, "none of it"),
    (r"network\.(head|attention)\.level", {"-1", "0"}, "a level of the encoder"),
    (r"method\.optim", {"null"}, "the paper's"),
    (r"callbacks\.(checkpoint\.every_minutes|progress\.refresh_rate)", {"2.5", "huge"}, "a time or a rate"),
    (r"loading\.cache", {"maybe", "null"}, "a folder, or none"),
    (r"(resume|callbacks\.checkpoint\.best)", {"maybe"}, "a text; what it names is looked for"),
    (r"resume", {"true"}, "auto"),
    (r"logger\.\w+\.version", {"-1", "0", "huge"}, "Lightning's own"),
    (r"network\.backbone\.options\.(channels|stem_width)", {*NONSENSE} - {"nan", "inf", "[nan]"},
     "the encoder's own; building it without memory tells"),
    (r"logger\.wandb\.(project|group)", {"null", "[]", "[1,2]", "-1", "0", "huge", "2.5", "true", "{a: 1}"},
     "wandb.init's own"),
    (r"callbacks\.\w+|logger\.\w+|prepare_data|val|target", {"null"}, "leaves the part out"),
    (r"network\.backbone\.options", {"{a: 1}"}, "the encoder's own; building it without memory tells"),
    (r"callbacks|logger|inference", {"null"}, "none of them"),
    (r"inference", {"{a: 1}"}, "a key of the inference that training had, which the checkpoint tells"),
    (r"network\.(head|attention)\.dropout", {"0"}, "none of it"),
    (r"network\.attention", {"0"}, "a fixed attention"),
    (r".*\.id_map\.\d+", {"0"}, "a train id"),
    (r"(source|target)\.weights", {"null", "{a: 1}"}, "by names that the sets know"),
    (r"(source|target)\.weights\.\w+", {"2.5", "huge"}, "a number without an upper bound"),
    (r".*\.layout\.exclude", {"[]"}, "none"),
    (r"submission\.split", {"maybe"}, "a text; a split that is not there is refused"),
    (r"save", {"maybe", "null"}, "by the input; a kind that does not exist is refused before anything is predicted"),
    (r"ids", {"null"}, "train ids"),
    (r"save|logger\.\w+\.overrides", {"[]"}, "a list; refused where one is needed"),
]  # fmt: skip


def composed(tree: str) -> tuple[Any, Any]:
    command, overrides = TREES[tree]
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        config = compose(command, overrides)
    for logger in set(config.get("logger") or ()) & {"wandb", "mlflow", "trackio"}:
        # Hydra's own values are not there in a test.
        config.logger[logger].update({"overrides": [], "sweep_dir": "sweep"})
    return ROOTS[command], OmegaConf.to_container(config, resolve=True)


def leaves(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for key, value in node.items() if isinstance(node, dict) else ():
        if not str(key).startswith("_"):
            yield from leaves(value, (*path, key))


def with_value(node: Any, path: tuple[str, ...], value: Any) -> Any:
    if not path:
        return value
    return {**node, path[0]: with_value(node[path[0]], path[1:], value)}


@pytest.mark.parametrize("tree", TREES)
def test_nonsense_is_refused_in_one_sentence_that_names_the_key(tree: str) -> None:
    root, config = composed(tree)
    hints, surprises, tried = get_type_hints(root, include_extras=True), [], 0
    for name in config:
        check(config[name], hints[name], name)
        for path in leaves(config[name]):
            key = ".".join(map(str, (name, *path)))
            allowed = set().union(*(kinds for pattern, kinds, _ in SENSE if re.fullmatch(pattern, key)))
            for kind, value in NONSENSE.items():
                tried += 1
                try:
                    given = with_value(config[name], path, copy.copy(value))
                    if name == "trainer" and isinstance(given, dict):
                        check_trainer(given)
                    check(given, hints[name], name)
                except ValueError as error:
                    sentence = str(error)
                    if key.rpartition(".")[0] not in sentence or "\n" in sentence or sentence[-1] not in ".?":
                        surprises.append(f"{key}={kind}: {sentence}")
                else:
                    if kind not in allowed:
                        surprises.append(f"{key}={kind} is accepted")
    assert not surprises, "\n".join(surprises)
    assert tried > 200


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("optim.lr=nan", "optim.lr=nan: expected a number above 0; correct optim.lr."),
        ("optim.weight_decay=-1", "optim.weight_decay=-1: expected a number of at least 0;"),
        ("optim.betas=[0.9,1.0]", "optim.betas[1]=1.0: expected a number in [0, 1); correct optim.betas[1]."),
        ("network.detail.overlap=maybe", "network.detail.overlap=maybe: expected true or false;"),
        ("seed=true", "seed=true: expected a whole number in [0, 4294967295];"),
        ("loading.batch_size=2.5", "loading.batch_size=2.5: expected a whole number in [1, 65536];"),
        ("data.crop=[512]", "data.crop=[512]: expected a list of 2, each a whole number in [1, 32768];"),
        ("validate=both", "validate=both: expected student or teacher; correct validate."),
        ("optim.clip=0", "optim.clip=0: expected a number above 0 or null;"),
        ("network.backbone.options.drop_path_rate=-1", "network.backbone.options.drop_path_rate=-1: expected"),
        ("+source.layout.margins.top=-3", "source.layout.margins.top=-3: expected"),
        ("+source.layout.exclude=[12]", "source.layout.exclude[0]=12: expected text; put it into quotes."),
        ("cache_dir=false", "cache_dir=false: expected text; put it into quotes, since YAML reads no, off, on and yes"),
        ("+source.id_map={off: 3}", "source.id_map has the key off: expected"),
        ("+trainer.strategy=ddp_spawn", "trainer.strategy=ddp_spawn: not allowed here; several devices train by"),
        ("+trainer.strategy=fsdp", "trainer.strategy=fsdp: not allowed here"),
        ("+trainer.num_nodes=2", "trainer.num_nodes=2: not allowed here; this process knows no other machine; start"),
        ("trainer.accelerator=tpu", "trainer.accelerator=tpu: not allowed here; this machine has no such device"),
        ("+loading.seed=3", "unknown key loading.seed; loading has accumulate, batch_size, cache, num_workers, val_w"),
        ("+optim.learning_rate=1", "unknown key optim.learning_rate; did you mean optim.lr?"),
        ("+network.heads=1", "unknown key network.heads; did you mean network.head?"),
        ("+temperture=1", "unknown key temperture; see --help"),
        ("+data._partial_=true", "unknown key data._partial_;"),
        ("method._partial_=3", "method._partial_=3: expected true or false;"),
        ("~optim", "missing choice optim; choose one, or remove optim=null."),
        ("~network.head", "missing key network.head; set network.head=... ."),
        ("~source.root", "missing key source.root;"),
        ("~splits.val", "missing key splits.val; set splits.val=... ."),
        ("target=acdc", "or null; did you mean dataset@target=acdc?"),
        ("network.backbone=mit_b3", "a group of keys with a _target_; did you mean network.backbone.name=mit_b3?"),
        ("~target", "missing key target; set target=... ."),
        ("~data.crop", "missing key data.crop; set data.crop=... ."),
        ("~loading.accumulate", "missing key loading.accumulate; set loading.accumulate=... ."),
        ("~memory.heads", "missing key memory.heads;"),
        ("~trainer.max_steps", "missing key trainer.max_steps;"),
        ("optim._target_=nowhere.Thing", "optim._target_=nowhere.Thing: expected the dotted name of a class that"),
        ("method.masked={block: 8}", "method.masked={'block': 8}: expected a group of keys with a _target_ or null;"),
        ("cache_dir=${nowhere}", "cache_dir cannot be resolved: Interpolation key 'nowhere' not found"),
        ("trainer.max_steps=0", "trainer.max_steps=0: expected a whole number in [1, 2147483647];"),
        ("trainer.precision=bf16-true", "trainer.precision=bf16-true: expected 16 or 32 or bf16 or 16-mixed or"),
        ("trainer.precision=64-true", "trainer.precision='64-true': expected 16 or 32 or bf16"),
        ("trainer.val_check_interval=0.5", "trainer.val_check_interval=0.5: expected a whole number"),
        ("+trainer.gradient_clip_val=1.0", "trainer.gradient_clip_val=1.0: not allowed here; gradients are clipped "
         "once per step; set optim.clip."),
        ("+trainer.accumulate_grad_batches=2", "set loading.accumulate."),
        ("+trainer.max_epochs=3", "set trainer.max_steps."),
        ("+trainer.limit_train_batches=5", "set trainer.max_steps."),
        ("+trainer.overfit_batches=1", "trainer.overfit_batches=1: not allowed here"),
        ("+trainer.max_time={minuets: 1}", "trainer.max_time"),
        ("+trainer.barebones=true", "trainer.barebones=true: not allowed here; it would turn off all records"),
        ("trainer.check_val_every_n_epoch=1", "set trainer.val_check_interval."),
        ("trainer.use_distributed_sampler=true", "leave it at false."),
    ],
)  # fmt: skip
def test_the_sentence_names_key_value_and_need(override: str, sentence: str) -> None:
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        config = compose("train", [*TRAIN, override])
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        check_train(config)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "override",
    ["+trainer.accumulate_grad_batches=1", "+trainer.max_epochs=-1", "+trainer.max_time='00:00:10:00'", "~callbacks",
     "~logger", "+callbacks.more={_target_: lightning.pytorch.callbacks.LearningRateMonitor}", "trainer.devices=auto",
     "trainer.devices=[0,1]", "limit=1", "source.id_map={7: 0}", "network.attention=0.5", "optim.clip=1",
     "+trainer.strategy=ddp", "trainer.limit_val_batches=10", "trainer.limit_val_batches=0.25"],
)  # fmt: skip
def test_what_makes_sense_is_taken(override: str) -> None:
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        config = compose("train", [*TRAIN, override.replace("limit=1", "+trainer.fast_dev_run=true")])
    check_train(config)


@pytest.mark.parametrize("experiment", ["hrda_demo", "crop_size/context_512_detail_256"])
def test_a_network_of_one_scale_goes_without_the_attention_of_an_experiment(
    experiment: str, caplog: pytest.LogCaptureFixture
) -> None:
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        config = compose("train", [f"experiment={experiment}", "network=daformer", "run_dir=run"])
    set_before = {"attention", "detail"} & config.network.keys()
    check_train(config)
    assert set_before
    assert not set_before & config.network.keys()
    assert {text.split()[0] for text in caplog.messages} == {f"network.{name}" for name in set_before}


def test_the_other_commands_check_too() -> None:
    with initialize_config_module("hrda_lit.conf", version_base="1.3"):
        evaluate = compose("evaluate", ["checkpoint=x", "run_dir=run", "workers=-1"])
        predict = compose("predict", ["save=3"])
    with pytest.raises(ValueError, match=re.escape("workers=-1: expected a whole number in [0, 1024]")):
        check_tree(evaluate, EvaluateKeys)
    with pytest.raises(ValueError, match="save=3: expected"):
        check_tree(predict, PredictKeys)
