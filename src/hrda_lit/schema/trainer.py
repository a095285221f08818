"""The keys of Lightning's Trainer: values that fit a training in steps, and keys that ours replace."""

import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Annotated, Any, Literal, TypedDict, get_type_hints

from hrda_lit.config import messages
from hrda_lit.config.ranges import Count, Length, Number, Range, Share
from hrda_lit.config.values import check

Steps = Count
SomeOf = Number | Share  # a number of batches, or a share of them
# Not 16-true nor bf16-true: small steps, and those of the teacher, vanish in weights of so few digits. Not 64-true:
# images are normalised to float32 on the device, after Lightning has cast the batch.
Precision = Literal[16, 32, "16", "32", "bf16", "16-mixed", "bf16-mixed", "32-true"]


class TrainerKeys(TypedDict, total=False):
    """conf/trainer, the keys for which Lightning's own annotations are wider than what fits here."""

    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps", "tpu"]
    devices: Count | Literal[-1, "auto"] | Annotated[Sequence[Number], Length(least=1)]
    num_nodes: Count
    precision: Precision
    max_steps: Steps
    val_check_interval: Steps
    log_every_n_steps: Steps
    num_sanity_val_steps: Annotated[int, Range(-1, 2**31 - 1)]
    limit_val_batches: SomeOf
    fast_dev_run: bool | Number
    min_steps: Number | None
    max_time: str | Mapping[Literal["weeks", "days", "hours", "minutes", "seconds"], Number] | None


# Keys of Lightning that do not apply to several backward passes per step and to draws without epochs: values that
# are allowed all the same, and what to set instead.
INSTEAD: dict[str, tuple[tuple[Any, ...], str]] = {
    "accumulate_grad_batches": ((1,), "a step has several backward passes already; set loading.accumulate"),
    "gradient_clip_val": ((None,), "gradients are clipped once per step; set optim.clip"),
    "gradient_clip_algorithm": ((None, "norm"), "optim.clip clips by norm"),
    "max_epochs": ((None, -1), "draws with replacement have no epochs; set trainer.max_steps"),
    "min_epochs": ((None,), "draws with replacement have no epochs; set trainer.max_steps"),
    "check_val_every_n_epoch": ((None,), "draws with replacement have no epochs; set trainer.val_check_interval"),
    "limit_train_batches": ((None, 1.0), "draws with replacement have no end; set trainer.max_steps"),
    "overfit_batches": ((0, 0.0), "every step draws its own crops; train on a dataset of few files"),
    "reload_dataloaders_every_n_epochs": ((0,), "draws with replacement have no epochs; remove it"),
    "use_distributed_sampler": ((False,), "draws are a function of step and rank already; leave it at false"),
    "barebones": ((False,), "it would turn off all records; scripts/benchmarks measure speed"),
    "enable_checkpointing": ((False,), "callbacks.checkpoint saves; leave it at false"),
    # Others pickle the run, fork it away from its records, or shard weights that the teacher reads whole.
    "strategy": (
        ("auto", "ddp", "ddp_find_unused_parameters_false", "ddp_find_unused_parameters_true"),
        "several devices train by trainer.strategy=ddp",
    ),
    "callbacks": ((None,), "callbacks are a group of their own; use callbacks.<name>"),
    "logger": ((None,), "loggers are a group of their own; use logger=csv, tensorboard, wandb, mlflow or trackio"),
}


# Of torchrun, Slurm, LSF and Open MPI: by these Lightning finds the other machines.
CLUSTERS = {"MASTER_ADDR", "SLURM_NTASKS", "LSB_DJOB_RANKFILE", "OMPI_COMM_WORLD_SIZE"}


def check_trainer(trainer: Mapping[str, Any]) -> None:
    """Refuse values of Lightning's keys that have no effect or do harm here, and absent devices.

    Args:
        trainer: plain values of the group.

    Raises:
        ValueError: if a value does not fit.
    """
    for name, hint in get_type_hints(TrainerKeys, include_extras=True).items():
        if name in trainer:
            check(trainer[name], hint, f"trainer.{name}")
    for name, (harmless, instead) in INSTEAD.items():
        if name in trainer and trainer[name] not in harmless:
            raise ValueError(messages.not_allowed(f"trainer.{name}", trainer[name], instead))
    nodes = trainer.get("num_nodes", 1)
    if nodes > 1 and not CLUSTERS & os.environ.keys():
        instead = "this process knows no other machine; start it by Slurm or torchrun, or set MASTER_ADDR and NODE_RANK"
        raise ValueError(messages.not_allowed("trainer.num_nodes", nodes, instead))
    accelerator = trainer.get("accelerator", "auto")
    if accelerator not in ("auto", "cpu") and not _is_present(accelerator):
        instead = "this machine has no such device; set it to auto"
        raise ValueError(messages.not_allowed("trainer.accelerator", accelerator, instead))


def _is_present(accelerator: str) -> bool:
    import torch  # here, so that a wrong value need not wait for it

    if accelerator == "tpu":
        return find_spec("torch_xla") is not None
    return torch.backends.mps.is_available() if accelerator == "mps" else torch.cuda.is_available()
