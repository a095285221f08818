"""Someone else's head: the two finest levels, added."""

from collections.abc import Sequence

from torch import Tensor, nn

from hrda_lit.networks.heads import Head
from hrda_lit.ops.resize import resize


class TwoLevels(Head):
    """Classify each cell of the two finest levels.

    Args:
        in_channels: of the levels, finest first.
        num_classes: channels of the logits.
    """

    def __init__(self, in_channels: Sequence[int], num_classes: int) -> None:
        super().__init__()
        self.fine, self.coarse = (nn.Conv2d(count, num_classes, 1) for count in in_channels[:2])

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Return logits at the stride of the finest level."""
        fine, coarse = self.fine(levels[0]), self.coarse(levels[1])
        return fine + resize(coarse, (fine.shape[-2], fine.shape[-1]))
