"""Skip steps with a NaN or infinite loss or gradient, count them, and name the files of their batches."""

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import lightning as L
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from hrda_lit.config.ranges import Count
from hrda_lit.config.values import check_arguments
from hrda_lit.ops.backends import reading_is_free
from hrda_lit.ops.finite import nan_factor, squares_finite

if TYPE_CHECKING:
    from hrda_lit.module import UDAModule

log = logging.getLogger(__name__)

# Largest number of steps on a GPU whose verdicts the host has not read, however rarely numbers are logged.
PATIENCE = 100


class Step(NamedTuple):
    """A step whose verdict the host has not read, and the indices of its files by domain."""

    number: int
    bad: Bool[Tensor, ""]
    files: Mapping[str, Tensor]


@check_arguments
class BadSteps(L.Callback):
    """Skip steps with a NaN or infinite loss or gradient, and end a run of which too many are skipped.

    A skipped step changes neither weights nor moments of the optimiser nor statistics of BatchNorm; its number,
    schedule and batch are used up. `loss_factor` makes the gradients of a bad loss NaN, so that all devices
    agree; before the optimiser steps, gradients and weights are judged; after the step, statistics are restored.
    Nothing waits for a GPU: a fused optimiser reads the verdict on the device, the host reads it with the logged
    steps, where `train/skipped` is logged and the files of bad batches are named.

    Args:
        limit: number of steps in a row that may be skipped, >= 1.
    """

    def __init__(self, limit: Count = 20) -> None:
        self.limit, self.skipped, self.in_a_row, self.seen = limit, 0, 0, 0
        self._bad = torch.zeros((), dtype=torch.bool)
        self._statistics: list[Tensor] = []
        self._floating: list[Tensor] = []
        self._before: list[Tensor] = []
        self._open: list[Step] = []
        self._name: Callable[[str, int], str] | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """List the statistics that passes change, once they are on their device."""
        module = cast("UDAModule", pl_module)
        self._statistics = list(nn.ModuleList(filter(None, (module.student, module.teacher))).buffers())
        self._floating = [buffer for buffer in self._statistics if buffer.is_floating_point()]
        self._before = [buffer.clone() for buffer in self._statistics]
        self._name = getattr(cast(Any, trainer).datamodule, "file_name", None)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Copy the statistics that the passes of the step will change."""
        if self._statistics:
            torch._foreach_copy_(self._before, self._statistics)

    def loss_factor(self, loss: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """Return 1, or NaN where a loss or a statistic is not finite: gradients bring it to all devices."""
        return nan_factor(loss.detach(), *self._floating)

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Judge the gradients, which are unscaled and summed over all devices here, and the weights."""
        weights: list[Tensor] = []
        for group in optimizer.param_groups:
            weights += group["params"]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        self._bad = ~(squares_finite(*gradients) & squares_finite(*(weight.detach() for weight in weights)))
        skip_where(optimizer, self._bad)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Restore the statistics after a bad step, and read the verdicts where that costs nothing."""
        with torch.no_grad():
            for statistic, before in zip(self._statistics, self._before, strict=True):
                statistic.copy_(torch.where(self._bad, before, statistic))
        files = {name: part["file"] for name, part in batch.items() if "file" in part}
        self._open.append(Step(trainer.global_step - 1, self._bad, files))
        logged = trainer.global_step % trainer.log_every_n_steps == 0  # type: ignore[attr-defined]
        last = trainer.global_step >= trainer.max_steps > 0
        if logged or last or reading_is_free(self._bad) or len(self._open) >= PATIENCE:
            self._read()
            self._refuse(trainer.global_step, last)
        if logged:
            pl_module.log("train/skipped", float(self.skipped))

    def state_dict(self) -> dict[str, Any]:
        """Read the open verdicts and return the counts, which a resumed run continues."""
        self._read()
        return {"skipped": self.skipped, "in_a_row": self.in_a_row, "seen": self.seen}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the counts of the run that is resumed."""
        self.skipped, self.in_a_row = state_dict["skipped"], state_dict["in_a_row"]
        self.seen = state_dict["seen"]

    def _read(self) -> None:
        if not self._open:
            return
        verdicts = torch.stack([step.bad for step in self._open]).tolist()
        for step, bad in zip(self._open, verdicts, strict=True):
            self.seen += 1
            self.skipped += bad
            self.in_a_row = self.in_a_row + 1 if bad else 0
            if bad:
                log.warning(
                    "step %d is skipped, because its loss or gradient is NaN or infinite; its batch comes from %s",
                    step.number,
                    self._names(step.files),
                )
        self._open = []

    def _refuse(self, step: int, last: bool) -> None:
        # A short run can end before its bad steps are as many as the limit.
        hopeless = last and self.in_a_row and 2 * self.skipped >= self.seen
        if self.in_a_row >= self.limit or hopeless:
            steps = f"steps {step - self.in_a_row} to {step - 1}" if self.in_a_row > 1 else f"step {step - 1}"
            raise FloatingPointError(
                f"the loss or gradient of {steps} was NaN or infinite; lower optim.lr, set "
                "optim.clip or use trainer.precision=32-true, and start again, or from the last checkpoint."
            )

    def _names(self, files: Mapping[str, Tensor]) -> str:
        if self._name is None or not files:
            return "unknown files"
        names = []
        for domain, indices in files.items():
            names += [self._name(domain, index) for index in indices.tolist()]
        return ", ".join(names)


def skipped_last_step(trainer: L.Trainer) -> bool:
    """Return whether the last step was skipped: the weights are finite, but may be what it failed with.

    On a GPU, the host waits for the answer.
    """
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, BadSteps):
            callback._read()
            return callback.in_a_row > 0
    return False


def skip_where(optimizer: torch.optim.Optimizer, bad: Bool[Tensor, ""]) -> None:
    """Let the next step of an optimiser do nothing if `bad`; without a fused one, the host waits for it."""
    if optimizer.defaults.get("fused"):
        # The attribute by which GradScaler lets fused kernels keep weights, moments and step.
        optimizers: Any = getattr(optimizer, "both", (optimizer,))
        for one in optimizers:
            one.found_inf = bad.float()
    elif bool(bad):
        optimizer.zero_grad(set_to_none=True)
