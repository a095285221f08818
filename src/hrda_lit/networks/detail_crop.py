"""The high-resolution detail crop of HRDA: its size, where it may lie, and the windows that cover an image."""

import torch

from hrda_lit.config.ranges import Sides
from hrda_lit.config.values import check_arguments
from hrda_lit.ops.boxes import Box, random_aligned_box, sliding_boxes

OFFICIAL_STEP = 8  # pixels on whose multiples detail crops begin in the released code


@check_arguments
class DetailCrop:
    """The detail crop of training, and the windows of its size at inference.

    Args:
        size: (height, width) in high-resolution pixels; h_c = h_d means crop / s_T.
        overlap: whether windows overlap by half.
        blur: whether the crop is downscaled by s_T and upscaled again: an ablation of its resolution.
        last_offset: whether it may also end where the training crop ends (docs/official.md 7).

    HRDA sections 3.2 and 3.4.
    """

    def __init__(self, size: Sides, overlap: bool = True, blur: bool = False, last_offset: bool = False) -> None:
        self.size, self.overlap = (size[0], size[1]), overlap
        self.blur, self.last_offset = blur, last_offset

    def draw(self, size: tuple[int, int], multiple: int, generator: torch.Generator) -> Box:
        """Draw where it lies in a training crop of `size`, on a grid of `multiple` pixels."""
        # official: multiples of 8 pixels always; here: wherever cells meet on them (docs/official.md 9).
        step = OFFICIAL_STEP if OFFICIAL_STEP % multiple == 0 else multiple
        return random_aligned_box(size, self.size, step, generator, self.last_offset)

    def windows(self, size: tuple[int, int], overlap: bool) -> list[Box]:
        """Return the windows that cover an image of `size`, row by row."""
        height, width = self.size
        step = 2 if overlap else 1
        return sliding_boxes(size, self.size, (height // step, width // step))
