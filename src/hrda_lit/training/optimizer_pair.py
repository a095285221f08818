"""Two optimisers as one, for a student and its discriminator."""

from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from hrda_lit.optim import Scheduled


class Pair(Optimizer):
    """Step and resume two optimisers as one: Lightning counts a training step per step of an optimiser."""

    def __init__(self, first: Optimizer, second: Optimizer) -> None:
        self.both = (first, second)
        fused = all(bool(one.defaults.get("fused")) for one in self.both)
        super().__init__([{"params": []}], {"fused": fused})
        # The groups themselves, so that a schedule that changes a rate here changes it there.
        self.param_groups = [*first.param_groups, *second.param_groups]
        self._step_supports_amp_scaling = False

    def step(self, closure: Any = None) -> Any:
        """Step both."""
        loss = None if closure is None else closure()
        for one in self.both:
            one.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return the states of both as that of one, the second's parameters numbered after the first's."""
        for one in self.both:
            self.state.update(one.state)
        return super().state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the states of both.

        Raises:
            ValueError: if they are of other groups, e.g. of a single optimiser.
        """
        groups, split = state_dict["param_groups"], len(self.both[0].param_groups)
        for one, own in zip(self.both, (groups[:split], groups[split:]), strict=True):
            numbers = {number for group in own for number in group["params"]}
            state = {number: value for number, value in state_dict["state"].items() if number in numbers}
            one.load_state_dict({"state": state, "param_groups": own})
        self.param_groups = [*self.both[0].param_groups, *self.both[1].param_groups]


def pair_optimizers(first: Scheduled, second: Scheduled) -> Scheduled:
    """Join two optimisers and their schedules into one of each."""
    optimizer = Pair(first[0], second[0])
    return optimizer, LambdaLR(optimizer, [*first[1].lr_lambdas, *second[1].lr_lambdas])
