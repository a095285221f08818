"""Two optimisers as one, for a student and its discriminator."""

from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

Scheduled = tuple[Optimizer, LambdaLR]


class Pair(Optimizer):
    """Step and resume two optimisers as one, because Lightning counts a step of training for each step of one.

    Args:
        first: e.g. the student's.
        second: e.g. the discriminator's.
    """

    def __init__(self, first: Optimizer, second: Optimizer) -> None:
        self.both = (first, second)
        fused = all(bool(one.defaults.get("fused")) for one in self.both)
        super().__init__([{"params": []}], {"fused": fused})
        # The groups themselves, so that a schedule that changes a rate here changes it there.
        self.param_groups = [group for one in self.both for group in one.param_groups]
        self._step_supports_amp_scaling = False

    def step(self, closure: Any = None) -> Any:
        """Step both."""
        loss = None if closure is None else closure()
        for one in self.both:
            one.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return the states of both as that of one, the second's parameters numbered after the first's."""
        first, second = (one.state_dict() for one in self.both)
        more = self._count()
        state = {**first["state"], **{more + key: value for key, value in second["state"].items()}}
        moved = [{**group, "params": [more + key for key in group["params"]]} for group in second["param_groups"]]
        return {"state": state, "param_groups": [*first["param_groups"], *moved]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the states of both.

        Raises:
            ValueError: if they are of other groups, e.g. of one optimiser alone.
        """
        more, groups, split = self._count(), state_dict["param_groups"], len(self.both[0].param_groups)
        state = {key: value for key, value in state_dict["state"].items() if key < more}
        rest = {key - more: value for key, value in state_dict["state"].items() if key >= more}
        moved = [{**group, "params": [key - more for key in group["params"]]} for group in groups[split:]]
        self.both[0].load_state_dict({"state": state, "param_groups": groups[:split]})
        self.both[1].load_state_dict({"state": rest, "param_groups": moved})
        self.param_groups = [group for one in self.both for group in one.param_groups]

    def _count(self) -> int:
        return sum(len(group["params"]) for group in self.both[0].param_groups)


def pair_optimizers(first: Scheduled, second: Scheduled) -> Scheduled:
    """Join two optimisers and their schedules into one of each."""
    optimizer = Pair(first[0], second[0])
    return optimizer, LambdaLR(optimizer, [*first[1].lr_lambdas, *second[1].lr_lambdas])
