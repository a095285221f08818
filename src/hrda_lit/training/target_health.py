"""How a run does on the target, without a label of it: how sure the network is, and whether its teacher agrees."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import lightning as L
import torch
from torch import Tensor, nn

from hrda_lit.config.ranges import Count
from hrda_lit.config.values import check_arguments
from hrda_lit.ops.agreement import agreement

if TYPE_CHECKING:
    from hrda_lit.module import UDAModule


@check_arguments
class TargetHealth(L.Callback):
    """Log two measures on training crops of the target that no step draws, the same crops every time.

    `target/entropy` is the mean entropy of the evaluated network's predictions as a share of log C, `target/agreement`
    the share of pixels to which student and teacher give the same class, both where pseudo-labels may be trusted.
    A checkpoint can be chosen by them where no target is labelled. They tell of training gone wrong, not of right
    classes: a network that is sure of one class everywhere has the best of both.

    Args:
        every: steps from one measurement to the next, >= 1; the last step of a run is measured too.
        count: crops over all devices, >= 1.

    Raises:
        ValueError: if every or count is below 1.
    """

    def __init__(self, every: Count, count: Count = 4) -> None:
        self.every, self.count = every, count

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure and log, before a checkpoint is written.

        Raises:
            FloatingPointError: if a network predicts no numbers.
        """
        module, step = cast("UDAModule", pl_module), trainer.global_step
        if module.teacher is None or (step % self.every and step != trainer.max_steps):
            return
        entropy, same, pixels = self._totals(trainer, module).tolist()
        if entropy != entropy or same != same:
            raise FloatingPointError(
                "student or teacher predicts NaN or infinity for crops of the target, the training diverged; lower "
                "optim.lr, set optim.clip, or go on from an earlier checkpoint."
            )
        if not pixels:
            return
        numbers = {"target/entropy": entropy / pixels, "target/agreement": same / pixels}
        # For checkpoints and the bar; loggers would get it only with the next logged step, which may be none.
        module.log_dict(numbers, logger=False)
        for logger in trainer.loggers:
            # Lightning counts the steps of its rows from 0.
            logger.log_metrics({**numbers, "epoch": trainer.current_epoch}, step - 1)

    def _totals(self, trainer: L.Trainer, module: "UDAModule") -> Tensor:
        crop = cast(Any, trainer).datamodule.unseen_target_crop
        totals = torch.zeros(3, device=module.device)
        with looking(module.student, module.teacher):
            for index in range(trainer.global_rank, self.count, trainer.world_size):
                totals += self._measure(trainer, module, crop(index))
        summed: Tensor = trainer.strategy.reduce(totals, reduce_op="sum")
        return summed

    def _measure(self, trainer: L.Trainer, module: "UDAModule", crop: dict[str, Tensor]) -> Tensor:
        image, valid = (crop[name][None].to(module.device) for name in ("image", "valid"))
        assert module.teacher is not None
        other = module.teacher if module.evaluated is module.student else module.student
        with trainer.precision_plugin.forward_context():
            image = trainer.precision_plugin.convert_input(image)
            return agreement(module.evaluated.predict(image), other.predict(image), valid)


@contextmanager
def looking(*networks: nn.Module | None) -> Iterator[None]:
    """Let networks predict as in inference, and leave them as they were.

    Args:
        networks: each module of them may be in a mode of its own.
    """
    modes = [(module, module.training) for network in networks if network for module in network.modules()]
    for network in filter(None, networks):
        network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for network in filter(None, networks):
            network.train()  # lets go of what some encoders derive from their weights in evaluation mode
        for module, training in modes:
            module.training = training
