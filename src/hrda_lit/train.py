"""Train: `python -m hrda_lit.train experiment=hrda_demo`; the command line can set every key of conf/."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from hrda_lit.runs.claim import release_all, resume_mode, take
from hrda_lit.runs.commands import command
from hrda_lit.schema.check import check_train
from hrda_lit.system import signals
from hrda_lit.system.errors import can_be_mended, explain_lost_process, format_error
from hrda_lit.system.files import is_first_process, read_json, write_atomically, write_json
from hrda_lit.system.text import quieten_libraries

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

    from hrda_lit.module import UDAModule
    from hrda_lit.runs.resume import Start

log = logging.getLogger(__name__)


def train(config: DictConfig) -> float:
    """Run one experiment: check, read, build, fit, report.

    Returns:
        The final mIoU on the validation set, a fraction; NaN without one.

    Raises:
        ValueError: if a key or value does not fit, or a file is broken.
        FileNotFoundError: if data, weights or the checkpoint are missing.
    """
    check_train(config)
    with _finish_wandb(), signals.watch.handle_signals(), release_all():
        take(Path(config.run_dir), resume_mode(config.resume))
        try:
            return _train(config)
        except Exception as error:
            # What goes wrong after a signal is its doing: it reaches other processes of the group too.
            signum = signals.watch.received
            if signum is None:
                raise
            raise signals.Stopped(signum, f"amid a step ({type(error).__name__})") from error


def _train(config: DictConfig) -> float:
    # Imported here, so that --help, shell completion and refused configs need not wait for torch.
    from hrda_lit import build
    from hrda_lit.inspecting.data_check import DataCheck, require_good_data
    from hrda_lit.runs.checkpoint import check_names
    from hrda_lit.runs.geometry import check_geometry
    from hrda_lit.runs.restore import restore
    from hrda_lit.runs.resume import find_final_score, find_start
    from hrda_lit.system.process import at_full_speed

    quieten_libraries()  # once more: Lightning sets its own level when it is imported
    _filter_warnings()
    method, datamodule = build.build_task(config)
    if not config.prepare_data:
        for split in datamodule.data_splits():
            split.dataset.require_root()  # at once, where the geometry of a large network takes seconds
    check_geometry(config, method)
    start = find_start(config)
    score = find_final_score(start, config)
    if score is not None:
        log.info("the run in %s is complete, nothing is changed", config.run_dir)
        return score
    trainer = build.build_trainer(config)
    if config.prepare_data:
        instantiate(config.prepare_data)
    require_good_data(datamodule.data_splits(), DataCheck.of(config))
    datamodule.prepare_data()
    datamodule.setup("fit")
    module = build.build_module(config, method)
    check_names(trainer, module)
    _open_folder(config, trainer.loggers, start)  # from here on, files are written
    with at_full_speed(trainer.strategy.root_device):
        with explain_lost_process(), restore(trainer, start):
            trainer.fit(module, datamodule, ckpt_path=start and start.path, weights_only=True)
        if config.val is not None and module.scored != trainer.global_step:  # stopped during its last validation before
            trainer.validate(module, datamodule, verbose=False)
    return _report(module, config)


def _open_folder(config: DictConfig, loggers: "list[Logger]", start: "Start | None") -> None:
    """Write the config into the folder of a run, and what it continues; only the first process writes."""
    from hrda_lit.runs.folder import open_run
    from hrda_lit.runs.loggers import resume_loggers
    from hrda_lit.runs.resume import take_over

    folder = Path(config.run_dir)
    if is_first_process():
        open_run(config)
        write_atomically(folder / "config.yaml", OmegaConf.to_yaml(config, resolve=True).encode())
        take_over(start, folder)
    if start is not None:
        resume_loggers(loggers, start.step, start.loggers)


def _filter_warnings() -> None:
    for message in (
        ".*no pre-optimization state was saved.*",  # the state after the step is what a resumed run needs
        ".*LeafSpec.*",  # Lightning's own
        r".*before `optimizer.step\(\)`.*",  # a step that the loss scale skips uses up its learning rate, as any other
        ".*across ranks is zero.*",  # no validation set, which was asked for
        ".*smaller than the logging interval.*",  # a short trial of a long run's config
        ".*in eval mode at the start of training.*",  # a frozen encoder
        ".*sync_dist=True.*",  # the confusion matrix is summed over all devices before anything is logged
    ):
        warnings.filterwarnings("ignore", message)


def _report(module: "UDAModule", config: DictConfig) -> float:
    from hrda_lit.inference.iou import mean_iou
    from hrda_lit.runs.ending import early_end, show_ending
    from hrda_lit.system.table import show
    from hrda_lit.tables.records import facts_of
    from hrda_lit.tables.scores import iou_table, write_metrics

    if not module.trainer.is_global_zero:
        return float("nan")
    steps = module.trainer.global_step
    ended = early_end(module.trainer)
    if ended is not None:
        log.warning("%s; resume=auto continues it, unless the same ends it again", ended)
    folder = Path(config.run_dir)
    facts = {"name": config.name, "step": steps, "ended": ended}
    if module.iou is None:
        write_json(folder / "metrics.json", facts)
        log.info("%d steps done and nothing scored, without a validation set; see %s", steps, config.run_dir)
        return float("nan")
    write_metrics(folder / "metrics.json", module.iou, module.classes, {**facts, **facts_of(module.config)})
    of = "" if ended is None else f" of {config.trainer.max_steps}"
    show(iou_table(module.iou, module.classes, f"{config.name}: {config.val.name} val after {steps}{of} steps"))
    if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        log.info("pictures, checkpoints and metrics are in %s", folder)  # a sweep ends with a table of its own
    else:
        show_ending(config, _first_image(module))
    return mean_iou(module.iou)


def _first_image(module: "UDAModule") -> Path | None:
    """Return the first image of the validation set, where it is a file of its own."""
    # Not the trainer's own loader, which is none where all was scored before a run was resumed.
    image: Path = cast(Any, module.trainer).datamodule.val_dataloader().dataset.samples[0].image
    return image if image.is_file() else None


@command("train")
def main(config: DictConfig) -> float | None:
    """Run `train`, or one job of a sweep; a signal stops it between two steps."""
    try:
        return _job(config) if HydraConfig.get().mode == RunMode.MULTIRUN else train(config)
    except signals.Stopped as stopped:
        sys.exit(_stop(stopped))


def _stop(stopped: signals.Stopped) -> int:
    from hrda_lit.runs import ending

    this = HydraConfig.get()
    sweep = this.mode == RunMode.MULTIRUN
    folder = Path(this.sweep.dir if sweep else this.runtime.output_dir)
    if sweep:
        from hrda_lit.system.table import show
        from hrda_lit.tables import sweeps

        show(*sweeps.report(sweeps.write(folder), sweeps.count_jobs(read_json(folder / "command.json"))))
    command = ending.resume_command("hrda_lit.train", sys.argv[1:], folder, sweep)
    return ending.end_stopped(stopped, command)


def _job(config: DictConfig) -> float | None:
    """Run one job of a sweep, unless an earlier start of it finished the job.

    Returns:
        The final mIoU; None for a failed job, which does not end the sweep.
    """
    from hrda_lit.tables import sweeps

    this = HydraConfig.get()
    folder, number = Path(this.runtime.output_dir), this.job.num
    if sweeps.begin_job(folder, number, this.overrides.task):
        job = sweeps.read_job(folder)
        if job is not None and job.state == "done":
            log.info("job %d finished earlier, with mIoU %.1f %%", number, 100 * job.miou)
            return job.miou
        log.info("job %d is resumed", number)
        config.resume = "auto"
    try:
        return train(config)
    except Exception as error:
        ours = not can_be_mended(error)
        reason = " ".join((f"{type(error).__name__}: {error}" if ours else format_error(error)).split())
        sweeps.fail_job(folder, reason)
        log.error("job %d failed: %s", number, reason, exc_info=ours)
        return None


@contextmanager
def _finish_wandb() -> Iterator[None]:
    # Without it, the next job of a sweep would log into this job's run.
    try:
        yield
    finally:
        wandb = sys.modules.get("wandb")
        if wandb is not None and wandb.run is not None:
            wandb.finish()


if __name__ == "__main__":
    main()
